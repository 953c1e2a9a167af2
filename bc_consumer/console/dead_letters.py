"""Messages that could not be processed: those that RabbitMQ keeps aside, and those kept here.

``manage.py dead_letters`` and ``manage.py replay --dead-letters`` do the same.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from bc_consumer.console.actions import action_of, context_of
from bc_consumer.console.page import page
from bc_consumer.console.search import odoo_id_in
from bc_consumer.messaging.cached_queue_counts import cached_queue_counts
from bc_consumer.models import Alert, DeadLetter
from bc_consumer.operations.dead_letters import ALERT

ROWS = 50
SHOWN_CHARACTERS = 20_000
"""Characters of a message that the page shows; the administration shows all."""


@page
def letters(request: HttpRequest) -> HttpResponse:
    """Show what RabbitMQ keeps aside, and the messages that name no order, latest first."""
    shown = DeadLetter.objects.order_by("-pk")
    if (last := odoo_id_in(request.GET.get("below", ""))) is not None:
        shown = shown.filter(pk__lt=last)
    rows = list(shown[: ROWS + 1])
    context = {
        "count": DeadLetter.objects.count(),
        "letters": [
            (one, text[:SHOWN_CHARACTERS], max(len(text) - SHOWN_CHARACTERS, 0))
            for one, text in ((one, one.text) for one in rows[:ROWS])
        ],
        "next_query": f"below={rows[ROWS - 1].pk}" if len(rows) > ROWS else "",
        "queues": cached_queue_counts(),
        "alert": Alert.objects.filter(key=ALERT).first(),
        **context_of(request, action_of(request)),
    }
    return render(request, "bc_consumer/dead_letters.html", context)
