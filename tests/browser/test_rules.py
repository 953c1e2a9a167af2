"""An administrator sets the rules in Odoo up in a browser, in English and French."""

from __future__ import annotations

import pytest

from odoo_simulator import Simulator
from odoo_simulator.rpc_services import User
from tests.browser.console import keep_screenshot, log_in, make_users, outcome, press
from tests.browser.window import Window
from tests.harness import Deployment

pytestmark = [
    pytest.mark.simulator(version=18, webhook_timing="committed"),
    pytest.mark.deployment(
        shared=True, workers=1, settings={"ODOO_WEBHOOK_TIMING": "committed", "MAX_ATTEMPTS": "1"}
    ),
]
PASSWORD = "Zq7-typed-in-a-browser"
WORDS = {
    "en": {
        "rules": "Rules in Odoo", "compare": "Compare", "install": "Install",
        "missing": "not as they should be", "right": "All is as it should be.",
        "rotate": "Change the secret", "once": "shown once",
    },
    "fr": {
        "rules": "Règles dans Odoo", "compare": "Comparer", "install": "Installer",
        "missing": "ne sont pas comme il faut", "right": "Tout est en ordre.",
        "rotate": "Changer le secret", "once": "qu’une fois",
    },
}  # fmt: skip


def type_account(window: Window) -> None:
    window.wait(lambda: window.one("#login").is_displayed(), what="the form")
    window.one("#login").send_keys("boss")
    window.one("#password").send_keys(PASSWORD)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_administrator_compares_installs_and_changes_the_secret(
    language: str, window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    says = WORDS[language]
    make_users(deployment)
    if "PUBLIC_URL" not in deployment.environment:
        deployment.environment["PUBLIC_URL"] = deployment.base_url
        assert deployment.web is not None
        deployment.web.stop(15)
        deployment.start_web()
        deployment.wait_for_web()
    deployment.manage("odoo_rules", "remove")
    simulator.service.users[9] = User(9, "boss", PASSWORD)
    log_in(window, deployment, "administrator", language)
    window.one('.sections a[href$="/connections/"]').click()
    press(window, says["rules"])
    type_account(window)
    press(window, says["compare"])
    outcome(window, says["missing"])
    type_account(window)
    press(window, says["install"])
    outcome(window, says["right"])
    assert len(window.all("[data-refresh] .checks li.ok")) == 4
    keep_screenshot(window, f"rules-{language}")
    type_account(window)
    press(window, says["rotate"])
    window.wait(lambda: says["once"] in window.text("main"), what="the new secret")
    shown = window.text(".notice pre")
    assert "ODOO_WEBHOOK_SECRETS=" in shown
    secret = shown.split("ODOO_WEBHOOK_SECRETS=")[1].split(",")[0]
    window.open(f"{deployment.base_url}/connections/rules/")
    assert secret not in window.driver.page_source
    rows = str(deployment.sql("SELECT * FROM bc_consumer_operatoraction"))
    rows += str(deployment.sql("SELECT * FROM django_session"))
    for hidden in (secret, PASSWORD):
        assert hidden not in rows + deployment.logs()
