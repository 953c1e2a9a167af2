"""Decides whether a web process writes events to the ledger, or whether the database is away.

:class:`Watched` tells a PostgreSQL that is slow from one that is away while a statement takes long.
The time alone says neither: on a busy machine a mark that usually takes 3 ms took 400 (measured, on
two cores with everything on them). So a second connection, the :class:`Watch`, asks the server
meanwhile. An answer proves that the server lives and that its statement is worth waiting for.

:class:`DatabaseGate` closes after a failure. One thread for each process keeps the watch's
connection, finds out when the database is back, and asks for a scan of what was missed.
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
from django.db import DatabaseError, InterfaceError, connection
from django.db import connection as django_connection
from psycopg2 import extensions

from bc_consumer.core.database_deadline import STEP_SECONDS, Patience, database_deadline, has_event
from bc_consumer.models import PendingBC, SyncState

logger = logging.getLogger(__name__)

AWAY = (DatabaseError, InterfaceError)
PROBE_SECONDS = 0.5
PROBE_DEADLINE_SECONDS = 2.0
"""A server that goes on after a stop answers a question that is under way at once."""
HOPELESS_SECONDS = 2.0
"""Of both being away, after which requests are refused without another try."""
KEEP_WATCH_SECONDS = 20.0
"""A connection that is used less often may be dropped on the way, unnoticed."""
ASK_AGAIN_SECONDS = 10.0
"""A scan that was asked for is not asked for anew before: events are missed by the dozen."""
WARN_AGAIN_SECONDS = 60.0
STALLED_SECONDS = 1.0
"""A process that was not let run for so long may have kept requests beyond Odoo's second."""


ASK_AFTER_SECONDS = 0.02
"""Of a statement's time, and after each answer: most statements are over by then."""
CONNECT_SECONDS = 2.0
LOCK_PATIENCE = 2.0
"""A lock's holder may do nothing for so much longer than a silent server: a worker that had locked
what it claims or settles was not let run for 120 ms, on two busy processors (measured, 64
connections naming 20 orders). It is counted like silence, and so grows with the load."""
# A mark that waits for a lock waits for its holder, and that one perhaps for another. A holder that
# is at work will soon be done; one that is idle in its transaction may keep the lock for a minute.
# The answer: since when the one that has been idle the longest is. One that may not be looked at,
# or has just gone, counts as idle for ever.
QUESTION = """
    WITH RECURSIVE holder(pid) AS (
        SELECT unnest(pg_blocking_pids(%s))
        UNION SELECT unnest(pg_blocking_pids(holder.pid)) FROM holder)
    SELECT min(CASE WHEN state = 'active' THEN NULL
        ELSE COALESCE(extract(epoch FROM state_change), 0) END)
    FROM holder LEFT JOIN pg_stat_activity USING (pid)"""


class Verdict(enum.Enum):
    """Why a statement was given up."""

    SILENT = "PostgreSQL does not answer"
    LOCKED = "a transaction that does nothing holds a lock"
    SLOW = "PostgreSQL answers, but the statement takes too long"


