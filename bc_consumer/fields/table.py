"""The table of copied fields: each is declared here, once, and all else follows from it.

Canonical names are those of the copy's columns: Odoo 17's purchase.order where versions differ. A
field without a column (``extra``) keeps Odoo's own name. Source: ``fields_get`` on Odoo 17, 18 and
19. Renamed in 19: notes → note, product_uom → product_uom_id, taxes_id and tax_id → tax_ids.
``locked`` of purchase.order is new in 19 and replaces the state "done"; sale.order has had it since
17.

A field with a column also needs that column in ``models/orders.py`` and a migration. Fields are not
watched if a rule on them never fires (write_date, measured; order_line, whose lines have rules of
their own), or if they follow from watched fields of the order or its lines in the same transaction:
each watched field costs one more call per change, and amount_total covers every change of money.
"""

from collections.abc import Mapping
from dataclasses import replace

from bc_consumer.fields.field import Field, Table
from bc_consumer.fields.kinds import Kind


def _(label: str) -> str:
    """Mark a label for the catalogue."""
    return label


def _locked_by_state(values: Mapping[str, object]) -> bool:
    """Return whether the order is locked, where a state says so instead of a field."""
    return values.get("state") == "done"


def _dates() -> tuple[Field, ...]:
    """Return the two dates that every record in Odoo has."""
    return (
        Field(
            "create_date",
            Kind.DATETIME,
            label=_("created in Odoo"),
            required=True,
            watched=False,
        ),
        Field(
            "write_date",
            Kind.DATETIME,
            label=_("changed in Odoo"),
            required=True,
            watched=False,
        ),
    )


PURCHASE_ORDER = (
    Field("name", Kind.TEXT, label=_("reference"), required=True),
    Field(
        "partner_id",
        Kind.MANY2ONE,
        label=_("supplier"),
        id_label=_("supplier id"),
        model="res.partner",
        required=True,
    ),
    Field("partner_ref", Kind.TEXT, label=_("supplier's reference")),
    Field("origin", Kind.TEXT, label=_("source document")),
    Field("state", Kind.TEXT, label=_("state"), required=True),
    Field("locked", Kind.BOOLEAN, label=_("locked"), derive=_locked_by_state, since=19),
    Field("invoice_status", Kind.TEXT, label=_("billing status")),
    Field("receipt_status", Kind.TEXT, label=_("receipt status"), module="purchase_stock"),
    Field("priority", Kind.TEXT, label=_("priority")),
    Field("date_order", Kind.DATETIME, label=_("order deadline"), required=True),
    Field("date_approve", Kind.DATETIME, label=_("confirmed")),
    Field("date_planned", Kind.DATETIME, label=_("expected arrival")),
    Field("effective_date", Kind.DATETIME, label=_("arrived"), module="purchase_stock"),
    Field(
        "currency_id",
        Kind.MANY2ONE,
        label=_("currency"),
        id_label=_("currency id"),
        model="res.currency",
        required=True,
    ),
    Field(
        "company_id",
        Kind.MANY2ONE,
        label=_("company"),
        id_label=_("company id"),
        model="res.company",
        required=True,
    ),
    Field(
        "user_id",
        Kind.MANY2ONE,
        label=_("buyer"),
        id_label=_("buyer id"),
        model="res.users",
    ),
    Field("amount_untaxed", Kind.MONEY, label=_("untaxed amount"), required=True, watched=False),
    Field("amount_tax", Kind.MONEY, label=_("taxes"), required=True, watched=False),
    Field("amount_total", Kind.MONEY, label=_("total"), required=True),
    Field("notes", Kind.HTML, ("notes", "note"), 19, label=_("terms and conditions")),
    Field(
        "payment_term_id",
        Kind.MANY2ONE,
        label=_("payment terms"),
        id_label=_("payment terms id"),
        model="account.payment.term",
    ),
    *_dates(),
    Field("order_line", Kind.LINES, required=True, watched=False),
)

