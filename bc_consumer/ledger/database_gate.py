"""Decides whether a web process writes events to the ledger, or whether the database is away.

:class:`StatementWait` tells a slow PostgreSQL from one that is away while a statement is running.
Elapsed time alone cannot: on a busy machine a mark that usually takes 3 ms took 400 ms (measured on
two cores that ran everything). Therefore a second connection, the :class:`LivenessProbe`, queries
the server meanwhile. An answer proves that the server is alive and the statement worth waiting for.

:class:`DatabaseGate` closes after a failure. One thread per process maintains the probe's
connection, detects when the database is back, and requests a scan for missed events.
"""

import contextlib
import enum
import logging
import select
import threading
import time
from types import TracebackType
from typing import Any, Self

import psycopg2
from django.db import Error as DatabaseFailure
from django.db import connection
from psycopg2 import extensions

from bc_consumer.core.database_deadline import (
    STEP_SECONDS,
    Patience,
    database_deadline,
    has_event,
    waiting,
)
from bc_consumer.models import PendingBC, SyncState

logger = logging.getLogger(__name__)

PROBE_SECONDS = 0.5
"""Interval between two rounds of the gate's thread."""
PROBE_DEADLINE_SECONDS = 2.0
"""Deadline of a probe. A server that resumes after a stop answers a pending query at once."""
HOPELESS_SECONDS = 2.0
"""Once the database has been away this long, requests are refused untried while RabbitMQ is away,
too."""
KEEP_WATCH_SECONDS = 20.0
"""Interval between two uses of the idle probe: a connection that is used less often may be dropped
by the network unnoticed."""
ASK_AGAIN_SECONDS = 10.0
"""Shortest time between two requests for a scan: events are missed by the dozen."""
WARN_AGAIN_SECONDS = 60.0
"""Shortest time between two warnings that the database is slow."""
STALLED_SECONDS = 1.0
"""A process that was suspended this long may have kept requests beyond Odoo's timeout of 1 s."""


ASK_AFTER_SECONDS = 0.02
"""Delay of the probe's query after a statement began, and after each answer: most statements have
finished by then."""
CONNECT_SECONDS = 2.0
"""Deadline for connecting the probe, and for its answer to a keepalive query."""
LOCK_PATIENCE = 2.0
"""Factor by which a lock's holder may be idle longer than a server may be silent. A worker that had
locked the rows it claims or settles was suspended for 120 ms on two busy processors (measured with
64 connections naming 20 orders). The time is counted like silence, and so grows with the load."""
# A mark that waits for a lock waits for the lock's holder, which may itself wait for another one.
# An active holder will soon be done; one that is idle in its transaction may keep the lock for a
# minute. The query returns since when the longest idle holder has been idle. A holder whose
# activity may not be read, or that has just disconnected, counts as idle for ever.
QUESTION = """
    WITH RECURSIVE holder(pid) AS (
        SELECT unnest(pg_blocking_pids(%s))
        UNION SELECT unnest(pg_blocking_pids(holder.pid)) FROM holder)
    SELECT min(CASE WHEN state = 'active' THEN NULL
        ELSE COALESCE(extract(epoch FROM state_change), 0) END)
    FROM holder LEFT JOIN pg_stat_activity USING (pid)"""


class Verdict(enum.Enum):
    """Why a statement was abandoned."""

    SILENT = "PostgreSQL does not answer"
    LOCKED = "a transaction that does nothing holds a lock"
    SLOW = "PostgreSQL answers, but the statement takes too long"


