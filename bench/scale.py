"""Scale: refreshes per second by 1, 2 and 4 worker processes, of an Odoo that answers in 30 ms.

Each process has one thread and reads one order a call, so that waiting for Odoo is what limits it;
with whole batches two processors would be busy with one process already.
"""

from __future__ import annotations

import time
from itertools import pairwise

from bench.deployments import BenchDeployment, OdooServer, Session
from bench.tables import Figure, Row, Table, at_least, times
from tests.flood import Plan, flooding

ORDERS, QUICK_ORDERS = 1_500, 120
ANSWER_SECONDS = 0.030
PROCESSES = (1, 2, 4)
TARGETS = {2: at_least(1.9), 4: at_least(3.5)}
SETTINGS = {
    "BATCH_SIZE": "1",
    "BATCH_PACE_SECONDS": "0",
    "ODOO_CONCURRENT_CALLS": "64",
    # The backlog is there before the workers are, and no message of it is lost.
    "RESEND_SECONDS": "600",
}
OWED = "SELECT count(*) FROM bc_consumer_pendingbc WHERE generation > fetched_generation"
BEGIN, END = 0.9, 0.1
"""Measured between these shares of the backlog: all processes are at work by then, and still."""
DRAIN_SECONDS = 600.0


def measure(session: Session) -> Table:
    """Measure how fast a backlog shrinks."""
    orders = session.options.size(ORDERS, QUICK_ORDERS)
    rounds = session.options.rounds_of(3)
    server = session.simulator(orders, "committed")
    assert server.remote is not None
    table = Table(
        f"Scale: {orders:,} orders, one a call, {server.name} answers in "
        f"{1000 * ANSWER_SECONDS:g} ms, {times(rounds, 'round')}"
    )
    with session.deployment(server, session.transports[0], settings=SETTINGS) as deployment:
        deployment.reconcile()
        deployment.start(workers=0)
        server.remote.faults.latency(ANSWER_SECONDS)
        rates = {count: [0.0] * 0 for count in PROCESSES}
        for _round in range(rounds):
            for count in PROCESSES:
                rates[count].append(_rate(deployment, server, count))
        server.remote.faults.clear()
    single = Figure.of(rates[1], "/s")
    for count in PROCESSES:
        table.rows.append(
            Row.against(
                f"refreshes/s, {times(count, 'worker process')}",
                Figure.of(rates[count], "/s"),
                "1 process",
                single,
                TARGETS.get(count),
            )
        )
    return table


def _rate(deployment: BenchDeployment, server: OdooServer, processes: int) -> float:
    """Mark all orders by webhooks, start the workers, and return how fast they work it off."""
    with flooding(Plan(deployment.webhook_url, server.ids, 16, 120.0)) as sending:
        sent = sending.result()
    assert all(one.status == 202 for one in sent), "not all webhooks were taken"
    for _process in range(processes):
        deployment.start_worker(threads=1)
    moments = [_wait_for(deployment, share * len(server.ids)) for share in (BEGIN, END)]
    [(seconds, refreshed)] = [
        (after[0] - before[0], before[1] - after[1]) for before, after in pairwise(moments)
    ]
    deployment.wait_drained(DRAIN_SECONDS)
    deployment.stop_workers()
    return refreshed / seconds


def _wait_for(deployment: BenchDeployment, owed: float) -> tuple[float, int]:
    """Wait until so few orders are owed; return when that was, and how many were."""
    connection = deployment.connect()
    deadline = time.perf_counter() + DRAIN_SECONDS
    try:
        with connection.cursor() as cursor:
            while time.perf_counter() < deadline:
                cursor.execute(OWED)
                [(count,)] = cursor.fetchall()
                if count <= owed:
                    return time.perf_counter(), int(count)
                time.sleep(0.02)
    finally:
        connection.close()
    raise SystemExit(f"after {DRAIN_SECONDS:g} s more than {owed:.0f} orders are owed")
