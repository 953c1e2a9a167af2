"""Which fields the copy has, and what each is called in which Odoo: the ONE table of differences.

Canonical names are those of the copy's columns: Odoo 17's purchase.order where they differ. What
has no column (``extra``) keeps Odoo's own name. Sources: what ``fields_get`` gave on Odoo 17, 18
and 19 (renames in 19: notes → note, product_uom → product_uom_id, taxes_id and tax_id → tax_ids;
``locked`` of purchase.order is new there and replaces the state «done»; sale.order had it in 17).
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a value is, and so what Odoo's False means for it."""

    TEXT = "text"  # char, text, html and selection
    BOOLEAN = "boolean"
    INTEGER = "integer"
    MONEY = "money"  # has the decimals of the order's currency
    NUMBER = "number"  # has the field's digits, where Odoo tells them
    DATE = "date"
    DATETIME = "datetime"
    MANY2ONE = "many2one"
    MANY2MANY = "many2many"
    LINES = "lines"  # one2many


# Odoo's types that can be copied; float and monetary see kind_of.
KINDS: Mapping[str, Kind] = {
    "char": Kind.TEXT,
    "text": Kind.TEXT,
    "html": Kind.TEXT,
    "selection": Kind.TEXT,
    "boolean": Kind.BOOLEAN,
    "integer": Kind.INTEGER,
    "float": Kind.NUMBER,
    "monetary": Kind.NUMBER,
    "date": Kind.DATE,
    "datetime": Kind.DATETIME,
    "many2one": Kind.MANY2ONE,
    "many2many": Kind.MANY2MANY,
}


@dataclass(frozen=True, slots=True)
class Field:
    """One canonical field.

    ``odoo_names``: its names in Odoo, the first that exists counts. ``required``: without it no
    order can be copied. ``derive``: how it follows from the other values of the record where
    this Odoo lacks it (canonical values, as Odoo sent them). ``extra``: it has no column of its
    own and goes into the copy's ``extra``. ``since``: the first version that has it, where one that
    was measured lacks it whatever its apps.
    """

    name: str
    kind: Kind
    odoo_names: tuple[str, ...]
    required: bool = False
    derive: Callable[[Mapping[str, object]], object] | None = None
    extra: bool = False
    since: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """The fields of an order model and of its lines."""

    order: tuple[Field, ...]
    line_model: str
    line: tuple[Field, ...]


def kind_of(description: Mapping[str, object]) -> Kind | None:
    """Tell how a field's values are copied, by what ``fields_get`` says of it; None: not at all.

    An amount in the order's currency has its decimals; one in another currency is left as it is.
    """
    if description.get("type") == "monetary" and description.get("currency_field") == "currency_id":
        return Kind.MONEY
    return KINDS.get(str(description.get("type")))


def _needed(name: str, kind: Kind, *odoo_names: str) -> Field:
    return Field(name, kind, odoo_names or (name,), required=True)


def _optional(name: str, kind: Kind, *odoo_names: str) -> Field:
    return Field(name, kind, odoo_names or (name,))


def _extra(name: str, kind: Kind) -> Field:
    return Field(name, kind, (name,), extra=True)


def _locked_by_state(values: Mapping[str, object]) -> bool:
    """Where there is no field for it, a locked order has a state of its own."""
    return values.get("state") == "done"


LOCKED = Field("locked", Kind.BOOLEAN, ("locked",), derive=_locked_by_state)

PURCHASE_ORDER = (
    _needed("name", Kind.TEXT),
    _needed("partner_id", Kind.MANY2ONE),
    _optional("partner_ref", Kind.TEXT),
    _optional("origin", Kind.TEXT),
    _needed("state", Kind.TEXT),
    LOCKED,
    _optional("invoice_status", Kind.TEXT),
    _optional("receipt_status", Kind.TEXT),  # of module purchase_stock
    _optional("priority", Kind.TEXT),
    _needed("date_order", Kind.DATETIME),
    _optional("date_approve", Kind.DATETIME),
    _optional("date_planned", Kind.DATETIME),
    _optional("effective_date", Kind.DATETIME),  # of module purchase_stock
    _needed("currency_id", Kind.MANY2ONE),
    _needed("company_id", Kind.MANY2ONE),
    _optional("user_id", Kind.MANY2ONE),
    _needed("amount_untaxed", Kind.MONEY),
    _needed("amount_tax", Kind.MONEY),
    _needed("amount_total", Kind.MONEY),
    _optional("notes", Kind.TEXT, "notes", "note"),
    _optional("payment_term_id", Kind.MANY2ONE),
    _needed("create_date", Kind.DATETIME),
    _needed("write_date", Kind.DATETIME),
    _needed("order_line", Kind.LINES),
)

