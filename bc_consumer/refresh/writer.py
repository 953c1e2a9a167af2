"""Writes what Odoo showed into the copy, in one transaction; no other code writes BC and BCLine.

``apply`` does, in this order:

1. lock the copy's orders, find those that are unchanged (``unchanged_orders``), and load the others
   with their lines (``_Copy``);
2. check that Odoo still is the database that was copied (``odoo_identity``), and that the brake
   does not hold the archivings back (``archive_brake``);
3. compare each order with the copy, and write what differs or is new;
4. plan each order's next look (``early_looks``), and build the results;
5. add to the figures of the runs that asked for these looks (``run_counts``);
6. number the versions, write the journal, and settle the ledger's rows.

Step 6 comes last because from the first version number on every other transaction that applies
waits for the commit. docs/architecture.md has the order of the locks.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from bc_consumer import ledger
from bc_consumer.core import bulk_rows
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.sql_dialect import database_now, dialect, ids_parameter
from bc_consumer.models import (
    BC,
    BCLine,
    Event,
    JournalEntry,
    OdooRecord,
    PendingBC,
    SyncState,
    VersionCounter,
)
from bc_consumer.models.ledger import WEBHOOK, has_cause
from bc_consumer.odoo import EXTRA, Missing
from bc_consumer.operations.webhook_use import has_no_webhooks
from bc_consumer.refresh import archive_brake, odoo_identity, run_counts, unchanged_orders
from bc_consumer.refresh.archive_brake import GONE
from bc_consumer.refresh.change_delay import Delay, OdooClock, measure_delay
from bc_consumer.refresh.early_looks import CONFIRMING_LOOKS, early_looks, next_look
from bc_consumer.refresh.mapping import Extra, MappedLine, MappedOrder
from bc_consumer.refresh.run_counts import CountedRun
from bc_consumer.refresh.same_date_changes import differs_under_same_date, is_date_proven

Outcome = JournalEntry.Outcome
Record = TypeVar("Record", bound=OdooRecord)
BC_TABLE, LINE_TABLE = BC._meta.db_table, BCLine._meta.db_table
COUNTER_TABLE = VersionCounter._meta.db_table
ARCHIVED_REASONS = {
    Missing.GONE: GONE,
    Missing.OUTSIDE_DOMAIN: "outside the domain",
    Missing.OUTSIDE_COMPANIES: "outside the companies",
}
"""The ``archived_reason`` of an order that Odoo no longer has, or that is not to be copied."""


OUTSIDE = (Missing.OUTSIDE_DOMAIN, Missing.OUTSIDE_COMPANIES)


class LinesElsewhere(Exception):
    """The copy has lines of this batch under orders that are not in it: Odoo has moved them.

    ``ids``: those orders. They have to be fetched and applied in the same transaction.
    """

    def __init__(self, holders: Mapping[int, Collection[int]]) -> None:
        self._holders = holders
        self.ids = frozenset(odoo_id for others in holders.values() for odoo_id in others)
        super().__init__(f"Lines are still under BC {sorted(self.ids)}, which must come along.")

    def waiting_for(self, others: Set[int]) -> set[int]:
        """Return the orders of the batch that have lines under any of these."""
        return {
            odoo_id for odoo_id, holders in self._holders.items() if not others.isdisjoint(holders)
        }


@dataclass(frozen=True, slots=True)
class FetchedRow:
    """One claimed row, and what Odoo showed of its order."""

    claimed: PendingBC
    found: MappedOrder | Missing


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one look; ``outcome`` None: nothing differed, and nothing is journalled."""

    odoo_id: int
    outcome: JournalEntry.Outcome | None
    causes: str
    lines_written: int = 0
    lines_deleted: int = 0
    delay: Delay | None = None
    """None: nothing was applied, or nothing announced it."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """As the journal has them."""
    version: int | None = None
    """The version that this change gave the order; None: nothing was applied."""
    unknown: bool = False
    """Neither Odoo nor the copy has this order, and its looks are over. It gets no entry in the
    journal, because whoever may call the webhook can name any ids."""
    same_date: bool = False
    """As in Difference."""


@dataclass(slots=True)
class Difference:
    """What applying one order changes in the copy."""

    outcome: JournalEntry.Outcome | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    same_date: bool = False
    """The order differs although none of its dates has moved since a read that proved them."""
    new: MappedOrder | None = None
    """The order to insert: the copy has neither it nor any of its lines."""
    bc: BC | None = None
    """The order to write, with these lines; None: nothing to write."""
    lines: list[BCLine] = field(default_factory=list)
    deleted_lines: list[int] = field(default_factory=list)

    @property
    def lines_written(self) -> int:
        """The number of lines that are inserted or changed."""
        return len(self.lines if self.new is None else self.new.lines)


def apply(
    token: UUID,
    batch: Sequence[FetchedRow],
    early: bool,
    may_lag: bool = False,
    doubtful: archive_brake.DoubtfulArchivings | None = None,
    *,
    identity_checked: bool = False,
    odoo_clock: OdooClock | None = None,
) -> list[Result]:
    """Write these rows, all or none, and settle their claims in the last statements.

    ``early``: this Odoo sends webhooks before its commit. ``may_lag``: what Odoo showed may be
    older than what a webhook announced. ``doubtful``: archivings that the brake has to decide
    about. ``identity_checked``: this Odoo was asked a moment ago, and is the database that was
    copied. ``odoo_clock``: as the fetch showed it; None: it agrees with the database's.

    Raises LinesElsewhere (bring those orders along), Held (leave those out), CreatedOtherwise (ask
    Odoo which database it is), LeaseLost (drop those rows), or a database error. Then nothing is
    written.
    """
    batch = sorted(batch, key=lambda row: row.claimed.odoo_id)
    try:
        return _apply_in_transaction(
            token,
            batch,
            early=early,
            may_lag=may_lag,
            doubtful=doubtful,
            identity_checked=identity_checked,
            odoo_clock=odoo_clock,
        )
    except IntegrityError:
        # Since we loaded the copy another worker may have inserted a line that was new to us, under
        # another order. Now the line is there to be loaded.
        return _apply_in_transaction(
            token,
            batch,
            early=early,
            may_lag=may_lag,
            doubtful=doubtful,
            identity_checked=identity_checked,
            odoo_clock=odoo_clock,
        )


def _apply_in_transaction(
    token: UUID,
    batch: Sequence[FetchedRow],
    *,
    early: bool,
    may_lag: bool,
    doubtful: archive_brake.DoubtfulArchivings | None,
    identity_checked: bool,
    odoo_clock: OdooClock | None,
) -> list[Result]:
    in_bulk = bulk_rows.is_possible()
    with transaction.atomic():
        copy = _Copy.load(batch)
        if not identity_checked:
            odoo_identity.require_same_creation(_creation_dates(batch, copy))
        if doubtful is not None:
            archive_brake.hold_if_too_many(doubtful)
        now = database_now()
        differences = [_compare(row, copy, now, in_bulk=in_bulk) for row in batch]
        _write(differences, batch)
        looks = [
            _plan_look(row, difference, copy, early=early, may_lag=may_lag)
            for row, difference in zip(batch, differences, strict=True)
        ]
        runs = run_counts.runs_of([row.claimed for row in batch])
        ahead = timedelta(0) if odoo_clock is None else odoo_clock.ahead(now)
        delays = _measure_delays(batch, differences, runs, now, ahead)
        results = _build_results(batch, differences, looks, delays, copy, early=early, now=now)
        _update_counts(batch, results, runs)
        # From here on every other transaction that applies waits for this commit.
        results = _number_results(differences, results)
        _write_journal(batch, results, now, runs)
        ledger.settle(token, looks)
    return results


# --- load the copy ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Copy:
    """The copy's present state of a batch; its BC rows are locked."""

    created: Mapping[int, datetime | None]
    """Odoo id → create_date of each order of the batch that the copy has."""
    unchanged: Set[int]
    """Those that are as Odoo showed them; neither they nor their lines are loaded."""
    bcs: Mapping[int, BC]
    """Odoo id → the other orders."""
    lines: Mapping[int, BCLine]
    """Odoo id → line: those of these orders, and those that Odoo has under its orders."""
    lines_of: Mapping[int, Sequence[BCLine]]
    """Primary key of the BC → its lines."""

    @classmethod
    def load(cls, batch: Sequence[FetchedRow]) -> "_Copy":
        ids = [row.claimed.odoo_id for row in batch]
        created = _lock_orders(ids)
        unchanged = unchanged_orders.find_unchanged(
            [
                row.found
                for row in batch
                if isinstance(row.found, MappedOrder) and row.found.odoo_id in created
            ]
        )
        bcs = {}
        if others := created.keys() - unchanged:
            bcs = {bc.odoo_id: bc for bc in BC.objects.filter(odoo_id__in=sorted(others))}
        left = [row for row in batch if row.claimed.odoo_id not in unchanged]
        return cls(created, unchanged, bcs, *_load_lines(left, bcs))

    def is_wholly_new(self, order: MappedOrder) -> bool:
        """Return whether the copy has neither this order nor any of its lines."""
        if order.odoo_id in self.created:
            return False
        return not self.lines or not any(line.odoo_id in self.lines for line in order.lines)


