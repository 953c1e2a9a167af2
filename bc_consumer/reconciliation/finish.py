"""What people are told of a run that has ended: one line, and alerts."""

import logging
from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core.redaction import redacted
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import Message, joined, ngettext, verbatim
from bc_consumer.core.translatable import gettext as _
from bc_consumer.installation.webhook_address import polls_alone
from bc_consumer.models import BC, JournalEntry, PendingBC, SyncLog, SyncState
from bc_consumer.operations import retention
from bc_consumer.operations.alerts import alert, over
from bc_consumer.refresh import archive_brake
from bc_consumer.refresh.batch import REFUSED

logger = logging.getLogger(__name__)
Status = SyncLog.Status
Cause = SyncLog.Cause

NOTHING = verbatim("")
SAME_DATE = "same date"
"""The key of an alert."""
POLL_MAY_FAIL_FOR = timedelta(minutes=5)
"""Before people are told: Odoo restarts now and then."""


OWN_COLUMNS = (
    "status", "ended_at", "window_until", "phase", "cursor", "found_by_window", "found_by_digest",
    "found_by_names", "scrubbed", "notes", "error", "traceback",
)  # fmt: skip
"""What the process that is at a run writes; to the other columns each look adds its share."""


SUMMARISED = (
    "bc_count", "applied", "archived", "held", "error_count", "line_count", "lines_deleted",
    "missed_by_webhooks", "odoo_calls",
)  # fmt: skip


def connection_was_lost(error: Exception) -> bool:
    """Whether it is no statement's fault: the server ended the connection, or can't be reached.

    psycopg2 has no code for a connection that breaks; class 57P is a server that shuts down or
    starts.
    """
    if isinstance(error, InterfaceError):
        return True
    code = getattr(error.__cause__, "pgcode", "not of PostgreSQL")
    return isinstance(error, OperationalError) and (code is None or code.startswith("57P"))


def save(run: SyncLog, more: Mapping[str, int]) -> bool:
    """Keep a run's own columns, and add ``more`` to others; False when it is no longer running.

    Then it was ended by somebody else, while this process had lost the lock, and stays as it is.
    """
    run.notes, run.error = redacted(run.notes), redacted(run.error)
    run.traceback = redacted(run.traceback)
    columns = {name: getattr(run, name) for name in OWN_COLUMNS}
    added = {name: F(name) + count for name, count in more.items()}
    running = SyncLog.objects.filter(pk=run.pk, status=Status.RUNNING)
    return running.update(**columns, **added) > 0


def waiting_in_vain(run: SyncLog) -> QuerySet[PendingBC]:
    """Return the orders of this run that wait for one which was given up or is held."""
    return PendingBC.objects.filter(ledger.in_vain(), run=run.pk)


def verdict(run: SyncLog) -> tuple[SyncLog.Status, Message]:
    """Say how a run that went through all its phases has ended."""
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


def purge_what_is_old() -> None:
    """Purge after a good run, also where no nightly one is wanted; the next one tries again."""
    try:
        retention.purge()
    except DatabaseError as error:
        logger.warning("What is old could not be purged: %s", error)


def summary(run: SyncLog) -> Message:
    """Say in one line how a run ended and what it did."""
    line = _(
        "%(status)s: %(bc_count)s reads of orders, %(applied)s applied, %(archived)s archived,"
        " %(held)s held, %(error_count)s failed, %(line_count)s lines written,"
        " %(lines_deleted)s deleted, %(missed_by_webhooks)s missed by webhooks,"
        " %(odoo_calls)s calls to Odoo",
        status=_(run.status),  # the statuses' labels are the same words
        **{name: getattr(run, name) for name in SUMMARISED},
    )
    return joined(". ", line, _same_date(run), run.error)


def _same_date(run: SyncLog) -> Message:
    if not run.same_date:
        return NOTHING
    return ngettext(
        "%(count)s difference under the same date",
        "%(count)s differences under the same date",
        run.same_date,
    )


def _went_well_lately() -> bool:
    """Whether a poll, or a run, did: one failure among many needs nobody."""
    return SyncLog.objects.filter(
        status__in=SyncLog.GOOD, ended_at__range=(Now() - POLL_MAY_FAIL_FOR, Now())
    ).exists()


def _take_back_alerts() -> None:
    """What a digest without trouble has shown to be over."""
    if not PendingBC.objects.exclude(held_reason="").exists():
        over(archive_brake.KEY)
    if not BC.objects.filter(forbidden_at__isnull=False).exists():
        over("forbidden")


def _tell_of_the_scrub(run: SyncLog) -> None:
    """Whatever became of the run otherwise: what it put right is found by no other."""
    if run.same_date:
        alert(
            SAME_DATE,
            ngettext(
                "%(count)s order differed under the same date",
                "%(count)s orders differed under the same date",
                run.same_date,
            ),
            _(
                "Run %(run)s compared the content of %(scrubbed)s orders, and has put right those"
                " that differed although neither their own date nor a line's had moved. Something"
                " changed them by SQL in Odoo, or by hand in the copy's tables; or it is a field"
                " that Odoo computes and does not store, or a name whose change this account can't"
                " follow. Which, the journal tells: entries of this run with the cause «scrub».",
                run=run.pk,
                scrubbed=run.scrubbed,
            ),
        )
    elif run.scrubbed and run.status in SyncLog.GOOD:
        over(SAME_DATE)


def alert_about(run: SyncLog) -> None:
    """Alert people to what needs them; take back what is over."""
    _tell_of_the_scrub(run)
    if run.error == SyncLog.INTERRUPTED:
        return  # whoever did it knows
    is_poll = run.cause == Cause.POLL
    key = "poll failed" if is_poll else "run failed"
    if run.status == Status.REFUSED:
        # The workers are refused as well: one mail is enough.
        alert(REFUSED, _("Odoo refuses us"), summary(run))
    elif run.status == Status.FAILED:
        if not (is_poll and _went_well_lately()):
            alert(
                key, _("a poll failed") if is_poll else _("a reconciliation failed"), summary(run)
            )
    elif run.status in SyncLog.GOOD:
        over(key)
        over(REFUSED)
        if run.status == Status.OK and run.digest:
            _take_back_alerts()
    if run.cause == Cause.NIGHTLY and run.window_since is not None:
        if run.missed_by_webhooks > settings.ALERT_MISSED and not polls_alone():
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
        else:
            over("missed by webhooks")


def forget_requested_scan(run: SyncLog) -> None:
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
