"""Takes in an ordinary webhook on the event loop: no thread, no middleware, the same result.

With a thread and a request of Django for each, a webhook takes nearly three times the processor
(measured, docs/performance.md). So ``manage.py web`` takes in here what Odoo's automation rules
send: a POST of one order in JSON, with a valid secret. Everything else, and all that it
would have to refuse for what was sent, goes to ``views.receive``, which is the whole webhook and
does the same under any other server.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from bc_consumer.core.log_context import logging_about
from bc_consumer.core.redacted_text import redacted
from bc_consumer.ledger import Mark
from bc_consumer.ledger.marks import shorten_ids
from bc_consumer.messaging.intake import IntakeUnavailable, accept_on_loop
from bc_consumer.models import Event
from bc_consumer.models.ledger import WEBHOOK
from odoo_webhook.webhook_request import RETRY_AFTER_SECONDS, OrderEvent, PayloadError, parse

logger = logging.getLogger("odoo_webhook.views")
"""One name, by whichever way an event came in."""
LONGEST_BODY = 16 * 1024
"""Bytes. Reading a longer one would keep the event loop from others for too long; Odoo's have a few
hundred."""
LONGEST_HOST = 300
"""Characters; a name has 253 at most."""
MOST_AT_ONCE = 2_000
"""Webhooks that wait for their answer, in each process; further ones wait for a thread."""
QUERIES: Mapping[str, str] = {
    "": "", "event=changed": "changed", "event=created": "created", "event=deleted": "deleted",
}  # fmt: skip
"""Query → the parameter ``event``, as rules have it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered, as granian takes it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class FastPath:
    """Takes in webhooks of one process; all in its event loop."""

    def __init__(self, path: str) -> None:
        """``path``: the webhook's, without its final slash."""
        self._paths = {path, f"{path}/"}
        self._waiting = 0
        self._needs_https: bool = bool(settings.SECURE_SSL_REDIRECT)
        self._proxy_header, self._proxy_value = _proxy_header()

    async def take_in(self, scope: Any, body: bytes, arrived: float) -> Reply | None:
        """Store the event and return the reply; None: it is no ordinary one, so Django decides.

        The caller has checked path and secret, and read the body to its end. ``arrived``: when that
        was, as of ``time.monotonic()``.
        """
        event = self._ordinary_event(scope, body)
        if event is None or self._waiting >= MOST_AT_ONCE:
            return None
        self._waiting += 1
        try:
            mark = mark_of(event)
            kept_in = await accept_on_loop(event.order_ids, mark, arrived=arrived)
        except IntakeUnavailable:
            return _reply(503, {"error": report_lost(event)})
        finally:
            self._waiting -= 1
        return _reply(202, confirm(event, mark, kept_in))

    def _ordinary_event(self, scope: Any, body: bytes) -> OrderEvent | None:
        headers = scope.headers
        event = QUERIES.get(scope.query_string)
        if (
            scope.method != "POST"
            or scope.path not in self._paths
            or event is None
            or not 0 < len(body) <= LONGEST_BODY
            or headers.get("content-type") != "application/json"
            or "cookie" in headers
            or not self._is_welcome(scope)
        ):
            return None
        try:
            parsed = parse(body, event, settings.ODOO_ORDER_MODEL)
        except PayloadError:
            return None
        return parsed if len(parsed.order_ids) == 1 else None

    def _is_welcome(self, scope: Any) -> bool:
        """Return whether Django's middlewares would let this request pass as it is."""
        if settings.USE_X_FORWARDED_HOST:
            return False
        named = scope.headers.get("host", "")
        if len(named) > LONGEST_HOST:
            return False
        host, _port = split_domain_port(named)
        if not host or not validate_host(host, settings.ALLOWED_HOSTS):
            return False
        return not self._needs_https or self._scheme_of(scope) == "https"

    def _scheme_of(self, scope: Any) -> str:
        """Return the scheme as Django sees it: what a trusted proxy says comes first."""
        if self._proxy_header and self._proxy_header in scope.headers:
            is_https = scope.headers.get(self._proxy_header) == self._proxy_value
            return "https" if is_https else "http"
        return str(scope.scheme)


def mark_of(event: OrderEvent) -> Mark:
    """Return the ledger's mark of an event."""
    return Mark(
        cause=WEBHOOK,
        event=Event.DELETED if event.deleted else Event.CHANGED,
        early=settings.ODOO_WEBHOOK_TIMING != "committed",
        payload=redacted(event.text, event.kept),
    )


def confirm(event: OrderEvent, mark: Mark, kept_in: str) -> dict[str, object]:
    """Log that the event is kept; return what the caller is answered."""
    with logging_about(order=event.order_ids, cause=mark.cause):
        logger.info(
            "BC %s: %s, kept in the %s", shorten_ids(event.order_ids), mark.event.value, kept_in
        )
    return {"accepted": event.order_ids, "kept_in": kept_in}


def report_lost(event: OrderEvent) -> str:
    """Log that nothing could keep the event; return what its sender is told."""
    why = (
        f"BC {shorten_ids(event.order_ids)}: neither the database nor RabbitMQ could keep"
        " the event; send it again"
    )
    with logging_about(order=event.order_ids, cause=WEBHOOK):
        logger.warning("webhook refused with 503: %s", why)
    return why


def _proxy_header() -> tuple[str, str]:
    """Return the header by which a proxy says that the caller used https, and its value."""
    name, value = getattr(settings, "SECURE_PROXY_SSL_HEADER", None) or ("", "")
    return name.removeprefix("HTTP_").replace("_", "-").lower(), value


def _reply(status: int, values: Mapping[str, object]) -> Reply:
    headers = [("content-type", "application/json")]
    if status == 503:
        headers.append(("retry-after", str(RETRY_AFTER_SECONDS)))
    return Reply(status, headers, json.dumps(values).encode())
