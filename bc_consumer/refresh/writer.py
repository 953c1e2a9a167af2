"""Bring the copy to what Odoo showed: BC, lines, journal and ledger in one transaction.

The only code that writes BC and BCLine.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from bc_consumer import ledger
from bc_consumer.core.redaction import redacted
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
from bc_consumer.odoo import Missing
from bc_consumer.refresh import archive_brake, odoo_identity, run_counts
from bc_consumer.refresh.archive_brake import GONE
from bc_consumer.refresh.early_looks import CONFIRMING_LOOKS, early_looks, next_look
from bc_consumer.refresh.mapping import EXTRA, Extra, MappedOrder
from bc_consumer.refresh.same_date import differs_under_same_date, is_proven

Outcome = JournalEntry.Outcome
Record = TypeVar("Record", bound=OdooRecord)
BC_TABLE = BC._meta.db_table
COUNTER_TABLE = VersionCounter._meta.db_table
WEBHOOK = "webhook"
"""The cause of a webhook's mark."""
ARCHIVED_REASONS = {
    Missing.GONE: GONE,
    Missing.OUTSIDE_DOMAIN: "outside the domain",
    Missing.OUTSIDE_COMPANIES: "outside the companies",
}
"""The ``archived_reason`` of an order that Odoo no longer has, or that is not to be copied."""


OUTSIDE = (Missing.OUTSIDE_DOMAIN, Missing.OUTSIDE_COMPANIES)


class LinesElsewhere(Exception):
    """The copy has lines of this batch under orders that are not in it (Odoo moved them).

    ``ids``: those orders. They must be fetched and applied in the same transaction.
    """

    def __init__(self, under: Mapping[int, Collection[int]]) -> None:
        self._under = under
        self.ids = frozenset(odoo_id for others in under.values() for odoo_id in others)
        super().__init__(f"Lines are still under BC {sorted(self.ids)}, which must come along.")

    def waiting_for(self, others: Set[int]) -> set[int]:
        """Return the orders of the batch that have lines under any of these."""
        return {odoo_id for odoo_id, under in self._under.items() if not others.isdisjoint(under)}


@dataclass(frozen=True, slots=True)
class FetchedRow:
    """One claimed row and what Odoo showed of its order."""

    claimed: PendingBC
    found: MappedOrder | Missing


@dataclass(frozen=True, slots=True)
class Result:
    """What one look came to; ``outcome`` None: nothing differed, nothing to tell."""

    odoo_id: int
    outcome: JournalEntry.Outcome | None
    causes: str
    lines_written: int = 0
    lines_deleted: int = 0
    delay: float | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    """As in the journal."""
    version: int | None = None
    """The order's, of this change; None: nothing was applied."""
    unknown: bool = False
    """Neither Odoo nor the copy has it, and the looks are over. Whoever may call the webhook can
    name any ids: they get no entry in the journal, each."""
    same_date: bool = False
    """As in Difference."""


@dataclass(slots=True)
class Difference:
    """What applying one order changes."""

    outcome: JournalEntry.Outcome | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    same_date: bool = False
    """It differs, and no date of it has moved since a read that leaves no doubt."""
    bc: BC | None = None
    """To be written; its lines too."""
    lines: list[BCLine] = field(default_factory=list)
    deleted_lines: list[int] = field(default_factory=list)


def apply(
    token: UUID,
    batch: Sequence[FetchedRow],
    early: bool,
    may_lag: bool = False,
    doubt: archive_brake.DoubtfulArchivings | None = None,
    *,
    ours: bool = False,
) -> list[Result]:
    """Write what was seen, all or nothing, and settle the claims as the last statements.

    ``early``: this Odoo sends webhooks before it commits. ``may_lag``: what was seen may be older
    than what a webhook told of. ``doubt``: archivings that the brake has to decide about. ``ours``:
    this Odoo was asked a moment ago and is the database that was copied. Raises LinesElsewhere
    (bring those orders along), Held (leave those out), CreatedOtherwise (ask Odoo that), LeaseLost
    (drop those rows), or a database error; then nothing is written.
    """
    batch = sorted(batch, key=lambda seen: seen.claimed.odoo_id)
    try:
        return _apply(token, batch, early=early, may_lag=may_lag, doubt=doubt, ours=ours)
    except IntegrityError:
        # Another worker may have written a line that was new to us, under an order of its own,
        # since we looked. Now it is there to be seen.
        return _apply(token, batch, early=early, may_lag=may_lag, doubt=doubt, ours=ours)


