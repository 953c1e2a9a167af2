"""The dry run: what differs between Odoo and the copy, field by field, without writing anything.

It finds its suspects as a reconciliation does, fetches them, and compares instead of applying. It
takes no lock: workers may go on, and what is changing while it is compared is compared twice.
"""

import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, QuerySet

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.odoo_ids import IdSet
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import NOTHING, Message, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import BC, BCLine, OdooRecord, PendingBC, SyncLog, SyncState
from bc_consumer.odoo import (
    EXTRA,
    Listed,
    Missing,
    NoRights,
    Odoo,
    OdooAccessError,
    OdooFault,
    OdooInterrupted,
    OdooProtocolError,
    OdooTimeout,
    OdooTorn,
    UnknownField,
)
from bc_consumer.reconciliation import scrub, suspect_orders
from bc_consumer.reconciliation.period_digest import Model, PeriodComparison
from bc_consumer.refresh import archive_brake
from bc_consumer.refresh.error_policy import NotReadable
from bc_consumer.refresh.mapping import Extra, MappedOrder, MappingError, map_order

Phase = SyncLog.Phase

MOTION = timedelta(seconds=10)
"""What was written this short a time before the dry run began, or since, may still be on its
way."""
SECOND_LOOK_SECONDS = 0.5
"""Before an order is compared again that may have been in motion."""
WAITS = 10
"""How many second looks wait: with many orders in the ledger, not each batch is to wait."""
IDS_PAGE = 4096
"""Ids read by one statement."""


class DriftKind(enum.StrEnum):
    """The kind of a difference."""

    FIELD = "field"
    MISSING_HERE = "missing here"
    AWAY_HERE = "archived here"
    """Odoo shows the order; in the copy it is archived, or marked as not readable."""
    GONE_FROM_ODOO = "gone from Odoo"
    OUTSIDE = "not to be copied"
    """Odoo has the order, outside the configured domain or companies."""
    NOT_READABLE = "not readable"
    """Odoo has the order, but this account may no longer read it; the copy does not know that
    yet."""
    LINE_MISSING = "line missing"
    LINE_ONLY_HERE = "line only here"
    NOT_COMPARED = "not compared"
    """Odoo fails to read the order, or a value cannot be copied; ``theirs`` is the error."""