class LivenessProbe:
    """The second connection to PostgreSQL, and the query that is pending on it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        """Held while the connection is in use: one thread watches a statement, another maintains
        the connection."""
        self.asking = False
        """A query is pending."""
        self.events = select.POLLIN
        """The events of ``select.poll`` to wait for until the answer is complete."""
        self._connection: Any = None
        self._cursor: Any = None

    @property
    def usable(self) -> bool:
        """Whether the connection exists."""
        return self._connection is not None

    def keep(self) -> None:
        """Connect, or verify the existing connection. Raises psycopg2.Error."""
        with self.lock:
            until = time.monotonic() + CONNECT_SECONDS
            try:
                if self._connection is None:
                    parameters = connection.get_connection_params()
                    self._connection = psycopg2.connect(**parameters, async_=True)
                    self._wait_for_answer(until)
                if not self.asking:
                    self.ask(0)
                self._wait_for_answer(until)
            except psycopg2.Error:
                self.drop()
                raise

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self.drop()

    def fileno(self) -> int:
        """Return the socket's file descriptor, so that it can be polled together with another."""
        return int(self._connection.fileno())

    def ask(self, pid: int) -> None:
        """Query whose locks the backend with this ``pid`` waits for. Raises psycopg2.Error."""
        self._cursor = self._connection.cursor()
        self._cursor.execute(QUESTION, [pid])
        self.asking = True

    def answered(self) -> bool:
        """Read what has arrived; return whether the answer is complete. Raises psycopg2.Error."""
        state = self._connection.poll()
        self.events = select.POLLOUT if state == extensions.POLL_WRITE else select.POLLIN
        self.asking = self.asking and state != extensions.POLL_OK
        return bool(state == extensions.POLL_OK)

    def idle_since(self) -> float | None:
        """Return since when a holder of the lock has been idle, in epoch seconds; None: none is."""
        since = self._cursor.fetchone()[0]
        return None if since is None else float(since)

    def drop(self) -> None:
        """Close and forget the connection; :meth:`keep` opens another one."""
        with contextlib.suppress(psycopg2.Error):
            if self._connection is not None:
                self._connection.close()
        self._connection = self._cursor = None
        self.asking = False

    def _wait_for_answer(self, until: float) -> None:
        while not self.answered():
            if time.monotonic() > until:
                raise psycopg2.OperationalError(Verdict.SILENT.value)
            has_event(self._connection, self.events, until - time.monotonic())


class StatementWait:
    """Waits for one statement while the server shows that it is alive. Implements ``Waiting``.

    The wait ends at ``until``, a time of ``time.monotonic()``. It ends earlier after ``silence``
    seconds without an answer to the probe, or, without a probe, of waiting at all; and after
    ``silence`` × LOCK_PATIENCE seconds of waiting for a lock whose holder is idle. ``verdict`` then
    says why.
    """

    def __init__(self, probe: LivenessProbe | None, *, until: float, silence: float) -> None:
        self.verdict: Verdict | None = None
        self._liveness = probe
        self._holding = False
        self._asked = False
        self._until = until
        self._silence = Patience(silence)
        self._lock_patience = Patience(silence * LOCK_PATIENCE)
        self._idle_since: float | None = None
        self._began = time.monotonic()
        self._ask_at = self._began + ASK_AFTER_SECONDS

    @property
    def seconds(self) -> float:
        """Seconds since the wait began, by ``time.monotonic()``."""
        return time.monotonic() - self._began

    def __enter__(self) -> Self:
        """Let this thread's statements be waited for in this way until the block ends."""
        self._in_force = waiting(self)
        self._in_force.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._in_force.__exit__(kind, error, trace)
        finally:
            if self._holding and self._liveness is not None:
                if self.verdict is Verdict.SILENT:
                    self._liveness.drop()
                self._liveness.lock.release()

    def ready(self, connection: Any, events: int) -> str:
        """Wait as ``Waiting.ready`` demands: "" when the statement is ready, else the verdict."""
        while self.verdict is None:
            began = time.monotonic()
            if self._wait_one_step(connection, events):
                return ""
            self._silence.count(began)
            if self._idle_since is not None:
                self._lock_patience.count(began)
            if self._silence.over:
                self.verdict = Verdict.SILENT
            elif self._lock_patience.over:
                self.verdict = Verdict.LOCKED
            elif time.monotonic() >= self._until:
                self.verdict = Verdict.SLOW
        # Check once more: the answer may have arrived while this thread was suspended.
        return "" if has_event(connection, events, 0.0) else self.verdict.value

    def _wait_one_step(self, connection: Any, events: int) -> bool:
        """Wait one step for the statement and the probe; return whether the statement is ready."""
        probe = self._acquire_probe()
        if probe is None:
            return has_event(connection, events, STEP_SECONDS)
        try:
            return self._poll_both(connection, events, probe)
        except psycopg2.Error:
            probe.drop()
            return has_event(connection, events, 0.0)

    def _acquire_probe(self) -> LivenessProbe | None:
        if self._liveness is None:
            return None
        self._holding = self._holding or self._liveness.lock.acquire(blocking=False)
        return self._liveness if self._holding and self._liveness.usable else None

    def _poll_both(self, connection: Any, events: int, probe: LivenessProbe) -> bool:
        if not probe.asking and time.monotonic() >= self._ask_at:
            probe.ask(connection.info.backend_pid)
            self._asked = True
        poll = select.poll()
        poll.register(connection.fileno(), events)
        if probe.asking:
            poll.register(probe.fileno(), probe.events)
        found = {number for number, _ in poll.poll(STEP_SECONDS * 1000)}
        statement_ready = connection.fileno() in found
        if probe.asking and probe.fileno() in found and probe.answered():
            self._silence.waited = 0.0
            self._ask_at = time.monotonic() + ASK_AFTER_SECONDS
            # The answer to a query from an earlier statement says nothing about this one.
            idle_since = probe.idle_since() if self._asked else None
            if idle_since != self._idle_since:
                self._idle_since = idle_since
                # The holder was active meanwhile, or is another one.
                self._lock_patience.waited = 0.0
            self._asked = False
        return statement_ready


