"""A hard deadline for PostgreSQL statements in the web process, including connecting.

libpq's own timeouts do not help against a server that is stopped or whose network swallows packets:
the client waits for an answer that never comes. psycopg2 delegates waiting to a callback; this one
gives up when the current thread's deadline has passed, and psycopg2 then closes the connection.

Outside any block that sets a deadline, each statement has its own: Django runs statements between
two requests, where no middleware of the project can wrap them.
"""

import math
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg2
from psycopg2 import extensions

STEP_SECONDS = 0.01
LONGEST_SECONDS = 5.0
"""Seconds for a statement, or for connecting, outside any block."""
LONGEST_PAGE_SECONDS = 10.0
"""Seconds of the longest deadline that a block of a page sets. It is that of /status.json, since
counting millions of rows takes some."""

_thread = threading.local()
_outside: float | None = LONGEST_SECONDS


class Waiting(Protocol):
    """A strategy by which a thread waits for PostgreSQL."""

    def ready(self, connection: Any, events: int) -> str:
        """Wait for these events of ``select.poll`` on psycopg2's ``connection``.

        Returns "" when one has occurred, else the reason to stop waiting.
        """


class Patience:
    """Counts the seconds of waiting in which this process was actually scheduled.

    A step that takes longer than it should counts as one step: for the rest of it this process had
    no processor or no interpreter lock, and the answer may already lie there unread.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.waited = 0.0

    @property
    def over(self) -> bool:
        """Whether all seconds are used up."""
        return self.waited >= self.seconds

    def count(self, began: float) -> None:
        """Count one step that began at this value of ``time.monotonic()``."""
        self.waited += min(time.monotonic() - began, STEP_SECONDS)


def install(outside: float | None = LONGEST_SECONDS) -> None:
    """Make psycopg2 wait through this module in the whole process (the web process only).

    ``outside``: seconds that a statement outside any block may take; None: no limit.
    """
    global _outside  # noqa: PLW0603 (psycopg2's callback is the process's, too)
    _outside = outside
    extensions.set_wait_callback(_wait)


def installed() -> bool:
    """Return whether :func:`install` was called; without it nothing here has an effect."""
    return extensions.get_wait_callback() is _wait


@contextmanager
def database_deadline(seconds: float | None) -> Iterator[None]:
    """Give all database statements in the block ``seconds`` together; None: no limit.

    A statement over the deadline raises Django's OperationalError; whether it took effect is then
    unknown. A nested block has its own deadline, even a longer one. Without :func:`install`, and on
    SQLite, the block has no deadline.
    """
    with waiting(_Deadline(seconds)):
        yield


@contextmanager
def waiting(how: Waiting) -> Iterator[None]:
    """Use this strategy for the thread's statements in the block; see :func:`database_deadline`."""
    outer: Waiting | None = getattr(_thread, "waiting", None)
    _thread.waiting = how
    _thread.passed = False
    try:
        yield
    finally:
        _thread.waiting = outer


def begin_anew() -> None:
    """Give the innermost block of this thread its whole deadline once more, from now on.

    For a block that has just waited for something other than the database.
    """
    how = getattr(_thread, "waiting", None)
    if isinstance(how, _Deadline):
        how.begin()


def deadline_passed() -> bool:
    """Return whether a statement of this thread has been given up since its last block began."""
    return bool(getattr(_thread, "passed", False))


def has_event(connection: Any, events: int, seconds: float | None) -> bool:
    """Wait ``seconds`` at most (None: for ever) for these events on the connection's socket."""
    poll = select.poll()
    poll.register(connection.fileno(), events)
    return bool(poll.poll(None if seconds is None else max(seconds, 0.0) * 1000))


class _Deadline:
    def __init__(self, seconds: float | None) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self.begin()

    def begin(self) -> None:
        self._until = time.monotonic() + self._seconds

    def ready(self, connection: Any, events: int) -> str:
        left = self._until - time.monotonic()
        if has_event(connection, events, None if left == math.inf else left):
            return ""
        return "PostgreSQL did not answer before the deadline"


def _wait(connection: Any) -> None:
    how: Waiting = getattr(_thread, "waiting", None) or _Deadline(_outside)
    while (state := connection.poll()) != extensions.POLL_OK:
        events = select.POLLOUT if state == extensions.POLL_WRITE else select.POLLIN
        if why := how.ready(connection, events):
            _thread.passed = True
            raise psycopg2.OperationalError(why)
