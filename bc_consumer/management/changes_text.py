"""Tells the changes of an order field by field, as the journal has them, in aligned lines."""

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext as _

from bc_consumer.console.formatting import NOTHING, Changes, FieldChange, LineChange
from bc_consumer.management.tables import GAP, NARROWEST, aligned, cut, cut_pair

MARGIN = "    "
LONGEST_LABEL = 28
ARROW = "→"


def changes_told(changes: Changes, width: int | None) -> Iterator[str]:
    """Yield «label  old → new» for each field, and each line with its fields below it.

    ``width``: the longest line, None for any.
    """
    yield from _arrows(changes.fields, width, MARGIN)
    for line in changes.lines:
        yield cut(f"{MARGIN}{line.label}: {one_line(line.name)}", width)
        yield from _arrows(line.fields, width, MARGIN * 2)


def _arrows(fields: Sequence[FieldChange], width: int | None, margin: str) -> Iterator[str]:
    label_width = min(max((len(one.label) for one in fields), default=0), LONGEST_LABEL)
    room = None if width is None else width - len(margin) - label_width - len(GAP) - 3
    for one in fields:
        old, new = _values(one, room)
        yield f"{margin}{cut(one.label, label_width):{label_width}}{GAP}{old} {ARROW} {new}"


def side_by_side(changes: Changes, width: int | None) -> Iterator[str]:
    """Yield a table: field, the value here, Odoo's. Each line's fields stand below it."""
    room = None if width is None else width - LONGEST_LABEL - 2 * len(GAP)
    rows: list[tuple[str, str, str]] = [(_("field"), _("here"), _("Odoo"))]
    rows += ((cut(one.label, LONGEST_LABEL), *_values(one, room)) for one in changes.fields)
    for line in changes.lines:
        rows.append(_line_row(line))
        rows += ((cut(f"  {one.label}", LONGEST_LABEL), *_values(one, room)) for one in line.fields)
    yield from aligned(rows, width=width)


def _line_row(line: LineChange) -> tuple[str, str, str]:
    number, _blank, name = one_line(line.name).partition(" ")
    label = _("Line %(number)s") % {"number": number}
    if line.kind == "changed":
        return label, "", ""
    name = name or number
    return (label, NOTHING, name) if line.kind == "added" else (label, name, NOTHING)


def _values(change: FieldChange, room: int | None) -> tuple[str, str]:
    """Return both values in one line each, so short that they fit side by side."""
    old, new = one_line(change.old), one_line(change.new)
    if room is None or len(old) + len(new) <= room:
        return old, new
    return cut_pair(old, new, max(room // 2, NARROWEST))


def one_line(text: str) -> str:
    """Return a text without line breaks and without blanks beside each other."""
    # split() without an argument would also split at the no-break spaces inside numbers.
    return " ".join(filter(None, text.replace("\n", " ").replace("\t", " ").split(" ")))
