"""The first page's figures on a copy with a long history: each is read by an index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone as django_timezone

from bc_consumer.console import correctness, event_silence, figures, freshness
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.working_hours import read_working_hours
from bc_consumer.models import BC, BCLine, JournalEntry, SyncLog, SyncState
from bench.large_copy import NIGHTS, fill

pytestmark = [
    pytest.mark.usefixtures("single_rows"),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="about PostgreSQL's plans"),
    pytest.mark.slow("it fills in a history"),
]

ORDERS, LINES, JOURNAL = 2_000, 5, 60_000


@pytest.fixture
def large(settings: LazySettings) -> Iterator[None]:
    settings.WORKING_HOURS = read_working_hours("mon-sun 0-24")
    settings.PUBLIC_URL = "https://copy.example.com"
    fill(connection, ORDERS, LINES, JOURNAL, days=20)
    # Where it is noon: right after midnight no event is missed yet, and nothing is asked.
    to_noon = timedelta(hours=12 - datetime.now(UTC).hour)
    with django_timezone.override(timezone(to_noon)):
        yield


def plans_of(question: Callable[[], object]) -> list[str]:
    """Return how PostgreSQL carries out each statement about the journal, or about runs."""
    with CaptureQueriesContext(connection) as captured:
        question()
    plans = []
    for query in captured.captured_queries:
        if any(name in query["sql"] for name in ("journalentry", "synclog", "forbidden_at")):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {query['sql']}")
                plans.append("\n".join(line for (line,) in cursor.fetchall()))
    return plans


def test_a_large_copy_is_filled_in_and_its_figures_are_read_by_their_indexes(large: None) -> None:
    assert BC.objects.count() == ORDERS
    assert BCLine.objects.count() == ORDERS * LINES
    assert {bc.lines.count() for bc in BC.objects.order_by("odoo_id")[:3]} == {LINES}
    assert JournalEntry.objects.count() == JOURNAL
    assert SyncLog.objects.count() == NIGHTS
    assert JournalEntry.objects.latest("id").at <= database_now()
    a_day = JOURNAL / 20
    per_hour = a_day / 24 * 0.95
    bars = freshness.delays_by_hour()
    assert bars[-2].delays.count == pytest.approx(per_hour, abs=5)
    assert bars[-2].delays.p50 is not None

    questions: list[Callable[[], object]] = [
        freshness._read_present,
        freshness._last_hour,
        freshness._delays_by_hour,
        event_silence._event_flow,
        figures.delay_figures,
        correctness._correctness,
        correctness._missed_by_night,
    ]
    SyncState.objects.update(webhook_at=None)
    for question in questions:
        plans = plans_of(question)
        assert plans
        for plan in plans:
            assert "Seq Scan on bc_consumer_journalentry" not in plan
            assert "Seq Scan on bc_consumer_synclog" not in plan
    (plan,) = plans_of(figures._copy_figures)
    assert "bc_forbidden" in plan
    assert all(
        "Index Only Scan using journal_delays" in plan
        for plan in plans_of(freshness._delays_by_hour)
    )
