"""The endpoint that Odoo's automation rules call: authenticate → parse → mark → 202.

Under ``manage.py web`` ordinary events are taken in by ``fast_path``, and all others here.
"""

import logging

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from bc_consumer.core.counters import totals
from bc_consumer.core.log_context import logging_about
from bc_consumer.messaging.intake import IntakeUnavailable, accept, note_missed
from bc_consumer.models.metrics import WEBHOOK_REJECTIONS
from bc_consumer.operations.public_ping import LONGEST_NONCE, PING, proof
from odoo_webhook.fast_path import confirm, mark_of, report_lost
from odoo_webhook.webhook_request import (
    ARRIVED,
    RETRY_AFTER_SECONDS,
    PayloadError,
    authorized,
    parse,
    read_object,
)

logger = logging.getLogger(__name__)


# With ATOMIC_REQUESTS Django would need the database before the intake is asked.
@transaction.non_atomic_requests
@csrf_exempt
def receive(request: HttpRequest) -> HttpResponse:
    """Accept one event; 202 means that it is stored durably and will be acted on."""
    if request.method == "OPTIONS":  # as doctor asks what answers here
        return HttpResponse(status=204, headers={"Allow": "POST, OPTIONS"})
    if refusal := _check_headers(request):
        if refusal.status_code in {411, 413}:
            note_missed()  # the caller knows a secret, so its event counts
        return refusal
    try:
        return _take_in(request)
    except Exception:
        note_missed()
        raise


def _take_in(request: HttpRequest) -> JsonResponse:
    if request.GET.get("event") == PING:
        return _answer_ping(request.body)
    try:
        event = parse(
            _read_whole_body(request), request.GET.get("event", ""), settings.ODOO_ORDER_MODEL
        )
    except PayloadError as error:
        return _refuse(400, str(error))
    mark = mark_of(event)
    try:
        with logging_about(order=event.order_ids, cause=mark.cause):
            kept_in = accept(event.order_ids, mark, arrived=request.META.get(ARRIVED))
    except IntakeUnavailable:
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return JsonResponse({"error": report_lost(event)}, status=503, headers=headers)
    return JsonResponse(confirm(event, mark, kept_in), status=202)


def _check_headers(request: HttpRequest) -> JsonResponse | None:
    """Return a refusal, or None. Only the short body of a caller who knows a secret is read."""
    if request.method != "POST":
        return _refuse(405, "send POST", Allow="POST")
    if not authorized(request.headers.get("Authorization", ""), settings.ODOO_WEBHOOK_SECRETS):
        return _refuse(
            401,
            f"put the webhook's secret into the URL in Odoo: https://odoo:SECRET@host{request.path}",
            **{"WWW-Authenticate": 'Basic realm="odoo webhook"'},
        )
    if request.content_type != "application/json":
        return _refuse(415, "send Content-Type: application/json")
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length.isdecimal():
        return _refuse(411, "send a Content-Length: a body of unknown length is not read")
    if int(length[:18]) > settings.WEBHOOK_MAX_BODY_BYTES:
        return _refuse(413, f"send {settings.WEBHOOK_MAX_BODY_BYTES} bytes at most")
    return None


def _read_whole_body(request: HttpRequest) -> bytes:
    """Return the body. Raises PayloadError when the connection ended before it was complete."""
    body = request.body
    if len(body) < int(request.META["CONTENT_LENGTH"]):
        note_missed()
        raise PayloadError("the body is shorter than its Content-Length")
    return body


def _answer_ping(body: bytes) -> JsonResponse:
    """Prove that the webhook's address leads here; mark nothing, and query no database."""
    try:
        nonce = str(read_object(body)[PING])[:LONGEST_NONCE]
    except (PayloadError, LookupError, RecursionError):
        return _refuse(400, 'send {"ping": "…"} with ?event=ping')
    logger.info("webhook: a ping arrived")
    return JsonResponse({"pong": proof(nonce)})


def _refuse(status: int, why: str, **headers: str) -> JsonResponse:
    if status != 503:  # an event, which the intake has counted
        totals.add(WEBHOOK_REJECTIONS, status=str(status))
    logger.warning("webhook refused with %d: %s", status, why)
    return JsonResponse({"error": why}, status=status, headers=headers)
