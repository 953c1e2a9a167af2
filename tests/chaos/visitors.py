"""People who view the copy's pages, and leave when nothing comes."""

from __future__ import annotations

import http.client
import secrets
import socket
import threading
import time
from types import TracebackType
from typing import Self

VISITORS = 160
"""More than two web processes have threads."""
LEAVE_SECONDS = 2.0
TABS = 4
TAB_SECONDS = 1.0
HEALTH_SECONDS = 1.0
"""As long as Odoo waits for a webhook's answer."""


class Visitors:
    """During the block many request the first page and leave, while some tabs stay open.

    Each has an invalid session cookie, so that the page asks the database.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._closing = threading.Event()
        work = [threading.Thread(target=self._come_and_leave, name="visitors")]
        work += [threading.Thread(target=self._keep_open, name=f"tab-{n}") for n in range(TABS)]
        self._threads = work

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join(30)

    def _come_and_leave(self) -> None:
        while not self._closing.is_set():
            waiting = [self._ask("/") for _ in range(VISITORS)]
            self._closing.wait(LEAVE_SECONDS)
            for one in waiting:
                if one is not None:
                    one.close()

    def _keep_open(self) -> None:
        """Request again and again, like the live page's script, waiting a while each time."""
        while not self._closing.wait(TAB_SECONDS):
            asked = self._ask("/today/")
            if asked is not None:
                with asked:
                    asked.settimeout(LEAVE_SECONDS)
                    try:
                        asked.recv(65536)
                    except OSError:
                        continue

    def _ask(self, path: str) -> socket.socket | None:
        """Send one request; return its socket, or None if nobody listens."""
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Cookie: sessionid={secrets.token_hex(16)}\r\nConnection: close\r\n\r\n"
        )
        try:
            made = socket.create_connection(("127.0.0.1", self._port), timeout=HEALTH_SECONDS)
        except OSError:
            return None
        try:
            made.sendall(request.encode())
        except OSError:
            made.close()
            return None
        return made


def is_healthy_at_the_end(port: int, seconds: float) -> bool:
    """Poll /healthz in the latter half of this time; return whether it ever answered."""
    time.sleep(seconds / 2)
    end = time.monotonic() + seconds / 2
    healthy = False
    while (left := end - time.monotonic()) > 0:
        healthy = _is_healthy(port) or healthy
        time.sleep(min(0.2, left))
    return healthy


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
