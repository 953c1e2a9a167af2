"""Caches answers briefly, so that computing them takes a bounded share of the time.

Counting a table is exact, and its cost grows with the table. A page that asks every second, times
its viewers, must not make the database pay for that.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from django.db import OperationalError

T = TypeVar("T")

SHARE = 0.05
"""Share of one database connection's time, per process and question: 5 %."""
SMALL_SHARE = 0.0005
"""The same for questions of which a page asks many: twenty of them together, across all processes,
take 1 %. An answer that takes 1 ms is then at most 2 s old."""
LONGEST_SECONDS = 60.0
"""No answer is ever older than this, unless its share is the small one."""
SMALL_SHARE_LONGEST_SECONDS = 600.0
"""Then it is no older than this."""
ACTED_UPON_SECONDS = 15.0
"""What people act upon, and look at again to see what they have done, is no older than this."""
FIRST_SECONDS = 2.0
"""How long a caller waits for an answer that another thread is computing, while there is none."""


class CachedValue(Generic[T]):
    """Calls ``question`` again only when its last call was no more than ``share`` of the time.

    By default, an answer that takes 1 ms is at most 20 ms old; one that takes 200 ms, at most 4 s,
    and none is older than ``longest`` seconds. A caller that comes during a refresh gets the
    previous answer; if there is none it waits for ``FIRST_SECONDS``, and Django's OperationalError
    is raised then. Errors are raised and not cached.
    """

    def __init__(
        self,
        question: Callable[[], T],
        *,
        share: float = SHARE,
        longest: float = LONGEST_SECONDS,
    ) -> None:
        self._question = question
        self._share = share
        self._longest = longest
        self._asking = threading.Lock()
        self._known: tuple[T, float] | None = None

    def __call__(self) -> T:
        """Return the answer, new or cached. Raises whatever ``question`` raises."""
        known = self._known
        if known is None:
            if not self._asking.acquire(timeout=FIRST_SECONDS):
                raise OperationalError("The first answer is still being computed.")
            try:
                return self._latest()
            finally:
                self._asking.release()
        if time.monotonic() < known[1] or not self._asking.acquire(blocking=False):
            return known[0]
        try:
            return self._latest()
        finally:
            self._asking.release()

    @property
    def latest(self) -> T | None:
        """The last answer, however old; None before the first one."""
        return None if self._known is None else self._known[0]

    def forget(self) -> None:
        """Discard the cached answer."""
        self._known = None

    def _latest(self) -> T:
        """Call the question, unless another thread has just done so."""
        known = self._known
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        began = time.monotonic()
        answer = self._question()
        now = time.monotonic()
        self._known = answer, now + min((now - began) / self._share, self._longest)
        return answer
