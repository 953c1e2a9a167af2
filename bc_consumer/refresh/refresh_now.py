"""Brings single orders up to date at once, for an operator, and reports the outcome of each."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import F, Q

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import NOTHING, Message, joined
from bc_consumer.core.translatable import gettext as _
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import BC, JournalEntry, Lane, PendingBC
from bc_consumer.odoo import OdooInterrupted
from bc_consumer.refresh.batch import work_off
from bc_consumer.refresh.known_good_orders import probe_odoo

TURN_SECONDS = 5.0
"""How long one call of ``work_off`` may take before finished orders are reported."""
POLL_SECONDS = 0.1
"""Between two looks at the ledger, while other workers may hold these orders."""
PROBE_SECONDS = 5.0
"""Between two calls of our own to Odoo, while the workers leave it alone."""
UNCHANGED = "unchanged"
Outcome = JournalEntry.Outcome


@dataclass(frozen=True, slots=True)
class OrderOutcome:
    """The outcome of one order; ``outcome`` is the journal's, or «unchanged»."""

    odoo_id: int
    name: str
    outcome: str
    error: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


def refresh_now(
    odoo_ids: Collection[int],
    *,
    forced: bool = False,
    check: Callable[[], None] | None = None,
) -> Iterator[OrderOutcome]:
    """Mark these orders in the operator's lane, work them off, and yield each when it is done.

    ``forced``: the brake on archivings does not hold them back. ``check`` is called again and again
    while some are waited for, and may raise to end that; the orders stay marked.

    On the way the ledger's other due rows are worked off too, and another worker may take these
    orders; either way they are waited for. Raises what the gateway raises when Odoo is away or
    rejects our login, and OdooInterrupted when the process is told to stop: the orders that are not
    done stay marked.
    """
    began = database_now()
    cause = ledger.FORCE if forced else "operator"
    ledger.release_held(forced=forced, odoo_ids=odoo_ids)
    ledger.mark(odoo_ids, ledger.Mark(cause=cause, lane=Lane.OPERATOR))
    rows = PendingBC.objects.filter(odoo_id__in=sorted(odoo_ids))
    generations = dict(rows.values_list("odoo_id", "generation"))
    left = sorted(set(odoo_ids))
    probe_after = 0.0
    while left:
        if process_state.stopping.is_set():
            raise OdooInterrupted(
                _("the process is stopping; still marked: BC %(ids)s", ids=f"{left}")
            )
        if check is not None:
            check()
        work_off(TURN_SECONDS)
        waiting = _still_waiting(left, generations)
        for odoo_id in left:
            if odoo_id not in waiting:
                yield _read_outcome(odoo_id, began)
        left = sorted(waiting)
        if left:
            if time.monotonic() >= probe_after and circuit_breaker.current_outage() is not None:
                probe_after = time.monotonic() + PROBE_SECONDS
                probe_odoo(left[0])
            process_state.stopping.wait(POLL_SECONDS)


def summary(outcomes: Counter[str]) -> Message:
    """Return one sentence about some outcomes; what failed or is held does not count as read."""
    failed, held = outcomes[Outcome.FAILED.value], outcomes[Outcome.HELD.value]
    return joined(
        " ",
        _(
            "Read from Odoo: %(count)s, of which unchanged: %(same)s.",
            count=outcomes.total() - failed - held,
            same=outcomes[UNCHANGED],
        ),
        _("Failed: %(count)s.", count=failed) if failed else NOTHING,
        _("Still on hold: %(count)s.", count=held) if held else NOTHING,
    )


def all_failed(outcomes: Counter[str]) -> bool:
    """Return whether there are orders, and each of them failed."""
    return outcomes.total() > 0 and outcomes[Outcome.FAILED.value] == outcomes.total()


def _still_waiting(odoo_ids: Collection[int], generations: Mapping[int, int]) -> set[int]:
    """Return the orders whose mark (generation) nobody has fetched, given up or held yet."""
    rows = PendingBC.objects.filter(
        Q(fetched_generation__lt=F("generation")),
        odoo_id__in=odoo_ids,
        failed_at__isnull=True,
        held_reason="",
    ).exclude(ledger.in_vain())
    waiting = rows.values_list("odoo_id", "fetched_generation")
    return {odoo_id for odoo_id, generation in waiting if generation < generations.get(odoo_id, 0)}


def _read_outcome(odoo_id: int, began: datetime) -> OrderOutcome:
    name = BC.objects.filter(odoo_id=odoo_id).values_list("name", flat=True).first()
    shown = name or f"#{odoo_id}"
    row = PendingBC.objects.filter(odoo_id=odoo_id).first()
    if row is not None and (
        row.failed_at is not None or row.error_class == ledger.WAITS_FOR_ANOTHER_ORDER
    ):
        return OrderOutcome(odoo_id, shown, Outcome.FAILED.value, row.last_error)
    if row is not None and row.held_reason:
        return OrderOutcome(odoo_id, shown, Outcome.HELD.value, row.held_reason)
    entries = JournalEntry.objects.filter(odoo_id=odoo_id, at__gte=began)
    entry = entries.exclude(outcome=Outcome.HELD).order_by("id").last()
    if entry is None:
        return OrderOutcome(odoo_id, shown, Outcome.UNCONFIRMED if name is None else UNCHANGED)
    return OrderOutcome(odoo_id, shown, entry.outcome, entry.error, entry.changes)
