"""Operators at the console: what each group sees, presses, and is told, in English and French."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.browser.console import button, keep_screenshot, log_in, make_users, outcome, press
from tests.browser.window import Window
from tests.harness import Deployment

pytestmark = [
    pytest.mark.simulator(version=18, webhook_timing="committed"),
    pytest.mark.deployment(
        shared=True, workers=1, settings={"ODOO_WEBHOOK_TIMING": "committed", "MAX_ATTEMPTS": "1"}
    ),
]
LINES = [{"name": "Desk <oak>", "product_qty": 2, "price_unit": 1234.5}]
WORDS = {
    "en": {
        "compare": "Compare with Odoo now", "same": "the copy equals Odoo",
        "differs": "the copy differs from Odoo", "again": "Read from Odoo again now",
        "read": "Read from Odoo: 1",
    },
    "fr": {
        "compare": "Comparer avec Odoo", "same": "la copie est conforme à Odoo",
        "differs": "la copie diffère d’Odoo", "again": "Relire dans Odoo maintenant",
        "read": "Lus dans Odoo",
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _users(deployment: Deployment) -> None:
    make_users(deployment)


def copied(deployment: Deployment, odoo: Simulator, **values: Any) -> tuple[int, str]:
    """Make an order in Odoo, and wait for it; return its id and its name."""
    odoo_id = odoo.create_order(lines=LINES, **values)
    order = odoo.order(odoo_id)
    assert order is not None
    deployment.wait_until(
        lambda: deployment.sql("SELECT 1 FROM bc_consumer_bc WHERE odoo_id = %s", odoo_id),
        what="the order in the copy",
    )
    deployment.wait_drained()
    return odoo_id, str(order["name"])


def answers_kept_back(
    odoo: Simulator, deployment: Deployment, request: pytest.FixtureRequest
) -> threading.Event:
    """Keep Odoo's answers back until the event is set, for 25 s at most."""
    # A poll that waits for an answer would let no run begin.
    deployment.sql("UPDATE bc_consumer_syncstate SET scan_due_at = NULL")
    at_work = "SELECT 1 FROM bc_consumer_syncstate WHERE is_syncing"
    deployment.wait_until(lambda: not deployment.sql(at_work), what="the poll's end")
    go_on = threading.Event()

    def keep_back(_model: str, _method: str) -> None:
        go_on.wait(25)

    request.addfinalizer(go_on.set)
    odoo.faults.between_calls(keep_back)
    return go_on


