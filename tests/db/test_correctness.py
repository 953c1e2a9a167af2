"""Whether the copy equals Odoo, as the first page tells it."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from bc_consumer.console import correctness
from bc_consumer.models import SyncLog, SyncState
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator
from tests.db.conftest import proven
from tests.db.copied import pending

pytestmark = pytest.mark.django_db

NIGHTLY, POLL = SyncLog.Cause.NIGHTLY, SyncLog.Cause.POLL
DONE = SyncLog.Phase.DONE
LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35}]


@pytest.fixture(autouse=True)
def _state(settings: LazySettings) -> None:
    settings.SYNC_NIGHTLY_AT = time(2, 30)
    SyncState.objects.get_or_create(key=SyncState.KEY)


def run(hours_ago: float, **values: Any) -> SyncLog:
    """Make a nightly run that found nothing, unless values differ."""
    began = timezone.now() - timedelta(hours=hours_ago)
    defaults = {
        "cause": NIGHTLY, "status": "ok", "phase": DONE, "ended_at": began + timedelta(minutes=5),
    }  # fmt: skip
    return SyncLog.objects.create(started_at=began, **{**defaults, **values})


def test_nothing_was_compared_yet() -> None:
    known = correctness.correctness()
    assert (known.completed, known.unfinished, known.at_work) == (None, None, None)
    assert known.complete_up_to is None
    assert known.next.nightly_at is not None
    assert known.next.nightly_at <= known.now, "due already"
    assert not any(night.ran for night in correctness.missed_by_night())


@pytest.mark.slow("plays whole runs")
@pytest.mark.usefixtures("odoo")
def test_a_run_that_finds_nothing_has_found_the_copy_equal(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.PUBLIC_URL = "https://copy.example.com"
    order_id = simulator.create_order(lines=LINES)
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    proven(simulator)
    reconcile(RunRequest(NIGHTLY))
    known = correctness.correctness().completed
    assert known is not None
    assert (known.cause, known.status, known.differences) == ("nightly", "ok", 0)
    assert correctness.correctness().complete_up_to is not None

    simulator.write_order(order_id, partner_ref="missed")
    reconcile(RunRequest(NIGHTLY))
    correctness.correctness.forget()
    known = correctness.correctness().completed
    assert known is not None
    assert (known.differences, known.missed_by_webhooks) == (1, 1)


@pytest.mark.parametrize("column", ["found_by_window", "found_by_digest", "found_by_names"])
def test_each_way_to_find_a_difference_counts(column: str) -> None:
    run(1, **{column: 3})
    known = correctness.correctness().completed
    assert known is not None
    assert known.differences == 3


@pytest.mark.parametrize("column", ["error_count", "held"])
def test_a_run_tells_of_orders_that_it_left_as_they_were(column: str) -> None:
    run(1, **{column: 1})
    known = correctness.correctness().completed
    assert known is not None
    assert (known.differences, known.failed + known.held) == (0, 1)


def test_polls_without_a_digest_and_scans_are_no_comparison_of_all() -> None:
    whole = run(9)
    run(3, cause=POLL, asked_for=True)
    run(2, cause=POLL, digest=False, found_by_window=5)
    known = correctness.correctness().completed
    assert known is not None
    assert known.key == whole.pk
    poll = run(1, cause=POLL)
    correctness.correctness.forget()
    known = correctness.correctness().completed
    assert known is not None
    assert known.key == poll.pk


@pytest.mark.parametrize("status", ["failed", "refused", "braked"])
def test_a_run_that_ended_before_is_told_until_one_is_completed(status: str) -> None:
    done = run(30)
    cut = run(6, status=status, phase="orders", error="Odoo is away")
    known = correctness.correctness()
    assert known.completed is not None
    assert known.completed.key == done.pk
    assert known.unfinished is not None
    assert (known.unfinished.key, known.unfinished.status) == (cut.pk, status)
    assert known.unfinished.error == "Odoo is away"
    run(3)
    correctness.correctness.forget()
    assert correctness.correctness().unfinished is None


def test_a_poll_that_gave_way_is_no_failure() -> None:
    run(6)
    run(1, cause=POLL, status="partial", phase="orders", error=SyncLog.GAVE_WAY)
    assert correctness.correctness().unfinished is None


def test_the_run_at_work_tells_how_far_it_is() -> None:
    at_work = run(
        0.5, status="running", phase="digest of orders", cursor=17, bc_count=40, ended_at=None
    )
    lease = timezone.now() + timedelta(minutes=1)
    SyncState.objects.update(is_syncing=True, lease_until=lease)
    pending(1, run=at_work, run_generation=1)
    pending(2, run=at_work, run_generation=1, fetched_generation=1)
    known = correctness.correctness().at_work
    assert known is not None
    assert (known.key, known.phase, known.cursor) == (at_work.pk, "digest of orders", 17)
    assert (known.reads, known.outstanding) == (40, 1)
    assert known.seconds == pytest.approx(1800, abs=30)


def test_when_the_next_run_is_due(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    now = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    monkeypatch.setattr(correctness, "database_now", lambda: now)
    tonight = datetime(2026, 7, 2, 0, 30, tzinfo=UTC)
    last_night = tonight - timedelta(days=1)
    good = run(0)
    SyncLog.objects.update(started_at=last_night + timedelta(minutes=1))
    assert correctness.correctness().next.nightly_at == tonight
    good.delete()
    correctness.correctness.forget()
    assert correctness.correctness().next.nightly_at == last_night
    settings.SYNC_NIGHTLY_AT, settings.SYNC_POLL_SECONDS = None, 60
    SyncState.objects.update(scan_due_at=now)
    correctness.correctness.forget()
    assert correctness.correctness().next == correctness.NextRun(None, 60, now)


def test_the_chart_has_a_bar_for_each_of_thirty_nights(settings: LazySettings) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    run(24 * 40, missed_by_webhooks=99)
    run(24 * 5, missed_by_webhooks=4, found_by_digest=6)
    run(24 * 3, status="failed", phase="orders", missed_by_webhooks=1)
    run(24 * 3 - 0.01, missed_by_webhooks=2)
    run(24 * 2, status="failed", phase="orders")
    run(24, cause=POLL, missed_by_webhooks=7)
    nights = correctness.missed_by_night()
    today = timezone.localtime().date()
    assert [night.day for night in nights] == [today - timedelta(days=n) for n in range(29, -1, -1)]
    ago = {(today - night.day).days: night for night in nights}
    assert (ago[5].ran, ago[5].missed_by_webhooks, ago[5].differences) == (True, 4, 6)
    assert (ago[3].ran, ago[3].missed_by_webhooks) == (True, 3)
    assert (ago[2].ran, ago[1].ran) == (False, False)
    assert sum(night.missed_by_webhooks for night in nights) == 7


def test_it_costs_a_few_statements_once_in_a_while(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for hours in range(40):
        run(hours)
    with django_assert_num_queries(5):
        correctness.correctness()
    with django_assert_num_queries(2):
        correctness.missed_by_night()
    with django_assert_num_queries(0):
        for _tab in range(10):
            correctness.correctness()
            correctness.missed_by_night()
