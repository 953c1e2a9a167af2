"""Template filters: how numbers, times, durations and Odoo's values read on a page."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.conf import settings
from django.db.models import Model

from bc_consumer.console import formatting, labels, layout
from bc_consumer.core import translatable_field
from bc_consumer.models import BCLine

register = template.Library()
NOTHING: tuple[object, ...] = (None, "", [], False)


@register.filter
def number(value: Decimal | float | None) -> str:
    """Show a number with the language's separators."""
    return formatting.number(value)


@register.filter
def duration(seconds: float | None) -> str:
    """Show seconds in the unit that suits them."""
    return formatting.duration(seconds)


@register.filter
def moment(value: datetime | None) -> str:
    """Show a date and time in the project's time zone."""
    return formatting.moment(value)


@register.filter
def clock(value: datetime) -> str:
    """Show a time with seconds, with its date unless that is today."""
    return formatting.clock(value)


@register.filter
def causes(value: str) -> str:
    """Show comma-separated causes by their names."""
    return labels.causes(value)


@register.filter
def field_label(record: Model, name: str) -> str:
    """Show what a column is called."""
    return formatting.field_label(type(record), name)


@register.filter
def field_value(record: Model, name: str) -> str:
    """Show a column's value."""
    value: Any = getattr(record, name)
    return formatting.show(type(record), name, value)


@register.filter
def moved(line: BCLine) -> str:
    """Show how much of a line has been received; of a sale, delivered."""
    if labels.copies_sales():
        return formatting.quantity(line.extra.get("qty_delivered"))
    return formatting.show(BCLine, "qty_received", line.qty_received)


@register.filter
def further(line: BCLine) -> list[tuple[str, str]]:
    """Give label and value of a line's columns without a place, and of configured fields."""
    columns = [
        (formatting.field_label(BCLine, name), formatting.show(BCLine, name, getattr(line, name)))
        for name in layout.further_in_lines()
        if getattr(line, name) not in NOTHING
    ]
    return columns + formatting.extra_fields(line, settings.ODOO_EXTRA_LINE_FIELDS)


@register.filter
def said(stored: str) -> str:
    """Show a stored error or reason in the reader's language."""
    return translatable_field.said(stored)


@register.filter
def changes(stored: dict[str, Any]) -> formatting.Changes:
    """Read a journal entry's changes."""
    return formatting.read_changes(stored)
