"""Asks the reconciliation for scans soon, because an event was missed, or may have been."""

from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import SyncLog, SyncState


def request_scan() -> None:
    """Have what changed, and what is gone, looked for until all that Odoo has open is committed."""
    SyncState.objects.filter(key=SyncState.KEY).update(scan_due_at=Now())


def scanned(run: SyncLog) -> None:
    """Forget what was asked for, if this run must have seen all of it.

    It has to have looked for what is gone, too, and to have begun late enough: before that a
    transaction that an event told of may still have been open in Odoo.
    """
    if not run.digest or run.started_at > database_now():  # the clock was set back meanwhile
        return
    longest = timedelta(seconds=settings.ODOO_LONGEST_TRANSACTION_SECONDS)
    seen_before = run.started_at - longest
    state = SyncState.objects.filter(key=SyncState.KEY, scan_due_at__lt=seen_before)
    state.update(scan_due_at=None)
