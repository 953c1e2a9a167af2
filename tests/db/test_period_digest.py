"""The digest: what counts and sums of ids by day tell, and what they can't."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import BC, BCLine, ProvenPeriod, SyncLog
from bc_consumer.odoo import Odoo
from bc_consumer.reconciliation.period_digest import PeriodComparison
from bc_consumer.reconciliation.run import reconcile, reconcile_slice
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator
from tests.comparing import differences

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause
OLD = datetime(2026, 3, 10, 12, tzinfo=UTC)
LINE = {"name": "Gift", "product_qty": 1, "price_unit": 0.0}


def run(**wish: Any) -> SyncLog:
    done = reconcile(RunRequest(**{"cause": Cause.NIGHTLY, **wish}))
    assert done.status == Status.OK, done.error
    return done


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def dated(simulator: Simulator, model: str, ids: list[int], moment: datetime = OLD) -> None:
    """As if these had last been written then."""
    for record_id in ids:
        text = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
        simulator.update_sql(model, record_id, {"write_date": text})


def lines_of(simulator: Simulator, order_id: int) -> list[int]:
    order = simulator.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


@pytest.fixture
def old_order(simulator: Simulator) -> int:
    """An order of eight lines, all of one old day."""
    order_id = simulator.create_order(lines=[LINE] * 8)
    dated(simulator, "purchase.order.line", lines_of(simulator, order_id))
    dated(simulator, "purchase.order", [order_id])
    return order_id


@pytest.mark.slow("plays whole runs")
def test_a_line_more_and_a_line_less_on_one_old_day(simulator: Simulator, old_order: int) -> None:
    run()
    assert ProvenPeriod.objects.filter(model="line").exists()
    gone = lines_of(simulator, old_order)[2]
    new = simulator.add_line(old_order, LINE)
    simulator.delete_line(gone)
    dated(simulator, "purchase.order.line", [new])
    dated(simulator, "purchase.order", [old_order])
    done = run()
    assert done.found_by_digest >= 1
    assert differences(simulator, sql) == []
    assert not BCLine.objects.filter(odoo_id=gone).exists()


@pytest.mark.slow("plays whole runs")
def test_equal_counts_and_sums_of_a_day_that_was_never_proven_are_compared_by_id(
    simulator: Simulator, old_order: int
) -> None:
    """Odoo has lines 1 and 4 where the copy has 2 and 3: no figure tells."""
    lines = lines_of(simulator, old_order)
    run()
    ProvenPeriod.objects.all().delete()
    simulator.delete_line(lines[1])
    simulator.delete_line(lines[2])
    dated(simulator, "purchase.order", [old_order])
    BCLine.objects.filter(odoo_id__in=[lines[0], lines[3]]).delete()
    done = run()
    assert done.found_by_digest == 1
    assert differences(simulator, sql) == []


@pytest.mark.parametrize("model", ["order", "line"])
def test_a_day_at_the_settled_moment(
    model: Any, simulator: Simulator, odoo: Odoo, old_order: int
) -> None:
    run()
    ProvenPeriod.objects.all().delete()
    day_after = OLD.replace(hour=0) + timedelta(days=1)
    list(PeriodComparison(odoo, model, day_after - timedelta(seconds=1)).pages())
    assert not ProvenPeriod.objects.exists()
    list(PeriodComparison(odoo, model, day_after).pages())
    assert [period.end for period in ProvenPeriod.objects.all()] == [day_after]


@pytest.mark.slow("plays whole runs")
def test_a_proven_day_that_differs_now_is_found_although_its_proof_stays(
    simulator: Simulator, old_order: int
) -> None:
    run()
    simulator.delete_line(lines_of(simulator, old_order)[3])
    dated(simulator, "purchase.order", [old_order])
    run()
    assert differences(simulator, sql) == []
    assert BCLine.objects.count() == 7


def test_what_differs_is_not_remembered_as_proven(
    simulator: Simulator, odoo: Odoo, old_order: int
) -> None:
    """The same day's figures are equal, its ids are not: only the next night proves it."""
    lines = lines_of(simulator, old_order)
    run()
    ProvenPeriod.objects.all().delete()
    simulator.delete_line(lines[1])
    simulator.delete_line(lines[2])
    dated(simulator, "purchase.order", [old_order])
    BCLine.objects.filter(odoo_id__in=[lines[0], lines[3]]).delete()
    settled = datetime.now(UTC)
    pages = list(PeriodComparison(odoo, "line", settled).pages())
    assert [page.orders for page in pages if page.orders] == [frozenset([old_order])]
    assert not ProvenPeriod.objects.filter(model="line").exists()


