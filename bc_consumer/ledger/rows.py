"""What all statements about the ledger's table share: its name, its conditions, the order of locks.

Every statement takes rows by ascending id, so that no two of them ever wait for each other.
"""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from bc_consumer.models import PendingBC

TABLE = PendingBC._meta.db_table
CLAIMABLE = "failed_at IS NULL AND held_reason = ''"
FREE = "due_at <= {now} AND (claim_token IS NULL OR claimed_until < {now})"
FORCE = "force"
"""The cause of a mark that the brake on archivings does not hold back."""


def locked(rows: QuerySet[PendingBC]) -> QuerySet[PendingBC]:
    """Lock these rows by ascending ids, as every statement does; call it in a transaction."""
    locked = rows.select_for_update().order_by("odoo_id")
    return PendingBC.objects.filter(odoo_id__in=list(locked.values_list("odoo_id", flat=True)))


def update_locked(rows: QuerySet[PendingBC], **values: Any) -> int:
    """Update rows locked by id first: alone an UPDATE takes them as they lie, a mark by id."""
    with transaction.atomic():
        return locked(rows).update(**values)
