"""Webhooks from many connections, each sending its next one when its last is answered.

One process of its own with one thread and plain sockets, so that the sender costs the machine as
little as it can: what is measured is the receiver. Like Odoo it makes a connection for each webhook
and leaves after a second (``requests.post(…, timeout=1)``, measured with 17, 18 and 19).
"""

from __future__ import annotations

import base64
import json
import multiprocessing
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote, urlsplit

ODOO_WAITS_SECONDS = 1.0
LEFT = 0
"""The status of a webhook whose sender left without an answer, or that found no connection."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One webhook: the order it named, and what became of it."""

    odoo_id: int
    status: int
    kept_in: str
    seconds: float
    at: float
    """Seconds after the first one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: each order once, in this order, until the time or the orders are over."""

    webhook_url: str
    odoo_ids: Sequence[int]
    connections: int
    seconds: float
    rate: float = 0.0
    """All together, a second; 0: as fast as they can."""
    content_type: str = "application/json"


class Sending(Protocol):
    """A flood under way."""

    def result(self) -> list[Sent]:
        """Wait for its end; return what became of each webhook that was sent."""


@contextmanager
def flooding(plan: Plan) -> Iterator[Sending]:
    """Send in a process of its own meanwhile."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(time.monotonic).result()  # the process is there
        yield pool.submit(flood, plan)


def flood(plan: Plan) -> list[Sent]:
    """Send by this process; see :func:`flooding`."""
    return _Flood(plan).run()


def summary(sent: Sequence[Sent]) -> str:
    """Say what a person who measures wants to see."""
    times = sorted(one.seconds * 1000 for one in sent)
    kept = Counter(one.kept_in or str(one.status) for one in sent)
    lasted = max((one.at + one.seconds for one in sent), default=0.0)
    shares = {f"p{share}": round(times[len(times) * share // 100]) for share in (50, 90, 99)}
    late = sum(one.seconds > 0.3 for one in sent)
    return (
        f"{len(sent)} webhooks in {lasted:.1f} s, {len(sent) / lasted:.0f}/s, {dict(kept)}, "
        f"ms {shares}, most {times[-1]:.0f}, over 300 ms: {late}"
    )


@dataclass(slots=True)
class _Call:
    """One webhook on its way."""

    odoo_id: int
    began: float
    request: bytes
    socket: socket.socket
    answer: bytearray = field(default_factory=bytearray)


class _Flood:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        parts = urlsplit(plan.webhook_url)
        login = f"{parts.username}:{unquote(parts.password or '')}".encode()
        self._address = (parts.hostname, parts.port)
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.hostname}:{parts.port}\r\n"
            f"Authorization: Basic {base64.b64encode(login).decode()}\r\n"
            f"Content-Type: {plan.content_type}\r\nConnection: close\r\nContent-Length: "
        )
        self._selector = selectors.DefaultSelector()
        self._calls: dict[int, _Call] = {}
        self._next = iter(plan.odoo_ids)
        self._sent: list[Sent] = []
        self._begun = 0
        self._began = time.monotonic()

    def run(self) -> list[Sent]:
        more = True
        while more or self._calls:
            more = more and self._begin()
            for key, _events in self._selector.select(0.01):
                self._go_on(self._calls[key.fd])
            self._leave()
        return self._sent

    def _begin(self) -> bool:
        """Let free connections send; tell whether there is more to send."""
        now = time.monotonic()
        if now - self._began > self._plan.seconds:
            return False
        while len(self._calls) < self._plan.connections:
            if self._plan.rate and self._begun > (now - self._began) * self._plan.rate:
                return True
            odoo_id = next(self._next, None)
            if odoo_id is None:
                return False
            self._begun += 1
            self._connect(odoo_id)
        return True

    def _connect(self, odoo_id: int) -> None:
        body = json.dumps({"_model": "purchase.order", "_id": odoo_id, "id": odoo_id})
        request = f"{self._head}{len(body)}\r\n\r\n{body}".encode()
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(self._address)
        self._calls[connection.fileno()] = _Call(odoo_id, time.monotonic(), request, connection)
        self._selector.register(connection, selectors.EVENT_WRITE)

    def _go_on(self, call: _Call) -> None:
        try:
            if call.request:
                call.socket.sendall(call.request)
                call.request = b""
                self._selector.modify(call.socket, selectors.EVENT_READ)
                return
            received = call.socket.recv(65536)
        except OSError:
            self._end(call, LEFT)
            return
        call.answer += received
        if not received:
            self._end(call, int(call.answer.split(maxsplit=2)[1]) if call.answer else LEFT)

    def _leave(self) -> None:
        now = time.monotonic()
        for call in list(self._calls.values()):
            if now - call.began < ODOO_WAITS_SECONDS:
                return  # the oldest come first
            self._end(call, LEFT)

    def _end(self, call: _Call, status: int) -> None:
        now = time.monotonic()
        del self._calls[call.socket.fileno()]
        self._selector.unregister(call.socket)
        call.socket.close()
        body = call.answer.partition(b"\r\n\r\n")[2]
        kept_in = json.loads(body).get("kept_in", "") if status else ""
        self._sent.append(
            Sent(call.odoo_id, status, kept_in, now - call.began, call.began - self._began)
        )
