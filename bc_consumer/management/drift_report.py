"""Writes differences as the scan finds them: a table for people, or one JSON object.

Neither keeps what it has written, so a report may have any length.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, TextIO

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bc_consumer.console.formatting import NOTHING, field_label, show_pair
from bc_consumer.console.labels import label
from bc_consumer.core.translatable_field import said
from bc_consumer.management.changes_text import one_line
from bc_consumer.management.tables import GAP, NARROWEST, cut, cut_pair, width_of, wrapped
from bc_consumer.models import BC, BCLine
from bc_consumer.reconciliation.dry_run import ARCHIVED, FAILED, HELD, PENDING, Drift, DriftKind

ORDER_WIDTH, FIELD_WIDTH, VALUE_WIDTH = 24, 30, 40
STANDINGS = {
    PENDING: gettext_lazy("[pending]"),
    FAILED: gettext_lazy("[failed]"),
    HELD: gettext_lazy("[on hold]"),
}


class Report(Protocol):
    """Receives the differences one by one."""

    def add(self, drift: Drift) -> None:
        """Write one difference."""

    def close(self, facts: Mapping[str, Any]) -> None:
        """Write the end of the report."""


class TableReport:
    """Columns: order, field, Odoo's value, ours. A terminal's width limits long values."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._width = None
        if (longest := width_of(out)) is not None:
            left = longest - ORDER_WIDTH - FIELD_WIDTH - 3 * len(GAP)
            self._width = max(left // 2, NARROWEST)
        self._begun = False

    def add(self, drift: Drift) -> None:
        """Write one row; the first one follows the heading."""
        if not self._begun:
            self._begun = True
            self._row(_("order"), _("field"), _("Odoo"), _("here"))
        order = f"#{drift.order_id}"
        if drift.name != order:
            order += f" {drift.name}"
        theirs, ours = _shown(drift.theirs), _shown(drift.ours)
        if drift.kind in ARCHIVED:
            theirs = label("missing", theirs)
        if drift.kind is DriftKind.FIELD:
            model = BC if drift.line_id is None else BCLine
            field = field_label(model, drift.field)
            theirs, ours = map(one_line, show_pair(model, drift.field, drift.theirs, drift.ours))
        else:
            field = label("difference", drift.kind.value)
        if drift.line_id is not None:
            field += " " + _("(line #%(id)s)") % {"id": drift.line_id}
        if drift.standing:
            order += f" {STANDINGS[drift.standing]}"
        if drift.kind is DriftKind.NOT_COMPARED and self._width is not None:
            # An error is too long for a column.
            self._row(order, field, NOTHING, NOTHING)
            self._out.write(wrapped(f"    {theirs}", self._out) + "\n")
        else:
            self._row(order, field, theirs, ours)

    def close(self, facts: Mapping[str, Any]) -> None:
        """Write nothing: the command prints the totals in words."""

    def _row(self, order: str, field: str, theirs: str, ours: str) -> None:
        theirs, ours = cut_pair(theirs, ours, self._width)
        if self._width is not None:
            order, field = cut(order, ORDER_WIDTH), cut(field, FIELD_WIDTH)
        cells = (f"{order:{ORDER_WIDTH}}", f"{field:{FIELD_WIDTH}}")
        row = GAP.join([*cells, f"{theirs:{self._width or VALUE_WIDTH}}", ours])
        self._out.write(row.rstrip() + "\n")


class JsonReport:
    """Writes one object: first the differences, then the facts about the dry run."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._separator = '{"differences": ['

    def add(self, drift: Drift) -> None:
        """Write one difference."""
        item = {
            "order_id": drift.order_id,
            "name": drift.name,
            "kind": drift.kind.value,
            "line_id": drift.line_id,
            "field": drift.field,
            "odoo": plain(drift.theirs),
            "here": plain(drift.ours),
            "pending": drift.pending,
        }
        self._out.write(f"{self._separator}\n  {json.dumps(item, ensure_ascii=False)}")
        self._separator = ","

    def close(self, facts: Mapping[str, Any]) -> None:
        """Write the facts, and the end of the object."""
        begun = self._separator == ","
        rest = json.dumps(facts, ensure_ascii=False).removeprefix("{")
        self._out.write(f"{'' if begun else self._separator}], {rest}\n")


def plain(value: object) -> object:
    """Return a column's value for JSON; a decimal becomes a text, so nothing is rounded."""
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _shown(value: object) -> str:
    if value is None or value == "":
        return NOTHING
    return one_line(said(value) if isinstance(value, str) else str(value))
