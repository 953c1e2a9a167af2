"""How many calls may be under way at once, and how many may begin in a second.

A gate is entered around each HTTP exchange. This one holds for one process; a deployment of several
gives the gateway a gate of its own (``Odoo(…, gate=…)``) that all of them share.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import OdooBusy, OdooInterrupted

Gate = Callable[[float], AbstractContextManager[None]]
"""Called with the seconds that a call may wait. Raises OdooBusy, and OdooInterrupted on a stop."""

LONGEST_WAIT = 0.1  # seconds between two looks at the stop event


class ProcessGate:
    """The limits of one process. Thread-safe. ``calls_per_second`` 0: as many as come."""

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
        """Wait for a free slot, then for this call's moment."""
        until = time.monotonic() + seconds
        acquire(self._slots, self._stop, until)
        try:
            pause(self._take_moment(until), self._stop)
            yield
        finally:
            self._slots.release()

    def _take_moment(self, until: float) -> float:
        """Reserve the next moment; return the seconds until then."""
        if not self._interval:
            return 0.0
        with self._lock:
            now = time.monotonic()
            moment = max(self._next, now)
            if moment > until:
                raise busy()
            self._next = moment + self._interval
        return moment - now


def acquire(slots: threading.Semaphore, stop: threading.Event, until: float) -> None:
    """Acquire, or raise: OdooInterrupted as soon as we are stopping, OdooBusy at ``until``.

    ``until``: on the monotonic clock.
    """
    while True:
        if stop.is_set():
            raise OdooInterrupted(_("Stopping: the call to Odoo was not begun"))
        left = until - time.monotonic()
        if slots.acquire(timeout=min(max(left, 0.001), LONGEST_WAIT)):
            return
        if left <= 0:
            raise busy()


def pause(seconds: float, stop: threading.Event) -> None:
    """Wait so long, or raise OdooInterrupted as soon as we are stopping."""
    if seconds > 0 and stop.wait(seconds):
        raise OdooInterrupted(_("Stopping: the call to Odoo was not begun"))


def busy() -> OdooBusy:
    """Our own limits left no room for this call in time."""
    return OdooBusy(
        _(
            "The call to Odoo had to wait too long for others: raise"
            " ODOO_CONCURRENT_CALLS or ODOO_CALLS_PER_SECOND, or run fewer workers"
        )
    )
