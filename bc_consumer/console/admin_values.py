"""How the administration shows columns: labels, numbers and dates as the pages have them."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, cast

from django.db import models
from django.utils.functional import lazy
from django.utils.safestring import SafeString

from bc_consumer.console import formatting
from bc_consumer.console.admin_html import preformatted
from bc_consumer.console.labels import causes
from bc_consumer.core.translatable_field import MessageField, said
from bc_consumer.models import BC, BCLine

PREFIX = "shown_"
"""What the name of a column's display begins with. A display with the column's own name would not
be asked: Django shows the column instead."""


class Display(Protocol):
    """What Django asks for the text of one column of one record."""

    short_description: str
    admin_order_field: str

    def __call__(self, record: Any) -> SafeString | str:
        """Return the text."""


def _label_of_column(field: "models.Field[Any, Any]") -> str:
    return str(field.verbose_name)


label_of_column = lazy(_label_of_column, str)


def display_of(field: "models.Field[Any, Any]") -> Callable[[Any], SafeString | str]:
    """Return what shows this column, with the column's label, and in its order."""

    def display(record: Any) -> SafeString | str:
        return value_text(record, field)

    told = cast("Display", display)
    # Looked up when shown: in the reader's language, and as the order model calls it.
    told.short_description = label_of_column(field)
    told.admin_order_field = field.name
    return told


def value_text(record: Any, field: "models.Field[Any, Any]") -> SafeString | str:
    """Return the value of a record's column, ready to be shown."""
    value = getattr(record, field.name)
    if value is None or value in ("", [], {}):
        return formatting.NOTHING
    if field.choices:
        return str(getattr(record, f"get_{field.name}_display")())
    if isinstance(field, MessageField):
        return preformatted(said(value))
    if isinstance(record, (BC, BCLine)) and not isinstance(value, models.Model):
        return _of_the_copy(record, field, value)
    if field.name == "causes":
        return causes(value)
    return _plain(field, value)


def _of_the_copy(record: Any, field: "models.Field[Any, Any]", value: Any) -> SafeString | str:
    if isinstance(value, dict):
        return preformatted(_as_json(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return _whole_number(field, value)
    return formatting.show(type(record), field.name, value)


def _plain(field: "models.Field[Any, Any]", value: Any) -> SafeString | str:
    if isinstance(value, bool):
        return formatting.yes_or_no(value=value)
    if isinstance(value, int):
        return _whole_number(field, value)
    if isinstance(value, float):
        return formatting.number(value)
    if isinstance(value, datetime):
        return formatting.moment_with_seconds(value)
    if isinstance(value, (dict, list)):
        return preformatted(_as_json(value))
    return str(value)


def _whole_number(field: "models.Field[Any, Any]", value: int) -> str:
    """Group the digits of counts; those of ids, which people copy, are left together."""
    is_id = field.primary_key or field.name.endswith("_id")
    return str(value) if is_id else formatting.number(value)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True)