PURCHASE_ORDER_LINE = (
    _needed("order_id", Kind.MANY2ONE),
    _optional("sequence", Kind.INTEGER),
    _needed("product_id", Kind.MANY2ONE),
    _needed("name", Kind.TEXT),
    _optional("display_type", Kind.TEXT),
    _needed("product_qty", Kind.NUMBER),
    _optional("qty_received", Kind.NUMBER),
    _optional("qty_invoiced", Kind.NUMBER),
    _optional("product_uom", Kind.MANY2ONE, "product_uom", "product_uom_id"),
    _needed("price_unit", Kind.NUMBER),
    Field("discount", Kind.NUMBER, ("discount",), since=17),
    _optional("taxes", Kind.MANY2MANY, "taxes_id", "tax_ids"),
    _needed("price_subtotal", Kind.MONEY),
    _optional("price_tax", Kind.MONEY),  # a plain float in Odoo, in the order's currency
    _needed("price_total", Kind.MONEY),
    _optional("date_planned", Kind.DATETIME),
    _optional("state", Kind.TEXT),  # the order's; readable but not stored in 19
    _needed("create_date", Kind.DATETIME),
    _needed("write_date", Kind.DATETIME),
)

# A column is shared where it means the same; what only sales have goes into ``extra``.
SALE_ORDER = (
    _needed("name", Kind.TEXT),
    _needed("partner_id", Kind.MANY2ONE),  # the customer
    _optional("partner_ref", Kind.TEXT, "client_order_ref"),
    _optional("origin", Kind.TEXT),
    _needed("state", Kind.TEXT),
    LOCKED,
    _optional("invoice_status", Kind.TEXT),
    _needed("date_order", Kind.DATETIME),
    _optional("effective_date", Kind.DATETIME),  # of module sale_stock
    _needed("currency_id", Kind.MANY2ONE),
    _needed("company_id", Kind.MANY2ONE),
    _optional("user_id", Kind.MANY2ONE),  # the salesperson
    _needed("amount_untaxed", Kind.MONEY),
    _needed("amount_tax", Kind.MONEY),
    _needed("amount_total", Kind.MONEY),
    _optional("notes", Kind.TEXT, "note"),
    _optional("payment_term_id", Kind.MANY2ONE),
    _extra("commitment_date", Kind.DATETIME),
    _extra("validity_date", Kind.DATE),
    _extra("delivery_status", Kind.TEXT),  # of module sale_stock
    _extra("team_id", Kind.MANY2ONE),
    _extra("partner_invoice_id", Kind.MANY2ONE),
    _extra("partner_shipping_id", Kind.MANY2ONE),
    _extra("pricelist_id", Kind.MANY2ONE),
    _extra("warehouse_id", Kind.MANY2ONE),  # of module sale_stock
    _needed("create_date", Kind.DATETIME),
    _needed("write_date", Kind.DATETIME),
    _needed("order_line", Kind.LINES),
)

SALE_ORDER_LINE = (
    _needed("order_id", Kind.MANY2ONE),
    _optional("sequence", Kind.INTEGER),
    _needed("product_id", Kind.MANY2ONE),
    _needed("name", Kind.TEXT),
    _optional("display_type", Kind.TEXT),
    _needed("product_qty", Kind.NUMBER, "product_uom_qty"),  # in the line's unit, as in purchases
    _optional("qty_invoiced", Kind.NUMBER),
    _optional("product_uom", Kind.MANY2ONE, "product_uom", "product_uom_id"),
    _needed("price_unit", Kind.NUMBER),
    _optional("discount", Kind.NUMBER),
    _optional("taxes", Kind.MANY2MANY, "tax_id", "tax_ids"),
    _needed("price_subtotal", Kind.MONEY),
    _optional("price_tax", Kind.MONEY),
    _needed("price_total", Kind.MONEY),
    _optional("state", Kind.TEXT),
    _extra("qty_delivered", Kind.NUMBER),
    _extra("customer_lead", Kind.NUMBER),  # days
    _extra("is_downpayment", Kind.BOOLEAN),
    _needed("create_date", Kind.DATETIME),
    _needed("write_date", Kind.DATETIME),
)

TABLES: Mapping[str, Table] = {
    "purchase.order": Table(
        order=PURCHASE_ORDER, line_model="purchase.order.line", line=PURCHASE_ORDER_LINE
    ),
    "sale.order": Table(order=SALE_ORDER, line_model="sale.order.line", line=SALE_ORDER_LINE),
}
