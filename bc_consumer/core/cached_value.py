"""Answers that may be a moment old, so that asking for them costs a bounded share of the time.

Counting a table is exact and its cost grows with the table. A page that asks every second, times
its viewers, must not make the database pay for that.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

SHARE = 0.05
"""Of one database connection's time, for each process and each question: 5 %."""
LONGEST_SECONDS = 60.0
"""No answer is ever older than this."""


class CachedValue(Generic[T]):
    """Ask ``question`` again only after 20 times as long as the last answer took.

    An answer that takes 1 ms is at most 20 ms old; one that takes 200 ms, at most 4 s. Whoever
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
        if known is None:
            with self._asking:
                return self._latest()
        if time.monotonic() < known[1] or not self._asking.acquire(blocking=False):
            return known[0]
        try:
            return self._latest()
        finally:
            self._asking.release()

    def forget(self) -> None:
        """Ask afresh next time."""
        self._known = None

    def _latest(self) -> T:
        """Ask, unless another thread has just done so."""
        known = self._known
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        began = time.monotonic()
        answer = self._question()
        now = time.monotonic()
        self._known = answer, now + min((now - began) / SHARE, LONGEST_SECONDS)
        return answer
