"""The same orders read by XML-RPC, JSON-RPC and JSON-2: equal rows, and what each costs.

    python -m bench.transports --orders 10000
    python -m bench.transports --url https://odoo.example.com --database … --login … --orders 10000

Without an address it starts a simulator of Odoo 19 as a process of its own and fills it with orders
whose texts and numbers are odd. A real Odoo is only read; its password, and an API key for JSON-2,
come from ODOO_PASSWORD and ODOO_API_KEY.
"""

import argparse
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bc_consumer.odoo import Odoo, OdooSettings
from bc_consumer.refresh.mapping import MappedOrder, map_order
from odoo_simulator import RemoteSimulator

PAGE = 500  # orders a call
CREATED_AT_ONCE = 200
LINES = 5
TRANSPORTS = ("xmlrpc", "jsonrpc", "json2")
KEY = "a-key-of-the-simulator"
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison; 1 where two transports read different rows."""
    options = _options(arguments)
    with contextlib.ExitStack() as stack:
        settings = (
            _real(options) if options.url else stack.enter_context(_simulator(options.orders))
        )
        gateways = _gateways(settings, os.environ.get("ODOO_API_KEY", "") if options.url else KEY)
        ids = _ids(next(iter(gateways.values())), options.orders)
        readings = {name: Reading() for name in gateways}
        for _round in range(options.rounds):
            for name, odoo in gateways.items():
                _read(odoo, ids, readings[name])
    return _report(readings, len(ids))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench.transports", description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="the fastest one counts")
    parser.add_argument("--url", default="")
    parser.add_argument("--database", default="odoo")
    parser.add_argument("--login", default="admin")
    return parser.parse_args(arguments)


def _real(options: argparse.Namespace) -> OdooSettings:
    return OdooSettings(
        options.url, options.database, options.login, os.environ["ODOO_PASSWORD"], timeout=300
    )


@contextlib.contextmanager
def _simulator(orders: int) -> Iterator[OdooSettings]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "odoo_simulator", "--version=19", f"--port={port}"]
    process = subprocess.Popen([*words, f"--api-key={KEY}"], stdout=subprocess.DEVNULL)
    try:
        url = RemoteSimulator(f"http://127.0.0.1:{port}").url
        settings = OdooSettings(url, "odoo", "admin", "admin", timeout=300)
        _fill(settings, orders)
        yield settings
    finally:
        process.terminate()
        process.wait(10)


def _fill(settings: OdooSettings, count: int) -> None:
    """Create orders by JSON-RPC, which carries what XML-RPC can't write."""
    odoo, dice = _gateway(settings, "jsonrpc"), random.Random(1)
    for first in range(0, count, CREATED_AT_ONCE):
        rows = [_odd_order(dice) for _ in range(min(CREATED_AT_ONCE, count - first))]
        odoo.call("purchase.order", "create", [rows])
    odoo.close()


def _odd_order(dice: random.Random) -> dict[str, object]:
    lines = [
        {
            "product_id": dice.randint(1, 12),
            "name": dice.choice(ODD),
            "product_qty": dice.choice((1, 0.5, 3.333, 1000)),
            "price_unit": dice.choice(PRICES),
            "discount": dice.choice((0, 10, 33.33)),
        }
        for _ in range(LINES)
    ]
    return {
        "partner_id": dice.randint(2, 13),
        "partner_ref": dice.choice(ODD),
        "origin": dice.choice(ODD),
        "note": f"<p>{dice.choice(ODD)}</p>",
        "order_line": [(0, 0, line) for line in lines],
    }


def _gateways(settings: OdooSettings, key: str) -> dict[str, Odoo]:
    names = [name for name in TRANSPORTS if name != "json2" or key]
    gateways = {name: _gateway(settings, name, key) for name in names}
    for odoo in gateways.values():
        odoo.ping()  # logs in
    return gateways


def _gateway(settings: OdooSettings, transport: str, key: str = "") -> Odoo:
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


def _report(readings: dict[str, Reading], count: int) -> int:
    first = readings[next(iter(readings))]
    unequal = {
        name: sum(reading.orders.get(number) != order for number, order in first.orders.items())
        for name, reading in readings.items()
    }
    lines = sum(len(order.lines) for order in first.orders.values())
    print(f"{count} orders with {lines} lines, {PAGE} a call, fastest of {len(first.seconds)}:")
    for name, reading in readings.items():
        best = min(reading.seconds)
        figures = {
            "transport": name,
            "seconds": round(best, 2),
            "time_ratio": round(best / min(first.seconds), 3),
            "megabytes": round(reading.bytes / 1e6, 2),
            "bytes_ratio": round(reading.bytes / first.bytes, 3),
            "orders": len(reading.orders),
            "unequal": unequal[name],
        }
        print(json.dumps(figures))
    equal = all(len(r.orders) == count for r in readings.values()) and not any(unequal.values())
    print("All rows are equal." if equal else "Rows differ.")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
