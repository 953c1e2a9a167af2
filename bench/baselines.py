"""The baselines: the least that each task can cost, or the obvious way to do it.

``plain_download``: the same orders and fields by the same protocol, 500 a page, and nothing kept.
``straightforward``: order by order, as one writes it first (``bench/straightforward.py``).
``copy_into_bare_tables``: the same rows by COPY, into tables without indexes or constraints.
``empty_view``: a Django view that does nothing, on the same server (``bench/empty_view.py``).
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2.extensions

from bench.deployments import ROOT, BenchDeployment, OdooServer, Session
from bench.odoo_calls import ORDER, OdooCalls, specification

PAGE = 500
TABLES = ("bc_consumer_bc", "bc_consumer_bcline")


@dataclass(frozen=True, slots=True)
class Download:
    """One plain download."""

    seconds: float
    orders: int
    lines: int
    received_bytes: int


def plain_download(server: OdooServer, transport: str, ids: Sequence[int] = ()) -> Download:
    """Read orders with their lines page by page, and keep nothing.

    The ids come from one search, as a page's domain costs Odoo less than an offset does. Logging in
    and asking which fields there are is not timed.
    """
    odoo = server.calls(transport)
    wanted = specification(odoo)
    before, orders, lines = odoo.received_bytes, 0, 0
    began = time.perf_counter()
    found = ids or odoo.call(ORDER, "search", domain=server.domain, order="id")
    for first in range(0, len(found), PAGE):
        page = read_orders(odoo, wanted, found[first : first + PAGE])
        orders += len(page)
        lines += sum(len(order["order_line"]) for order in page)
    seconds = time.perf_counter() - began
    assert orders == len(found), f"{orders} orders came of {len(found)}"
    return Download(seconds, orders, lines, odoo.received_bytes - before)


def read_orders(odoo: OdooCalls, wanted: object, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Read these orders by one call."""
    answer = odoo.call(
        ORDER,
        "web_search_read",
        domain=[["id", "in", list(ids)]],
        specification=wanted,
        # One more than can come: on a full page Odoo also counts all matches.
        limit=len(ids) + 1,
    )
    records: list[dict[str, Any]] = answer["records"]
    return records


def answer_seconds(server: OdooServer, transport: str, rounds: int = 20) -> list[float]:
    """Return how long Odoo takes to answer what one order is, several times."""
    odoo = server.calls(transport)
    wanted = specification(odoo)
    taken = []
    for number in range(rounds):
        began = time.perf_counter()
        read_orders(odoo, wanted, [server.ids[number % len(server.ids)]])
        taken.append(time.perf_counter() - began)
    return taken


def straightforward(session: Session, server: OdooServer, transport: str, orders: int) -> float:
    """Copy some orders the obvious way, in a process of its own; return the seconds per order."""
    database_url = session.database()
    told = {
        "url": server.url,
        "database": server.database,
        "login": server.login,
        "password": server.secret(transport),
        "transport": transport,
        "ids": list(server.ids[:orders]),
    }
    deployment = session.deployment(server, transport, with_broker=False)
    done = subprocess.run(
        [sys.executable, "-m", "bench.straightforward"],
        cwd=ROOT,
        env=deployment.environment | {"DATABASE_URL": database_url},
        input=json.dumps(told),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout) / orders


def copy_into_bare_tables(deployment: BenchDeployment, rounds: int) -> list[float]:
    """COPY the rows of a loaded copy into tables without indexes; return each round's seconds."""
    connection = deployment.connect()
    try:
        contents = {table: _rows_of(connection, table) for table in TABLES}
        return [_copy_in(connection, contents) for _round in range(rounds)]
    finally:
        connection.close()


def _rows_of(connection: psycopg2.extensions.connection, table: str) -> io.BytesIO:
    content = io.BytesIO()
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} TO STDOUT", content)
    return content


def _copy_in(connection: psycopg2.extensions.connection, contents: dict[str, io.BytesIO]) -> float:
    seconds = 0.0
    with connection.cursor() as cursor:
        for table, content in contents.items():
            content.seek(0)
            cursor.execute(f"CREATE TABLE bench_bare (LIKE {table})")
            began = time.perf_counter()
            cursor.copy_expert("COPY bench_bare FROM STDIN", content)
            seconds += time.perf_counter() - began
            cursor.execute("DROP TABLE bench_bare")
    return seconds


@contextlib.contextmanager
def empty_view(
    session: Session, server: OdooServer, *, bare: bool = False
) -> Iterator[BenchDeployment]:
    """Serve an empty view at the webhook's address by ``manage.py web``, threads as usual.

    ``bare``: without the project's middleware.
    """
    deployment = session.deployment(server)
    deployment.environment["BENCH_BARE"] = "1" if bare else ""
    deployment.environment["DJANGO_SETTINGS_MODULE"] = "bench.empty_settings"
    deployment.start(workers=0, scheduler=False)
    try:
        yield deployment
    finally:
        deployment.close()