@pytest.mark.slow("plays whole runs")
def test_an_order_whose_lines_differ_on_many_days_is_found_by_one_comparison(
    simulator: Simulator,
) -> None:
    """Above a number of separate stretches of days, they are compared as one."""
    ids = [simulator.create_order(lines=[LINE] * 2) for _ in range(9)]
    for number, order_id in enumerate(ids):
        day = OLD - timedelta(days=3 * number)
        dated(simulator, "purchase.order.line", lines_of(simulator, order_id), day)
        dated(simulator, "purchase.order", [order_id], day)
    run()
    for number, order_id in enumerate(ids):
        simulator.delete_line(lines_of(simulator, order_id)[0])
        dated(simulator, "purchase.order", [order_id], OLD - timedelta(days=3 * number))
    assert run().found_by_digest == 9
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays several whole runs")
def test_pages_of_ids_leave_nothing_out(simulator: Simulator, settings: LazySettings) -> None:
    settings.SYNC_PAGE_SIZE = 4
    ids = list(simulator.bulk_create(30, 3, spread_days=5))
    run()
    ProvenPeriod.objects.all().delete()
    gone = [ids[0], ids[3], ids[4], ids[29]]
    simulator.delete_order(gone)
    done = run()
    assert done.gone == 4
    assert set(BC.objects.exclude(archived_at=None).values_list("odoo_id", flat=True)) == set(gone)


