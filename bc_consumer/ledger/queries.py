"""Queries on the ledger: which orders are waiting, and which of them need a person."""

from collections.abc import Collection

from django.db.models import Exists, F, Q

from bc_consumer.ledger.claims import WAITS_FOR_ANOTHER_ORDER
from bc_consumer.models import PendingBC

STUCK = Q(failed_at__isnull=False) | ~Q(held_reason="")
"""Failed or held: not claimed until a person, a new mark or a run releases it."""


def stuck(odoo_ids: Collection[int]) -> set[int]:
    """Return those of these orders that have failed or are held."""
    rows = PendingBC.objects.filter(odoo_id__in=sorted(odoo_ids))
    stuck = rows.filter(STUCK)
    return set(stuck.values_list("odoo_id", flat=True))


def stuck_in(run: int, odoo_ids: Collection[int]) -> set[int]:
    """Return those of these orders that this run marked and that have failed or are held."""
    rows = PendingBC.objects.filter(STUCK, odoo_id__in=sorted(odoo_ids), run=run)
    return set(rows.values_list("odoo_id", flat=True))


def failed(after_id: int, limit: int) -> list[int]:
    """Return up to ``limit`` failed orders with ids above ``after_id``, in ascending order."""
    rows = PendingBC.objects.filter(failed_at__isnull=False, odoo_id__gt=after_id)
    return list(rows.order_by("odoo_id").values_list("odoo_id", flat=True)[:limit])


def outstanding(run: int) -> int:
    """Count the orders that this run marked and that have not been fetched, failed or held since.

    Orders that wait for a failed or held one are left out: that may need a person, and take days.
    """
    return PendingBC.objects.outstanding().filter(run=run).exclude(in_vain()).count()


def owed() -> Q:
    """Return the condition for orders to be fetched: marked since, neither failed nor held."""
    return Q(generation__gt=F("fetched_generation"), failed_at__isnull=True, held_reason="")


def in_vain() -> Q:
    """Return the condition for orders that wait for another one while any order is stuck."""
    stuck = PendingBC.objects.filter(STUCK)
    return Q(error_class=WAITS_FOR_ANOTHER_ORDER, failed_at__isnull=True) & Q(Exists(stuck))
