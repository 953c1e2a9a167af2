"""HTML fragments for the administration's fields: changes, a journal, a long text."""

import json
from typing import Any

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from bc_consumer.console import column_layout, formatting
from bc_consumer.models import BC, BCLine, JournalEntry

ENTRIES = 20
LINES = 200
"""Lines of an order that the administration shows; the order's own page has all of them."""


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


def lines_html(bc: BC) -> SafeString | str:
    """Return an order's lines as a table, with a link to its page where there are more."""
    lines = list(bc.lines.order_by("sequence", "odoo_id")[: LINES + 1])
    if not lines:
        return formatting.NOTHING
    columns = column_layout.admin_lines()
    context = {
        "bc": bc,
        "labels": [formatting.field_label(BCLine, name) for name in columns],
        "lines": [
            (line, [formatting.show(BCLine, name, getattr(line, name)) for name in columns])
            for line in lines[:LINES]
        ],
        "more": len(lines) > LINES,
    }
    return render_to_string("bc_consumer/admin_lines.html", context)


def result_html(result: dict[str, Any]) -> SafeString | str:
    """Return what an action has stored."""
    return preformatted(json.dumps(result, ensure_ascii=False, indent=1) if result else "")


def preformatted(text: str) -> SafeString | str:
    """Return a text with its line breaks preserved."""
    return format_html('<pre tabindex="0">{}</pre>', text) if text else formatting.NOTHING
