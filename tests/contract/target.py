"""An Odoo that the contract is checked against, and orders of our own in it.

Nothing is assumed of the database but the modules purchase and web: vendor and product are made for
the checks, orders for each test, all of them with names that begin with ``PREFIX``, and all are
removed again. Other users' records are never counted, and never touched.
"""

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

import pytest

from bc_consumer.odoo import (
    MissingEndpoint,
    NoRights,
    Odoo,
    OdooAccessError,
    OdooFault,
    OdooRefused,
    OdooSettings,
    WrongCredentials,
)
from bc_consumer.odoo.datetimes import write_datetime
from odoo_simulator import Simulator

ORDER, LINE = "purchase.order", "purchase.order.line"
PATIENCE = 20.0  # seconds that anything may take on a slow server
NAMES = ("ODOO_E2E_URL", "ODOO_E2E_DB", "ODOO_E2E_USER", "ODOO_E2E_PASSWORD")
KEY_NAME = "ODOO_E2E_API_KEY"
REAL = all(os.environ.get(name) for name in NAMES)
GONE_ID = 2_000_000_000  # no database has so many orders
WORKERS = 4  # of Odoo, which we keep busy at the same time
PREFIX = "BC contract check"
ONE_CALL = "orders and lines in one call"
STALE = timedelta(hours=1)  # what a run that was killed has left; another run may be under way
KEY = "a-key-of-the-simulator"


@dataclass
class Target:
    """One Odoo by one transport. ``simulator`` is None for a real one.

    ``password`` and ``api_key`` are what the account has; "" where no key is known.
    """

    settings: OdooSettings
    simulator: Simulator | None
    password: str
    api_key: str
    odoo: Odoo = field(init=False)
    major: int = field(init=False)
    made: list[int] = field(default_factory=list)
    own: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.odoo = Odoo(self.settings)
        self.major = self.odoo.version().major

    @property
    def transport(self) -> str:
        return self.settings.transport

    @property
    def transports(self) -> list[str]:
        """Those that this Odoo and what we know of its account allow."""
        json2 = ["json2"] if self.major >= 19 and self.api_key else []
        return ["xmlrpc", "jsonrpc", *json2]

    def gateway(self, **changes: Any) -> Odoo:
        """Another gateway to the same Odoo, with other settings."""
        own = {name: getattr(self.settings, name) for name in OdooSettings.__slots__}
        if changes.get("transport") == "json2" and "password" not in changes:
            changes["password"] = self.api_key
        return Odoo(OdooSettings(**(own | changes)))

    def call(self, model: str, method: str, *args: Any, **kwargs: Any) -> Any:
        return self.odoo.call(model, method, args, kwargs)

    def needs(self, first: int, what: str) -> None:
        """Skip where this Odoo is too old for what is to be checked."""
        if self.major < first:
            pytest.skip(f"Odoo {self.major} has no {what}: they came with {first}")

    # What differs between versions.

    @property
    def has_discounts(self) -> bool:
        """Whether lines of purchases have them: from 17 on."""
        return self.major >= 17

    @property
    def uom(self) -> str:
        return "product_uom_id" if self.major >= 19 else "product_uom"

    @property
    def taxes(self) -> str:
        return "tax_ids" if self.major >= 19 else "taxes_id"

    @property
    def notes(self) -> str:
        return "note" if self.major >= 19 else "notes"

    # What belongs to the checks.

    @cached_property
    def vendor(self) -> int:
        return self._made_or_found("res.partner", {"is_company": True})

    @cached_property
    def product(self) -> tuple[int, int]:
        """A product, and its unit."""
        product_id = self._made_or_found("product.product", {})
        [record] = self.call("product.product", "read", [product_id], fields=["uom_id"])
        return product_id, record["uom_id"][0]

    def _made_or_found(self, model: str, values: dict[str, Any]) -> int:
        """A record of our own; any there is, where the account may not make one."""
        try:
            made: int = self.call(model, "create", {"name": f"{PREFIX} {unique()}", **values})
        except (NoRights, OdooAccessError):
            found: list[int] = self.call(model, "search", [], limit=1, order="id")
            if not found:
                pytest.skip(f"the account may not create {model}, and there is none")
            return found[0]
        self.own.append((model, made))
        return made

    def has_model(self, model: str) -> bool:
        """Whether the model is there and the account may read it."""
        try:
            self.call(model, "search_count", [("id", "=", 0)])
        except (OdooFault, OdooRefused):
            return False
        return True

    # Orders of our own.

    def line(self, **values: Any) -> tuple[int, int, dict[str, Any]]:
        """A command that adds a line; price 10, quantity 1 and no taxes unless told.

        Without the discount where this Odoo knows none.
        """
        if not self.has_discounts:
            values.pop("discount", None)
        if values.get("display_type"):
            return (0, 0, {"name": "A remark", "product_qty": 0, **values})
        product, unit = self.product
        defaults = {
            "product_id": product,
            "name": "A thing",
            "product_qty": 1.0,
            "price_unit": 10.0,
            "date_planned": "2030-01-01 12:00:00",
            self.uom: unit,
            self.taxes: [(6, 0, [])],
        }
        return (0, 0, defaults | values)

    def create(self, *lines: tuple[int, int, dict[str, Any]], **values: Any) -> int:
        """Create an order; removed after the test."""
        row = {"partner_id": self.vendor, "order_line": list(lines), **values}
        order_id: int = self.call(ORDER, "create", row)
        self.made.append(order_id)
        return order_id

    def create_together(self, count: int) -> list[int]:
        """Create empty orders in one call; their ids, ascending."""
        made: list[int] = self.call(ORDER, "create", [{"partner_id": self.vendor}] * count)
        self.made.extend(made)
        return sorted(made)

    def write(self, order_id: int, **values: Any) -> None:
        self.call(ORDER, "write", [order_id], values)

    def read(self, order_id: int, *fields: str) -> dict[str, Any]:
        [record] = self.call(ORDER, "read", [order_id], fields=list(fields))
        return dict(record)

    def line_ids(self, order_id: int) -> list[int]:
        return sorted(self.read(order_id, "order_line")["order_line"])

    def remove(self, order_ids: Iterable[int]) -> None:
        """Cancel and delete orders; those that are gone already are left alone."""
        there = self.call(ORDER, "search", [("id", "in", list(order_ids))])
        if there:
            self.call(ORDER, "button_cancel", there)
            self.call(ORDER, "unlink", there)

    def settle(self) -> None:
        """Have each of Odoo's workers load a changed registry now, not while one of them waits.

        A rule that is made, changed or deleted makes every worker do so at its next request.
        """
        with ThreadPoolExecutor(WORKERS) as pool:
            for _ping in pool.map(lambda _: self.odoo.ping(), range(2 * WORKERS)):
                pass

    # Leaving nothing behind.

    def clean_up(self) -> None:
        """Remove the orders of a test, whatever became of it."""
        if self.simulator is not None:
            self.simulator.faults.clear()
        made, self.made = self.made, []
        self.remove(made)

    def remove_leftovers(self) -> None:
        """Remove what a run that was killed has left in a real Odoo."""
        since = write_datetime(self.odoo.server_time() - STALE)
        stale = [("name", "=like", f"{PREFIX}%"), ("create_date", "<", since)]
        vendors = self.call("res.partner", "search", stale)
        if vendors:
            self.remove(self.call(ORDER, "search", [("partner_id", "in", vendors)]))
        for model, ids in (
            ("res.partner", vendors),
            ("product.product", self.call("product.product", "search", stale)),
        ):
            for record_id in ids:
                self._discard(model, record_id)

    def close(self) -> None:
        for model, record_id in self.own:
            self._discard(model, record_id)
        self.odoo.close()
        if self.simulator is not None:
            self.simulator.stop()

    def _discard(self, model: str, record_id: int) -> None:
        """Delete one of our records; archive it where something still refers to it."""
        try:
            self.call(model, "unlink", [record_id])
        except (OdooFault, OdooRefused):
            # Another account may have made it: what this one may not remove stays.
            with contextlib.suppress(OdooFault, OdooRefused):
                self.call(model, "write", [record_id], {"active": False})

    def next_second(self) -> None:
        """Wait until what is written now has another write_date than what was written before.

        By Odoo's clock; its database may be on another machine, whose seconds begin elsewhere.
        """
        seconds = 1 if self.simulator is not None else 2
        later = self.odoo.server_time() + timedelta(seconds=seconds)
        until(lambda: self.odoo.server_time() >= later)


