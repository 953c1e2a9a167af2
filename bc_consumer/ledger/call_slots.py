"""The limits of calls to Odoo that all processes of a deployment share, by rows of PostgreSQL.

A call takes one of ``ODOO_CONCURRENT_CALLS`` rows by one statement and gives it back by another:
leases, so that a killed process frees what it held, at the latest when they end; and at once when
its death is noticed. What could not be given back, because the database was away, is given back
as soon as that is there again. Each statement stands alone (PgBouncer in transaction mode is fine),
and its commit waits for no disk: what a crash forgets here is over by then. On SQLite there is one
process, whose own limits do.
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
from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from bc_consumer.core import process_state
from bc_consumer.ledger.circuit_breaker import PACE_ID
from bc_consumer.models import CallSlot, Pace
from bc_consumer.odoo.call_limits import CallLimits, ProcessCallLimits, busy_error, wait_or_stop

logger = logging.getLogger(__name__)

AWAY = (DatabaseError, InterfaceError)
SHORTEST_LOOK, LONGEST_LOOK = 0.01, 0.1
"""Seconds between two looks for a free slot: longer each time, and never in step with others."""
LEASE_MARGIN_SECONDS = 5.0
TABLE = CallSlot._meta.db_table
Slot = tuple[int, datetime]
_left: deque[Slot] = deque()
"""Slots that this process could not give back, because the database was away."""


def give_back_what_was_left() -> None:
    """Free what could not be freed before; raises Django's errors while the database is away."""
    while _left:
        slot = _left.popleft()
        try:
            _free(slot)
        except BaseException:
            _left.append(slot)
            raise


def free_slots_of(number: int) -> int:
    """Free at once what a process that died held, by its number; return how many slots."""
    return CallSlot.objects.filter(owner=number).update(taken_until=Now(), owner=None)


def gate(stop: threading.Event) -> CallLimits:
    """Return what calls to Odoo have to pass: shared where several processes may call."""
    if connection.vendor != "postgresql":
        return ProcessCallLimits(
            settings.ODOO_CONCURRENT_CALLS, settings.ODOO_CALLS_PER_SECOND, stop
        )
    return SharedGate(stop)


class SharedGate:
    """The limits of a deployment. Thread-safe.

    A database that is away, or a transaction that is open (which would hold a row until its end),
    leaves the limits of this process: politeness is no reason to fail.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        # No more threads than there are slots ask the database for one.
        self._process = ProcessCallLimits(settings.ODOO_CONCURRENT_CALLS, 0.0, stop)
        self._complete = False

    @contextmanager
    def __call__(self, seconds: float) -> Iterator[None]:
        """Wait for a free slot, then for this call's moment."""
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
        except AWAY as error:
            logger.warning("The limits of calls to Odoo are not shared just now: %s", error)
            connection.close()
        except BaseException:
            _give_back(slot)
            raise
        return slot

    def _wait_for_slot(self, until: float) -> Slot:
        look = SHORTEST_LOOK
        while (slot := _free_slot(_lease(until))) is None:
            if not self._complete:
                _make_slots()
                self._complete = True
                continue
            if time.monotonic() >= until:
                raise busy_error()
            wait_or_stop(look * random.uniform(0.5, 1.0), self._stop)  # noqa: S311 (no secret)
            look = min(look * 1.5, LONGEST_LOOK)
        return slot


def _lease(until: float) -> float:
    """Return for how many seconds a slot is taken: the call itself, and its moment before it."""
    waits = max(until - time.monotonic(), 0.0) if settings.ODOO_CALLS_PER_SECOND else 0.0
    return float(waits + settings.ODOO_TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS)


def _longest() -> float:
    """Return how many seconds ahead a slot's end may be; further, the clock was set back.

    So may a call's moment: none waits longer for it than its own deadline.
    """
    return float(2 * settings.ODOO_TIMEOUT_SECONDS + 2 * LEASE_MARGIN_SECONDS)


def _free_slot(lease: float) -> Slot | None:
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
            statement, [settings.ODOO_CONCURRENT_CALLS, _longest(), lease, process_state.number()]
        )
        found = cursor.fetchone()
    return None if found is None else (found[0], found[1])


def _make_slots() -> None:
    """Make the rows that this deployment's setting asks for, unless they are there."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} (id, taken_until)"
            " SELECT number, statement_timestamp() FROM generate_series(1, %s) AS number"
            " ON CONFLICT DO NOTHING",
            [settings.ODOO_CONCURRENT_CALLS],
        )


def _give_back(slot: Slot | None) -> None:
    """Free the slot; while the database is away, that is left for later."""
    if slot is None:
        return
    try:
        _free(slot)
    except AWAY as error:
        logger.warning("Slot %d of calls to Odoo is given back later: %s", slot[0], error)
        connection.close()
        _left.append(slot)


def _free(slot: Slot) -> None:
    """Free the slot if it is still ours."""
    number, taken_until = slot
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {TABLE} SET taken_until = statement_timestamp(), owner = NULL"
            " WHERE id = %s AND taken_until = %s"
            " RETURNING set_config('synchronous_commit', 'off', true)",
            [number, taken_until],
        )


def _take_moment(until: float) -> float:
    """Reserve the next moment at which a call may begin; return the seconds until then."""
    interval = 1 / settings.ODOO_CALLS_PER_SECOND
    left = max(until - time.monotonic(), 0.0)
    table = Pace._meta.db_table
    free_at = """GREATEST(statement_timestamp(), CASE WHEN next_call_at
        <= statement_timestamp() + %s * interval '1 second' THEN next_call_at END)"""
    longest = interval + _longest()
    statement = f"""
        UPDATE {table} SET next_call_at = {free_at} + %s * interval '1 second'
        WHERE id = %s AND {free_at} <= statement_timestamp() + %s * interval '1 second'
        RETURNING EXTRACT(EPOCH FROM next_call_at - statement_timestamp())::float8 - %s,
            set_config('synchronous_commit', 'off', true)"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [longest, interval, PACE_ID, longest, left, interval])
        found = cursor.fetchone()
    if found is None:
        raise busy_error()
    return max(float(found[0]), 0.0)
