"""How long Odoo has been silent while this process waits for an answer.

A call may take its whole deadline, half a minute, before it fails; whoever waits for it at a
terminal should know sooner why nothing happens.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Silence:
    """Odoo has sent nothing for ``seconds``, and the call that has waited longest ends ``timeout``
    seconds after it began."""

    seconds: float
    timeout: float


class Calls:
    """The calls to Odoo that are under way in one process. Thread-safe."""

    def __init__(self) -> None:
        self._begun: dict[object, tuple[float, float]] = {}
        """A key of its own for each call → when it began, and its timeout."""
        self._heard_at = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def under_way(self, timeout: float) -> Iterator[None]:
        """Count a call; ``timeout``: the seconds that it may take in all."""
        key = object()
        with self._lock:
            self._begun[key] = time.monotonic(), timeout
        try:
            yield
        finally:
            with self._lock:
                del self._begun[key]

    def hear(self) -> None:
        """Note that something of an answer has come."""
        self._heard_at = time.monotonic()

    def silence(self) -> Silence | None:
        """Return for how long no call has heard of Odoo; None while none is under way."""
        with self._lock:
            begun = list(self._begun.values())
        if not begun:
            return None
        began, timeout = min(begun)
        return Silence(time.monotonic() - max(began, self._heard_at), timeout)


CALLS = Calls()
"""Those of this process, by whichever gateway."""
