"""Template filters that format numbers, times, durations and Odoo's values."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import template
from django.conf import settings
from django.db.models import Model
from django.template import Context
from django.urls import reverse

from bc_consumer.console import column_layout, formatting, labels, page, shown_buttons
from bc_consumer.core import translatable_field

register = template.Library()
NOTHING: tuple[object, ...] = (None, "", [], False)


@register.simple_tag(takes_context=True)
def navigation(context: Context) -> list[page.NavigationEntry]:
    """Return the entries of the navigation; none for a page that has no request."""
    request = context.get("request")
    return page.navigation(request) if request is not None else []


@register.simple_tag(takes_context=True)
def page_address(context: Context) -> str:
    """Return the page's own address, which can be opened; "" for a page that has no request."""
    request = context.get("request")
    return page.page_address(request) if request is not None else ""


@register.inclusion_tag("bc_consumer/action_button.html", takes_context=True)
def action_button(
    context: Context,
    kind: str,
    label: str,
    *,
    main: bool = False,
    confirm: str = "",
    **parameters: object,
) -> dict[str, object]:
    """Show a button that asks for an action; nothing to readers who may not ask for it.

    ``main``: it is what most people want. ``confirm``: what they are to know before.
    """
    request = context["request"]
    return {
        "permitted": shown_buttons.is_permitted(request, kind),
        "request": request,
        "csrf_token": context.get("csrf_token"),
        "url": reverse("bc-ask", args=[kind]),
        "next": page.page_address(request),
        "label": label,
        "main": main,
        "confirm": confirm,
        # A template would separate thousands, where a project has it so.
        "parameters": [(name, str(value)) for name, value in parameters.items()],
    }


@register.simple_tag(takes_context=True)
def if_permitted(context: Context, kind: str, *, forced: bool = False) -> bool:
    """Return whether the reader may ask for this kind of action."""
    return shown_buttons.is_permitted(context["request"], kind, forced=forced)


@register.filter
def number(value: Decimal | float | None) -> str:
    """Format a number with the language's separators."""
    return formatting.number(value)


@register.filter
def duration(seconds: float | None) -> str:
    """Format seconds in a suitable unit."""
    return formatting.duration(seconds)


@register.filter
def pace(per_second: float | None) -> str:
    """Format how many a second, by two digits."""
    if per_second is None:
        return formatting.NOTHING
    rounded = float(f"{per_second:.2g}")
    return formatting.number(int(rounded) if rounded.is_integer() else rounded)


@register.filter
def moment(value: datetime | None) -> str:
    """Format a date and time in the project's time zone."""
    return formatting.moment(value)


@register.filter
def clock(value: datetime) -> str:
    """Format a time with seconds, and with its date unless that is today."""
    return formatting.clock(value)


@register.filter
def causes(value: str) -> str:
    """Return the labels of comma-separated causes."""
    return labels.causes(value)


@register.filter
def field_label(record: Model, name: str) -> str:
    """Return a column's label."""
    return formatting.field_label(type(record), name)


@register.filter
def field_value(record: Model, name: str) -> str:
    """Return a column's formatted value."""
    value: Any = getattr(record, name)
    return formatting.show(type(record), name, value)


@register.filter
def moved(line: Any) -> str:
    """Return how much of a line was received, or, of a sale order's line, delivered."""
    if labels.copies_sales():
        return formatting.quantity(line.extra.get("qty_delivered"))
    return formatting.show(type(line), "qty_received", line.qty_received)


@register.filter
def further(line: Any) -> list[tuple[str, str]]:
    """Return labels and values of a line's columns without a place and its configured fields."""
    columns = [
        (formatting.field_label(type(line), name), field_value(line, name))
        for name in column_layout.further_in_lines()
        if getattr(line, name) not in NOTHING
    ]
    return columns + formatting.extra_fields(line, settings.ODOO_EXTRA_LINE_FIELDS)


@register.filter
def said(stored: str) -> str:
    """Return a stored error or reason in the reader's language."""
    return translatable_field.said(stored)


@register.filter
def changes(stored: dict[str, Any]) -> formatting.Changes:
    """Return a journal entry's changes, ready to be shown."""
    return formatting.read_changes(stored)


@register.filter
def differences_found(run: Any) -> Any:
    """Return how many orders a run found to differ from Odoo, gone ones included."""
    return run.found_by_window + run.found_by_digest + run.found_by_names + run.same_date


@register.filter
def as_query(value: object, name: str) -> str:
    """Return "name=value", encoded for an address."""
    return urlencode({name: str(value)})
