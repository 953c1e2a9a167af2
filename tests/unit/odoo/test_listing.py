"""Listing orders and lines: windows, pages, what exists, and whose name has changed."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from bc_consumer.odoo import (
    NAMING_MODELS,
    Listed,
    NoRights,
    Odoo,
    OdooFault,
    OdooProtocolError,
)
from odoo_simulator import Simulator
from tests.unit.odoo.serving import TinyOdoo, gateway, serving
from tests.unit.odoo.stamping import LINE, ORDER, moment, stamp, stamped_order, written

LONG_AGO = moment("2000-01-01")


@pytest.fixture
def odoo(simulator: Simulator) -> Odoo:
    return gateway(simulator)


def listed_ids(odoo: Odoo, **window: Any) -> list[int]:
    return [one.id for one in odoo.listing.orders(**({"after_id": 0, "limit": 100} | window))]


# --- windows and pages ---


def test_orders_and_lines_of_a_window(each_version: Simulator) -> None:
    old = stamped_order(each_version, "2026-01-01 10:00:00", lines=1)
    new = stamped_order(each_version, "2026-01-02 10:00:00.25", lines=2)
    lines = each_version.line_ids()
    for line in lines:
        stamp(each_version, line, "2026-01-03 08:00:00.999999", LINE)
    listing = gateway(each_version).listing
    since = moment("2026-01-02")
    assert listing.orders(since=since, after_id=0, limit=10) == [
        Listed(new, moment("2026-01-02 10:00:00"))
    ]
    assert listing.lines(since=since, after_id=0, limit=10) == [
        Listed(line, moment("2026-01-03 08:00:00"), order_id)
        for line, order_id in zip(lines, [old, new, new], strict=True)
    ]
    assert listing.lines(since=moment("2026-01-04"), after_id=0, limit=10) == []


def test_a_window_holds_its_first_second_and_not_its_last(each_version: Simulator) -> None:
    dates = ["2026-01-01 23:59:59.999", "2026-01-02 00:00:00", "2026-01-02 23:59:59.999"]
    _before, first, last = [stamped_order(each_version, date) for date in dates]
    stamped_order(each_version, "2026-01-03 00:00:00")
    odoo = gateway(each_version)
    since, until = moment("2026-01-02"), moment("2026-01-03")
    assert listed_ids(odoo, since=since, until=until) == [first, last]


def test_fractions_of_a_second_widen_a_window(each_version: Simulator) -> None:
    inside = stamped_order(each_version, "2026-01-02 10:00:00.5")
    odoo = gateway(each_version)
    for since, until in (("10:00:00.9", "10:00:02"), ("10:00:00", "10:00:00.9")):
        day = "2026-01-02 "
        window = {"since": moment(day + since), "until": moment(day + until)}
        assert listed_ids(odoo, **window) == [inside]


def test_moments_of_another_time_zone_are_translated(simulator: Simulator, odoo: Odoo) -> None:
    order_id = stamped_order(simulator, "2026-01-02 10:00:00")
    assert listed_ids(odoo, since=datetime.fromisoformat("2026-01-02T11:30:00+02:00")) == [order_id]
    assert listed_ids(odoo, since=datetime.fromisoformat("2026-01-02T11:30:00+01:00")) == []


def test_a_second_that_holds_more_than_a_page_is_listed_whole(each_version: Simulator) -> None:
    ids = list(each_version.bulk_create(23, lines_per_order=2))
    listing = gateway(each_version).listing
    since = written(each_version, ids[0])
    for page, expected in ((listing.orders, ids), (listing.lines, each_version.line_ids())):
        found: list[int] = []
        while rows := page(since=since, after_id=found[-1] if found else 0, limit=5):
            found += [row.id for row in rows]
        assert found == expected


def test_without_a_window_nothing_is_said_of_dates(simulator: Simulator, odoo: Odoo) -> None:
    dated = stamped_order(simulator, "2026-01-01 00:00:00")
    undated = stamped_order(simulator, False, lines=1)
    found = odoo.listing.orders(since=None, after_id=0, limit=10)
    assert found == [Listed(dated, moment("2026-01-01")), Listed(undated, None)]
    assert listed_ids(odoo, since=LONG_AGO) == [dated]
    lines = [line["id"] for line in (simulator.order(undated) or {})["order_line"]]
    simulator.update_sql(LINE, lines, {"write_date": False})
    assert odoo.listing.undated_orders(after_id=0, limit=10) == [Listed(undated, None)]
    assert odoo.listing.undated_orders(after_id=undated, limit=10) == []
    expected = [Listed(line, None, undated) for line in lines]
    assert odoo.listing.undated_lines(after_id=0, limit=10) == expected


def test_a_page_is_one_call_and_is_counted(simulator: Simulator, odoo: Odoo) -> None:
    simulator.bulk_create(3)
    odoo.listing.any_order()
    calls, received = odoo.calls, odoo.bytes
    odoo.listing.orders(since=None, after_id=0, limit=10)
    assert odoo.calls == calls + 1
    assert odoo.bytes > received


def test_what_cannot_be_asked_is_refused_at_once(odoo: Odoo) -> None:
    naive = datetime.fromisoformat("2026-01-01")
    for window in ({"since": naive}, {"since": None, "until": naive}, {"since": None, "limit": 0}):
        with pytest.raises(ValueError):
            listed_ids(odoo, **window)
    assert listed_ids(odoo, since=None, after_id=2**31 - 1) == []
    assert odoo.calls == 0


@pytest.mark.parametrize(
    "rows",
    [
        [{"id": 5, "write_date": "2026-01-01 00:00:00"}],  # the page before
        [{"id": number, "write_date": False} for number in (7, 6)],
        [{"id": number, "write_date": False} for number in (6, 7, 8)],  # more than asked for
        [{"id": 6, "write_date": "yesterday"}],
        [{"id": 6, "write_date": "2026-13-01 00:00:00"}],
        [{"id": 6}],
        [6],
        {"id": 6},
    ],
)
def test_an_answer_that_is_no_page_is_not_believed(rows: Any) -> None:
    with (
        serving(TinyOdoo(lambda *_call: rows).respond) as (_server, odoo),
        pytest.raises(OdooProtocolError),
    ):
        odoo.listing.orders(since=None, after_id=5, limit=2)


@pytest.mark.parametrize(("order", "order_id"), [(9, 9), ([9, "P00009"], 9), (False, None)])
def test_the_order_of_a_line_may_come_with_its_name(order: Any, order_id: int | None) -> None:
    rows = [{"id": 6, "write_date": "2026-01-01 00:00:00", "order_id": order}]
    with serving(TinyOdoo(lambda *_call: rows).respond) as (_server, odoo):
        [line] = odoo.listing.lines(since=None, after_id=0, limit=2)
        assert line.order_id == order_id


@pytest.mark.parametrize("order", [True, "P00009", -1, []])
def test_the_order_of_a_line_is_an_id(order: Any) -> None:
    row = {"id": 6, "write_date": "2026-01-01 00:00:00", "order_id": order}
    with (
        serving(TinyOdoo(lambda *_call: [row]).respond) as (_s, odoo),
        pytest.raises(OdooProtocolError),
    ):
        odoo.listing.lines(since=None, after_id=0, limit=2)


# --- what exists ---


def test_existing_leaves_out_what_is_gone_or_hidden(each_version: Simulator) -> None:
    ids = list(each_version.bulk_create(6, lines_per_order=1))
    each_version.delete_order(ids[1])
    each_version.faults.forbid([ids[2]])
    odoo = gateway(each_version)
    assert odoo.listing.existing([*ids, 10**6, 0, -4, 2**31, 2**60]) == {ids[0], *ids[3:]}


def test_many_ids_are_asked_for_in_several_calls(simulator: Simulator, odoo: Odoo) -> None:
    ids = list(simulator.bulk_create(4_500, lines_per_order=1))
    odoo.listing.any_order()
    calls = odoo.calls
    assert odoo.listing.existing(ids) == set(ids)
    assert odoo.calls == calls + 3
    assert odoo.listing.created(ids).keys() == set(ids)
    assert odoo.calls == calls + 6
    assert odoo.listing.existing([]) == set()
    assert odoo.listing.created([2**31]) == {}
    assert odoo.calls == calls + 6


def test_a_moved_line_is_listed_with_its_new_order(each_version: Simulator) -> None:
    one, other = [stamped_order(each_version, "2026-01-01", lines=2) for _ in range(2)]
    first, second, third, fourth = each_version.line_ids()
    each_version.move_line(second, other)
    each_version.delete_line(third)
    listed = gateway(each_version).listing.lines(since=None, after_id=0, limit=10)
    assert {line.id: line.order_id for line in listed} == {first: one, second: other, fourth: other}


@pytest.mark.parametrize("answer", [[1, 7], [True], [2.5], [[2]], {"ids": [2]}, False])
def test_ids_that_were_not_asked_about_are_not_believed(answer: Any) -> None:
    with (
        serving(TinyOdoo(lambda *_call: answer).respond) as (_server, odoo),
        pytest.raises(OdooProtocolError),
    ):
        odoo.listing.existing([2, 3])


def test_any_order(each_version: Simulator) -> None:
    odoo = gateway(each_version)
    assert not odoo.listing.any_order()
    order_id = stamped_order(each_version, "2026-01-01")
    assert odoo.listing.any_order()
    each_version.faults.forbid([order_id])
    assert not odoo.listing.any_order()
    each_version.faults.clear()
    each_version.faults.empty()
    assert not odoo.listing.any_order()


def test_orders_are_counted_within_the_domain_alone(each_version: Simulator) -> None:
    ids = [stamped_order(each_version, "2026-01-01") for _ in range(4)]
    each_version.confirm(ids[1:])
    odoo = gateway(each_version, domain=[["state", "=", "purchase"]])
    counts = [odoo.listing.count_orders(after_id=after) for after in (0, ids[1], ids[-1], 2**70)]
    assert counts == [3, 2, 0, 0]


def test_orders_are_found_by_their_reference_with_their_companies(each_version: Simulator) -> None:
    company = each_version.add_company("Other")
    ids = [each_version.create_order(name="P00042", company_id=one) for one in (1, company)]
    each_version.create_order(name="P000421")
    listing = gateway(each_version).listing
    found = listing.named("P00042", limit=10)
    assert [(one.id, one.name) for one in found] == [(odoo_id, "P00042") for odoo_id in ids]
    assert found[1].company == "Other"
    assert [one.id for one in listing.named("P00042", limit=1)] == ids[:1]
    assert listing.named("P0004", limit=10) == []
    assert [
        one.id
        for one in gateway(each_version, company_ids=(company,)).listing.named("P00042", limit=10)
    ] == ids[1:]


@pytest.mark.parametrize("answer", [True, -1, "3", [3]])
def test_what_is_no_count_is_refused(answer: object) -> None:
    with (
        serving(TinyOdoo(lambda *_call: answer).respond) as (_server, odoo),
        pytest.raises(OdooProtocolError),
    ):
        odoo.listing.count_orders(after_id=0)


def test_an_account_without_rights_is_told_so(simulator: Simulator, odoo: Odoo) -> None:
    stamped_order(simulator, "2026-01-01")
    simulator.faults.deny_model(ORDER)
    listing = odoo.listing
    for ask in (
        lambda: listing.orders(since=None, after_id=0, limit=1),
        lambda: listing.order_buckets("day"),
        lambda: listing.existing([1]),
        listing.any_order,
        lambda: listing.undated_orders(after_id=0, limit=1),
    ):
        with pytest.raises(NoRights) as caught:
            ask()
        assert caught.value.model == ORDER


# --- names ---


def renamed(odoo: Odoo, model: str, since: datetime) -> dict[int, str]:
    return dict(odoo.listing.renamed(model, since=since, after_id=0, limit=100))


@pytest.mark.parametrize("model", sorted(NAMING_MODELS))
def test_records_written_since_are_listed_with_their_names(
    each_version: Simulator, model: str
) -> None:
    odoo = gateway(each_version)
    if not any(each_version.store.tables[model].ids()):
        each_version.create(model, {"name": "Old name"})
    number = min(each_version.store.tables[model].ids())
    for record_id in renamed(odoo, model, LONG_AGO):
        stamp(each_version, record_id, "2026-01-01 00:00:00", model)
    for partner in each_version.store.tables["res.partner"].ids():
        stamp(each_version, partner, "2026-01-01 00:00:00", "res.partner")
    for template in each_version.store.tables["product.template"].ids():
        stamp(each_version, template, "2026-01-01 00:00:00", "product.template")
    since = moment("2026-02-01")
    assert renamed(odoo, model, since) == {}
    each_version.write(model, number, {"name": "New name"})
    found = renamed(odoo, model, since)
    assert found.keys() == {number}
    assert "New name" in found[number]
    assert renamed(odoo, model, since)[number] == each_version.display_name(model, number)


@pytest.mark.parametrize(
    ("model", "naming", "link"),
    [
        ("res.partner", "res.partner", "parent_id"),
        ("product.product", "product.template", "product_tmpl_id"),
        ("res.users", "res.partner", "partner_id"),
        ("res.company", "res.partner", "partner_id"),
    ],
)
def test_a_record_is_listed_when_the_one_it_is_named_after_was_written(
    each_version: Simulator, model: str, naming: str, link: str
) -> None:
    odoo = gateway(each_version)
    other = each_version.create(naming, {"name": "Old name"})
    record = each_version.create(model, {"name": "Deliveries", link: other})
    stamp(each_version, record, "2026-01-01 00:00:00", model)
    stamp(each_version, other, "2026-01-01 00:00:00", naming)
    since = moment("2026-02-01")
    assert record not in renamed(odoo, model, since)
    each_version.write(naming, other, {"name": "New name"})
    found = renamed(odoo, model, since)
    assert record in found
    if model == naming:
        assert found[record] == "New name, Deliveries"


def test_names_are_asked_for_in_pages_archived_ones_too_and_in_one_language() -> None:
    tiny = TinyOdoo(lambda *_call: [{"id": 9, "display_name": "Caisse"}])
    with serving(tiny.respond, language="fr_FR") as (_server, odoo):
        page = odoo.listing.renamed("res.partner", since=LONG_AGO, after_id=8, limit=1)
    assert page == [(9, "Caisse")]
    [(model, method, _args, asked)] = tiny.calls
    assert (model, method) == ("res.partner", "search_read")
    assert asked["fields"] == ["display_name"]
    assert (asked["order"], asked["limit"]) == ("id", 1)
    assert asked["context"] == {"lang": "fr_FR", "active_test": False}
    since = "2000-01-01 00:00:00"
    assert asked["domain"] == [
        ["id", ">", 8],
        "|",
        ["write_date", ">=", since],
        ["parent_id.write_date", ">=", since],
    ]


def test_pages_of_names(simulator: Simulator, odoo: Odoo) -> None:
    all_names = renamed(odoo, "product.product", LONG_AGO)
    assert len(all_names) > 5
    found: list[tuple[int, str]] = []
    while page := odoo.listing.renamed(
        "product.product", since=LONG_AGO, after_id=found[-1][0] if found else 0, limit=5
    ):
        assert len(page) <= 5
        found += page
    assert dict(found) == all_names


def test_the_names_of_a_model_that_may_not_be_read(simulator: Simulator, odoo: Odoo) -> None:
    simulator.faults.deny_model("account.tax")
    with pytest.raises(NoRights):
        renamed(odoo, "account.tax", LONG_AGO)


def test_a_fault_of_one_order_does_not_hinder_lists_of_dates(
    simulator: Simulator, odoo: Odoo
) -> None:
    order_id = stamped_order(simulator, "2026-01-01")
    simulator.faults.poison(order_id)
    assert listed_ids(odoo, since=None) == [order_id]
    simulator.faults.poison(order_id, on_dates=True)
    with pytest.raises(OdooFault):
        listed_ids(odoo, since=LONG_AGO - timedelta(days=1))
