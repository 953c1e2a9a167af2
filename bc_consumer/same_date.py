"""Whether an order's content differed although no date of it had moved."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from bc_consumer.mapping import EXTRA

NAME = "_name"
"""The ending of columns that hold a related record's name."""


def differs_under_same_date(changes: Mapping[str, Any]) -> bool:
    """Tell it from the journal's changes of an order: field → [before, Odoo's].

    Names of related records don't count, for renaming one moves no order's date; nor does what came
    with a date, or lines that came or went.
    """
    lines = changes.get("lines", {})
    if lines.keys() - {"changed"}:
        return False
    fields = list(_changed(changes))
    return all(name != "write_date" for name, _pair in fields) and any(
        not _is_renaming(name, pair) for name, pair in fields
    )


def is_proven(read_at: datetime | None, dates: Iterable[object]) -> bool:
    """Tell whether no second change can hide behind any of these dates of a record just read.

    ``read_at``: when it was read the last time. A record that SQL made has no date.
    """
    longest = timedelta(seconds=settings.ODOO_LONGEST_TRANSACTION_SECONDS)
    return read_at is not None and all(
        read_at > date + longest for date in dates if isinstance(date, datetime)
    )


def _changed(changes: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    yield from changes.get("fields", {}).items()
    for fields in changes.get("lines", {}).get("changed", {}).values():
        yield from fields.items()


def _is_renaming(name: str, pair: list[Any]) -> bool:
    if name == "taxes" or name.startswith(EXTRA):
        before, after = (_ids(value) for value in pair)
        return before is not None and before == after
    return name.endswith(NAME)


def _ids(value: Any) -> list[int] | None:
    """Give the ids of related records as the copy holds them; None for anything else."""
    records = value if isinstance(value, list) else [value]
    if all(isinstance(one, dict) and "id" in one for one in records):
        return [one["id"] for one in records]
    return None
