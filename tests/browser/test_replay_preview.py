"""A replay of many orders, as an operator sees it: the preview, the progress, the end."""

from __future__ import annotations

import pytest

from odoo_simulator import Simulator
from tests.browser.console import keep_screenshot, log_in, make_users, outcome, press
from tests.browser.window import Window
from tests.harness import Deployment

pytestmark = [
    pytest.mark.simulator(version=18, webhook_timing="committed"),
    pytest.mark.deployment(
        shared=True, workers=1, settings={"ODOO_WEBHOOK_TIMING": "committed", "MAX_ATTEMPTS": "1"}
    ),
]
MANY = 60
FAILED = "SELECT count(*) FROM bc_consumer_pendingbc WHERE failed_at IS NOT NULL"
FAIL = """
from django.utils import timezone
from bc_consumer.models import Lane, PendingBC
now = timezone.now()
PendingBC.objects.bulk_create(
    PendingBC(
        odoo_id=one, lane=Lane.WEBHOOK, causes="webhook", first_marked_at=now, last_marked_at=now,
        due_at=now, attempts=1, failed_at=now, first_failed_at=now, error_class="MappingError",
        failure="a price", last_error="a price is no number",
    )
    for one in {ids}
)
"""
"""As orders that failed, and can be read by now."""
WORDS = {
    "en": {"replay": "Replay these orders", "before": "Before the replay",
           "all": f"Replay {MANY} orders", "through": f"Succeeded: {MANY}, failed again: 0"},
    "fr": {"replay": "Rejouer ces bons", "before": "Avant de rejouer",
           "all": f"Rejouer {MANY} bons", "through": f"{MANY} bons ont été rejoués"},
}  # fmt: skip


@pytest.mark.timeout(180)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_many_orders_are_previewed_and_then_replayed(
    language: str, window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    says = WORDS[language]
    make_users(deployment)
    ids = list(simulator.bulk_create(MANY, 1, spread_days=3))
    deployment.manage("shell", "-c", FAIL.format(ids=ids))
    assert deployment.sql(FAILED)[0][0] == MANY
    log_in(window, deployment, "operator", language)
    window.open(f"{deployment.base_url}/failures/")
    press(window, says["replay"])
    window.wait(lambda: window.text("h1") == says["before"], what="the preview")
    assert deployment.sql(FAILED)[0][0] == MANY
    keep_screenshot(window, f"replay-preview-{language}")
    press(window, says["all"])
    outcome(window, says["through"], 90)
    fresh = "return !document.querySelector('main').innerText.includes('a price is no number')"
    window.wait(lambda: window.script(fresh), what="the list without what was replayed")
    assert says["through"] in window.text("[data-refresh]")
    assert deployment.sql(FAILED)[0][0] == 0
