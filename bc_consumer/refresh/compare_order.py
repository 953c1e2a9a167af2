"""Compares one order with Odoo now, for an operator; nothing is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bc_consumer.models import BC
from bc_consumer.odoo import Missing
from bc_consumer.refresh.mapping import MappedOrder, map_order
from bc_consumer.refresh.odoo_connection import odoo
from bc_consumer.refresh.writer import compare_with_copy

Presence = Literal["present", "absent", "forbidden"]


@dataclass(frozen=True, slots=True)
class OrderComparison:
    """One order in Odoo beside the copy's."""

    odoo_id: int
    name: str
    in_copy: bool
    """The copy has it, archived or not."""
    in_odoo: Presence
    """``absent``: it is gone, or not to be copied (ODOO_DOMAIN, ODOO_COMPANY_IDS)."""
    changes: Mapping[str, Any]
    """What reading the order now would change, as JournalEntry.changes; empty: nothing."""


def compare(odoo_id: int) -> OrderComparison:
    """Read the order from Odoo and compare it with the copy.

    Raises what the gateway raises, and MappingError where a value doesn't fit the copy.
    """
    fetched = odoo().fetch([odoo_id])
    found: MappedOrder | Missing
    if odoo_id in fetched.orders:
        found = map_order(fetched.orders[odoo_id])
    else:
        found = fetched.missing[odoo_id]
    bc = BC.objects.filter(odoo_id=odoo_id).first()
    name = str(found.fields["name"]) if isinstance(found, MappedOrder) else str(bc or "")
    return OrderComparison(
        odoo_id=odoo_id,
        name=name or f"#{odoo_id}",
        in_copy=bc is not None,
        in_odoo=_presence(found),
        changes=compare_with_copy(odoo_id, found).changes,
    )


def _presence(found: MappedOrder | Missing) -> Presence:
    if isinstance(found, MappedOrder):
        return "present"
    return "forbidden" if found is Missing.FORBIDDEN else "absent"
