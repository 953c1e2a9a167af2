"""Quiet night: what the nightly run costs when nothing has changed, as a share of ``--full``."""

from __future__ import annotations

from bench.deployments import BenchDeployment, Run, Session
from bench.tables import Figure, Row, Table, at_most

FULL, QUICK = 1_000_000, 1_000
NIGHTS = 3
SHARE = 0.01
SPREAD = (
    "UPDATE bc_consumer_bc SET synced_at = now() - make_interval(days => (odoo_id %% 30)::integer)"
)
"""Leaves the copy as it is after a month: each day a thirtieth of it was last confirmed."""


def measure(session: Session) -> Table:
    """Measure nights without and with the share of orders whose content is due to be compared."""
    orders = session.options.size(FULL, QUICK)
    server = session.simulator(orders)
    transport = session.transports[0]
    copy = session.loaded(server, transport)
    deployment = copy.deployment
    full = deployment.reconcile("--full")
    # The first night notes what it has proven; from then on they are all alike.
    deployment.reconcile()
    quiet = [deployment.reconcile() for _night in range(session.options.rounds_of(NIGHTS))]
    table = Table(
        f"Quiet night: {orders:,} orders × {session.options.lines} lines from {server.name}, "
        f"{transport}; the share of a full comparison"
    )
    table.rows += _rows("quiet night", quiet, full)
    table.rows += _rows("with its share of the content", [_with_scrub(deployment)], full)
    table.notes += [
        "A night right after the load compares no content, as all was just confirmed: these are",
        "the first rows. The others are a night of a copy that is a month old: it also compares",
        "the content of those orders that were confirmed longest ago (SYNC_SCRUB_DAYS, 30), so it",
        "can't be below 3.3 % of the calls and bytes; that is what finds what no date tells of.",
    ]
    return table


def _with_scrub(deployment: BenchDeployment) -> Run:
    deployment.sql(SPREAD.replace("%%", "%"))
    return deployment.reconcile()


def _rows(name: str, nights: list[Run], full: Run) -> list[Row]:
    figures = (
        ("calls", [float(run.calls) for run in nights], float(full.calls), ""),
        ("bytes", [run.received_bytes / 1e6 for run in nights], full.received_bytes / 1e6, "MB"),
        ("seconds", [run.seconds for run in nights], full.seconds, "s"),
    )
    return [
        Row.against(
            f"{name}: {what}",
            Figure.of(values, unit),
            "--full",
            Figure.one(whole, unit),
            at_most(SHARE),
        )
        for what, values, whole, unit in figures
    ]
