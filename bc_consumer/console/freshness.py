"""How fresh the copy is: what waits, how late changes were applied, and who was last heard of.

Delays are read from the index ``journal_delays`` alone. Their number is exact. Their percentiles
are of a sample: on PostgreSQL the first ``SAMPLED`` of each ``SLICE_SECONDS``, which is all of them
up to 3,000 changes an hour. So however much happens, a day's chart sorts 72,000 numbers at most.
Stored aggregates of each hour would be cheaper to read. They would need a table, a process that
fills it, and a way to make up for the hours in which that process did not run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Max
from django.utils import timezone

from bc_consumer.console.figures import DelayFigures, LedgerFigures, count_ledger
from bc_consumer.core.cached_value import (
    ACTED_UPON_SECONDS,
    SMALL_SHARE,
    SMALL_SHARE_LONGEST_SECONDS,
    CachedValue,
)
from bc_consumer.core.sql_dialect import database_now, dialect
from bc_consumer.models import Heartbeat, JournalEntry, SyncState

DelayFrom = JournalEntry.DelayFrom
TABLE = JournalEntry._meta.db_table

PROMPT_SHARE = 0.002
"""Share of a connection's time for what should look present: 1 ms of it is at most half a second
old. It is a few index entries and the ledger, which is short while all is well."""
HOURS = 24
"""Bars of the chart; the last one is the present hour."""
HOUR = timedelta(hours=1)
SLICE_SECONDS = 300
SAMPLED = 250
"""Delays in each slice that percentiles are computed from."""


@dataclass(frozen=True, slots=True)
class HourOfDelays:
    """One bar of the chart."""

    hour: datetime
    """Its beginning: a whole hour of the project's time zone, in UTC."""
    delays: DelayFigures


@dataclass(frozen=True, slots=True)
class LastHour:
    """The delays of the last sixty minutes, by what they are counted from."""

    webhooks: DelayFigures
    """Changes that webhooks announced."""
    others: DelayFigures
    """Changes that polls found, or further looks at orders that webhooks had named before."""


@dataclass(frozen=True, slots=True)
class LastSigns:
    """When something last happened, by the database's clock; None: never, or it is not known."""

    change_at: datetime | None
    """A change was applied to the copy."""
    webhook_at: datetime | None
    """A webhook came in; noted within ten seconds."""
    odoo_answered_at: datetime | None
    """Odoo answered one of the processes that run now; noted within ten seconds."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """What tells how fresh the copy is, apart from the chart's data."""

    now: datetime
    """The database's time when this was read, all but the last hour."""
    ledger: LedgerFigures
    last_hour: LastHour
    signs: LastSigns


def freshness() -> Freshness:
    """Return these figures; those of the last hour may be older than the others."""
    known = present()
    return Freshness(known.now, known.ledger, last_hour(), known.signs)


@dataclass(frozen=True, slots=True)
class _Present:
    now: datetime
    ledger: LedgerFigures
    signs: LastSigns


def _read_present() -> _Present:
    return _Present(database_now(), count_ledger(), _last_signs())


def _last_hour() -> LastHour:
    now = database_now()
    since = now - HOUR
    counts = _counts(since, now, "delay_from")
    shares = _percentiles(since, now, "delay_from")
    return LastHour(
        webhooks=_figures(DelayFrom.MARK.value, counts, shares),
        others=_figures(DelayFrom.CHANGE.value, counts, shares),
    )


def _last_signs() -> LastSigns:
    numbered = JournalEntry.objects.filter(version__isnull=False).order_by("-version")
    webhooks = SyncState.objects.filter(key=SyncState.KEY).values_list("webhook_at", flat=True)
    answers = Heartbeat.objects.aggregate(latest=Max("odoo_answered_at"))
    return LastSigns(
        change_at=numbered.values_list("at", flat=True).first(),
        webhook_at=webhooks.first(),
        odoo_answered_at=answers["latest"],
    )


def _delays_by_hour() -> Sequence[HourOfDelays]:
    now = database_now()
    current = timezone.localtime(now).replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    hours = [current - ago * HOUR for ago in reversed(range(HOURS))]
    until = current + HOUR
    # Zones that are not whole hours from UTC begin their hours at another second.
    second = int(hours[0].timestamp())
    hour = f"({dialect().epoch.format('at')} - {second}) / 3600"
    counts = _counts(hours[0], until, hour)
    shares = _percentiles(hours[0], until, hour)
    return [HourOfDelays(start, _figures(n, counts, shares)) for n, start in enumerate(hours)]


def _figures(
    group: object,
    counts: Mapping[object, int],
    shares: Mapping[object, tuple[float | None, float | None]],
) -> DelayFigures:
    p50, p95 = shares.get(group, (None, None))
    return DelayFigures(counts.get(group, 0), p50, p95)


def _counts(since: datetime, until: datetime, group: str) -> dict[object, int]:
    """Return group → how many delays there are; ``group`` is an SQL expression of ours."""
    statement = f"""
        SELECT {group}, count(*) FROM {TABLE}
        WHERE at >= %s AND at < %s AND delay_from <> '' GROUP BY 1"""
    return dict(_fetch(statement, [_moment(since), _moment(until)]))


def _percentiles(
    since: datetime, until: datetime, group: str
) -> dict[object, tuple[float | None, float | None]]:
    """Return group → the median, and what 95 % do not exceed, as ``figures.percentile`` does."""
    if connection.vendor == "postgresql":
        source = f"""
            generate_series(%s::timestamptz, %s::timestamptz - interval '1 microsecond',
                interval '{SLICE_SECONDS} seconds') AS slice(began)
            CROSS JOIN LATERAL (
                SELECT at, delay, delay_from FROM {TABLE}
                WHERE at >= slice.began AND at < slice.began + interval '{SLICE_SECONDS} seconds'
                    AND delay_from <> ''
                ORDER BY at LIMIT {SAMPLED}) AS sampled"""
    else:  # it has no LATERAL, and no such load either
        source = f"""
            (SELECT at, delay, delay_from FROM {TABLE}
            WHERE at >= %s AND at < %s AND delay_from <> '') AS sampled"""
    statement = f"""
        SELECT grouped, min(CASE WHEN place * 2 >= number THEN delay END),
            min(CASE WHEN place * 20 >= number * 19 THEN delay END)
        FROM (
            SELECT grouped, delay, count(*) OVER (PARTITION BY grouped) AS number,
                row_number() OVER (PARTITION BY grouped ORDER BY delay) AS place
            FROM (SELECT {group} AS grouped, delay FROM {source}) AS delays) AS placed
        GROUP BY grouped"""
    rows = _fetch(statement, [_moment(since), _moment(until)])
    return {grouped: (p50, p95) for grouped, p50, p95 in rows}


def _moment(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


def _fetch(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


present = CachedValue(_read_present, share=PROMPT_SHARE, longest=ACTED_UPON_SECONDS)
shown_last_hour = CachedValue(_last_hour, share=PROMPT_SHARE)
"""The same as ``last_hour`` for a figure that people watch."""
last_hour = CachedValue(_last_hour, share=SMALL_SHARE)
delays_by_hour = CachedValue(
    _delays_by_hour, share=SMALL_SHARE, longest=SMALL_SHARE_LONGEST_SECONDS
)
