"""The log of calls, which tests count."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """One RPC call with its outcome."""

    at: float  # seconds since 1970
    service: str  # common or object
    model: str  # empty for common
    method: str
    ids: int  # ids that the caller named (arguments, or `id in` / `id =` in the domain)
    records: int  # records in the answer
    seconds: float  # until the answer was ready, simulated latency included
    request_bytes: int
    response_bytes: int
    fault: int | None = None


class CallLog:
    """The latest calls, oldest first. Thread-safe."""

    def __init__(self, kept: int = 200_000) -> None:
        self._calls: deque[Call] = deque(maxlen=kept)
        self._lock = threading.Lock()
        self.total = 0

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)
            self.total += 1

    def all(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()
            self.total = 0
