"""A purchasing department's day at any speed: random but repeatable changes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from odoo_simulator import base_data
from odoo_simulator.bulk_orders import Row
from odoo_simulator.errors import OdooError, SerializationFailure
from odoo_simulator.simulator import Simulator

_SECTIONS = ("Mobilier", "Fournitures", "Lighting", "Prestations")
_NOTES = (
    "Livraison entre 8 h et 12 h, quai n° 2.",
    "Please deliver in one shipment.",
    "Prix remisés selon contrat-cadre.",
)
_CURRENCIES = (base_data.EUR,) * 6 + (
    base_data.USD,
    base_data.JPY,
    base_data.TND,
    base_data.GBP,
)
# The relative frequency of each kind of change.
_WEIGHTS = {
    "write_order": 26,
    "write_line_price": 18,
    "write_line_text": 14,
    "create_order": 14,
    "add_line": 8,
    "delete_line": 6,
    "confirm": 6,
    "receive": 4,
    "delete_order": 2,
    "merge": 1,
    "rename_partner": 1,
}
FEWEST_ORDERS = 5  # below this, no order is deleted
MOST_NEW_ORDERS = 300  # above the initial number; a demo may run for weeks


class Traffic:
    """Changes orders of one simulator; the same seed makes the same choices."""

    def __init__(self, simulator: Simulator, seed: int = 1) -> None:
        self.simulator = simulator
        self.random = random.Random(seed)
        self.changes = 0
        self._most = simulator.count() + MOST_NEW_ORDERS
        self._stop = threading.Event()

    def create_orders(self, count: int, lines: int) -> list[int]:
        """Create orders with sections, notes, several currencies and taxes; return their ids."""
        return [self._create_order(lines) for _ in range(count)]

    def run(self, per_second: float) -> None:
        """Make that many changes per second until `stop()`."""
        pause = 1.0 / per_second
        due = time.monotonic()
        while not self._stop.is_set():
            self.step()
            due = max(due + pause, time.monotonic() - 1.0)
            self._stop.wait(max(0.0, due - time.monotonic()))

    def stop(self) -> None:
        self._stop.set()

    def step(self) -> str:
        """Make one change; return its kind, or "nothing" if it was not possible."""
        kind = self.random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        changes: dict[str, Callable[[], bool]] = {
            "write_order": self._write_order,
            "write_line_price": self._write_line_price,
            "write_line_text": self._write_line_text,
            "create_order": self._create_one,
            "add_line": self._add_line,
            "delete_line": self._delete_line,
            "confirm": self._confirm,
            "receive": self._receive,
            "delete_order": self._delete_order,
            "merge": self._merge,
            "rename_partner": self._rename_partner,
        }
        try:
            done = changes[kind]()
        except (OdooError, SerializationFailure):
            return "nothing"
        self.changes += done
        return kind if done else "nothing"

    def _create_order(self, lines: int) -> int:
        values: Row = {
            "partner_ref": f"DEV-{self.random.randint(1000, 9999)}",
            "origin": self.random.choice((False, f"OP/{self.random.randint(100, 999)}")),
            "currency_id": self.random.choice(_CURRENCIES),
            "user_id": self.random.choice((3, 4)),
            "notes": self.random.choice((False, f"<p>{self.random.choice(_NOTES)}</p>")),
        }
        content = [self._line_values(position) for position in range(lines)]
        if lines >= 3:
            section = {"display_type": "line_section", "name": self.random.choice(_SECTIONS)}
            content.insert(0, {**section, "sequence": 1})
            note = {"display_type": "line_note", "name": self.random.choice(_NOTES)}
            content.append({**note, "sequence": 99})
        partner = self.random.randint(2, 13)
        return self.simulator.create_order(partner, content, **values)

    def _create_one(self) -> bool:
        if self.simulator.count() >= self._most:
            return False
        self._create_order(self.random.randint(1, 6))
        return True

    def _line_values(self, position: int) -> Row:
        tax = self.random.choice((base_data.TAX_20, base_data.TAX_20, base_data.TAX_5_5))
        return {
            "product_id": self.random.randint(1, 12),
            "product_qty": float(self.random.randint(1, 40)),
            "price_unit": round(self.random.uniform(0.5, 900.0), 2),
            "discount": self.random.choice((0.0, 0.0, 0.0, 5.0, 12.5)),
            "taxes_id": [(6, 0, [tax])],
            "sequence": 10 + position,
        }

    def _order(self) -> Row | None:
        """Return any order, recent ones more often; found by trying ids, however many there are."""
        newest = self.simulator.last_order_id()
        for _attempt in range(50):
            oldest = max(1, newest - 50) if self.random.random() < 0.7 else 1
            order = self.simulator.order(self.random.randint(oldest, max(oldest, newest)))
            if order is not None:
                return order
        return None

    def _product_line(self) -> Row | None:
        order = self._order()
        lines = [line for line in order["order_line"] if line["product_id"]] if order else []
        return self.random.choice(lines) if lines else None

    def _write_order(self) -> bool:
        order = self._order()
        if order is None:
            return False
        values: Row = self.random.choice(
            (
                {"partner_ref": f"DEV-{self.random.randint(1000, 9999)}"},
                self._priority(),
                {"notes": f"<p>{self.random.choice(_NOTES)}</p>"},
                {"user_id": self.random.choice((3, 4))},
            )
        )
        self.simulator.write_order(order["id"], values)
        return True

    def _priority(self) -> Row:
        """Return {} for sale orders, which have no priority; even that moves their write_date."""
        value = self.random.choice("01")
        model = self.simulator.models[self.simulator.order_model]
        return {"priority": value} if "priority" in model.fields else {}

    def _write_line_price(self) -> bool:
        line = self._product_line()
        if line is None:
            return False
        quantity = float(self.random.randint(1, 40))
        price = round(line["price_unit"] * self.random.uniform(0.9, 1.1), 2)
        self.simulator.write_line(line["id"], {"product_qty": quantity, "price_unit": price})
        return True

    def _write_line_text(self) -> bool:
        """Change a line's text, which moves the line's write_date but not the order's."""
        line = self._product_line()
        if line is None:
            return False
        text = f"{str(line['name']).split(' · ')[0]} · {self.random.choice(_NOTES)}"
        self.simulator.write_line(line["id"], {"name": text})
        return True

    def _add_line(self) -> bool:
        order = self._order()
        if order is None or order["state"] not in ("draft", "sent"):
            return False
        self.simulator.add_line(order["id"], self._line_values(len(order["order_line"])))
        return True

    def _delete_line(self) -> bool:
        order = self._order()
        if order is None or order["state"] not in ("draft", "sent") or len(order["order_line"]) < 2:
            return False
        self.simulator.delete_line(self.random.choice(order["order_line"])["id"])
        return True

    def _confirm(self) -> bool:
        order = self._order()
        if order is None or order["state"] not in ("draft", "sent"):
            return False
        self.simulator.confirm(order["id"])
        return True

    def _receive(self) -> bool:
        order = self._order()
        if order is None or order["state"] != "purchase" or order["receipt_status"] == "full":
            return False
        lines = [line for line in order["order_line"] if line["product_id"]]
        some = {line["id"]: 1.0 for line in lines} if self.random.random() < 0.5 else None
        self.simulator.receive(order["id"], some)
        return True

    def _delete_order(self) -> bool:
        order = self._order()
        if order is None or self.simulator.count() <= FEWEST_ORDERS:
            return False
        self.simulator.delete_order(order["id"])
        return True

    def _merge(self) -> bool:
        source, target = self._order(), self._order()
        if source is None or target is None or source["id"] == target["id"]:
            return False
        if {source["state"], target["state"]} - {"draft", "sent"}:
            return False
        if source["currency_id"] != target["currency_id"]:
            return False  # a line keeps its amounts, with its first currency's decimals
        self.simulator.merge(source["id"], target["id"])
        return True

    def _rename_partner(self) -> bool:
        number = self.random.randint(2, 13)
        name = self.simulator.display_name("res.partner", number).split(" – ")[0]
        suffix = self.random.choice(("", " – Agence Nord", " – Agence Sud"))
        self.simulator.rename("res.partner", number, name + suffix)
        return True
