"""Burst: ten events of each of many orders; how many reads they take, and how soon it is over.

The simulator's bursts come in two ways. «At once»: the orders are changed without any rule, and a
sender posts all events as fast as they are taken. «By Odoo»: users write the orders in groups, and
Odoo sends the events, as its rules tell it; this is a real Odoo's only way.
"""

from __future__ import annotations

import multiprocessing
import random
import re
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from bench.baselines import plain_download
from bench.changing import Users
from bench.deployments import BenchDeployment, OdooServer, Session
from bench.tables import Figure, Row, Table, Target, at_most
from tests.flood import Plan, flood

ORDERS, QUICK_ORDERS = 1_000, 100
EVENTS = 10
"""Of each order."""
CONNECTIONS = 32
USERS = 4
GROUP = 50
"""Orders that one transaction writes."""
DRAIN_SECONDS = 300.0
LOGGED_READ = re.compile(r"\.web_search_read: (\d+) ids")


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by both clocks: of durations, and of the simulator's log of calls."""

    of_process: float
    of_day: float

    @classmethod
    def now(cls) -> Moment:
        """Return this moment."""
        return cls(time.perf_counter(), time.time())


@dataclass(frozen=True, slots=True)
class Burst:
    """What one burst took. ``after``: what began after the last event."""

    calls: int
    orders: int
    calls_after: int
    orders_after: int
    lasted: float
    drained: float


def measure(session: Session) -> Table:
    """Measure bursts of each kind in each round."""
    orders = session.options.size(ORDERS, QUICK_ORDERS)
    server = session.odoo(orders, "committed")
    transport = session.transports[0]
    rounds = session.options.rounds_of(3)
    table = Table(
        f"Burst: {orders * EVENTS:,} events on {orders:,} orders, {server.name}, webhooks "
        f"{server.timing}, {session.options.workers} workers, {transport}"
    )
    # A real Odoo's calls are known from the log alone.
    level = "INFO" if server.remote else "DEBUG"
    at_once: list[Burst] = []
    users = Users(server, transport, USERS)
    with session.deployment(server, transport, settings={"LOG_LEVEL": level}) as deployment:
        deployment.reconcile()
        deployment.start(workers=session.options.workers)
        bench = _Bench(deployment, server, users)
        if server.remote:
            at_once = [bench.at_once(f"at once {number}") for number in range(rounds)]
        with deployment.rules(server):
            by_odoo = [bench.by_odoo(f"by Odoo {number}") for number in range(rounds)]
    users.close()
    plain = [plain_download(server, transport, server.ids).seconds for _round in range(rounds)]
    download = Figure.of(plain, "s")
    judged = server.timing == "committed"
    if at_once:
        table.rows += _rows("at once", at_once, orders, download, judged=judged)
    table.rows += _rows("by Odoo", by_odoo, orders, download, judged=judged)
    if not judged:
        table.notes.append("Early events are looked at again and again: there is no target.")
    return table


def _rows(
    name: str, bursts: Sequence[Burst], orders: int, download: Figure, *, judged: bool
) -> list[Row]:
    def limit(target: Target) -> Target | None:
        return target if judged else None

    after = Figure.of([burst.orders_after for burst in bursts])
    drained = Figure.of([burst.drained for burst in bursts], "s")
    changed = Figure.one(orders)
    return [
        Row(
            f"{name}: orders fetched after the last event",
            after,
            "orders changed",
            changed,
            after.value / orders,
            limit(at_most(1.1 * orders, "")),
            after.value,
        ),
        Row(
            f"{name}: calls after it",
            Figure.of([burst.calls_after for burst in bursts]),
            target=limit(at_most(60, "")),
        ),
        Row(f"{name}: calls in all", Figure.of([burst.calls for burst in bursts])),
        Row.against(
            f"{name}: orders fetched in all",
            Figure.of([burst.orders for burst in bursts]),
            "orders changed",
            changed,
        ),
        Row(
            f"{name}: drained after the last event",
            drained,
            "plain download",
            download,
            drained.value / download.value,
            limit(at_most(3, "s")),
            drained.value,
        ),
        Row(f"{name}: the events took", Figure.of([burst.lasted for burst in bursts], "s")),
    ]


