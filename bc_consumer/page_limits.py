"""What a page may hold up: a few seconds of the database's silence, and a share of the threads.

Pages, forms and static files wait for the database, or for their turn. Without limits, people who
look at pages while the database stands still take all threads of a web process, and the webhook
finds none (measured: 64 views of one page, 160 of 280 requests to webhook and /healthz failed).
"""

import logging
import threading
from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import translation

from bc_consumer.core.database_deadline import database_deadline, deadline_passed
from bc_consumer.core.redaction import redacted

logger = logging.getLogger(__name__)

TURN_SECONDS = 1.0
"""How long a page waits for its turn."""
RETRY_AFTER_SECONDS = 5
AWAY = (OperationalError, InterfaceError)
URGENT = ("odoo-webhook", "healthz")
"""Names of the addresses that are never held up: they wait for nothing without a deadline."""
READINESS = "readyz"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def pages_at_once(threads: int) -> int:
    """Return how many of a web process's threads pages may have."""
    return max(1, threads // 4)


@cache
def urgent_paths() -> frozenset[str]:
    """Return the paths of webhook and /healthz in this project, without a final slash."""
    return frozenset(path for path in map(path_of, URGENT) if path)


@cache
def path_of(name: str) -> str:
    """Return the path of a named address without a final slash; "" where there is none."""
    try:
        return reverse(name).rstrip("/")
    except NoReverseMatch:
        return ""


class PageLimitsMiddleware:
    """Answers 503 where a page would wait for too long. Has to be the first.

    All of a page's statements together have ``PAGE_DATABASE_SECONDS``; of ``WEB_THREADS`` a quarter
    may be busy with pages, and half wait for their turn.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._busy = threading.BoundedSemaphore(pages_at_once(settings.WEB_THREADS))
        self._waiting = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 2))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, or refuse."""
        path = request.path_info.rstrip("/")
        if path in urgent_paths() or path == path_of(READINESS):
            return self.get_response(request)
        if not self._has_turn():
            return _unavailable(request, away=False)
        try:
            return self._page(request)
        finally:
            self._busy.release()

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer for a view that the database left alone; with DEBUG the traceback is wanted."""
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
            # Another middleware's statement, which no view has raised.
            gone = response.status_code == 500 and deadline_passed()
        if not gone:
            return response
        connection.close()
        return _unavailable(request, away=True)


def _unavailable(request: HttpRequest, *, away: bool) -> HttpResponse:
    """Say what is the matter in the reader's language; session and user are not asked for."""
    with translation.override(translation.get_language_from_request(request)):
        page = render(None, "bc_consumer/unavailable.html", {"away": away}, status=503)
    page["Retry-After"] = str(RETRY_AFTER_SECONDS)
    page["Cache-Control"] = "no-store"
    page["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return page