class Watch:
    """The second connection, and the question that is under way on it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        """Whoever uses it holds this; one thread may watch a statement, another may keep it."""
        self.asking = False
        self.events = select.POLLIN
        """What is to be waited for, for the answer."""
        self._connection: Any = None
        self._cursor: Any = None

    @property
    def usable(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def keep(self) -> None:
        """Make a connection, or prove the one there is. Raises psycopg2's errors."""
        with self.lock:
            until = time.monotonic() + CONNECT_SECONDS
            try:
                if self._connection is None:
                    parameters = django_connection.get_connection_params()
                    self._connection = psycopg2.connect(**parameters, async_=True)
                    self._await(until)
                if not self.asking:
                    self.ask(0)
                self._await(until)
            except psycopg2.Error:
                self.drop()
                raise

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self.drop()

    def fileno(self) -> int:
        """Return the socket, to be waited for together with another."""
        return int(self._connection.fileno())

    def ask(self, pid: int) -> None:
        """Ask whose lock this backend waits for. Raises psycopg2's errors."""
        self._cursor = self._connection.cursor()
        self._cursor.execute(QUESTION, [pid])
        self.asking = True

    def answered(self) -> bool:
        """Read what has come; tell whether that is the whole answer. Raises psycopg2's errors."""
        state = self._connection.poll()
        self.events = select.POLLOUT if state == extensions.POLL_WRITE else select.POLLIN
        self.asking = self.asking and state != extensions.POLL_OK
        return bool(state == extensions.POLL_OK)

    def idle_since(self) -> float | None:
        """Return the answer: since when a holder of the lock has been idle; None: nobody is."""
        since = self._cursor.fetchone()[0]
        return None if since is None else float(since)

    def drop(self) -> None:
        """Forget the connection; :meth:`keep` makes another one."""
        with contextlib.suppress(psycopg2.Error):
            if self._connection is not None:
                self._connection.close()
        self._connection = self._cursor = None
        self.asking = False

    def _await(self, until: float) -> None:
        while not self.answered():
            if time.monotonic() > until:
                raise psycopg2.OperationalError(Verdict.SILENT.value)
            has_event(self._connection, self.events, until - time.monotonic())


class Watched:
    """Waits for one statement as long as the server shows that it lives: a ``Waiting``.

    ``until``: not beyond this moment of ``time.monotonic()``. ``silence``: so many seconds without
    an answer of the watch, or without a watch, are enough; and some more of waiting for a lock
    whose holder does nothing.
    """

    def __init__(self, watch: Watch | None, *, until: float, silence: float) -> None:
        self.verdict: Verdict | None = None
        self._watch = watch
        self._holding = False
        self._asked = False
        self._until = until
        self._silence = Patience(silence)
        self._in_vain = Patience(silence * LOCK_PATIENCE)
        self._idle_since: float | None = None
        self._began = time.monotonic()
        self._ask_at = self._began + ASK_AFTER_SECONDS

    @property
    def seconds(self) -> float:
        """How long it has been waited, by the clock."""
        return time.monotonic() - self._began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._holding and self._watch is not None:
            if self.verdict is Verdict.SILENT:
                self._watch.drop()
            self._watch.lock.release()

    def ready(self, connection: Any, events: int) -> str:
        """See ``core/database_deadline.py``."""
        while self.verdict is None:
            began = time.monotonic()
            if self._step(connection, events):
                return ""
            self._silence.count(began)
            if self._idle_since is not None:
                self._in_vain.count(began)
            if self._silence.over:
                self.verdict = Verdict.SILENT
            elif self._in_vain.over:
                self.verdict = Verdict.LOCKED
            elif time.monotonic() >= self._until:
                self.verdict = Verdict.SLOW
        # Once more: it may have come while this thread was not let run.
        return "" if has_event(connection, events, 0.0) else self.verdict.value

    def _step(self, connection: Any, events: int) -> bool:
        """Wait one step for the statement, and for the watch; tell whether the first has come."""
        watch = self._watch_at_hand()
        if watch is None:
            return has_event(connection, events, STEP_SECONDS)
        try:
            return self._look(connection, events, watch)
        except psycopg2.Error:
            watch.drop()
            return has_event(connection, events, 0.0)

    def _watch_at_hand(self) -> Watch | None:
        if self._watch is None:
            return None
        self._holding = self._holding or self._watch.lock.acquire(blocking=False)
        return self._watch if self._holding and self._watch.usable else None

    def _look(self, connection: Any, events: int, watch: Watch) -> bool:
        if not watch.asking and time.monotonic() >= self._ask_at:
            watch.ask(connection.info.backend_pid)
            self._asked = True
        poll = select.poll()
        poll.register(connection.fileno(), events)
        if watch.asking:
            poll.register(watch.fileno(), watch.events)
        found = {number for number, _ in poll.poll(STEP_SECONDS * 1000)}
        came = connection.fileno() in found
        if watch.asking and watch.fileno() in found and watch.answered():
            self._silence.waited = 0.0
            self._ask_at = time.monotonic() + ASK_AFTER_SECONDS
            # What an earlier statement asked, and did not wait for, says nothing of this one.
            idle_since = watch.idle_since() if self._asked else None
            if idle_since != self._idle_since:
                self._idle_since = idle_since
                self._in_vain.waited = 0.0  # it has done something meanwhile, or is another one
            self._asked = False
        return came


