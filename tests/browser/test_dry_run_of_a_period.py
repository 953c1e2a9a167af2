"""A dry run of a period: asked for in a browser, read there, and its differences read again."""

from __future__ import annotations

from datetime import datetime, timedelta

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
WORDS = {
    "en": {"period": "Dry run of a period", "look": "Look for differences",
           "found": "Differences: 1, in orders: 1", "none": "No difference in 0 orders",
           "read": "Read the selected orders from Odoo", "marked": "1 order is marked"},
    "fr": {"period": "Essai sur une période", "look": "Chercher les écarts",
           "found": "bons concernés", "none": "Aucun écart",
           "read": "Lire dans Odoo les bons sélectionnés", "marked": "1 bon est signalé"},
}  # fmt: skip


def ask_for(window: Window, says: dict[str, str], since: datetime, until: datetime) -> None:
    press(window, says["period"])
    for name, moment in (("since", since), ("until", until)):
        field = f"period-{name}"
        window.script(
            "document.getElementById(arguments[0]).value = arguments[1]",
            field, f"{moment:%Y-%m-%dT%H:%M}",
        )  # fmt: skip
    window.one('details[open] form[action="/ask/dry_run/"] button').click()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_differences_of_a_period_are_shown_and_read_again(
    language: str, window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    says = WORDS[language]
    make_users(deployment)
    odoo_id = simulator.create_order(lines=[{"name": "Desk"}])
    copied = "SELECT write_date FROM bc_consumer_bc WHERE odoo_id = %s"
    deployment.wait_until(lambda: deployment.sql(copied, odoo_id), what="the order")
    deployment.wait_drained()
    now = deployment.sql("SELECT now() AT TIME ZONE 'UTC'")[0][0]
    hour, day = timedelta(hours=1), timedelta(days=1)
    written = f"{now - hour:%Y-%m-%d %H:%M:%S}"
    simulator.update_sql("purchase.order", [odoo_id], {"write_date": written})
    deployment.sql(
        "UPDATE bc_consumer_bc SET partner_ref = 'WRONG', write_date = %s WHERE odoo_id = %s",
        f"{written}+00", odoo_id,
    )  # fmt: skip
    log_in(window, deployment, "operator", language)
    window.open(f"{deployment.base_url}/runs/")
    # A day before: nothing was written then.
    ask_for(window, says, now - 3 * day, now - 2 * day)
    outcome(window, says["none"])
    ask_for(window, says, now - 2 * hour, now - hour / 2)
    assert "WRONG" in outcome(window, says["found"])
    keep_screenshot(window, f"dry-run-of-a-period-{language}")
    window.one(f'[data-refresh] input[name="odoo_ids"][value="{odoo_id}"]').click()
    press(window, says["read"])
    outcome(window, says["marked"])
    deployment.wait_drained()
    assert not deployment.sql("SELECT 1 FROM bc_consumer_bc WHERE partner_ref = 'WRONG'")
