"""What ``manage.py web`` serves: the site, by threads of which some are the webhook's alone.

:func:`serve` shares the threads out. :class:`Server` serves a WSGI application under granian's
RSGI, so that nobody can hold a thread up.

A WSGI server's thread reads a request's body, however slowly it comes, and writes the answer,
however slowly it is taken; granian has a deadline for neither, and refuses to have one (measured
with granian 2.8: as many slow bodies as threads stop a process, and an answer given while another
thread still reads the body stops it too). Here the event loop reads the body, by a deadline,
before a thread is given to the request, and the answer is handed over as a whole.
"""

import asyncio
import io
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from granian._granian import RSGIProtocolClosed as ProtocolClosed

from odoo_webhook.incoming import ARRIVED, RETRY_AFTER_SECONDS, authorized

logger = logging.getLogger(__name__)

Environ = dict[str, Any]
Headers = list[tuple[str, str]]

WHOLE_BYTES = 4 * 2**20
"""An answer up to this is handed over at once; of a longer one the rest is sent piece by piece."""
PIECE_SECONDS = 30.0
"""How long a caller may take to read one piece of a long answer."""
YOUNG_SECONDS = 0.1
"""A body younger than this does not lose its place."""
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})


class Refused(Exception):
    """A request gets no thread. ``status`` says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Lane:
    """Requests that share threads: so many at once, so many waiting, each for so long."""

    def __init__(self, at_once: int, waiting: int, seconds: float) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._may_wait = waiting
        self._seconds = seconds

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a thread's turn; Refused when it is too long until then."""
        if self._free.locked():
            if not self._may_wait:
                raise Refused(503, "too many requests at once; try again in a moment")
            self._may_wait -= 1
            try:
                async with asyncio.timeout(self._seconds):
                    await self._free.acquire()
            except TimeoutError:
                raise Refused(503, "no answer in time; try again in a moment") from None
            finally:
                self._may_wait += 1
        else:
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()


class Bodies:
    """Bodies that are being read: so many at once, each up to so many bytes and seconds.

    Where there are too many the eldest loses its place to the newest: what an honest caller sends
    has come after some milliseconds.
    """

    def __init__(self, at_once: int, most_bytes: int, seconds: float) -> None:
        self.most_bytes = most_bytes
        self._at_once = at_once
        self._seconds = seconds
        self._reading: dict[asyncio.Timeout, float] = {}

    async def read(self, protocol: Any) -> bytes:
        """Return the body; Refused when it does not come in time."""
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
            raise Refused(408, "the body did not come in time") from None
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
class Treatment:
    """How one request is served. ``bodies`` None: its body is left unread, and closes it."""

    lane: Lane
    bodies: Bodies | None
    strict: bool = True
    """Refuse here what has no length, or too much; else the application does, by the headers."""
    on_lost: Callable[[], object] | None = None
    """Is called when a request came to nothing without the application's knowing of it: it got no
    thread, or its body no place, or the body was late or broken off; or when the answer is an
    error of ours (5xx)."""

    def lost(self) -> None:
        """Tell whoever wants to know."""
        if self.on_lost is not None:
            self.on_lost()


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Headers
    body: bytes
    rest: Iterator[bytes] | None
    """Of a body longer than WHOLE_BYTES."""
    close: Callable[[], object]


