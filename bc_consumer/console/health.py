"""What machines ask: is the process alive, is the service ready, what are the figures.

No login, no redirect, no secrets, no names.
"""

import logging
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from bc_consumer.console.figures import check_ledger, read_figures
from bc_consumer.core.database_deadline import database_deadline
from bc_consumer.ledger import circuit_breaker
from bc_consumer.messaging import change_publisher
from bc_consumer.messaging.publisher import publisher
from bc_consumer.models import Heartbeat
from bc_consumer.operations import heartbeats

logger = logging.getLogger(__name__)

READY_SECONDS = 1.0
"""The database's deadline in /readyz; callers usually wait 2 s or more."""
STATUS_SECONDS = 10.0
"""The database's deadline in /status.json: counting millions of rows takes seconds."""


@transaction.non_atomic_requests
@require_safe
def healthz(_: HttpRequest) -> JsonResponse:
    """Tell that this process answers; nothing else is asked."""
    return _answer({"status": "alive"})


@transaction.non_atomic_requests
@require_safe
def readyz(_: HttpRequest) -> JsonResponse:
    """Tell whether events can be taken in: 503 without the ledger.

    Trouble with RabbitMQ is told and no reason for 503: marks are kept in the ledger, and the
    workers' timers find them a little later.
    """
    rabbitmq = _rabbitmq()
    try:
        with database_deadline(READY_SECONDS):
            check_ledger()
    except DatabaseFailure as error:
        _lost(error)
        return _answer(
            {"status": "unavailable", "database": "no answer", "rabbitmq": rabbitmq}, 503
        )
    state = "degraded" if rabbitmq == "away" else "ready"
    return _answer({"status": state, "database": "ok", "rabbitmq": rabbitmq})


@transaction.non_atomic_requests
@require_safe
def status(_: HttpRequest) -> JsonResponse:
    """Give the figures; 503 when the database does not answer. Times are seconds."""
    try:
        with database_deadline(STATUS_SECONDS):
            figures = read_figures()
            odoo = circuit_breaker.current_outage()
            alive = heartbeats.alive()
            unannounced = change_publisher.waiting() if settings.RABBITMQ_EXCHANGE else None
    except DatabaseFailure as error:
        _lost(error)
        return _answer({"error": "the database does not answer"}, 503)
    copy, ledger, delay = figures.copy, figures.ledger, figures.delay
    return _answer(
        {
            "bc": copy.bc_current,
            "bc_archived": copy.bc_archived,
            "bc_forbidden": copy.bc_forbidden,
            "lines": copy.lines,
            **asdict(ledger),
            "workers": alive[Heartbeat.Kind.WORKER],
            "schedulers": alive[Heartbeat.Kind.SCHEDULER],
            "odoo": "ok" if odoo is None else "refused" if odoo.refused else "away",
            "odoo_away_seconds": None if odoo is None else odoo.seconds,
            "unannounced": unannounced,
            "delay_p50_seconds": delay.p50,
            "delay_p95_seconds": delay.p95,
            "delay_count": delay.count,
        }
    )


def _rabbitmq() -> str:
    """Say what the process's publisher knows: it keeps a connection and notices its end."""
    if not settings.RABBITMQ_URL:
        return "not used"
    return "away" if publisher().away else "ok"


def _lost(error: Exception) -> None:
    connection.close()
    logger.warning("The database did not answer a health check: %s", error)


def _answer(body: dict[str, Any], status: int = 200) -> JsonResponse:
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store"})
