"""What is due. The database decides: two schedulers do no harm, a missed night is caught up.

What has begun or ended in the future did so before the clock was set back, and hinders nothing.
"""

import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import SyncLog, SyncState

RETRY_AFTER = timedelta(minutes=15)
"""After a nightly run, or a poll's digest, that failed."""
ASK_AGAIN_AFTER = timedelta(hours=1)
"""After one that waits for a person: braked, or refused by Odoo."""
DIGEST_EVERY = timedelta(hours=1)
"""In poll mode."""
SCAN_EVERY = timedelta(minutes=2)
"""While a scan is wanted: after an event that was never confirmed, or was refused."""
SCAN_DIGEST_EVERY = timedelta(minutes=5)
"""Meanwhile, for what is gone, which no window shows. No oftener, for requests may follow each
other all day, and a digest counts through all of Odoo's orders and lines."""
FOR_A_PERSON = (SyncLog.Status.BRAKED, SyncLog.Status.REFUSED)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run is asked for."""

    cause: SyncLog.Cause
    full: bool = False
    since: datetime | None = None
    forced: bool = False
    digest: bool = True
    asked_for: bool = False
    """A poll, with a digest, because an event was missed or may have been (``scan_due_at``)."""
    unfinished: int | None = None
    """The nightly run to go on with, by the key of its SyncLog."""


def due() -> list[RunRequest]:
    """Return what is to be done now: a nightly run, a poll, or both.

    Both, for a nightly run may have to wait for a worker, and polls don't wait for that. One that
    has begun is alone: a poll would take it for killed.
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
    return [*nightly, *_poll_due(now, state)]


def unfinished_nightly() -> SyncLog | None:
    """Return the nightly run that some slice has to go on with, if there is one."""
    runs = SyncLog.objects.filter(status=SyncLog.Status.RUNNING, cause=SyncLog.Cause.NIGHTLY)
    return runs.order_by("-id").first()


def nightly_is_due(now: datetime) -> bool:
    """Tell whether a nightly run has to begin: none since its time went well, or may yet."""
    at: time | None = settings.SYNC_NIGHTLY_AT
    if at is None:
        return False
    since = last_time(now, at)
    nightly = SyncLog.objects.filter(cause=SyncLog.Cause.NIGHTLY, started_at__range=(since, now))
    return not nightly.filter(status__in=SyncLog.GOOD).exists() and _may_try_again(nightly, now)


def _may_try_again(runs: QuerySet[SyncLog], now: datetime) -> bool:
    latest = runs.order_by("-id").first()
    if latest is None or latest.ended_at is None:
        return True
    for_a_person = latest.status in FOR_A_PERSON
    wait = ASK_AGAIN_AFTER if for_a_person else RETRY_AFTER
    return not now - wait <= latest.ended_at <= now


def last_time(now: datetime, at: time) -> datetime:
    """Return the latest moment not after ``now`` at which a nightly run was due.

    Whatever asks for the nightly run goes by this: leave a day out here, and none is due on it.
    """
    today = timezone.localtime(now).date()
    days = (today - timedelta(days=ago) for ago in itertools.count())
    moments = (_moment(day, at) for day in days)
    return next(moment for moment in moments if moment <= now)


def _moment(day: date, at: time) -> datetime:
    """Return it in UTC: a moment that the clocks skip, or repeat, is equal to none in another zone.

    Skipped, it is as if they had not been changed; repeated, the first one.
    """
    return timezone.make_aware(datetime.combine(day, at)).astimezone(UTC)


def _poll_due(now: datetime, state: SyncState) -> list[RunRequest]:
    if state.last_sync is None:
        return []  # the first load is a nightly run's or a command's
    polls = SyncLog.objects.filter(cause=SyncLog.Cause.POLL)
    latest = polls.order_by("-id").first()

    def passed(interval: timedelta) -> bool:
        return latest is None or not now - interval <= latest.started_at <= now

    seconds = settings.SYNC_POLL_SECONDS
    by_time = seconds > 0 and passed(timedelta(seconds=seconds))
    if by_time and _digest_is_due(now):
        return [RunRequest(SyncLog.Cause.POLL)]
    if state.scan_due_at is not None:
        if _scan_digest_is_due(now):
            return [RunRequest(SyncLog.Cause.POLL, asked_for=True)]
        by_time = by_time or passed(SCAN_EVERY)
    return [RunRequest(SyncLog.Cause.POLL, digest=False)] if by_time else []


def _digest_is_due(now: datetime) -> bool:
    lately = SyncLog.objects.filter(
        digest=True, asked_for=False, started_at__range=(now - DIGEST_EVERY, now)
    )
    if lately.filter(status__in=SyncLog.GOOD, phase=SyncLog.DONE).exists():
        return False
    polls = lately.filter(cause=SyncLog.Cause.POLL).exclude(error=SyncLog.GAVE_WAY)
    return _may_try_again(polls, now)


def _scan_digest_is_due(now: datetime) -> bool:
    digests = SyncLog.objects.filter(digest=True).exclude(error=SyncLog.GAVE_WAY)
    if digests.filter(started_at__range=(now - SCAN_DIGEST_EVERY, now)).exists():
        return False
    waits_for_a_person = digests.filter(asked_for=True, status__in=FOR_A_PERSON)
    return not waits_for_a_person.filter(ended_at__range=(now - ASK_AGAIN_AFTER, now)).exists()
