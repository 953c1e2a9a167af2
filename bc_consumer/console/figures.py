"""What the pages, the health checks and the metrics read. Nothing here writes.

Counts are exact; ``core.cached_value`` bounds what they cost. With small tables they are
milliseconds old.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, DurationField, ExpressionWrapper, F, Min, Q
from django.db.models.functions import Coalesce, Now

from bc_consumer.core.cached_value import CachedValue
from bc_consumer.models import BC, BCLine, JournalEntry, PendingBC

WEBHOOK = "webhook"
"""The cause whose delays are worth a figure: a first load's only tell how long its queue was."""
DELAYS = 200
DELAYS_AMONG = 1000
"""Latest journal entries among which up to DELAYS are looked for: the cost has a limit."""

OPEN = Q(failed_at__isnull=True, held_reason="")
OWED = OPEN & Q(generation__gt=F("fetched_generation"))
WATCHING = OPEN & Q(generation__lte=F("fetched_generation"))
HELD = Q(failed_at__isnull=True) & ~Q(held_reason="")
FAILED = Q(failed_at__isnull=False)
"""A pending row is exactly one of these four."""


@dataclass(frozen=True, slots=True)
class CopyFigures:
    """How many rows the copy has."""

    bc_current: int
    bc_archived: int
    bc_forbidden: int
    """No longer readable, and not archived."""
    lines: int
    """Of all orders, archived ones included."""


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """How many orders the copy still owes a look."""

    owed: int
    """To be fetched; without those given up (failed) or held."""
    watching: int
    failed: int
    held: int
    oldest_owed_seconds: float | None
    """How long the owed row that waits longest has been owed; None when nothing is owed.

    Since its first mark, or since it was opened again after it had failed or was held.
    """


@dataclass(frozen=True, slots=True)
class DelayFigures:
    """Seconds from the webhook's arrival to the applied change, of the latest changes."""

    count: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that can be said in numbers alone."""

    copy: CopyFigures
    ledger: LedgerFigures
    delay: DelayFigures


@dataclass(frozen=True, slots=True)
class Told:
    """One journal entry with the order it is about; None where the copy has none."""

    entry: JournalEntry
    bc: BC | None


@dataclass(frozen=True, slots=True)
class OrderStory:
    """All that is known about one order."""

    odoo_id: int
    bc: BC | None
    lines: Sequence[BCLine]
    journal: Sequence[JournalEntry]
    """The latest entries, newest first."""
    pending: PendingBC | None


def read_figures() -> Figures:
    """Return all figures; five statements at most."""
    return Figures(copy_figures(), ledger_figures(), delay_figures())


def _copy_figures() -> CopyFigures:
    # One count a statement, each on one index; all at once would read the whole table.
    total = BC.objects.count()
    archived = BC.objects.filter(archived_at__isnull=False).count()
    forbidden = BC.objects.filter(forbidden_at__isnull=False, archived_at__isnull=True).count()
    return CopyFigures(total - archived - forbidden, archived, forbidden, BCLine.objects.count())


def _ledger_figures() -> LedgerFigures:
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
ledger_figures = CachedValue(_ledger_figures)


def delay_figures() -> DelayFigures:
    """Return the delays of the latest changes that a webhook brought (bounded cost)."""
    latest = JournalEntry.objects.order_by("-id").values_list("delay", "causes")[:DELAYS_AMONG]
    delays = [
        delay for delay, causes in latest if delay is not None and WEBHOOK in causes.split(",")
    ]
    known = sorted(delays[:DELAYS])
    return DelayFigures(len(known), percentile(known, 0.5), percentile(known, 0.95))


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest of these ascending values that ``share`` of them do not exceed."""
    if not ordered:
        return None
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def latest_journal(limit: int) -> list[Told]:
    """Return the newest journal entries with their orders; two statements."""
    entries = list(JournalEntry.objects.order_by("-id")[:limit])
    ids = {entry.odoo_id for entry in entries}
    bcs = {bc.odoo_id: bc for bc in BC.objects.filter(odoo_id__in=ids).defer("notes", "extra")}
    return [Told(entry, bcs.get(entry.odoo_id)) for entry in entries]


def order_story(odoo_id: int, journal_limit: int) -> OrderStory | None:
    """Return what is known about an order, or None when nothing is; four statements."""
    bc = BC.objects.filter(odoo_id=odoo_id).first()
    lines = list(bc.lines.order_by("sequence", "odoo_id")) if bc is not None else []
    journal = list(JournalEntry.objects.filter(odoo_id=odoo_id).order_by("-id")[:journal_limit])
    pending = PendingBC.objects.filter(odoo_id=odoo_id).first()
    if bc is None and pending is None and not journal:
        return None
    return OrderStory(odoo_id, bc, lines, journal, pending)


def check_ledger() -> None:
    """Read from the ledger; raises a database error when that does not work."""
    list(PendingBC.objects.order_by("pk").values_list("pk", flat=True)[:1])
