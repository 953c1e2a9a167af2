"""Counts and sums of ids by month or by day of write_date: many records compared in one call.

Three ways to ask (measured): ``formatted_read_group`` of 19, ``read_group`` of 17 to 19, and the
same method of 14 and 16, which tells less. Which one is decided by what the server has and shows.

XML-RPC can't carry a sum above 2³¹−1 (Fault 1, measured on 17), so the average is asked for, a
double, and multiplied by the count. ``id:avg`` itself has not been measured on a real Odoo; one
that has no exact averages is asked for sums instead, where none can be too large.
"""

import calendar
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Literal, Protocol

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.calls import Calls
from bc_consumer.odoo.errors import (
    CannotGroup,
    OdooAccessError,
    OdooFault,
    OdooProtocolError,
    UnknownMethod,
)
from bc_consumer.odoo.moments import read_moment, write_moment
from bc_consumer.odoo.records import Bucket
from bc_consumer.odoo.snapshots import Record, record_id, records

logger = logging.getLogger("bc_consumer.odoo")

Period = Literal["month", "day"]
Domain = list[Any]
Function = Literal["count", "avg", "sum"]

FIGURE = "id_figure"  # our name for an aggregate
LARGEST_SUM = 2**31 - 1  # what XML-RPC carries
# Up to here count × average is less than a half from the sum: the average is off by at most 2⁻⁵³
# of itself as a double, and by half of that as PostgreSQL's numeric of 16 digits or more.
LARGEST_EXACT = 2**51
FAILURES = 2  # in a row; a single fault may have been Odoo's own trouble


@dataclass(frozen=True, slots=True)
class Group:
    """One group of an answer. ``figure``: the aggregate of the ids, as Odoo sent it."""

    start: datetime
    count: int
    figure: object


class Way(Protocol):
    """One of the ways to ask."""

    method: str

    def arguments(self, period: Period, function: Function) -> dict[str, Any]:
        """Give the keyword arguments besides domain and context."""

    def group(self, row: Record, period: Period) -> Group | None:
        """Read one row; None for the records that have no write_date. Raises TellsLess."""


class FormattedReadGroup:
    """19 and later: the group as [start, label], aggregates under their full names."""

    method = "formatted_read_group"

    def arguments(self, period: Period, function: Function) -> dict[str, Any]:
        """Give the keyword arguments besides domain and context."""
        aggregates = ["__count"] if function == "count" else ["__count", f"id:{function}"]
        return {"groupby": [f"write_date:{period}"], "aggregates": aggregates}

    def group(self, row: Record, period: Period) -> Group | None:
        """Read one row; None for the records that have no write_date."""
        label = row.get(f"write_date:{period}")
        if label is False:
            return None
        start = read_moment(label[0] if isinstance(label, list) and label else label)
        figures = [value for name, value in row.items() if name.startswith("id:")]
        return Group(start, _count(row), figures[0] if figures else None)


class ReadGroup:
    """17 to 19: the group's range beside its label, which is in the user's language."""

    method = "read_group"

    def arguments(self, period: Period, function: Function) -> dict[str, Any]:
        """Give the keyword arguments besides domain and context."""
        return {
            "fields": [f"id:{function}"],
            "groupby": [f"write_date:{period}"],
            "lazy": False,  # the count would have another name
        }

    def group(self, row: Record, period: Period) -> Group | None:
        """Read one row; None for the records that have no write_date."""
        name = f"write_date:{period}"
        if row.get(name) is False:
            return None
        if "__range" not in row or "id" not in row:
            raise TellsLess
        ranges = row["__range"]
        bounds = ranges.get(name) if isinstance(ranges, dict) else None
        if not isinstance(bounds, dict):
            raise OdooProtocolError(
                _("Odoo grouped by %(name)s and left the range of a group out", name=name)
            )
        start = _whole_period(bounds.get("from"), bounds.get("to"), period)
        return Group(start, _count(row), row.get("id"))


