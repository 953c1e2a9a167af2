"""HTTP for the protocols: one deadline for the whole exchange, a size limit, and prompt stopping.

It uses libcurl, whose deadline covers everything: DNS, TLS, and an answer that comes at a byte a
second, which no socket timeout ends. Each thread keeps its connection, where the server does.
"""

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import certifi
import pycurl

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.call_observer import CallObserver, NoObserver
from bc_consumer.odoo.calls_at_once import LONGEST_WAIT, CallLimits, ProcessCallLimits
from bc_consumer.odoo.calls_under_way import CALLS
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import OdooError, OdooInterrupted, ResponseTooLarge
from bc_consumer.odoo.http_errors import check_status, error_of_curl
from bc_consumer.odoo.memory_estimate import check_memory

PAUSE_WITHOUT_SOCKET = 0.005  # seconds; while a name is resolved there is no socket to wait on


@dataclass(frozen=True, slots=True)
class Request:
    """One POST, or a GET where ``body`` is None. A repr shows neither body nor headers, which hold
    the credentials.

    ``tells_errors``: the protocol uses HTTP statuses itself, so an answer in JSON is returned to it
    whatever its status.
    """

    path: str
    content_type: str = ""
    body: bytes | None = field(default=None, repr=False)
    headers: tuple[str, ...] = field(default=(), repr=False)
    tells_errors: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of Odoo, decoded.

    ``seconds``: how long the exchange took. ``server_date``: the clock of Odoo, or of its proxy,
    when it answered: UTC, whole seconds; None if the answer had no ``Date`` header.
    """

    value: Any
    received_bytes: int
    seconds: float
    server_date: datetime | None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of status 200, or one in JSON of any status if ``Request.tells_errors``.

    ``seconds``: from the start of the exchange to its end.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    seconds: float

    @property
    def server_date(self) -> datetime | None:
        """The ``Date`` header, UTC; None if it is missing or can't be read."""
        try:
            return parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None

    def answer(self, value: Any) -> Answer:
        """Return the decoded value together with what the exchange tells."""
        return Answer(value, len(self.body), self.seconds, self.server_date)