class _Bench:
    """Plays bursts on one deployment."""

    def __init__(self, deployment: BenchDeployment, server: OdooServer, users: Users) -> None:
        self._deployment = deployment
        self._server = server
        self._users = users
        self._groups = [
            server.ids[first : first + GROUP] for first in range(0, len(server.ids), GROUP)
        ]

    def at_once(self, text: str) -> Burst:
        """Change all orders unnoticed, then post their events from many connections."""
        self._users.write_together(self._groups, text)
        ids = [odoo_id for odoo_id in self._server.ids for _event in range(EVENTS)]
        random.shuffle(ids)
        plan = Plan(self._deployment.webhook_url, ids, CONNECTIONS, DRAIN_SECONDS)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(Moment.now).result()  # the process is there
            began, logged = Moment.now(), self._logged()
            refused, last_event = pool.submit(_post, plan).result()
        assert not refused, f"{refused} webhooks were not answered with 202"
        return self._ended(text, began, logged, last_event)

    def by_odoo(self, text: str) -> Burst:
        """Have users write all orders, once for each event."""
        began, logged = Moment.now(), self._logged()
        for event in range(EVENTS):
            self._users.write_together(self._groups, f"{text}.{event}")
        return self._ended(f"{text}.{EVENTS - 1}", began, logged, Moment.now())

    def _ended(self, text: str, began: Moment, logged: int, last_event: Moment) -> Burst:
        logged_then = self._logged()
        drained = _wait_for(self._deployment, self._server.ids, text)
        whole = self._reads(began, logged)
        after = self._reads(last_event, logged_then)
        return Burst(
            len(whole),
            sum(whole),
            len(after),
            sum(after),
            last_event.of_process - began.of_process,
            drained - last_event.of_process,
        )

    def _logged(self) -> int:
        """Return how many reads the log shows; the simulator's own log is used where there is."""
        return 0 if self._server.remote else len(LOGGED_READ.findall(self._deployment.logs()))

    def _reads(self, since: Moment, logged: int) -> list[int]:
        """Return the number of orders that each of the copy's reads since then asked for."""
        if self._server.remote is None:
            return [int(count) for count in LOGGED_READ.findall(self._deployment.logs())[logged:]]
        return [
            call.ids
            for call in self._server.remote.calls
            if call.method == "web_search_read" and call.at >= since.of_day
        ]


def _post(plan: Plan) -> tuple[int, Moment]:
    """Send in this process; return how many were refused, and when the last was answered."""
    sent = flood(plan)
    ended = Moment.now()
    return sum(one.status != 202 for one in sent), ended


def _wait_for(deployment: BenchDeployment, ids: Sequence[int], text: str) -> float:
    """Wait until the copy has this text in all orders and owes none; return when that was."""
    query = """
        SELECT NOT EXISTS (
            SELECT FROM bc_consumer_bc WHERE odoo_id = ANY(%s) AND partner_ref <> %s
        ) AND NOT EXISTS (
            SELECT FROM bc_consumer_pendingbc WHERE generation > fetched_generation
        )"""
    connection = deployment.connect()
    try:
        with connection.cursor() as cursor:
            deadline = time.perf_counter() + DRAIN_SECONDS
            while time.perf_counter() < deadline:
                cursor.execute(query, (list(ids), text))
                [(is_there,)] = cursor.fetchall()
                if is_there:
                    return time.perf_counter()
                time.sleep(0.02)
    finally:
        connection.close()
    raise SystemExit(f"after {DRAIN_SECONDS:g} s the copy still lacks some orders' last change")
