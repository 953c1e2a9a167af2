"""Prints one terminal line per order that arrives in the copy, with its delay."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Max
from django.utils import timezone

from bc_consumer.models import BC, JournalEntry

TOLD_AT_ONCE = 10
"""The most orders of a first load or import that are printed one by one."""
MOST_FIELDS = 3
UNTOLD_FIELDS = {"write_date"}
"""Omitted: it changes with nearly every write and carries no information."""


class Arrivals:
    """Reads the journal from its current end on."""

    def __init__(self) -> None:
        newest: int | None = JournalEntry.objects.aggregate(newest=Max("id"))["newest"]
        self._last = newest or 0

    def new_lines(self) -> Iterator[str]:
        """Yield a line for each journal entry written since the last call."""
        fresh = JournalEntry.objects.filter(id__gt=self._last).order_by("id")
        newest: int | None = fresh.aggregate(newest=Max("id"))["newest"]
        if newest is None:
            return
        fresh = fresh.filter(id__lte=newest)
        entries = list(fresh[:TOLD_AT_ONCE])
        untold = fresh.count() - len(entries)
        self._last = newest
        ids = {entry.odoo_id for entry in entries}
        names = dict(BC.objects.filter(odoo_id__in=ids).values_list("odoo_id", "name"))
        for entry in entries:
            yield describe(entry, names.get(entry.odoo_id) or f"#{entry.odoo_id}")
        if untold:
            yield f"          … and {untold} more"


def describe(entry: JournalEntry, name: str) -> str:
    """Return e.g. ``14:03:05  P00012  changed      in 0.21 s  (webhook)  amount_total``."""
    at = timezone.localtime(entry.at).strftime("%H:%M:%S")
    delay = "" if entry.delay is None else f"in {entry.delay:.2f} s"
    causes = f"({entry.causes})" if entry.causes else ""
    what = _changes(entry.changes)
    outcome = str(JournalEntry.Outcome(entry.outcome).label)
    return f"{at}  {name:<10} {outcome:<12} {delay:>10}  {causes:<12} {what}".rstrip()


def _changes(changes: Mapping[str, Any]) -> str:
    fields = [name for name in changes.get("fields") or {} if name not in UNTOLD_FIELDS]
    parts = fields[:MOST_FIELDS]
    if len(fields) > MOST_FIELDS:
        parts.append(f"{len(fields) - MOST_FIELDS} more")
    for what, lines in (changes.get("lines") or {}).items():
        if what == "count":
            parts.append(_counted(lines, ""))
        elif lines:
            parts.append(_counted(len(lines), what))
    return ", ".join(parts)


def _counted(number: int, what: str) -> str:
    return f"{number} line{'' if number == 1 else 's'} {what}".rstrip()
