"""The systems around us, and our own processes: whether they answer, and if not, since when."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from bc_consumer.console import event_flow, processes
from bc_consumer.console.actions import action_of, context_of
from bc_consumer.console.page import page
from bc_consumer.core.redaction import redacted
from bc_consumer.ledger import circuit_breaker
from bc_consumer.messaging.queue_depths import queue_depths


@page
def connections(request: HttpRequest) -> HttpResponse:
    """Show Odoo, our processes and RabbitMQ, with what can be checked."""
    context = {
        "odoo_url": redacted(settings.ODOO_URL),
        "odoo_database": settings.ODOO_DATABASE,
        "odoo_login": settings.ODOO_LOGIN,
        "outage": circuit_breaker.current_outage(),
        "processes": processes.processes(),
        "queues": queue_depths(),
        "event_flow": event_flow.event_flow(),
        **context_of(request, action_of(request)),
    }
    return render(request, "bc_consumer/connections.html", context)
