"""Finds out whether an order differs although none of its write_dates has changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings


def differs_under_same_date(changes: Mapping[str, Any]) -> bool:
    """Return whether an order has changes, and none of them is of a write_date.

    ``changes``: as in the journal, field → [before, Odoo's]. Names of related records count, and so
    do lines that were added or deleted: the earlier phases of a run have already found whatever
    another date, or Odoo's ids, can show.
    """
    fields, lines = changes.get("fields", {}), changes.get("lines", {})
    written = [fields, *lines.get("changed", {}).values()]
    return bool(fields or lines) and all("write_date" not in pairs for pairs in written)


def is_date_proven(read_at: datetime | None, dates: Iterable[object], now: datetime) -> bool:
    """Return whether no second change can hide behind any of these dates of a record just read.

    Odoo shows dates in whole seconds, and a transaction may commit long after its date: a date is
    proven by a read that came later than it by more than Odoo's longest transaction. ``read_at``:
    when the record was last read; it lies in the future if the clock was set back since.

    A record that was created by SQL has no date, so none of its changes could have announced itself
    by one: it counts as proven, and a difference as hidden. ``suspect_orders``, which decides what
    to read, takes the same record for not proven, because no date can show when it changes.
    """
    longest = timedelta(seconds=settings.ODOO_LONGEST_TRANSACTION_SECONDS)
    if read_at is None or read_at > now:
        return False
    return all(read_at > date + longest for date in dates if isinstance(date, datetime))