def _lock_orders(ids: Collection[int]) -> dict[int, datetime | None]:
    """Lock those of these orders that the copy has, ascending; return id → create_date."""
    locked = BC.objects.select_for_update(no_key=True).order_by("odoo_id")
    if connection.vendor != "postgresql":  # SQLite's driver gives dates as texts
        return dict(locked.filter(odoo_id__in=ids).values_list("odoo_id", "create_date"))
    statement = f"""
        SELECT odoo_id, create_date FROM {BC_TABLE}
        WHERE odoo_id {dialect().in_ids} ORDER BY odoo_id FOR NO KEY UPDATE"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [ids_parameter(ids)])
        return dict(cursor.fetchall())


def find_locked_by_others(ids: Collection[int]) -> set[int]:
    """Return those of these orders whose rows other sessions have locked at this moment."""
    orders = BC.objects.filter(odoo_id__in=sorted(ids))
    with transaction.atomic():
        known = set(orders.values_list("odoo_id", flat=True))
        free = orders.select_for_update(no_key=True, skip_locked=True)
        return known - set(free.values_list("odoo_id", flat=True))


def _load_lines(
    batch: Sequence[FetchedRow], bcs: Mapping[int, BC]
) -> tuple[dict[int, BCLine], dict[int, list[BCLine]]]:
    """Return the lines of these orders, by their Odoo id, and by the key of their BC.

    Raises LinesElsewhere where others have some of them.
    """
    own = {bc.pk for bc in bcs.values()}
    orders = [row.found for row in batch if isinstance(row.found, MappedOrder)]
    line_ids = [line.odoo_id for order in orders for line in order.lines]
    lines = {line.odoo_id: line for line in BCLine.objects.filter(bc__in=own)} if own else {}
    if moved := _known_lines(set(line_ids) - lines.keys()):
        lines |= {line.odoo_id: line for line in BCLine.objects.filter(odoo_id__in=moved)}
    if elsewhere := {line.bc_id for line in lines.values()} - own:
        others = dict(BC.objects.filter(pk__in=elsewhere).values_list("pk", "odoo_id"))
        raise LinesElsewhere(_find_holders(orders, lines, others))
    lines_of: dict[int, list[BCLine]] = {}
    for line in lines.values():
        lines_of.setdefault(line.bc_id, []).append(line)
    return lines, lines_of


def _known_lines(line_ids: Collection[int]) -> list[int]:
    """Return those of these lines that the copy has, under whatever order; ascending."""
    if not line_ids:
        return []
    statement = f"""
        SELECT odoo_id FROM {LINE_TABLE} WHERE odoo_id {dialect().in_ids} ORDER BY odoo_id"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [ids_parameter(line_ids)])
        return [odoo_id for (odoo_id,) in cursor.fetchall()]