def _apply(
    token: UUID,
    batch: Sequence[FetchedRow],
    *,
    early: bool,
    may_lag: bool,
    doubt: archive_brake.DoubtfulArchivings | None,
    ours: bool,
) -> list[Result]:
    with transaction.atomic():
        copy = _Copy.load(batch)
        if not ours:
            odoo_identity.compare_creation(_creations(batch, copy))
        if doubt is not None:
            archive_brake.check(doubt)
        now = database_now()
        differences = [_difference(seen, copy, now) for seen in batch]
        _write(differences, batch)
        looks = [
            _look(seen, difference, copy, early=early, may_lag=may_lag)
            for seen, difference in zip(batch, differences, strict=True)
        ]
        results = _results(batch, differences, looks, copy, early=early, now=now)
        runs = run_counts.runs_of([seen.claimed for seen in batch])
        _count(batch, results, runs)
        # From here on every other apply waits for this commit.
        results = _give_versions(differences, results)
        _journal(batch, results, now, runs)
        ledger.settle(token, looks)
    return results


def _under(
    orders: Sequence[MappedOrder], lines: Mapping[int, BCLine], others: Mapping[int, int]
) -> dict[int, set[int]]:
    """Return for each order under which others its lines are; ``others``: primary key → id."""
    under: dict[int, set[int]] = {}
    for order in orders:
        for line in order.lines:
            held = lines.get(line.odoo_id)
            if held is not None and held.bc_id in others:
                under.setdefault(order.odoo_id, set()).add(others[held.bc_id])
    return under


@dataclass(frozen=True, slots=True)
class _Copy:
    """The copy's present state of a batch, its BC locked."""

    bcs: Mapping[int, BC]
    lines: Mapping[int, BCLine]
    """Line's Odoo id → line: those of the batch's BC and those that its orders now have."""
    lines_of: Mapping[int, Sequence[BCLine]]
    """BC's primary key → its lines."""

    @classmethod
    def load(cls, batch: Sequence[FetchedRow]) -> "_Copy":
        ids = [seen.claimed.odoo_id for seen in batch]
        locked = BC.objects.select_for_update().filter(odoo_id__in=ids).order_by("odoo_id")
        bcs = {bc.odoo_id: bc for bc in locked}
        own = {bc.pk for bc in bcs.values()}
        orders = [seen.found for seen in batch if isinstance(seen.found, MappedOrder)]
        line_ids = [line.odoo_id for order in orders for line in order.lines]
        wanted = Q(bc__in=own) | Q(odoo_id__in=line_ids)
        lines = {line.odoo_id: line for line in BCLine.objects.filter(wanted)}
        if elsewhere := {line.bc_id for line in lines.values()} - own:
            others = dict(BC.objects.filter(pk__in=elsewhere).values_list("pk", "odoo_id"))
            raise LinesElsewhere(_under(orders, lines, others))
        lines_of: dict[int, list[BCLine]] = {}
        for line in lines.values():
            lines_of.setdefault(line.bc_id, []).append(line)
        return cls(bcs, lines, lines_of)


def _creations(batch: Sequence[FetchedRow], copy: _Copy) -> dict[int, tuple[object, object]]:
    """Return when the orders that the copy has were created: as it has it, as Odoo tells it."""
    return {
        odoo_id: (copy.bcs[odoo_id].create_date, seen.found.fields.get("create_date"))
        for seen in batch
        if (odoo_id := seen.claimed.odoo_id) in copy.bcs and isinstance(seen.found, MappedOrder)
    }


def _difference(seen: FetchedRow, copy: _Copy, now: datetime) -> Difference:
    bc = copy.bcs.get(seen.claimed.odoo_id)
    if isinstance(seen.found, MappedOrder):
        return _order_difference(seen.found, bc, copy, now)
    if bc is None:
        return Difference()
    if (reason := ARCHIVED_REASONS.get(seen.found)) is not None:
        return _archive(bc, reason, now)
    if seen.found is Missing.FORBIDDEN and bc.forbidden_at is None:
        bc.forbidden_at = now
        return Difference(outcome=Outcome.FORBIDDEN, bc=bc)
    return Difference()


