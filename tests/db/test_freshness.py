"""How fresh the copy is, as the first page tells it, and what asking costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from bc_consumer.console import freshness
from bc_consumer.console.figures import DelayFigures, percentile
from bc_consumer.models import Heartbeat, JournalEntry, SyncState
from tests.db.copied import journal, pending

pytestmark = pytest.mark.django_db

NOTHING = DelayFigures(0, None, None)


@pytest.fixture(autouse=True)
def _state() -> None:
    SyncState.objects.get_or_create(key=SyncState.KEY)


def ago(**parts: float) -> datetime:
    return timezone.now() - timedelta(**parts)


def entries(delays: list[float], at: datetime, counted_from: str = "mark") -> None:
    JournalEntry.objects.bulk_create(
        JournalEntry(
            odoo_id=1, at=at, outcome="changed", causes="webhook", delay=d, delay_from=counted_from
        )
        for d in delays
    )


def test_an_empty_copy() -> None:
    known = freshness.freshness()
    assert known.ledger.oldest_owed_seconds is None
    assert known.last_hour == freshness.LastHour(NOTHING, NOTHING)
    assert known.signs == freshness.LastSigns(None, None, None)
    assert [bar.delays for bar in freshness.delays_by_hour()] == [NOTHING] * 24


def test_delays_of_the_last_hour_by_what_they_count_from() -> None:
    entries([0.1, 0.2, 0.3, 8.0], ago(minutes=10))
    entries([30.0, 50.0], ago(minutes=20), "change")
    entries([77.0], ago(minutes=70))
    journal(1, causes="nightly")  # has none
    journal(1, delay=900.0, delay_from="")  # of an earlier version
    assert freshness.freshness().last_hour == freshness.LastHour(
        webhooks=DelayFigures(4, 0.2, 8.0), others=DelayFigures(2, 30.0, 50.0)
    )


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 40, 100])
def test_percentiles_are_those_of_the_live_page(count: int) -> None:
    delays = [float(n * n) for n in range(count)]
    entries(delays, ago(minutes=10))
    expected = DelayFigures(count, percentile(delays, 0.5), percentile(delays, 0.95))
    assert freshness.freshness().last_hour.webhooks == expected


def test_the_chart_has_a_bar_for_each_of_24_hours(settings: LazySettings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"  # its hours begin at half past UTC's
    bars = freshness.delays_by_hour()
    present = bars[-1].hour
    assert [bar.hour for bar in bars] == [present - timedelta(hours=n) for n in range(23, -1, -1)]
    assert (present.minute, present.tzinfo) == (30, UTC)
    assert present <= timezone.now() < present + timedelta(hours=1)

    freshness.delays_by_hour.forget()
    entries([1.0], present - timedelta(hours=24))  # a day ago: too old by an hour
    entries([2.0], present - timedelta(hours=23))
    entries([3.0, 5.0, 4.0], present - timedelta(microseconds=1))
    entries([6.0], present)
    bars = freshness.delays_by_hour()
    assert bars[0].delays == DelayFigures(1, 2.0, 2.0)
    assert bars[-2].delays == DelayFigures(3, 4.0, 5.0)
    assert bars[-1].delays == DelayFigures(1, 6.0, 6.0)
    assert sum(bar.delays.count for bar in bars) == 5


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite reads all of them")
def test_a_flood_costs_no_more_than_its_sample_and_is_counted_all_the_same() -> None:
    flood = ago(minutes=30)
    entries([0.5] * (2 * freshness.SAMPLED), flood)
    entries([9.0] * 10, flood + timedelta(seconds=1))  # the sample is full
    last_hour = freshness.freshness().last_hour.webhooks
    assert last_hour == DelayFigures(2 * freshness.SAMPLED + 10, 0.5, 0.5)


def test_when_something_was_last_heard() -> None:
    webhook_at, answered_at = ago(seconds=20), ago(seconds=3)
    SyncState.objects.update(webhook_at=webhook_at)
    for kind, at in (("worker", answered_at), ("scheduler", ago(hours=1)), ("web", None)):
        Heartbeat.objects.create(kind=kind, host="m", pid=1, at=Now(), odoo_answered_at=at)
    journal(1, version=7, at=ago(minutes=5))
    applied = journal(2, version=8, at=ago(minutes=4))
    journal(2, outcome="unconfirmed")
    signs = freshness.freshness().signs
    assert signs == freshness.LastSigns(applied.at, webhook_at, answered_at)


def test_what_waits_is_told() -> None:
    pending(1, age=90)
    assert freshness.freshness().ledger.oldest_owed_seconds == pytest.approx(90, abs=5)


def test_it_costs_a_few_statements_once_in_a_while(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    entries([0.5] * 100, ago(minutes=10))
    with django_assert_num_queries(8):
        freshness.freshness()
    with django_assert_num_queries(3):
        freshness.delays_by_hour()
    with django_assert_num_queries(0):
        for _tab in range(10):
            freshness.freshness()
            freshness.delays_by_hour()
