"""An Odoo that the contract is checked against, and orders of our own in it.

Nothing is assumed of the database: suppliers, products and fields are looked up, orders are made
for each test and removed after it, and other users' orders are never counted.
"""

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from bc_consumer.odoo import Odoo, OdooFault, OdooSettings
from odoo_simulator import Simulator

ORDER, LINE = "purchase.order", "purchase.order.line"
PATIENCE = 20.0  # seconds that anything may take on a slow server
REAL = ("ODOO_E2E_URL", "ODOO_E2E_DB", "ODOO_E2E_USER", "ODOO_E2E_PASSWORD")
GONE_ID = 2_000_000_000  # no database has so many orders


@dataclass
class Target:
    """One Odoo. ``simulator`` is None for a real one."""

    settings: OdooSettings
    simulator: Simulator | None
    odoo: Odoo = field(init=False)
    major: int = field(init=False)
    made: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.odoo = Odoo(self.settings)
        self.major = self.odoo.version().major

    def gateway(self, **changes: Any) -> Odoo:
        """Another gateway to the same Odoo, with other settings."""
        own = {name: getattr(self.settings, name) for name in OdooSettings.__slots__}
        return Odoo(OdooSettings(**(own | changes)))

    def call(self, model: str, method: str, *args: Any, **kwargs: Any) -> Any:
        return self.odoo.call(model, method, args, kwargs)

    # Names that differ between versions.

    @property
    def uom(self) -> str:
        return "product_uom_id" if self.major >= 19 else "product_uom"

    @property
    def notes(self) -> str:
        return "note" if self.major >= 19 else "notes"

    # What the database has.

    def any_id(self, model: str, domain: Sequence[Any] = ()) -> int:
        found: list[int] = self.call(model, "search", list(domain), limit=1, order="id")
        if not found:
            pytest.skip(f"this Odoo has no {model} to make an order with")
        return found[0]

    def has_model(self, model: str) -> bool:
        try:
            self.call(model, "search_count", [("id", "=", 0)])
        except OdooFault:
            return False
        return True

    # Orders of our own.

    def line(self, **values: Any) -> tuple[int, int, dict[str, Any]]:
        """A command that adds a line; price 10 and quantity 1 unless told."""
        if values.get("display_type"):
            return (0, 0, {"name": "A remark", "product_qty": 0, **values})
        product = self.any_id("product.product")
        [record] = self.call("product.product", "read", [product], fields=["uom_id"])
        defaults = {
            "product_id": product,
            "name": "A thing",
            "product_qty": 1.0,
            "price_unit": 10.0,
            "date_planned": "2030-01-01 12:00:00",
            self.uom: record["uom_id"][0],
        }
        return (0, 0, defaults | values)

    def create(self, *lines: tuple[int, int, dict[str, Any]], **values: Any) -> int:
        """Create an order; removed after the test."""
        partner = self.any_id("res.partner", [("is_company", "=", True)])
        row = {"partner_id": partner, "order_line": list(lines), **values}
        order_id: int = self.call(ORDER, "create", row)
        self.made.append(order_id)
        return order_id

    def write(self, order_id: int, **values: Any) -> None:
        self.call(ORDER, "write", [order_id], values)

    def read(self, order_id: int, *fields: str) -> dict[str, Any]:
        [record] = self.call(ORDER, "read", [order_id], fields=list(fields))
        return dict(record)

    def line_ids(self, order_id: int) -> list[int]:
        return sorted(self.read(order_id, "order_line")["order_line"])

    def remove(self, order_ids: Iterable[int]) -> None:
        """Cancel and delete orders; those that are gone already are left alone."""
        wanted = list(order_ids)
        there = self.call(ORDER, "search", [("id", "in", wanted)])
        if there:
            self.call(ORDER, "button_cancel", there)
            self.call(ORDER, "unlink", there)

    def clean_up(self) -> None:
        if self.simulator is not None:
            self.simulator.faults.clear()
        self.remove(self.made)
        self.made.clear()

    def next_second(self) -> None:
        """Wait until what is written now has another write_date than what was written before."""
        began = datetime.now(UTC).replace(microsecond=0)
        until(lambda: datetime.now(UTC).replace(microsecond=0) > began)

    def close(self) -> None:
        self.odoo.close()
        if self.simulator is not None:
            self.simulator.stop()


def until(true: Callable[[], object], patience: float = PATIENCE) -> None:
    """Poll until something is true. Fails the test after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def simulated(version: str) -> Target:
    """A stand-in of a version."""
    simulator = Simulator(version=int(version)).start()
    settings = OdooSettings(simulator.url, "odoo", "admin", "admin")
    return Target(settings, simulator)


def real_settings() -> OdooSettings | None:
    """The Odoo that the environment names, if any."""
    url, database, login, password = [os.environ.get(name, "") for name in REAL]
    if not (url and database and login and password):
        return None
    return OdooSettings(url, database, login, password)


@contextlib.contextmanager
def fault_of_code(code: int) -> Any:
    """Expect a fault of this code."""
    with pytest.raises(OdooFault) as caught:
        yield caught
    assert caught.value.code == code, caught.value


def unique() -> str:
    return uuid.uuid4().hex
