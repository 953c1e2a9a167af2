"""What purchase and sale orders have in common, and their names for it."""

from __future__ import annotations

from dataclasses import dataclass

ORDER_MODELS = ("purchase.order", "sale.order")


@dataclass(frozen=True, slots=True)
class Shape:
    """The names that one kind of order uses in one version."""

    order: str  # the order's model
    line: str  # the line's model
    prefix: str  # of the order's name
    quantity: str  # the line's ordered quantity
    uom: str
    taxes: str
    confirmed: str  # the state of a confirmed order
    related: tuple[str, ...]  # fields of the order that each line stores as well
    date_on_confirm: str
    moved: str  # the line's received, or delivered, quantity
    status: str  # how far the order's goods have been received or delivered

    @property
    def pricing(self) -> frozenset[str]:
        """The line's fields from which its amounts are computed."""
        return frozenset({"price_unit", "discount", self.quantity, self.taxes})


def shapes_of(version: int) -> dict[str, Shape]:
    """Return the shape by model name, for order and line models alike."""
    late = version >= 19
    related = ("partner_id", "company_id")
    purchase = Shape(
        "purchase.order",
        "purchase.order.line",
        "P",
        "product_qty",
        "product_uom_id" if late else "product_uom",
        "tax_ids" if late else "taxes_id",
        "purchase",
        # 19 no longer stores state and currency_id in lines.
        related if late else (*related, "currency_id", "state"),
        "date_approve",
        "qty_received",
        "receipt_status",
    )
    sale = Shape(
        "sale.order",
        "sale.order.line",
        "S",
        "product_uom_qty",
        "product_uom_id" if late else "product_uom",
        "tax_ids" if late else "tax_id",
        "sale",
        ("company_id", "currency_id", "order_partner_id", "salesman_id", "state"),
        "date_order",
        "qty_delivered",
        "delivery_status",
    )
    return {model: shape for shape in (purchase, sale) for model in (shape.order, shape.line)}


RELATED_SOURCES = {"order_partner_id": "partner_id", "salesman_id": "user_id"}
