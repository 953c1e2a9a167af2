"""When people work, as a setting says it; and times of day in the project's time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured

from bc_consumer.core.environment import Environment
from bc_consumer.core.local_time import local_day, moment_of, next_moment
from bc_consumer.core.working_hours import WorkingHours, read_working_hours


@pytest.mark.parametrize(
    ("text", "days", "begin", "end"),
    [
        ("mon-fri 8-18", {0, 1, 2, 3, 4}, time(8), time(18)),
        ("Mon,Wed,Sat 7:30-12", {0, 2, 5}, time(7, 30), time(12)),
        ("mon-wed,fri 06:00-14:45", {0, 1, 2, 4}, time(6), time(14, 45)),
        ("sat-mon 8-12", {5, 6, 0}, time(8), time(12)),
        ("mon-sun 0-24", set(range(7)), time(0), time.max),
    ],
)
def test_hours_are_read(text: str, days: set[int], begin: time, end: time) -> None:
    assert read_working_hours(text) == WorkingHours(frozenset(days), begin, end)


@pytest.mark.parametrize(
    "text", ["mon-fri", "8-18", "lun-ven 8-18", "mon-fri 18-8", "mon-fri 8-25", "mon 8-8:60"]
)
def test_anything_else_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="WORKING_HOURS"):
        Environment({"WORKING_HOURS": text}).working_hours("WORKING_HOURS", "mon-fri 8-18")


def test_never_is_no_hours() -> None:
    assert Environment({"A": "never"}).working_hours("A", "mon-fri 8-18") is None
    assert Environment({}).working_hours("A", "mon 8-18") == read_working_hours("mon 8-18")


def test_a_day_is_a_working_day_or_not() -> None:
    hours = read_working_hours("mon-fri 8-18")
    assert hours.has(date(2026, 3, 2))
    assert not hours.has(date(2026, 3, 1))


def test_moments_are_of_the_project_s_time_zone(settings: LazySettings) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    late = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
    assert local_day(late) == date(2026, 7, 2)
    assert moment_of(date(2026, 7, 2), time(8)) == datetime(2026, 7, 2, 6, tzinfo=UTC)
    assert next_moment(late, time(2, 30)) == datetime(2026, 7, 2, 0, 30, tzinfo=UTC)
    due = datetime(2026, 7, 2, 0, 30, tzinfo=UTC)
    assert next_moment(due, time(2, 30)) == datetime(2026, 7, 3, 0, 30, tzinfo=UTC)
