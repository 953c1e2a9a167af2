"""Orders that a bench brings into a real Odoo, and removes afterwards.

All of them carry the same mark in ``origin``, by which the copy is limited to them. The vendor and
the products are made for them and removed with them.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.odoo_calls import LINE, ORDER, CallFailed, OdooCalls, field_names

CREATED_AT_ONCE = 100
REMOVED_AT_ONCE = 100
PRODUCTS = 5


@dataclass(slots=True)
class OwnOrders:
    """What was made, by its mark."""

    mark: str
    ids: list[int] = field(default_factory=list)
    vendor: int = 0
    products: list[int] = field(default_factory=list)

    @property
    def domain(self) -> list[list[str]]:
        """The domain that finds them."""
        return [["origin", "=", self.mark]]


@contextlib.contextmanager
def own_orders(odoo: OdooCalls, count: int, lines: int) -> Iterator[OwnOrders]:
    """Make orders; remove whatever was made, even if making them was interrupted.

    Raises SystemExit, which names the rights that it takes, where Odoo refuses to make them.
    """
    made = OwnOrders(f"bench-{secrets.token_hex(4)}")
    try:
        _make_or_explain(odoo, made, count, lines)
        yield made
    finally:
        with contextlib.suppress(CallFailed):
            _remove(odoo, made)


def _make_or_explain(odoo: OdooCalls, made: OwnOrders, count: int, lines: int) -> None:
    try:
        _make(odoo, made, count, lines)
    except CallFailed as error:
        raise SystemExit(
            f"This Odoo does not let the bench make its orders: {error}. The account of ODOO_LOGIN "
            "needs the rights to create and delete purchase orders, products and contacts; "
            "for burst and freshness also Settings (bench/README.md)."
        ) from None


def _make(odoo: OdooCalls, made: OwnOrders, count: int, lines: int) -> None:
    vendor = {"name": f"Vendor {made.mark}", "is_company": True}
    [made.vendor] = _as_ids(odoo.call("res.partner", "create", vals_list=[vendor]))
    for number in range(PRODUCTS):
        product = {"name": f"Product {number} {made.mark}"}
        made.products += _as_ids(odoo.call("product.product", "create", vals_list=[product]))
    names = field_names(odoo, LINE)
    [record] = odoo.call("product.product", "read", made.products[:1], fields=["uom_id"])
    unit = record["uom_id"][0]
    for first in range(0, count, CREATED_AT_ONCE):
        numbers = range(first, min(first + CREATED_AT_ONCE, count))
        rows = [_order(made, names, unit, number, lines) for number in numbers]
        made.ids += _as_ids(odoo.call(ORDER, "create", vals_list=rows))


def _order(
    made: OwnOrders, names: dict[str, str], unit: int, number: int, lines: int
) -> dict[str, Any]:
    content = [
        {
            "product_id": made.products[position % PRODUCTS],
            "name": f"Line {position} of order {number}",
            "product_qty": 1 + (number + position) % 20,
            "price_unit": 5 + (number * 79 + position * 31) % 2000 / 4,
            "date_planned": "2030-01-01 12:00:00",
            names["product_uom"]: unit,
        }
        for position in range(lines)
    ]
    return {
        "partner_id": made.vendor,
        "origin": made.mark,
        "partner_ref": f"first {number}",
        "order_line": [(0, 0, line) for line in content],
    }


def _remove(odoo: OdooCalls, made: OwnOrders) -> None:
    # By the mark, too: a call that was interrupted may have made orders that it did not return.
    there = odoo.call(ORDER, "search", domain=made.domain)
    for first in range(0, len(there), REMOVED_AT_ONCE):
        ids = there[first : first + REMOVED_AT_ONCE]
        odoo.call(ORDER, "button_cancel", ids)
        odoo.call(ORDER, "unlink", ids)
    for product in made.products:
        _discard(odoo, "product.product", product)
    if made.vendor:
        _discard(odoo, "res.partner", made.vendor)


def _discard(odoo: OdooCalls, model: str, number: int) -> None:
    """Delete a record, or archive it where something still refers to it."""
    try:
        odoo.call(model, "unlink", [number])
    except CallFailed:
        with contextlib.suppress(CallFailed):
            odoo.call(model, "write", [number], vals={"active": False})


def _as_ids(created: Any) -> Sequence[int]:
    return [created] if isinstance(created, int) else list(created)