PENDING, FAILED, HELD = "pending", "failed", "held"
"""What the ledger has for an order. What has failed, or is held, waits for a person."""
ARCHIVED = (DriftKind.GONE_FROM_ODOO, DriftKind.OUTSIDE)


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference; ``theirs`` is Odoo's value as the copy would hold it, ``ours`` the copy's."""

    order_id: int
    name: str
    kind: DriftKind
    line_id: int | None = None
    field: str = ""
    theirs: object = None
    ours: object = None
    standing: str = ""
    """What the ledger has for this order: ``PENDING``, ``FAILED``, ``HELD``, or nothing."""

    @property
    def pending(self) -> bool:
        """Whether the ledger owes this order a look, so that the difference will be put right."""
        return self.standing == PENDING


class DryRun:
    """One dry run. Iterate over ``drifts()``; meanwhile read ``phase``, ``compared`` and ``notes``.

    ``since``: the beginning of the window, by hand; None: as a run would take it. ``until``: its
    end, which needs ``since``; then the orders are compared that were last written in between, in
    Odoo or as the copy has it, and nothing else is looked at. ``full``: compare every order.
    ``only``: compare these orders and nothing else. ``tell``: is called with this object before
    each phase, page and batch.
    """

    def __init__(
        self,
        odoo: Odoo,
        *,
        full: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        only: Collection[int] = (),
        tell: Callable[["DryRun"], None] | None = None,
    ) -> None:
        self.odoo = odoo
        self.only = only
        self.since = since
        self.until = until if since is not None else None
        last_sync = SyncState.objects.values_list("last_sync", flat=True).first()
        if since is None and last_sync is not None:
            self.since = last_sync - timedelta(seconds=settings.SYNC_OVERLAP_SECONDS)
        self.full = not only and (full or self.since is None)
        self.phase = ""
        self.compared = 0
        self.found = 0
        self.gone = 0
        """How many orders the brake would have to decide about in a run."""
        self.unreadable = 0
        """How many orders a run would give up."""
        self.notes: list[Message] = []
        self._show_progress = tell
        self._yielded = IdSet()
        self._until = self._began = database_now()
        self._proof = timedelta(0)
        self._waits_left = WAITS

    def drifts(self) -> Iterator[Drift]:
        """Yield the differences, order by order. Raises what the gateway raises."""
        our_time, self._until = database_now(), self.odoo.server_time()
        longest = timedelta(seconds=settings.ODOO_LONGEST_TRANSACTION_SECONDS)
        self._proof = suspect_orders.proof_by_our_clock(longest, our_time, self._until)
        for batch in self._batches():
            drifts = self._compare(batch)
            gone = {drift.order_id for drift in drifts if drift.kind in ARCHIVED}
            self.gone += len(archive_brake.unannounced(gone)) if gone else 0
            self.unreadable += sum(drift.kind is DriftKind.NOT_COMPARED for drift in drifts)
            for drift in drifts:
                self.found += 1
                yield drift
            self.compared += len(batch)
            self._stop_if_asked()

    def find_reason_to_stop(self) -> Message:
        """Return why the brake would stop a run, or hold orders; "" where it would not."""
        if not self.gone:
            return NOTHING
        return archive_brake.find_reason_to_stop(lambda: self.gone, self.odoo.listing.any_order)

    def _stop_if_asked(self) -> None:
        if process_state.stopping.is_set():
            raise OdooInterrupted(_("the process is stopping"))
        if self._show_progress is not None:
            self._show_progress(self)

    # --- suspects ------------------------------------------------------------------------------

    def _batches(self) -> Iterator[list[int]]:
        """Yield each suspect once, in batches that one fetch can take."""
        batch: list[int] = []
        for odoo_id in self._suspects():
            if not self._yielded.add(odoo_id):
                continue
            batch.append(odoo_id)
            if len(batch) >= settings.BATCH_SIZE:
                yield batch
                batch = []
        if batch:
            yield batch

    def _suspects(self) -> Iterator[int]:
        phases: dict[str, Callable[[], Iterator[int]]] = {
            Phase.ORDERS: self._window_orders,
            Phase.LINES: self._window_lines,
            Phase.DIGEST_OF_ORDERS: lambda: self._digest_suspects("order"),
            Phase.DIGEST_OF_LINES: lambda: self._digest_suspects("line"),
            Phase.MAPPING: self._older_mapping,
            **{f"{Phase.NAMES_OF}{m}": self._renamed_orders(m) for m in self._naming_models()},
            Phase.OWED: self._owed_orders,
            Phase.SCRUB: self._share_of_the_scrub,
        }
        if self.only:
            phases = {Phase.ORDERS: lambda: iter(sorted(self.only))}
        elif self.full:
            phases = {Phase.ORDERS: self._every_order}
        elif self.until is not None:
            phases = {Phase.ORDERS: self._orders_of_period, Phase.LINES: self._lines_of_period}
        for self.phase, suspects in phases.items():
            self._stop_if_asked()
            yield from suspects()

    def _every_order(self) -> Iterator[int]:
        after_id, limit, is_last = 0, settings.SYNC_PAGE_SIZE, False
        while not is_last:
            listed = self.odoo.listing.orders(since=None, after_id=after_id, limit=limit)
            is_last = len(listed) < limit
            theirs = {row.id for row in listed}
            own = BC.objects.current().filter(odoo_id__gt=after_id)
            if not is_last:
                after_id = listed[-1].id
                own = own.filter(odoo_id__lte=after_id)
            yield from sorted(theirs)
            yield from (i for i in _read_ids(own) if i not in theirs)

    def _orders_of_period(self) -> Iterator[int]:
        """Yield the orders that Odoo, or the copy, has as last written in the period."""
        yield from self._listed_in_period(self.odoo.listing.orders, lambda row: row.id)
        yield from _read_ids(BC.objects.current().filter(write_date__range=self._period))

    def _lines_of_period(self) -> Iterator[int]:
        """Yield the orders of lines that were last written in the period."""
        yield from self._listed_in_period(self.odoo.listing.lines, lambda row: row.order_id)
        lines = BCLine.objects.filter(write_date__range=self._period)
        yield from _read_ids(BC.objects.current().filter(pk__in=lines.values("bc_id")))

    def _listed_in_period(
        self, pages: Callable[..., list[Listed]], order_of: Callable[[Listed], int | None]
    ) -> Iterator[int]:
        first, last = self._period
        after_id, limit, is_last = 0, settings.SYNC_PAGE_SIZE, False
        while not is_last:
            self._stop_if_asked()
            listed = pages(since=first, until=last, after_id=after_id, limit=limit)
            is_last = len(listed) < limit
            after_id = listed[-1].id if listed else after_id
            for row in listed:
                if (order := order_of(row)) is not None:
                    yield order

    @property
    def _period(self) -> tuple[datetime, datetime]:
        return (self.since or self._began, self.until or self._began)

    def _window_orders(self) -> Iterator[int]:
        return self._pages(
            lambda after: suspect_orders.compare_orders_page(
                self.odoo, self.since, after, self._proof
            )
        )

    def _window_lines(self) -> Iterator[int]:
        since = self.since or self._until
        return self._pages(
            lambda after: suspect_orders.compare_lines_page(self.odoo, since, after, self._proof)
        )

    def _naming_models(self) -> tuple[str, ...]:
        return () if self.only or self.full else suspect_orders.naming_models(self.odoo)

    def _renamed_orders(self, model: str) -> Callable[[], Iterator[int]]:
        def renamed() -> Iterator[int]:
            since = self.since or self._until
            try:
                yield from self._pages(
                    lambda after: suspect_orders.find_renamed_page(self.odoo, model, since, after)
                )
            except (NoRights, OdooAccessError, UnknownField):
                note = _(
                    "names of %(model)s are not compared: the account can't read when they changed",
                    model=model,
                )
                self.notes.append(note)

        return renamed

    def _pages(self, page_after: Callable[[int], suspect_orders.Page]) -> Iterator[int]:
        page = suspect_orders.Page(is_last=False)
        while not page.is_last:
            self._stop_if_asked()
            page = page_after(page.last_id)
            yield from sorted(page.suspects)

    def _digest_suspects(self, model: Model) -> Iterator[int]:
        reach = settings.SYNC_OVERLAP_SECONDS + settings.ODOO_LONGEST_TRANSACTION_SECONDS
        settled_before = self._until - timedelta(seconds=reach)
        comparison = PeriodComparison(self.odoo, model, settled_before, remember=False)
        for page in comparison.pages():
            self._stop_if_asked()
            yield from sorted(page.orders)
        if comparison.note:
            self.notes.append(comparison.note)

    def _older_mapping(self) -> Iterator[int]:
        ids = suspect_orders.older_mapping(self.odoo, 0, settings.SYNC_PAGE_SIZE)
        while ids:
            yield from ids
            ids = suspect_orders.older_mapping(self.odoo, ids[-1], settings.SYNC_PAGE_SIZE)

    def _owed_orders(self) -> Iterator[int]:
        return iter(_read_ids(PendingBC.objects.filter(generation__gt=F("fetched_generation"))))

    def _share_of_the_scrub(self) -> Iterator[int]:
        """Return the orders that a run's scrub would read, once it has read the other suspects."""
        run = SyncLog(started_at=self._began, cause=SyncLog.Cause.COMMAND)
        return iter(scrub.share_of(run, self._yielded))

    # --- comparing -----------------------------------------------------------------------------

    def _compare(self, ids: Sequence[int]) -> list[Drift]:
        standings = _read_standings(ids)
        found = self._fetch(ids)
        drifts = compare(found, standings)
        again = {drift.order_id for drift in drifts if self._may_be_in_motion(drift, found)}
        if not again:
            return drifts
        if self._waits_left > 0:
            self._waits_left -= 1
            process_state.stopping.wait(SECOND_LOOK_SECONDS)
        still = [drift for drift in drifts if drift.order_id not in again]
        still += compare(self._fetch(sorted(again)), _read_standings(again))
        return sorted(still, key=lambda drift: drift.order_id)

    def _may_be_in_motion(self, drift: Drift, found: "Mapping[int, Found]") -> bool:
        """Return whether the difference may only mean that a change is on its way."""
        order = found[drift.order_id]
        if drift.pending or not isinstance(order, MappedOrder):
            return True
        dates = [order.fields["write_date"], *(line.fields["write_date"] for line in order.lines)]
        return any(isinstance(date, datetime) and date >= self._until - MOTION for date in dates)

    def _fetch(self, ids: Sequence[int]) -> "dict[int, Found]":
        """Fetch and map; split on a fault, so that an order that cannot be read stands alone."""
        try:
            fetched = self.odoo.fetch(ids)
        except (OdooFault, OdooProtocolError, OdooTimeout, OdooTorn) as error:
            self.odoo.ping()  # raises where not these orders are at fault, but Odoo is ill
            if len(ids) == 1:
                return {ids[0]: message_of(error)}
            middle = len(ids) // 2
            return self._fetch(ids[:middle]) | self._fetch(ids[middle:])
        found: dict[int, Found] = dict(fetched.missing)
        for odoo_id, snapshot in fetched.orders.items():
            try:
                found[odoo_id] = map_order(snapshot)
            except MappingError as error:
                found[odoo_id] = message_of(error)
        return found


