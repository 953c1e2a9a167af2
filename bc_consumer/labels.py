"""What Odoo's selection values and our causes are called on a page.

An unknown value is shown as it is: Odoo's modules may add their own.
"""

from collections.abc import Mapping

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
    "command": _("command"),
    "poll": _("poll"),
    "moved lines": _("moved lines"),
    "replay": pgettext_lazy("cause of a mark", "replay"),
    "dead letter": _("dead letter"),
}
ARCHIVED_REASON: Mapping[str, Label] = {"gone from Odoo": _("gone from Odoo")}

BY_FIELD: Mapping[str, Mapping[str, Label]] = {
    "state": STATE,
    "invoice_status": INVOICE_STATUS,
    "receipt_status": RECEIPT_STATUS,
    "priority": PRIORITY,
    "display_type": DISPLAY_TYPE,
    "archived_reason": ARCHIVED_REASON,
}


def label(field: str, value: str) -> str:
    """Return what a field's value is called, in the active language; itself when it is unknown."""
    return str(BY_FIELD.get(field, {}).get(value, value))


def causes(value: str) -> str:
    """Return the names of comma-separated causes, in the active language."""
    return ", ".join(str(CAUSE.get(cause, cause)) for cause in value.split(",") if cause)
