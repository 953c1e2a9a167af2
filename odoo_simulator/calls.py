"""The log of calls: what a test counts."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """One RPC call as it was answered."""

    at: float  # seconds since 1970
    service: str  # common or object
    model: str  # empty for common
    method: str
    ids: int  # how many ids the caller named (arguments, or `id in` / `id =` in the domain)
    records: int  # how many records the answer holds
    seconds: float  # until the answer was ready, made-up latency included
    request_bytes: int
    response_bytes: int
    fault: int | None = None


class CallLog:
    """The last calls, oldest first. Thread-safe."""

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
