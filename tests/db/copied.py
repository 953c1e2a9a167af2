"""Makes rows of the copy, of the ledger and of the journal, for tests that read them."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from bc_consumer.models import BC, BCLine, Event, JournalEntry, Lane, PendingBC


def bc(odoo_id: int, **values: Any) -> BC:
    """Make an order."""
    defaults = {"name": f"P{odoo_id:05}", "partner_name": "Supplier 001", "state": "purchase"}
    return BC.objects.create(odoo_id=odoo_id, **{**defaults, **values})


def line(order: BC, odoo_id: int, **values: Any) -> BCLine:
    """Make a line."""
    return BCLine.objects.create(bc=order, odoo_id=odoo_id, **{"name": "Desk", **values})


def pending(odoo_id: int, *, age: float = 0.0, **values: Any) -> PendingBC:
    """Make a pending row, first marked ``age`` seconds ago: owed, unless values differ."""
    marked = timezone.now() - timedelta(seconds=age)
    defaults = {
        "lane": Lane.WEBHOOK,
        "causes": "webhook",
        "event": Event.CHANGED,
        "first_marked_at": marked,
        "last_marked_at": marked,
        "due_at": marked,
    }
    return PendingBC.objects.create(odoo_id=odoo_id, **{**defaults, **values})


def failed(odoo_id: int, **values: Any) -> PendingBC:
    """Make a pending row that was given up."""
    defaults = {
        "attempts": 3,
        "error_class": "MappingError",
        "last_error": "amount_total of order 7 can't be copied: 'x' is not a number",
        "traceback": 'Traceback\n  File "<odd>"',
        "failed_at": timezone.now(),
    }
    return pending(odoo_id, **{**defaults, **values})


def journal(odoo_id: int, outcome: str = "changed", **values: Any) -> JournalEntry:
    """Make a journal entry of now; a delay counts from the webhook, unless values differ."""
    defaults = {"at": timezone.now(), "causes": "webhook", "event": "changed", "marks": 1}
    defaults["delay_from"] = "" if values.get("delay") is None else "mark"
    return JournalEntry.objects.create(odoo_id=odoo_id, outcome=outcome, **{**defaults, **values})
