"""A run's record, the ``SyncLog`` row: opened or resumed by ``begin``, judged by ``verdict``, told.

``begin`` closes the rows of killed runs, and adopts their marks. ``verdict`` says how a run ended;
the functions after it tell people, other processes and the monitoring.
"""

import logging
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from bc_consumer import ledger
from bc_consumer.core.counters import totals
from bc_consumer.core.log_context import logging_about
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import NOTHING, Message, joined, ngettext, verbatim
from bc_consumer.core.translatable import gettext as _
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import BC, JournalEntry, PendingBC, SyncLog, SyncState
from bc_consumer.models.metrics import RUN_DIFFERENCES, RUN_MISSED, RUNS
from bc_consumer.operations import outside_monitor, retention
from bc_consumer.operations.alerts import alert, resolve_alert
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import archive_brake
from bc_consumer.refresh.batch import ACCEPTED, AWAY, REFUSED, UNFIT_DATABASE

logger = logging.getLogger(__name__)
Status = SyncLog.Status
Cause = SyncLog.Cause
Phase = SyncLog.Phase

KILLED = _("killed: its lease ran out before it ended")
"""The error of a run that ended without closing its row."""
SAME_DATE, RUN_FAILED, POLL_FAILED = "same date", "run failed", "poll failed"
"""Keys of alerts."""
POLL_MAY_FAIL_FOR = timedelta(minutes=5)
"""Before people are alerted to failing polls: Odoo restarts now and then."""


SUMMARISED = (
    "bc_count", "applied", "archived", "held", "error_count", "line_count", "lines_deleted",
    "missed_by_webhooks", "odoo_calls",
)  # fmt: skip
"""Figures in the one line about a run."""


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
    run = SyncLog(started_at=database_now(), cause=request.cause, phase=Phase.RETRY_FAILED)
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
            logger.info("run %d also waits for %d orders that earlier runs marked", run.pk, adopted)
    return run


def _close_killed_runs() -> None:
    running = SyncLog.objects.filter(status=Status.RUNNING)
    for run in running:
        if running.filter(pk=run.pk).update(status=Status.FAILED, ended_at=Now(), error=KILLED):
            run.refresh_from_db()
            count_for_monitoring(run)


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
        place = _("continues run %(run)s after order %(order)s", run=last.pk, order=last.cursor)
        run.notes = joined("\n", run.notes, place)


def verdict(run: SyncLog) -> tuple[SyncLog.Status, Message]:
    """Return the status, and the reason, of a run that has gone through all its phases."""
    held = PendingBC.objects.filter(run=run.pk).exclude(held_reason="")
    if held.exists():
        why = held[0].held_reason
        return Status.BRAKED, ngettext(
            "%(count)s order held: %(reason)s",
            "%(count)s orders held: %(reason)s",
            held.count(),
            reason=why,
        )
    given_up = JournalEntry.objects.filter(run=run.pk, outcome=JournalEntry.Outcome.FAILED)
    if (failed := given_up.order_by("odoo_id").first()) is not None:
        return Status.PARTIAL, joined(": ", f"BC {failed.odoo_id}", failed.error)
    if (waits := waiting_in_vain(run).order_by("odoo_id").first()) is not None:
        return Status.PARTIAL, joined(": ", f"BC {waits.odoo_id}", waits.last_error)
    return Status.OK, verbatim("")


def waiting_in_vain(run: SyncLog) -> QuerySet[PendingBC]:
    """Return the orders of this run that wait for another one that was given up or is held."""
    return PendingBC.objects.filter(ledger.in_vain(), run=run.pk)


def count_for_monitoring(run: SyncLog) -> None:
    """Count an ended run for the monitoring; only whoever ended its row calls this."""
    totals.add(RUNS, cause=run.cause, status=run.status)
    found = {
        "window": run.found_by_window,
        "digest": run.found_by_digest,
        "names": run.found_by_names,
        "scrub": run.same_date,
    }
    for found_by, orders in found.items():
        totals.add(RUN_DIFFERENCES, orders, found_by=found_by)
    totals.add(RUN_MISSED, run.missed_by_webhooks)


def connection_was_lost(error: Exception) -> bool:
    """Return whether the connection to our database broke, so that no statement is at fault.

    psycopg2 has no code for a connection that breaks; class 57P is a server that shuts down or
    starts.
    """
    if isinstance(error, InterfaceError):
        return True
    code = getattr(error.__cause__, "pgcode", "not of PostgreSQL")
    return isinstance(error, OperationalError) and (code is None or code.startswith("57P"))


def forget_requested_scan(run: SyncLog) -> None:
    """Forget the scan that was asked for, if this run must have covered it.

    For that the run needs a digest, which shows what is gone, and has to have begun later than the
    request by Odoo's longest transaction: until then the transaction that an event announced may
    still have been open.
    """
    if not run.digest or run.started_at > database_now():  # the clock was set back meanwhile
        return
    longest = timedelta(seconds=settings.ODOO_LONGEST_TRANSACTION_SECONDS)
    latest_covered = run.started_at - longest
    state = SyncState.objects.filter(key=SyncState.KEY, scan_due_at__lt=latest_covered)
    state.update(scan_due_at=None)


# --- what people are told -----------------------------------------------------------------------


def summary(run: SyncLog) -> Message:
    """Return one line about how a run ended and what it did."""
    line = _(
        "%(status)s: %(bc_count)s reads of orders, %(applied)s applied, %(archived)s archived,"
        " %(held)s held, %(error_count)s failed, %(line_count)s lines written,"
        " %(lines_deleted)s deleted, %(missed_by_webhooks)s missed by webhooks,"
        " %(odoo_calls)s calls to Odoo",
        status=_(run.status),  # the statuses' labels are the same words
        **{name: getattr(run, name) for name in SUMMARISED},
    )
    return joined(". ", line, _same_date_text(run), run.error)


