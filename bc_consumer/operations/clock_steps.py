"""Repairs moments left in the future when the database's clock was set back.

Leases and due times are on the database's clock, which may be set back: by hand, by NTP, by a
failover to another machine. What was to end in a minute would then end in an hour. But a moment
further ahead than any wait that is ever scheduled must have been written before the step, and a
moment that is in the past by nature (a mark, a heartbeat, a start) can't be in the future. Where a
single row decides, the statement that reads it allows for this (``circuit_breaker``,
``call_slots``, ``announcer``, ``schedule``); the heartbeat threads repair everything else
every few seconds. A lease is shortened rather than ended: its holder may well be alive and renew
it.

Early looks and scans end after a given time. A clock set forward ends them too soon, and one set
back while a run starts makes them cover the wrong period, so a step in either direction requests
scans.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import CopyOrigin, Heartbeat, OperatorAction, PendingBC, SyncState
from bc_consumer.operations import action_claims

logger = logging.getLogger(__name__)

MARGIN = timedelta(seconds=2)
"""How far ahead a moment may lie without a step: statements run concurrently."""
PAST = (
    "first_marked_at", "last_marked_at", "owed_since", "shown_at", "held_at", "first_failed_at",
    "failed_at",
)  # fmt: skip
"""Columns that can't be in the future."""
AT_ONCE = 1000
"""Rows of the ledger repaired per transaction."""


class StepWatch:
    """Detects steps of the database's clock by comparing it with the machine's monotonic clock.

    Use one per thread. Suspending the machine looks like a step forward.
    """

    def __init__(self) -> None:
        self._before: tuple[float, datetime] | None = None

    def step(self) -> timedelta:
        """Return by how much the clock was set since the last call; zero if within ``MARGIN``."""
        asked = time.monotonic()
        now = database_now()
        # The statement may have waited in between, so the step is the smallest that explains both.
        answered, before = time.monotonic(), self._before
        self._before = answered, now
        if before is None:
            return timedelta(0)
        passed = now - before[1]
        longest = timedelta(seconds=answered - before[0])
        shortest = timedelta(seconds=asked - before[0])
        step = passed - longest if passed > longest else min(passed - shortest, timedelta(0))
        return step if abs(step) > MARGIN else timedelta(0)


def repair_future_moments(step: timedelta = timedelta(0)) -> None:
    """Repair what lies ahead; if nothing does, a few statements on small tables and on indexes.

    ``step``: by how much the clock was just set, as far as the caller knows.
    """
    beats_ahead = Heartbeat.objects.filter(at__gt=Now() + MARGIN).update(at=Now())
    if step or beats_ahead:
        logger.warning("The database's clock was changed: scans are requested")
        SyncState.request_scan()
    lease = timedelta(seconds=settings.SYNC_LEASE_SECONDS)
    state = SyncState.objects.filter(key=SyncState.KEY)
    too_long = Q(lease_until__gt=Now() + lease + MARGIN) & ~Q(
        owner__startswith=SyncState.BETWEEN_SLICES
    )
    too_long |= Q(lease_until__gt=Now() + SyncState.HAND_OVER + MARGIN)
    state.filter(too_long).update(lease_until=Now() + lease)
    actions = action_claims.unfinished()
    for status, longest in (
        (OperatorAction.Status.RUNNING, action_claims.LEASE),
        (OperatorAction.Status.ASKED, action_claims.EXPIRES_AFTER),
    ):
        too_late = actions.filter(status=status, lease_until__gt=Now() + longest + MARGIN)
        too_late.update(lease_until=Now() + longest)
    actions.filter(asked_at__gt=Now() + MARGIN).update(asked_at=Now())
    state.filter(scan_due_at__gt=Now() + MARGIN).update(scan_due_at=Now())
    state.filter(webhook_at__gt=Now() + MARGIN).update(webhook_at=Now())
    if beats_ahead or step < timedelta(0) or _ledger_is_ahead():
        CopyOrigin.objects.filter(fields_changed_at__gt=Now() + MARGIN).update(
            fields_changed_at=Now()
        )
        _set_ledger_right()


