"""State shared by the threads of one process: whether it is stopping, whether work is waiting, and
when it last heard from outside.
"""

import os
import secrets
import threading
import time

LOWEST_NUMBER = 1 << 62
"""The lowest number of a process: above any run's key."""

_numbers: dict[int, int] = {}


def process_number() -> int:
    """Return this process's number: at least LOWEST_NUMBER, and within a BIGINT column's range.

    Cached per process id, because a fork inherits its parent's memory. Claims carry the number, so
    that those of a dead process can be recognised.
    """
    return _numbers.setdefault(os.getpid(), LOWEST_NUMBER | secrets.randbits(62))


class LastTime:
    """When something last happened in this process, on the monotonic clock."""

    def __init__(self) -> None:
        self._at: float | None = None

    def note(self) -> None:
        """Note that it happens now; costs nothing that a hot path would feel."""
        self._at = time.monotonic()

    def seconds_ago(self) -> float | None:
        """Return how long ago it last happened; None if it has not yet."""
        return None if self._at is None else time.monotonic() - self._at


odoo_answer = LastTime()
"""When Odoo last answered a call of this process."""

webhook = LastTime()
"""When this process last stored a webhook. The heartbeat reports both to the database."""

stopping = threading.Event()
"""Set once when the process is told to end: claims are released and calls to Odoo aborted."""

bulk_batches = threading.BoundedSemaphore(2)
"""How many batches of the bulk lane a process works on at once. More would only share its one
processor, and events would wait for a free thread."""


class Deadline:
    """A moment on the monotonic clock until which something is so; it ends by itself."""

    def __init__(self) -> None:
        self._until = 0.0

    def set(self, seconds: float) -> None:
        """Let it be so for this long from now."""
        self._until = time.monotonic() + seconds

    @property
    def is_ahead(self) -> bool:
        """Whether it is so now."""
        return time.monotonic() < self._until


turn_awaited = Deadline()
"""One thread of this process waits until orders may be claimed again. It then takes whatever is
due, so the others need not wait as well, nor ask the database."""

wake = threading.Event()
"""Set when a row is due or soon will be, so that the timer checks the ledger again."""

action_asked = threading.Event()
"""Set when an operator has asked for something in this process, so that its worker looks at once.
Other processes find it within half a second."""

has_heartbeat = threading.Event()
"""Set once this process beats, so that others can tell by its number whether it is alive."""
