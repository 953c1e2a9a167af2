"""Limits what pages may hold up: the database's silence to seconds, and threads to a share.

Pages, forms and static files wait for the database, or for their turn. Without limits, people who
look at pages while the database hangs would occupy all threads of a web process, and the webhook
would find none (measured: with 64 views of one page, 160 of 280 requests to webhook and /healthz
failed).
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import translation

from bc_consumer.core.database_deadline import database_deadline, deadline_passed
from bc_consumer.core.redacted_text import redacted

__all__ = ["PageLimitsMiddleware"]

logger = logging.getLogger(__name__)

TURN_SECONDS = 1.0
"""How long a page waits for a free thread."""
RETRY_AFTER_SECONDS = 5
AWAY = (OperationalError, InterfaceError)
URGENT = ("odoo-webhook", "healthz")
"""Names of URLs that are never held up: they wait for nothing without a deadline."""
PROMPT = ("readyz", "metrics")
"""Names of URLs whose views ask servers, with a short deadline of their own."""
PAGE_THREADS = "page"
"""What the names of those threads begin with that serve pages and nothing else."""
KEPT_SECONDS = 60.0
"""How long each of these threads, which are few, keeps its connection to the database."""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def pages_at_once(threads: int) -> int:
    """Return how many of a web process's threads may serve pages."""
    return max(1, threads // 4)


def keep_connections_of_pages() -> None:
    """Let the threads that serve pages keep their connections for a while; call it once.

    Beginning a connection costs PostgreSQL more than all that a refresh of the first page asks
    (some milliseconds of processor). It is tried before it is used again, once for each request.
    """
    connection_created.connect(_keep, dispatch_uid="bc-pages")


def _keep(connection: BaseDatabaseWrapper, **_: object) -> None:
    if threading.current_thread().name.startswith(PAGE_THREADS) and connection.close_at is not None:
        connection.close_at = max(connection.close_at, time.monotonic() + KEPT_SECONDS)
        connection.health_check_enabled = True  # type: ignore[attr-defined]  # the stubs lack it


@cache
def urgent_paths() -> frozenset[str]:
    """Return the paths of webhook and /healthz in this project, without a trailing slash."""
    return frozenset(path for path in map(path_of, URGENT) if path)


@cache
def prompt_paths() -> frozenset[str]:
    """Return the paths of the readiness check and of the metrics, likewise."""
    return frozenset(path for path in map(path_of, PROMPT) if path)


@cache
def path_of(name: str) -> str:
    """Return the path of a named URL without a trailing slash; "" if there is none."""
    try:
        return reverse(name).rstrip("/")
    except NoReverseMatch:
        return ""


class PageLimitsMiddleware:
    """Answers 503 where a page would wait too long. Must be the first middleware.

    All statements of a page together get ``PAGE_DATABASE_SECONDS``. A quarter of ``WEB_THREADS``
    may be busy with pages, and half of them may wait for their turn.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._busy = threading.BoundedSemaphore(pages_at_once(settings.WEB_THREADS))
        self._waiting = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 2))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, or refuse it with a 503."""
        path = request.path_info.rstrip("/")
        if path in urgent_paths() or path in prompt_paths():
            return self.get_response(request)
        if not self._has_turn():
            return _unavailable(request, away=False)
        try:
            return self._page(request)
        finally:
            self._busy.release()

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 503 if the view's database call failed; with DEBUG Django shows the traceback."""
        if settings.DEBUG or not isinstance(exception, AWAY):
            return None
        logger.error("%s: the database did not answer: %s", request.path, redacted(str(exception)))
        connection.close()
        return _unavailable(request, away=True)

    def _has_turn(self) -> bool:
        if self._busy.acquire(blocking=False):
            return True
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return self._busy.acquire(timeout=TURN_SECONDS)
        finally:
            self._waiting.release()

    def _page(self, request: HttpRequest) -> HttpResponse:
        with database_deadline(settings.PAGE_DATABASE_SECONDS or None):
            response = self.get_response(request)
            # A statement of another middleware failed, so no view has raised.
            gone = response.status_code == 500 and deadline_passed()
        if not gone:
            return response
        connection.close()
        return _unavailable(request, away=True)


def _unavailable(request: HttpRequest, *, away: bool) -> HttpResponse:
    """Return the 503 page in the browser's language, without reading session and user."""
    with translation.override(translation.get_language_from_request(request)):
        page = render(None, "bc_consumer/unavailable.html", {"away": away}, status=503)
    page["Retry-After"] = str(RETRY_AFTER_SECONDS)
    page["Cache-Control"] = "no-store"
    page["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return page