class HttpSession:
    """Exchanges requests with one server. Thread-safe; each thread has a connection of its own.

    ``calls`` counts the exchanges begun, ``bytes`` the bytes of bodies received, decompressed.
    """

    def __init__(
        self,
        settings: OdooSettings,
        stop: threading.Event,
        call_limits: CallLimits | None = None,
        observer: CallObserver | None = None,
    ) -> None:
        self.calls = 0
        self.bytes = 0
        self._settings = settings
        self._stop = stop
        self._call_limits = call_limits or ProcessCallLimits(
            settings.concurrent_calls, settings.calls_per_second, stop
        )
        self._observer = observer or NoObserver()
        self._counting = threading.Lock()
        self._local = threading.local()

    def send(self, request: Request) -> Response:
        """Send a request and return the answer. Raises an OdooError for any other outcome.

        Waits for its turn first, for ``settings.timeout`` seconds at most: then OdooBusy.
        """
        with self._call_limits(self._settings.timeout):
            return self._exchange(request)

    def close(self) -> None:
        """Close the calling thread's connection; those of other threads end with them."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    def _exchange(self, request: Request) -> Response:
        connection = self._connection()
        began = time.monotonic()
        with self._counting:
            self.calls += 1
        try:
            status, headers, body = connection.exchange(request)
        finally:
            with self._counting:
                self.bytes += connection.received
            self._observer.exchange_ended(time.monotonic() - began, connection.received)
        if not (request.tells_errors and _is_json(headers)):
            check_status(status, headers, body, request.path, self._settings)
        self._observer.answered()
        check_memory(body, self._settings.max_response_bytes)
        return Response(status, headers, body, seconds=time.monotonic() - began)

    def _connection(self) -> "Connection":
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = Connection(self._settings, self._stop)
        return connection


def _headers_of(request: Request) -> list[str]:
    # An empty "Expect" keeps curl from waiting a second for a 100 that Odoo never sends. The list
    # is never empty: pycurl ignores an empty one, and would repeat the last call's headers.
    content = [] if request.body is None else [f"Content-Type: {request.content_type}"]
    return ["Expect:", *content, *request.headers]


def _is_json(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _weak(callback: Callable[[bytes], int | None]) -> Callable[[bytes], int | None]:
    """Return the method for libcurl without its object, which holds the handle itself.

    So the sockets of a thread are closed when it ends, not when Python looks for cycles.
    """
    method = weakref.WeakMethod(callback)

    def call(data: bytes) -> int | None:
        found = method()
        return found(data) if found is not None else 0

    return call


class Connection:
    """One thread's libcurl handle. Not thread-safe."""

    def __init__(self, settings: OdooSettings, stop: threading.Event) -> None:
        self.received = 0  # bytes of the present answer, decompressed
        self._settings = settings
        self._stop = stop
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._multi = pycurl.CurlMulti()
        self._curl = self._new_handle()

    def close(self) -> None:
        """Close the sockets."""
        self._curl.close()
        self._multi.close()

    def exchange(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        """Make one exchange. Return status, headers (names in lower case) and body."""
        self.received, self._status, self._headers, self._body = 0, 0, {}, []
        curl = self._curl
        curl.setopt(pycurl.URL, self._settings.base_url + request.path)
        if request.body is None:
            curl.setopt(pycurl.HTTPGET, 1)
        else:
            curl.setopt(pycurl.POSTFIELDS, request.body)  # makes it a POST
        curl.setopt(pycurl.HTTPHEADER, _headers_of(request))
        with CALLS.under_way(self._settings.timeout):
            error = self._perform()
        if error is not None:
            try:
                raise error
            finally:
                del error  # this frame, which the traceback holds, would hold the error
        body, self._body = b"".join(self._body), []  # the connection lasts as long as its thread
        return self._status, self._headers, body

    def _new_handle(self) -> pycurl.Curl:
        curl = pycurl.Curl()
        settings = self._settings
        for option, value in (
            (pycurl.NOSIGNAL, 1),  # libcurl's signals are unsafe with threads
            (pycurl.TIMEOUT_MS, max(1, round(settings.timeout * 1000))),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.ACCEPT_ENCODING, "gzip, deflate"),
            (pycurl.FOLLOWLOCATION, 0),  # following would turn the POST into a GET
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.CAINFO, settings.ca_file or certifi.where()),
            (pycurl.USERAGENT, "bc-consumer"),
            (pycurl.HEADERFUNCTION, _weak(self._on_header)),
            (pycurl.WRITEFUNCTION, _weak(self._on_data)),
        ):
            curl.setopt(option, value)
        return curl

    def _perform(self) -> OdooError | None:
        """Run the exchange. Return the error, if any, so that it is raised without context."""
        self._multi.add_handle(self._curl)
        try:
            while self._multi.perform()[1]:
                if self._stop.is_set():
                    return OdooInterrupted(_("Stopping: the call to Odoo was interrupted"))
                self._wait()
            failures = self._multi.info_read()[2]
        finally:
            self._multi.remove_handle(self._curl)
        if self.received > self._settings.max_response_bytes:
            return self._too_large()
        for _curl, number, text in failures:
            return error_of_curl(number, text, self._settings)
        return None

    def _wait(self) -> None:
        wanted = self._multi.timeout() / 1000  # -0.001: libcurl has no preference
        wait = LONGEST_WAIT if wanted < 0 else min(wanted, LONGEST_WAIT)
        if any(self._multi.fdset()):
            self._multi.select(wait)
        else:
            time.sleep(min(wait, PAUSE_WITHOUT_SOCKET))

    def _on_header(self, line: bytes) -> None:
        CALLS.hear()
        text = line.decode("iso-8859-1").strip()
        if text.startswith("HTTP/"):
            # Headers of a proxy, or of an interim answer, may have come before.
            self._headers.clear()
            self._status = int(text.split()[1])
        elif ":" in text:
            name, _, value = text.partition(":")
            self._headers[name.strip().lower()] = value.strip()

    def _on_data(self, data: bytes) -> int:
        CALLS.hear()
        self.received += len(data)
        if self.received > self._settings.max_response_bytes:
            self._body.clear()
            return 0  # fewer bytes than given: libcurl aborts
        self._body.append(data)
        return len(data)

    def _too_large(self) -> ResponseTooLarge:
        limit = self._settings.max_response_bytes
        return ResponseTooLarge(
            _(
                "Odoo's answer is larger than %(limit)s bytes and was cut off: ask for fewer"
                " orders at once; if a single order is that large, raise the limit",
                limit=limit,
            ),
            limit=limit,
        )
