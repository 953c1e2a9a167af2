"""Formats values, and the changes kept in the journal, for a page in the active language."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from html import unescape
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import models
from django.utils import formats, timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.html import strip_tags
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from bc_consumer.console.extra_field_labels import extra_label
from bc_consumer.console.labels import label
from bc_consumer.core.decimal_field import ExactDecimalField
from bc_consumer.core.shortening import cut_between_tags
from bc_consumer.fields.columns import LINE_COLUMNS, ORDER_COLUMNS
from bc_consumer.fields.field import EXTRA
from bc_consumer.fields.kinds import NUMBERS, SHOWN_AS_MONEY, Kind
from bc_consumer.models import BC, BCLine, OdooRecord

NOTHING = "—"
SUMMARY_FIELDS = 3
SUMMARY_CHARACTERS = 48
"""The most characters of one value in a summary; the order's page shows the whole value."""
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")  # as mapping.py writes them
LONGEST_MOMENT = 40
"""Characters."""
BREAKS = str.maketrans("\t\r\n", "   ")
LONGEST_TEXT = 64 * 1024
"""The most characters of a text that are searched for its one-line beginning."""
LONGEST_HTML = 4 * 1024
"""The most characters of an HTML note that a page shows. Python's HTML parser takes time quadratic
in the length of what it finds no end of: 9 ms for the worst text of this length, 0.6 s for 64 kB
(measured)."""
LONGEST_OF_A_CHANGE = 2 * 1024
"""The most characters of a value before or after a change: a page may show a hundred changes."""
PARTS_OF_TOTAL = frozenset({"amount_untaxed", "amount_tax"})
TEN, MINUTE, HOUR, DAY = 10, 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field's change from one value to another, ready to be shown."""

    label: str
    old: str
    new: str
    minor: bool = False
    """Whether a summary omits it: a part of a changed total, or the date of Odoo's write."""


@dataclass(frozen=True, slots=True)
class LineChange:
    """What happened to one line."""

    kind: str
    """added, changed or deleted"""
    label: str
    name: str
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """The contents of a journal entry's ``changes``, ready to be shown."""

    fields: tuple[FieldChange, ...] = ()
    lines: tuple[LineChange, ...] = ()
    first_lines: int | None = None
    """The number of lines with which a new order arrived."""

    def summary(self) -> str:
        """Return one short line of text; "" if there is nothing to report."""
        return " · ".join([*self._told_fields(), *self._told_lines()])

    def _told_fields(self) -> Iterator[str]:
        fields = [change for change in self.fields if not change.minor]
        if not fields and not self.lines:
            fields = list(self.fields)
        for change in fields[:SUMMARY_FIELDS]:
            yield _("%(field)s: %(old)s → %(new)s") % {
                "field": change.label,
                "old": shortened(change.old),
                "new": shortened(change.new),
            }
        if (more := len(fields) - SUMMARY_FIELDS) > 0:
            text = ngettext("%(count)d more field", "%(count)d more fields", more)
            yield text % {"count": more}

    def _told_lines(self) -> Iterator[str]:
        if self.first_lines is not None:
            yield ngettext("%(count)d line", "%(count)d lines", self.first_lines) % {
                "count": self.first_lines
            }
        kinds = [line.kind for line in self.lines]
        if added := kinds.count("added"):
            yield ngettext("%(count)d line added", "%(count)d lines added", added) % {
                "count": added
            }
        if changed := kinds.count("changed"):
            yield ngettext("%(count)d line changed", "%(count)d lines changed", changed) % {
                "count": changed
            }
        if deleted := kinds.count("deleted"):
            yield ngettext("%(count)d line deleted", "%(count)d lines deleted", deleted) % {
                "count": deleted
            }


def read_changes(stored: Mapping[str, Any]) -> Changes:
    """Read ``JournalEntry.changes`` as ``refresh/writer.py`` stores them, ignoring unknown keys."""
    lines = stored.get("lines") or {}
    return Changes(
        fields=_field_changes(BC, stored.get("fields") or {}),
        lines=tuple(_line_changes(lines)),
        first_lines=lines.get("count"),
    )


def _field_changes(
    model: type[models.Model], changed: Mapping[str, Sequence[Any]]
) -> tuple[FieldChange, ...]:
    """Return the changed fields, leaving out an id if its name shows the same change."""
    minor = {"write_date"} | (PARTS_OF_TOTAL if "amount_total" in changed else set())
    return tuple(
        FieldChange(
            field_label(model, name),
            *show_pair(model, name, old, new),
            name in minor,
        )
        for name, (old, new) in changed.items()
        if not (name.endswith("_id") and f"{name.removesuffix('_id')}_name" in changed)
    )


