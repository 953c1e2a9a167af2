"""The endpoint that Odoo's automation rules call: authenticate → parse → mark → 202."""

import logging

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from bc_consumer.core.redaction import redacted
from bc_consumer.installation.webhook_address import LONGEST_NONCE, PING, proof
from bc_consumer.ledger import Mark
from bc_consumer.ledger.marks import in_short
from bc_consumer.messaging.intake import IntakeUnavailable, accept, note_missed
from bc_consumer.models import Event
from odoo_webhook.incoming import (
    ARRIVED,
    RETRY_AFTER_SECONDS,
    PayloadError,
    authorized,
    parse,
    read_object,
)

logger = logging.getLogger(__name__)


# No transaction of the request's own: it would need the database before the intake is asked.
@transaction.non_atomic_requests
@csrf_exempt
def receive(request: HttpRequest) -> JsonResponse:
    """Take one event in; 202 means that it is kept durably and will be acted on."""
    if refusal := _unread(request):
        if refusal.status_code == 413:
            note_missed()  # of somebody who knows a secret: strangers were refused before
        return refusal
    try:
        return _taken_in(request)
    except Exception:
        note_missed()
        raise


def _taken_in(request: HttpRequest) -> JsonResponse:
    if request.GET.get("event") == PING:
        return _pong(request.body)
    try:
        event = parse(_whole_body(request), request.GET.get("event", ""), settings.ODOO_ORDER_MODEL)
    except PayloadError as error:
        return _refused(400, str(error))
    mark = Mark(
        cause="webhook",
        event=Event.DELETED if event.deleted else Event.CHANGED,
        early=settings.ODOO_WEBHOOK_TIMING != "committed",
        payload=redacted(event.text, event.kept),
    )
    try:
        kept_in = accept(event.order_ids, mark, arrived=request.META.get(ARRIVED))
    except IntakeUnavailable:
        return _refused(
            503,
            f"BC {in_short(event.order_ids)}: neither the database nor RabbitMQ could keep"
            " the event; send it again",
            **{"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    logger.info("BC %s: %s, kept in the %s", in_short(event.order_ids), mark.event.value, kept_in)
    return JsonResponse({"accepted": event.order_ids, "kept_in": kept_in}, status=202)


def _unread(request: HttpRequest) -> JsonResponse | None:
    """Refuse by the headers alone: a body is read of callers who know a secret, and a short one."""
    if request.method != "POST":
        return _refused(405, "send POST", Allow="POST")
    if not authorized(request.headers.get("Authorization", ""), settings.ODOO_WEBHOOK_SECRETS):
        return _refused(
            401,
            f"put the webhook's secret into the URL in Odoo: https://odoo:SECRET@host{request.path}",
            **{"WWW-Authenticate": 'Basic realm="odoo webhook"'},
        )
    if request.content_type != "application/json":
        return _refused(415, "send Content-Type: application/json")
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length.isdecimal():
        return _refused(411, "send a Content-Length: a body of unknown length is not read")
    if int(length[:18]) > settings.WEBHOOK_MAX_BODY_BYTES:
        return _refused(413, f"send {settings.WEBHOOK_MAX_BODY_BYTES} bytes at most")
    return None


def _whole_body(request: HttpRequest) -> bytes:
    """Return the body; raise PayloadError when the connection ended before it was complete."""
    body = request.body
    if len(body) < int(request.META["CONTENT_LENGTH"]):
        note_missed()
        raise PayloadError("the body is shorter than its Content-Length")
    return body


def _pong(body: bytes) -> JsonResponse:
    """Prove that the webhook leads here; nothing is marked, no database is asked."""
    try:
        nonce = str(read_object(body)[PING])[:LONGEST_NONCE]
    except (PayloadError, LookupError, RecursionError):
        return _refused(400, 'send {"ping": "…"} with ?event=ping')
    logger.info("webhook: a ping arrived")
    return JsonResponse({"pong": proof(nonce)})


def _refused(status: int, why: str, **headers: str) -> JsonResponse:
    logger.warning("webhook refused with %d: %s", status, why)
    return JsonResponse({"error": why}, status=status, headers=headers)
