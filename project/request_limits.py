"""Forms: how large, and how many at once, so that they can't stop the webhook.

Each password that is tried costs a third of a second of CPU, and what a form holds is searched with
expressions of others. «manage.py web» has read a form before it comes here; another server's thread
may still have to, however slowly it comes. The webhook checks its bodies itself.
"""

import threading
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

FORMS_AT_ONCE = 4
"""In each web process. Staff send one now and then."""
LARGEST_FORM = 64 * 1024
"""Bytes; two hundred chosen rows of the administration are 6,000."""
WEBHOOK = "/odoo/webhook"
WITHOUT_BODY = {"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"}
"""Methods of which nothing here reads a body."""
RETRY_AFTER_SECONDS = 5


class RequestLimitsMiddleware:
    """Answers 411, 413 or 503. Has to come before whatever reads a form."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._forms = threading.BoundedSemaphore(FORMS_AT_ONCE)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, or refuse."""
        if request.method in WITHOUT_BODY or request.path_info.startswith(WEBHOOK):
            return self.get_response(request)
        length = request.META.get("CONTENT_LENGTH") or ""
        if not length.isdecimal():
            return _refused(411, "Send a Content-Length.")
        if int(length[:18]) > LARGEST_FORM:
            return _refused(413, f"Send {LARGEST_FORM} bytes at most.")
        if not self._forms.acquire(blocking=False):
            return _refused(503, "Too many forms at once; try again in a moment.")
        try:
            return self.get_response(request)
        finally:
            self._forms.release()


def _refused(status: int, why: str) -> HttpResponse:
    response = HttpResponse(f"{why}\n", status=status, content_type="text/plain; charset=utf-8")
    if status == 503:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
