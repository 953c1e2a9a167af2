"""Ingest: webhooks per second and their answer times, beside an empty view on the same server."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from bench.baselines import empty_view
from bench.deployments import BenchDeployment, OdooServer, Options, Session
from bench.tables import Figure, Row, Table, at_least, at_most, percentile, times
from tests.flood import Plan, Sent, flooding

ORDERS, QUICK_ORDERS = 2_000, 200
CONNECTIONS = 32
RATE = 300.0
"""Webhooks a second whose answer times are measured."""
CONNECTIONS_AT_RATE = 256
"""So many that no webhook waits for another one's answer."""
PENDING, QUICK_PENDING = 1_000_000, 10_000
FIRST_PENDING = 1_000_000_000
"""The ids of the pending rows begin above those of all orders."""
DRAIN_SECONDS = 300.0
# As orders wait whose webhooks came before Odoo's commit: read already, and to be looked at once
# more when Odoo's longest transaction is over. A moment further ahead would count as the clock's
# fault, and be set right.
FILL = """
    INSERT INTO bc_consumer_pendingbc (
        odoo_id, generation, fetched_generation, lane, causes, event, early, first_marked_at,
        last_marked_at, owed_since, marks, due_at, attempts, batch_limit, held_reason,
        last_payload, error_class, last_error, failure, traceback)
    SELECT %s + number, 1, 1, 2, 'bench', 'changed', true, now(), now(), now(), 1,
        now() + interval '14 minutes', 0, 0, '', '', '', '', '', ''
    FROM generate_series(1, %s) AS number"""
LIVE = f"""
    SELECT count(*) FROM bc_consumer_pendingbc WHERE generation > fetched_generation
        AND odoo_id < {FIRST_PENDING} AND failed_at IS NULL AND held_reason = ''"""


class _Senders:
    """Sends webhooks to one deployment for one measurement after the other.

    ``to_django``: as no rule of Odoo's sends them, so that the server leaves them to Django.
    """

    def __init__(
        self,
        deployment: BenchDeployment,
        server: OdooServer,
        options: Options,
        *,
        to_django: bool = False,
    ) -> None:
        self._content_type = "application/json" + ("; charset=utf-8" if to_django else "")
        self._deployment = deployment
        self._ids = list(server.ids)
        self._seconds = options.seconds_of(10.0, 2.0)
        self.refused = 0

    def as_fast_as_they_can(self) -> float:
        """Return webhooks per second from so many connections, those answered with 202 only."""
        sent = self._send(CONNECTIONS, 0.0)
        lasted = max(one.at + one.seconds for one in sent)
        return sum(one.status == 202 for one in sent) / lasted

    def at_rate(self) -> list[float]:
        """Return the answer times at a steady rate, in milliseconds."""
        return [one.seconds * 1000 for one in self._send(CONNECTIONS_AT_RATE, RATE)]

    def _send(self, connections: int, rate: float) -> Sequence[Sent]:
        count = int(10_000 * self._seconds)
        random.shuffle(self._ids)
        ids = list(itertools.islice(itertools.cycle(self._ids), count))
        url = self._deployment.webhook_url
        plan = Plan(url, ids, connections, self._seconds, rate, content_type=self._content_type)
        with flooding(plan) as sending:
            sent = sending.result()
        self.refused += sum(one.status != 202 for one in sent)
        return sent


