"""Tells whether this copy is told of changes by webhooks, or looks for them by itself alone."""

from datetime import datetime

from django.conf import settings
from django.db.models import Max

from bc_consumer.models import JournalEntry, PendingBC
from bc_consumer.models.ledger import WEBHOOK

LATEST_ENTRIES = 10_000
"""Of the journal, among which a webhook's is looked for: a few milliseconds."""


def expects_no_webhooks() -> bool:
    """Return whether this copy only polls Odoo and expects no webhooks, as PUBLIC_URL is unset."""
    return bool(settings.SYNC_POLL_SECONDS > 0 and not settings.PUBLIC_URL)


def has_no_webhooks() -> bool:
    """Return whether no webhook can have missed a change: none is expected, and none has ever come.

    Where PUBLIC_URL is set, they are expected. Where it is not, somebody may have made the rules by
    hand, or by ``odoo_rules install --url``: then past webhooks have left a trace.
    """
    return not settings.PUBLIC_URL and (expects_no_webhooks() or latest_webhook_at() is None)


def latest_webhook_at() -> datetime | None:
    """Return when the latest webhook that left a trace arrived; None: there is none.

    The ledger has a trace, and the journal of those that brought a change; of it only the latest
    entries are looked at.
    """
    newest = JournalEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0
    entries = JournalEntry.objects.filter(id__gt=newest - LATEST_ENTRIES)
    found = [
        rows.filter(causes__contains=WEBHOOK).aggregate(at=Max("last_marked_at"))["at"]
        for rows in (PendingBC.objects.all(), entries)
    ]
    return max((moment for moment in found if moment is not None), default=None)