def _find_holders(
    orders: Sequence[MappedOrder], lines: Mapping[int, BCLine], others: Mapping[int, int]
) -> dict[int, set[int]]:
    """Return order id → other orders under which the copy has lines of it.

    ``others``: primary key → Odoo id, of the orders outside the batch.
    """
    holders: dict[int, set[int]] = {}
    for order in orders:
        for line in order.lines:
            held = lines.get(line.odoo_id)
            if held is not None and held.bc_id in others:
                holders.setdefault(order.odoo_id, set()).add(others[held.bc_id])
    return holders


def _creation_dates(batch: Sequence[FetchedRow], copy: _Copy) -> dict[int, tuple[object, object]]:
    """Return order id → (the copy's create_date, Odoo's), for orders that the copy has."""
    return {
        odoo_id: (copy.created[odoo_id], row.found.fields.get("create_date"))
        for row in batch
        if (odoo_id := row.claimed.odoo_id) in copy.created and isinstance(row.found, MappedOrder)
    }


# --- compare ------------------------------------------------------------------------------------


def _compare(row: FetchedRow, copy: _Copy, now: datetime, *, in_bulk: bool) -> Difference:
    """Return what the copy lacks; ``in_bulk``: new orders are inserted without objects of them."""
    if row.claimed.odoo_id in copy.unchanged:
        return Difference()
    bc = copy.bcs.get(row.claimed.odoo_id)
    if isinstance(row.found, MappedOrder):
        if in_bulk and copy.is_wholly_new(row.found):
            return _create(row.found)
        return _compare_order(row.found, bc, copy, now)
    if bc is None:
        return Difference()
    if (reason := ARCHIVED_REASONS.get(row.found)) is not None:
        return _archive(bc, reason, now)
    if row.found is Missing.FORBIDDEN and bc.forbidden_at is None:
        bc.forbidden_at = now
        return Difference(outcome=Outcome.FORBIDDEN, bc=bc)
    return Difference()