def measure(session: Session) -> Table:
    """Measure the empty view, the webhook without and with workers, and with a long ledger."""
    options = session.options
    orders = options.size(ORDERS, QUICK_ORDERS)
    server = session.simulator(orders, "committed")
    rounds = options.rounds_of(3)
    table = Table(
        f"Ingest: {CONNECTIONS} connections, {options.web_processes} web processes, "
        f"{options.workers} workers, {server.name}, {times(rounds, 'round')} of "
        f"{options.seconds_of(10.0, 2.0):g} s"
    )
    with (
        empty_view(session, server) as view,
        empty_view(session, server, bare=True) as bare_view,
        session.deployment(server) as deployment,
    ):
        deployment.reconcile()
        deployment.start(workers=0)
        bare = _Senders(view, server, options, to_django=True)
        without_middleware = _Senders(bare_view, server, options, to_django=True)
        real = _Senders(deployment, server, options)
        through_django = _Senders(deployment, server, options, to_django=True)
        empty, alone, barest, threaded = [], [], [], []
        for _round in range(rounds):
            empty.append(bare.as_fast_as_they_can())
            barest.append(without_middleware.as_fast_as_they_can())
            alone.append(real.as_fast_as_they_can())
            threaded.append(through_django.as_fast_as_they_can())
        for _worker in range(options.workers):
            deployment.start_worker()
        _wait_drained(deployment)
        working: list[float] = []
        for _round in range(rounds):
            empty.append(bare.as_fast_as_they_can())
            working.append(real.as_fast_as_they_can())
            _wait_drained(deployment)
        table.rows += _throughput(empty, alone, working)
        table.rows += [
            Row.against(
                "  the same",
                Figure.of(working, "/s"),
                "empty view, no middleware",
                Figure.of(barest, "/s"),
            ),
            Row.against(
                "webhooks/s through Django, no workers",
                Figure.of(threaded, "/s"),
                "empty view",
                Figure.of(empty, "/s"),
            ),
        ]
        table.rows += _answer_times("at 300/s", bare.at_rate(), real.at_rate())
        _wait_drained(deployment)
        table.rows += _with_long_ledger(deployment, real, working, options)
        _note_refused(table, real, bare)
    return table


def _with_long_ledger(
    deployment: BenchDeployment, real: _Senders, working: list[float], options: Options
) -> list[Row]:
    """Fill the ledger with rows that are not due, and measure both once more."""
    pending = QUICK_PENDING if options.quick else PENDING
    deployment.sql(FILL, FIRST_PENDING, pending)
    deployment.sql("ANALYZE bc_consumer_pendingbc")
    long = []
    for _round in working:
        long.append(real.as_fast_as_they_can())
        _wait_drained(deployment)
    row = Row.against(
        f"webhooks/s, {pending:,} rows pending",
        Figure.of(long, "/s"),
        "few pending",
        Figure.of(working, "/s"),
        at_least(0.9),
    )
    rows = [row, *_answer_times(f"at 300/s, {pending:,} pending", [], real.at_rate())]
    _wait_drained(deployment)
    return rows


def _throughput(empty: list[float], alone: list[float], working: list[float]) -> list[Row]:
    view = Figure.of(empty, "/s")
    return [
        Row.against("webhooks/s, no workers", Figure.of(alone, "/s"), "empty view", view),
        Row.against(
            "webhooks/s, workers running",
            Figure.of(working, "/s"),
            "empty view",
            view,
            at_least(0.5),
        ),
    ]


def _answer_times(name: str, bare: list[float], real: list[float]) -> list[Row]:
    rows = []
    for share, target in ((50, None), (99, at_most(50, "ms"))):
        measured = Figure.one(percentile(real, share), "ms")
        baseline = Figure.one(percentile(bare, share), "ms") if bare else None
        ratio = measured.value / baseline.value if baseline else None
        label = "empty view, no workers" if bare else ""
        what = f"answer p{share}, {name}"
        rows.append(Row(what, measured, label, baseline, ratio, target, measured.value))
    return rows


def _wait_drained(deployment: BenchDeployment) -> None:
    deployment.wait_until(
        lambda: deployment.sql(LIVE)[0][0] == 0, DRAIN_SECONDS, what="the ledger to drain"
    )


def _note_refused(table: Table, real: _Senders, bare: _Senders) -> None:
    table.notes.append(f"«no workers» runs before the workers start; {RATE:.0f}/s with workers.")
    if real.refused or bare.refused:
        table.failed = True
        table.notes.append(
            f"Not answered with 202: {real.refused} webhooks, {bare.refused} calls of the view"
        )
