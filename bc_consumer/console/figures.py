"""The figures that pages, the administration and ``/status.json`` show. Nothing here writes.

Counts are exact; ``core.cached_value`` bounds their cost. With small tables they are milliseconds
old.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, DurationField, ExpressionWrapper, F, Min, Q
from django.db.models.functions import Coalesce, Now

from bc_consumer.core.cached_value import CachedValue
from bc_consumer.models import BC, BCLine, JournalEntry, PendingBC

DELAYS = 200
"""How many of the latest delays count."""

OPEN = Q(failed_at__isnull=True, held_reason="")
OWED = OPEN & Q(generation__gt=F("fetched_generation"))
WATCHING = OPEN & Q(generation__lte=F("fetched_generation"))
HELD = Q(failed_at__isnull=True) & ~Q(held_reason="")
FAILED = Q(failed_at__isnull=False)
"""A pending row is in exactly one of these four states."""


@dataclass(frozen=True, slots=True)
class CopyFigures:
    """Row counts of the copy."""

    bc_current: int
    bc_archived: int
    bc_forbidden: int
    """Orders that our account may no longer read, and that are not archived."""
    lines: int
    """Lines of all orders, archived ones included."""


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """Row counts of the ledger."""

    owed: int
    """Orders still to be fetched, without failed and held ones."""
    watching: int
    failed: int
    held: int
    oldest_owed_seconds: float | None
    """How many seconds the oldest owed row has waited; None when nothing is owed.

    Counted from its first mark, or from when it was reopened after it had failed or was held.
    """


@dataclass(frozen=True, slots=True)
class DelayFigures:
    """How late changes were applied, in seconds, counted as ``refresh/change_delay.py`` says."""

    count: int
    """Changes that have a delay."""
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures: numbers only, no names."""

    copy: CopyFigures
    ledger: LedgerFigures
    delay: DelayFigures


@dataclass(frozen=True, slots=True)
class EntryWithOrder:
    """One journal entry with its order; ``bc`` is None if the copy does not have the order."""

    entry: JournalEntry
    bc: BC | None


@dataclass(frozen=True, slots=True)
class OrderStory:
    """Everything that is known about one order."""

    odoo_id: int
    bc: BC | None
    lines: Sequence[BCLine]
    journal: Sequence[JournalEntry]
    """The latest entries, newest first."""
    pending: PendingBC | None


def read_figures() -> Figures:
    """Return all figures, in five statements at most."""
    return Figures(copy_figures(), ledger_figures(), delay_figures())


def _copy_figures() -> CopyFigures:
    # One count per statement, each on one index: a combined one would read the whole table.
    total = BC.objects.count()
    archived = BC.objects.filter(archived_at__isnull=False).count()
    forbidden = BC.objects.filter(forbidden_at__isnull=False, archived_at__isnull=True).count()
    return CopyFigures(total - archived - forbidden, archived, forbidden, BCLine.objects.count())


def count_ledger() -> LedgerFigures:
    """Return the figures of the ledger as they are now, in one statement."""
    eldest = Min(Coalesce("owed_since", "first_marked_at"), filter=OWED)
    age = ExpressionWrapper(Now() - eldest, DurationField())
    found = PendingBC.objects.aggregate(
        owed=Count("pk", filter=OWED),
        watching=Count("pk", filter=WATCHING),
        failed=Count("pk", filter=FAILED),
        held=Count("pk", filter=HELD),
        age=age,
    )
    oldest: timedelta | None = found.pop("age")
    return LedgerFigures(
        **found, oldest_owed_seconds=None if oldest is None else max(oldest.total_seconds(), 0.0)
    )


copy_figures = CachedValue(_copy_figures)
ledger_figures = CachedValue(count_ledger)


def delay_figures() -> DelayFigures:
    """Return the delays of the latest changes that have one, in one statement on one index."""
    latest = JournalEntry.objects.exclude(delay_from="").order_by("-at")
    delays = latest.values_list("delay", flat=True)[:DELAYS]
    known = sorted(delay for delay in delays if delay is not None)
    return DelayFigures(len(known), percentile(known, 0.5), percentile(known, 0.95))


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the percentile (share 0 to 1) of these ascending values."""
    if not ordered:
        return None
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def latest_journal(limit: int) -> list[EntryWithOrder]:
    """Return the newest journal entries with their orders, in two statements."""
    return _with_orders(list(JournalEntry.objects.order_by("-id")[:limit]))


def journal_of_run(run: int, limit: int) -> list[EntryWithOrder]:
    """Return what a run led to, newest first, in two statements."""
    return _with_orders(list(JournalEntry.objects.filter(run=run).order_by("-id")[:limit]))


def _with_orders(entries: Sequence[JournalEntry]) -> list[EntryWithOrder]:
    ids = {entry.odoo_id for entry in entries}
    bcs = {bc.odoo_id: bc for bc in BC.objects.filter(odoo_id__in=ids).defer("notes", "extra")}
    return [EntryWithOrder(entry, bcs.get(entry.odoo_id)) for entry in entries]


def order_story(odoo_id: int, journal_limit: int) -> OrderStory | None:
    """Return what is known about an order, or None if nothing is; takes four statements."""
    bc = BC.objects.filter(odoo_id=odoo_id).first()
    lines = list(bc.lines.order_by("sequence", "odoo_id")) if bc is not None else []
    journal = list(JournalEntry.objects.filter(odoo_id=odoo_id).order_by("-id")[:journal_limit])
    pending = PendingBC.objects.filter(odoo_id=odoo_id).first()
    if bc is None and pending is None and not journal:
        return None
    return OrderStory(odoo_id, bc, lines, journal, pending)


def check_ledger() -> None:
    """Read from the ledger. Raises a database error if it can't be read."""
    list(PendingBC.objects.order_by("pk").values_list("pk", flat=True)[:1])
