"""Quiet or broken: silence is told where there usually is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from pytest_django import DjangoAssertNumQueries

from bc_consumer.console import event_silence
from bc_consumer.console.event_silence import EventFlow, Flow
from bc_consumer.core.working_hours import read_working_hours
from bc_consumer.models import JournalEntry, SyncState

pytestmark = pytest.mark.django_db

MONDAY_NOON = datetime(2026, 3, 16, 11, 0, tzinfo=UTC)
"""At noon in Paris, before its clocks change."""


@pytest.fixture(autouse=True)
def _in_paris(settings: LazySettings) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    settings.WORKING_HOURS = read_working_hours("mon-fri 8-18")
    settings.SYNC_POLL_SECONDS = 0
    settings.PUBLIC_URL = "https://copy.example.com"
    SyncState.objects.get_or_create(key=SyncState.KEY)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The database's time, to be set."""
    moment = [MONDAY_NOON]
    monkeypatch.setattr(event_silence, "database_now", lambda: moment[0])
    return moment


def events(since: datetime, hours: float, per_hour: int) -> None:
    step = timedelta(hours=1) / per_hour
    JournalEntry.objects.bulk_create(
        JournalEntry(
            odoo_id=1, at=since + n * step, outcome="changed", causes="webhook",
            delay=0.2, delay_from="mark",
        )
        for n in range(int(hours * per_hour))
    )  # fmt: skip


def usual_days(per_hour: int = 12, days: int = 14) -> None:
    """Let events have come from 8 to 18 on each day but Saturdays and Sundays."""
    for ago in range(1, days + 1):
        morning = MONDAY_NOON - timedelta(days=ago, hours=4)
        if morning.weekday() < 5:
            events(morning, 10, per_hour)


def last_event(at: datetime) -> None:
    SyncState.objects.update(webhook_at=at)


def test_an_event_of_late_shows_that_they_come(now: list[datetime]) -> None:
    last_event(MONDAY_NOON - timedelta(minutes=20))
    known = event_silence.event_flow()
    assert (known.flow, known.silent_seconds) == (Flow.FLOWING, 1200)


def test_silence_where_events_usually_come_is_told(now: list[datetime]) -> None:
    usual_days(per_hour=12)
    since = MONDAY_NOON - timedelta(hours=2)
    last_event(since)
    assert event_silence.event_flow() == EventFlow(Flow.SILENT, since, 7200, 12)


def test_silence_counts_from_the_beginning_of_the_day_s_hours(now: list[datetime]) -> None:
    usual_days()
    last_event(MONDAY_NOON - timedelta(days=3))
    known = event_silence.event_flow()
    assert (known.flow, known.silent_seconds) == (Flow.SILENT, 4 * 3600)
    now[0] = MONDAY_NOON - timedelta(hours=3, minutes=45)
    event_silence.event_flow.forget()
    known = event_silence.event_flow()
    assert (known.flow, known.silent_seconds) == (Flow.QUIET, 900)


@pytest.mark.parametrize(
    "moment",
    [MONDAY_NOON + timedelta(hours=7), MONDAY_NOON - timedelta(days=1)],
    ids=["in the evening", "on a Sunday"],
)
def test_outside_the_hours_silence_is_quiet(now: list[datetime], moment: datetime) -> None:
    usual_days()
    now[0] = moment
    last_event(MONDAY_NOON - timedelta(days=3))
    assert event_silence.event_flow().flow is Flow.QUIET


def test_where_few_events_come_at_this_time_silence_is_quiet(now: list[datetime]) -> None:
    """Three hours with one event each: none comes often enough by chance."""
    usual_days(per_hour=1)
    last_event(MONDAY_NOON - timedelta(hours=3))
    known = event_silence.event_flow()
    assert (known.flow, known.usual_per_hour) == (Flow.QUIET, 1)


def test_days_off_and_a_day_of_trouble_do_not_change_what_is_usual(now: list[datetime]) -> None:
    usual_days()
    for ago in (3, 4, 5, 6):  # Friday to Tuesday
        day = MONDAY_NOON - timedelta(days=ago)
        JournalEntry.objects.filter(at__date=day.date()).delete()
    last_event(MONDAY_NOON - timedelta(hours=1))
    known = event_silence.event_flow()
    assert (known.flow, known.usual_per_hour) == (Flow.SILENT, 12)


def test_without_a_history_nothing_is_known(now: list[datetime]) -> None:
    usual_days(days=4)  # of which two are working days
    known = event_silence.event_flow()
    assert (known.flow, known.usual_per_hour) == (Flow.UNKNOWN, None)


def test_the_hours_keep_their_time_when_the_clocks_change(now: list[datetime]) -> None:
    """On the Monday after, noon is an hour earlier in UTC, and compared with noon all the same."""
    for ago in range(1, 15):
        morning = MONDAY_NOON - timedelta(days=ago, hours=1)
        events(morning + timedelta(days=14), 1, 12)  # from 11 to 12 only
    now[0] = datetime(2026, 3, 30, 10, 0, tzinfo=UTC)
    last_event(now[0] - timedelta(hours=1))
    known = event_silence.event_flow()
    assert (known.flow, known.usual_per_hour) == (Flow.SILENT, 12)


def test_a_copy_that_polls_expects_none(settings: LazySettings, now: list[datetime]) -> None:
    settings.SYNC_POLL_SECONDS, settings.PUBLIC_URL = 60, ""
    assert event_silence.event_flow() == EventFlow(Flow.POLLED)


def test_whoever_expects_events_at_no_time_is_told_of_no_silence(
    settings: LazySettings, now: list[datetime]
) -> None:
    usual_days()
    settings.WORKING_HOURS = None
    assert event_silence.event_flow().flow is Flow.QUIET


def test_it_costs_three_statements_once_in_a_while(
    now: list[datetime], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    usual_days()
    with django_assert_num_queries(2):  # and one for the time
        event_silence.event_flow()
    with django_assert_num_queries(0):
        event_silence.event_flow()
