"""Asks other servers in a thread of its own, so that no page waits for them longer than told.

A cached value of the database (``cached_value``) may be asked for in the page's thread, whose
statements have a deadline. Another server may leave a name, a connection or an answer open for as
long as it likes.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """The latest answer, and how old it is."""

    answer: T
    seconds_old: float


class BackgroundCache(Generic[T]):
    """Calls ``question`` once in ``every`` seconds at most, and only while somebody wants to know.

    A caller waits for the answer until ``wait`` seconds after it was asked for, and otherwise gets
    the one before, or None. There is one thread at most: while it waits, no other one is started.
    ``question`` should return what went wrong; an error that it raises is logged.
    """

    def __init__(self, question: Callable[[], T], *, every: float, wait: float) -> None:
        self._question = question
        self._every = every
        self._wait = wait
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._answered.set()
        self._asked_at: float | None = None
        self._known: tuple[T, float] | None = None

    def __call__(self) -> Known[T] | None:
        """Return the latest answer; None while there is none."""
        with self._lock:
            now = time.monotonic()
            due = self._asked_at is None or now >= self._asked_at + self._every
            if due and self._answered.is_set():
                self._asked_at = now
                self._answered.clear()
                threading.Thread(target=self._ask, name="question", daemon=True).start()
            until = (self._asked_at or now) + self._wait
        self._answered.wait(max(until - time.monotonic(), 0.0))
        known = self._known
        return None if known is None else Known(known[0], max(time.monotonic() - known[1], 0.0))

    def forget(self) -> None:
        """Discard the latest answer; the next caller has it asked for again."""
        with self._lock:
            self._known = self._asked_at = None

    def _ask(self) -> None:
        try:
            self._known = self._question(), time.monotonic()
        except Exception:
            logger.exception("a call to another server failed")
        finally:
            self._answered.set()
