"""Asks the reconciliation for a scan soon, because an event was missed, or may have been."""

from django.db.models.functions import Coalesce, Now

from bc_consumer.models import SyncState


def request_scan() -> None:
    """Have changed orders looked for in a few minutes; one that is asked for already stays."""
    SyncState.objects.filter(key=SyncState.KEY).update(scan_due_at=Coalesce("scan_due_at", Now()))
