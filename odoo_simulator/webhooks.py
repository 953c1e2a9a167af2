"""Sends webhooks as Odoo's `requests.post(url, data=..., timeout=1)` does.

Each call makes a new connection, with one second for connecting and one for each wait for the
answer, and no retry; failures are only recorded. Redirects are followed as by requests: 301, 302
and 303 turn the POST into a GET without a body.
"""

from __future__ import annotations

import base64
import http.client
import random
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

TIMEOUT = 1.0  # seconds; Odoo's own, not configurable
_MAX_REDIRECTS = 30
_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call; without an answer `status` is None and `error` says why."""

    at: float  # seconds since 1970
    url: str  # without credentials
    body: bytes
    status: int | None
    seconds: float
    error: str = ""


class WebhookSender:
    """Sends webhooks and counts them. Thread-safe."""

    def __init__(self) -> None:
        self.deliveries: deque[Delivery] = deque(maxlen=_KEPT)
        self.sent = 0
        self.failed = 0
        self.loss = 0.0  # share of calls that are lost on the way
        self.doubling = 0.0  # share of calls that arrive twice
        self.random = random.Random(0)
        self._lock = threading.Lock()

    def send(self, url: str, body: bytes) -> None:
        """Send one call; never raises, whatever receiver or network do."""
        if self.loss and self.random.random() < self.loss:
            return
        self.deliver(url, body)
        if self.doubling and self.random.random() < self.doubling:
            self.deliver(url, body)

    def all(self) -> list[Delivery]:
        with self._lock:
            return list(self.deliveries)

    def clear(self) -> None:
        with self._lock:
            self.deliveries.clear()
            self.sent = self.failed = 0

    def counters(self) -> dict[str, float]:
        """Return how many were answered below 400, how many failed, and the answers' seconds."""
        with self._lock:
            times = sorted(delivery.seconds for delivery in self.deliveries)
        middle = times[len(times) // 2] if times else 0.0
        return {
            "sent": self.sent,
            "failed": self.failed,
            "median_seconds": middle,
            "slowest_seconds": times[-1] if times else 0.0,
        }

    def deliver(self, url: str, body: bytes) -> Delivery:
        """Send one call that is neither lost nor doubled, and return its outcome; never raises."""
        at, started = time.time(), time.perf_counter()
        status, error = None, ""
        try:
            status = self._post(url, body)
        except (OSError, http.client.HTTPException, ValueError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        seconds = time.perf_counter() - started
        delivery = Delivery(at, _without_credentials(url), body, status, seconds, error)
        with self._lock:
            self.deliveries.append(delivery)
            if status is not None and status < 400:
                self.sent += 1
            else:
                self.failed += 1
        return delivery

    def _post(self, url: str, body: bytes) -> int:
        method, data = "POST", body
        for _redirect in range(_MAX_REDIRECTS):
            status, location = self._request(method, url, data)
            if location is None or status not in (301, 302, 303, 307, 308):
                return status
            url = urljoin(url, location)
            if status in (301, 302, 303):
                method, data = "GET", b""
        raise ValueError("too many redirects")

    def _request(self, method: str, url: str, body: bytes) -> tuple[int, str | None]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                host, parts.port, timeout=TIMEOUT, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {
            "User-Agent": "python-requests/2.31.0",
            "Accept-Encoding": "gzip, deflate",
            "Accept": "*/*",
            "Connection": "keep-alive",
        }
        if method == "POST":
            headers["Content-Type"] = "application/json"
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if method == "POST":
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            response = connection.getresponse()
            response.read()
            return response.status, response.getheader("Location")
        finally:
            connection.close()


def _without_credentials(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
