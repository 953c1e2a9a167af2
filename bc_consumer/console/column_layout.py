"""Where each column of the copy appears on pages. Columns not listed here are placed by kind.

So a field added to the table (``fields/table.py``) is shown without a change here.
"""

from collections.abc import Collection, Iterable

from django.conf import settings

from bc_consumer.fields.columns import LINE_COLUMNS, ORDER_COLUMNS
from bc_consumer.fields.field import Field, Table
from bc_consumer.fields.kinds import NUMBERS, Kind
from bc_consumer.fields.table import TABLES

ORDER_PAGE = (
    "partner_name", "partner_ref", "origin", "user_name", "company_name", "invoice_status",
    "receipt_status", "priority", "date_order", "date_approve", "date_planned", "effective_date",
    "payment_term_name", "write_date", "synced_at",
)  # fmt: skip
"""The details on an order's page; further fields are inserted before ``write_date``."""
ELSEWHERE_ON_ORDER_PAGE = frozenset({
    "name", "state", "locked", "currency_name", "amount_untaxed", "amount_tax", "amount_total",
    "notes",
})  # fmt: skip
"""Columns for which order.html has its own places."""
NOT_ON_ORDER_PAGE = frozenset({"create_date"})
IN_LINES = frozenset({
    "name", "product_name", "display_type", "product_qty", "qty_received", "qty_invoiced",
    "product_uom_name", "price_unit", "discount", "taxes", "price_subtotal",
})  # fmt: skip
"""Columns of a line for which order.html has its own places; others go below its description."""
NOT_IN_LINES = frozenset({
    "sequence", "price_tax", "price_total", "date_planned", "state", "create_date", "write_date",
})  # fmt: skip

ADMIN_ORDER = (
    "name", "odoo_link", "page_link", "state", "locked", "partner_name", "partner_ref",
    "origin", "priority", "company_name", "user_name", "payment_term_name", "invoice_status",
    "receipt_status",
)  # fmt: skip
ADMIN_DATES = (
    "date_order", "date_approve", "date_planned", "effective_date", "create_date", "write_date",
)  # fmt: skip
ADMIN_AMOUNTS = ("amount_untaxed", "amount_tax", "amount_total", "currency_name", "notes")
ADMIN_IDS = (
    "odoo_id", "partner_id", "company_id", "user_id", "currency_id", "payment_term_id",
    "mapping_version", "extra_shown",
)  # fmt: skip
ADMIN_LINES = (
    "odoo_id", "name", "product_qty", "qty_received", "qty_invoiced", "product_uom_name",
    "price_unit", "discount", "price_subtotal", "price_total",
)  # fmt: skip
NOT_IN_ADMIN_LINES = frozenset({
    "sequence", "product_name", "display_type", "taxes", "price_tax", "date_planned", "state",
    "create_date", "write_date",
})  # fmt: skip

DATES = frozenset({Kind.DATE, Kind.DATETIME})


def copied_table() -> Table:
    """Return the field table of the copied order model."""
    return TABLES[settings.ODOO_ORDER_MODEL]


def shown_column(field: Field) -> str:
    """Return the column that a page shows for a field: a related record's name, not its id."""
    return field.columns[-1]


def order_page() -> list[str]:
    """Return the columns that an order's page lists, restricted to those this order model has."""
    own = {shown_column(field) for field in copied_table().order if field.columns}
    known = {*ORDER_PAGE, *ELSEWHERE_ON_ORDER_PAGE, *NOT_ON_ORDER_PAGE}
    further = _others(copied_table().order, known)
    listed = [name for name in ORDER_PAGE if name in own or name == "synced_at"]
    before = listed.index("write_date")
    return [*listed[:before], *further, *listed[before:]]


def further_in_lines() -> list[str]:
    """Return the columns of a line for which the table of lines has no place."""
    return _others(copied_table().line, IN_LINES | NOT_IN_LINES)


def admin_order() -> tuple[str, ...]:
    """Return the columns in the administration's first section of an order."""
    return _with_others(ADMIN_ORDER, frozenset(Kind) - NUMBERS - DATES)


def admin_dates() -> tuple[str, ...]:
    """Return the columns in the administration's section of dates."""
    return _with_others(ADMIN_DATES, DATES)


def admin_amounts() -> tuple[str, ...]:
    """Return the columns in the administration's section of amounts."""
    return _with_others(ADMIN_AMOUNTS, NUMBERS)


def admin_ids() -> tuple[str, ...]:
    """Return the columns in the administration's section of ids."""
    related = (one for one in ORDER_COLUMNS.values() if one.kind is Kind.MANY2ONE)
    ids = dict.fromkeys(field.columns[0] for field in related)
    return (*ADMIN_IDS, *(column for column in ids if column not in ADMIN_IDS))


def admin_lines() -> tuple[str, ...]:
    """Return the columns of an order's lines in the administration."""
    known = {*ADMIN_LINES, *NOT_IN_ADMIN_LINES}
    return (*ADMIN_LINES, *_others(LINE_COLUMNS.values(), known))


def _with_others(placed: tuple[str, ...], kinds: Collection[Kind]) -> tuple[str, ...]:
    """Append the columns of these kinds that no section of the administration lists."""
    everywhere = (*ADMIN_ORDER, *ADMIN_DATES, *ADMIN_AMOUNTS)
    fields = (field for field in ORDER_COLUMNS.values() if field.kind in kinds)
    return (*placed, *_others(fields, set(everywhere)))


def _others(fields: Iterable[Field], known: Collection[str]) -> list[str]:
    """Return the shown columns of the fields that are not in ``known``."""
    shown = dict.fromkeys(shown_column(field) for field in fields if field.columns)
    return [column for column in shown if column not in known]