def _archive(bc: BC, reason: str, now: datetime) -> Difference:
    if bc.archived_at is None:
        bc.archived_at, bc.archived_reason = now, reason
        return Difference(outcome=Outcome.ARCHIVED, bc=bc)
    if bc.archived_reason == reason:
        return Difference()
    changes = {"fields": {"archived_reason": [bc.archived_reason, reason]}}
    bc.archived_reason = reason
    return Difference(outcome=Outcome.CHANGED, bc=bc, changes=changes)


def _order_difference(order: MappedOrder, bc: BC | None, copy: _Copy, now: datetime) -> Difference:
    created = bc is None
    if bc is None:
        bc = BC(odoo_id=order.odoo_id)
    away = bc.is_away
    dates = [row.get("write_date") for row in (order.fields, *(it.fields for it in order.lines))]
    settled = bc.mapping_version == order.mapping_version and is_proven(bc.synced_at, dates, now)
    difference = Difference()
    changed = _assign(bc, order.fields, order.extra)
    fields = _without(changed, order.untold)
    lines = _line_differences(order, bc, copy, difference)
    remade = bool(difference.lines) or bc.mapping_version != order.mapping_version
    if created or changed or lines or away or remade:
        bc.archived_at = bc.forbidden_at = None
        bc.archived_reason, bc.mapping_version = "", order.mapping_version
        difference.bc = bc
    if created:
        difference.outcome = Outcome.CREATED
        difference.changes = {"lines": {"count": len(order.lines)}}
    elif fields or lines or away:
        difference.outcome = Outcome.RESTORED if away else Outcome.CHANGED
        difference.changes = {"fields": fields, "lines": lines}
        difference.same_date = settled and not away and differs_under_same_date(difference.changes)
    return difference


def _line_differences(
    order: MappedOrder, bc: BC, copy: _Copy, difference: Difference
) -> dict[str, dict[str, object]]:
    """Collect the lines to write and to delete; return what the journal says of them."""
    told: dict[str, dict[str, object]] = {}
    for mapped in order.lines:
        line = copy.lines.get(mapped.odoo_id) or BCLine(odoo_id=mapped.odoo_id)
        before = line.extra
        changed = _assign(line, mapped.fields, mapped.extra)
        fields = _without(changed, mapped.untold)
        added = line._state.adding or line.bc_id != bc.pk
        if added or changed or line.extra != before:
            difference.lines.append(line)
        if added or fields:
            told.setdefault("added" if added else "changed", {})[str(line.odoo_id)] = (
                str(line) if added else fields
            )
    kept = {mapped.odoo_id for mapped in order.lines}
    for line in copy.lines_of.get(bc.pk, ()):
        if line.odoo_id not in kept:
            difference.deleted_lines.append(line.odoo_id)
            told.setdefault("deleted", {})[str(line.odoo_id)] = str(line)
    return told


