"""The server behind ``manage.py web``: serves the site, with threads reserved for the webhook.

:func:`serve` divides the threads among kinds of requests. :class:`Server` runs a WSGI application
on granian's RSGI interface, so that no caller can block a thread.

A WSGI server's thread reads the request's body, however slowly it arrives, and writes the response,
however slowly the client reads it. Granian has no timeout for either, and its project declined to
add one. Measured with granian 2.8: as many slow bodies as there are threads stop a process, and so
does a response sent while another thread still reads the body. Here the event loop reads the body,
with a deadline, before the request gets a thread, and the response is handed over as a whole.
"""

import asyncio
import io
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.module_loading import import_string
from granian._granian import RSGIProtocolClosed as ProtocolClosed

from odoo_webhook.webhook_request import ARRIVED, RETRY_AFTER_SECONDS, WITHOUT_BODY, authorized

if TYPE_CHECKING:
    from odoo_webhook.fast_path import Reply

logger = logging.getLogger(__name__)

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
TakeIn = Callable[[Any, bytes, float], Awaitable["Reply | None"]]
"""Takes a request's head, its body, and when that was complete."""

WHOLE_BYTES = 4 * 2**20
"""Longest response that is handed over at once; the rest of a longer one is streamed."""
PIECE_SECONDS = 30.0
"""How long a client may take to read one chunk of a streamed response."""
STREAM_SECONDS = 180.0
"""How long a client may take to read the whole of one. It holds one of the quota's places so long,
and no thread but while a chunk is made."""
YOUNG_SECONDS = 0.1
"""A body that has been read for less than this does not lose its place."""


class Refused(Exception):
    """The request gets no thread. ``status`` is the HTTP status, ``why`` the response's text."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class ThreadQuota:
    """A group of requests that share threads.

    ``at_once`` requests have a thread, and up to ``waiting`` more wait for one, each for up to
    ``seconds``.
    """

    def __init__(self, at_once: int, waiting: int, seconds: float) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._waiting_places = waiting
        self._seconds = seconds

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold one of the quota's threads for the block. Raises Refused (503) if none gets free."""
        if self._free.locked():
            if not self._waiting_places:
                raise Refused(503, "too many requests at once; try again in a moment")
            self._waiting_places -= 1
            try:
                async with asyncio.timeout(self._seconds):
                    await self._free.acquire()
            except TimeoutError:
                raise Refused(503, "no thread became free in time; try again in a moment") from None
            finally:
                self._waiting_places += 1
        else:
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()


class BodyReader:
    """Reads bodies: ``at_once`` of them, each up to ``most_bytes`` and for up to ``seconds``.

    When all places are taken, the oldest body loses its place to the newest: an honest caller's
    body has arrived after a few milliseconds.
    """

    def __init__(self, at_once: int, most_bytes: int, seconds: float) -> None:
        self.most_bytes = most_bytes
        self._at_once = at_once
        self._seconds = seconds
        self._reading: dict[asyncio.Timeout, float] = {}

    async def read(self, protocol: Any) -> bytes:
        """Return the body. Raises Refused: 503 without a place, 408 if late, 400 if cut off."""
        now = asyncio.get_running_loop().time()
        if len(self._reading) >= self._at_once:
            self._make_room(now)
        try:
            async with asyncio.timeout(self._seconds) as deadline:
                self._reading[deadline] = now
                try:
                    body: bytes = await protocol()
                finally:
                    self._reading.pop(deadline, None)
        except TimeoutError:
            raise Refused(408, "the body did not arrive in time") from None
        except ProtocolClosed:
            raise Refused(400, "the body is shorter than its Content-Length") from None
        return body

    def _make_room(self, now: float) -> None:
        eldest, began = next(iter(self._reading.items()))
        if now - began < YOUNG_SECONDS:
            raise Refused(503, "too many bodies at once; try again in a moment")
        del self._reading[eldest]
        eldest.reschedule(now)


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """How a request is served.

    With ``bodies`` None its body is left unread, and the connection is closed after the response.
    """

    quota: ThreadQuota
    bodies: BodyReader | None
    strict: bool = True
    """Refuse a body without a length, or too long a one, here; otherwise the application does, by
    the headers."""
    take_in: TakeIn | None = None
    """Answers ordinary requests on the event loop; what it leaves goes to the application."""
    threads: ThreadPoolExecutor | None = None
    """Threads of its own, at least as many as its quota has; None: those that all others share."""
    on_lost: Callable[[], object] | None = None
    """Called when the request fails before it reaches the application (no thread, no place for its
    body, or a body that was late or cut off), or when the response is a 5xx."""

    def report_lost(self) -> None:
        """Call ``on_lost``, if there is one."""
        if self.on_lost is not None:
            self.on_lost()


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Headers
    body: bytes
    rest: Iterator[bytes] | None
    """The chunks still to be streamed of a response longer than WHOLE_BYTES, or of one whose length
    is unknown, which is made while it is read."""
    close: Callable[[], object]


