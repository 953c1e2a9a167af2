"""Endpoints for machines: whether the process is alive, whether the service is ready, the figures.

They need no login, never redirect, and reveal neither secrets nor names.
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
from bc_consumer.core.database_deadline import LONGEST_PAGE_SECONDS, database_deadline
from bc_consumer.ledger import circuit_breaker
from bc_consumer.messaging import announcer
from bc_consumer.messaging.publisher import publisher
from bc_consumer.models import Heartbeat
from bc_consumer.operations import heartbeats

logger = logging.getLogger(__name__)

READY_SECONDS = 1.0
"""The database's deadline in /readyz, in seconds; callers usually wait for 2 s or more."""


@transaction.non_atomic_requests
@require_safe
def healthz(_: HttpRequest) -> JsonResponse:
    """Answer 200: this process is alive. Asks neither database nor broker."""
    return _answer({"status": "alive"})


@transaction.non_atomic_requests
@require_safe
def readyz(_: HttpRequest) -> JsonResponse:
    """Answer whether events can be taken in: 503 if the ledger can't be reached.

    Trouble with RabbitMQ is reported but is no reason for a 503: marks are kept in the ledger, and
    the workers' timers find them a little later.
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
    """Return the figures as JSON, durations in seconds; 503 if the database does not answer."""
    try:
        with database_deadline(LONGEST_PAGE_SECONDS):
            figures = read_figures()
            odoo = circuit_breaker.current_outage()
            alive = heartbeats.alive()
            unannounced = announcer.waiting() if settings.RABBITMQ_EXCHANGE else None
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
    """Return the broker's state as the process's publisher knows it from its open connection."""
    if not settings.RABBITMQ_URL:
        return "not used"
    return "away" if publisher().away else "ok"


def _lost(error: Exception) -> None:
    connection.close()
    logger.warning("The database did not answer a health check: %s", error)


def _answer(body: dict[str, Any], status: int = 200) -> JsonResponse:
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store"})