class ReadGroupOf14:
    """14 and 16: what is called «id» is left out; a group's bounds are always in its domain."""

    method = "read_group"

    def arguments(self, period: Period, function: Function) -> dict[str, Any]:
        """Give the keyword arguments besides domain and context."""
        asked = ReadGroup().arguments(period, function)
        return {**asked, "fields": [f"{FIGURE}:{function}(id)"]}

    def group(self, row: Record, period: Period) -> Group | None:
        """Read one row; None for the records that have no write_date."""
        if row.get(f"write_date:{period}") is False:
            return None
        # The group's own conditions come before those of the domain that was asked for.
        domain = row.get("__domain")
        terms = domain if isinstance(domain, list) else []
        first, end = _bound(terms, ">="), _bound(terms, "<")
        if first is None or end is None:
            raise TellsLess
        start = _whole_period(first, end, period)
        return Group(start, _count(row), row.get(FIGURE))


class Grouping:
    """Groups records of any model. Thread-safe; remembers what the server can."""

    def __init__(self, calls: Calls, context: Mapping[str, Any]) -> None:
        self._calls = calls
        # Without a time zone it is UTC, whatever the user's; with another, days begin elsewhere.
        self._context = {**context, "tz": "UTC"}
        # Where both are there, the elder is on its way out; once one has answered, it is first.
        self._ways: tuple[Way, ...] = (FormattedReadGroup(), ReadGroup(), ReadGroupOf14())
        self._failed_averages = 0

    def buckets(self, model: str, period: Period, domain: Domain) -> list[Bucket]:
        """Count, and sum ids, by period; see ``Listing.order_buckets``."""
        if self._failed_averages < FAILURES:
            try:
                groups = self._groups(model, period, domain, "avg")
                self._failed_averages = 0
                return [_bucket(group, period, sum_by_average(group)) for group in groups]
            except (CannotGroup, OdooAccessError):
                raise
            except (OdooFault, _NoAverage) as error:
                problem = error
            counted = self._groups(model, period, domain, "count")  # raises if Odoo is in trouble
            self._failed_averages += 1
            logger.warning("Odoo can't average ids of %s, sums are asked for: %s", model, problem)
        else:
            counted = self._groups(model, period, domain, "count")
        return self._sum(model, period, domain, counted)

    def _sum(
        self, model: str, period: Period, domain: Domain, counted: Sequence[Group]
    ) -> list[Bucket]:
        """Ask for sums where none can pass what XML-RPC carries; None for the others'."""
        highest = self._highest_id(model) if counted else 0
        small = [group for group in counted if group.count * highest <= LARGEST_SUM]
        large = [group for group in counted if group.count * highest > LARGEST_SUM]
        buckets = [_bucket(group, period, None) for group in large]
        if small:
            within = [*domain, *_within(small, period)] if large else domain
            try:
                summed = self._groups(model, period, within, "sum")
                buckets += [_bucket(group, period, _sum(group)) for group in summed]
            except (CannotGroup, OdooAccessError):
                raise
            except OdooFault as fault:  # one has grown meanwhile, or this Odoo can't sum at all
                logger.warning("Odoo can't sum ids of %s: %s", model, fault)
                buckets += [_bucket(group, period, None) for group in small]
        return sorted(buckets, key=lambda bucket: bucket.start)

    def _highest_id(self, model: str) -> int:
        kwargs = {"domain": [], "order": "id desc", "limit": 1, "context": self._context}
        answer = self._calls.execute(model, "search_read", [], {**kwargs, "fields": ["write_date"]})
        return max((record_id(record) for record in records(answer.value)), default=0)

    def _groups(
        self, model: str, period: Period, domain: Domain, function: Function
    ) -> list[Group]:
        """Ask, by the way that this server has. Raises CannotGroup if it has none."""
        unknown: dict[str, UnknownMethod] = {}
        for way in self._ways:
            if way.method in unknown:
                continue
            kwargs = {"domain": domain, "context": self._context}
            kwargs |= way.arguments(period, function)
            try:
                answer = self._calls.execute(model, way.method, [], kwargs)
            except UnknownMethod as error:
                if error.method != way.method:
                    raise
                unknown[way.method] = error
                continue
            try:
                found = [way.group(row, period) for row in records(answer.value)]
            except TellsLess:
                continue
            self._ways = (way, *(other for other in self._ways if other is not way))
            return _check([group for group in found if group is not None], period)
        reason = next(iter(unknown.values()))  # 19's way fails by this alone
        raise CannotGroup(
            _(
                "This Odoo has no method to group %(model)s; ids are to be compared instead",
                model=model,
            ),
            code=reason.code,
            traceback=reason.traceback,
            model=model,
            method=reason.method,
        )