def show_pair(model: type[models.Model], name: str, old: Any, new: Any) -> tuple[str, str]:
    """Format two values of a column that differ, so that they are seen to differ.

    SQLite forgets that yen have no decimals, fresh values do not: amounts are formatted alike.
    """
    if isinstance(_field(model, name), ExactDecimalField):
        known = [str(value) for value in (old, new) if value is not None]
        if any("." not in value for value in known):
            return quantity(old), quantity(new)
    one, other = _show_shortly(model, name, old), _show_shortly(model, name, new)
    if one != other:
        return one, other
    moments = _datetime(old), _datetime(new)
    if moments[0] is not None and moments[1] is not None:  # of the same minute
        return moment_with_seconds(moments[0]), moment_with_seconds(moments[1])
    # They may differ in what is not shown, as two HTML texts in their tags.
    return (
        cut_between_tags(str(old), LONGEST_OF_A_CHANGE),
        cut_between_tags(str(new), LONGEST_OF_A_CHANGE),
    )


def _datetime(value: Any) -> datetime | None:
    """Return a moment as the database or JSON has it; None for any other value."""
    if isinstance(value, str) and len(value) <= LONGEST_MOMENT and MOMENT.fullmatch(value):
        return parse_datetime(value)
    return value if isinstance(value, datetime) else None


def _show_shortly(model: type[models.Model], name: str, value: Any) -> str:
    if isinstance(value, str):  # before it is parsed as HTML
        return show(model, name, cut_between_tags(value, LONGEST_OF_A_CHANGE))
    return cut_between_tags(show(model, name, value), LONGEST_OF_A_CHANGE)


def _line_changes(lines: Mapping[str, Any]) -> Iterator[LineChange]:
    for odoo_id, name in (lines.get("added") or {}).items():
        yield LineChange("added", _("Line added"), _line_name(odoo_id, name))
    for odoo_id, changed in (lines.get("changed") or {}).items():
        fields = _field_changes(BCLine, changed)
        yield LineChange("changed", _("Line changed"), _line_name(odoo_id), fields)
    for odoo_id, name in (lines.get("deleted") or {}).items():
        yield LineChange("deleted", _("Line deleted"), _line_name(odoo_id, name))


def _line_name(odoo_id: str, name: str = "") -> str:
    number = f"#{odoo_id}"
    return (
        number
        if name in {"", number}
        else cut_between_tags(f"{number} {name}", LONGEST_OF_A_CHANGE)
    )


def field_label(model: type[models.Model], name: str) -> str:
    """Return a column's translated label, or its technical name if the model no longer has it.

    "extra.x_project" stands for a field without a column and gets its label in Odoo.
    """
    if name.startswith(EXTRA):
        return capfirst(extra_label(model, name.removeprefix(EXTRA)))
    field = _field(model, name)
    return name if field is None else capfirst(str(field.verbose_name))


def show(model: type[models.Model], name: str, value: Any) -> str:
    """Return a column's value as text, whether it comes from the database or from JSON."""
    if value is None or value in ("", []):
        return NOTHING
    if name.startswith(EXTRA):
        return show_extra(name.removeprefix(EXTRA), value)
    kind = kind_of_column(model, name)
    if isinstance(value, bool):
        return yes_or_no(value=value)
    if kind is Kind.MANY2MANY:
        return ", ".join(str(one.get("name") or one.get("id")) for one in value)
    if kind in NUMBERS:
        return money(value) if kind in SHOWN_AS_MONEY else quantity(value)
    if kind is Kind.DATE:
        return day(parse_date(value) if isinstance(value, str) else value)
    if isinstance(_field(model, name), models.DateTimeField):  # some belong to the copy itself
        return moment(parse_datetime(value) if isinstance(value, str) else value)
    return plain_text(value) if kind is Kind.HTML else label(name, str(value))


def yes_or_no(*, value: bool) -> str:
    """Return the word for a flag."""
    return _("yes") if value else _("no")


def kind_of_column(model: type[models.Model], name: str) -> Kind | None:
    """Return the kind of a column's values; None for a column of the copy's own."""
    field = (LINE_COLUMNS if model is BCLine else ORDER_COLUMNS).get(name)
    return field.kind if field is not None else None


