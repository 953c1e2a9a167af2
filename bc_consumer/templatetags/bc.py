"""Template filters that format numbers, times, durations and Odoo's values."""

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
    """Format a number with the language's separators."""
    return formatting.number(value)


@register.filter
def duration(seconds: float | None) -> str:
    """Format seconds in a suitable unit."""
    return formatting.duration(seconds)


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
def moved(line: BCLine) -> str:
    """Return how much of a line was received, or, of a sale order's line, delivered."""
    if labels.copies_sales():
        return formatting.quantity(line.extra.get("qty_delivered"))
    return formatting.show(BCLine, "qty_received", line.qty_received)


@register.filter
def further(line: BCLine) -> list[tuple[str, str]]:
    """Return labels and values of a line's columns without a place and its configured fields."""
    columns = [
        (formatting.field_label(BCLine, name), formatting.show(BCLine, name, getattr(line, name)))
        for name in layout.further_in_lines()
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