def longest_wait() -> timedelta:
    """Return how long after its mark, or its look, a row of the ledger may be due at the latest."""
    retry = ledger.RETRY_SECONDS * 2 ** max(settings.MAX_ATTEMPTS - 2, 0)
    last_look = max(*settings.EARLY_LOOKS, settings.ODOO_LONGEST_TRANSACTION_SECONDS)
    return timedelta(seconds=max(retry, last_look, circuit_breaker.REFUSED_PAUSE_SECONDS))


def _longest_wait_of_owed() -> timedelta:
    """Return how far ahead a row that is owed may be due at most: no early look is planned for it.

    A webhook before Odoo's commit puts it off for the first look, a failure for the next attempt.
    """
    retry = ledger.RETRY_SECONDS * 2 ** max(settings.MAX_ATTEMPTS - 2, 0)
    first_look = min(settings.EARLY_LOOKS, default=0.0)
    return timedelta(seconds=max(retry, first_look, circuit_breaker.REFUSED_PAUSE_SECONDS))


def _ledger_is_ahead() -> bool:
    """Return whether the two latest moments, each at the end of an index, lie too far ahead."""
    claimable = PendingBC.objects.filter(failed_at__isnull=True, held_reason="")
    free = claimable.filter(claim_token__isnull=True).aggregate(latest=Max("due_at"))["latest"]
    claimed = PendingBC.objects.filter(claim_token__isnull=False)
    lease = claimed.aggregate(latest=Max("claimed_until"))["latest"]
    now = database_now()
    ahead_of_any_wait = free is not None and free > now + longest_wait() + MARGIN
    return ahead_of_any_wait or (lease is not None and lease > now + _lease() + MARGIN)


def _lease() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


def _set_ledger_right() -> None:
    now = database_now()
    count = 0
    for ids in _ids_ahead(now):
        with transaction.atomic():
            locked = PendingBC.objects.select_for_update().filter(odoo_id__in=ids)
            rows = list(locked.order_by("odoo_id"))
            for row in rows:
                _set_row_right(row, now)
            PendingBC.objects.bulk_update(rows, (*PAST, "due_at", "sent_at", "claimed_until"))
        count += len(rows)
    if count:
        logger.warning("The database's clock was set back: %d orders were rescheduled", count)


def _ids_ahead(now: datetime) -> Iterator[Sequence[int]]:
    """Yield, in slices, the ids of rows with an impossible moment."""
    ahead = PendingBC.objects.filter(
        Q(last_marked_at__gt=now + MARGIN)
        | Q(owed_since__gt=now + MARGIN)
        | Q(due_at__gt=now + longest_wait() + MARGIN)
        | Q(
            due_at__gt=now + _longest_wait_of_owed() + MARGIN,
            generation__gt=F("fetched_generation"),
        )
        | Q(claimed_until__gt=now + _lease() + MARGIN)
    ).order_by("odoo_id")
    last = 0
    while ids := list(ahead.filter(odoo_id__gt=last).values_list("odoo_id", flat=True)[:AT_ONCE]):
        yield ids
        last = ids[-1]


def _set_row_right(row: PendingBC, now: datetime) -> None:
    """Shift the row as the clock was shifted if that can be derived; otherwise it is due now."""
    if row.last_marked_at > now:
        later = row.due_at - row.last_marked_at
        row.due_at, row.sent_at = now + min(max(later, -longest_wait()), longest_wait()), None
    owed = row.generation > row.fetched_generation
    if row.due_at > now + (_longest_wait_of_owed() if owed else longest_wait()):
        row.due_at = now
    for name in PAST:
        if (moment := getattr(row, name)) is not None:
            setattr(row, name, min(moment, now))
    if row.claimed_until is not None:
        row.claimed_until = min(row.claimed_until, now + _lease())