class DatabaseGate:
    """Closed after a failure, so that only the first requests of an outage wait for it."""

    def __init__(self, watch: Watch | None) -> None:
        self.usable = True
        self.slow = False
        """When it was last closed the server answered, and was only slow."""
        self.watch = watch
        self.rounds = 0
        """How often its thread has looked."""
        self._closed_at = 0.0
        self._probed = False
        self._ask_at = self._keep_watch_at = 0.0
        self._warned_at = float("-inf")
        self._lock = threading.Lock()
        self._missed = threading.Event()
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="database-keeper", daemon=True)

    @property
    def hopeless(self) -> bool:
        """Whether it has been closed for so long that another try is not worth the wait."""
        return not self.usable and time.monotonic() - self._closed_at > HOPELESS_SECONDS

    def start(self) -> None:
        """Begin to keep it. Whatever was sent while there was no web process was missed."""
        self.note_missed()
        self._keeper.start()

    def close(self) -> None:
        """Stop keeping it."""
        self._closing.set()
        self._keeper.join()

    def trip(self, error: Exception, verdict: Verdict | None) -> None:
        """Close the gate, unless it is; ``verdict`` None: the server itself refused."""
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
        """Let events go to the ledger again, if they did not."""
        with self._lock:
            if self.usable:
                return
            self.usable = True
        logger.warning("The database is back; events go to the ledger again")

    @property
    def missing(self) -> bool:
        """Whether a scan is still to be asked for."""
        return self._missed.is_set()

    def ask_again(self) -> None:
        """Ask for the next scan without waiting until the last one is some time ago."""
        self._ask_at = 0.0

    def note_missed(self) -> None:
        """Remember that events may have been lost: their senders may never send them again."""
        self._missed.set()

    def _keep(self) -> None:
        while True:
            try:
                if not self.usable:
                    self._probe()
                self._keep_watch()
                if self.usable or self._probed:
                    self.open()
                    self._ask_for_a_scan()
            except AWAY:
                connection.close()
            except Exception:
                logger.exception("The keeper of the database met an error of our own and goes on")
            self._probed = False
            self.rounds += 1
            if self._paused():
                break
        if self.watch is not None:
            self.watch.close()
        connection.close()

    def _probe(self) -> None:
        """Take the locks that a mark takes, and change nothing."""
        with database_deadline(PROBE_DEADLINE_SECONDS):
            PendingBC.objects.filter(pk=-1).update(marks=0)
        self._probed = True

    def _keep_watch(self) -> None:
        """Have a watch, if that can be; without one, slow statements are given up sooner."""
        if self.watch is None or (time.monotonic() < self._keep_watch_at and self.watch.usable):
            return
        try:
            self.watch.keep()
        except psycopg2.Error as error:
            logger.debug("No second connection to the database: %s", error)
        else:
            self._keep_watch_at = time.monotonic() + KEEP_WATCH_SECONDS

    def _ask_for_a_scan(self) -> None:
        if time.monotonic() < self._ask_at or not self._missed.is_set():
            return
        self._missed.clear()
        try:
            with database_deadline(PROBE_DEADLINE_SECONDS):
                SyncState.request_scan()
        except AWAY:
            self._missed.set()
            raise
        self._ask_at = time.monotonic() + ASK_AGAIN_SECONDS
        logger.info("Events may have been missed: a scan of what has changed is asked for")

    def _paused(self) -> bool:
        """Wait for the next round; tell whether it was the last one."""
        began = time.monotonic()
        closing = self._closing.wait(PROBE_SECONDS)
        if time.monotonic() - began > PROBE_SECONDS + STALLED_SECONDS:
            logger.warning("This process stood still for %.1f s", time.monotonic() - began)
            self.note_missed()
        return closing
