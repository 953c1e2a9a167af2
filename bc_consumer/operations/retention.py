"""Deletes old records in batches, so that no statement locks many rows for long."""

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from bc_consumer.models import Alert, JournalEntry, SyncLog

logger = logging.getLogger(__name__)

BATCH = 5000
IDLE_POLLS_STAY = timedelta(days=1)
RESOLVED_ALERTS_STAY = timedelta(days=7)


def purge() -> None:
    """Delete journal entries and ended runs older than JOURNAL_DAYS and SYNC_LOG_DAYS.

    Polls that found nothing are deleted after a day: with one every few seconds there are many.
    Alerts that are over are deleted after a week, unless they are muted for longer.
    """
    journal_limit = Now() - timedelta(days=settings.JOURNAL_DAYS)
    entries = _delete_in_batches(JournalEntry.objects.filter(at__lt=journal_limit))
    run_limit = Now() - timedelta(days=settings.SYNC_LOG_DAYS)
    runs = _delete_in_batches(SyncLog.objects.filter(ended_at__lt=run_limit))
    idle = SyncLog.objects.filter(cause=SyncLog.Cause.POLL, bc_count=0)
    runs += _delete_in_batches(idle.filter(ended_at__lt=Now() - IDLE_POLLS_STAY))
    audible = Q(muted_until=None) | Q(muted_until__lt=Now())
    Alert.known.filter(audible, resolved_at__lt=Now() - RESOLVED_ALERTS_STAY).delete()
    if entries or runs:
        logger.info("purged: %d journal entries, %d runs", entries, runs)


def _delete_in_batches(rows: "QuerySet[JournalEntry] | QuerySet[SyncLog]") -> int:
    total = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        total += len(ids)
        rows.model._default_manager.filter(pk__in=ids).delete()
    return total