def _create(order: MappedOrder) -> Difference:
    changes = {"lines": {"count": len(order.lines)}}
    return Difference(outcome=Outcome.CREATED, changes=changes, new=order)


def _archive(bc: BC, reason: str, now: datetime) -> Difference:
    if bc.archived_at is None:
        bc.archived_at, bc.archived_reason = now, reason
        return Difference(outcome=Outcome.ARCHIVED, bc=bc)
    if bc.archived_reason == reason:
        return Difference()
    changes = {"fields": {"archived_reason": [bc.archived_reason, reason]}}
    bc.archived_reason = reason
    return Difference(outcome=Outcome.CHANGED, bc=bc, changes=changes)


def _compare_order(order: MappedOrder, bc: BC | None, copy: _Copy, now: datetime) -> Difference:
    created = bc is None
    if bc is None:
        bc = BC(odoo_id=order.odoo_id)
    was_away = bc.is_away
    dates = [
        values.get("write_date")
        for values in (order.fields, *(line.fields for line in order.lines))
    ]
    was_proven = bc.mapping_version == order.mapping_version and is_date_proven(
        bc.synced_at, dates, now
    )
    difference = Difference()
    changed = _assign(bc, order.fields, order.extra)
    fields = _drop_unreported(changed, order.unreported)
    lines = _compare_lines(order, bc, copy, difference)
    must_write = bool(difference.lines) or bc.mapping_version != order.mapping_version
    if created or changed or lines or was_away or must_write:
        bc.archived_at = bc.forbidden_at = None
        bc.archived_reason, bc.mapping_version = "", order.mapping_version
        difference.bc = bc
    if created:
        difference.outcome = Outcome.CREATED
        difference.changes = {"lines": {"count": len(order.lines)}}
    elif fields or lines or was_away:
        difference.outcome = Outcome.RESTORED if was_away else Outcome.CHANGED
        difference.changes = {"fields": fields, "lines": lines}
        difference.same_date = (
            was_proven and not was_away and differs_under_same_date(difference.changes)
        )
    return difference


def _compare_lines(
    order: MappedOrder, bc: BC, copy: _Copy, difference: Difference
) -> dict[str, dict[str, object]]:
    """Collect the lines to write and to delete; return what the journal says about them."""
    journalled: dict[str, dict[str, object]] = {}
    for mapped in order.lines:
        line = copy.lines.get(mapped.odoo_id) or BCLine(odoo_id=mapped.odoo_id)
        before = line.extra
        changed = _assign(line, mapped.fields, mapped.extra)
        fields = _drop_unreported(changed, mapped.unreported)
        added = line._state.adding or line.bc_id != bc.pk
        if added or changed or line.extra != before:
            difference.lines.append(line)
        if added or fields:
            journalled.setdefault("added" if added else "changed", {})[str(line.odoo_id)] = (
                str(line) if added else fields
            )
    kept = {mapped.odoo_id for mapped in order.lines}
    for line in copy.lines_of.get(bc.pk, ()):
        if line.odoo_id not in kept:
            difference.deleted_lines.append(line.odoo_id)
            journalled.setdefault("deleted", {})[str(line.odoo_id)] = str(line)
    return journalled