class TellsLess(Exception):
    """The method is there, and leaves out what its later versions tell."""


class _NoAverage(Exception):
    """An average that is none, or was rounded on its way."""


def period_end(start: datetime, period: Period) -> datetime:
    """Give the first moment after a month or day."""
    days = calendar.monthrange(start.year, start.month)[1] if period == "month" else 1
    return start + timedelta(days=days)


def _check(groups: list[Group], period: Period) -> list[Group]:
    """Sort; raises OdooProtocolError unless each group is another whole month or day, UTC."""
    groups.sort(key=lambda group: group.start)
    for group in groups:
        start = group.start
        if (start.hour, start.minute, start.second) != (0, 0, 0) or (
            period == "month" and start.day != 1
        ):
            raise OdooProtocolError(
                _(
                    "Odoo gave a %(period)s that begins at %(start)s, not in UTC",
                    period=period,
                    start=f"{start}",
                )
            )
    if len({group.start for group in groups}) != len(groups):
        raise OdooProtocolError(_("Odoo gave the same %(period)s twice", period=period))
    return groups


def _whole_period(first: object, end: object, period: Period) -> datetime:
    """Give the moment at which a group's period begins, and check that it is one."""
    start = read_moment(first)
    if read_moment(end) != period_end(start, period):
        raise OdooProtocolError(
            _(
                "Odoo gave a %(period)s from %(start)s to %(end)s",
                period=period,
                start=f"{start}",
                end=f"{end}",
            )
        )
    return start


def _bound(terms: Sequence[Any], operator: str) -> object:
    """Give the first value that write_date is compared with so in a domain; None if with none."""
    for term in terms:
        if isinstance(term, list) and term[:2] == ["write_date", operator]:
            return term[2] if len(term) == 3 else None
    return None


def _bucket(group: Group, period: Period, id_sum: int | None) -> Bucket:
    return Bucket(group.start, period_end(group.start, period), group.count, id_sum)


def _count(row: Record) -> int:
    count = row.get("__count")
    if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
        return count
    raise OdooProtocolError(_("Odoo counted a group as %(count)s", count=repr(count)))


def sum_by_average(group: Group) -> int | None:
    """Multiply, exactly; None where the sum is beyond what a double tells."""
    average = group.figure
    if isinstance(average, bool) or not isinstance(average, int | float):
        raise _NoAverage(f"the average is {average!r}")
    if not math.isfinite(average):
        raise _NoAverage(f"the average is {average!r}")
    product = Fraction(average) * group.count
    total = round(product)
    if abs(product - total) * 2**52 > abs(product):
        raise _NoAverage(f"{group.count} ids can't have the average {average!r}: it is rounded")
    return total if total <= LARGEST_EXACT else None


def _sum(group: Group) -> int:
    if isinstance(group.figure, int) and not isinstance(group.figure, bool):
        return group.figure
    raise OdooProtocolError(_("Odoo summed ids to %(figure)s", figure=repr(group.figure)))


def _within(groups: Sequence[Group], period: Period) -> Domain:
    """Give the domain of what was written within any of these periods; neighbours in one term."""
    runs: list[tuple[datetime, datetime]] = []
    for group in groups:
        end = period_end(group.start, period)
        if runs and runs[-1][1] == group.start:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((group.start, end))
    domain: Domain = ["|"] * (len(runs) - 1)
    for start, end in runs:
        domain += [
            "&",
            ("write_date", ">=", write_moment(start)),
            ("write_date", "<", write_moment(end)),
        ]
    return domain