PURCHASE_ORDER_LINE = (
    Field("order_id", Kind.MANY2ONE, model="purchase.order", required=True),
    Field("sequence", Kind.INTEGER, label=_("sequence")),
    Field(
        "product_id",
        Kind.MANY2ONE,
        label=_("product"),
        id_label=_("product id"),
        model="product.product",
        required=True,
    ),
    Field("name", Kind.TEXT, label=_("description"), required=True),
    Field("display_type", Kind.TEXT, label=_("display type")),
    Field("product_qty", Kind.QUANTITY, label=_("quantity"), required=True),
    Field("qty_received", Kind.QUANTITY, label=_("received")),
    Field("qty_invoiced", Kind.QUANTITY, label=_("billed")),
    Field(
        "product_uom",
        Kind.MANY2ONE,
        ("product_uom", "product_uom_id"),
        19,
        label=_("unit"),
        id_label=_("unit id"),
        model="uom.uom",
    ),
    Field("price_unit", Kind.PRICE, label=_("unit price"), required=True),
    Field("discount", Kind.NUMBER, label=_("discount (%)"), since=17),
    Field(
        "taxes",
        Kind.MANY2MANY,
        ("taxes_id", "tax_ids"),
        19,
        label=_("taxes"),
        model="account.tax",
    ),
    Field("price_subtotal", Kind.MONEY, label=_("subtotal"), required=True, watched=False),
    # A plain float in Odoo, in the order's currency.
    Field("price_tax", Kind.MONEY, label=_("tax"), watched=False),
    Field("price_total", Kind.MONEY, label=_("total"), required=True, watched=False),
    Field("date_planned", Kind.DATETIME, label=_("expected arrival")),
    # The order's state; readable but not stored in 19.
    Field("state", Kind.TEXT, label=_("state"), watched=False),
    *_dates(),
)

# A column is shared where it means the same; what only sale orders have goes into ``extra``.
_ORDER = {field.name: field for field in PURCHASE_ORDER}
_LINE = {field.name: field for field in PURCHASE_ORDER_LINE}


def _extra(name: str, kind: Kind, module: str = "") -> Field:
    return Field(name, kind, extra=True, module=module)


SALE_ORDER = (
    _ORDER["name"],
    replace(_ORDER["partner_id"], label=_("customer"), id_label=_("customer id")),
    replace(
        _ORDER["partner_ref"], odoo_names=("client_order_ref",), label=_("customer's reference")
    ),
    _ORDER["origin"],
    _ORDER["state"],
    replace(_ORDER["locked"], since=0),
    replace(_ORDER["invoice_status"], label=_("invoicing status")),
    replace(_ORDER["date_order"], label=_("order date")),
    replace(_ORDER["effective_date"], label=_("first delivered"), module="sale_stock"),
    _ORDER["currency_id"],
    _ORDER["company_id"],
    replace(_ORDER["user_id"], label=_("salesperson"), id_label=_("salesperson id")),
    _ORDER["amount_untaxed"],
    _ORDER["amount_tax"],
    _ORDER["amount_total"],
    replace(_ORDER["notes"], odoo_names=("note",), renamed_in=0),
    _ORDER["payment_term_id"],
    _extra("commitment_date", Kind.DATETIME),
    _extra("validity_date", Kind.DATE),
    _extra("delivery_status", Kind.TEXT, "sale_stock"),
    _extra("team_id", Kind.MANY2ONE),
    _extra("partner_invoice_id", Kind.MANY2ONE),
    _extra("partner_shipping_id", Kind.MANY2ONE),
    _extra("pricelist_id", Kind.MANY2ONE),
    _extra("warehouse_id", Kind.MANY2ONE, "sale_stock"),
    *_dates(),
    _ORDER["order_line"],
)

SALE_ORDER_LINE = (
    replace(_LINE["order_id"], model="sale.order"),
    _LINE["sequence"],
    _LINE["product_id"],
    _LINE["name"],
    _LINE["display_type"],
    # In the line's unit of measure, as in purchases.
    replace(_LINE["product_qty"], odoo_names=("product_uom_qty",)),
    replace(_LINE["qty_invoiced"], label=_("invoiced")),
    _LINE["product_uom"],
    _LINE["price_unit"],
    replace(_LINE["discount"], since=0),
    replace(_LINE["taxes"], odoo_names=("tax_id", "tax_ids")),
    _LINE["price_subtotal"],
    _LINE["price_tax"],
    _LINE["price_total"],
    _LINE["state"],
    _extra("qty_delivered", Kind.NUMBER),
    _extra("customer_lead", Kind.NUMBER),  # days
    _extra("is_downpayment", Kind.BOOLEAN),
    *_dates(),
)

TABLES: Mapping[str, Table] = {
    "purchase.order": Table(
        order=PURCHASE_ORDER, line_model="purchase.order.line", line=PURCHASE_ORDER_LINE
    ),
    "sale.order": Table(order=SALE_ORDER, line_model="sale.order.line", line=SALE_ORDER_LINE),
}