def show_extra(name: str, value: Any) -> str:
    """Return the value of a field without a column as text; its JSON type decides how."""
    if value is None or value == []:
        return NOTHING
    if isinstance(value, bool):
        return yes_or_no(value=value)
    if isinstance(value, dict):
        return str(value.get("name") or value.get("id"))
    if isinstance(value, list):
        return ", ".join(show_extra(name, one) for one in value)
    if isinstance(value, str) and len(value) <= LONGEST_MOMENT and MOMENT.fullmatch(value):
        return moment(parse_datetime(value))
    return plain_text(label(name, str(value)))


def extra_fields(record: OdooRecord, names: Iterable[str]) -> list[tuple[str, str]]:
    """Return labels and values of those of these fields without a column that hold something."""
    filled = [name for name in names if record.extra.get(name) not in (None, [], False)]
    return [
        (field_label(type(record), f"{EXTRA}{name}"), show_extra(name, record.extra[name]))
        for name in filled
    ]


def _field(model: type[models.Model], name: str) -> "models.Field[Any, Any] | None":
    found = (field for field in model._meta.concrete_fields if field.attname == name)
    return next(found, None)


def number(value: Decimal | float | None) -> str:
    """Format a number with the language's separators and all its decimals."""
    if value is None:
        return NOTHING
    return formats.number_format(value, use_l10n=True, force_grouping=True)


def money(value: Decimal | str | None) -> str:
    """Format an amount with at least two decimals, or with none if it has none (yen).

    SQLite keeps doubles, which forget trailing zeros: 12.50 comes back as 12.5.
    """
    exact = _decimal(value)
    if exact is None:
        return NOTHING if value is None else str(value)
    exponent = exact.as_tuple().exponent
    if exponent == -1:
        exact = exact.quantize(Decimal("0.01"))
    return number(exact)


def quantity(value: Decimal | str | None) -> str:
    """Format a quantity without trailing zeros."""
    exact = _decimal(value)
    if exact is None:
        return NOTHING if value is None else str(value)
    whole = exact.to_integral_value()
    return number(whole if whole == exact else exact.normalize())


def _decimal(value: Decimal | str | None) -> Decimal | None:
    """Read a number from the journal; None if it is not one."""
    try:
        return None if value is None else Decimal(value)
    except InvalidOperation:
        return None


def moment(value: datetime | date | None) -> str:
    """Format a date and time in the project's time zone."""
    if value is None:
        return NOTHING
    if isinstance(value, datetime) and timezone.is_aware(value):
        value = timezone.localtime(value)
    return formats.date_format(value, pgettext("format of a date with time", "Y-m-d H:i"))


def moment_with_seconds(value: datetime) -> str:
    """Format a date and time to the second in the project's time zone."""
    return f"{moment(value)}:{timezone.localtime(value):%S}"


def day(value: date | None) -> str:
    """Format a date."""
    if value is None:
        return NOTHING
    return formats.date_format(value, pgettext("format of a date", "Y-m-d"))


def clock(value: datetime) -> str:
    """Format a time with seconds, preceded by the date unless that is today."""
    local = timezone.localtime(value)
    time = f"{local:%H:%M:%S}"
    if local.date() == timezone.localdate():
        return time
    return f"{day(local)} {time}"


def duration(seconds: float | timedelta | None) -> str:
    """Format a length of time (seconds) in a suitable unit: "80 ms", "2.4 s", "3 min", "5 h"."""
    if seconds is None:
        return NOTHING
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if seconds < 1:
        return _("%(count)s ms") % {"count": round(seconds * 1000)}
    if seconds < MINUTE:
        return _("%(count)s s") % {
            "count": formats.number_format(seconds, 1 if seconds < TEN else 0)
        }
    for unit, longest, text in (
        (MINUTE, HOUR, _("%(count)s min")),
        (HOUR, 2 * DAY, _("%(count)s h")),
    ):
        if seconds < longest:
            return text % {"count": int(seconds // unit)}
    return _("%(count)s d") % {"count": int(seconds // DAY)}


def shortened(text: str, characters: int = SUMMARY_CHARACTERS) -> str:
    """Return the beginning of a text in one line."""
    # split() without an argument would also split at the no-break spaces inside numbers.
    words = text[:LONGEST_TEXT].strip().translate(BREAKS).split(" ")
    return Truncator(" ".join(filter(None, words))).chars(characters)


def plain_text(html: str) -> str:
    """Return the text of an HTML fragment, or the fragment itself if it can't be parsed."""
    html = cut_between_tags(html, LONGEST_HTML)
    try:
        return unescape(strip_tags(html)).strip()
    # Django gives up on hundreds of unclosed tags, Python on "<![" followed by an unknown word.
    except (SuspiciousOperation, AssertionError):
        return html
