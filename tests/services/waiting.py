"""Waiting for a condition with a deadline, and finding a free port."""

from __future__ import annotations

import itertools
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

# Below Linux's ephemeral range (32768 and up), so that no other program's outgoing connection takes
# the port between our check and the server's bind. Each parallel test process has its own share and
# reuses a port only after it has returned all others, so that a stopped server can get its port
# back.
_FIRST_PORT, _PORTS, _SHARES = 20_000, 1_000, 12

PATIENCE_SECONDS = 30.0
"""For what takes a moment on an idle machine; a busy one may take many times as long."""

T = TypeVar("T")


class DeadlineMissedError(AssertionError):
    """A condition did not become true in time."""


def wait_until(
    predicate: Callable[[], T],
    seconds: float = PATIENCE_SECONDS,
    *,
    what: str = "",
    every: float = 0.02,
) -> T:
    """Return the predicate's first true value.

    Args:
        predicate: called repeatedly; an exception that it raises is propagated at once.
        seconds: how long to wait at most.
        what: what is waited for, in words, for the failure's message.
        every: seconds between two looks at first; later a twentieth of what has been waited, as
            looking takes processors from what is waited for.

    Raises:
        DeadlineMissedError: with the last value, when time is up.
    """
    began = time.monotonic()
    deadline = began + seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            name = what or getattr(predicate, "__name__", "the condition")
            raise DeadlineMissedError(f"after {seconds:g} s still waiting: {name}; last: {value!r}")
        time.sleep(max(every, min(0.2, (time.monotonic() - began) / 20)))


def _share() -> range:
    """Return the ports of this process, by its number among pytest-xdist's, or the first share."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1
    first = _FIRST_PORT + number % _SHARES * _PORTS
    return range(first, first + _PORTS)


def _endlessly(ports: range) -> Iterator[int]:
    """Cycle through the ports from a random start: another run here has the same shares."""
    begin = random.randrange(len(ports))
    return itertools.cycle([*ports[begin:], *ports[:begin]])


_ports = _endlessly(_share())


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now."""
    for port in itertools.islice(_ports, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port after 200 tries, the last one {port}")


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a TCP connection there is accepted."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
