"""Memory: does a run's peak stay flat? Few orders against many, a process for each run.

The peak is what the kernel tells of the ended process (``ru_maxrss``).
"""

from __future__ import annotations

from bench.deployments import Run, Session
from bench.tables import Figure, Row, Table, at_most

FULL, QUICK = (10_000, 1_000_000), (300, 900)
GOAL = 1.2
"""The largest run's peak, divided by the smallest one's: at most that."""
RUNS: dict[str, tuple[str, ...]] = {
    "next night": (),
    "every order (--full)": ("--full",),
}


def measure(session: Session) -> Table:
    """Measure the first load, the next night and ``--full`` with both numbers of orders."""
    sizes = session.options.orders or (QUICK if session.options.quick else FULL)
    few, many = min(sizes), max(sizes)
    transport = session.transports[0]
    small, large = (_runs(session, orders, transport) for orders in (few, many))
    table = Table(
        f"Memory: the peak with {many:,} against {few:,} orders × {session.options.lines} lines, "
        f"{transport}"
    )
    for name, run in large.items():
        table.rows.append(
            Row.against(
                name,
                Figure.one(run.peak_mib, "MiB"),
                f"{few:,} orders",
                Figure.one(small[name].peak_mib, "MiB"),
                at_most(GOAL),
            )
        )
    table.notes += [
        f"{name} of {many:,} orders: {run.seconds:,.0f} s" for name, run in large.items()
    ]
    return table


def _runs(session: Session, orders: int, transport: str) -> dict[str, Run]:
    copy = session.loaded(session.simulator(orders), transport)
    found = {"first load": copy.loads[0]}
    for name, words in RUNS.items():
        found[name] = copy.deployment.reconcile(*words)
        print(f"  {orders:,} orders, {name}: {found[name].peak_mib:.0f} MiB", flush=True)
    return found
