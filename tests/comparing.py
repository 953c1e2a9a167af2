"""Does the copy equal Odoo? Field by field, with a reading of Odoo's values of its own.

It shares nothing with bc_consumer/mapping.py, so that an error there shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

Row = Mapping[str, Any]

TEXT, NUMBER, INTEGER, DATE, ID, FLAG = "text", "number", "integer", "date", "id", "flag"

# Column of the copy → what it is, and its names in Odoo, the one of 17 and 18 first.
ORDER: dict[str, tuple[str, tuple[str, ...]]] = {
    "name": (TEXT, ("name",)),
    "partner_id": (ID, ("partner_id",)),
    "partner_ref": (TEXT, ("partner_ref",)),
    "origin": (TEXT, ("origin",)),
    "state": (TEXT, ("state",)),
    "invoice_status": (TEXT, ("invoice_status",)),
    "receipt_status": (TEXT, ("receipt_status",)),
    "priority": (TEXT, ("priority",)),
    "date_order": (DATE, ("date_order",)),
    "date_approve": (DATE, ("date_approve",)),
    "date_planned": (DATE, ("date_planned",)),
    "effective_date": (DATE, ("effective_date",)),
    "currency_id": (ID, ("currency_id",)),
    "company_id": (ID, ("company_id",)),
    "user_id": (ID, ("user_id",)),
    "payment_term_id": (ID, ("payment_term_id",)),
    "amount_untaxed": (NUMBER, ("amount_untaxed",)),
    "amount_tax": (NUMBER, ("amount_tax",)),
    "amount_total": (NUMBER, ("amount_total",)),
    "notes": (TEXT, ("notes", "note")),
    "create_date": (DATE, ("create_date",)),
    "write_date": (DATE, ("write_date",)),
}
LINE: dict[str, tuple[str, tuple[str, ...]]] = {
    "sequence": (INTEGER, ("sequence",)),
    "product_id": (ID, ("product_id",)),
    "name": (TEXT, ("name",)),
    "display_type": (TEXT, ("display_type",)),
    "product_qty": (NUMBER, ("product_qty",)),
    "qty_received": (NUMBER, ("qty_received",)),
    "qty_invoiced": (NUMBER, ("qty_invoiced",)),
    "product_uom_id": (ID, ("product_uom", "product_uom_id")),
    "price_unit": (NUMBER, ("price_unit",)),
    "discount": (NUMBER, ("discount",)),
    "price_subtotal": (NUMBER, ("price_subtotal",)),
    "price_tax": (NUMBER, ("price_tax",)),
    "price_total": (NUMBER, ("price_total",)),
    "date_planned": (DATE, ("date_planned",)),
    "create_date": (DATE, ("create_date",)),
    "write_date": (DATE, ("write_date",)),
}
TOLERANCE = Decimal("1e-6")  # a total is a sum of doubles; exactness has tests of its own


class OdooSide(Protocol):
    """What is needed of the simulator."""

    def order(self, order_id: int) -> Any: ...

    def order_ids(self) -> list[int]: ...


Sql = Callable[..., list[tuple[Any, ...]]]


def differences(odoo: OdooSide, sql: Sql, ids: list[int] | None = None) -> list[str]:
    """Return a line for each difference between Odoo's orders and the copy's current ones.

    ``sql`` runs a query on the copy; ``ids`` narrows the comparison to some orders.
    """
    expected = set(odoo.order_ids() if ids is None else ids)
    found = copied_orders(sql)
    current = {odoo_id for odoo_id, bc in found.items() if bc["archived_at"] is None}
    if ids is not None:
        current &= expected
    told = [f"order {i} is not in the copy" for i in sorted(expected - current)]
    told += [f"order {i} is in the copy, not in Odoo" for i in sorted(current - expected)]
    for odoo_id in sorted(expected & current):
        theirs = odoo.order(odoo_id)
        if theirs is None:
            told.append(f"order {odoo_id} went away while comparing")
            continue
        told += _order_differences(theirs, found[odoo_id])
    return told


def _order_differences(theirs: Row, ours: Row) -> list[str]:
    where = f"order {theirs['id']}"
    told = _record_differences(where, ORDER, theirs, ours)
    locked = theirs["locked"] if "locked" in theirs else theirs["state"] == "done"
    if bool(ours["locked"]) is not bool(locked):
        told.append(f"{where} locked: {locked!r} in Odoo, {ours['locked']!r} here")
    lines = {line["id"]: line for line in theirs["order_line"]}
    if lines.keys() != ours["lines"].keys():
        told.append(f"{where} lines: {sorted(lines)} in Odoo, {sorted(ours['lines'])} here")
    for line_id in sorted(lines.keys() & ours["lines"].keys()):
        line, copied = lines[line_id], ours["lines"][line_id]
        told += _record_differences(f"{where} line {line_id}", LINE, line, copied)
        taxes = sorted(line["taxes_id"] if "taxes_id" in line else line["tax_ids"])
        if [tax["id"] for tax in copied["taxes"]] != taxes:
            told.append(f"{where} line {line_id} taxes: {taxes} in Odoo, {copied['taxes']} here")
    return told


def _record_differences(
    where: str, columns: Mapping[str, tuple[str, tuple[str, ...]]], theirs: Row, ours: Row
) -> list[str]:
    told = []
    for column, (kind, names) in columns.items():
        name = next((name for name in names if name in theirs), None)
        value = theirs[name] if name is not None else False
        if not _same(kind, value, ours[column]):
            told.append(f"{where} {column}: {value!r} in Odoo, {ours[column]!r} here")
    return told


def _same(kind: str, theirs: Any, ours: Any) -> bool:
    if kind == NUMBER:
        return ours is not None and abs(Decimal(repr(theirs)) - Decimal(str(ours))) <= TOLERANCE
    if theirs is False:
        return ours in (None, "", 0)
    if kind == DATE:
        moment = datetime.fromisoformat(str(theirs)).replace(tzinfo=UTC)
        return ours is not None and _moment(ours) == moment
    if kind == ID:
        return bool((theirs["id"] if isinstance(theirs, dict) else theirs) == ours)
    if kind == TEXT:
        return bool(str(theirs).replace("\r\n", "\n").replace("\r", "\n") == ours)
    return bool(theirs == ours)


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def copied_orders(sql: Sql) -> dict[int, dict[str, Any]]:
    """Return the copy: BC's Odoo id → its columns, its lines under ``lines`` by Odoo id."""
    columns = ["odoo_id", "id", "archived_at", "locked", *ORDER]
    orders: dict[int, dict[str, Any]] = {}
    by_key: dict[int, dict[str, Any]] = {}
    for values in sql(f"SELECT {', '.join(columns)} FROM bc_consumer_bc"):
        bc = dict(zip(columns, values, strict=True), lines={})
        orders[bc["odoo_id"]] = by_key[bc["id"]] = bc
    columns = ["odoo_id", "bc_id", "taxes", *LINE]
    for values in sql(f"SELECT {', '.join(columns)} FROM bc_consumer_bcline"):
        line = dict(zip(columns, values, strict=True))
        if isinstance(line["taxes"], str):
            line["taxes"] = json.loads(line["taxes"])
        # Two queries, two moments: a line of an order that came in between is left out.
        if line["bc_id"] in by_key:
            by_key[line["bc_id"]]["lines"][line["odoo_id"]] = line
    return orders
