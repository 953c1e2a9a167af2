"""Quiet or broken: whether events come as they usually do at this time.

Nobody is told of a webhook that Odoo does not send: somebody switched a rule off, or a firewall
swallows it. What tells is silence where there usually is none. In the hours in which people work
(``WORKING_HOURS``) the time since the last event is compared with the same time of the day on the
latest working days: the journal knows how many changes webhooks announced then.
"""

import enum
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from bc_consumer.core.cached_value import SMALL_SHARE, CachedValue
from bc_consumer.core.local_time import local_day, moment_of
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.working_hours import WorkingHours
from bc_consumer.models import JournalEntry, SyncState
from bc_consumer.operations.webhook_use import expects_no_webhooks

TABLE = JournalEntry._meta.db_table

FLOWING_FOR = timedelta(minutes=30)
"""An event within this time shows that events come."""
COMPARED_AT_MOST = timedelta(hours=3)
"""Of a longer silence only the end is compared; it bounds the cost, and is enough to tell."""
DAYS = 14
"""How far back the days lie that are compared with."""
FEWEST_DAYS = 3
"""With fewer such days nothing can be said about what is usual."""
FEWEST_EVENTS = 5
"""Where so many events are usual, the chance of seeing none is below 1 % (if they come
independently of each other)."""


class Flow(enum.Enum):
    """The verdict."""

    FLOWING = "flowing"
    """An event came lately."""
    QUIET = "quiet"
    """None came lately, and that is usual: it is outside the hours, or few come at this time."""
    SILENT = "silent"
    """None came, although they usually do: something may be broken."""
    UNKNOWN = "unknown"
    """None came lately, and there is nothing yet to compare that with."""
    POLLED = "polled"
    """This copy polls Odoo and expects no events."""


@dataclass(frozen=True, slots=True)
class EventFlow:
    """The verdict with its facts."""

    flow: Flow
    last_event_at: datetime | None = None
    silent_seconds: float = 0.0
    """How long none has come, counted within today's hours."""
    usual_per_hour: float | None = None
    """How many come in an hour at this time of a working day, the median; None: not asked for."""


def _event_flow() -> EventFlow:
    if expects_no_webhooks():
        return EventFlow(Flow.POLLED)
    now = database_now()
    last = SyncState.objects.values_list("webhook_at", flat=True).first()
    if last is not None and now - last < FLOWING_FOR:
        return EventFlow(Flow.FLOWING, last, max((now - last).total_seconds(), 0.0))
    hours: WorkingHours | None = settings.WORKING_HOURS
    begun = None if hours is None else _beginning_of_hours(now, hours)
    if hours is None or begun is None:
        return EventFlow(Flow.QUIET, last)
    silent_since = begun if last is None else max(last, begun)
    silence = now - silent_since
    if silence < FLOWING_FOR:
        return EventFlow(Flow.QUIET, last, silence.total_seconds())
    return _compare(now, last, silence, hours)


def _beginning_of_hours(now: datetime, hours: WorkingHours) -> datetime | None:
    """Return when today's hours began; None if ``now`` is not within them."""
    today = local_day(now)
    begun = moment_of(today, hours.begin)
    return begun if hours.has(today) and begun <= now < moment_of(today, hours.end) else None


def _compare(
    now: datetime, last: datetime | None, silence: timedelta, hours: WorkingHours
) -> EventFlow:
    compared = min(silence, COMPARED_AT_MOST)
    days = _days_before(now, hours, compared)
    counts = [count for count, had_events in _count_events(days) if had_events]
    if len(counts) < FEWEST_DAYS:
        return EventFlow(Flow.UNKNOWN, last, silence.total_seconds())
    usual = statistics.median(counts)
    return EventFlow(
        Flow.SILENT if usual >= FEWEST_EVENTS else Flow.QUIET,
        last,
        silence.total_seconds(),
        usual / (compared / timedelta(hours=1)),
    )


@dataclass(frozen=True, slots=True)
class _Day:
    """One earlier working day."""

    begin: datetime
    """Of its hours."""
    end: datetime
    compared_since: datetime
    compared_until: datetime


def _days_before(now: datetime, hours: WorkingHours, compared: timedelta) -> list[_Day]:
    today, clock = local_day(now), timezone.localtime(now).time()
    found = []
    for ago in range(1, DAYS + 1):
        day = today - timedelta(days=ago)
        if hours.has(day):
            until = moment_of(day, clock)
            begin, end = moment_of(day, hours.begin), moment_of(day, hours.end)
            found.append(_Day(begin, end, until - compared, until))
    return found


def _count_events(days: Sequence[_Day]) -> list[tuple[int, bool]]:
    """Return, for each day, how many events came at the same time, and whether any came at all.

    A day without any was no working day, or one on which nothing was running.
    """
    came = f"FROM {TABLE} WHERE at >= %s AND at < %s AND delay_from = %s"
    one = f"(SELECT count(*) {came}), EXISTS (SELECT 1 {came})"
    parameters: list[Any] = []
    for day in days:
        for since, until in ((day.compared_since, day.compared_until), (day.begin, day.end)):
            moments = (connection.ops.adapt_datetimefield_value(at) for at in (since, until))
            parameters += [*moments, JournalEntry.DelayFrom.MARK.value]
    if not days:
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join([one] * len(days))}", parameters)
        row = cursor.fetchone()
    return [(row[n], bool(row[n + 1])) for n in range(0, len(row), 2)]


event_flow = CachedValue(_event_flow, share=SMALL_SHARE)
