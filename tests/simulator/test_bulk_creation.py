"""Orders by the million: worked out, not stored, yet orders like any other."""

from __future__ import annotations

import tracemalloc

import pytest

from odoo_simulator import Simulator
from odoo_simulator.bulk_orders import LineBlock, OrderBlock
from tests.simulator.conftest import Caller, Receiver


def test_bulk_orders_are_consistent(odoo: Simulator, call: Caller) -> None:
    ids = odoo.bulk_create(50, 3, spread_days=10)
    assert list(ids) == odoo.order_ids() == list(range(1, 51))
    assert odoo.line_ids() == list(range(1, 151))
    for number in (ids[0], ids[17], ids[-1]):
        order = odoo.order(number)
        assert order is not None
        lines = order["order_line"]
        assert len(lines) == 3
        assert {line["order_id"] for line in lines} == {number}
        assert order["amount_total"] == round(sum(line["price_total"] for line in lines), 2)
        before = dict(order)
        odoo.write_line(lines[0]["id"], price_unit=lines[0]["price_unit"] + 1)
        after = odoo.order(number)
        assert after is not None
        assert after["amount_total"] > before["amount_total"]
        assert after["name"] == before["name"]
    assert call.order("search_count", []) == 50


def test_searching_a_bulk(odoo17: Simulator) -> None:
    call = Caller(odoo17)
    odoo17.bulk_create(1000, 2, spread_days=10)
    all_dates = call.order("search_read", [], ["write_date"], order="id")
    middle = all_dates[500]["write_date"]
    domain = [["write_date", ">=", middle]]
    expected = [record["id"] for record in all_dates if record["write_date"] >= middle]
    assert call.order("search", domain, order="id") == expected
    assert call.order("search_count", domain) == len(expected)
    odoo17.delete_order(expected[3])
    odoo17.write_order(expected[5], partner_ref="moved")
    odoo17.create_order()
    now = call.order("search", domain, order="id")
    assert now == [*expected[:3], *expected[4:], 1001]
    assert call.order("search_count", domain) == len(now)
    page = call.order("search", [*domain, ["id", ">", expected[4]]], order="id", limit=2)
    assert page == expected[5:7]
    assert call.order("search", [["partner_ref", "=", "moved"]]) == [expected[5]]
    assert odoo17.count() == 1000


def test_rows_without_a_date_are_found_without_computing_each_row(
    odoo17: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    odoo17.bulk_create(1000, 2, spread_days=365)
    call, undated = Caller(odoo17), [["write_date", "=", False]]
    with monkeypatch.context() as patch:
        for kind in (OrderBlock, LineBlock):
            for method in ("row", "light"):
                patch.setattr(kind, method, lambda *_: pytest.fail("a row was computed"))
        assert call.order("search", undated) == []
        assert call.line("search", undated) == []
    odoo17.update_sql("purchase.order", [42], {"write_date": False})
    odoo17.update_sql("purchase.order.line", [83, 84], {"write_date": False})
    assert call.order("search", undated) == [42]
    assert call.order("search_count", undated) == 1
    assert call.line("search", undated, order="id") == [83, 84]


def test_no_spread_is_one_transaction(odoo17: Simulator, receiver: Receiver) -> None:
    odoo17.install_rules(receiver.url)
    odoo17.bulk_create(100, 2)
    rows = Caller(odoo17).order("read_group", [], ["id:count"], ["write_date:hour"], lazy=False)
    assert [row["__count"] for row in rows] == [100]
    assert len({Caller(odoo17).write_date(number) for number in odoo17.order_ids()}) == 1
    assert receiver.hooks == []


def test_a_million_orders_cost_next_to_nothing(odoo17: Simulator) -> None:
    tracemalloc.start()
    try:
        odoo17.bulk_create(1_000_000, 2, spread_days=365)
        call = Caller(odoo17)
        assert call.order("search_count", []) == 1_000_000
        last = call.order("search", [["id", ">", 999_990]], order="id", limit=500)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last == list(range(999_991, 1_000_001))
    assert peak < 2_000_000
