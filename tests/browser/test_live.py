"""Orders arrive on the page while someone watches: Odoo's simulator, webhook, worker, browser."""

import re

import pytest

from odoo_simulator import Simulator
from tests.browser.window import Window
from tests.harness import Deployment

PUBLIC = {"LIVE_PAGE_PUBLIC": "1", "ODOO_WEBHOOK_TIMING": "committed"}
LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 1234.5},
    {"name": "Chair & <stool>", "product_qty": 3, "price_unit": 8.1},
]
TELEPHONE = (360, 740)

pytestmark = [
    pytest.mark.simulator(version=19),
    pytest.mark.deployment(workers=1, settings=PUBLIC),
]


def top(window: Window, order: str, outcome: str) -> bool:
    """Whether the newest entry tells this of this order."""
    entry = window.one("#live [data-entry]")
    return order in entry.text and outcome in (entry.get_attribute("class") or "").split()


def name_of(odoo: Simulator, order_id: int) -> str:
    order = odoo.order(order_id)
    assert order is not None
    return str(order["name"])


def test_an_order_arrives_and_changes_without_a_reload(
    window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    window.open(deployment.base_url)
    assert "No orders yet" in window.text("#live")
    window.wait(lambda: window.text("#connection") == "live", what="the page to be live")
    window.script("window.sameDocument = true")
    second = "document.querySelectorAll('.answer')[1].querySelector('p')"
    window.script(f"window.sentence = {second}")
    window.script("document.querySelector('.answer p').textContent = 'old'")
    window.wait(lambda: "old" not in window.text(".answer"), what="the first answer anew")
    assert window.script("return window.sentence.isConnected"), "what says the same stays"

    order_id = simulator.create_order(lines=LINES)
    name = name_of(simulator, order_id)
    window.wait(lambda: top(window, name, "created"), what="the new order")
    assert "fresh" in (window.one("#live [data-entry]").get_attribute("class") or "")
    assert re.search(r"\d (ms|s)$", window.text("#live [data-entry] .delay"))

    simulator.write_order(order_id, partner_ref="OUR-REF <1>")
    window.wait(lambda: top(window, name, "changed"), what="the change")
    assert "Supplier's reference: — → OUR-REF <1>" in window.text("#live [data-entry] .what")

    simulator.delete_order(order_id)
    window.wait(lambda: top(window, name, "archived"), what="the archiving")
    assert len(window.all("#live [data-entry]")) == 3
    window.wait(lambda: "median" in window.text("#live .figures"), 60, what="the delay")
    # Counted anew as often as its share of the database's time allows.
    window.wait(lambda: "1 archived" in window.text("#live .figures"), 60, what="the count")
    assert window.script("return window.sameDocument") is True


def test_the_order_page_is_one_click_away_and_speaks_french(
    window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    name = name_of(simulator, simulator.create_order(lines=LINES))
    window.open(deployment.base_url)
    window.wait(lambda: top(window, name, "created"), what="the new order")
    window.one('button[lang="fr"]').click()
    window.wait(lambda: window.text("h1") == "Aujourd’hui", what="French")
    window.wait(lambda: window.text("#connection") == "en direct", what="the page to be live")
    assert window.one("html").get_attribute("lang") == "fr"

    window.one(".journal .order a").click()
    window.wait(lambda: window.text("h1") == name, what="the order's page")
    table = window.text("table")
    assert "1 234,50" in table  # the driver turns no-break spaces into spaces
    assert "Chair & <stool>" in table
    assert "Fournisseur" in window.text("main")
    assert "2 lignes" in window.text("main")


def test_the_journal_stands_still_while_paused(
    window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    window.open(deployment.base_url)
    window.wait(lambda: window.text("#connection") == "live", what="the page to be live")
    window.one("#pause").click()
    assert window.text("#connection") == "paused"
    name = name_of(simulator, simulator.create_order(lines=LINES))
    deployment.wait_until(
        lambda: deployment.sql("SELECT 1 FROM bc_consumer_bc WHERE name = %s", name),
        what="the order in the copy",
    )
    deployment.wait_until(  # what the page shows may be half a second old
        lambda: name in deployment.get("/today/").body.decode(), what="the order in the content"
    )
    assert not window.all("#live [data-entry]")
    window.one("#pause").click()
    window.wait(lambda: top(window, name, "created"), what="the new order")


def test_a_lost_connection_is_told_and_made_good(window: Window, deployment: Deployment) -> None:
    window.open(deployment.base_url)
    window.wait(lambda: window.text("#connection") == "live", what="the page to be live")
    assert deployment.web is not None
    deployment.web.stop()
    window.wait(lambda: "connection lost" in window.text("#connection"), what="the loss")
    deployment.start_web()
    deployment.wait_for_web()
    window.wait(lambda: window.text("#connection") == "live", what="the page to be live again")
    lost = window.errors()
    assert lost
    assert all("ERR_CONNECTION" in error or "ERR_EMPTY" in error for error in lost), lost


def test_nothing_is_wider_than_a_telephone(
    window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    order_id = simulator.create_order(lines=LINES, partner_ref="R" * 80)
    name = name_of(simulator, order_id)
    window.resize(*TELEPHONE)
    window.open(deployment.base_url)
    window.wait(lambda: top(window, name, "created"), what="the new order")
    for path in ("/", f"/bc/{order_id}/"):
        window.open(deployment.base_url + path)
        width = window.script("return document.documentElement.scrollWidth")
        assert width <= TELEPHONE[0], path


@pytest.mark.deployment(workers=0, settings={"ODOO_WEBHOOK_TIMING": "committed"})
def test_staff_log_in_and_see_the_page(window: Window, deployment: Deployment) -> None:
    deployment.environment["DJANGO_SUPERUSER_PASSWORD"] = "a-password-for-a-test"
    deployment.manage("createsuperuser", "--noinput", "--username=staff", "--email=a@b.test")
    window.open(deployment.base_url)
    window.one("#id_username").send_keys("staff")
    window.one("#id_password").send_keys("a-password-for-a-test")
    window.one("[type=submit]").click()
    window.wait(lambda: window.text("#connection") == "live", what="the page to be live")

    deployment.sql("DELETE FROM django_session")
    window.wait(lambda: window.one("#id_username").is_displayed(), what="the login page")
    refused = window.errors()
    assert len(refused) == 1
    assert "403" in refused[0]
