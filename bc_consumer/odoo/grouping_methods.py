"""How Odoo is asked for groups of records by write_date, and how it writes a group.

``formatted_read_group`` is of 19 and later; ``read_group`` of 17 to 19 is on its way out there
(measured). How older versions write a group is in ``versions/before_17.py``.
"""

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.datetimes import read_datetime
from bc_consumer.odoo.errors import OdooProtocolError
from bc_consumer.odoo.records import Record

PeriodName = Literal["month", "day"]
Function = Literal["count", "avg", "sum"]


@dataclass(frozen=True, slots=True)
class Group:
    """One group of an answer. ``figure``: the aggregate of the ids, as Odoo sent it."""

    start: datetime
    count: int
    figure: object


class GroupLacksBounds(Exception):
    """The server has the method, and its answer lacks what later versions add to a group."""


class GroupingMethod(Protocol):
    """One way to ask for groups."""

    method: str

    def arguments(self, period: PeriodName, function: Function) -> dict[str, Any]:
        """Return the keyword arguments besides domain and context."""

    def group(self, row: Record, period: PeriodName) -> Group | None:
        """Read one row; None for the group of records without a write_date.

        Raises GroupLacksBounds where the row does not tell the group's period.
        """


class FormattedReadGroup:
    """19 and later: a group is ``[start, label]``, aggregates have their full names."""

    method = "formatted_read_group"

    def arguments(self, period: PeriodName, function: Function) -> dict[str, Any]:
        """Return the keyword arguments besides domain and context."""
        aggregates = ["__count"] if function == "count" else ["__count", f"id:{function}"]
        return {"groupby": [f"write_date:{period}"], "aggregates": aggregates}

    def group(self, row: Record, period: PeriodName) -> Group | None:
        """Read one row; None for the group of records without a write_date."""
        label = row.get(f"write_date:{period}")
        if label is False:
            return None
        start = read_datetime(label[0] if isinstance(label, list) and label else label)
        figures = [value for name, value in row.items() if name.startswith("id:")]
        return Group(start, group_count(row), figures[0] if figures else None)


class ReadGroup:
    """17 to 19: a group has its range beside the label, which is in the user's language."""

    method = "read_group"

    def arguments(self, period: PeriodName, function: Function) -> dict[str, Any]:
        """Return the keyword arguments besides domain and context."""
        return {
            "fields": [f"id:{function}"],
            "groupby": [f"write_date:{period}"],
            "lazy": False,  # without it the count has another name
        }

    def group(self, row: Record, period: PeriodName) -> Group | None:
        """Read one row; None for the group of records without a write_date."""
        name = f"write_date:{period}"
        if row.get(name) is False:
            return None
        if "__range" not in row or "id" not in row:
            raise GroupLacksBounds
        ranges = row["__range"]
        bounds = ranges.get(name) if isinstance(ranges, dict) else None
        if not isinstance(bounds, dict):
            raise OdooProtocolError(
                _("Odoo grouped by %(name)s but left out the range of a group", name=name)
            )
        start = check_whole_period(bounds.get("from"), bounds.get("to"), period)
        return Group(start, group_count(row), row.get("id"))


def period_end(start: datetime, period: PeriodName) -> datetime:
    """Return the first moment after a month or day."""
    days = calendar.monthrange(start.year, start.month)[1] if period == "month" else 1
    return start + timedelta(days=days)


def check_whole_period(first: object, end: object, period: PeriodName) -> datetime:
    """Return the start of a group's period. Raises OdooProtocolError if ``end`` doesn't fit it."""
    start = read_datetime(first)
    if read_datetime(end) != period_end(start, period):
        raise OdooProtocolError(
            _(
                "Odoo gave a %(period)s from %(start)s to %(end)s",
                period=period,
                start=f"{start}",
                end=f"{end}",
            )
        )
    return start


def group_count(row: Record) -> int:
    """Return the number of records in a group. Raises OdooProtocolError if it is none."""
    count = row.get("__count")
    if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
        return count
    raise OdooProtocolError(_("Odoo counted a group as %(count)s", count=repr(count)))
