"""Whether the copy equals Odoo: what the reconciliations found, the one at work, the next one.

A run puts right what it finds to differ, so a completed run shows how equal the copy was before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from bc_consumer import ledger
from bc_consumer.core.cached_value import (
    ACTED_UPON_SECONDS,
    SMALL_SHARE,
    SMALL_SHARE_LONGEST_SECONDS,
    CachedValue,
)
from bc_consumer.core.local_time import last_moment, local_day, moment_of, next_moment
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import SyncLog, SyncState

Status = SyncLog.Status
FAILED = Q(status__in=(Status.FAILED, Status.REFUSED))
BRAKED = Q(status=Status.BRAKED)
"""Of a run that went through all its phases: the brake held some orders but did not stop the run.
"""

NIGHTS = 30
MOST_RUNS = 1000
"""Of those nights; one has a run, or a few if some failed."""


@dataclass(frozen=True, slots=True)
class CompletedRun:
    """A run that compared all of the copy and went through all its phases."""

    key: int
    """Of its SyncLog."""
    cause: str
    status: str
    started_at: datetime
    ended_at: datetime
    found_by_window: int
    found_by_digest: int
    found_by_names: int
    same_date: int
    missed_by_webhooks: int
    failed: int
    """Orders that differ still, since they can't be read."""
    held: int
    """Orders that differ still, since their archiving waits for a decision."""
    is_first_load: bool
    """It read every order of a copy that had none: what it found is no difference."""

    @property
    def differences(self) -> int:
        """How many orders it found to differ; one may be counted under several figures."""
        return self.found_by_window + self.found_by_digest + self.found_by_names + self.same_date


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """A run that ended before it had compared everything."""

    key: int
    cause: str
    status: str
    ended_at: datetime
    error: str
    """As it is stored: ``translatable_field.said`` makes it readable."""


@dataclass(frozen=True, slots=True)
class RunAtWork:
    """The run that is going on, and how far it is."""

    key: int
    cause: str
    started_at: datetime
    seconds: float
    phase: str
    """One of ``SyncLog.Phase``, or "names of " and a model."""
    cursor: int
    """The last order id that this phase has seen."""
    reads: int
    outstanding: int
    """Orders that it has marked and that are still to be fetched."""


@dataclass(frozen=True, slots=True)
class NextRun:
    """When the next runs are due."""

    nightly_at: datetime | None
    """In the past if it is due already; None: no nightly run is configured."""
    poll_seconds: float
    """Between two polls; 0: none."""
    scan_requested_at: datetime | None
    """An event was missed, or may have been: scans are due until everything up to this moment is
    covered."""


@dataclass(frozen=True, slots=True)
class Correctness:
    """The evidence for whether the copy equals Odoo."""

    now: datetime
    """The database's time when this was read."""
    complete_up_to: datetime | None
    """On Odoo's clock; None: nothing was loaded yet."""
    completed: CompletedRun | None
    """The latest one."""
    unfinished: UnfinishedRun | None
    """The latest one, if it began after the completed one."""
    at_work: RunAtWork | None
    next: NextRun


@dataclass(frozen=True, slots=True)
class Night:
    """What the nightly runs of one night found; one bar of the chart."""

    day: date
    """On which they began, in the project's time zone."""
    ran: bool
    """Whether a run was completed."""
    missed_by_webhooks: int
    differences: int


def _correctness() -> Correctness:
    now = database_now()
    state = SyncState.objects.get(key=SyncState.KEY)
    completed = _with_digest().filter(phase=SyncLog.Phase.DONE).exclude(FAILED).first()
    later = _with_digest()
    if completed is not None:
        later = later.filter(started_at__gt=completed.started_at)
    unfinished = later.filter(FAILED | BRAKED).first()
    return Correctness(
        now=now,
        complete_up_to=state.last_sync,
        completed=None if completed is None else _completed(completed),
        unfinished=None if unfinished is None else _unfinished(unfinished),
        at_work=_at_work(now) if _is_locked(state, now) else None,
        next=NextRun(
            nightly_at=_next_nightly(now),
            poll_seconds=float(settings.SYNC_POLL_SECONDS),
            scan_requested_at=state.scan_due_at,
        ),
    )