class Server:
    """Granian's target; each web process has one instance."""

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        threads: int,
        policy_for: Callable[[Any], RequestPolicy],
        on_end: Callable[[], object] = bool,
    ) -> None:
        """``on_end`` is called when the process ends in good order, after the last request."""
        self._application = application
        self._on_end = on_end
        self._policy_for = policy_for
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Serve one HTTP request; other protocols are ignored."""
        if scope.proto != "http":
            return
        policy = self._policy_for(scope)
        try:
            body, whole = await _read_body(scope, protocol, policy)
            arrived = time.monotonic()
            if policy.take_in is not None and whole:
                try:
                    reply = await policy.take_in(scope, body, arrived)
                except BaseException:  # an error of ours, or the caller has hung up
                    policy.report_lost()
                    raise
                if reply is not None:
                    protocol.response_bytes(reply.status, reply.headers, reply.body)
                    return
            environ = environ_of(scope, body) | {ARRIVED: arrived}
            async with policy.quota.turn():
                await self._serve(environ, protocol, policy, keep=whole)
        except Refused as refused:
            logger.debug("%s %s: %d, %s", scope.method, scope.path, refused.status, refused.why)
            policy.report_lost()
            headers = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
            if refused.status == 503:
                headers.append(("retry-after", str(RETRY_AFTER_SECONDS)))
            protocol.response_str(refused.status, headers, f"{refused.why}\n")

    def __rsgi_del__(self, _loop: Any) -> None:
        """End: granian calls this before it ends its process without Python's own clean-up."""
        self._on_end()

    async def _serve(
        self, environ: Environ, protocol: Any, policy: RequestPolicy, *, keep: bool
    ) -> None:
        loop, threads = asyncio.get_running_loop(), policy.threads or self._threads
        answer = await loop.run_in_executor(threads, self._call_application, environ)
        if answer.status >= 500:
            policy.report_lost()
        headers = answer.headers if keep else [*answer.headers, ("connection", "close")]
        if answer.rest is None and not answer.body:
            protocol.response_empty(answer.status, headers)
        elif answer.rest is None:
            protocol.response_bytes(answer.status, headers, answer.body)
        else:
            transport = protocol.response_stream(answer.status, headers)
            pieces = chain([answer.body], answer.rest)
            try:
                async with asyncio.timeout(STREAM_SECONDS):
                    while piece := await loop.run_in_executor(threads, next, pieces, b""):
                        async with asyncio.timeout(PIECE_SECONDS):
                            await transport.send_bytes(piece)
            except TimeoutError:
                logger.info("%s: the client read too slowly", environ["PATH_INFO"])
            finally:
                await loop.run_in_executor(threads, answer.close)

    def _call_application(self, environ: Environ) -> _Answer:
        """Call the application, in one of the threads, and collect its response."""
        started: list[tuple[str, Headers]] = []
        written: list[bytes] = []

        def start_response(
            status: str, headers: Headers, _error: object = None
        ) -> Callable[[bytes], None]:
            started.append((status, headers))
            return written.append

        try:
            pieces = self._application(environ, start_response)
        except Exception:
            logger.exception("%s: the application failed", environ["PATH_INFO"])
            return _Answer(500, [("content-type", "text/plain")], b"error\n", None, bool)
        close: Callable[[], object] = getattr(pieces, "close", bool)
        following, length = iter(pieces), 0
        rest: Iterator[bytes] | None = None
        for piece in following:
            written.append(piece)
            length += len(piece)
            if length > WHOLE_BYTES or _is_made_while_read(pieces, started):
                rest = following
                break
        else:
            close()
        status, headers = started[-1]
        return _Answer(int(status.split(" ", 1)[0]), headers, b"".join(written), rest, close)


def _is_made_while_read(pieces: object, started: list[tuple[str, Headers]]) -> bool:
    """Whether Django streams this response, and does not know how long it will be."""
    if not getattr(pieces, "streaming", False):
        return False
    return not any(
        name.lower() == "content-length" for _status, told in started for name, _ in told
    )


