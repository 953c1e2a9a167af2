"""Chooses the orders whose content is read again each night: the longest unconfirmed come first.

Dates and ids do not show what changed under the same date: by SQL in Odoo, in a field that Odoo
computes and does not store, or by hand in the copy's tables. Only the content does. So each night
reads as many orders as it takes to read every order once within ``SYNC_SCRUB_DAYS`` days.
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

from bc_consumer.core.odoo_ids import IdSet
from bc_consumer.models import BC, PendingBC, SyncLog

RECENT = timedelta(hours=12)
"""What was confirmed since is not read again, and a run that began since belongs to the same
night."""
CATCH_UP = 4
"""How many nights' shares one night reads at most, after nights that were missed."""
AT_ONCE = 5_000
"""Ids in one statement."""


class _WholeDays(Func):
    """Whole days from the second moment to the first, rounded down; they may be negative."""

    output_field = IntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return the SQL for PostgreSQL."""
        spelt = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s) / 86400)::integer"
        return super().as_sql(compiler, connection, template=spelt, arg_joiner=" - ", **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return the SQL for SQLite, which stores moments as text."""
        spelt = "CAST(FLOOR(julianday(%(expressions)s)) AS INTEGER)"
        joiner = ") - julianday("
        return super().as_sql(compiler, connection, template=spelt, arg_joiner=joiner, **context)


def next_page(run: SyncLog) -> list[int]:
    """Return the next orders for this run to read, one page at most; none when it has read enough.

    Orders in the ledger are left out: they are being read, or need a person.
    """
    days = settings.SYNC_SCRUB_DAYS
    if not days:
        return []
    left = _count_left(run, days, _count_by_age(run.started_at))
    if left <= 0:
        return []
    return list(_oldest_first(run.started_at, days)[: min(left, settings.SYNC_PAGE_SIZE)])


def share_of(run: SyncLog, read: IdSet) -> list[int]:
    """Return all orders that this run would have to read once it has read those in ``read``."""
    days = settings.SYNC_SCRUB_DAYS
    if not days:
        return []
    ages, known = Counter(_count_by_age(run.started_at)), iter(read)
    while ids := list(islice(known, AT_ONCE)):
        ages.subtract(_count_by_age(run.started_at, ids))
    left = max(_count_left(run, days, ages), 0)
    in_turn = _oldest_first(run.started_at, days).iterator()
    return list(islice((odoo_id for odoo_id in in_turn if odoo_id not in read), left))


def left_of_a_night(
    ages: Mapping[int | None, int], *, days: int, done: int, current: int, lately: int
) -> int:
    """Return how many orders a night still has to read, so that none gets older than ``days``.

    ``ages``: whole days since an order was last confirmed → how many such orders were not read
    tonight; None: the time is unknown. ``done``: read tonight. ``current``: all orders. ``lately``:
    orders that were current at any time within ``days`` days, because a night may have to read what
    was shared out among more than are left.

    Orders older than ``days - k`` days must be read within k nights, this one among them. The
    nights share them evenly, so that none has more to read than this one. That holds whatever is
    deleted meanwhile, also where nights come a little less than a day after each other, and a night
    that fails makes orders one night late at most.
    """
    old = Counter[int]()
    for age, orders in ages.items():
        old[days - 1 if age is None else min(age, days - 1)] += orders
    due, need = 0, math.ceil(current / days)
    for nights in range(1, max(days, 2)):  # ``days`` nights for all orders is the usual share
        due += old[days - nights]
        need = max(need, math.ceil((due + done) / nights))
    return min(need, CATCH_UP * math.ceil(lately / days)) - done


def _count_left(run: SyncLog, days: int, ages: Mapping[int | None, int]) -> int:
    lately = SyncLog.objects.filter(  # a start in the future: before the clock was set back
        started_at__gt=run.started_at - RECENT, started_at__lte=run.started_at, full=False
    ).exclude(pk=run.pk)
    done = run.scrubbed
    if days > 1:  # otherwise what another run has read is too old by the next night
        done += lately.aggregate(orders=Sum("scrubbed"))["orders"] or 0
    current = Q(archived_at__isnull=True, forbidden_at__isnull=True)
    since = run.started_at - timedelta(days=days)
    away_since = Q(archived_at__gt=since) | Q(forbidden_at__gt=since)
    orders = BC.objects.aggregate(
        current=Count("pk", filter=current), lately=Count("pk", filter=current | away_since)
    )
    return left_of_a_night(ages, days=days, done=done, **orders)


def _count_by_age(moment: datetime, ids: Sequence[int] | None = None) -> dict[int | None, int]:
    """Return whole days from the confirmation to ``moment`` → how many orders; None: unknown."""
    rows = _scrubbable() if ids is None else _scrubbable().filter(odoo_id__in=ids)
    days = _WholeDays(Value(moment, DateTimeField()), F("synced_at"))
    aged = rows.annotate(age=Case(When(_has_no_age(), then=None), default=days)).order_by()
    return dict(aged.values("age").annotate(orders=Count("pk")).values_list("age", "orders"))


def _oldest_first(moment: datetime, days: int) -> "QuerySet[BC, int]":
    """Return the ids of orders that may be read, the longest unconfirmed first."""
    before = moment - RECENT if days > 1 else moment
    at = Case(When(_has_no_age(), then=None), default=F("synced_at"))
    rows = _scrubbable().filter(_has_no_age() | Q(synced_at__lt=before)).annotate(at=at)
    return rows.order_by(F("at").asc(nulls_first=True), "odoo_id").values_list("odoo_id", flat=True)


def _scrubbable() -> QuerySet[BC]:
    waiting = PendingBC.objects.filter(odoo_id=OuterRef("odoo_id"))
    return BC.objects.current().filter(~Exists(waiting))


def _has_no_age() -> Q:
    """Return the condition on orders whose ``synced_at`` gives no age: none, or in the future."""
    return Q(synced_at__isnull=True) | Q(synced_at__gt=Now())