def difference_to_copy(
    odoo_id: int, found: MappedOrder | Missing, bc: BC | None, now: datetime
) -> Difference:
    """Return what applying this one order would change, and write nothing.

    ``bc``: the copy's order of this id, None if it has none; its fields are overwritten, unsaved.
    """
    own = [] if bc is None else list(bc.lines.all())
    wanted = [line.odoo_id for line in found.lines] if isinstance(found, MappedOrder) else []
    # A line that Odoo has moved here is still under another order in the copy.
    elsewhere = BCLine.objects.filter(odoo_id__in=wanted)
    copy = _Copy(
        created={},
        unchanged=frozenset(),
        bcs={} if bc is None else {odoo_id: bc},
        lines={line.odoo_id: line for line in (*elsewhere, *own)},
        lines_of={} if bc is None else {bc.pk: own},
    )
    row = FetchedRow(PendingBC(odoo_id=odoo_id), found)
    return _compare(row, copy, now, in_bulk=False)


def _assign(record: OdooRecord, values: Mapping[str, object], extra: Extra) -> dict[str, object]:
    """Set the values that differ; return field → [old, new].

    A field without a column is called «extra.name»; one that is newly copied and empty, or that was
    empty and is no longer copied, is set but not returned.
    """
    changed: dict[str, object] = {}
    for name, value in values.items():
        old = getattr(record, name)
        if old != value:
            changed[name] = [old, value]
            setattr(record, name, value)
    old_extra, new_extra = record.extra, extra.over(record.extra)
    if old_extra == new_extra:
        return changed
    record.extra = new_extra
    for name in sorted(old_extra.keys() | new_extra.keys()):
        pair = [old_extra.get(name), new_extra.get(name)]
        if pair[0] != pair[1]:
            changed[f"{EXTRA}{name}"] = pair
    return changed


def _drop_unreported(changed: Mapping[str, object], unreported: Set[str]) -> dict[str, object]:
    """Return the changes that count as changes of the order."""
    return {name: pair for name, pair in changed.items() if name not in unreported}


# --- write --------------------------------------------------------------------------------------


def _write(differences: Sequence[Difference], batch: Sequence[FetchedRow]) -> None:
    confirmed_at = min(ledger.claimed_at(row.claimed) for row in batch)
    new = [difference.new for difference in differences if difference.new is not None]
    _insert_new(new, confirmed_at)
    _write_changed([difference for difference in differences if difference.bc], confirmed_at)
    confirmed = [
        row.claimed.odoo_id
        for row, difference in zip(batch, differences, strict=True)
        if difference.bc is None and difference.new is None and isinstance(row.found, MappedOrder)
    ]
    if confirmed:
        BC.objects.filter(odoo_id__in=confirmed).update(synced_at=confirmed_at)


def _insert_new(orders: Sequence[MappedOrder], synced_at: datetime) -> None:
    """Insert these orders with their lines; the copy has none of either.

    Raises Django's IntegrityError where it has one all the same: another worker was quicker.
    """
    if not orders:
        return
    keys = dict(
        bulk_rows.insert(
            BC, [_order_row(order, synced_at) for order in orders], returning="odoo_id, id"
        )
    )
    lines = [(line, keys[order.odoo_id]) for order in orders for line in order.lines]
    lines.sort(key=lambda pair: pair[0].odoo_id)  # in one order, so that fewer deadlock
    bulk_rows.insert(BCLine, [_line_row(line, key) for line, key in lines])


def _order_row(order: MappedOrder, synced_at: datetime) -> Mapping[str, Any]:
    return {
        **order.fields,
        "odoo_id": order.odoo_id,
        "extra": order.extra.values,
        "mapping_version": order.mapping_version,
        "synced_at": synced_at,
    }


