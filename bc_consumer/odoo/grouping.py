"""Counts and sums of ids by month or by day of write_date: compares many records in one call.

XML-RPC can't carry a sum above 2³¹−1 (Fault 1, measured on 17), so ``Grouping`` asks for the
average, a double, and multiplies it by the count. ``id:avg`` itself has not been measured on a real
Odoo; one that does not average exactly is asked for sums instead, where none can be too large.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.datetimes import write_datetime
from bc_consumer.odoo.errors import (
    CannotGroup,
    OdooAccessError,
    OdooFault,
    OdooProtocolError,
    UnknownMethod,
)
from bc_consumer.odoo.grouping_methods import (
    FormattedReadGroup,
    Function,
    Group,
    GroupingMethod,
    GroupLacksBounds,
    PeriodName,
    ReadGroup,
    period_end,
)
from bc_consumer.odoo.records import Bucket, check_records, record_id
from bc_consumer.odoo.transports import ModelCalls
from bc_consumer.odoo.versions.before_17 import ReadGroupBefore17

logger = logging.getLogger("bc_consumer.odoo")

Domain = list[Any]

LARGEST_SUM = 2**31 - 1  # what XML-RPC carries
# Up to here count × average differs from the sum by less than a half: the average is off by at most
# 2⁻⁵³ of itself as a double, and by half of that as PostgreSQL's numeric of 16 digits or more.
LARGEST_EXACT = 2**51
FAILURES = 2  # in a row; a single fault may have been Odoo's own trouble


class Grouping:
    """Groups records of any model. Thread-safe; remembers which method the server has."""

    def __init__(self, calls: ModelCalls, context: Mapping[str, Any]) -> None:
        self._calls = calls
        # UTC is also Odoo's default, whatever the user's time zone; another would move the days.
        self._context = {**context, "tz": "UTC"}
        # The newest first: where a server has two, the older is deprecated. The method that last
        # answered moves to the front.
        self._methods: tuple[GroupingMethod, ...] = (
            FormattedReadGroup(),
            ReadGroup(),
            ReadGroupBefore17(),
        )
        self._failed_averages = 0

    def buckets(self, model: str, period: PeriodName, domain: Domain) -> list[Bucket]:
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
            logger.warning("Odoo can't average the ids of %s; asking for sums: %s", model, problem)
        else:
            counted = self._groups(model, period, domain, "count")
        return self._sum_small_groups(model, period, domain, counted)

    def _sum_small_groups(
        self, model: str, period: PeriodName, domain: Domain, counted: Sequence[Group]
    ) -> list[Bucket]:
        """Ask for the sums that XML-RPC can carry; the other buckets get None."""
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
            except OdooFault as fault:  # a group has grown meanwhile, or this Odoo can't sum at all
                logger.warning("Odoo can't sum the ids of %s: %s", model, fault)
                buckets += [_bucket(group, period, None) for group in small]
        return sorted(buckets, key=lambda bucket: bucket.start)

    def _highest_id(self, model: str) -> int:
        kwargs = {"domain": [], "order": "id desc", "limit": 1, "context": self._context}
        answer = self._calls.execute(model, "search_read", [], {**kwargs, "fields": ["write_date"]})
        return max((record_id(record) for record in check_records(answer.value)), default=0)

    def _groups(
        self, model: str, period: PeriodName, domain: Domain, function: Function
    ) -> list[Group]:
        """Ask by the first method that the server has. Raises CannotGroup if it has none."""
        unknown: dict[str, UnknownMethod] = {}
        for one in self._methods:
            if one.method in unknown:
                continue
            kwargs = {"domain": domain, "context": self._context}
            kwargs |= one.arguments(period, function)
            try:
                answer = self._calls.execute(model, one.method, [], kwargs)
            except UnknownMethod as error:
                if error.method != one.method:
                    raise
                unknown[one.method] = error
                continue
            try:
                found = [one.group(row, period) for row in check_records(answer.value)]
            except GroupLacksBounds:
                continue
            self._methods = (one, *(other for other in self._methods if other is not one))
            return _check_groups([group for group in found if group is not None], period)
        reason = next(iter(unknown.values()))  # the newest method fails in no other way
        raise CannotGroup(
            _(
                "This Odoo has no method to group %(model)s; ids have to be compared instead",
                model=model,
            ),
            code=reason.code,
            traceback=reason.traceback,
            model=model,
            method=reason.method,
        )


class _NoAverage(Exception):
    """The average is not a number, or was rounded on its way."""


def _check_groups(groups: list[Group], period: PeriodName) -> list[Group]:
    """Sort groups. Raises OdooProtocolError unless each is another whole month or day of UTC."""
    groups.sort(key=lambda group: group.start)
    for group in groups:
        start = group.start
        if (start.hour, start.minute, start.second) != (0, 0, 0) or (
            period == "month" and start.day != 1
        ):
            raise OdooProtocolError(
                _(
                    "Odoo gave a %(period)s that begins at %(start)s, which is not in UTC",
                    period=period,
                    start=f"{start}",
                )
            )
    if len({group.start for group in groups}) != len(groups):
        raise OdooProtocolError(_("Odoo gave the same %(period)s twice", period=period))
    return groups


def _bucket(group: Group, period: PeriodName, id_sum: int | None) -> Bucket:
    return Bucket(group.start, period_end(group.start, period), group.count, id_sum)


def sum_by_average(group: Group) -> int | None:
    """Return the exact sum of ids; None where it is beyond what a double can tell.

    Raises an error for an average that no ``group.count`` integers can have.
    """
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
    raise OdooProtocolError(_("Odoo gave %(figure)s as a sum of ids", figure=repr(group.figure)))


def _within(groups: Sequence[Group], period: PeriodName) -> Domain:
    """Return the domain of records written within any of these periods; joins adjacent ones."""
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
            ("write_date", ">=", write_datetime(start)),
            ("write_date", "<", write_datetime(end)),
        ]
    return domain
