"""Limits on calls to Odoo that all processes of a deployment share through rows in PostgreSQL.

A call takes one of ``ODOO_CONCURRENT_CALLS`` rows with one statement and frees it with another.
Each row is leased: the slots of a killed process become free when its leases end, or as soon as its
death is noticed. A slot that cannot be freed because the database is away is freed once the
database answers again. Each statement is a transaction of its own, so PgBouncer in transaction mode
works, and commits asynchronously: the leases that a crash of PostgreSQL loses have ended by the
time it is back. SQLite serves a single process, whose own limits suffice.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models.functions import Now

from bc_consumer.core import process_state
from bc_consumer.ledger.circuit_breaker import PACE_ID
from bc_consumer.models import CallSlot, Pace
from bc_consumer.odoo.calls_at_once import CallLimits, ProcessCallLimits, busy_error, wait_or_stop

logger = logging.getLogger(__name__)

SHORTEST_LOOK, LONGEST_LOOK = 0.01, 0.1
"""Seconds between two attempts to take a slot. The delay grows from the shortest to the longest
and is randomized, so that waiting threads do not try in step."""
LEASE_MARGIN_SECONDS = 5.0
"""Added to a call's own timeout: a lease must not end while its call is still running."""
TABLE = CallSlot._meta.db_table
Slot = tuple[int, datetime]
_unreleased_slots: deque[Slot] = deque()
"""Slots that this process could not free because the database was away."""


def give_back_what_was_left() -> None:
    """Free the slots that could not be freed before.

    Raises Django's DatabaseError or InterfaceError while the database is away.
    """
    while _unreleased_slots:
        slot = _unreleased_slots.popleft()
        try:
            _free(slot)
        except BaseException:
            _unreleased_slots.append(slot)
            raise


def free_slots_of(number: int) -> int:
    """Free the slots of a dead process, given its number; return how many there were."""
    return CallSlot.objects.filter(owner=number).update(taken_until=Now(), owner=None)


def call_limits(stop: threading.Event) -> CallLimits:
    """Return the limits of calls to Odoo: shared on PostgreSQL, this process's own on SQLite."""
    if connection.vendor != "postgresql":
        return ProcessCallLimits(
            settings.ODOO_CONCURRENT_CALLS, settings.ODOO_CALLS_PER_SECOND, stop
        )
    return SharedCallLimits(stop)


