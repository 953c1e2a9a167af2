"""The systems around us, and our own processes: whether they answer, and if not, since when."""

from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from bc_consumer.console import event_silence, freshness, processes
from bc_consumer.console.actions import action_of, context_of
from bc_consumer.console.event_silence import Flow
from bc_consumer.console.labels import Label
from bc_consumer.console.latest_ping import webhook_round_trip
from bc_consumer.console.page import page
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.ledger import circuit_breaker
from bc_consumer.messaging.cached_queue_counts import cached_queue_counts
from bc_consumer.models import Heartbeat
from bc_consumer.operations.public_ping import PingArrival

FLOWS: Mapping[Flow, Label] = {
    Flow.FLOWING: _("They come."),
    Flow.QUIET: _("None comes at present, as usual at this time."),
    Flow.SILENT: _("None comes, although they usually do at this time."),
    Flow.UNKNOWN: _("None comes at present; what is usual is not known yet."),
    Flow.POLLED: _("None is expected: Odoo is polled."),
}
ARRIVALS: Mapping[PingArrival, Label] = {
    PingArrival.HERE: _("came back"),
    PingArrival.SECRET_REFUSED: _("our own secret was refused"),
    PingArrival.REDIRECTED: _("it was redirected, which loses webhooks"),
    PingArrival.ELSEWHERE: _("another copy of this software answered"),
    PingArrival.NOT_US: _("something else answered"),
    PingArrival.NO_ANSWER: _("no answer"),
}
"""What became of a ping through the public address."""


@page
def connections(request: HttpRequest) -> HttpResponse:
    """Show Odoo, our processes and RabbitMQ, with what can be checked."""
    running, flow, trip = processes.processes(), event_silence.event_flow(), webhook_round_trip()
    context = {
        "odoo_url": redacted(settings.ODOO_URL),
        "odoo_database": settings.ODOO_DATABASE,
        "odoo_login": settings.ODOO_LOGIN,
        "outage": circuit_breaker.current_outage(),
        "odoo_answered": _seconds_since(freshness.present().signs.odoo_answered_at),
        "processes": running,
        "workers": running.count(Heartbeat.Kind.WORKER),
        "queues": cached_queue_counts(),
        "event_flow": flow,
        "flow_told": FLOWS[flow.flow],
        "last_event": _seconds_since(flow.last_event_at),
        "round_trip": trip,
        "trip_told": None if trip is None else ARRIVALS[trip.answer.ping.arrival],
        "trip_ms": None if trip is None else round(trip.answer.seconds * 1000),
        "trip_missing": _lacks_for_a_ping(),
        **context_of(request, action_of(request)),
    }
    return render(request, "bc_consumer/connections.html", context)


def _seconds_since(moment: datetime | None) -> float | None:
    return None if moment is None else max((database_now() - moment).total_seconds(), 0.0)


def _lacks_for_a_ping() -> str:
    """Return the name of the setting without which no webhook can come; "" if none lacks."""
    names = ("PUBLIC_URL", "ODOO_WEBHOOK_SECRETS")
    return next((name for name in names if not getattr(settings, name)), "")
