"""Every page, light and dark, at a desk and on a telephone: axe-core finds nothing against it."""

from __future__ import annotations

import json

import pytest

from odoo_simulator import Simulator
from tests.browser.accessibility import violations
from tests.browser.console import keep_screenshot, log_in, make_users
from tests.browser.window import Window
from tests.harness import Deployment

pytestmark = [
    pytest.mark.simulator(version=18, webhook_timing="committed"),
    pytest.mark.deployment(
        shared=True, workers=1, settings={"ODOO_WEBHOOK_TIMING": "committed", "MAX_ATTEMPTS": "1"}
    ),
]
DESK, TELEPHONE = (1280, 900), (390, 844)
LINES = [{"name": "Desk"}, {"name": "Delivered by lorry", "display_type": "line_note"}]
TROUBLE = """
UPDATE bc_consumer_pendingbc SET held_reason = 'too many at once', held_at = now(), failed_at = NULL
WHERE odoo_id = {held}
"""
ALERT = """
INSERT INTO bc_consumer_alert
    (key, subject, subject_parts, text, text_parts, first_at, last_at, count)
VALUES ('x', 'Odoo is away', '', 'For long', '', now(), now(), 2) ON CONFLICT DO NOTHING
"""

ACTION = """
INSERT INTO bc_consumer_operatoraction
    (kind, asked_by, user_id, asked_at, parameters, fingerprint, status, done, outcome,
     outcome_parts, result, traceback, attempts)
VALUES ('dry_run', 'somebody', '', now(), '{}', 'x', 'failed', 0, 'An outcome', '', %s, %s, 0)
RETURNING id
"""
DIFFERENCE = {
    "kind": "differs", "line_id": None, "field": "partner_ref", "odoo": "R" * 80, "here": "S" * 80
}  # fmt: skip
RESULT = {
    "differing_orders": 1,
    "orders": [
        {
            "odoo_id": 1, "name": "P00001", "pending": 0, "count": 1, "differences": [DIFFERENCE],
        }
    ],
}  # fmt: skip
TRACEBACK = "Traceback (most recent call last):\n  File " + "a_very_long_line " * 20


@pytest.fixture
def pages(deployment: Deployment, simulator: Simulator) -> dict[str, str]:
    """The name and the address of each page, with something to show on it."""
    make_users(deployment)
    ids = [simulator.create_order(lines=LINES, partner_ref="R" * 80) for _ in range(3)]
    copied = "SELECT count(*) FROM bc_consumer_bc WHERE odoo_id = ANY(%s)"
    deployment.wait_until(lambda: deployment.sql(copied, ids)[0][0] == 3, what="the orders")
    for odoo_id in ids[:2]:
        simulator.faults.poison(odoo_id)
        simulator.write_order(odoo_id, partner_ref="NEW")
    failed = "SELECT count(*) FROM bc_consumer_pendingbc WHERE failed_at IS NOT NULL"
    deployment.wait_until(lambda: deployment.sql(failed)[0][0] >= 2, what="the failures")
    deployment.sql(TROUBLE.format(held=ids[1]))
    deployment.sql(ALERT)
    deployment.manage("sync_BcLinbc", check=False)
    run = deployment.sql("SELECT max(id) FROM bc_consumer_synclog")[0][0]
    action = deployment.sql(ACTION, json.dumps(RESULT), TRACEBACK)[0][0]
    return {
        "today": "/",
        "orders": "/orders/?words=P0&presence=current",
        "order": f"/bc/{ids[0]}/",
        "failures": "/failures/",
        "failure": "/failures/orders/",
        "runs": "/runs/",
        "run": f"/runs/{run}/",
        "connections": "/connections/",
        "settings": "/settings/",
        "actions": "/actions/",
        "help": "/help/",
        "alerts": "/alerts/",
        "messages": "/failures/messages/",
        "rules": "/connections/rules/",
        "replay": "/failures/replay/",
        "action": f"/actions/{action}/",
    }


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("language", "theme", "size"),
    [("en", "light", DESK), ("en", "dark", TELEPHONE), ("fr", "light", TELEPHONE),
     ("fr", "dark", DESK)],
)  # fmt: skip
def test_nobody_is_kept_out(
    language: str,
    theme: str,
    size: tuple[int, int],
    pages: dict[str, str],
    window: Window,
    deployment: Deployment,
) -> None:
    window.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})  # axe-core adds styles
    log_in(window, deployment, "administrator", language)
    window.script("localStorage.setItem('theme', arguments[0])", theme)
    window.resize(*size)
    found: list[str] = []
    for name, path in pages.items():
        window.open(deployment.base_url + path)
        window.wait(lambda: window.one("h1").is_displayed(), what=path)
        window.script("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        found += [f"{name}: {violation}" for violation in violations(window)]
        width = window.script("return document.documentElement.scrollWidth")
        if width > size[0]:
            found.append(f"{name}: {width} wide")
        keep_screenshot(window, f"{name}-{language}-{theme}-{size[0]}")
    assert not found, "\n".join(found)


def test_the_way_in_and_the_error_pages_too(window: Window, deployment: Deployment) -> None:
    window.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    for path, expected in (("/admin/login/", "Log in"), ("/nothing/", "There is nothing")):
        window.open(deployment.base_url + path)
        assert expected in window.text("h1")
        assert not violations(window)
    assert all("404" in error for error in window.errors())


def test_a_keyboard_is_enough(window: Window, deployment: Deployment) -> None:
    """The first key leads past the header; the search box is one key from everywhere."""
    make_users(deployment)
    log_in(window, deployment, "viewer")
    window.open(f"{deployment.base_url}/orders/")
    body = window.one("body")
    body.send_keys("\ue004")  # Tab
    assert window.script("return document.activeElement.className") == "skip"
    window.driver.switch_to.active_element.send_keys("\ue007")  # Enter
    assert window.driver.current_url.endswith("#main")
    assert window.one("#search").get_attribute("accesskey") == "s"