class SharedCallLimits:
    """Enforces the limits of the whole deployment. Thread-safe.

    While the database is away, or inside an open transaction (which would keep the slot's row
    locked until it ends), only the limits of this process apply: being polite to Odoo is no reason
    to fail.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        # Keeps the number of threads that ask the database for a slot at the number of slots.
        self._process = ProcessCallLimits(settings.ODOO_CONCURRENT_CALLS, 0.0, stop)
        self._rows_made = False

    @contextmanager
    def __call__(self, seconds: float) -> Iterator[None]:
        """Hold a slot for the block: wait for a free one, then for this call's start time.

        Raises OdooBusy when that takes longer than ``seconds``.
        """
        until = time.monotonic() + seconds
        with self._process(seconds):
            slot = self._take(until)
            try:
                yield
            finally:
                _give_back(slot)

    def _take(self, until: float) -> Slot | None:
        if connection.in_atomic_block:
            return None
        slot = None
        try:
            give_back_what_was_left()
            slot = self._wait_for_slot(until)
            delay = _take_moment(until) if settings.ODOO_CALLS_PER_SECOND else 0.0
            wait_or_stop(delay, self._stop)
        except DatabaseFailure as error:
            logger.warning("The limits on calls to Odoo apply per process for now: %s", error)
            connection.close()
        except BaseException:
            _give_back(slot)
            raise
        return slot

    def _wait_for_slot(self, until: float) -> Slot:
        look = SHORTEST_LOOK
        while (slot := _take_free_slot(_lease_seconds(until))) is None:
            if not self._rows_made:
                _make_slots()
                self._rows_made = True
                continue
            if time.monotonic() >= until:
                raise busy_error()
            wait_or_stop(look * random.uniform(0.5, 1.0), self._stop)  # noqa: S311 (no secret)
            look = min(look * 1.5, LONGEST_LOOK)
        return slot


def _lease_seconds(until: float) -> float:
    """Return a lease's length in seconds: the wait for the call's start time, and the call."""
    wait = max(until - time.monotonic(), 0.0) if settings.ODOO_CALLS_PER_SECOND else 0.0
    return float(wait + settings.ODOO_TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS)


def _longest_lead_seconds() -> float:
    """Return the greatest number of seconds that a lease's end can lie ahead.

    If it lies further ahead, the database's clock was set back. The same holds for a call's start
    time, for which no call waits longer than its own deadline.
    """
    return float(2 * settings.ODOO_TIMEOUT_SECONDS + 2 * LEASE_MARGIN_SECONDS)


def _take_free_slot(lease: float) -> Slot | None:
    statement = f"""
        WITH free AS MATERIALIZED (
            SELECT id FROM {TABLE} WHERE id <= %s AND (taken_until <= statement_timestamp()
                OR taken_until > statement_timestamp() + %s * interval '1 second')
            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        UPDATE {TABLE}
        SET taken_until = statement_timestamp() + %s * interval '1 second', owner = %s
        WHERE id IN (SELECT id FROM free)
        RETURNING id, taken_until, set_config('synchronous_commit', 'off', true)"""
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            [
                settings.ODOO_CONCURRENT_CALLS,
                _longest_lead_seconds(),
                lease,
                process_state.process_number(),
            ],
        )
        found = cursor.fetchone()
    return None if found is None else (found[0], found[1])


def _make_slots() -> None:
    """Insert the missing ones of the ``ODOO_CONCURRENT_CALLS`` rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} (id, taken_until)"
            " SELECT number, statement_timestamp() FROM generate_series(1, %s) AS number"
            " ON CONFLICT DO NOTHING",
            [settings.ODOO_CONCURRENT_CALLS],
        )


def _give_back(slot: Slot | None) -> None:
    """Free the slot, or remember it for later while the database is away."""
    if slot is None:
        return
    try:
        _free(slot)
    except DatabaseFailure as error:
        logger.warning("Call slot %d will be freed once the database is back: %s", slot[0], error)
        connection.close()
        _unreleased_slots.append(slot)


def _free(slot: Slot) -> None:
    """Free the slot if this process still holds it."""
    number, taken_until = slot
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {TABLE} SET taken_until = statement_timestamp(), owner = NULL"
            " WHERE id = %s AND taken_until = %s"
            " RETURNING set_config('synchronous_commit', 'off', true)",
            [number, taken_until],
        )


def _take_moment(until: float) -> float:
    """Reserve the next start time for a call; return the seconds until then."""
    interval = 1 / settings.ODOO_CALLS_PER_SECOND
    remaining = max(until - time.monotonic(), 0.0)
    table = Pace._meta.db_table
    free_at = """GREATEST(statement_timestamp(), CASE WHEN next_call_at
        <= statement_timestamp() + %s * interval '1 second' THEN next_call_at END)"""
    longest = interval + _longest_lead_seconds()
    statement = f"""
        UPDATE {table} SET next_call_at = {free_at} + %s * interval '1 second'
        WHERE id = %s AND {free_at} <= statement_timestamp() + %s * interval '1 second'
        RETURNING EXTRACT(EPOCH FROM next_call_at - statement_timestamp())::float8 - %s,
            set_config('synchronous_commit', 'off', true)"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [longest, interval, PACE_ID, longest, remaining, interval])
        found = cursor.fetchone()
    if found is None:
        raise busy_error()
    return max(float(found[0]), 0.0)
