"""Does the copy equal Odoo? Field by field, with a reading of Odoo's values of its own.

It shares nothing with bc_consumer/mapping.py, so that an error there shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

Row = Mapping[str, Any]
Columns = Mapping[str, tuple[str, tuple[str, ...]]]

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
# What a sale calls otherwise, and where a column stays empty.
SALE_ORDER = {
    **{name: kind for name, kind in ORDER.items() if name not in {
        "receipt_status", "priority", "date_approve", "date_planned",
    }},
    "partner_ref": (TEXT, ("client_order_ref",)),
    "notes": (TEXT, ("note",)),
}  # fmt: skip
SALE_LINE = {
    **{name: kind for name, kind in LINE.items() if name not in {"qty_received", "date_planned"}},
    "product_qty": (NUMBER, ("product_uom_qty",)),
}
TAXES = ("taxes_id", "tax_id", "tax_ids")
# Fields that go into «extra» by themselves.
EXTRA: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "purchase.order": ((), ()),
    "sale.order": (
        (
            "commitment_date", "validity_date", "delivery_status", "team_id", "partner_invoice_id",
            "partner_shipping_id", "pricelist_id", "warehouse_id",
        ),
        ("qty_delivered", "customer_lead", "is_downpayment"),
    ),
}  # fmt: skip
TOLERANCE = Decimal("1e-6")  # a total is a sum of doubles; exactness has tests of its own


class OdooSide(Protocol):
    """What is needed of the simulator."""

    def order(self, order_id: int) -> Any: ...

    def order_ids(self) -> list[int]: ...


Sql = Callable[..., list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Kind:
    """Which orders are compared, and which fields besides the columns."""

    model: str = "purchase.order"
    extra: tuple[str, ...] = ()
    line_extra: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Columns, Columns]:
        """Those of an order and of a line that Odoo has something for."""
        return (ORDER, LINE) if self.model == "purchase.order" else (SALE_ORDER, SALE_LINE)

    @property
    def extras(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """All that should be in «extra», of an order and of a line."""
        order, line = EXTRA[self.model]
        return (*order, *self.extra), (*line, *self.line_extra)


PURCHASES = Kind()


def differences(
    odoo: OdooSide,
    sql: Sql,
    ids: list[int] | None = None,
    kind: Kind = PURCHASES,
    exactly: list[int] | None = None,
) -> list[str]:
    """Return a line for each difference between Odoo's orders and the copy's current ones.

    ``sql`` runs a query on the copy; ``ids`` narrows the comparison to some orders. ``exactly``:
    the copy must have these and no others.
    """
    expected = set(odoo.order_ids() if ids is None and exactly is None else exactly or ids or ())
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
        told += _order_differences(kind, theirs, found[odoo_id])
    return told


def _order_differences(kind: Kind, theirs: Row, ours: Row) -> list[str]:
    where = f"order {theirs['id']}"
    told = _record_differences(where, kind.columns[0], theirs, ours)
    told += _extra_differences(where, kind.extras[0], theirs, ours)
    locked = theirs["locked"] if "locked" in theirs else theirs["state"] == "done"
    if bool(ours["locked"]) is not bool(locked):
        told.append(f"{where} locked: {locked!r} in Odoo, {ours['locked']!r} here")
    lines = {line["id"]: line for line in theirs["order_line"]}
    if lines.keys() != ours["lines"].keys():
        told.append(f"{where} lines: {sorted(lines)} in Odoo, {sorted(ours['lines'])} here")
    for line_id in sorted(lines.keys() & ours["lines"].keys()):
        line, copied = lines[line_id], ours["lines"][line_id]
        told += _record_differences(f"{where} line {line_id}", kind.columns[1], line, copied)
        told += _extra_differences(f"{where} line {line_id}", kind.extras[1], line, copied)
        taxes = sorted(next(line[name] for name in TAXES if name in line))
        if [tax["id"] for tax in copied["taxes"]] != taxes:
            told.append(f"{where} line {line_id} taxes: {taxes} in Odoo, {copied['taxes']} here")
    return told


def _extra_differences(where: str, names: tuple[str, ...], theirs: Row, ours: Row) -> list[str]:
    extra = ours["extra"]
    told = [f"{where} extra {name}: not to be there" for name in sorted(extra.keys() - set(names))]
    for name in names:
        if name not in extra:
            told.append(f"{where} extra {name}: not in the copy")
        elif not _same_plain(theirs[name], extra[name]):
            told.append(f"{where} extra {name}: {theirs[name]!r} in Odoo, {extra[name]!r} here")
    return told


def _same_plain(theirs: Any, ours: Any) -> bool:
    """Compare a value of Odoo with one in JSON."""
    if theirs is False:
        return ours is None or ours is False
    if isinstance(theirs, list | tuple):
        return bool([one["id"] for one in ours] == sorted(theirs))
    if isinstance(ours, dict):
        return bool(ours["id"] == theirs and ours["name"])
    if isinstance(theirs, float):
        return isinstance(ours, str) and abs(Decimal(repr(theirs)) - Decimal(ours)) <= TOLERANCE
    if isinstance(theirs, str) and isinstance(ours, str):
        return ours in {theirs, theirs.replace(" ", "T") + "Z"}
    return bool(theirs == ours)


def _record_differences(
    where: str, columns: Mapping[str, tuple[str, tuple[str, ...]]], theirs: Row, ours: Row
) -> list[str]:
    told = []
    for column, (kind, names) in columns.items():
        name = next((name for name in names if name in theirs), None)
        value = theirs[name] if name is not None else False
        lacks = name is None and kind == NUMBER and ours[column] is None
        if not lacks and not _same(kind, value, ours[column]):
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


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    """Read JSON columns, where the database's driver has not."""
    for name in ("taxes", "extra"):
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    return row


def copied_orders(sql: Sql) -> dict[int, dict[str, Any]]:
    """Return the copy: BC's Odoo id → its columns, its lines under ``lines`` by Odoo id."""
    columns = ["odoo_id", "id", "archived_at", "locked", "extra", *ORDER]
    orders: dict[int, dict[str, Any]] = {}
    by_key: dict[int, dict[str, Any]] = {}
    for values in sql(f"SELECT {', '.join(columns)} FROM bc_consumer_bc"):
        bc = _decoded(dict(zip(columns, values, strict=True), lines={}))
        orders[bc["odoo_id"]] = by_key[bc["id"]] = bc
    columns = ["odoo_id", "bc_id", "taxes", "extra", *LINE]
    for values in sql(f"SELECT {', '.join(columns)} FROM bc_consumer_bcline"):
        line = _decoded(dict(zip(columns, values, strict=True)))
        # Two queries, two moments: a line of an order that came in between is left out.
        if line["bc_id"] in by_key:
            by_key[line["bc_id"]]["lines"][line["odoo_id"]] = line
    return orders