def _line_row(line: MappedLine, key: int) -> Mapping[str, Any]:
    return {**line.fields, "odoo_id": line.odoo_id, "extra": line.extra.values, "bc_id": key}


def _write_changed(differences: Sequence[Difference], confirmed_at: datetime) -> None:
    """Write these orders and their lines, and delete lines."""
    if not differences:
        return
    bcs = [difference.bc for difference in differences if difference.bc is not None]
    for bc in bcs:
        bc.synced_at = confirmed_at
    _upsert(BC, bcs)
    lines = []
    for difference in differences:
        for line in difference.lines:
            line.bc = difference.bc  # type: ignore[assignment]
            lines.append(line)
    written = {line.odoo_id for line in lines}
    gone = {odoo_id for difference in differences for odoo_id in difference.deleted_lines}
    # A line that moved within the batch is in both sets; it is written, not deleted.
    BCLine.objects.filter(odoo_id__in=sorted(gone - written)).delete()
    new = [line for line in lines if line._state.adding]
    # Not an upsert: that would take a line away from an order that another worker is writing.
    BCLine.objects.bulk_create(sorted(new, key=lambda line: line.odoo_id))
    _upsert(BCLine, [line for line in lines if not line._state.adding])


def _upsert(model: type[Record], records: Iterable[Record]) -> None:
    model._default_manager.bulk_create(
        sorted(records, key=lambda record: record.odoo_id),
        update_conflicts=True,
        unique_fields=["odoo_id"],
        update_fields=_upserted_columns(model),
    )


def _upserted_columns(model: type[OdooRecord]) -> list[str]:
    excluded = {"id", "odoo_id", "version"}
    return [f.attname for f in model._meta.concrete_fields if f.name not in excluded]


# --- plan the next look, and work out the results -----------------------------------------------


def _plan_look(
    row: FetchedRow, difference: Difference, copy: _Copy, *, early: bool, may_lag: bool
) -> ledger.LookOutcome:
    claimed = row.claimed
    gone = row.found is Missing.GONE
    shown = gone if claimed.event == Event.DELETED else difference.outcome is not None
    # Odoo never uses an id twice: an order that was there and is gone will not come back. One that
    # never was there may still come, whatever the event says: another Odoo may have sent that.
    final = gone and claimed.odoo_id in copy.created
    again = None
    looks = _list_looks(claimed, early=early, may_lag=may_lag)
    if looks and not final:
        elapsed = (ledger.claimed_at(claimed) - claimed.last_marked_at).total_seconds()
        ever_shown = shown or claimed.shown_at is not None
        again = next_look(looks, elapsed, ever_shown)
    late = again is not None and again > max(settings.EARLY_LOOKS[-1], CONFIRMING_LOOKS[-1])
    return ledger.LookOutcome(claimed, shown, again, late=late)


def _list_looks(claimed: PendingBC, *, early: bool, may_lag: bool) -> Sequence[float]:
    if early and claimed.early:
        return early_looks(settings.EARLY_LOOKS, settings.ODOO_LONGEST_TRANSACTION_SECONDS)
    if may_lag and has_cause(claimed.causes, WEBHOOK):
        return CONFIRMING_LOOKS
    return ()


def _measure_delays(
    batch: Sequence[FetchedRow],
    differences: Sequence[Difference],
    runs: Mapping[int, CountedRun],
    now: datetime,
    odoo_ahead: timedelta,
) -> list[Delay | None]:
    """Return the delay of each look's difference; None where there is none, or it has none."""
    return [
        None
        if difference.outcome is None
        else measure_delay(
            row.claimed,
            row.found,
            difference.outcome,
            difference.changes,
            now=now,
            odoo_ahead=odoo_ahead,
            poll_since=run.poll_since if (run := runs.get(row.claimed.odoo_id)) else None,
        )
        for row, difference in zip(batch, differences, strict=True)
    ]


