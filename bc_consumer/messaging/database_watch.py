"""Tells a PostgreSQL that is slow from one that is away, while a statement takes long.

How long a statement has taken says neither: on a busy machine a mark that usually takes 3 ms took
400 (measured, on two cores with everything on them). So a second connection, which is kept for
that, asks the server meanwhile. An answer: it lives, and its statement is worth waiting for.
"""

import contextlib
import enum
import select
import threading
import time
from types import TracebackType
from typing import Any, Self

import psycopg2
from django.db import connection as django_connection
from psycopg2 import extensions

from bc_consumer.core.database_deadline import STEP_SECONDS, Patience, has_event

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
