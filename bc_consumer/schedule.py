"""What is due. The database decides: two schedulers do no harm, a missed night is caught up."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.conf import settings
from django.utils import timezone

from bc_consumer.database_clock import database_now
from bc_consumer.models import SyncLog, SyncState

RETRY_AFTER = timedelta(minutes=15)
"""After a nightly run that failed."""
DIGEST_EVERY = timedelta(hours=1)
"""In poll mode."""
SCAN_AFTER = timedelta(minutes=2)
"""After an event that was never confirmed, a window scan."""
GOOD = (SyncLog.Status.OK, SyncLog.Status.PARTIAL)


@dataclass(frozen=True, slots=True)
class Due:
    """One thing to do now; ``run`` is the nightly run to go on with."""

    cause: SyncLog.Cause
    run: int | None = None
    digest: bool = True


def due() -> Due | None:
    """Return what is to be done now, or None."""
    now = database_now()
    state = SyncState.objects.get(key=SyncState.KEY)
    held = state.is_syncing and state.lease_until is not None and state.lease_until >= now
    left = SyncLog.objects.filter(status=SyncLog.Status.RUNNING, cause=SyncLog.Cause.NIGHTLY)
    if held:
        return None
    if (run := left.order_by("-id").first()) is not None:
        return Due(SyncLog.Cause.NIGHTLY, run=run.pk)
    if settings.SYNC_NIGHTLY_AT is not None and _nightly_is_due(now, settings.SYNC_NIGHTLY_AT):
        return Due(SyncLog.Cause.NIGHTLY)
    return _poll_due(now, state)


def _nightly_is_due(now: datetime, at: time) -> bool:
    since = last_time(now, at)
    nightly = SyncLog.objects.filter(cause=SyncLog.Cause.NIGHTLY, started_at__gte=since)
    if nightly.filter(status__in=GOOD).exists():
        return False
    latest = nightly.order_by("-id").first()
    return latest is None or latest.ended_at is None or latest.ended_at < now - RETRY_AFTER


def last_time(now: datetime, at: time) -> datetime:
    """Return the latest moment not after ``now`` at which a nightly run was due."""
    local = timezone.localtime(now)
    today = timezone.make_aware(datetime.combine(local.date(), at))
    if today <= now:
        return today
    return timezone.make_aware(datetime.combine(local.date() - timedelta(days=1), at))


def _poll_due(now: datetime, state: SyncState) -> Due | None:
    if state.last_sync is None:
        return None  # the first load is a nightly run's or a command's
    polls = SyncLog.objects.filter(cause=SyncLog.Cause.POLL)
    latest = polls.order_by("-id").first()
    scan_wanted = state.scan_due_at is not None and state.scan_due_at < now - SCAN_AFTER
    seconds = settings.SYNC_POLL_SECONDS
    by_time = seconds > 0 and (
        latest is None or latest.started_at < now - timedelta(seconds=seconds)
    )
    if not by_time and not scan_wanted:
        return None
    digests = polls.filter(digest=True, status__in=GOOD, started_at__gte=now - DIGEST_EVERY)
    return Due(SyncLog.Cause.POLL, digest=by_time and not digests.exists())