def _build_results(
    batch: Sequence[FetchedRow],
    differences: Sequence[Difference],
    looks: Sequence[ledger.LookOutcome],
    delays: Sequence[Delay | None],
    copy: _Copy,
    *,
    early: bool,
    now: datetime,
) -> list[Result]:
    results = []
    for row, difference, look, delay in zip(batch, differences, looks, delays, strict=True):
        claimed, outcome = row.claimed, difference.outcome
        unknown = False
        if outcome is None and _is_second_witness(row, copy, now):
            outcome = Outcome.CONFIRMED
        elif outcome is None and _is_unconfirmed(row, look, copy, early):
            unknown = _is_unknown(row, copy)
            outcome = None if unknown else Outcome.UNCONFIRMED
        results.append(
            Result(
                odoo_id=claimed.odoo_id,
                outcome=outcome,
                causes=claimed.causes,
                lines_written=difference.lines_written,
                lines_deleted=len(difference.deleted_lines),
                delay=delay,
                changes=difference.changes,
                unknown=unknown,
                same_date=difference.same_date,
            )
        )
    return results


def _is_second_witness(row: FetchedRow, copy: _Copy, now: datetime) -> bool:
    """Return whether «deleted» comes for an order that a look had already found gone.

    Within the brake's PERIOD that archiving then no longer counts.
    """
    bc = copy.bcs.get(row.claimed.odoo_id)
    if bc is None or bc.archived_at is None or row.claimed.event != Event.DELETED:
        return False
    return row.found is Missing.GONE and abs(now - bc.archived_at) <= archive_brake.PERIOD


def _is_unconfirmed(row: FetchedRow, look: ledger.LookOutcome, copy: _Copy, early: bool) -> bool:
    """Return whether the looks are over and what the event announced never showed."""
    claimed = row.claimed
    if row.found in OUTSIDE:
        return False  # whatever happened to it is not copied
    if look.next_look is not None or look.shown or claimed.shown_at is not None:
        return False
    announced = claimed.event == Event.DELETED or (early and claimed.early)
    return announced or _is_unknown(row, copy)


def _is_unknown(row: FetchedRow, copy: _Copy) -> bool:
    return row.found is Missing.GONE and row.claimed.odoo_id not in copy.created


# --- the figures of the runs --------------------------------------------------------------------


def _update_counts(
    batch: Sequence[FetchedRow], results: Sequence[Result], runs: Mapping[int, CountedRun]
) -> None:
    # SyncState is locked before SyncLog, as the end of a run does (docs/architecture.md).
    if any(result.unknown or result.outcome is Outcome.UNCONFIRMED for result in results):
        SyncState.request_scan()
    _count_for_runs(batch, results, runs)


def _count_for_runs(
    batch: Sequence[FetchedRow], results: Sequence[Result], runs: Mapping[int, CountedRun]
) -> None:
    """Add to the figures of the runs whose marks led to these looks."""
    by_run: dict[int, Counter[str]] = {}
    for row, result in zip(batch, results, strict=True):
        if result.odoo_id not in runs:
            continue
        counts = by_run.setdefault(runs[result.odoo_id].key, Counter())
        applied = result.outcome not in {None, Outcome.CONFIRMED, Outcome.UNCONFIRMED}
        counts["bc_count"] += 1
        counts["applied" if applied else "unchanged"] += 1
        counts["archived"] += result.outcome is Outcome.ARCHIVED
        counts["gone"] += result.outcome is Outcome.ARCHIVED and row.found is Missing.GONE
        counts["line_count"] += result.lines_written if applied else 0
        counts["lines_deleted"] += result.lines_deleted
        by_scrub = result.same_date and result.causes == ledger.SCRUB
        no_webhook = not by_scrub and not has_cause(result.causes, WEBHOOK)
        counts["same_date"] += by_scrub
        counts["missed_by_webhooks"] += no_webhook and _is_announced_by_webhooks(result)
    for run, counts in by_run.items():
        if counts["missed_by_webhooks"] and (run_counts.is_first_load(run) or has_no_webhooks()):
            del counts["missed_by_webhooks"]  # none were set up yet, or none are at all
    run_counts.add(by_run)


def _is_announced_by_webhooks(result: Result) -> bool:
    """Return whether webhooks announce such a change: something was written in Odoo, or is gone.

    They do not announce that a partner was renamed, that more fields are copied than before, or
    that access rights have changed.
    """
    if result.outcome in {Outcome.CREATED, Outcome.ARCHIVED}:
        return True
    lines = result.changes.get("lines", {})
    written = [result.changes.get("fields", {}), *lines.get("changed", {}).values()]
    return bool(lines.keys() & {"added", "deleted"}) or any(
        "write_date" in fields for fields in written
    )


