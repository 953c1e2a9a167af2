"""Counts and sums of ids by month and day: both ways to ask, and sums that XML-RPC can't carry."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest

from bc_consumer.odoo import CannotGroup, Odoo, OdooFault, OdooProtocolError
from bc_consumer.odoo.grouping_methods import FormattedReadGroup, PeriodName, ReadGroup, period_end
from bc_consumer.odoo.records import Bucket
from bc_consumer.odoo.xmlrpc_codec import read_response
from odoo_simulator import Simulator
from tests.unit.odoo.serving import TinyOdoo, captured, gateway, serving
from tests.unit.odoo.stamping import LINE, ORDER, moment, stamp, stamped_order, written

HIGHEST_ID = 2**31 - 1


@pytest.fixture
def odoo(simulator: Simulator) -> Odoo:
    return gateway(simulator)


def methods(simulator: Simulator) -> list[str]:
    return [call.method for call in simulator.calls if call.method != "authenticate"]


def expected(
    simulator: Simulator, ids: list[int], period: PeriodName, model: str = ORDER
) -> list[Bucket]:
    """What the buckets of these records have to be, one record at a time."""
    groups: dict[datetime, list[int]] = defaultdict(list)
    for number in ids:
        day = written(simulator, number, model).replace(hour=0, minute=0, second=0)
        groups[day.replace(day=1) if period == "month" else day].append(number)
    return [
        Bucket(start, period_end(start, period), len(numbers), sum(numbers))
        for start, numbers in sorted(groups.items())
    ]


@pytest.mark.parametrize("period", ["month", "day"])
def test_orders_and_lines_by_period(each_version: Simulator, period: PeriodName) -> None:
    each_version.bulk_create(300, lines_per_order=2, spread_days=100)
    for date in ("2024-02-29 23:59:59.999999", "2024-03-01", "2023-12-31 12:00:00"):
        stamped_order(each_version, date)
    listing = gateway(each_version).listing
    ids, lines = each_version.order_ids(), each_version.line_ids()
    assert listing.order_buckets(period) == expected(each_version, ids, period)
    assert listing.line_buckets(period) == expected(each_version, lines, period, LINE)


def test_a_window_cuts_what_is_counted_and_not_the_bounds(each_version: Simulator) -> None:
    dates = ["2026-01-31 23:59:59.5", "2026-02-01", "2026-02-27 12:00:00", "2026-02-28 00:00:00"]
    ids = [stamped_order(each_version, date) for date in dates]
    buckets = gateway(each_version).listing.order_buckets(
        "month", since=moment("2026-02-01"), until=moment("2026-02-28")
    )
    assert buckets == [Bucket(moment("2026-02-01"), moment("2026-03-01"), 2, ids[1] + ids[2])]


def test_no_order_no_bucket(each_version: Simulator) -> None:
    assert gateway(each_version).listing.order_buckets("day") == []
    each_version.bulk_create(3)
    each_version.faults.empty()
    assert gateway(each_version).listing.line_buckets("day") == []


def test_hidden_and_deleted_orders_are_not_counted(each_version: Simulator) -> None:
    ids = [stamped_order(each_version, "2026-01-01 08:00:00") for _ in range(4)]
    each_version.delete_order(ids[0])
    each_version.faults.forbid([ids[1]])
    [bucket] = gateway(each_version).listing.order_buckets("day")
    assert (bucket.count, bucket.id_sum) == (2, ids[2] + ids[3])


def test_records_without_a_date_are_in_no_bucket(each_version: Simulator) -> None:
    undated, dated = [stamped_order(each_version, date) for date in (False, "2026-01-01")]
    listing = gateway(each_version).listing
    [bucket] = listing.order_buckets("day")
    assert (bucket.count, bucket.id_sum) == (1, dated)
    assert [row.id for row in listing.undated_orders(after_id=0, limit=9)] == [undated]
    each_version.delete_order(dated)
    assert listing.order_buckets("month") == []
    assert listing.existing([undated]) == {undated}


# --- what the server has ---


def test_the_way_that_the_server_has_is_remembered(each_version: Simulator) -> None:
    stamped_order(each_version, "2026-01-01")
    listing = gateway(each_version).listing
    listing.order_buckets("day")
    each_version.calls_clear()
    listing.order_buckets("day")
    listing.line_buckets("month")
    way = "formatted_read_group" if each_version.version == 19 else "read_group"
    assert methods(each_version) == [way, way]


@pytest.mark.simulator(version=19)
def test_19_can_be_asked_the_elder_way_too(simulator: Simulator, odoo: Odoo) -> None:
    simulator.bulk_create(50, spread_days=5)
    newer = odoo.listing.line_buckets("day")
    simulator.faults.hide_method("formatted_read_group")
    simulator.calls_clear()
    assert odoo.listing.line_buckets("day") == newer
    assert odoo.listing.line_buckets("day") == newer
    assert methods(simulator) == ["formatted_read_group", "read_group", "read_group"]
    # Upgraded meanwhile: the other way is found again.
    simulator.faults.clear()
    simulator.faults.hide_method("read_group")
    assert odoo.listing.line_buckets("day") == newer


def test_an_odoo_that_cannot_group_says_so(each_version: Simulator) -> None:
    order_id = stamped_order(each_version, "2026-01-01")
    listing = gateway(each_version).listing
    for method in ("read_group", "formatted_read_group"):
        each_version.faults.hide_method(method)
    with pytest.raises(CannotGroup, match=r"ids have to be compared"):
        listing.order_buckets("day")
    each_version.faults.clear()
    [bucket] = listing.order_buckets("day")
    assert bucket.id_sum == order_id


def test_captured_answers_of_17_and_19_are_read() -> None:
    rows = read_response(captured("17_16_read_group_day.txt"))
    groups = [ReadGroup().group(row, "day") for row in rows]
    starts = [group.start for group in groups if group]
    assert starts == [moment("2026-01-01"), moment("2026-01-02")]
    first = groups[0]
    assert first is not None
    assert (first.count, first.figure) == (16, 16)  # asked for was id:count
    [row] = read_response(captured("19_16_formatted_read_group_day.txt"))
    group = FormattedReadGroup().group(row, "day")
    assert group is not None
    assert (group.start, group.count) == (moment("2026-11-24"), 22)


# --- sums ---


def at_the_end_of_ids(simulator: Simulator, count: int, **options: Any) -> list[int]:
    """Orders whose ids end just below PostgreSQL's highest integer."""
    simulator.store.tables[ORDER].last_id = HIGHEST_ID - count
    return list(simulator.bulk_create(count, lines_per_order=1, **options))