Found = MappedOrder | Missing | str
"""What Odoo showed of an order; a text says why it could not be read."""


def compare(found: Mapping[int, Found], standings: Mapping[int, str]) -> list[Drift]:
    """Compare what Odoo showed with the copy, in three statements however many orders."""
    bcs = {bc.odoo_id: bc for bc in BC.objects.filter(odoo_id__in=sorted(found))}
    lines: dict[int, dict[int, BCLine]] = {}
    for line in BCLine.objects.filter(bc__in=[bc.pk for bc in bcs.values()]):
        lines.setdefault(line.bc_id, {})[line.odoo_id] = line
    drifts: list[Drift] = []
    for odoo_id in sorted(found):
        bc = bcs.get(odoo_id)
        own_lines = lines.get(bc.pk, {}) if bc is not None else {}
        standing = standings.get(odoo_id, "")
        drifts += _order_drifts(odoo_id, found[odoo_id], bc, own_lines, standing=standing)
    return drifts


def _order_drifts(
    odoo_id: int, found: Found, bc: BC | None, lines: Mapping[int, BCLine], *, standing: str
) -> Iterable[Drift]:
    name = str(bc) if bc is not None else f"#{odoo_id}"
    if isinstance(found, MappedOrder):
        name = str(found.fields["name"]) or name
        yield from _content_drifts(name, found, bc, lines, standing=standing)
    elif isinstance(found, str):
        yield Drift(odoo_id, name, DriftKind.NOT_COMPARED, theirs=found, standing=standing)
    elif bc is None:
        if standing and found is Missing.FORBIDDEN and not settings.ODOO_COMPANY_IDS:
            text = message_of(NotReadable())
            yield Drift(odoo_id, name, DriftKind.NOT_COMPARED, theirs=text, standing=standing)
    elif found.means_archived and bc.archived_at is None:
        kind = DriftKind.GONE_FROM_ODOO if found is Missing.GONE else DriftKind.OUTSIDE
        yield Drift(odoo_id, name, kind, theirs=found.value, ours=name, standing=standing)
    elif found is Missing.FORBIDDEN and bc.forbidden_at is None:
        yield Drift(odoo_id, name, DriftKind.NOT_READABLE, ours=name, standing=standing)


