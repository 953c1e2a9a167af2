"""Transports: the same orders by XML-RPC, JSON-RPC and JSON-2: equal rows, and what each costs.

Without a real Odoo it starts a simulator of Odoo 19 and fills it with orders whose texts and
numbers are odd. A real Odoo is only read; its API key for JSON-2 comes from ODOO_API_KEY.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bc_consumer.odoo import Odoo, OdooSettings
from bc_consumer.refresh.mapping import MappedOrder, map_order
from bench.deployments import NAMES, Session
from bench.odoo_calls import connect
from bench.tables import Figure, Row, Table, times

ORDERS, QUICK_ORDERS = 10_000, 300
PAGE = 500  # orders a call
CREATED_AT_ONCE = 200
TRANSPORTS = ("xmlrpc", "jsonrpc", "json2")
ODD = (
    "plain", "é à ü ß ñ", "漢字 かな", "🍮🔧", "a\r\nb\rc\nd", "tab\tand\x0bvertical\x0c\x1f",
    "<b>&amp;</b> ]]>", '"quoted" \\ back\\slash', "  spaces  ", "\u2028\u2029\u00a0\u200b",
    "\ufffd", "0", "False", "x" * 500,
)  # fmt: skip
PRICES = (0.0, 0.1, 1 / 3, 12.35, 99.995, 123456.789, -5.05, 1e6)


@dataclass
class Reading:
    """What one transport gave, over all rounds."""

    orders: dict[int, MappedOrder] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    bytes: int = 0


def measure(session: Session) -> Table:
    """Read the newest orders by each transport in turn; rows that differ fail the check."""
    count = session.options.size(ORDERS, QUICK_ORDERS)
    rounds = session.options.rounds_of(3)
    settings, key = _real() if session.real else _simulated(session, count)
    gateways = _gateways(settings, key)
    ids = _ids(next(iter(gateways.values())), count)
    readings = {name: Reading() for name in gateways}
    for _round in range(rounds):
        for name, odoo in gateways.items():
            _read(odoo, ids, readings[name])
    for odoo in gateways.values():
        odoo.close()
    return _table(readings, len(ids))


def _real() -> tuple[OdooSettings, str]:
    url, database, login, password = (os.environ[name] for name in NAMES)
    settings = OdooSettings(url, database, login, password, timeout=300)
    return settings, os.environ.get("ODOO_API_KEY", "")


def _simulated(session: Session, orders: int) -> tuple[OdooSettings, str]:
    server = session.simulator(0, version=19)
    # By JSON-RPC, which carries what XML-RPC can't write.
    odoo = connect("jsonrpc", server.url, server.database, server.login, server.password)
    dice = random.Random(1)
    for first in range(0, orders, CREATED_AT_ONCE):
        made = min(CREATED_AT_ONCE, orders - first)
        rows = [_odd_order(dice, session.options.lines) for _ in range(made)]
        odoo.call("purchase.order", "create", vals_list=rows)
    settings = OdooSettings(server.url, server.database, server.login, server.password, timeout=300)
    return settings, server.secret("json2")


def _odd_order(dice: random.Random, lines: int) -> dict[str, object]:
    content = [
        {
            "product_id": dice.randint(1, 12),
            "name": dice.choice(ODD),
            "product_qty": dice.choice((1, 0.5, 3.333, 1000)),
            "price_unit": dice.choice(PRICES),
            "discount": dice.choice((0, 10, 33.33)),
        }
        for _ in range(lines)
    ]
    return {
        "partner_id": dice.randint(2, 13),
        "partner_ref": dice.choice(ODD),
        "origin": dice.choice(ODD),
        "note": f"<p>{dice.choice(ODD)}</p>",
        "order_line": [(0, 0, line) for line in content],
    }


def _gateways(settings: OdooSettings, key: str) -> dict[str, Odoo]:
    names = [name for name in TRANSPORTS if name != "json2" or key]
    gateways = {name: _gateway(settings, name, key) for name in names}
    for odoo in gateways.values():
        odoo.ping()  # logs in
    return gateways


def _gateway(settings: OdooSettings, transport: str, key: str) -> Odoo:
    values = {name: getattr(settings, name) for name in OdooSettings.__slots__}
    values |= {"transport": transport, "max_response_bytes": 2**30}
    if transport == "json2":
        values["password"] = key
    return Odoo(OdooSettings(**values))


def _ids(odoo: Odoo, count: int) -> list[int]:
    found: list[int] = odoo.call(
        "purchase.order", "search", [[]], {"limit": count, "order": "id desc"}
    )
    odoo.fetch(found[:1])  # asks for the fields, once
    return sorted(found)


def _read(odoo: Odoo, ids: Sequence[int], reading: Reading) -> None:
    """Read all orders page by page; mapping is outside of what is timed."""
    odoo.fetch(ids[:1])
    seconds, before = 0.0, odoo.bytes
    orders: dict[int, MappedOrder] = {}
    for first in range(0, len(ids), PAGE):
        began = time.perf_counter()
        fetched = odoo.fetch(ids[first : first + PAGE])
        seconds += time.perf_counter() - began
        orders.update((number, map_order(order)) for number, order in fetched.orders.items())
    reading.orders = orders
    reading.seconds.append(seconds)
    reading.bytes = odoo.bytes - before


def _table(readings: dict[str, Reading], count: int) -> Table:
    first = readings[next(iter(readings))]
    lines = sum(len(order.lines) for order in first.orders.values())
    table = Table(
        f"Transports: {count:,} orders with {lines:,} lines, {PAGE} a call, "
        f"{times(len(first.seconds), 'round')}"
    )
    name_of_first = next(iter(readings))
    for name, reading in readings.items():
        for what, measured, baseline in (
            ("", Figure.of(reading.seconds, "s"), Figure.of(first.seconds, "s")),
            (
                ", bytes",
                Figure.one(reading.bytes / 1e6, "MB"),
                Figure.one(first.bytes / 1e6, "MB"),
            ),
        ):
            table.rows.append(Row.against(name + what, measured, name_of_first, baseline))
        unequal = sum(reading.orders.get(number) != one for number, one in first.orders.items())
        if unequal or len(reading.orders) != count:
            table.failed = True
            table.notes.append(
                f"{name}: {len(reading.orders)} of {count} orders, {unequal} differ from "
                f"{name_of_first}'s"
            )
    if not table.failed:
        table.notes.append("All rows are equal.")
    return table