def test_sums_beyond_what_xmlrpc_carries(each_version: Simulator) -> None:
    ids = at_the_end_of_ids(each_version, 1_000)
    [bucket] = gateway(each_version).listing.order_buckets("day")
    assert (bucket.count, bucket.id_sum) == (1_000, sum(ids))


def test_a_million_orders_in_few_calls(each_version: Simulator) -> None:
    ids = at_the_end_of_ids(each_version, 1_000_000, spread_days=700)
    odoo = gateway(each_version)
    months = odoo.listing.order_buckets("month")
    calls = odoo.calls
    days = odoo.listing.order_buckets("day")
    assert odoo.calls == calls + 1
    for buckets in (months, days):
        assert sum(bucket.count for bucket in buckets) == len(ids)
        assert sum(bucket.id_sum or 0 for bucket in buckets) == sum(ids)


def test_a_sum_that_a_double_cannot_tell_is_none(simulator: Simulator, odoo: Odoo) -> None:
    ids = at_the_end_of_ids(simulator, 2_000_000)
    [bucket] = odoo.listing.order_buckets("month")
    assert bucket == Bucket(bucket.start, bucket.end, len(ids), None)


def without_averages(monkeypatch: pytest.MonkeyPatch, *functions: str) -> None:
    """An Odoo that knows these aggregates only."""
    monkeypatch.setattr("odoo_simulator.grouping._FUNCTIONS", functions)