def _content_drifts(
    name: str, order: MappedOrder, bc: BC | None, lines: Mapping[int, BCLine], *, standing: str
) -> Iterator[Drift]:
    odoo_id = order.odoo_id
    if bc is None:
        yield Drift(odoo_id, name, DriftKind.MISSING_HERE, theirs=name, standing=standing)
        return
    if bc.is_away:
        yield Drift(odoo_id, name, DriftKind.AWAY_HERE, theirs=name, standing=standing)
    for field, theirs, ours in _unequal_fields(bc, order.fields, order.extra):
        yield Drift(odoo_id, name, DriftKind.FIELD, None, field, theirs, ours, standing)
    kept = set()
    for line in order.lines:
        kept.add(line.odoo_id)
        own = lines.get(line.odoo_id)
        if own is None:
            shown = str(line.fields["name"]).partition("\n")[0]
            yield Drift(
                odoo_id, name, DriftKind.LINE_MISSING, line.odoo_id, "", shown, None, standing
            )
            continue
        for field, theirs, ours in _unequal_fields(own, line.fields, line.extra):
            yield Drift(odoo_id, name, DriftKind.FIELD, line.odoo_id, field, theirs, ours, standing)
    for line_id in sorted(lines.keys() - kept):
        ours = str(lines[line_id])
        yield Drift(odoo_id, name, DriftKind.LINE_ONLY_HERE, line_id, "", None, ours, standing)


def _unequal_fields(
    record: OdooRecord, values: Mapping[str, object], extra: Extra
) -> Iterator[tuple[str, object, object]]:
    for field, theirs in values.items():
        ours = getattr(record, field)
        if ours != theirs:
            yield field, theirs, ours
    wanted = extra.over(record.extra)
    for field in sorted(wanted.keys() | record.extra.keys()):
        if wanted.get(field) != record.extra.get(field):
            yield f"{EXTRA}{field}", wanted.get(field), record.extra.get(field)


def _read_standings(ids: Collection[int]) -> dict[int, str]:
    rows = PendingBC.objects.filter(odoo_id__in=sorted(ids))
    standings = dict.fromkeys(_ids(rows.filter(ledger.owed())), PENDING)
    standings |= dict.fromkeys(_ids(rows.exclude(held_reason="")), HELD)
    return standings | dict.fromkeys(_ids(rows.filter(failed_at__isnull=False)), FAILED)


def _ids(rows: QuerySet[PendingBC]) -> Iterable[int]:
    return rows.values_list("odoo_id", flat=True)


def _read_ids(rows: "QuerySet[BC] | QuerySet[PendingBC]") -> Iterator[int]:
    """Yield ids by pages: an open cursor would keep old rows of the table while Odoo is asked."""
    last = 0
    while page := list(
        rows.filter(odoo_id__gt=last)
        .order_by("odoo_id")
        .values_list("odoo_id", flat=True)[:IDS_PAGE]
    ):
        yield from page
        last = page[-1]
