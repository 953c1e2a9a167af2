"""Whose content is looked at anew: each night a share of all orders, the longest unconfirmed first.

Dates and ids say nothing of what changed under the same date: by SQL in Odoo, in a field that it
computes and does not store, by a hand in the copy's tables. Only content tells, so a night looks at
as many orders as it takes to come round within ``SYNC_SCRUB_DAYS``.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import (
    Case,
    Count,
    DateTimeField,
    Exists,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Now

from bc_consumer.core.id_set import IdSet
from bc_consumer.models import BC, PendingBC, SyncLog

RECENT = timedelta(hours=12)
"""What was confirmed since is not read again, and a share that was begun since is the night's."""
CATCH_UP = 4
"""Shares of one night, at most, after nights that were missed."""
AT_ONCE = 5_000
"""Ids in one statement."""


class _WholeDays(Func):
    """Whole days from the second moment to the first; negative ones too."""

    output_field = IntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Spell it for PostgreSQL."""
        spelt = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s) / 86400)::integer"
        return super().as_sql(compiler, connection, template=spelt, arg_joiner=" - ", **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Spell it for SQLite, which keeps moments as text."""
        spelt = "CAST(FLOOR(julianday(%(expressions)s)) AS INTEGER)"
        joiner = ") - julianday("
        return super().as_sql(compiler, connection, template=spelt, arg_joiner=joiner, **context)


def next_page(run: SyncLog) -> list[int]:
    """Return the next orders that this run has to look at, a page at most; none: enough for now.

    What waits in the ledger is left out: it is being looked at, or a person is needed for it.
    """
    days = settings.SYNC_SCRUB_DAYS
    if not days:
        return []
    left = _left(run, days, _ages(run.started_at))
    if left <= 0:
        return []
    return list(_in_turn(run.started_at, days)[: min(left, settings.SYNC_PAGE_SIZE)])


def share_of(run: SyncLog, read: IdSet) -> list[int]:
    """Return all the orders that this run would have to look at, after it has read these."""
    days = settings.SYNC_SCRUB_DAYS
    if not days:
        return []
    ages, known = Counter(_ages(run.started_at)), iter(read)
    while ids := list(islice(known, AT_ONCE)):
        ages.subtract(_ages(run.started_at, ids))
    left = max(_left(run, days, ages), 0)
    in_turn = _in_turn(run.started_at, days).iterator()
    return list(islice((odoo_id for odoo_id in in_turn if odoo_id not in read), left))


def left_of_a_night(
    ages: Mapping[int | None, int], *, days: int, done: int, current: int, lately: int
) -> int:
    """Return how many orders a night still has to look at, so that none gets older than ``days``.

    ``ages``: whole days since an order was last confirmed → how many of those not done tonight;
    None: nothing tells when. ``current``: all orders; ``lately``: those within ``days`` days, for a
    night may have to do what was shared among more than are left.

    What is older than ``days - k`` days must be looked at within k nights, this one among them. The
    nights share it evenly, so that none has more to do than this one: it holds whatever is deleted
    meanwhile, also where nights come a little earlier than a day after each other, and a night that
    fails makes orders one night late at most.
    """
    old = Counter[int]()
    for age, orders in ages.items():
        old[days - 1 if age is None else min(age, days - 1)] += orders
    due, need = 0, math.ceil(current / days)
    for nights in range(1, max(days, 2)):  # all within ``days`` nights: that is the usual share
        due += old[days - nights]
        need = max(need, math.ceil((due + done) / nights))
    return min(need, CATCH_UP * math.ceil(lately / days)) - done


def _left(run: SyncLog, days: int, ages: Mapping[int | None, int]) -> int:
    lately = SyncLog.objects.filter(  # begun in the future: before the clock was set back
        started_at__gt=run.started_at - RECENT, started_at__lte=run.started_at, full=False
    ).exclude(pk=run.pk)
    done = run.scrubbed
    if days > 1:  # else what another run has read is too old the night after
        done += lately.aggregate(orders=Sum("scrubbed"))["orders"] or 0
    current = Q(archived_at__isnull=True, forbidden_at__isnull=True)
    since = run.started_at - timedelta(days=days)
    away_since = Q(archived_at__gt=since) | Q(forbidden_at__gt=since)
    orders = BC.objects.aggregate(
        current=Count("pk", filter=current), lately=Count("pk", filter=current | away_since)
    )
    return left_of_a_night(ages, days=days, done=done, **orders)


def _ages(moment: datetime, ids: Sequence[int] | None = None) -> dict[int | None, int]:
    """Count the orders left to us by whole days from their confirmation to this moment."""
    rows = _left_to_us() if ids is None else _left_to_us().filter(odoo_id__in=ids)
    days = _WholeDays(Value(moment, DateTimeField()), F("synced_at"))
    aged = rows.annotate(age=Case(When(_untold(), then=None), default=days)).order_by()
    return dict(aged.values("age").annotate(orders=Count("pk")).values_list("age", "orders"))


def _in_turn(moment: datetime, days: int) -> "QuerySet[BC, int]":
    """Give the ids of those that may be looked at, the longest unconfirmed first."""
    before = moment - RECENT if days > 1 else moment
    at = Case(When(_untold(), then=None), default=F("synced_at"))
    rows = _left_to_us().filter(_untold() | Q(synced_at__lt=before)).annotate(at=at)
    return rows.order_by(F("at").asc(nulls_first=True), "odoo_id").values_list("odoo_id", flat=True)


def _left_to_us() -> QuerySet[BC]:
    waiting = PendingBC.objects.filter(odoo_id=OuterRef("odoo_id"))
    return BC.objects.current().filter(~Exists(waiting))


def _untold() -> Q:
    """Return the orders whose ``synced_at`` tells no age: none, or one ahead of the clock."""
    return Q(synced_at__isnull=True) | Q(synced_at__gt=Now())
