"""The beginning of a run: close killed runs, adopt their marks, open or resume a row."""

import logging
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core import translatable
from bc_consumer.core.log_context import logging_about
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import joined
from bc_consumer.models import SyncLog, SyncState
from bc_consumer.reconciliation.finish import count
from bc_consumer.reconciliation.schedule import RunRequest

logger = logging.getLogger(__name__)
Status = SyncLog.Status
Cause = SyncLog.Cause
Phase = SyncLog.Phase

KILLED = translatable.gettext("killed: its lease ran out before it ended")
"""The error of a run that ended without closing its row."""


def begin(request: RunRequest) -> SyncLog:
    """Close the rows that killed runs left running, and return a new row, saved.

    The new run adopts the marks of earlier runs that are not fetched yet: it waits for them, and
    counts them. A first load that was interrupted is resumed where it stopped. The caller holds the
    lock.
    """
    # Claims of killed runs, and those that a run could not give back while the database was away.
    ledger.free_claims_of_runs()
    _close_killed_runs()
    state = SyncState.objects.get(key=SyncState.KEY)
    run = SyncLog(started_at=database_now(), cause=request.cause, phase=Phase.FAILED)
    run.full, run.forced, run.digest = request.full, request.forced, request.digest
    run.asked_for = request.asked_for
    run.window_since = request.since
    if run.window_since is None and state.last_sync is not None:
        run.window_since = state.last_sync - timedelta(seconds=settings.SYNC_OVERLAP_SECONDS)
        if request.asked_for or (request.cause == Cause.POLL and not request.digest):
            run.window_since = max(run.window_since, _since_latest_poll(run, state))
    if run.is_first_load:
        run.notes = SyncLog.FIRST_LOAD
        _resume_first_load(run)
    run.save()
    if request.cause != Cause.POLL:  # polls come too often to try held orders again
        ledger.release_held(forced=request.forced, run=run.pk)
    if adopted := ledger.adopt(run.pk):
        with logging_about(run=run.pk, cause=run.cause):
            logger.info("run %d waits for %d orders that earlier runs marked, too", run.pk, adopted)
    return run


def _close_killed_runs() -> None:
    running = SyncLog.objects.filter(status=Status.RUNNING)
    for run in running:
        if running.filter(pk=run.pk).update(status=Status.FAILED, ended_at=Now(), error=KILLED):
            run.refresh_from_db()
            count(run)


def _since_latest_poll(run: SyncLog, state: SyncState) -> datetime:
    """Return the end of the latest poll's window, less Odoo's longest transaction.

    What this shorter window may miss, the nightly run looks at again.

    The window of a scan that was asked for begins at the request, less the same time, if that is
    earlier: polls since then may have read orders before a second change, made in the same second,
    was committed.
    """
    longest = timedelta(seconds=settings.ODOO_LONGEST_TRANSACTION_SECONDS)
    polls = SyncLog.objects.filter(cause=Cause.POLL, phase=Phase.DONE, window_until__isnull=False)
    latest = polls.order_by("-id").values_list("window_until", flat=True).first()
    if latest is None:
        return datetime.min.replace(tzinfo=UTC)
    if run.asked_for and state.scan_due_at is not None:
        return min(latest, state.scan_due_at) - longest
    return latest - longest


def _resume_first_load(run: SyncLog) -> None:
    """Resume an interrupted first load at its place, with the window it began with."""
    last = SyncLog.objects.order_by("-id").first()
    if last is not None and last.window_since is None and last.phase == Phase.ORDERS:
        run.phase, run.cursor, run.window_until = last.phase, last.cursor, last.window_until
        place = translatable.gettext(
            "goes on with run %(run)s after order %(order)s", run=last.pk, order=last.cursor
        )
        run.notes = joined("\n", run.notes, place)