# --- versions and journal -----------------------------------------------------------------------


def _number_results(differences: Sequence[Difference], results: Sequence[Result]) -> list[Result]:
    applied = [
        result.odoo_id
        for result, difference in zip(results, differences, strict=True)
        if difference.outcome is not None
    ]
    versions = number_versions(applied)
    return [replace(result, version=versions.get(result.odoo_id)) for result in results]


def number_versions(odoo_ids: Collection[int]) -> dict[int, int]:
    """Give each of these orders its next version, ascending by Odoo id; return id → version.

    Call it in the transaction that changes the orders, and as late as possible: the numbers come
    from one row, whose lock is held until the commit, and every other such transaction waits for
    it. So no reader sees a version while a lower one is still to come. On PostgreSQL this needs
    READ COMMITTED, the default. Raises RuntimeError where the counter's row is missing.

    Locks are taken in one order, so that no two transactions wait for each other: BC, what the
    journal and the run count, this row, the ledger's rows. Marking takes neither of the first.
    """
    if not odoo_ids:
        return {}
    before = _reserve_versions(len(set(odoo_ids)))
    statement = f"""
        UPDATE {BC_TABLE} SET version = %s + numbered.place
        FROM (SELECT item.id, row_number() OVER (ORDER BY item.id) AS place
            FROM {dialect().ids}) AS numbered
        WHERE {BC_TABLE}.odoo_id = numbered.id
        RETURNING odoo_id, version"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [before, ids_parameter(odoo_ids)])
        return dict(cursor.fetchall())


def _reserve_versions(count: int) -> int:
    """Reserve ``count`` numbers; return the one before the first."""
    statement = f"UPDATE {COUNTER_TABLE} SET last = last + %s WHERE id = %s RETURNING last"
    with connection.cursor() as cursor:
        cursor.execute(statement, [count, VersionCounter.ONLY])
        row = cursor.fetchone()
    if row is None:
        raise RuntimeError(
            f"Table {COUNTER_TABLE} has lost its row {VersionCounter.ONLY}: insert it with the "
            f"highest version of {BC_TABLE} in its column last."
        )
    return int(row[0]) - count


def _write_journal(
    batch: Sequence[FetchedRow],
    results: Sequence[Result],
    now: datetime,
    runs: Mapping[int, CountedRun],
) -> None:
    rows = [
        _journal_row(
            row.claimed,
            result.outcome,
            now,
            result.changes,
            run=run.key if (run := runs.get(result.odoo_id)) else None,
            delay=result.delay,
            version=result.version,
        )
        for row, result in zip(batch, results, strict=True)
        if result.outcome is not None
    ]
    if bulk_rows.is_possible():
        bulk_rows.insert(JournalEntry, rows)
    else:
        JournalEntry.objects.bulk_create(JournalEntry(**row) for row in rows)


def journal_entry(
    row: PendingBC,
    outcome: JournalEntry.Outcome,
    at: datetime,
    *,
    run: int | None = None,
    error: str = "",
) -> JournalEntry:
    """Return an unsaved journal entry: which marks led to this outcome, which changed nothing."""
    return JournalEntry(**_journal_row(row, outcome, at, run=run), error=redacted(error))


def _journal_row(
    row: PendingBC,
    outcome: JournalEntry.Outcome,
    at: datetime,
    changes: Mapping[str, Any] | None = None,
    *,
    run: int | None = None,
    delay: Delay | None = None,
    version: int | None = None,
) -> dict[str, Any]:
    return {
        "odoo_id": row.odoo_id,
        "at": at,
        "outcome": outcome.value,
        "causes": row.causes,
        "event": row.event,
        "marks": row.marks,
        "first_marked_at": row.first_marked_at,
        "last_marked_at": row.last_marked_at,
        "delay": None if delay is None else delay.seconds,
        "delay_from": "" if delay is None else delay.counted_from.value,
        "changes": changes or {},
        "version": version,
        "run_id": run,
    }
