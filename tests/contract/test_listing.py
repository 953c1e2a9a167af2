"""What a reconciliation lists and counts, and what it takes for granted when it does."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from bc_consumer.odoo import (
    NAMING_MODELS,
    Listed,
    NoRights,
    OdooAccessError,
    UnknownMethod,
)
from bc_consumer.odoo.grouping import Grouping
from bc_consumer.odoo.grouping_methods import PeriodName
from bc_consumer.odoo.records import Bucket
from tests.contract.target import GONE_ID, LINE, ORDER, PREFIX, Target, unique, until


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def grouping(target: Target) -> Grouping:
    return Grouping(target.odoo._calls, {})


def paged(page: Callable[[int], list[Listed]], last: int) -> Iterator[Listed]:
    """All rows of a listing after an id, asked for page by page, each after the last one's id."""
    while rows := page(last):
        yield from rows
        last = rows[-1].id


def test_orders_of_one_second_are_all_listed_once(target: Target) -> None:
    made = target.create_together(12)
    written = moment(target.read(made[0], "write_date")["write_date"])
    listing = target.odoo.listing
    rows = list(
        paged(lambda last: listing.orders(since=written, after_id=last, limit=5), made[0] - 1)
    )
    ours = [row for row in rows if row.id in made]
    assert ours == [Listed(number, written) for number in made]


def test_a_window_ends_before_its_last_second(target: Target) -> None:
    order_id = target.create()
    written = moment(target.read(order_id, "write_date")["write_date"])
    second = timedelta(seconds=1)
    listing = target.odoo.listing
    for since, end, there in (
        (written, written + second, True),
        (written - second, written, False),
        (written + second, None, False),
    ):
        rows = listing.orders(since=since, until=end, after_id=order_id - 1, limit=1)
        assert (order_id in {row.id for row in rows}) == there


def test_lines_tell_their_order(target: Target) -> None:
    order_id = target.create(target.line(), target.line(display_type="line_note"))
    ids = target.line_ids(order_id)
    listing = target.odoo.listing
    # Other users' lines may have come between.
    rows = listing.lines(since=None, after_id=ids[0] - 1, limit=100)
    ours = {row.id: row.order_id for row in rows if row.id in ids}
    assert ours == dict.fromkeys(ids, order_id)


def test_what_exists_is_told_from_what_is_gone(target: Target) -> None:
    live, gone = target.create(), target.create()
    target.remove([gone])
    assert target.odoo.listing.existing([live, gone, GONE_ID]) == {live}
    assert target.odoo.listing.any_order()
    assert target.odoo.listing.count_orders(after_id=live - 1) >= 1
    assert target.odoo.listing.count_orders(after_id=GONE_ID) == 0


def test_an_order_is_found_by_its_reference(target: Target) -> None:
    order_id = target.create()
    snapshot = target.odoo.fetch([order_id]).orders[order_id]
    found = target.odoo.listing.named(str(snapshot.values["name"]), limit=10)
    (ours,) = [one for one in found if one.id == order_id]
    assert (ours.name, bool(ours.company)) == (snapshot.values["name"], True)


def test_average_times_count_is_the_sum(target: Target) -> None:
    ids = [target.create(target.line(), target.line()) for _ in range(7)]
    lines = [line for number in ids for line in target.line_ids(number)]
    for model, numbers in ((ORDER, ids), (LINE, lines)):
        counted = grouping(target)
        buckets = counted.buckets(model, "day", [("id", "in", numbers)])
        assert counted._failed_averages == 0, "this Odoo has no averages of ids"
        assert sum(bucket.count for bucket in buckets) == len(numbers)
        assert sum(bucket.id_sum or 0 for bucket in buckets) == sum(numbers)


def test_sums_are_told_without_averages_too(target: Target) -> None:
    ids = [target.create() for _ in range(5)]
    with_averages, without = grouping(target), grouping(target)
    without._failed_averages = 99
    domain = [("id", "in", ids)]
    periods: tuple[PeriodName, ...] = ("day", "month")
    for period in periods:
        buckets = with_averages.buckets(ORDER, period, domain)
        assert without.buckets(ORDER, period, domain) == buckets
        assert all(bucket.id_sum for bucket in buckets)