def search(window: Window, words: str) -> None:
    box = window.one("#search")
    box.clear()
    box.send_keys(words, "\n")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_operator_finds_an_order_compares_it_and_has_it_read_again(
    language: str, window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    odoo_id, name = copied(deployment, simulator)
    says = WORDS[language]
    log_in(window, deployment, "operator", language)
    window.open(deployment.base_url)
    search(window, name)
    window.wait(lambda: window.text("h1") == name, what="the order's page")
    press(window, says["compare"])
    outcome(window, says["same"])

    # No webhook tells of what SQL changes: a silent difference.
    deployment.sql("UPDATE bc_consumer_bc SET partner_ref = 'WRONG' WHERE odoo_id = %s", odoo_id)
    press(window, says["compare"])
    assert "WRONG →" in outcome(window, says["differs"])
    keep_screenshot(window, f"compared-{language}")
    press(window, says["again"])
    assert "WRONG →" in outcome(window, says["read"])
    assert not deployment.sql("SELECT 1 FROM bc_consumer_bc WHERE partner_ref = 'WRONG'")
    window.driver.refresh()
    assert "WRONG →" in window.text(".history")


def test_a_group_of_failures_is_replayed_with_one_button(
    window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    copied(deployment, simulator)  # one that Odoo can read: else no order would be blamed
    ids = [copied(deployment, simulator)[0] for _ in range(3)]
    for odoo_id in ids:
        simulator.faults.poison(odoo_id)
        simulator.write_order(odoo_id, partner_ref="NEW")
    failed = "SELECT count(*) FROM bc_consumer_pendingbc WHERE failed_at IS NOT NULL"
    deployment.wait_until(lambda: deployment.sql(failed)[0][0] == 3, what="three failures")
    log_in(window, deployment, "operator")
    window.open(deployment.base_url)
    window.one(".sections .count")  # the navigation counts them
    window.one('.sections a[href$="/failures/"]').click()
    window.wait(lambda: "Odoo can't read the order 3" in window.text("main"), what="the cause")
    keep_screenshot(window, "failures")
    press(window, "See these orders")
    window.wait(lambda: len(window.all("tbody tr")) == 3, what="its orders")
    window.one('input[name="odoo_ids"]').click()
    press(window, "Replay the selected orders")
    assert "failed again: 1" in outcome(window, "1 order was replayed")

    for odoo_id in ids:
        simulator.faults.cure(odoo_id)
    window.open(f"{deployment.base_url}/failures/")
    press(window, "Replay these orders")
    assert "Succeeded: 3, failed again: 0" in outcome(window, "3 orders were replayed")
    window.driver.refresh()
    assert not window.all(".sections .count")
    refs = "SELECT count(*) FROM bc_consumer_bc WHERE partner_ref = 'NEW'"
    assert deployment.sql(refs)[0][0] == 3


def test_a_run_is_begun_watched_and_read(
    window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    copied(deployment, simulator)
    log_in(window, deployment, "operator")
    window.one('.sections a[href$="/runs/"]').click()
    press(window, "Run now")
    window.wait(lambda: button(window, "Start the run"), what="the form")
    assert not window.all('input[name="force"]'), "an administrator's"
    press(window, "Start the run")
    outcome(window, "ok")
    window.one("[data-refresh] a[href*='/runs/']").click()
    window.wait(lambda: window.text("h1").startswith("Run "), what="the run's page")
    assert "What it found and did" in window.text("main")


def test_the_page_of_a_run_follows_it_to_its_end_without_a_reload(
    window: Window, deployment: Deployment, simulator: Simulator, request: pytest.FixtureRequest
) -> None:
    for _order in range(3):
        copied(deployment, simulator)
    log_in(window, deployment, "operator")
    # Odoo answers nothing until the page has been seen following the run.
    followed = answers_kept_back(simulator, deployment, request)
    window.open(f"{deployment.base_url}/runs/")
    press(window, "Run now")
    window.one('input[name="full"][value="1"]').click()
    press(window, "Start the run")
    window.wait(
        lambda: window.one("[data-refresh] a[href*='/runs/']"), what="the run to begin"
    ).click()
    window.wait(lambda: window.text("h1").startswith("Run "), what="the run's page")
    window.script("window.sameDocument = true")
    assert window.text('[data-part="status"]') == "running"
    assert "At present" in window.text('[data-part="state"]')
    asked = "return performance.getEntriesByName(location.origin + arguments[0]).length"
    content = f"/runs/{window.text('h1').split()[-1]}/content/"
    window.wait(lambda: window.script(asked, content) >= 2, what="two refreshes")
    simulator.faults.clear()
    followed.set()
    window.wait(lambda: window.text('[data-part="status"]') == "ok", 40, what="the run's end")
    assert "At present" not in window.text('[data-part="state"]')
    assert "Calls to Odoo" in window.text('[data-part="state"]')
    assert window.script("return window.sameDocument") is True
    # It asks no more.
    before = window.script(asked, content)
    window.script("window.later = false; setTimeout(() => { window.later = true; }, 2500)")
    window.wait(lambda: window.script("return window.later"), what="two more seconds")
    assert window.script(asked, content) == before


def test_a_dry_run_shows_what_differs_and_has_it_read(
    window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    odoo_id, name = copied(deployment, simulator)
    # A scan that was asked for would put it right before.
    deployment.sql("UPDATE bc_consumer_syncstate SET scan_due_at = NULL")
    deployment.sql("UPDATE bc_consumer_bc SET partner_ref = 'WRONG' WHERE odoo_id = %s", odoo_id)
    log_in(window, deployment, "operator")
    window.open(f"{deployment.base_url}/runs/")
    press(window, "Look for differences, change nothing")
    told = outcome(window, "Differences: 1, in orders: 1")
    assert name in told
    assert "WRONG" in told
    window.one("[data-refresh] [data-select-all]").click()
    assert window.one('[data-refresh] input[name="odoo_ids"]').is_selected()
    press(window, "Read the selected orders from Odoo")
    outcome(window, "1 order is marked")
    deployment.wait_drained()
    assert not deployment.sql("SELECT 1 FROM bc_consumer_bc WHERE partner_ref = 'WRONG'")

    # The session ends while the page follows something: the way in, whole, and then back.
    simulator.faults.latency(3.0)
    try:
        window.open(f"{deployment.base_url}/runs/")
        press(window, "Look for differences, change nothing")
        window.wait(lambda: window.one("[data-refresh] .unfinished"), what="the dry run to begin")
        window.driver.delete_cookie("sessionid")
        window.wait(lambda: window.text("h1") == "Log in", what="the login page")
        assert "/runs/" in window.driver.current_url
    finally:
        simulator.faults.clear()


def test_an_administrator_stops_a_run_and_releases_its_lock(
    window: Window, deployment: Deployment, simulator: Simulator, request: pytest.FixtureRequest
) -> None:
    copied(deployment, simulator)
    log_in(window, deployment, "administrator")
    asked_to_stop = answers_kept_back(simulator, deployment, request)
    window.open(f"{deployment.base_url}/runs/")
    press(window, "Run now")
    window.one('input[name="full"][value="1"]').click()
    press(window, "Start the run")
    window.wait(lambda: window.one("[data-refresh] a[href*='/runs/']"), what="the run to begin")
    window.open(f"{deployment.base_url}/runs/")
    press(window, "Stop the run at work")
    press(window, "Yes: Stop the run at work")
    outcome(window, "stop")
    # It hears of that within a second, and must not be over by then.
    simulator.faults.latency(0.5)
    asked_to_stop.set()
    stopped = "SELECT 1 FROM bc_consumer_synclog WHERE status = 'stopped'"
    deployment.wait_until(lambda: deployment.sql(stopped), what="its end")
    simulator.faults.clear()
    # A process that died in the middle leaves the lock behind.
    deployment.sql(
        "UPDATE bc_consumer_syncstate SET is_syncing = true, owner = 'dead',"
        " lease_until = now() - interval '1 minute'"
    )
    window.open(f"{deployment.base_url}/runs/")
    press(window, "Release the lock")
    press(window, "Yes: Release the lock")
    window.wait(
        lambda: not deployment.sql("SELECT is_syncing FROM bc_consumer_syncstate")[0][0],
        what="the lock to be free",
    )


def test_the_doctor_looks_in_a_browser(window: Window, deployment: Deployment) -> None:
    log_in(window, deployment, "operator")
    window.one('.sections a[href$="/connections/"]').click()
    press(window, "Check everything")
    told = outcome(window, "warnings:", 90)
    assert "can log in to database" in told
    assert "→" in told, "each has its fix"


def test_a_viewer_reads_everything_and_can_press_nothing(
    window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    odoo_id, name = copied(deployment, simulator)
    log_in(window, deployment, "viewer")
    for path in (f"/bc/{odoo_id}/", "/failures/", "/runs/", "/connections/", "/settings/"):
        window.open(deployment.base_url + path)
        assert not window.all('form[action*="/ask/"]'), path
    search(window, name)
    assert window.text("h1") == name
