"""The labels of Odoo's selection values and of our causes.

Unknown values are shown as they are, because Odoo modules may add their own.
"""

from collections.abc import Mapping

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

Label = str | Promise

STATE: Mapping[str, Label] = {
    "draft": _("request for quotation"),
    "sent": _("request sent"),
    "to approve": _("to approve"),
    "purchase": _("purchase order"),
    "done": pgettext_lazy("state of an order", "locked"),
    "cancel": pgettext_lazy("state of an order", "cancelled"),
}
INVOICE_STATUS: Mapping[str, Label] = {
    "no": _("nothing to bill"),
    "to invoice": _("bill awaited"),
    "invoiced": _("fully billed"),
}
RECEIPT_STATUS: Mapping[str, Label] = {
    "pending": _("not received"),
    "partial": _("partly received"),
    "full": _("fully received"),
}
PRIORITY: Mapping[str, Label] = {"0": _("normal"), "1": _("urgent")}
DISPLAY_TYPE: Mapping[str, Label] = {
    "line_section": _("section"),
    "line_subsection": _("subsection"),
    "line_note": _("note"),
}
CAUSE: Mapping[str, Label] = {
    "webhook": _("webhook"),
    "operator": _("operator"),
    "start": pgettext_lazy("cause of a mark", "start"),
    "nightly": _("nightly run"),
    "scrub": _("scrub of the content"),
    "command": _("command"),
    "poll": _("poll"),
    "moved lines": _("moved lines"),
    "replay": pgettext_lazy("cause of a mark", "replay"),
    "dead letter": _("dead letter"),
}
ARCHIVED_REASON: Mapping[str, Label] = {
    "gone from Odoo": _("gone from Odoo"),
    "outside the domain": _("outside the domain that is copied (ODOO_DOMAIN)"),
    "outside the companies": _("of a company that is not copied (ODOO_COMPANY_IDS)"),
}

STATE_OF_SALES: Mapping[str, Label] = {
    "draft": _("quotation"),
    "sent": _("quotation sent"),
    "sale": _("sales order"),
    "done": pgettext_lazy("state of an order", "locked"),
    "cancel": pgettext_lazy("state of an order", "cancelled"),
}
INVOICE_STATUS_OF_SALES: Mapping[str, Label] = {
    "no": _("nothing to invoice"),
    "to invoice": _("to be invoiced"),
    "invoiced": _("fully invoiced"),
    "upselling": _("upselling opportunity"),
}
DELIVERY_STATUS: Mapping[str, Label] = {
    "pending": _("not delivered"),
    "started": _("delivery begun"),
    "partial": _("partly delivered"),
    "full": _("fully delivered"),
}

DIFFERENCE: Mapping[str, Label] = {
    "missing here": _("order: missing here"),
    "archived here": _("order: archived here"),
    "gone from Odoo": _("order: gone from Odoo"),
    "not to be copied": _("order: not to be copied"),
    "not readable": _("order: access lost"),
    "line missing": _("line: missing here"),
    "line only here": _("line: only here"),
    "not compared": _("order: not compared"),
}
"""What a dry run found of an order or a line as a whole."""
MISSING: Mapping[str, Label] = {
    "gone": ARCHIVED_REASON["gone from Odoo"],
    "outside the domain": ARCHIVED_REASON["outside the domain"],
    "outside the companies": ARCHIVED_REASON["outside the companies"],
}
"""Why Odoo's answer has no such order."""

BY_FIELD: Mapping[str, Mapping[str, Label]] = {
    "state": STATE,
    "invoice_status": INVOICE_STATUS,
    "receipt_status": RECEIPT_STATUS,
    "priority": PRIORITY,
    "display_type": DISPLAY_TYPE,
    "archived_reason": ARCHIVED_REASON,
    "difference": DIFFERENCE,
    "missing": MISSING,
}
BY_FIELD_OF_SALES: Mapping[str, Mapping[str, Label]] = {
    **BY_FIELD,
    "state": STATE_OF_SALES,
    "invoice_status": INVOICE_STATUS_OF_SALES,
    "delivery_status": DELIVERY_STATUS,
}


def copies_sales() -> bool:
    """Return whether the copy holds sale orders rather than purchase orders."""
    return bool(settings.ODOO_ORDER_MODEL == "sale.order")


def states() -> Mapping[str, Label]:
    """Return Odoo's standard states with their labels."""
    return STATE_OF_SALES if copies_sales() else STATE


def label(field: str, value: str) -> str:
    """Return the label of a field's value in the active language, or the value if it is unknown."""
    by_field = BY_FIELD_OF_SALES if copies_sales() else BY_FIELD
    return str(by_field.get(field, {}).get(value, value))


def causes(value: str) -> str:
    """Return the labels of comma-separated causes in the active language."""
    return ", ".join(str(CAUSE.get(cause, cause)) for cause in value.split(",") if cause)
