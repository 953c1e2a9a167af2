"""«P00042 is wrong in our app»: from the first page to the cause, in three clicks at most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.browser.console import keep_screenshot, log_in, make_users, outcome, press
from tests.browser.window import Window
from tests.harness import Deployment

pytestmark = [
    pytest.mark.simulator(version=18, webhook_timing="committed"),
    pytest.mark.deployment(
        workers=1,
        settings={
            "ODOO_WEBHOOK_TIMING": "committed", "MAX_ATTEMPTS": "1",
            "BRAKE_ARCHIVINGS": "0", "BRAKE_SHARE": "0",
        },
    ),
]  # fmt: skip
MOST_CLICKS = 3
LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 10}]
ROW = "SELECT 1 FROM bc_consumer_pendingbc WHERE odoo_id = %s AND "
CAUSES = {
    "en": {
        "unreadable": "Odoo can't read the order",
        "no longer allowed": "Odoo has denied us access to it since",
        "held": "On hold: Archiving paused",
        "waiting": "Waits for another order",
        "webhook lost": "the copy differs from Odoo",
    },
    "fr": {
        "unreadable": "Odoo n’arrive pas à lire",
        "no longer allowed": "Odoo ne nous y donne plus accès depuis",
        "held": "Suspendu : Archivage suspendu",
        "waiting": "En attente d’un autre bon de commande",
        "webhook lost": "la copie diffère d’Odoo",
    },
}
COMPARE = {"en": "Compare with Odoo now", "fr": "Comparer avec Odoo"}


class Failures:
    """Breaks orders, each in its own way, as it happens with a real Odoo; returns their names."""

    def __init__(self, deployment: Deployment, odoo: Simulator) -> None:
        self.deployment, self.odoo = deployment, odoo

    def all(self) -> dict[str, str]:
        """Return kind → the name of an order that failed so."""
        return {
            "unreadable": self._name(self._unreadable()),
            "no longer allowed": self._no_longer_allowed(),
            "held": self._held(),
            "webhook lost": self._webhook_lost(),
            "waiting": self._waiting(),  # the last one: it stays owed
        }

    def _copied(self) -> int:
        odoo_id = self.odoo.create_order(lines=LINES)
        self._until("SELECT 1 FROM bc_consumer_bc WHERE odoo_id = %s", odoo_id)
        self.deployment.wait_drained()
        return odoo_id

    def _name(self, odoo_id: int) -> str:
        query = "SELECT name FROM bc_consumer_bc WHERE odoo_id = %s"
        return str(self.deployment.sql(query, odoo_id)[0][0])

    def _until(self, query: str, odoo_id: int) -> None:
        self.deployment.wait_until(lambda: self.deployment.sql(query, odoo_id), what=query)

    def _unreadable(self) -> int:
        odoo_id = self._copied()
        self.odoo.faults.poison(odoo_id)
        self.odoo.write_order(odoo_id, partner_ref="NEW")
        self._until(f"{ROW} failed_at IS NOT NULL", odoo_id)
        return odoo_id

    def _no_longer_allowed(self) -> str:
        odoo_id = self._copied()
        self.odoo.faults.forbid([odoo_id])
        self.odoo.write_order(odoo_id, partner_ref="NEW")
        query = "SELECT 1 FROM bc_consumer_bc WHERE odoo_id = %s AND forbidden_at IS NOT NULL"
        self._until(query, odoo_id)
        return self._name(odoo_id)

    def _held(self) -> str:
        odoo_id = self._copied()
        self._without_webhooks(lambda: self.odoo.delete_order(odoo_id))
        # An event of another kind: nothing but Odoo's answer says that the order is gone.
        self.deployment.post({"_id": odoo_id, "_model": "purchase.order"})
        self._until(f"{ROW} held_reason <> ''", odoo_id)
        return self._name(odoo_id)

    def _waiting(self) -> str:
        broken, odoo_id = self._unreadable(), self._copied()
        order = self.odoo.order(broken)
        assert order is not None
        self.odoo.move_line(order["order_line"][0]["id"], odoo_id)
        self._until(f"{ROW} error_class <> '' AND failed_at IS NULL", odoo_id)
        return self._name(odoo_id)

    def _webhook_lost(self) -> str:
        odoo_id = self._copied()
        self._without_webhooks(lambda: self.odoo.write_order(odoo_id, partner_ref="LOST"))
        return self._name(odoo_id)

    def _without_webhooks(self, change: Callable[[], Any]) -> None:
        self.odoo.faults.webhooks(loss=1.0)
        change()
        self.odoo.faults.webhooks()


class Clicks:
    """What an operator does with a window, counted: a key that sends a form is a click too."""

    def __init__(self, window: Window) -> None:
        self.window, self.count = window, 0

    def search(self, words: str) -> None:
        """Click into the box of the header, type, and press Enter."""
        box = self.window.wait(lambda: self.window.one("#search"), what="the search")
        box.click()
        box.send_keys(words, "\n")
        self.count += 2

    def press(self, text: str) -> None:
        """Press a button."""
        press(self.window, text)
        self.count += 1


@pytest.mark.slow("it breaks six orders, and looks for five of them in two languages")
def test_the_cause_of_a_wrong_order_is_three_clicks_away(
    window: Window, deployment: Deployment, simulator: Simulator
) -> None:
    make_users(deployment)
    names = Failures(deployment, simulator).all()
    for language in ("en", "fr"):
        log_in(window, deployment, "operator", language)
        for kind, cause in CAUSES[language].items():
            window.open(f"{deployment.base_url}/")
            clicks = Clicks(window)
            clicks.search(names[kind])
            window.wait(lambda name=names[kind]: window.text("h1") == name, what="its page")  # type: ignore[misc]
            if kind == "webhook lost":
                clicks.press(COMPARE[language])
                assert "LOST" in outcome(window, cause)
            else:
                assert cause in window.text("main"), kind
            keep_screenshot(window, f"wrong-{kind.replace(' ', '-')}-{language}")
            assert clicks.count <= MOST_CLICKS, kind
        window.driver.delete_all_cookies()
