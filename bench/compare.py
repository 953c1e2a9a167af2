"""Full comparison: every order is read and compared, and nothing has changed (``--full``)."""

from __future__ import annotations

from bench.baselines import plain_download
from bench.deployments import Session
from bench.load import ENOUGH, FULL, QUICK, TOO_FEW, limit
from bench.tables import Figure, Row, Table, times


def measure(session: Session) -> Table:
    """Compare several times by each protocol, each time beside a plain download."""
    orders = session.options.size(FULL, QUICK)
    server = session.odoo(orders)
    rounds = session.options.rounds_of(3)
    table = Table(
        f"Compare (--full, nothing changed): {orders:,} orders × {session.options.lines} lines "
        f"from {server.name}, {times(rounds, 'round')}"
    )
    for transport in session.transports:
        copy = session.loaded(server, transport)
        plain, runs = [], []
        for _round in range(rounds):
            plain.append(plain_download(server, transport))
            runs.append(copy.deployment.reconcile("--full"))
        table.rows.append(
            Row.against(
                f"compare, {transport}",
                Figure.of([run.seconds for run in runs], "s"),
                "plain download",
                Figure.of([one.seconds for one in plain], "s"),
                limit(server, 1.15, 1.5),
            )
        )
        table.rows.append(
            Row.against(
                "  bytes from Odoo",
                Figure.of([run.received_bytes / 1e6 for run in runs], "MB"),
                "plain download",
                Figure.of([one.received_bytes / 1e6 for one in plain], "MB"),
            )
        )
        changed = sum(int(run.report["applied"]) for run in runs)
        if changed:
            table.failed = True
            table.notes.append(f"{transport}: {changed} orders were applied; none has changed")
    if len(server.ids) < ENOUGH:
        table.notes.append(TOO_FEW)
    return table