def _same_date_text(run: SyncLog) -> Message:
    if not run.same_date:
        return NOTHING
    return ngettext(
        "%(count)s difference under the same date",
        "%(count)s differences under the same date",
        run.same_date,
    )


def alert_about(run: SyncLog) -> None:
    """Alert people to what this run shows to need them; end the alerts that it shows to be over."""
    _alert_about_scrub(run)
    if run.was_interrupted or run.status == Status.STOPPED:
        return  # a person or a shutdown did it; nobody needs to be told
    is_poll = run.cause == Cause.POLL
    key = POLL_FAILED if is_poll else RUN_FAILED
    if run.status == Status.REFUSED:
        # Odoo rejects the workers too, under the same key: one mail is enough.
        alert(REFUSED, _("Odoo rejects our access"), summary(run))
    elif run.status == Status.FAILED:
        if not (is_poll and _polls_fail_only_lately()):
            alert(
                key, _("a poll failed") if is_poll else _("a reconciliation failed"), summary(run)
            )
    elif run.status in SyncLog.GOOD:
        if run.error != SyncLog.GAVE_WAY:
            _end_alerts_of_good_run(run)
        if run.status == Status.OK and run.digest:
            _end_alerts_of_digest()
    if run.cause == Cause.NIGHTLY and run.window_since is not None:
        if run.missed_by_webhooks > settings.ALERT_MISSED:
            alert(
                "missed by webhooks",
                ngettext(
                    "%(count)s order was missed by webhooks",
                    "%(count)s orders were missed by webhooks",
                    run.missed_by_webhooks,
                ),
                joined(
                    " ",
                    summary(run),
                    _("Are the automation rules in Odoo active, and complete?"),
                ),
            )
        elif run.status in SyncLog.GOOD:
            resolve_alert("missed by webhooks")


def _end_alerts_of_good_run(run: SyncLog) -> None:
    """End the alerts that a run which went through has shown to be over.

    A run may find nothing to read while the workers' breaker is open: it then shows nothing of
    Odoo. Whoever closes the breaker ends its alert as well; should that have been cut short, a run
    does it.
    """
    if run.cause != Cause.POLL:
        resolve_alert(RUN_FAILED, _("a reconciliation succeeded again"))
    if run.cause == Cause.POLL or run.digest:
        resolve_alert(POLL_FAILED, _("a poll succeeded again"))
    if circuit_breaker.current_outage() is None:
        resolve_alert(REFUSED, ACCEPTED)
        resolve_alert(AWAY, _("Odoo answers again"))
    elif run.cause != Cause.POLL:
        circuit_breaker.probe_soon()  # Odoo answered this run
    if run.bc_count:
        resolve_alert(UNFIT_DATABASE, _("the database fits this version again"))


def _alert_about_scrub(run: SyncLog) -> None:
    """Alert people to what only the scrub finds, whatever became of the run otherwise.

    What it has put right, no later run finds again.
    """
    if run.same_date:
        alert(
            SAME_DATE,
            ngettext(
                "%(count)s order differed under the same date",
                "%(count)s orders differed under the same date",
                run.same_date,
            ),
            _(
                "Run %(run)s compared the content of %(scrubbed)s orders, and put right those "
                "that differed although neither their own date nor a line's had moved. "
                "Something changed them by SQL in Odoo, or by hand in the copy's tables; or it "
                "is a field that Odoo computes and does not store, or a name whose change this "
                "account can't follow. The journal shows which: see this run's entries with the "
                'cause "scrub".',
                run=run.pk,
                scrubbed=run.scrubbed,
            ),
        )
    elif run.scrubbed and run.status in SyncLog.GOOD:
        resolve_alert(SAME_DATE)


def _polls_fail_only_lately() -> bool:
    """Return whether the first poll that failed since the last good run did so a moment ago."""
    good = SyncLog.objects.filter(status__in=SyncLog.GOOD).order_by("-id").values("id")[:1]
    failed = SyncLog.objects.filter(cause=Cause.POLL, status=Status.FAILED)
    since = failed.filter(id__gt=Coalesce(Subquery(good), 0)).order_by("id").first()
    if since is None or since.ended_at is None:
        return True
    return database_now() - since.ended_at < POLL_MAY_FAIL_FOR


def _end_alerts_of_digest() -> None:
    """End the alerts that a digest without trouble has shown to be out of date."""
    if not PendingBC.objects.exclude(held_reason="").exists():
        resolve_alert(archive_brake.KEY, archive_brake.NONE_HELD)
    if not BC.objects.filter(forbidden_at__isnull=False, archived_at__isnull=True).exists():
        resolve_alert("forbidden")


# --- afterwards ---------------------------------------------------------------------------------


def report_to_monitor(run: SyncLog) -> None:
    """Tell the monitor outside how a nightly run ended; its alert comes when nothing is told.

    A run that was interrupted has not failed: another slice, or the next night, goes on.
    """
    if run.cause == Cause.NIGHTLY and not run.was_interrupted:
        outside_monitor.report_nightly_run(good=run.status in SyncLog.GOOD)


def purge_what_is_old() -> None:
    """Purge old records after a good run, also where no nightly run is configured.

    A database error is only logged: the next run tries again.
    """
    try:
        retention.purge()
    except DatabaseFailure as error:
        logger.warning("Old records could not be purged: %s", error)
