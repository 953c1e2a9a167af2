"""Limits size and number of forms, so that they can't stop the webhook.

Each password attempt costs a third of a second of CPU, and forms are searched with other libraries'
regular expressions. "manage.py web" reads a form's body before passing it on; under another server
a thread may have to read it, however slowly it arrives. The webhook checks its own bodies.
"""

import threading
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from odoo_webhook.webhook_request import WITHOUT_BODY

FORMS_AT_ONCE = 4
"""Per web process. Staff send a form now and then."""
LARGEST_FORM = 64 * 1024
"""Bytes; two hundred selected rows in the administration take 6,000."""
WEBHOOK = "/odoo/webhook"
RETRY_AFTER_SECONDS = 5


class RequestLimitsMiddleware:
    """Answers 411, 413 or 503. Must come before whatever reads a form."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._forms = threading.BoundedSemaphore(FORMS_AT_ONCE)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on, or refuse it."""
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