class Server:
    """granian's target: one in each web process."""

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        threads: int,
        treat: Callable[[Any], Treatment],
    ) -> None:
        self._application = application
        self._treat = treat
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Serve one request."""
        if scope.proto != "http":
            return
        treatment = self._treat(scope)
        try:
            body, whole = await _body(scope, protocol, treatment)
            environ = environ_of(scope, body)
            async with treatment.lane.turn():
                await self._serve(environ, protocol, treatment, keep=whole)
        except Refused as refused:
            logger.debug("%s %s: %d, %s", scope.method, scope.path, refused.status, refused.why)
            treatment.lost()
            headers = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
            if refused.status == 503:
                headers.append(("retry-after", str(RETRY_AFTER_SECONDS)))
            protocol.response_str(refused.status, headers, f"{refused.why}\n")

    async def _serve(
        self, environ: Environ, protocol: Any, treatment: Treatment, *, keep: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, self._answer, environ)
        if answer.status >= 500:
            treatment.lost()
        headers = answer.headers if keep else [*answer.headers, ("connection", "close")]
        if answer.rest is None and not answer.body:
            protocol.response_empty(answer.status, headers)
        elif answer.rest is None:
            protocol.response_bytes(answer.status, headers, answer.body)
        else:
            transport = protocol.response_stream(answer.status, headers)
            pieces = chain([answer.body], answer.rest)
            try:
                while piece := await loop.run_in_executor(self._threads, next, pieces, b""):
                    async with asyncio.timeout(PIECE_SECONDS):
                        await transport.send_bytes(piece)
            finally:
                await loop.run_in_executor(self._threads, answer.close)

    def _answer(self, environ: Environ) -> _Answer:
        """Call the application, in one of the threads."""
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
            if length > WHOLE_BYTES:
                rest = following
                break
        else:
            close()
        status, headers = started[-1]
        return _Answer(int(status.split(" ", 1)[0]), headers, b"".join(written), rest, close)


async def _body(scope: Any, protocol: Any, treatment: Treatment) -> tuple[bytes, bool]:
    """Return the body, and whether nothing of it is left unread."""
    length = str(scope.headers.get("content-length", ""))
    chunked = "transfer-encoding" in scope.headers
    if not chunked and (not length.isdecimal() or int(length[:18]) == 0):
        return b"", True
    bodies = treatment.bodies
    if scope.method in WITHOUT_BODY or bodies is None:
        return b"", False
    if not length.isdecimal():
        if treatment.strict:
            raise Refused(411, "send a Content-Length")
        return b"", False
    if int(length[:18]) > bodies.most_bytes:
        if treatment.strict:
            raise Refused(413, f"send {bodies.most_bytes} bytes at most")
        return b"", False
    return await bodies.read(protocol), True


def environ_of(scope: Any, body: bytes) -> Environ:
    """Return the WSGI environment of a request.

    Names with an underscore are left out: in an environment they can't be told from those with a
    hyphen, and so could forge what a proxy sets.
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
        ARRIVED: time.monotonic(),
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
"""For a thread; whoever has given up meanwhile has sent an event all the same."""
MOST_WAITING = 2_000
PAGES_WAITING = 128
PAGE_WAIT_SECONDS = 5.0
READY_AT_ONCE = 4
READY_WAIT_SECONDS = 1.0
EVENT_SECONDS = 5.0
"""For a webhook's body. Odoo itself waits one second for its answer."""
EVENTS_AT_ONCE = 256
FORM_SECONDS = 10.0
FORMS_AT_ONCE = 16
"""Of strangers: anybody may send the login form."""


def serve() -> Server:
    """Return granian's target for the project of the settings."""
    # The project's own module sets Django up; what needs models can't be imported before.
    application = import_string(settings.WSGI_APPLICATION)
    from bc_consumer.messaging.intake import note_missed
    from bc_consumer.page_limits import READINESS, pages_at_once, path_of, urgent_paths

    pages = pages_at_once(settings.WEB_THREADS)
    urgent = max(1, settings.WEB_THREADS - pages - READY_AT_ONCE)
    largest_form = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or settings.WEBHOOK_MAX_BODY_BYTES
    events = Bodies(EVENTS_AT_ONCE, settings.WEBHOOK_MAX_BODY_BYTES, EVENT_SECONDS)
    forms = Bodies(FORMS_AT_ONCE, largest_form, FORM_SECONDS)
    of_urgent = Lane(urgent, MOST_WAITING, WAIT_SECONDS)
    of_ready = Treatment(Lane(READY_AT_ONCE, MOST_WAITING, READY_WAIT_SECONDS), None)
    of_pages = Treatment(Lane(pages, PAGES_WAITING, PAGE_WAIT_SECONDS), forms)
    of_event = Treatment(of_urgent, events, strict=False, on_lost=note_missed)
    of_stranger = Treatment(of_urgent, None, strict=False)
    webhook = path_of("odoo-webhook")

    def treat(scope: Any) -> Treatment:
        path = scope.path.rstrip("/")
        if path == webhook:
            known = authorized(
                scope.headers.get("authorization", ""), settings.ODOO_WEBHOOK_SECRETS
            )
            return of_event if known else of_stranger
        if path in urgent_paths():
            return of_stranger
        return of_ready if path == path_of(READINESS) else of_pages

    return Server(application, settings.WEB_THREADS, treat)
