"""Deletes old records in batches, so that no statement locks many rows for long."""

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from bc_consumer.models import Alert, JournalEntry, OperatorAction, SyncLog

logger = logging.getLogger(__name__)

BATCH = 5000
IDLE_POLLS_STAY = timedelta(days=1)
ACTIONS_KEPT = 20_000
RESULTS_KEPT = 1_000
"""Results of operators' actions, up to 200 kB each; the outcome of older ones stays."""
RESOLVED_ALERTS_STAY = timedelta(days=7)


def purge() -> None:
    """Delete journal entries, ended runs and operators' actions that are older than their settings.

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
    actions = _purge_actions()
    if entries or runs or actions:
        logger.info(
            "purged: %d journal entries, %d runs, %d operators' actions", entries, runs, actions
        )


def _purge_actions() -> int:
    """Delete ended actions that are too old or too many; empty the results of all but the latest.

    Who asked for what, and its outcome, outlasts what was found.
    """
    limit = Now() - timedelta(days=settings.OPERATOR_ACTION_DAYS)
    ended = OperatorAction.objects.exclude(status__in=OperatorAction.UNFINISHED)
    deleted = _delete_in_batches(ended.filter(asked_at__lt=limit))
    if (key := _key_of_newest(ended, ACTIONS_KEPT)) is not None:
        deleted += _delete_in_batches(ended.filter(pk__lte=key))
    if (key := _key_of_newest(ended, RESULTS_KEPT)) is not None:
        ended.filter(pk__lte=key).exclude(result={}).update(result={})
    return deleted


def _key_of_newest(actions: "QuerySet[OperatorAction]", count: int) -> int | None:
    """Return the key of the newest of these but for ``count``; None if there are no more."""
    keys: QuerySet[OperatorAction, int] = actions.order_by("-pk").values_list("pk", flat=True)
    return next(iter(keys[count : count + 1]), None)


def _delete_in_batches(
    rows: "QuerySet[JournalEntry] | QuerySet[SyncLog] | QuerySet[OperatorAction]",
) -> int:
    total = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        total += len(ids)
        rows.model._default_manager.filter(pk__in=ids).delete()
    return total
