"""Whether an order differed although no date of it had moved."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings


def differs_under_same_date(changes: Mapping[str, Any]) -> bool:
    """Tell it from the journal's changes of an order: field → [before, Odoo's].

    Names of related records count, and lines that came or went: earlier phases of a run have
    already found those that another date, or Odoo's ids, tell of.
    """
    fields, lines = changes.get("fields", {}), changes.get("lines", {})
    written = [fields, *lines.get("changed", {}).values()]
    return bool(fields or lines) and all("write_date" not in one for one in written)


def is_proven(read_at: datetime | None, dates: Iterable[object], now: datetime) -> bool:
    """Tell whether no second change can hide behind any of these dates of a record just read.

    ``read_at``: when it was read the last time; in the future, if the clock was set back since. A
    record that SQL made has no date.
    """
    longest = timedelta(seconds=settings.ODOO_LONGEST_TRANSACTION_SECONDS)
    if read_at is None or read_at > now:
        return False
    return all(read_at > date + longest for date in dates if isinstance(date, datetime))