async def _read_body(scope: Any, protocol: Any, policy: RequestPolicy) -> tuple[bytes, bool]:
    """Return the body, and whether it was read to its end. Raises Refused."""
    length = str(scope.headers.get("content-length", ""))
    chunked = "transfer-encoding" in scope.headers
    if not chunked and (not length.isdecimal() or int(length[:18]) == 0):
        return b"", True
    bodies = policy.bodies
    if scope.method in WITHOUT_BODY or bodies is None:
        return b"", False
    if not length.isdecimal():
        if policy.strict:
            raise Refused(411, "send a Content-Length")
        return b"", False
    if int(length[:18]) > bodies.most_bytes:
        if policy.strict:
            raise Refused(413, f"send {bodies.most_bytes} bytes at most")
        return b"", False
    return await bodies.read(protocol), True


def environ_of(scope: Any, body: bytes) -> Environ:
    """Return the WSGI environment for a request.

    Headers whose name has an underscore are left out: in the environment they cannot be told from
    those with a hyphen, and so could forge a header that a proxy sets.
    """
    host, _, port = scope.server.rpartition(":")
    environ: Environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode("utf-8", "replace").decode("latin-1"),
        "QUERY_STRING": scope.query_string.encode("utf-8", "replace").decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.0" if scope.http_version == "1" else "HTTP/1.1",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue
        key = name.replace("-", "_").upper()
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            key = f"HTTP_{key}"
        separator = "; " if name == "cookie" else ","
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
    return environ


WAIT_SECONDS = 10.0
"""How long a webhook or /healthz may wait for a thread. An event counts even if the caller has hung
up by then, so this is longer than Odoo's timeout of 1 s."""
MOST_WAITING = 2_000
"""Requests to the webhook and /healthz, and to /readyz and /metrics, that may wait for a thread."""
PAGES_WAITING = 128
"""Page requests that may wait for a thread."""
PAGE_WAIT_SECONDS = 5.0
"""How long a page request may wait for a thread."""
READY_AT_ONCE = 4
"""Threads for the readiness check and the metrics."""
READY_WAIT_SECONDS = 1.0
"""How long either may wait for a thread."""
EVENT_SECONDS = 5.0
"""Deadline for reading a webhook's body. Odoo itself waits one second for the response."""
EVENTS_AT_ONCE = 256
"""Webhook bodies that are read at once."""
FORM_SECONDS = 10.0
"""Deadline for reading a form."""
FORMS_AT_ONCE = 16
"""Forms that are read at once. They are few because anybody may send the login form."""


def serve() -> Server:
    """Return granian's target for the project's WSGI_APPLICATION."""
    # Importing the project's module sets up Django; modules that need models are imported after it.
    application = import_string(settings.WSGI_APPLICATION)
    from bc_consumer.console.metrics import begin_to_flush
    from bc_consumer.messaging.intake import note_missed
    from bc_consumer.page_limits import (
        PAGE_THREADS,
        keep_connections_of_pages,
        pages_at_once,
        path_of,
        prompt_paths,
        urgent_paths,
    )
    from odoo_webhook.fast_path import FastPath

    pages = pages_at_once(settings.WEB_THREADS)
    urgent = max(1, settings.WEB_THREADS - pages - READY_AT_ONCE)
    largest_form = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or settings.WEBHOOK_MAX_BODY_BYTES
    events = BodyReader(EVENTS_AT_ONCE, settings.WEBHOOK_MAX_BODY_BYTES, EVENT_SECONDS)
    forms = BodyReader(FORMS_AT_ONCE, largest_form, FORM_SECONDS)
    urgent_lane = ThreadQuota(urgent, MOST_WAITING, WAIT_SECONDS)
    prompt_policy = RequestPolicy(
        ThreadQuota(READY_AT_ONCE, MOST_WAITING, READY_WAIT_SECONDS), None
    )
    keep_connections_of_pages()
    page_policy = RequestPolicy(
        ThreadQuota(pages, PAGES_WAITING, PAGE_WAIT_SECONDS),
        forms,
        threads=ThreadPoolExecutor(pages, thread_name_prefix=PAGE_THREADS),
    )
    webhook = path_of("odoo-webhook")
    event_policy = RequestPolicy(
        urgent_lane, events, strict=False, take_in=FastPath(webhook).take_in, on_lost=note_missed
    )
    unread_policy = RequestPolicy(urgent_lane, None, strict=False)

    def policy_for(scope: Any) -> RequestPolicy:
        path = scope.path.rstrip("/")
        if path == webhook:
            has_secret = authorized(
                scope.headers.get("authorization", ""), settings.ODOO_WEBHOOK_SECRETS
            )
            return event_policy if has_secret else unread_policy
        if path in urgent_paths():
            return unread_policy
        return prompt_policy if path in prompt_paths() else page_policy

    return Server(application, settings.WEB_THREADS, policy_for, begin_to_flush().close)
