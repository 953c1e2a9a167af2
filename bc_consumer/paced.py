"""Answers that may be a moment old, so that asking for them costs a bounded share of the time.

Counting a table is exact and its cost grows with the table. A page that asks every second, times
its viewers, must not make the database pay for that.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

SHARE = 0.02
"""Of one database connection's time, for each process and each question: 2 %."""
LONGEST_SECONDS = 60.0
"""No answer is ever older than this."""


class Paced(Generic[T]):
    """Ask ``question`` again only after 50 times as long as the last answer took.

    An answer that takes 1 ms is at most 50 ms old; one that takes 200 ms, at most 10 s. Whoever
    comes while it is being asked again gets the answer known so far, or waits if there is none.
    Errors are raised and not kept.
    """

    def __init__(self, question: Callable[[], T]) -> None:
        self._question = question
        self._asking = threading.Lock()
        self._known: tuple[T, float] | None = None

    def __call__(self) -> T:
        """Return the answer."""
        known = self._known
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        if not self._asking.acquire(blocking=known is None):
            assert known is not None, "without an answer the lock is waited for"
            return known[0]
        try:
            latest = self._known
            if latest is not None and time.monotonic() < latest[1]:
                return latest[0]
            return self._ask()
        finally:
            self._asking.release()

    def forget(self) -> None:
        """Ask afresh next time."""
        self._known = None

    def _ask(self) -> T:
        began = time.monotonic()
        answer = self._question()
        now = time.monotonic()
        self._known = answer, now + min((now - began) / SHARE, LONGEST_SECONDS)
        return answer