def _is_locked(state: SyncState, now: datetime) -> bool:
    """Return whether a living process has the lock: a killed one's lease ends."""
    return state.is_syncing and state.lease_until is not None and state.lease_until >= now


def _with_digest() -> "QuerySet[SyncLog]":
    """Return the ended runs that compare everything, latest first.

    Scans that an event asked for are left out: they check neither names nor older mappings.
    """
    ended = SyncLog.objects.filter(digest=True, asked_for=False, ended_at__isnull=False)
    return ended.order_by("-started_at")


def _completed(run: SyncLog) -> CompletedRun:
    return CompletedRun(
        key=run.pk,
        cause=run.cause,
        status=run.status,
        started_at=run.started_at,
        ended_at=run.ended_at or run.started_at,
        found_by_window=run.found_by_window,
        found_by_digest=run.found_by_digest,
        found_by_names=run.found_by_names,
        same_date=run.same_date,
        missed_by_webhooks=run.missed_by_webhooks,
        failed=run.error_count,
        held=run.held,
        is_first_load=run.window_since is None,
    )


def _unfinished(run: SyncLog) -> UnfinishedRun:
    ended_at = run.ended_at or run.started_at
    return UnfinishedRun(run.pk, run.cause, run.status, ended_at, run.error)


def _at_work(now: datetime) -> RunAtWork | None:
    run = SyncLog.objects.filter(status=Status.RUNNING).order_by("-id").first()
    if run is None:
        return None
    return RunAtWork(
        key=run.pk,
        cause=run.cause,
        started_at=run.started_at,
        seconds=max((now - run.started_at).total_seconds(), 0.0),
        phase=run.phase,
        cursor=run.cursor,
        reads=run.bc_count,
        outstanding=ledger.outstanding(run.pk),
    )


def _next_nightly(now: datetime) -> datetime | None:
    """Return when the next nightly run is due; its time has passed if none was good since then."""
    at: time | None = settings.SYNC_NIGHTLY_AT
    if at is None:
        return None
    since = last_moment(now, at)
    nightly = SyncLog.objects.filter(
        digest=True, cause=SyncLog.Cause.NIGHTLY, started_at__range=(since, now)
    )
    return next_moment(now, at) if nightly.filter(status__in=SyncLog.GOOD).exists() else since


def _missed_by_night() -> Sequence[Night]:
    today = local_day(database_now())
    days = [today - timedelta(days=ago) for ago in reversed(range(NIGHTS))]
    runs = SyncLog.objects.filter(
        digest=True,
        cause=SyncLog.Cause.NIGHTLY,
        started_at__gte=moment_of(days[0], time.min),
        ended_at__isnull=False,
    )
    by_day: dict[date, list[SyncLog]] = {}
    for run in runs.order_by("-started_at")[:MOST_RUNS]:
        by_day.setdefault(local_day(run.started_at), []).append(run)
    return [_night(day, by_day.get(day, [])) for day in days]


def _night(day: date, runs: Sequence[SyncLog]) -> Night:
    completed = [_completed(run) for run in runs]
    return Night(
        day=day,
        ran=any(run.phase == SyncLog.Phase.DONE for run in runs),
        missed_by_webhooks=sum(run.missed_by_webhooks for run in completed),
        differences=sum(run.differences for run in completed),
    )


correctness = CachedValue(_correctness, share=SMALL_SHARE, longest=ACTED_UPON_SECONDS)
missed_by_night = CachedValue(
    _missed_by_night, share=SMALL_SHARE, longest=SMALL_SHARE_LONGEST_SECONDS
)
