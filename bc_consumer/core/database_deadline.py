"""A hard deadline for PostgreSQL statements, connecting included, in the web process.

libpq's own timeouts do not help against a server that is stopped or whose network swallows packets:
the client waits for an answer that never comes. psycopg2 hands its waiting to a callback; this one
gives up when the deadline of the current thread has passed. psycopg2 then closes the connection.

Where no block gives a deadline, each statement has one of its own: Django asks things between two
requests, outside of whatever the project's middlewares could wrap.
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
"""For a statement, or for connecting, outside of any block."""

_thread = threading.local()
_outside: float | None = LONGEST_SECONDS


class Waiting(Protocol):
    """How a thread waits for PostgreSQL."""

    def ready(self, connection: Any, events: int) -> str:
        """Wait for these events of ``select.poll`` on psycopg2's ``connection``.

        Returns "" when there is one, else why nobody should wait any longer.
        """


class Patience:
    """Seconds of waiting in which this process itself was let run.

    A step that lasts longer than it should counts as one step: for the rest of it the machine, or
    the interpreter's lock, had no time for us, and the answer may lie there unread.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.waited = 0.0

    @property
    def over(self) -> bool:
        """Whether there is none left."""
        return self.waited >= self.seconds

    def count(self, began: float) -> None:
        """Count one step that began at this moment of ``time.monotonic()``."""
        self.waited += min(time.monotonic() - began, STEP_SECONDS)


def install(outside: float | None = LONGEST_SECONDS) -> None:
    """Let psycopg2 wait through this module, for the whole process (the web process only).

    ``outside``: how long a statement outside of any block may take; None: as long as it takes.
    """
    global _outside  # noqa: PLW0603 (psycopg2's callback is the process's, too)
    _outside = outside
    extensions.set_wait_callback(_wait)


def installed() -> bool:
    """Tell whether that was done: without it nothing here has an effect."""
    return extensions.get_wait_callback() is _wait


@contextmanager
def database_deadline(seconds: float | None) -> Iterator[None]:
    """Give all database statements in the block ``seconds`` together; None: as long as they take.

    One that takes longer raises Django's OperationalError; whether it took effect is then unknown.
    A block within another one has its own deadline, a longer one too. Without :func:`install`, and
    on SQLite, the block has no deadline.
    """
    with waiting(_Deadline(seconds)):
        yield


@contextmanager
def waiting(how: Waiting) -> Iterator[None]:
    """Let this thread wait so in the block; as for :func:`database_deadline`."""
    outer: Waiting | None = getattr(_thread, "waiting", None)
    _thread.waiting = how
    _thread.passed = False
    try:
        yield
    finally:
        _thread.waiting = outer


def deadline_passed() -> bool:
    """Whether a statement of this thread was given up since its latest deadline began."""
    return bool(getattr(_thread, "passed", False))


def has_event(connection: Any, events: int, seconds: float | None) -> bool:
    """Wait for one of these events on the connection's socket; None: without an end."""
    poll = select.poll()
    poll.register(connection.fileno(), events)
    return bool(poll.poll(None if seconds is None else max(seconds, 0.0) * 1000))


class _Deadline:
    def __init__(self, seconds: float | None) -> None:
        self._until = math.inf if seconds is None else time.monotonic() + seconds

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
