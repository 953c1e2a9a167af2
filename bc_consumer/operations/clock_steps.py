"""Sets right what the database's clock, set back, has left ahead.

Leases and due moments are the database's clock, and that may be set back: by hand, by NTP, by a
failover to another machine. What was to end in a minute then ends in an hour. But a moment that is
further ahead than the longest wait anybody asks for was written before, and what lies in the past
by its nature (a mark, a beat, a start) does not lie ahead. Where one row decides, the statement
that reads it knows this (``circuit_breaker``, ``call_slots``, ``change_publisher``,
``schedule``); the rest is set right here, every few seconds, by the hearts. A lease is shortened
and not ended: its holder may well be alive, and renews it.

Looks and scans end when so much time has passed. A clock that is set forward ends them early, one
that is set back while a run begins ends them for another time: so a step in either direction has
scans asked for.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import CopyOrigin, Heartbeat, PendingBC, SyncState

logger = logging.getLogger(__name__)

MARGIN = timedelta(seconds=2)
"""What a moment may lie ahead without a reason: statements that run beside each other."""
PAST = (
    "first_marked_at", "last_marked_at", "owed_since", "shown_at", "held_at", "first_failed_at",
    "failed_at",
)  # fmt: skip
"""What can't lie ahead."""
AT_ONCE = 1000
"""Rows of the ledger set right in one transaction."""


class StepWatch:
    """Tells a step of the database's clock by the machine's own, which nobody sets.

    One for each thread that asks. A machine that is put to sleep looks like a step forward.
    """

    def __init__(self) -> None:
        self._before: tuple[float, datetime] | None = None

    def step(self) -> timedelta:
        """Return by how much the clock was set since the last call; nothing within ``MARGIN``."""
        asked = time.monotonic()
        now = database_now()
        # Between the two the statement may have waited: the step is the least that explains both.
        answered, before = time.monotonic(), self._before
        self._before = answered, now
        if before is None:
            return timedelta(0)
        passed = now - before[1]
        longest = timedelta(seconds=answered - before[0])
        shortest = timedelta(seconds=asked - before[0])
        step = passed - longest if passed > longest else min(passed - shortest, timedelta(0))
        return step if abs(step) > MARGIN else timedelta(0)


def set_right(step: timedelta = timedelta(0)) -> None:
    """Do it; a few statements on small tables and on indexes, when nothing is to be done.

    ``step``: by how much the clock was set just now, as far as the caller knows.
    """
    beats_ahead = Heartbeat.objects.filter(at__gt=Now() + MARGIN).update(at=Now())
    if step or beats_ahead:
        logger.warning("The database's clock was set: scans are asked for")
        SyncState.request_scan()
    lease = timedelta(seconds=settings.SYNC_LEASE_SECONDS)
    state = SyncState.objects.filter(key=SyncState.KEY)
    too_long = Q(lease_until__gt=Now() + lease + MARGIN) & ~Q(
        owner__startswith=SyncState.BETWEEN_SLICES
    )
    too_long |= Q(lease_until__gt=Now() + SyncState.HAND_OVER + MARGIN)
    state.filter(too_long).update(lease_until=Now() + lease)
    state.filter(scan_due_at__gt=Now() + MARGIN).update(scan_due_at=Now())
    if beats_ahead or step < timedelta(0) or _ledger_is_ahead():
        CopyOrigin.objects.filter(fields_changed_at__gt=Now() + MARGIN).update(
            fields_changed_at=Now()
        )
        _set_ledger_right()


def longest_wait() -> timedelta:
    """Return how long after its mark, or its look, a row of the ledger may be due at most."""
    retry = ledger.RETRY_SECONDS * 2 ** max(settings.MAX_ATTEMPTS - 2, 0)
    last_look = max(*settings.EARLY_LOOKS, settings.ODOO_LONGEST_TRANSACTION_SECONDS)
    return timedelta(seconds=max(retry, last_look, circuit_breaker.REFUSED_PAUSE_SECONDS))


def _ledger_is_ahead() -> bool:
    """Tell by the two latest moments, each the end of an index."""
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
        logger.warning("The database's clock was set back: %d orders are not left waiting", count)


def _ids_ahead(now: datetime) -> Iterator[Sequence[int]]:
    """Give the rows with a moment that can't be: whatever was pending when the clock was set."""
    ahead = PendingBC.objects.filter(
        Q(last_marked_at__gt=now + MARGIN)
        | Q(owed_since__gt=now + MARGIN)
        | Q(due_at__gt=now + longest_wait() + MARGIN)
        | Q(claimed_until__gt=now + _lease() + MARGIN)
    ).order_by("odoo_id")
    last = 0
    while ids := list(ahead.filter(odoo_id__gt=last).values_list("odoo_id", flat=True)[:AT_ONCE]):
        yield ids
        last = ids[-1]


def _set_row_right(row: PendingBC, now: datetime) -> None:
    """Move it as far as the clock was moved, where that can be told; else it is due now."""
    if row.last_marked_at > now:
        later = row.due_at - row.last_marked_at
        row.due_at, row.sent_at = now + min(max(later, -longest_wait()), longest_wait()), None
    if row.due_at > now + longest_wait():
        row.due_at = now
    for name in PAST:
        if (moment := getattr(row, name)) is not None:
            setattr(row, name, min(moment, now))
    if row.claimed_until is not None:
        row.claimed_until = min(row.claimed_until, now + _lease())
