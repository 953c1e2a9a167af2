"""Decides which runs are due.

It goes by the database alone: two schedulers do no harm, and a missed night is made up for. A run
that began or ended in the future did so before the clock was set back, and delays nothing.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.conf import settings
from django.db.models import QuerySet

from bc_consumer.core.local_time import last_moment
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import SyncLog, SyncState

RETRY_AFTER = timedelta(minutes=15)
"""Before a nightly run, or a poll's digest, that failed is tried again."""
ASK_AGAIN_AFTER = timedelta(hours=1)
"""The same after one that needs a person: braked, or rejected by Odoo."""
DIGEST_EVERY = timedelta(hours=1)
"""Between two digests in poll mode: they find deletions and new names."""
SCAN_EVERY = timedelta(minutes=2)
"""Between two scans while one is asked for: after an event that was never confirmed, or was
refused."""
SCAN_DIGEST_EVERY = timedelta(minutes=5)
"""Between two of these scans with a digest, which alone shows what is gone. Not more often:
requests may follow each other all day, and a digest counts all of Odoo's orders and lines."""
FOR_A_PERSON = (SyncLog.Status.BRAKED, SyncLog.Status.REFUSED)
"""Statuses of a run that a person has to deal with."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run is asked to do."""

    cause: SyncLog.Cause
    full: bool = False
    """Have every order read, whatever its dates say."""
    since: datetime | None = None
    """Beginning of the window, given by hand; None: the watermark, less the overlap."""
    forced: bool = False
    """The brake on archivings does not hold, and Odoo's database is accepted as it is."""
    digest: bool = True
    asked_for: bool = False
    """A poll with a digest, because an event was missed or may have been (``scan_due_at``)."""
    unfinished: int | None = None
    """Key of the SyncLog of the nightly run to resume."""


def due() -> list[RunRequest]:
    """Return the runs that are due now: a nightly run, a poll, both, or none.

    Both, because a nightly run may have to wait for a free worker, and polls do not wait for it. A
    nightly run that has begun is due alone: a poll would take it for killed.
    """
    now = database_now()
    state = SyncState.objects.get(key=SyncState.KEY)
    run = unfinished_nightly()
    if state.is_syncing and state.lease_until is not None and state.lease_until >= now:
        handed_over_at = state.lease_until - SyncState.HAND_OVER
        waits = run is not None and state.owner == SyncState.owner_between_slices(run.pk)
        if run is not None and waits and handed_over_at < now - SyncState.SLICE_LATE:
            return [RunRequest(SyncLog.Cause.NIGHTLY, unfinished=run.pk)]
        return []
    if run is not None:
        return [RunRequest(SyncLog.Cause.NIGHTLY, unfinished=run.pk)]
    nightly = [RunRequest(SyncLog.Cause.NIGHTLY)] if nightly_is_due(now) else []
    return [*nightly, *_due_poll(now, state)]


def unfinished_nightly() -> SyncLog | None:
    """Return the nightly run that a further slice has to resume, if there is one."""
    runs = SyncLog.objects.filter(status=SyncLog.Status.RUNNING, cause=SyncLog.Cause.NIGHTLY)
    return runs.order_by("-id").first()


def nightly_is_due(now: datetime) -> bool:
    """Return whether a nightly run has to begin.

    It has to when none has been good since its time, and the last failure is long enough ago. One
    that an operator has stopped is not begun again before the next night.
    """
    at: time | None = settings.SYNC_NIGHTLY_AT
    if at is None:
        return False
    since = last_moment(now, at)
    nightly = SyncLog.objects.filter(cause=SyncLog.Cause.NIGHTLY, started_at__range=(since, now))
    over = nightly.filter(status__in=(*SyncLog.GOOD, SyncLog.Status.STOPPED))
    return not over.exists() and _may_try_again(nightly, now)


def _may_try_again(runs: QuerySet[SyncLog], now: datetime) -> bool:
    latest = runs.order_by("-id").first()
    if latest is None or latest.ended_at is None:
        return True
    for_a_person = latest.status in FOR_A_PERSON
    wait = ASK_AGAIN_AFTER if for_a_person else RETRY_AFTER
    return not now - wait <= latest.ended_at <= now


def _due_poll(now: datetime, state: SyncState) -> list[RunRequest]:
    if state.last_sync is None:
        return []  # the first load is left to a nightly run or a command
    polls = SyncLog.objects.filter(cause=SyncLog.Cause.POLL)
    latest = polls.order_by("-id").first()

    def has_passed(interval: timedelta) -> bool:
        return latest is None or not now - interval <= latest.started_at <= now

    seconds = settings.SYNC_POLL_SECONDS
    poll_is_due = seconds > 0 and has_passed(timedelta(seconds=seconds))
    if poll_is_due and _digest_is_due(now):
        return [RunRequest(SyncLog.Cause.POLL)]
    if state.scan_due_at is not None:
        if _scan_digest_is_due(now):
            return [RunRequest(SyncLog.Cause.POLL, asked_for=True)]
        poll_is_due = poll_is_due or has_passed(SCAN_EVERY)
    return [RunRequest(SyncLog.Cause.POLL, digest=False)] if poll_is_due else []


def _digest_is_due(now: datetime) -> bool:
    lately = SyncLog.objects.filter(
        digest=True, asked_for=False, started_at__range=(now - DIGEST_EVERY, now)
    )
    if lately.filter(status__in=SyncLog.GOOD, phase=SyncLog.Phase.DONE).exists():
        return False
    polls = lately.filter(cause=SyncLog.Cause.POLL).without_those_that_gave_way()
    return _may_try_again(polls, now)


def _scan_digest_is_due(now: datetime) -> bool:
    digests = SyncLog.objects.filter(digest=True).without_those_that_gave_way()
    if digests.filter(started_at__range=(now - SCAN_DIGEST_EVERY, now)).exists():
        return False
    waits_for_a_person = digests.filter(asked_for=True, status__in=FOR_A_PERSON)
    return not waits_for_a_person.filter(ended_at__range=(now - ASK_AGAIN_AFTER, now)).exists()