@pytest.mark.slow("plays several whole runs")
def test_a_first_load_proves_so_that_the_first_night_is_a_quiet_one(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_PAGE_SIZE = 20
    simulator.bulk_create(300, 2, spread_days=300)
    run(cause=Cause.COMMAND)
    simulator.calls_clear()
    assert run().bc_count <= 2
    assert len(simulator.calls) <= 25, [(call.model, call.method) for call in simulator.calls]


@pytest.mark.slow("plays several whole runs")
def test_records_that_sql_made_without_a_date_are_compared_by_id(simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=[LINE] * 2) for _ in range(3)]
    lines = [lines_of(simulator, order_id)[0] for order_id in ids]
    dated(simulator, "purchase.order.line", simulator.line_ids())
    simulator.update_sql("purchase.order", ids[:2], {"write_date": False})
    simulator.update_sql("purchase.order.line", lines, {"write_date": False})
    run()
    assert BC.objects.filter(write_date=None).count() == 2
    assert run().found_by_digest == 0
    new = simulator.create_order(lines=[])
    simulator.update_sql("purchase.order", [new], {"write_date": False})
    simulator.delete_order(ids[:1])
    simulator.delete_line(lines[1:2])
    simulator.update_sql("purchase.order", ids[1:2], {"write_date": False})
    done = run()
    assert (done.gone, done.found_by_digest) == (1, 3)
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays whole runs")
def test_a_comparison_that_ends_in_the_middle_is_gone_on_with(
    simulator: Simulator, odoo: Odoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice of a run may be shorter than the comparison of millions of lines."""
    monkeypatch.setattr("bc_consumer.reconciliation.period_digest.SPAN_ROWS", 10)
    simulator.bulk_create(60, 1, spread_days=30)
    run()
    ProvenPeriod.objects.all().delete()
    settled = datetime.now(UTC)

    def pages() -> int:
        return sum(call.method == "search_read" for call in simulator.calls)

    for page in PeriodComparison(odoo, "order", settled).pages():
        if page.stored:
            break
    begun = ProvenPeriod.objects.count()
    assert 1 <= begun <= 10
    simulator.calls_clear()
    list(PeriodComparison(odoo, "order", settled).pages())
    first = pages()
    assert ProvenPeriod.objects.filter(end__lte=settled).count() > begun
    ProvenPeriod.objects.all().delete()
    simulator.calls_clear()
    list(PeriodComparison(odoo, "order", settled).pages())
    assert pages() == first + 1


@pytest.mark.slow("plays whole runs")
def test_slices_that_are_far_too_short_end_all_the_same(
    simulator: Simulator, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bc_consumer.reconciliation.period_digest.SPAN_ROWS", 10)
    settings.SYNC_SLICE_SECONDS, settings.SYNC_PAGE_SIZE = 0.001, 10
    simulator.bulk_create(40, 1, spread_days=30)
    slices, left = 1, reconcile_slice(None)
    while left is not None:
        slices, left = slices + 1, reconcile_slice(left)
        assert slices < 200
    assert SyncLog.objects.get().status == Status.OK
    assert slices > 10
    assert differences(simulator, sql) == []


def listed_lines(simulator: Simulator, comparison: PeriodComparison) -> int:
    """Compare, and return how many calls listed lines with a date."""
    simulator.calls_clear()
    list(comparison.pages())
    listings = [call for call in simulator.calls if call.method == "search_read"]
    return len(listings) - 1  # one asks for lines without a date


@pytest.fixture
def just_read(old_order: int) -> datetime:
    """Load the order; return when that began."""
    began = database_now()
    run()
    ProvenPeriod.objects.all().delete()
    return began


def test_a_day_that_the_run_has_read_is_proven_without_its_ids(
    simulator: Simulator, odoo: Odoo, just_read: datetime
) -> None:
    settled = datetime.now(UTC)
    later = database_now()
    assert listed_lines(simulator, PeriodComparison(odoo, "line", settled, read_since=later)) == 1
    ProvenPeriod.objects.all().delete()
    comparison = PeriodComparison(odoo, "line", settled, read_since=just_read)
    assert listed_lines(simulator, comparison) == 0
    assert ProvenPeriod.objects.filter(model="line").count() == 2  # the day and its month


def test_an_equal_count_alone_proves_nothing(
    simulator: Simulator, odoo: Odoo, just_read: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where this Odoo can't tell the sum of a large period's ids."""
    ask = odoo.listing.line_buckets
    monkeypatch.setattr(
        odoo.listing,
        "line_buckets",
        lambda *args, **named: [replace(one, id_sum=None) for one in ask(*args, **named)],
    )
    for options in ({"read_since": just_read}, {"all_follow": True}):
        ProvenPeriod.objects.all().delete()
        comparison = PeriodComparison(odoo, "line", datetime.now(UTC), **options)
        assert listed_lines(simulator, comparison) == 1


def test_what_was_read_in_the_future_is_not_just_read(
    simulator: Simulator, odoo: Odoo, just_read: datetime
) -> None:
    """The database's clock was set back since."""
    BC.objects.update(synced_at=database_now() + timedelta(hours=1))
    comparison = PeriodComparison(odoo, "line", datetime.now(UTC), read_since=just_read)
    assert listed_lines(simulator, comparison) == 1


def test_where_all_content_follows_ids_are_listed_only_of_what_differs(
    simulator: Simulator, odoo: Odoo, old_order: int, just_read: datetime
) -> None:
    settled = datetime.now(UTC)
    assert listed_lines(simulator, PeriodComparison(odoo, "line", settled, all_follow=True)) == 0
    assert not ProvenPeriod.objects.exists(), "nothing was compared yet"
    BCLine.objects.filter(odoo_id=lines_of(simulator, old_order)[0]).delete()
    assert listed_lines(simulator, PeriodComparison(odoo, "line", settled, all_follow=True)) == 1
