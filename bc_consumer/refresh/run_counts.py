"""The only code that counts the looks at a run's orders, in the columns of its SyncLog.

A look is counted in the transaction that makes it true, and only while the run is under way: what
is fetched after the run's end does not change its figures.
docs/operations/reconciliation.md defines each figure.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection
from django.db.models import F

from bc_consumer.core.sql_dialect import dialect, ids_parameter
from bc_consumer.models import PendingBC, SyncLog

Counts = Mapping[int, Counter[str]]
"""Key of the SyncLog → column → how much to add."""


@dataclass(frozen=True, slots=True)
class CountedRun:
    """The run that a look counts for."""

    key: int
    """Of its SyncLog."""
    poll_since: datetime | None = None
    """The beginning of its window, on Odoo's clock, if it is a poll."""


def runs_of(rows: Collection[PendingBC]) -> dict[int, CountedRun]:
    """Return order id → the run that the look at it counts for; orders of no run are absent.

    A row whose mark by the run has been fetched before is not counted again: it is only kept for
    further looks. The run is read from the database again, because since the claim another run may
    have adopted the marks of a killed one.
    """
    candidates = {
        row.odoo_id
        for row in rows
        if row.run_generation is not None and row.fetched_generation < row.run_generation
    }
    if not candidates:
        return {}
    statement = f"""
        SELECT odoo_id, run.id, CASE WHEN run.cause = %s THEN run.window_since END
        FROM {PendingBC._meta.db_table} JOIN {SyncLog._meta.db_table} run ON run.id = run_id
        WHERE odoo_id {dialect().in_ids}"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [SyncLog.Cause.POLL, ids_parameter(candidates)])
        return {
            odoo_id: CountedRun(key, _moment(since)) for odoo_id, key, since in cursor.fetchall()
        }


def _moment(value: datetime | str | None) -> datetime | None:
    """Return a moment; SQLite's driver returns the text that Django stored."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value


def add(counts: Counts) -> None:
    """Add to the figures of these runs, in ascending order of their keys.

    Call it before the ledger's rows are locked (the order of locks in docs/architecture.md).
    """
    for run, figures in sorted(counts.items()):
        if increments := {name: F(name) + count for name, count in figures.items() if count}:
            SyncLog.objects.filter(pk=run, status=SyncLog.Status.RUNNING).update(**increments)


def lock(runs: Collection[int]) -> None:
    """Lock the SyncLog rows of these runs.

    For code that has to lock the ledger's rows before it knows what to count. Marks of these runs
    go on: at their commit PostgreSQL looks up the key of the run's row, which this lock allows.
    """
    rows = SyncLog.objects.select_for_update(no_key=True)
    locked = rows.filter(pk__in=sorted(set(runs))).order_by("pk")
    list(locked.values_list("pk", flat=True))


def is_first_load(run: int) -> bool:
    """Return whether this run loads every order, because no run has succeeded before it."""
    return SyncLog.objects.filter(pk=run, window_since=None).exists()
