"""A small threaded HTTP server that behaves like Odoo's: HTTP/1.0, one request per connection.

Odoo in multi-worker mode closes each connection; `keep_alive` simulates a proxy in front of it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import BinaryIO

_MAX_HEADER = 65_536
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str  # without the query string
    query: str
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass(slots=True)
class Response:
    status: int = 200
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    drip: float = 0.0  # seconds per byte
    cut: bool = False  # close after half of the body
    padding: int = 0  # bytes inserted between the two halves of the body, for huge answers


Answer = Callable[[Request], Response]


class HttpServer:
    """Listens on one port; `answer` is called in a separate thread per connection."""

    def __init__(self, host: str, port: int, answer: Answer, keep_alive: bool = False) -> None:
        self.host = host
        self.port = port
        self.answer = answer
        self.keep_alive = keep_alive
        self.clock_offset: Callable[[], float] = lambda: 0.0
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def listening(self) -> bool:
        return self._listener is not None

    def listen(self) -> None:
        """Bind and accept; port 0 is replaced by the one that the system assigned, and kept."""
        with self._lock:
            if self._listener is not None:
                return
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(_BACKLOG)
            self.port = listener.getsockname()[1]
            self._listener = listener
        threading.Thread(
            target=self._accept, args=(listener,), name=f"http-{self.port}", daemon=True
        ).start()

    def close(self) -> None:
        """Stop listening and drop open connections."""
        with self._lock:
            listener, self._listener = self._listener, None
            connections = list(self._open)
        if listener is not None:
            # shutdown() wakes the thread that waits in accept(); close() alone does not.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            if self._listener is not listener:
                connection.close()
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection.makefile("rb") as stream:
                while self._exchange(stream, connection):
                    pass
        except (OSError, ValueError):
            return  # the peer went away, or doesn't speak HTTP
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _exchange(self, stream: BinaryIO, connection: socket.socket) -> bool:
        """Handle one request; return whether another may follow."""
        request = _read(stream, connection)
        if request is None:
            return False
        response = self.answer(request)
        keep = self.keep_alive and request.headers.get("connection", "") != "close"
        self._send(connection, response, keep)
        return keep and not response.cut

    def _send(self, connection: socket.socket, response: Response, keep: bool) -> None:
        now = datetime.fromtimestamp(time.time() + self.clock_offset(), UTC)
        protocol = "HTTP/1.1" if keep else "HTTP/1.0"
        headers = {
            "Server": "Werkzeug/2.2.2 Python/3.11.7",
            "Date": format_datetime(now, usegmt=True),
            **response.headers,
            "Content-Length": str(len(response.body) + response.padding),
            "Connection": "keep-alive" if keep else "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        status = f"{response.status} {response.reason}".strip()
        head = f"{protocol} {status}\r\n{lines}\r\n".encode("latin-1")
        body = response.body
        if response.cut:
            connection.sendall(head + body[: len(body) // 2])
        elif response.drip:
            connection.sendall(head)
            for position in range(len(body)):
                connection.sendall(body[position : position + 1])
                time.sleep(response.drip)
        elif response.padding:
            _send_padded(connection, head, body, response.padding)
        else:
            connection.sendall(head + body)


def _send_padded(connection: socket.socket, head: bytes, body: bytes, padding: int) -> None:
    """Send the two halves of `body` around `|`, with letters between them."""
    before, _bar, after = body.partition(b"|")
    connection.sendall(head + before)
    chunk = b"x" * 65_536
    left = padding + 1  # plus one for the bar, which a letter replaces
    while left > 0:
        connection.sendall(chunk[:left])
        left -= len(chunk)
    connection.sendall(after)


def _read(stream: BinaryIO, connection: socket.socket) -> Request | None:
    """Read one request; None if the peer has finished (or sends nonsense)."""
    readline = stream.readline
    words = readline(_MAX_HEADER).decode("latin-1").split()
    if len(words) != 3:
        return None
    headers: dict[str, str] = {}
    while line := readline(_MAX_HEADER).decode("latin-1").strip():
        name, _colon, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = int(headers.get("content-length") or 0)
    body = stream.read(length) if length else b""
    path, _mark, query = words[1].partition("?")
    return Request(words[0], path, query, headers, body)
