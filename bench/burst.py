"""Burst: ten changes of each of many orders at once; how many reads it takes, and how soon it ends.

Odoo itself sends the events, as its rules tell it: users write the orders in groups.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.baselines import plain_download
from bench.changing import Users
from bench.deployments import BenchDeployment, OdooServer, Session
from bench.tables import Figure, Row, Table, at_most

ORDERS, QUICK_ORDERS = 1_000, 100
CHANGES = 10
USERS = 4
GROUP = 50
"""Orders that one transaction writes."""
DRAIN_SECONDS = 300.0
LOGGED_READ = re.compile(r"\.web_search_read: (\d+) ids")


@dataclass(frozen=True, slots=True)
class Reads:
    """Calls to Odoo, and the orders that those which read orders asked for."""

    calls: int
    orders: int

    def since(self, earlier: Reads) -> Reads:
        """Return what was added."""
        return Reads(self.calls - earlier.calls, self.orders - earlier.orders)


def measure(session: Session) -> Table:
    """Measure one burst in each round."""
    orders = session.options.size(ORDERS, QUICK_ORDERS)
    server = session.odoo(orders, "committed")
    transport = session.transports[0]
    table = Table(
        f"Burst: {orders * CHANGES:,} events on {orders:,} orders, {server.name}, webhooks "
        f"{server.timing}, {session.options.workers} workers, {transport}"
    )
    # A real Odoo's calls are known from the log alone.
    level = "INFO" if server.remote else "DEBUG"
    with session.deployment(server, transport, settings={"LOG_LEVEL": level}) as deployment:
        deployment.reconcile()
        deployment.start(workers=session.options.workers)
        with deployment.rules(server):
            bursts = [
                _burst(deployment, server, transport, number)
                for number in range(session.options.rounds_of(3))
            ]
    plain = [plain_download(server, transport, server.ids).seconds for _burst in bursts]
    figures = [Figure.of(values) for values in zip(*(burst[:4] for burst in bursts), strict=True)]
    calls_after, orders_after, calls, orders_read = figures
    drained = Figure.of([burst[4] for burst in bursts], "s")
    lasted = Figure.of([burst[5] for burst in bursts], "s")
    download = Figure.of(plain, "s")
    # An early event is looked at until Odoo's longest transaction is over: there is no target.
    judged = server.timing == "committed"
    table.rows = [
        Row("orders fetched after the last event", orders_after, "orders changed",
            Figure.one(orders), orders_after.value / orders,
            at_most(1.1 * orders, "") if judged else None, orders_after.value),
        Row("calls after the last event", calls_after,
            target=at_most(60, "") if judged else None),
        Row("calls in all", calls),
        Row.against("orders fetched in all", orders_read, "orders changed", Figure.one(orders)),
        Row("drained after the last event", drained, "plain download", download,
            drained.value / download.value,
            at_most(3, "s") if judged else None, drained.value),
        Row("the events took", lasted),
    ]  # fmt: skip
    return table


def _burst(
    deployment: BenchDeployment, server: OdooServer, transport: str, number: int
) -> tuple[float, ...]:
    users = Users(server, transport, USERS)
    groups = [server.ids[first : first + GROUP] for first in range(0, len(server.ids), GROUP)]
    before = _reads(deployment, server)
    began = time.perf_counter()
    try:
        for change in range(CHANGES):
            last_event = users.write_together(groups, f"burst {number}.{change}")
        at_last_event = _reads(deployment, server)
        text = f"burst {number}.{CHANGES - 1}"
        drained = _wait_for(deployment, server.ids, text)
    finally:
        users.close()
    # Early events are looked at again for minutes: what counts is the time until all is right.
    if server.timing == "committed":
        deployment.wait_drained(DRAIN_SECONDS)
    after = _reads(deployment, server).since(at_last_event)
    whole = _reads(deployment, server).since(before)
    return (
        after.calls, after.orders, whole.calls, whole.orders,
        drained - last_event, last_event - began,
    )  # fmt: skip


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


def _reads(deployment: BenchDeployment, server: OdooServer) -> Reads:
    """Count the copy's reads of orders so far; the bench's own calls are writes."""
    if server.remote:
        made = [call for call in server.remote.calls if call.method == "web_search_read"]
        return Reads(len(made), sum(call.ids for call in made))
    found = [int(count) for count in LOGGED_READ.findall(deployment.logs())]
    return Reads(len(found), sum(found))