def test_a_bucket_is_a_whole_day_or_month_in_utc(target: Target) -> None:
    order_id = target.create()
    written = moment(target.read(order_id, "write_date")["write_date"])
    day = written.replace(hour=0, minute=0, second=0)
    domain = [("id", "=", order_id)]
    [bucket] = grouping(target).buckets(ORDER, "day", domain)
    assert bucket == Bucket(day, day + timedelta(days=1), 1, order_id)
    [bucket] = grouping(target).buckets(ORDER, "month", domain)
    assert bucket.start == day.replace(day=1)
    assert bucket.end == (bucket.start + timedelta(days=31)).replace(day=1)


def test_buckets_count_what_a_window_lists(target: Target) -> None:
    made = [target.create(target.line()) for _ in range(3)]
    listing = target.odoo.listing
    # The window is over, so that little more is written in it.
    target.next_second()
    since = moment(target.read(made[0], "write_date")["write_date"])
    end = moment(target.read(made[-1], "write_date")["write_date"]) + timedelta(seconds=1)

    def agree(page: Callable[..., list[Listed]], buckets: Callable[..., list[Bucket]]) -> bool:
        rows = page(since=since, until=end, after_id=0, limit=10_000)
        found = buckets("day", since=since, until=end)
        assert len(rows) >= 3
        return sum(bucket.count for bucket in found) == len(rows) and sum(
            bucket.id_sum or 0 for bucket in found
        ) == sum(row.id for row in rows)

    # Other users may write between the two calls.
    until(lambda: agree(listing.orders, listing.order_buckets))
    until(lambda: agree(listing.lines, listing.line_buckets))


def test_which_way_to_group_a_version_has(target: Target) -> None:
    arguments = {"domain": [("id", "=", 0)], "groupby": ["write_date:day"]}
    assert target.call(ORDER, "read_group", **arguments, fields=["id:count"], lazy=False) == []
    if target.major >= 19:
        assert target.call(ORDER, "formatted_read_group", **arguments, aggregates=["__count"]) == []
    else:
        with pytest.raises(UnknownMethod):
            target.call(ORDER, "formatted_read_group", **arguments, aggregates=["__count"])


@pytest.mark.parametrize("model", NAMING_MODELS)
def test_names_can_be_asked_for_by_date(target: Target, model: str) -> None:
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    everything = {"limit": 3, "context": {"active_test": False}}
    try:
        page = target.odoo.listing.renamed(model, since=long_ago, after_id=0, limit=3)
        there = len(target.call(model, "search", [("write_date", "!=", False)], **everything))
    except (NoRights, OdooAccessError) as refusal:
        pytest.skip(f"the account may not read {model}: {refusal}")
    assert all(number > 0 and isinstance(name, str) for number, name in page)
    assert any(name for _number, name in page) or not page
    assert len(page) == min(3, there)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert target.odoo.listing.renamed(model, since=tomorrow, after_id=0, limit=3) == []


def test_a_contact_is_found_when_its_company_is_renamed(target: Target) -> None:
    company, name = target.vendor, f"{PREFIX} {unique()}"
    if ("res.partner", company) not in target.own:
        pytest.skip("the account may not create companies")
    contact = target.call("res.partner", "create", {"name": "Store", "parent_id": company})
    try:
        target.next_second()
        target.call("res.partner", "write", [company], {"name": name})
        [record] = target.call("res.partner", "read", [company], fields=["write_date"])
        since = moment(record["write_date"])
        found = target.odoo.listing.renamed(
            "res.partner", since=since, after_id=company - 1, limit=1_000
        )
        ours = {company, contact}
        assert {number: told for number, told in found if number in ours} == {
            company: name,
            contact: f"{name}, Store",
        }
    finally:
        target.call("res.partner", "unlink", [contact])
