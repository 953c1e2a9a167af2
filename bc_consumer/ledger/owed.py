"""Which orders of the ledger wait, for what, and in vain."""

from collections.abc import Collection

from django.db.models import Exists, F, Q

from bc_consumer.ledger.claims import WAITS
from bc_consumer.models import PendingBC
from bc_consumer.models.ledger import PendingBCQuerySet

STUCK = Q(failed_at__isnull=False) | ~Q(held_reason="")
"""Nobody looks at it until a person, a new mark or a run says so."""


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


def outstanding_rows() -> PendingBCQuerySet:
    return PendingBC.objects.filter(
        fetched_generation__lt=F("run_generation"), failed_at__isnull=True, held_reason=""
    )


def in_vain() -> Q:
    """Tell the orders that wait for one which was given up or is held."""
    stuck = PendingBC.objects.filter(STUCK)
    return Q(error_class=WAITS, failed_at__isnull=True) & Q(Exists(stuck))


def adopt(run: int) -> int:
    """Make this run's own what earlier runs have marked and nobody has fetched; return how many."""
    others = outstanding_rows().filter(run__isnull=False).exclude(run=run)
    return others.update_locked(run=run)
