"""HTML fragments for the administration's fields: changes, a journal, a long text."""

from typing import Any

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from bc_consumer.console import formatting
from bc_consumer.models import JournalEntry

ENTRIES = 20


def changes_html(stored: dict[str, Any]) -> SafeString:
    """Return a journal entry's changes as nested lists."""
    return render_to_string(
        "bc_consumer/changes.html", {"changes": formatting.read_changes(stored)}
    )


def history_html(odoo_id: int) -> SafeString:
    """Return an order's latest journal entries, with a link to all of them."""
    entries = list(JournalEntry.objects.filter(odoo_id=odoo_id).order_by("-id")[: ENTRIES + 1])
    context = {
        "odoo_id": odoo_id,
        "entries": entries[:ENTRIES],
        "more": len(entries) > ENTRIES,
    }
    return render_to_string("bc_consumer/admin_history.html", context)


def preformatted(text: str) -> SafeString | str:
    """Return a text with its line breaks preserved."""
    return format_html('<pre tabindex="0">{}</pre>', text) if text else formatting.NOTHING
