"""Whose content is looked at anew: each night a share of all orders, the longest unconfirmed first.

Dates and ids say nothing of what changed under the same date: by SQL in Odoo, in a field that it
computes and does not store, by a hand in the copy's tables. Only content tells, so a night looks at
as many orders as it takes to come round within ``SYNC_SCRUB_DAYS``.
"""

import math
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum

from bc_consumer.models import BC, PendingBC, SyncLog

CAUSE = "scrub"
"""The cause of a mark whose order differs by nothing that dates, ids or names tell."""
RECENT = timedelta(hours=12)
"""What was confirmed since is not read again, and a share that was begun since is the night's."""
CATCH_UP = 4
"""Shares of one night, at most, after nights that were missed."""


def next_page(run: SyncLog) -> list[int]:
    """Return the next orders that this run has to look at, a page at most; none: enough for now.

    What waits in the ledger is left out: it is being looked at, or a person is needed for it.
    """
    limit = min(_left(run), settings.SYNC_PAGE_SIZE)
    if limit <= 0:
        return []
    rows = _unconfirmed(run, RECENT).order_by(F("synced_at").asc(nulls_first=True), "odoo_id")
    return list(rows.values_list("odoo_id", flat=True)[:limit])


def _left(run: SyncLog) -> int:
    days = settings.SYNC_SCRUB_DAYS
    if not days:
        return 0
    share = math.ceil(BC.objects.current().count() / days)
    lately = SyncLog.objects.filter(started_at__gt=run.started_at - RECENT).exclude(pk=run.pk)
    done = run.scrubbed + (lately.aggregate(orders=Sum("scrubbed"))["orders"] or 0)
    overdue = _unconfirmed(run, timedelta(days=days)).count() + done
    return min(max(share, overdue), CATCH_UP * share) - done


def _unconfirmed(run: SyncLog, age: timedelta) -> QuerySet[BC]:
    waiting = PendingBC.objects.filter(odoo_id=OuterRef("odoo_id"))
    older = Q(synced_at__isnull=True) | Q(synced_at__lt=run.started_at - age)
    return BC.objects.current().filter(older, ~Exists(waiting))
