"""First load: an empty copy reads all orders, by ``manage.py sync_BcLinbc``."""

from __future__ import annotations

from bench import profiled
from bench.baselines import (
    Download,
    copy_into_bare_tables,
    plain_download,
    straightforward,
)
from bench.deployments import OdooServer, Run, Session
from bench.tables import Figure, Row, Table, Target, at_least, at_most, times

FULL, QUICK = 20_000, 300
SUBSET, QUICK_SUBSET = 500, 30
"""Orders that the straightforward way copies; the rest is extrapolated."""


ENOUGH = 2_000
"""Orders below which no target is judged: the time is mostly that of the command's start."""
TOO_FEW = (
    f"Fewer than {ENOUGH:,} orders: mostly the command's start is measured, and no target judged."
)


def limit(server: OdooServer, real: float, simulated: float) -> Target | None:
    """Return the target: wider for the simulator, which answers at least twice as fast as Odoo.

    None where the orders are too few to judge.
    """
    return judged(server, at_most(simulated if server.remote else real))


def judged(server: OdooServer, target: Target) -> Target | None:
    """Return the target where there are orders enough to judge it."""
    return target if len(server.ids) >= ENOUGH else None


def measure(session: Session) -> Table:
    """Load several times by each protocol, each time beside a plain download."""
    orders = session.options.size(FULL, QUICK)
    server = session.odoo(orders)
    rounds = session.options.rounds_of(3)
    table = Table(
        f"First load: {orders:,} orders × {session.options.lines} lines from {server.name}, "
        f"{times(rounds, 'round')}"
    )
    for transport in session.transports:
        _by(session, server, transport, rounds, table)
    table.notes += [
        "The load is the whole command, its start included; the download is the calls alone.",
        "Straightforward: measured on some orders, and extrapolated to all by the time per order.",
    ]
    if len(server.ids) < ENOUGH:
        table.notes.append(TOO_FEW)
    return table


def _by(session: Session, server: OdooServer, transport: str, rounds: int, table: Table) -> None:
    plain: list[Download] = []
    loads: list[Run] = []
    for _round in range(rounds):
        plain.append(plain_download(server, transport))
        loads.append(session.load(server, transport))
    count = len(server.ids)
    seconds = Figure.of([run.seconds for run in loads], "s")
    downloaded = Figure.of([one.seconds for one in plain], "s")
    table.rows.append(
        Row.against(
            f"first load, {transport}",
            seconds,
            "plain download",
            downloaded,
            limit(server, 1.3, 2.0),
        )
    )
    subset = min(count, QUICK_SUBSET if session.options.quick else SUBSET)
    obvious = straightforward(session, server, transport, subset) * count
    faster = obvious / seconds.value
    table.rows.append(
        Row(
            "  times as fast as",
            seconds,
            f"straightforward ({subset} orders)",
            Figure.one(obvious, "s"),
            faster,
            judged(server, at_least(15)),
        )
    )
    copied = copy_into_bare_tables(session.loaded(server, transport).deployment, rounds)
    table.rows.append(
        Row.against("  and", seconds, "COPY into bare tables", Figure.of(copied, "s"))
    )
    table.rows.append(
        Row.against(
            "  bytes from Odoo",
            Figure.of([run.received_bytes / 1e6 for run in loads], "MB"),
            "plain download",
            Figure.of([one.received_bytes / 1e6 for one in plain], "MB"),
        )
    )
    table.rows.append(
        Row("  processor time", Figure.of([run.processor_seconds for run in loads], "s"))
    )
    table.rows.append(Row("  peak memory", Figure.of([run.peak_mib for run in loads], "MiB")))
    if session.options.profile:
        table.notes += profiled.load(session, server, transport)
