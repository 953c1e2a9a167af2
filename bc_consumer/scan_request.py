"""Asks the reconciliation for scans soon, because an event was missed, or may have been."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models.functions import Now

from bc_consumer.models import SyncState


def request_scan() -> None:
    """Have changed orders looked for until whatever Odoo has open now must be committed."""
    SyncState.objects.filter(key=SyncState.KEY).update(scan_due_at=Now())


def scanned(began: datetime) -> None:
    """Forget what was asked for, if this scan began late enough to have seen all of it.

    Before that a transaction that an event told of may still have been open in Odoo.
    """
    longest = timedelta(seconds=settings.ODOO_LONGEST_TRANSACTION_SECONDS)
    state = SyncState.objects.filter(key=SyncState.KEY, scan_due_at__lt=began - longest)
    state.update(scan_due_at=None)
