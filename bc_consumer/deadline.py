"""A hard deadline for PostgreSQL statements, connecting included, in the web process.

libpq's own timeouts do not help against a server that is stopped or whose network swallows packets:
the client waits for an answer that never comes. psycopg2 hands its waiting to a callback; this one
gives up when the deadline of the current thread has passed. psycopg2 then closes the connection.
"""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import extensions

_thread = threading.local()


def install() -> None:
    """Let psycopg2 wait through this module, for the whole process (the web process only)."""
    extensions.set_wait_callback(_wait)


@contextmanager
def database_deadline(seconds: float) -> Iterator[None]:
    """Give all database statements in the block ``seconds`` together.

    One that takes longer raises Django's OperationalError; whether it took effect is then unknown.
    A block within another one has its own deadline, a longer one too. Without :func:`install`, and
    on SQLite, the block has no deadline.
    """
    outer: float | None = getattr(_thread, "until", None)
    _thread.until = time.monotonic() + seconds
    _thread.passed = False
    try:
        yield
    finally:
        _thread.until = outer


def deadline_passed() -> bool:
    """Whether a statement of this thread was given up since its latest deadline began."""
    return bool(getattr(_thread, "passed", False))


def _wait(connection: Any) -> None:
    until: float | None = getattr(_thread, "until", None)
    while (state := connection.poll()) != extensions.POLL_OK:
        poll = select.poll()
        poll.register(
            connection.fileno(),
            select.POLLOUT if state == extensions.POLL_WRITE else select.POLLIN,
        )
        left = None if until is None else max((until - time.monotonic()) * 1000, 0.0)
        if not poll.poll(left):
            _thread.passed = True
            raise psycopg2.OperationalError("PostgreSQL did not answer before the deadline")