class DatabaseGate:
    """Closed after a failure, so that only the first requests of an outage wait for it."""

    def __init__(self, probe: LivenessProbe | None) -> None:
        self.usable = True
        self.slow = False
        """At the latest failure the server answered and was merely slow."""
        self.probe = probe
        self._closed_at = 0.0
        self._probed = False
        self._ask_at = self._maintain_probe_at = 0.0
        self._warned_at = float("-inf")
        self._lock = threading.Lock()
        self._missed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database-keeper", daemon=True)

    @property
    def hopeless(self) -> bool:
        """Whether the gate has been closed so long that another try is not worth the wait."""
        return not self.usable and time.monotonic() - self._closed_at > HOPELESS_SECONDS

    def start(self) -> None:
        """Start the gate's thread and request a scan: events sent before this start were missed."""
        self.note_missed()
        self._thread.start()

    def close(self) -> None:
        """Stop the gate's thread and wait for it to end."""
        self._closing.set()
        self._thread.join()

    def trip(self, error: Exception, verdict: Verdict | None) -> None:
        """Close the gate if it is open. ``verdict`` is None when the server reported the error."""
        connection.close()
        with self._lock:
            was_usable, self.usable = self.usable, False
            self.slow = verdict is Verdict.SLOW
            if was_usable:
                self._closed_at = time.monotonic()
        self.note_missed()
        if not was_usable:
            return
        if verdict is Verdict.LOCKED:
            logger.error("The ledger is locked; events go to RabbitMQ meanwhile: %s", error)
        elif verdict is not Verdict.SLOW:
            logger.error("The database is away; events go to RabbitMQ meanwhile: %s", error)
        elif time.monotonic() - self._warned_at > WARN_AGAIN_SECONDS:
            self._warned_at = time.monotonic()
            logger.warning("The database is slow; events go to RabbitMQ for a moment: %s", error)

    def open(self) -> None:
        """Open the gate if it is closed: events go to the ledger again."""
        with self._lock:
            if self.usable:
                return
            self.usable = True
        logger.warning("The database is back; events go to the ledger again")

    def note_missed(self) -> None:
        """Note that events may be lost and need a scan: Odoo may never send them again."""
        self._missed.set()

    def _run(self) -> None:
        while True:
            try:
                if not self.usable:
                    self._probe()
                self._maintain_probe()
                if self.usable or self._probed:
                    self.open()
                    self._request_scan()
            except DatabaseFailure:
                connection.close()
            except Exception:
                logger.exception(
                    "The database gate had an unexpected internal error and carries on"
                )
            self._probed = False
            if self._wait_for_next_round():
                break
        if self.probe is not None:
            self.probe.close()
        connection.close()

    def _probe(self) -> None:
        """Take the locks that a mark takes, without changing a row."""
        with database_deadline(PROBE_DEADLINE_SECONDS):
            PendingBC.objects.filter(pk=-1).update(marks=0)
        self._probed = True

    def _maintain_probe(self) -> None:
        """Keep the probe connected if possible; without it, slow statements get less time."""
        if self.probe is None or (time.monotonic() < self._maintain_probe_at and self.probe.usable):
            return
        try:
            self.probe.keep()
        except psycopg2.Error as error:
            logger.debug("No second connection to the database could be opened: %s", error)
        else:
            self._maintain_probe_at = time.monotonic() + KEEP_WATCH_SECONDS

    def _request_scan(self) -> None:
        if time.monotonic() < self._ask_at or not self._missed.is_set():
            return
        self._missed.clear()
        try:
            with database_deadline(PROBE_DEADLINE_SECONDS):
                SyncState.request_scan()
        except DatabaseFailure:
            self._missed.set()
            raise
        self._ask_at = time.monotonic() + ASK_AGAIN_SECONDS
        logger.info("Events may have been missed: requested a scan of recent changes")

    def _wait_for_next_round(self) -> bool:
        """Wait for the next round; return whether :meth:`close` was called meanwhile."""
        began = time.monotonic()
        closing = self._closing.wait(PROBE_SECONDS)
        if time.monotonic() - began > PROBE_SECONDS + STALLED_SECONDS:
            logger.warning("This process was suspended for %.1f s", time.monotonic() - began)
            self.note_missed()
        return closing
