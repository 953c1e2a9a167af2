"""Limits of calls: how many may run at once, and how many may begin in a second.

Each HTTP exchange runs inside ``with limits(seconds):``. ``ProcessCallLimits`` counts the calls of
one process; a deployment of several passes limits that all of them share
(``Odoo(…, call_limits=…)``).
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import OdooBusy, OdooInterrupted

CallLimits = Callable[[float], AbstractContextManager[None]]
"""Takes the seconds that a call may wait. Raises OdooBusy after that, OdooInterrupted on a stop."""

LONGEST_WAIT = 0.1  # seconds between two checks of the stop event


class ProcessCallLimits:
    """The limits of one process. Thread-safe. ``calls_per_second`` 0 means no limit."""

    def __init__(
        self, concurrent_calls: int, calls_per_second: float, stop: threading.Event
    ) -> None:
        self._slots = threading.BoundedSemaphore(concurrent_calls)
        self._interval = 1 / calls_per_second if calls_per_second else 0.0
        self._stop = stop
        self._lock = threading.Lock()
        self._next = 0.0  # on the monotonic clock: when the next call may begin

    @contextmanager
    def __call__(self, seconds: float) -> Iterator[None]:
        """Wait for a free slot, then until this call may begin."""
        until = time.monotonic() + seconds
        acquire_slot(self._slots, self._stop, until)
        try:
            wait_or_stop(self._reserve_start(until), self._stop)
            yield
        finally:
            self._slots.release()

    def _reserve_start(self, until: float) -> float:
        """Reserve the next start of a call, and return the seconds until then."""
        if not self._interval:
            return 0.0
        with self._lock:
            now = time.monotonic()
            start = max(self._next, now)
            if start > until:
                raise busy_error()
            self._next = start + self._interval
        return start - now


def acquire_slot(slots: threading.Semaphore, stop: threading.Event, until: float) -> None:
    """Wait for a slot. Raises OdooInterrupted once ``stop`` is set, and OdooBusy at ``until``.

    ``until``: a time on the monotonic clock.
    """
    while True:
        if stop.is_set():
            raise OdooInterrupted(_("Stopping: the call to Odoo was not started"))
        left = until - time.monotonic()
        if slots.acquire(timeout=min(max(left, 0.001), LONGEST_WAIT)):
            return
        if left <= 0:
            raise busy_error()


def wait_or_stop(seconds: float, stop: threading.Event) -> None:
    """Wait for some seconds. Raises OdooInterrupted once ``stop`` is set."""
    if seconds > 0 and stop.wait(seconds):
        raise OdooInterrupted(_("Stopping: the call to Odoo was not started"))


def busy_error() -> OdooBusy:
    """Return the error for a call that our own limits did not let begin in time."""
    return OdooBusy(
        _(
            "The call to Odoo had to wait too long for other calls: raise"
            " ODOO_CONCURRENT_CALLS or ODOO_CALLS_PER_SECOND, or run fewer workers"
        )
    )