def test_without_averages_sums_are_asked_for(
    each_version: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_averages(monkeypatch, "sum", "count")
    each_version.bulk_create(200, spread_days=40)
    odoo = gateway(each_version)
    wanted = expected(each_version, each_version.order_ids(), "day")
    assert odoo.listing.order_buckets("day") == wanted
    assert odoo.listing.order_buckets("day") == wanted
    each_version.calls_clear()
    assert odoo.listing.order_buckets("day") == wanted
    way = "formatted_read_group" if each_version.version == 19 else "read_group"
    assert methods(each_version) == [way, "search_read", way]  # it is remembered


def test_without_averages_a_large_sum_is_none_and_the_others_are_right(
    each_version: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_averages(monkeypatch, "sum", "count")
    each_version.store.tables[ORDER].last_id = 2**31 // 3
    dates = ["01-01", "01-02", "01-03", "01-03", "01-03", "01-04", "01-05", "01-05", "02-01"]
    ids = [stamped_order(each_version, f"2026-{date} 10:00:00") for date in dates]
    buckets = gateway(each_version).listing.order_buckets("day", since=moment("2026-01-01"))
    found = [(bucket.start.day, bucket.count, bucket.id_sum) for bucket in buckets]
    assert found == [
        (1, 1, ids[0]),
        (2, 1, ids[1]),
        (3, 3, None),
        (4, 1, ids[5]),
        (5, 2, ids[6] + ids[7]),
        (1, 1, ids[8]),
    ]


def test_an_odoo_that_only_counts(each_version: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    without_averages(monkeypatch, "count")
    stamped_order(each_version, "2026-01-01")
    [bucket] = gateway(each_version).listing.order_buckets("day")
    assert bucket == Bucket(moment("2026-01-01"), moment("2026-01-02"), 1, None)


def test_one_fault_does_not_end_the_averages(simulator: Simulator, odoo: Odoo) -> None:
    ids = at_the_end_of_ids(simulator, 10)
    odoo.listing.any_order()
    simulator.faults.fault_all(times=1)
    [bucket] = odoo.listing.order_buckets("day")
    assert (bucket.count, bucket.id_sum) == (10, None)
    [bucket] = odoo.listing.order_buckets("day")
    assert (bucket.count, bucket.id_sum) == (10, sum(ids))


def test_an_odoo_in_trouble_is_no_odoo_without_averages(simulator: Simulator, odoo: Odoo) -> None:
    ids = at_the_end_of_ids(simulator, 10)
    odoo.listing.any_order()
    simulator.faults.fault_all()
    for _try in range(3):
        with pytest.raises(OdooFault, match="OperationalError"):
            odoo.listing.order_buckets("day")
    simulator.faults.clear()
    [bucket] = odoo.listing.order_buckets("day")
    assert bucket.id_sum == sum(ids)


class FewGroups:
    """An Odoo that groups all there is into one, with an average of the test's choice."""

    def __init__(self, average: Any, **changes: Any) -> None:
        self.average, self.changes = average, changes

    def __call__(self, _model: str, method: str, _args: list[Any], kwargs: dict[str, Any]) -> Any:
        if method == "search_read":
            return [{"id": 30, "write_date": "2026-01-01 00:00:00"}]
        figures = {"id:avg": self.average, "id:sum": 62}
        row = {"write_date:day": ["2026-01-01 00:00:00", "1 Jan"], "__count": 3, **figures}
        row |= self.changes
        return [{name: row[name] for name in ("write_date:day", *kwargs["aggregates"])}]


def buckets_of(execute: Any) -> list[Bucket]:
    with serving(TinyOdoo(execute).respond) as (_server, odoo):
        return odoo.listing.order_buckets("day")


@pytest.mark.parametrize("average", [20.33, "20.67", False, True])
def test_an_average_that_was_rounded_or_is_none_is_not_used(average: Any) -> None:
    [bucket] = buckets_of(FewGroups(average))
    assert bucket.id_sum == 62
    [bucket] = buckets_of(FewGroups(61 / 3))
    assert bucket.id_sum == 61


# --- answers that are none ---


@pytest.mark.parametrize(
    "changes",
    [
        {"write_date:day": ["2026-01-01 01:00:00", "1 Jan"]},  # another time zone's day
        {"write_date:day": ["1 Jan", "1 Jan"]},
        {"write_date:day": []},
        {"__count": "3"},
        {"__count": -3},
        {"__count": True},
    ],
)
def test_a_group_that_is_none_is_not_believed(changes: dict[str, Any]) -> None:
    with pytest.raises(OdooProtocolError):
        buckets_of(FewGroups(20.0, **changes))


def test_a_day_that_comes_twice_is_not_believed() -> None:
    one = FewGroups(20.0)
    with pytest.raises(OdooProtocolError, match="twice"):
        buckets_of(lambda *call: one(*call) * 2)


@pytest.mark.parametrize(
    "bounds",
    [
        False,
        {},
        {"from": "2026-01-01 00:00:00", "to": False},
        {"from": "2026-01-01 00:00:00", "to": "2026-01-08 00:00:00"},
    ],
)
def test_a_range_that_is_no_day_is_not_believed(bounds: Any) -> None:
    row = {
        "write_date:day": "1 Jan",
        "__count": 1,
        "id": 1.0,
        "__range": {"write_date:day": bounds},
    }
    with pytest.raises(OdooProtocolError):
        ReadGroup().group(row, "day")


def test_a_month_begins_on_its_first_day() -> None:
    row = {"write_date:month": ["2026-01-05 00:00:00", "January"], "__count": 1, "id:avg": 1.0}
    with (
        serving(TinyOdoo(lambda *_call: [row]).respond) as (_server, odoo),
        pytest.raises(OdooProtocolError),
    ):
        odoo.listing.order_buckets("month")


def test_a_change_of_one_order_changes_its_day_s_sum(each_version: Simulator) -> None:
    ids = [stamped_order(each_version, "2026-01-01 10:00:00") for _ in range(3)]
    listing = gateway(each_version).listing
    before = listing.order_buckets("day")
    stamp(each_version, ids[0], "2026-01-01 11:00:00")
    assert listing.order_buckets("day") == before
    stamp(each_version, ids[0], "2026-01-02 11:00:00")
    after = listing.order_buckets("day")
    assert [bucket.count for bucket in after] == [2, 1]
    assert after[1].start - after[0].start == timedelta(days=1)