def until(true: Callable[[], object], patience: float = PATIENCE) -> bool:
    """Poll until something is true. Fails the test after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
    return True


def simulated(version: int, transport: str) -> Target:
    """A simulator of a version."""
    simulator = Simulator(version, api_keys=(KEY,)).start()
    password = KEY if transport == "json2" else simulator.password
    settings = OdooSettings(simulator.url, "odoo", "admin", password, transport=transport)
    return Target(settings, simulator, simulator.password, KEY)


def open_real(transport: str) -> Target:
    """The Odoo that the environment names. Skips where it or its account lacks the transport."""
    url, database, login, password = [os.environ[name] for name in NAMES]
    api_key = os.environ.get(KEY_NAME, "")
    secret = api_key or password if transport == "json2" else password
    settings = OdooSettings(url, database, login, secret, transport=transport)
    try:
        target = Target(settings, None, password, api_key)
        target.odoo.ping()
    except MissingEndpoint:
        pytest.skip(f"this Odoo does not offer {transport}")
    except WrongCredentials as error:
        if transport != "json2" or api_key:
            raise
        pytest.skip(f"set {KEY_NAME}: {error}")
    if not target.has_model(ORDER):
        pytest.skip(f"this Odoo has no {ORDER}, or the account may not read it")
    target.remove_leftovers()
    return target


def fault_code_of(call: Callable[[], object]) -> int | None:
    """The code of the fault that a call ends with; None where it ends with an answer."""
    try:
        call()
    except OdooFault as fault:
        return fault.code
    return None


def unique() -> str:
    return uuid.uuid4().hex
