"""Pages: how long each page of the console takes with a large copy, and what open tabs cost.

The copy is filled by SQL (``large_copy.py``). Requests go one after the other to the product's web
server, over HTTP, as a superuser; the first answer of each page counts as one of the rounds.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.deployments import BenchDeployment, Session
from bench.large_copy import NIGHTS, fill, fill_troubles
from bench.tables import Figure, Row, Table, at_most

ORDERS, QUICK_ORDERS = 200_000, 2_000
ENTRIES = 10
"""Of the journal, for each order."""
FAILED_SHARE, CAUSES, HELD, RUNS = 20, 30, 250, 3_000
"""Every 20th order has failed: 10,000 of 200,000."""
LIMIT_MS = 300.0
"""For each page, at the median."""
ROUNDS = 7
TABS = 10
TAB_SECONDS = 1.0
"""Between two refreshes, as ``today.js`` has it."""
TABS_FOR = 60.0
SHARE_OF_A_CORE = 1.0
"""Percent of a core that the database may spend on ten open tabs."""
FIRST_BYTES = 1_000
LOG_IN = """
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
user, _made = User.objects.get_or_create(
    username="bench", defaults={"is_staff": True, "is_superuser": True})
session = SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.save()
print("cookie", f"{settings.SESSION_COOKIE_NAME}={session.session_key}")
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One address, and what is asked there."""

    what: str
    path: str


def pages(orders: int, large: int) -> list[Page]:
    """Return the pages to measure, for a copy that ``fill`` and ``fill_troubles`` have filled.

    ``large``: the Odoo id of the very large order.
    """
    return [Page(what, path) for what, path in _pages(orders, large)]


def _pages(orders: int, large: int) -> Iterator[tuple[str, str]]:
    yield "Today", "/"
    yield "Today, refreshed", "/today/"
    yield "Orders", "/orders/"
    for what, asked in _filters(orders):
        yield f"Orders: {what}", f"/orders/?{asked}"
    for what, words in (("name", f"P{orders // 2:07}"), ("id", orders // 3), ("supplier", "Supp")):
        yield f"the header's search: {what}", f"/search/?q={words}"
    yield "an order", "/bc/77/"
    yield "an order that has failed", f"/bc/{FAILED_SHARE}/"
    yield "an order with 500 lines and 5,000 entries", f"/bc/{large}/"
    yield "Failures", "/failures/"
    yield "failed orders, all causes", "/failures/orders/"
    cause = "MappingError%3A+line+%23%3A+field+number+C+has+no+value"
    yield "failed orders of one cause", f"/failures/orders/?cause={cause}"
    yield "Runs", "/runs/"
    yield "Runs: of one cause", "/runs/?cause=nightly"
    yield "a run", f"/runs/{NIGHTS}/"
    for name in ("connections", "settings", "actions"):
        yield name.capitalize(), f"/{name}/"
    yield "the administration", "/admin/"
    for model in (
        "bc", "bcline", "pendingbc", "journalentry", "synclog", "syncstate", "alert", "deadletter",
        "operatoraction",
    ):  # fmt: skip
        yield f"the administration's list {model}", f"/admin/bc_consumer/{model}/"
    for model, asked in (
        ("bc", "q=P0000042"), ("bc", "q=Supplier+7"), ("bc", "q=zzz"), ("bc", "presence=archived"),
        ("bc", "company=2"), ("bcline", "q=Product+77"), ("bcline", "q=zzz"),
        ("pendingbc", "standing=failed"), ("pendingbc", "q=field"),
        ("journalentry", "outcome__exact=failed"), ("journalentry", "outcome__exact=changed"),
        ("journalentry", "q=77"), ("synclog", "cause__exact=nightly"),
    ):  # fmt: skip
        yield f"the same, {asked}: {model}", f"/admin/bc_consumer/{model}/?{asked}"
    for name in ("orders", "failures", "runs"):
        yield f"{name}.csv, its first bytes", f"/{name}.csv"


def _filters(orders: int) -> Iterator[tuple[str, str]]:
    today = datetime.now(UTC).date()
    yield "name, one hit", f"words=P{orders // 2:07}"
    yield "name, many hits", "words=004"
    yield "nearly all hit", "words=P"
    yield "no hit", "words=zzzz"
    yield "id", f"words={orders // 3}"
    yield "supplier's name", "words=Supplier+77"
    yield "reference", f"words=REF-{orders // 2}"
    yield "product", "words=Product+77"
    yield "supplier", "supplier=supplier+7"
    yield "supplier, no hit", "supplier=nobody"
    yield "buyer", "buyer=7"
    yield "company", "company=2"
    yield "currency", "currency=1"
    yield "state", "state=draft"
    yield "state, no hit", "state=cancel"
    for presence in ("current", "archived", "forbidden"):
        yield presence, f"presence={presence}"
    yield "ordered lately", f"ordered_from={today - timedelta(days=10)}"
    yield "ordered long ago", f"ordered_to={today - timedelta(days=990)}"
    yield "ordered, no hit", f"ordered_from={today + timedelta(days=1000)}"
    yield "total, few hits", "total_from=11900"
    yield "total, no hit", "total_from=20000"
    yield "several", "buyer=7&company=2&state=done&total_from=11000"
    yield "a page further down", f"below={orders // 100}"


def measure(session: Session) -> Table:
    """Fill a copy, ask for each page several times, and leave ten tabs open for a while."""
    orders = session.options.size(ORDERS, QUICK_ORDERS)
    rounds = session.options.rounds_of(ROUNDS)
    server = session.simulator(10)
    table = Table(
        f"Pages: {orders:,} orders × {session.options.lines} lines, {orders * ENTRIES:,} journal "
        f"entries, {orders // FAILED_SHARE:,} failed orders, {RUNS:,} runs; {rounds} answers each"
    )
    with session.deployment(server, with_broker=False) as deployment:
        large = filled(deployment, orders, session.options.lines)
        deployment.start(workers=0, scheduler=False)
        cookie = log_in(deployment)
        for page in pages(orders, large):
            taken = [_milliseconds(deployment, cookie, page) for _round in range(rounds)]
            target = None if session.options.quick else at_most(LIMIT_MS, "ms")
            table.rows.append(Row(page.what, Figure.of(taken, "ms"), target=target))
        seconds = session.options.seconds_of(TABS_FOR, 5.0)
        table.rows += _tabs(deployment, cookie, seconds, table.notes)
    return table


def filled(deployment: BenchDeployment, orders: int, lines: int) -> int:
    """Fill the deployment's database; return the Odoo id of the very large order."""
    connection = deployment.connect()
    try:
        fill(connection, orders, lines, orders * ENTRIES)
        return fill_troubles(
            connection,
            orders,
            failed=orders // FAILED_SHARE,
            causes=CAUSES,
            held=min(HELD, orders // FAILED_SHARE),
            polls=RUNS - NIGHTS,
        )
    finally:
        connection.close()


def log_in(deployment: BenchDeployment) -> dict[str, str]:
    """Return the headers of somebody who may see everything."""
    said = deployment.manage("shell", "-c", LOG_IN).stdout
    cookie = next(line for line in said.splitlines() if line.startswith("cookie "))
    return {"Cookie": cookie.removeprefix("cookie ")}


def _milliseconds(deployment: BenchDeployment, headers: Mapping[str, str], page: Page) -> float:
    """Return the time until the whole page is here; of a file, its first bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", deployment.port, timeout=120)
    began = time.perf_counter()
    try:
        connection.request("GET", page.path, headers=dict(headers))
        answer = connection.getresponse()
        answer.read(FIRST_BYTES if ".csv" in page.path else None)
    finally:
        connection.close()
    if answer.status not in (200, 302):
        raise SystemExit(f"{page.path}: HTTP {answer.status}")
    return (time.perf_counter() - began) * 1000


# --- open tabs ------------------------------------------------------------------------------------


def _tabs(
    deployment: BenchDeployment, headers: Mapping[str, str], seconds: float, notes: list[str]
) -> Sequence[Row]:
    with _backends(deployment) as processor:
        if not processor.is_here:
            notes.append("PostgreSQL runs on another machine: its processor time is not measured.")
            return []
        statuses: list[int] = []

        def open_tabs() -> None:
            _open_tabs(deployment, headers, seconds, statuses)

        alone = processor.percent_during(lambda: time.sleep(seconds))
        quiet = processor.percent_during(open_tabs)
        stop = threading.Event()
        changing = threading.Thread(target=_change_each_second, args=(deployment, stop))
        changing.start()
        busy = processor.percent_during(open_tabs)
        stop.set()
        changing.join()
    if refused := [status for status in statuses if status != 200]:
        raise SystemExit(f"a tab was answered HTTP {refused[0]}")
    notes.append(f"The tabs were refreshed {len(statuses):,} times, in twice {seconds:.0f} s.")
    target = at_most(SHARE_OF_A_CORE, "%")
    return [
        Row(
            f"PostgreSQL's time for {TABS} tabs of Today, {what}",
            Figure.one(max(share - alone, 0.0), "% of a core"),
            "without tabs",
            Figure.one(alone, "%"),
            target=target,
        )
        for what, share in (("nothing changes", quiet), ("a change each second", busy))
    ]


def _open_tabs(
    deployment: BenchDeployment, headers: Mapping[str, str], seconds: float, statuses: list[int]
) -> None:
    until = time.monotonic() + seconds
    tabs = [
        threading.Thread(target=_one_tab, args=(deployment, headers, until, statuses))
        for _tab in range(TABS)
    ]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()


def _one_tab(
    deployment: BenchDeployment, headers: Mapping[str, str], until: float, statuses: list[int]
) -> None:
    while time.monotonic() < until:
        statuses.append(deployment.request("GET", "/today/", b"", dict(headers)).status)
        time.sleep(TAB_SECONDS)


def _change_each_second(deployment: BenchDeployment, stop: threading.Event) -> None:
    connection = deployment.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET application_name = 'bench'")
            cursor.execute(
                "CREATE TEMPORARY TABLE again AS SELECT * FROM bc_consumer_journalentry LIMIT 1"
            )
            while not stop.wait(TAB_SECONDS):
                cursor.execute(
                    "UPDATE again SET at = now(), odoo_id = odoo_id + 1, id = nextval("
                    "pg_get_serial_sequence('bc_consumer_journalentry', 'id')), version = (SELECT"
                    " max(version) + 1 FROM bc_consumer_journalentry)"
                )
                cursor.execute("INSERT INTO bc_consumer_journalentry SELECT * FROM again")
    finally:
        connection.close()


class _Processor:
    """The processor time of those backends of PostgreSQL that serve the deployment's processes."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            self._own = cursor.fetchone()[0]
        self.is_here = _ticks(self._own) is not None

    def percent_during(self, work: Any) -> float:
        """Return the share of a core, in percent, that they spend while ``work`` goes on."""
        before, began = self._spent(), time.monotonic()
        work()
        after, took = self._spent(), time.monotonic() - began
        spent = sum(ticks - before.get(pid, 0) for pid, ticks in after.items())
        return 100.0 * spent * _SECONDS_A_TICK / took

    def _spent(self) -> dict[int, int]:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
                " AND application_name <> 'bench'",
                [self._own],
            )
            pids = [pid for (pid,) in cursor.fetchall()]
        return {pid: ticks for pid in pids if (ticks := _ticks(pid)) is not None}


_SECONDS_A_TICK = 0.01
"""Of ``/proc``: Linux counts there in hundredths (``getconf CLK_TCK``)."""


def _ticks(pid: int) -> int | None:
    """Return the processor time of a backend on this machine; None if the process is none."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name, _bracket, rest = told.partition("(")[2].rpartition(")")
    if not name.startswith("postgres"):
        return None
    user, system = rest.split()[11:13]
    return int(user) + int(system)


@contextmanager
def _backends(deployment: BenchDeployment) -> Iterator[_Processor]:
    connection = deployment.connect()
    # Parallel workers end with their statement, and their time with them.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('ALTER DATABASE %I SET max_parallel_workers_per_gather = 0',"
            " current_database())"
        )
        (statement,) = cursor.fetchall()[0]
        cursor.execute(statement)
    try:
        yield _Processor(connection)
    finally:
        connection.close()
