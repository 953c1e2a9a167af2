"""How long this process leaves Odoo alone after Odoo, or our access to it, failed."""

import threading
import time

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
REFUSED_PAUSE_SECONDS = 60.0
"""Wrong credentials or missing rights need a person: asking often helps nobody."""


class Outage:
    """A pause that doubles with each failure in a row and ends with the first success."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._pause = 0.0

    def failed(self, pause: float | None = None) -> float:
        """Begin a pause, of ``pause`` seconds if given; return its length in seconds."""
        with self._lock:
            doubled = min(max(self._pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            self._pause = doubled if pause is None else pause
            self._until = time.monotonic() + self._pause
            return self._pause

    def succeeded(self) -> bool:
        """End the pause; return whether there was one."""
        with self._lock:
            was_paused = self._pause > 0
            self._until = self._pause = 0.0
            return was_paused

    def seconds_left(self) -> float:
        """Return how long the pause still lasts; 0.0 when there is none."""
        return max(self._until - time.monotonic(), 0.0)


odoo_outage = Outage()
