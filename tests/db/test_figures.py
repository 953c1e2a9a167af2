"""What pages and ``/status.json`` read."""

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from bc_consumer.console import figures as console_figures
from bc_consumer.models import JournalEntry
from tests.db.copied import bc, failed, journal, line, pending

pytestmark = pytest.mark.django_db


def test_figures_of_nothing() -> None:
    figures = console_figures.read_figures()
    assert figures.copy == console_figures.CopyFigures(0, 0, 0, 0)
    assert figures.ledger == console_figures.LedgerFigures(0, 0, 0, 0, None)
    assert figures.delay == console_figures.DelayFigures(0, None, None)


def test_each_order_is_current_or_archived_or_forbidden() -> None:
    now = timezone.now()
    line(bc(1), 11)
    bc(2, archived_at=now)
    bc(3, forbidden_at=now)
    line(bc(4, archived_at=now, forbidden_at=now), 41)
    assert console_figures.read_figures().copy == console_figures.CopyFigures(
        bc_current=1, bc_archived=2, bc_forbidden=1, lines=2
    )


def test_each_pending_row_is_owed_or_watched_or_failed_or_held() -> None:
    pending(1, age=30)
    pending(2, age=90, generation=5, fetched_generation=4)
    pending(3, age=500, generation=2, fetched_generation=2)
    failed(4, age=4000)
    pending(5, age=4000, held_reason="too many at once")
    failed(6, age=4000, held_reason="too many at once")
    ledger = console_figures.read_figures().ledger
    assert (ledger.owed, ledger.watching, ledger.failed, ledger.held) == (2, 1, 2, 1)
    assert ledger.oldest_owed_seconds == pytest.approx(90, abs=5)


def test_delays_are_those_that_count_from_a_known_moment() -> None:
    for delay in (0.1, 0.2, 0.3, 0.4, 9.0):
        journal(1, delay=delay)
    journal(1, delay=50.0, delay_from="")  # of a version that counted from the first mark
    journal(1, delay=None, causes="nightly")
    journal(1, delay=None, outcome="unconfirmed")
    journal(1, delay=0.3, delay_from="change", causes="poll")
    assert console_figures.delay_figures() == console_figures.DelayFigures(
        count=6, p50=0.3, p95=9.0
    )


def test_delays_are_those_of_the_latest_changes() -> None:
    journal(1, delay=1000.0)
    now = timezone.now()
    entries = [
        JournalEntry(
            odoo_id=1, at=now, outcome="changed", causes="webhook", delay=0.5, delay_from="mark"
        )
        for _ in range(console_figures.DELAYS)
    ]
    JournalEntry.objects.bulk_create(entries)
    assert console_figures.delay_figures() == console_figures.DelayFigures(
        console_figures.DELAYS, 0.5, 0.5
    )


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.5, 7.0), ([1.0, 2.0], 0.5, 1.0), ([1.0, 2.0], 0.95, 2.0)],
)
def test_percentile(values: list[float], share: float, expected: float | None) -> None:
    assert console_figures.percentile(values, share) == expected


def test_latest_journal_has_the_newest_first_with_their_orders(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    bc(1)
    for odoo_id in (1, 2, 1):
        journal(odoo_id)
    with django_assert_num_queries(2):
        told = console_figures.latest_journal(2)
    assert [(one.entry.odoo_id, str(one.bc)) for one in told] == [(1, "P00001"), (2, "None")]


def test_an_order_story(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    order = bc(1)
    line(order, 12, sequence=20)
    line(order, 13, sequence=10)
    journal(1)
    journal(2)
    pending(1)
    with django_assert_num_queries(4):
        story = console_figures.order_story(1, 10)
    assert story is not None
    assert story.bc == order
    assert [one.odoo_id for one in story.lines] == [13, 12]
    assert len(story.journal) == 1
    assert story.pending is not None


def test_an_order_that_is_only_pending_has_a_story_and_an_unknown_one_has_none() -> None:
    pending(1)
    story = console_figures.order_story(1, 10)
    assert story is not None
    assert story.bc is None
    assert console_figures.order_story(2, 10) is None
