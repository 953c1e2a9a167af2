"""The drift digest: do Odoo and the copy have the same orders and lines, however old they are?

Counts and sums of ids are compared by month of write_date; then by day, where a month differs or
was never proven equal; then id by id, where a day does. A past period can only lose rows, because
what is written gets a new date. So a period that was once proven equal, and whose figures have not
changed since, is still equal. So is a period whose figures are equal and whose orders were all read
since the run began, as in a first load: none is compared id by id there.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

from django.conf import settings
from django.db.models import Count, Max, Min, Sum
from django.db.models.functions import TruncDay, TruncMonth

from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import Message, message_of, verbatim
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import BC, BCLine, ProvenPeriod
from bc_consumer.odoo import CannotGroup, Listed, Odoo, PeriodName

logger = logging.getLogger(__name__)

Model = Literal["order", "line"]
UNDATED = datetime(1, 1, 1, tzinfo=UTC)
"""The day under which rows without a write_date are noted; no other row has it."""
SPANS = 6
"""Up to so many separate stretches of days are compared one by one; more are compared as one
stretch, to save calls."""
SPAN_ROWS = 50_000
"""Rows compared before what they prove is stored: an interrupted comparison does so many again."""


@dataclass(frozen=True, slots=True)
class ComparedPage:
    """What the comparison of one page of ids showed."""

    orders: frozenset[int]
    """To be fetched again."""
    maybe_gone: frozenset[int]
    """Those of them that the copy has, and Odoo does not list under this date."""
    stored: bool = False
    """What was compared so far is stored: a run that stops here resumes here."""


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open period of write_dates; None: unbounded."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class PeriodFigures:
    """What a period holds; ``id_sum`` None: unknown.

    ``just_read``: of our own, whether Odoo showed every one of these rows since the run began.
    """

    end: datetime
    count: int
    id_sum: int | None
    just_read: bool = False

    def equals(self, other: "PeriodFigures | None") -> bool:
        """Return whether both may be of the same rows, as far as figures can show."""
        if other is None or self.count != other.count:
            return False
        return None in (self.id_sum, other.id_sum) or self.id_sum == other.id_sum


@dataclass(frozen=True, slots=True)
class Span:
    """Days to be compared together, by their starts, ascending."""

    days: list[datetime]
    period: Period


class PeriodComparison:
    """One comparison of all orders, or of all lines.

    ``settled_before``: periods that end by then can be proven equal, because no change with such an
    old write_date can still be committed. ``read_since``: when the run began; None: it has read
    nothing. ``all_follow``: the content of all orders is compared afterwards, so ids are compared
    only where figures differ. ``remember``: store what is proven equal; without it nothing is
    written.
    """

    def __init__(
        self,
        odoo: Odoo,
        model: Model,
        settled_before: datetime,
        *,
        read_since: datetime | None = None,
        all_follow: bool = False,
        remember: bool = True,
    ) -> None:
        self.odoo = odoo
        self.model = model
        self.settled_before = settled_before
        self.read_since = read_since
        self.all_follow = all_follow
        self.remember = remember
        self.note: Message = verbatim("")
        self._unequal_days: set[datetime] = set()

    def pages(self) -> Iterator[ComparedPage]:
        """Yield what differs, page by page, and store what is proven equal.

        Pages without a difference are yielded too. Where Odoo cannot group, all ids are compared,
        and ``note`` says so. Raises what the gateway raises.
        """
        try:
            months = self._unproven("month", None)
            days = self._unproven("day", _enclose(months)) if months else {}
        except CannotGroup as error:
            self.note = self._describe_fallback(message_of(error))
            logger.warning("%s", self.note)
            yield from self._compare(Period(None, None))
            return
        yield from self._compare_undated()
        to_compare = {
            start: (their, own)
            for start, (their, own) in days.items()
            if self._are_ids_needed(their, own)
        }
        self._remember([(day, days[day]) for day in days.keys() - to_compare.keys()])
        for span in _join_days(to_compare):
            yield from self._compare(span.period)
            self._remember([(start, to_compare[start]) for start in span.days])
            yield ComparedPage(frozenset(), frozenset(), stored=True)
        self._remember([*months.items()])

    def _are_ids_needed(self, their: PeriodFigures | None, own: PeriodFigures) -> bool:
        """Return whether a day has to be compared id by id.

        Days whose figures are equal are, once they are settled, as a proof for later nights; but
        not where the run has read all of it, or is going to. An equal count alone says too little
        for that.
        """
        if their is None or not own.equals(their):
            return True
        if their.id_sum is not None and (own.just_read or self.all_follow):
            return False
        return own.end <= self.settled_before

    def _describe_fallback(self, why: Message) -> Message:
        if self.model == "order":
            return _("this Odoo cannot group, so the ids of all orders were read: %(why)s", why=why)
        return _("this Odoo cannot group, so the ids of all lines were read: %(why)s", why=why)

    # --- figures of months and days ------------------------------------------------------------

    def _unproven(
        self, name: PeriodName, within: Period | None
    ) -> dict[datetime, tuple[PeriodFigures | None, PeriodFigures]]:
        """Return the periods whose figures differ, or were never proven equal.

        As start → (Odoo's figures, our own).
        """
        theirs, ours = self._their_figures(name, within), self._own_figures(name, within)
        proven = self._proven()
        unproven = {}
        for start in sorted(theirs.keys() | ours.keys()):
            their = theirs.get(start)
            own = ours.get(start) or PeriodFigures(_end(name, start), 0, 0)
            if not own.equals(their) or proven.get((start, own.end)) != (own.count, own.id_sum):
                unproven[start] = (their, own)
        return unproven

    def _their_figures(
        self, name: PeriodName, within: Period | None
    ) -> dict[datetime, PeriodFigures]:
        listing = self.odoo.listing
        ask = listing.order_buckets if self.model == "order" else listing.line_buckets
        since, until = (within.start, within.end) if within else (None, None)
        return {
            bucket.start: PeriodFigures(bucket.end, bucket.count, bucket.id_sum)
            for bucket in ask(name, since=since, until=until)
        }

    def _own_figures(
        self, name: PeriodName, within: Period | None
    ) -> dict[datetime, PeriodFigures]:
        truncate = TruncMonth if name == "month" else TruncDay
        rows = self._own_rows(within or Period(None, None)).filter(write_date__isnull=False)
        synced_at = "synced_at" if self.model == "order" else "bc__synced_at"
        groups = (
            rows.annotate(period=truncate("write_date", tzinfo=UTC))
            .values_list("period")
            .annotate(
                count=Count("pk"),
                id_sum=Sum("odoo_id"),
                read=Count(synced_at),
                oldest=Min(synced_at),
                newest=Max(synced_at),
            )
            .order_by("period")
        )
        since, now = self.read_since, database_now()
        return {
            start: PeriodFigures(
                _end(name, start),
                count,
                int(id_sum),
                # In the future: the database's clock was set back since.
                since is not None and read == count and since <= oldest and newest <= now,
            )
            for start, count, id_sum, read, oldest, newest in groups
        }

    def _proven(self) -> dict[tuple[datetime, datetime], tuple[int, int]]:
        periods = ProvenPeriod.objects.filter(model=self.model)
        return {(p.start, p.end): (p.count, int(p.id_sum)) for p in periods}

    # --- id by id ------------------------------------------------------------------------------

    def _compare(self, span: Period) -> Iterator[ComparedPage]:
        """Compare ids and dates one by one."""
        listing = self.odoo.listing
        ask = listing.orders if self.model == "order" else listing.lines
        pages = partial(ask, since=span.start, until=span.end)
        yield from self._compare_pages(pages, self._own_rows(span))

    def _compare_undated(self) -> Iterator[ComparedPage]:
        """Compare the ids of rows that SQL created without a date.

        Only a full run compares their content.
        """
        listing = self.odoo.listing
        ask = listing.undated_orders if self.model == "order" else listing.undated_lines
        undated = self._own_rows(Period(None, None)).filter(write_date__isnull=True)
        yield from self._compare_pages(ask, undated)

    def _compare_pages(self, ask: Callable[..., list[Listed]], own: Any) -> Iterator[ComparedPage]:
        """Compare one page of Odoo's ids at a time with the copy's in the same range."""
        after_id, limit, is_last = 0, settings.SYNC_PAGE_SIZE, False
        while not is_last:
            page = ask(after_id=after_id, limit=limit)
            is_last = len(page) < limit
            rows = own.filter(odoo_id__gt=after_id)
            if not is_last:
                after_id = page[-1].id
                rows = rows.filter(odoo_id__lte=after_id)
            yield self._compare_page(page, rows)

    def _compare_page(self, page: Sequence[Listed], rows: Any) -> ComparedPage:
        order = "odoo_id" if self.model == "order" else "bc__odoo_id"
        ours = {
            odoo_id: (write_date, order_id)
            for odoo_id, write_date, order_id in rows.values_list("odoo_id", "write_date", order)
        }
        orders: set[int] = set()
        only_here: set[int] = set()
        for row in page:
            write_date, order_id = ours.pop(row.id, (None, None))
            their_order = row.id if self.model == "order" else row.order_id
            if write_date != row.write_date or order_id != their_order:
                self._unequal_days.add(_day(row.write_date or UNDATED))
                orders.update(i for i in (their_order, order_id) if i is not None)
        for write_date, order_id in ours.values():
            self._unequal_days.add(_day(write_date or UNDATED))
            only_here.add(order_id)
        maybe_gone = only_here if self.model == "order" else set()
        return ComparedPage(frozenset(orders | only_here), frozenset(maybe_gone))

    def _own_rows(self, within: Period) -> Any:
        rows: Any = (
            BC.objects.current()
            if self.model == "order"
            else BCLine.objects.filter(bc__archived_at__isnull=True, bc__forbidden_at__isnull=True)
        )
        if within.start is not None:
            rows = rows.filter(write_date__gte=within.start)
        return rows if within.end is None else rows.filter(write_date__lt=within.end)

    def _remember(
        self, periods: Sequence[tuple[datetime, tuple[PeriodFigures | None, PeriodFigures]]]
    ) -> None:
        """Store the figures of settled days and months in which nothing differed."""
        if not self.remember:
            return
        proofs = [
            ProvenPeriod(
                model=self.model, start=start, end=own.end, count=own.count, id_sum=own.id_sum or 0
            )
            for start, (their, own) in periods
            if own.end <= self.settled_before
            and own.equals(their)
            and (own.just_read or not self.all_follow)
            and not any(start <= day < own.end for day in self._unequal_days)
        ]
        unique = {(proof.start, proof.end): proof for proof in proofs}
        ProvenPeriod.objects.bulk_create(
            [unique[key] for key in sorted(unique)],
            update_conflicts=True,
            unique_fields=["model", "start", "end"],
            update_fields=["count", "id_sum"],
        )


def _join_days(
    days: Mapping[datetime, tuple[PeriodFigures | None, PeriodFigures]],
) -> Iterator[Span]:
    """Join adjacent days, as long as together they have no more rows than SPAN_ROWS."""
    stretches: list[list[datetime]] = []
    for start in sorted(days):
        if stretches and days[stretches[-1][-1]][1].end == start:
            stretches[-1].append(start)
        else:
            stretches.append([start])
    if len(stretches) > SPANS:
        stretches = [sorted(days)]
    for stretch in stretches:
        joined_days: list[datetime] = []
        rows = 0
        for start in stretch:
            count = max(figures.count for figures in days[start] if figures is not None)
            if joined_days and rows + count > SPAN_ROWS:
                yield _make_span(joined_days, days)
                joined_days, rows = [], 0
            joined_days.append(start)
            rows += count
        yield _make_span(joined_days, days)


def _make_span(
    starts: list[datetime], days: Mapping[datetime, tuple[PeriodFigures | None, PeriodFigures]]
) -> Span:
    return Span(starts, Period(starts[0], days[starts[-1]][1].end))


def _enclose(periods: Mapping[datetime, tuple[PeriodFigures | None, PeriodFigures]]) -> Period:
    return Period(min(periods), max(own.end for _, own in periods.values()))


def _day(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _end(name: PeriodName, start: datetime) -> datetime:
    if name == "day":
        return start + timedelta(days=1)
    return (start.replace(day=1) + timedelta(days=32)).replace(day=1)
