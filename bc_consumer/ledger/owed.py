"""Which orders of the ledger wait, for what, and in vain."""

from collections.abc import Collection

from django.db import connection, transaction
from django.db.models import Exists, F, Q, QuerySet

from bc_consumer.core.sql_dialect import dialect
from bc_consumer.ledger import circuit_breaker
from bc_consumer.ledger.rows import CLAIMABLE, TABLE, locked
from bc_consumer.models import Pace, PendingBC

STUCK = Q(failed_at__isnull=False) | ~Q(held_reason="")
"""Nobody looks at it until a person, a new mark or a run says so."""
WAITS = "LinesElsewhere"
"""The error of an order whose lines hang on another one, which can't be read or is held."""


def given_up(odoo_ids: Collection[int]) -> set[int]:
    """Return which of these orders nobody looks at until a person, or a new mark, says so."""
    rows = PendingBC.objects.filter(odoo_id__in=sorted(odoo_ids))
    stuck = rows.filter(STUCK)
    return set(stuck.values_list("odoo_id", flat=True))


def stuck_in(run: int, odoo_ids: Collection[int]) -> set[int]:
    """Return which of these orders this run had looked at, and they were given up or held."""
    rows = PendingBC.objects.filter(STUCK, odoo_id__in=sorted(odoo_ids), run=run)
    return set(rows.values_list("odoo_id", flat=True))


def failed(after_id: int, limit: int) -> list[int]:
    """Return the next orders that were given up, ascending by id."""
    rows = PendingBC.objects.filter(failed_at__isnull=False, odoo_id__gt=after_id)
    return list(rows.order_by("odoo_id").values_list("odoo_id", flat=True)[:limit])


def outstanding(run: int) -> int:
    """Count the orders that this run marked and nobody has fetched, given up or held since.

    Without those that wait for one which was given up: that may take a person, and days.
    """
    return outstanding_rows().filter(run=run).exclude(in_vain()).count()


def outstanding_rows() -> QuerySet[PendingBC]:
    return PendingBC.objects.filter(
        fetched_generation__lt=F("run_generation"), failed_at__isnull=True, held_reason=""
    )


def in_vain() -> Q:
    """Tell the orders that wait for one which was given up or is held."""
    stuck = PendingBC.objects.filter(STUCK)
    return Q(error_class=WAITS, failed_at__isnull=True) & Q(Exists(stuck))


def seconds_until_due() -> float | None:
    """Return how long until a row can be claimed (0.0: now), or None when none is waiting.

    None can be while Odoo is in a pause.
    """
    seconds = dialect().seconds_until
    statement = f"""
        SELECT
            (SELECT {seconds.format("MIN(due_at)")} FROM {TABLE}
                WHERE {CLAIMABLE} AND claim_token IS NULL),
            (SELECT {seconds.format("MIN(claimed_until)")} FROM {TABLE}
                WHERE {CLAIMABLE} AND claim_token IS NOT NULL),
            (SELECT {seconds.format("MIN(next_claim_at)")} FROM {Pace._meta.db_table}
                WHERE paused_since IS NOT NULL)"""
    with connection.cursor() as cursor:
        # With parameters, if only none: that is what turns %% into %.
        cursor.execute(statement, [])
        free, claimed, pause = cursor.fetchone()
    due = [value for value in (free, claimed) if value is not None]
    if pause is not None and pause > circuit_breaker.longest_wait(paused=True):
        pause = None  # the clock was set back: it is over
    return max(min(due), pause or 0.0, 0.0) if due else None


def unsent(age: float, limit: int) -> list[int]:
    """Return due rows whose message was sent ``age`` seconds ago, or never, as sent now."""
    sql = dialect()
    statement = f"""
        WITH overdue AS MATERIALIZED (
            SELECT odoo_id FROM {TABLE}
            WHERE {CLAIMABLE} AND claim_token IS NULL AND generation > fetched_generation
                AND due_at <= {sql.now} AND COALESCE(sent_at, due_at) <= {sql.later.format("%s")}
            ORDER BY lane, due_at, odoo_id LIMIT %s {sql.skip_locked})
        UPDATE {TABLE} SET sent_at = {sql.now} WHERE odoo_id IN (SELECT odoo_id FROM overdue)
        RETURNING odoo_id"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [-age, limit])
        return sorted(odoo_id for (odoo_id,) in cursor.fetchall())


def adopt(run: int) -> int:
    """Make this run's own what earlier runs have marked and nobody has fetched; return how many."""
    others = outstanding_rows().filter(run__isnull=False).exclude(run=run)
    with transaction.atomic():
        return locked(others).update(run=run)
