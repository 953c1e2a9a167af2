"""Waiting for something to become true, with a deadline, and finding a free port."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from typing import TypeVar

# Below Linux's ephemeral range (32768 and up): an outgoing connection of some other program can't
# take the port between our look and the server's bind.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000

T = TypeVar("T")


class DeadlineMissedError(AssertionError):
    """What a test waited for did not become true in time."""


def wait_until(
    predicate: Callable[[], T], seconds: float = 15.0, *, what: str = "", every: float = 0.02
) -> T:
    """Return the predicate's first true value.

    Args:
        predicate: asked again and again; an exception that it raises goes through at once.
        seconds: how long to wait at most.
        what: what is waited for, in words, for the failure's message.
        every: seconds between two looks.

    Raises:
        DeadlineMissedError: with the last value, when time is up.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            name = what or getattr(predicate, "__name__", "the condition")
            raise DeadlineMissedError(f"after {seconds:g} s still waiting: {name}; last: {value!r}")
        time.sleep(every)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at this moment."""
    for _ in range(200):
        port = random.randint(_FIRST_PORT, _LAST_PORT)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {_FIRST_PORT} and {_LAST_PORT} after 200 tries")


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether somebody accepts a TCP connection there."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
