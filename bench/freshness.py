"""Freshness: how long after Odoo's commit a change is in PostgreSQL, at a steady rate of changes.

Users write one order in each transaction; a thread watches the copy's versions. The moment of the
commit is not told by Odoo. Where webhooks come before it (early), the call's answer comes right
after it. Where they come after it (committed), the call's answer waits for them: then the commit is
taken for the call's beginning plus the median time of a write without any rules.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.baselines import answer_seconds
from bench.changing import Change, Users
from bench.deployments import BenchDeployment, OdooServer, Session
from bench.tables import Figure, Row, Table, Target, at_most, percentile, plain

ORDERS, QUICK_ORDERS = 1_000, 200
RATE, QUICK_RATE = 50.0, 10.0
"""Changes a second."""
KEPT_UP = 0.9
"""Share of the rate that Odoo has to reach: below it, changes wait in Odoo, not on their way."""
USERS = 16
LOOK_SECONDS = 0.003
PATIENCE_SECONDS = 60.0
WARM_UP_SECONDS = 2.0
TARGETS = {
    "committed": ((50, at_most(100, "ms")), (95, None), (99, at_most(500, "ms"))),
    "early": ((50, at_most(250, "ms")), (95, at_most(1000, "ms")), (99, None)),
}


@dataclass(slots=True)
class Watcher:
    """Notes when each text appears in the copy. A thread of its own runs ``watch``."""

    deployment: BenchDeployment
    seen: dict[tuple[int, str], float] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Ask for what has a higher version than before, again and again."""
        connection = self.deployment.connect()
        query = "SELECT odoo_id, partner_ref, version FROM bc_consumer_bc WHERE version > %s"
        with connection.cursor() as cursor:
            cursor.execute("SELECT COALESCE(max(version), 0) FROM bc_consumer_bc")
            [(version,)] = cursor.fetchall()
            while not self.stopped.wait(LOOK_SECONDS):
                cursor.execute(query, (version,))
                now = time.perf_counter()
                for odoo_id, text, its_version in cursor.fetchall():
                    self.seen.setdefault((odoo_id, text), now)
                    version = max(version, its_version)
        connection.close()


def measure(session: Session) -> Table:
    """Measure with webhooks after the commit and before it; a real Odoo has one of them."""
    orders = session.options.size(ORDERS, QUICK_ORDERS)
    seconds = session.options.seconds_of(30.0, 4.0)
    transport = session.transports[0]
    if session.real:
        servers = [session.odoo(orders)]
    else:
        servers = [session.simulator(orders, timing) for timing in ("committed", "early")]
    rate = QUICK_RATE if session.options.quick else RATE
    table = Table(
        f"Freshness: {rate:g} changes/s for {seconds:g} s, {orders:,} orders, {servers[0].name}, "
        f"{session.options.workers} workers, {transport}"
    )
    for server in servers:
        with session.deployment(server, transport) as deployment:
            _measure(session, server, deployment, table, rate=rate, seconds=seconds)
    table.notes += [
        "Judged is the time from the commit to the row less Odoo's own answer time (its median",
        f"for one order when idle). A row is seen up to {1000 * LOOK_SECONDS:g} ms late.",
    ]
    return table


def _measure(
    session: Session,
    server: OdooServer,
    deployment: BenchDeployment,
    table: Table,
    *,
    rate: float,
    seconds: float,
) -> None:
    deployment.reconcile()
    transport = session.transports[0]
    answer = Figure.of([1000 * one for one in answer_seconds(server, transport)], "ms")
    users = Users(server, transport, USERS)
    watcher = Watcher(deployment)
    thread = threading.Thread(target=watcher.watch, name="watcher")
    try:
        alone = users.write_at_rate(server.ids, 10.0, WARM_UP_SECONDS)
        write = statistics.median(change.ended - change.began for change in alone)
        deployment.start(workers=session.options.workers)
        with deployment.rules(server):
            users.write_at_rate(server.ids[::-1], 10.0, WARM_UP_SECONDS)
            thread.start()
            changes = users.write_at_rate(server.ids, rate, seconds)
            _wait_until_seen(watcher, changes)
    finally:
        watcher.stopped.set()
        users.close()
        if thread.ident:
            thread.join()
    committed = {
        change: change.ended if server.timing == "early" else change.began + write
        for change in changes
    }
    lags = [
        1000 * (watcher.seen[change.odoo_id, change.text] - moment)
        for change, moment in committed.items()
        if (change.odoo_id, change.text) in watcher.seen
    ]
    reached = reached_rate(changes)
    is_judged = reached >= KEPT_UP * rate
    table.rows.append(
        Row(
            f"webhook {server.timing}: changes/s",
            Figure.one(reached),
            "asked for",
            Figure.one(rate),
            reached / rate,
        )
    )
    for share, target in TARGETS[server.timing]:
        lag = percentile(lags, share)
        table.rows.append(_row(server.timing, share, lag, answer, target if is_judged else None))
    if not is_judged:
        table.notes.append(
            f"{server.timing}: Odoo took {plain(reached)} changes/s of {rate:g}: it is Odoo that "
            "is measured, so no target is judged"
        )
    table.notes.append(
        f"{server.timing}: {len(lags)} changes, a write without rules {1000 * write:.1f} ms, "
        f"with them {1000 * statistics.median(c.ended - c.began for c in changes):.1f} ms (median)"
    )
    if len(lags) < len(changes):
        # A change that the next one of the same order has overtaken is never seen by itself.
        table.notes.append(f"{len(changes) - len(lags)} changes were not seen by themselves")


def reached_rate(changes: Sequence[Change]) -> float:
    """Return how many changes a second Odoo took, from the first call's beginning to the last end.

    A change that waits for a user's connection has not begun, and makes the rate lower.
    """
    began = min(change.began for change in changes)
    return len(changes) / (max(change.ended for change in changes) - began)


def _row(timing: str, share: int, lag: float, answer: Figure, target: Target | None) -> Row:
    return Row(
        f"webhook {timing}: commit → row, p{share}",
        Figure.one(lag, "ms"),
        "Odoo's answer",
        answer,
        lag / answer.value,
        target,
        lag - answer.value,
    )


def _wait_until_seen(watcher: Watcher, changes: list[Change]) -> None:
    last = {change.odoo_id: change.text for change in changes}
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while time.perf_counter() < deadline:
        if all((odoo_id, text) in watcher.seen for odoo_id, text in last.items()):
            return
        time.sleep(0.05)
    raise SystemExit(f"some changes are not in the copy {PATIENCE_SECONDS:g} s after the last one")