def _assign(record: OdooRecord, values: Mapping[str, object], extra: Extra) -> dict[str, object]:
    """Set what differs; return field → [old, new]; one without a column as «extra.name».

    A field that is newly copied, and empty, or no longer copied, and was, is set and not told.
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


def _without(changed: Mapping[str, object], untold: Set[str]) -> dict[str, object]:
    """Leave out what is kept and no change of the order."""
    return {name: pair for name, pair in changed.items() if name not in untold}


def _columns(model: type[OdooRecord]) -> list[str]:
    apart = {"id", "odoo_id", "version"}
    return [f.attname for f in model._meta.concrete_fields if f.name not in apart]


def _write(differences: Sequence[Difference], batch: Sequence[FetchedRow]) -> None:
    bcs = [difference.bc for difference in differences if difference.bc is not None]
    confirmed_at = min(ledger.claimed_at(seen.claimed) for seen in batch)
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
    # A line that moved is deleted from one order of the batch and written under another.
    BCLine.objects.filter(odoo_id__in=sorted(gone - written)).delete()
    new = [line for line in lines if line._state.adding]
    # Not an upsert: that would take a line away from an order which another worker is writing.
    BCLine.objects.bulk_create(sorted(new, key=lambda line: line.odoo_id))
    _upsert(BCLine, [line for line in lines if not line._state.adding])
    unchanged = [
        seen.claimed.odoo_id
        for seen, difference in zip(batch, differences, strict=True)
        if difference.bc is None and isinstance(seen.found, MappedOrder)
    ]
    BC.objects.filter(odoo_id__in=unchanged).update(synced_at=confirmed_at)


def _upsert(model: type[Record], records: Iterable[Record]) -> None:
    model._default_manager.bulk_create(
        sorted(records, key=lambda record: record.odoo_id),
        update_conflicts=True,
        unique_fields=["odoo_id"],
        update_fields=_columns(model),
    )


def _look(
    seen: FetchedRow, difference: Difference, copy: _Copy, *, early: bool, may_lag: bool
) -> ledger.LookOutcome:
    claimed = seen.claimed
    gone = seen.found is Missing.GONE
    shown = gone if claimed.event == Event.DELETED else difference.outcome is not None
    # Odoo never gives an id again: an order that was there and is gone will not come back. One that
    # never was there may be on its way, whatever an event said: another Odoo may have sent it.
    final = gone and claimed.odoo_id in copy.bcs
    again = None
    looks = _looks_after(claimed, early=early, may_lag=may_lag)
    if looks and not final:
        elapsed = (ledger.claimed_at(claimed) - claimed.last_marked_at).total_seconds()
        already = shown or claimed.shown_at is not None
        again = next_look(looks, elapsed, already)
    late = again is not None and again > max(settings.EARLY_LOOKS[-1], CONFIRMING_LOOKS[-1])
    return ledger.LookOutcome(claimed, shown, again, late=late)


def _looks_after(claimed: PendingBC, *, early: bool, may_lag: bool) -> Sequence[float]:
    if early and claimed.early:
        return early_looks(settings.EARLY_LOOKS, settings.ODOO_LONGEST_TRANSACTION_SECONDS)
    if may_lag and WEBHOOK in claimed.causes.split(","):
        return CONFIRMING_LOOKS
    return ()


def _unconfirmed(seen: FetchedRow, look: ledger.LookOutcome, copy: _Copy, early: bool) -> bool:
    """Whether the looks are over and what the event said never showed."""
    claimed = seen.claimed
    if seen.found in OUTSIDE:
        return False  # whatever happened to it is not to be copied
    if look.next_look is not None or look.shown or claimed.shown_at is not None:
        return False
    told_of = claimed.event == Event.DELETED or (early and claimed.early)
    return told_of or _never_was(seen, copy)


def _is_second_witness(seen: FetchedRow, copy: _Copy, now: datetime) -> bool:
    """Whether «deleted» comes for an order found gone before: the brake counts it no longer."""
    bc = copy.bcs.get(seen.claimed.odoo_id)
    if bc is None or bc.archived_at is None or seen.claimed.event != Event.DELETED:
        return False
    return seen.found is Missing.GONE and abs(now - bc.archived_at) <= archive_brake.PERIOD


def _never_was(seen: FetchedRow, copy: _Copy) -> bool:
    return seen.found is Missing.GONE and seen.claimed.odoo_id not in copy.bcs


def _results(
    batch: Sequence[FetchedRow],
    differences: Sequence[Difference],
    looks: Sequence[ledger.LookOutcome],
    copy: _Copy,
    *,
    early: bool,
    now: datetime,
) -> list[Result]:
    results = []
    for seen, difference, look in zip(batch, differences, looks, strict=True):
        claimed, outcome, delay = seen.claimed, difference.outcome, None
        unknown = False
        if outcome is not None:
            # Below 0: the clock was set back meanwhile.
            delay = max((now - claimed.first_marked_at).total_seconds(), 0.0)
        elif _is_second_witness(seen, copy, now):
            outcome = Outcome.CONFIRMED
        elif _unconfirmed(seen, look, copy, early):
            unknown = _never_was(seen, copy)
            outcome = None if unknown else Outcome.UNCONFIRMED
        results.append(
            Result(
                odoo_id=claimed.odoo_id,
                outcome=outcome,
                causes=claimed.causes,
                lines_written=len(difference.lines),
                lines_deleted=len(difference.deleted_lines),
                delay=delay,
                changes=difference.changes,
                unknown=unknown,
                same_date=difference.same_date,
            )
        )
    return results


def _give_versions(differences: Sequence[Difference], results: Sequence[Result]) -> list[Result]:
    applied = [
        result.odoo_id
        for result, difference in zip(results, differences, strict=True)
        if difference.outcome is not None
    ]
    given = number_versions(applied)
    return [replace(result, version=given.get(result.odoo_id)) for result in results]


def _journal(
    batch: Sequence[FetchedRow], results: Sequence[Result], now: datetime, runs: Mapping[int, int]
) -> None:
    JournalEntry.objects.bulk_create(
        journal_entry(
            seen.claimed,
            result.outcome,
            now,
            result.changes,
            run=runs.get(result.odoo_id),
            delay=result.delay,
            version=result.version,
        )
        for seen, result in zip(batch, results, strict=True)
        if result.outcome is not None
    )


def _count(batch: Sequence[FetchedRow], results: Sequence[Result], runs: Mapping[int, int]) -> None:
    # SyncState before SyncLog, as a run's end takes them.
    if any(result.unknown or result.outcome is Outcome.UNCONFIRMED for result in results):
        SyncState.request_scan()
    _count_for_runs(batch, results, runs)


def _count_for_runs(
    batch: Sequence[FetchedRow], results: Sequence[Result], runs: Mapping[int, int]
) -> None:
    """Add to the figures of the runs whose marks led here."""
    by_run: dict[int, Counter[str]] = {}
    for seen, result in zip(batch, results, strict=True):
        if result.odoo_id not in runs:
            continue
        counts = by_run.setdefault(runs[result.odoo_id], Counter())
        told = result.outcome not in {None, Outcome.CONFIRMED, Outcome.UNCONFIRMED}
        counts["bc_count"] += 1
        counts["applied" if told else "unchanged"] += 1
        counts["archived"] += result.outcome is Outcome.ARCHIVED
        counts["gone"] += result.outcome is Outcome.ARCHIVED and seen.found is Missing.GONE
        counts["line_count"] += result.lines_written if told else 0
        counts["lines_deleted"] += result.lines_deleted
        by_scrub = result.same_date and result.causes == ledger.SCRUB
        unheard = not by_scrub and WEBHOOK not in result.causes.split(",")
        counts["same_date"] += by_scrub
        counts["missed_by_webhooks"] += unheard and _is_told_by_webhooks(result)
    for run, counts in by_run.items():
        if counts["missed_by_webhooks"] and run_counts.is_first_load(run):
            del counts["missed_by_webhooks"]  # there were no webhooks yet
    run_counts.add(by_run)


def _is_told_by_webhooks(result: Result) -> bool:
    """Whether a webhook tells of this: something was written in Odoo, or is gone.

    None does when a partner is renamed, when more is copied than before, or when rights change.
    """
    if result.outcome in {Outcome.CREATED, Outcome.ARCHIVED}:
        return True
    lines = result.changes.get("lines", {})
    written = [result.changes.get("fields", {}), *lines.get("changed", {}).values()]
    return bool(lines.keys() & {"added", "deleted"}) or any("write_date" in it for it in written)


def number_versions(odoo_ids: Collection[int]) -> dict[int, int]:
    """Give each of these orders its next version, ascending by Odoo id; return them by Odoo id.

    Call it in the transaction that changes the orders, and as late as possible: the numbers come
    from one row, whose lock is held until the commit, and every other such transaction waits for
    it. So no reader sees a version while a lower one is still to come. On PostgreSQL this takes
    READ COMMITTED, the default. Raises RuntimeError where the counter's row is missing.

    Locks are taken in one order, so that nobody waits in a circle: BC, what the journal and the run
    count, this row, the ledger's rows. Marking takes neither of the first.
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
            f"highest version of {BC_TABLE} as «last»."
        )
    return int(row[0]) - count


def journal_entry(
    row: PendingBC,
    outcome: JournalEntry.Outcome,
    at: datetime,
    changes: Mapping[str, Any] | None = None,
    *,
    run: int | None = None,
    delay: float | None = None,
    error: str = "",
    version: int | None = None,
) -> JournalEntry:
    """Return an unsaved entry that tells which marks led to this outcome."""
    return JournalEntry(
        odoo_id=row.odoo_id,
        at=at,
        outcome=outcome,
        causes=row.causes,
        event=row.event,
        marks=row.marks,
        first_marked_at=row.first_marked_at,
        last_marked_at=row.last_marked_at,
        delay=delay,
        changes=changes or {},
        error=redacted(error),
        version=version,
        run_id=run,
    )
