"""Compares one order of the copy with Odoo, field by field; nothing is written.

It reads as a worker does, and compares as ``writer`` does before it writes: so it tells what
reading the order again would change.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import F

from bc_consumer.core import process_state
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import NOTHING, Message
from bc_consumer.models import BC, PendingBC
from bc_consumer.odoo import Missing
from bc_consumer.refresh import odoo_identity
from bc_consumer.refresh.error_policy import explanation, is_about_orders
from bc_consumer.refresh.mapping import MappedOrder, map_order
from bc_consumer.refresh.odoo_connection import odoo
from bc_consumer.refresh.writer import difference_to_copy

SECOND_LOOK_SECONDS = 0.5
"""Before an order that differs is compared again: the change may just have been on its way."""


@dataclass(frozen=True, slots=True)
class OrderComparison:
    """How the copy's order differs from Odoo's."""

    odoo_id: int
    name: str
    """The reference, Odoo's if both have the order; "#7" where nobody knows one."""
    exists_in_copy: bool
    missing: Missing | None
    """Why Odoo did not show the order; None: it did, or it could not be read (``error``)."""
    outcome: str
    """What reading the order again would do: an outcome of the journal, "" for nothing."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """As JournalEntry.changes has them, plain JSON: field → [the copy's value, Odoo's]."""
    archived_reason: str = ""
    """Why the copy has the order as archived; "" if it is not."""
    is_forbidden_in_copy: bool = False
    """Whether the copy knows that Odoo keeps this order from our account."""
    synced_at: datetime | None = None
    """When the read began by which the copy's order was last confirmed."""
    is_pending: bool = False
    """Whether the order is to be fetched anyway."""
    error: Message = NOTHING
    """Why the order could not be compared: Odoo fails to read it, or a value does not fit."""

    @property
    def exists_in_odoo(self) -> bool | Literal["forbidden"] | None:
        """Whether Odoo has the order; None where that is unknown, because of ``error``."""
        if self.error:
            return None
        if self.missing is Missing.FORBIDDEN:
            return "forbidden"
        return self.missing is not Missing.GONE

    @property
    def is_equal(self) -> bool:
        """Whether reading the order again would change nothing."""
        return not (self.outcome or self.error)

    def plain(self) -> dict[str, Any]:
        """Return the comparison as JSON can hold it; its error is the English sentence."""
        return {
            "id": self.odoo_id,
            "name": self.name,
            "exists_in_copy": self.exists_in_copy,
            "exists_in_odoo": self.exists_in_odoo,
            "missing": None if self.missing is None else self.missing.value,
            "outcome": self.outcome,
            "changes": self.changes,
            "archived_reason": self.archived_reason,
            "forbidden_in_copy": self.is_forbidden_in_copy,
            "synced_at": None if self.synced_at is None else self.synced_at.isoformat(),
            "pending": self.is_pending,
            "error": str(self.error),
        }


def compare(odoo_id: int) -> OrderComparison:
    """Compare an order with Odoo by one or two calls, and twice if it differs.

    Raises what the gateway raises when Odoo is away or rejects our access, AnotherDatabase, and
    OdooInterrupted when the process is told to stop.
    """
    odoo_identity.require_same_database_now_and_then(odoo())
    comparison = _compare_once(odoo_id)
    if comparison.outcome:
        process_state.stopping.wait(SECOND_LOOK_SECONDS)
        comparison = _compare_once(odoo_id)
    return comparison


def _compare_once(odoo_id: int) -> OrderComparison:
    found: MappedOrder | Missing
    try:
        fetched = odoo().fetch([odoo_id])
        snapshot = fetched.orders.get(odoo_id)
        found = fetched.missing[odoo_id] if snapshot is None else map_order(snapshot)
    except Exception as error:
        if not is_about_orders(error):
            raise
        odoo().ping()  # raises where not this order is at fault, but Odoo is ill
        return _told(odoo_id, None, error=redacted(explanation(error)))
    return _told(odoo_id, found)


def _told(
    odoo_id: int, found: MappedOrder | Missing | None, *, error: Message = NOTHING
) -> OrderComparison:
    bc = BC.objects.filter(odoo_id=odoo_id).first()
    name = f"#{odoo_id}" if bc is None else str(bc)
    archived_reason = "" if bc is None or bc.archived_at is None else bc.archived_reason
    is_forbidden = bc is not None and bc.forbidden_at is not None
    synced_at = None if bc is None else bc.synced_at
    outcome, changes = "", {}
    if found is not None:
        difference = difference_to_copy(odoo_id, found, bc, database_now())
        outcome = "" if difference.outcome is None else difference.outcome.value
        changes = json.loads(json.dumps(difference.changes, cls=DjangoJSONEncoder))
    if isinstance(found, MappedOrder):
        name = str(found.fields["name"]) or name
    owed = PendingBC.objects.filter(odoo_id=odoo_id, generation__gt=F("fetched_generation"))
    return OrderComparison(
        odoo_id=odoo_id,
        name=name,
        exists_in_copy=bc is not None,
        missing=found if isinstance(found, Missing) else None,
        outcome=outcome,
        changes=changes,
        archived_reason=archived_reason,
        is_forbidden_in_copy=is_forbidden,
        synced_at=synced_at,
        is_pending=owed.exists(),
        error=error,
    )
