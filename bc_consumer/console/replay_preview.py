"""What a large replay will do, before it begins: how many orders, why they failed, how long.

``manage.py replay --dry-run`` tells the same.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from bc_consumer.console.failure_advice import advice_for
from bc_consumer.console.page import page
from bc_consumer.console.search import odoo_id_in
from bc_consumer.console.shown_buttons import is_permitted
from bc_consumer.models import BC, OperatorAction
from bc_consumer.operations import failed_orders, replay_duration

Kind = OperatorAction.Kind
PREVIEW_FROM = 50
"""A replay of more orders is previewed."""
CAUSES = 10
LONGEST_QUERY = 6000
"""Characters of an address with selected orders; the lists' hundred rows take fewer."""


def preview_of(request: HttpRequest, kind: Kind, parameters: Mapping[str, Any]) -> str:
    """Return the address of the preview of what a form asks for; "" where none is needed.

    The preview's own form says that it was seen.
    """
    if kind is not Kind.REPLAY or request.POST.get("previewed"):
        return ""
    ids = [number for one in parameters.get("odoo_ids") or () if (number := odoo_id_in(str(one)))]
    cause = _readable(str(parameters.get("failure") or ""))
    chosen: list[tuple[str, Any]] = [("odoo_ids", one) for one in ids]
    chosen += [
        (name, value)
        for name, value in (("failure", cause), ("all", parameters.get("all")))
        if value
    ]
    query = urlencode(chosen)
    rows = failed_orders.chosen(failure=cause, odoo_ids=() if cause else ids)
    if not chosen or len(query) > LONGEST_QUERY or rows.count() <= PREVIEW_FROM:
        return ""
    return f"{reverse('bc-replay')}?{query}"


@page
def preview(request: HttpRequest) -> HttpResponse:
    """Show what the replay of a cause, of selected orders, or of all failed ones would do."""
    cause = _readable(request.GET.get("failure", ""))
    given = map(odoo_id_in, request.GET.getlist("odoo_ids"))
    ids = [number for number in given if number is not None]
    # A cause goes before a selection, as in the form's own parameters below.
    rows = failed_orders.chosen(failure=cause, odoo_ids=() if cause else ids)
    count = rows.count()
    groups = failed_orders.groups(rows, CAUSES)
    examples = BC.objects.filter(odoo_id__in=[one.example for one in groups]).defer(
        "notes", "extra"
    )
    known = {bc.odoo_id: bc for bc in examples}
    parameters: list[tuple[str, object]] = [("odoo_ids", one) for one in ids]
    if cause:
        parameters = [("failure", cause)]
    context = {
        "count": count,
        "causes": [
            {"group": one, "advice": advice_for(one.error_class), "example": known.get(one.example)}
            for one in groups
        ],
        "more": max(count - sum(one.count for one in groups), 0),
        "estimate": replay_duration.estimate(count),
        "parameters": parameters or [("all", "1")],
        "permitted": is_permitted(request, Kind.REPLAY),
        "back": reverse("bc-failures"),
    }
    return render(request, "bc_consumer/replay_preview.html", context)


def _readable(cause: str) -> str:
    return cause.replace("\0", "")  # PostgreSQL refuses a NUL
