"""The table «Does the ORDER's write_date move?», and what stored totals do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.simulator.conftest import LINES, Caller

Change = Callable[[Simulator, int, list[int]], Any]

ALWAYS: dict[str, Change] = {
    "write nothing": lambda odoo, order, lines: odoo.write_order(order, {}),
    "write the same": lambda odoo, order, lines: odoo.write_order(order, partner_ref="A"),
    "description through the order": lambda odoo, order, lines: odoo.write_order(
        order, order_line=[(1, lines[0], {"name": "x"})]
    ),
    "delete a line through the order": lambda odoo, order, lines: odoo.write_order(
        order, order_line=[(2, lines[2], 0)]
    ),
    "price": lambda odoo, order, lines: odoo.write_line(lines[0], price_unit=11.0),
    "quantity": lambda odoo, order, lines: odoo.write_line(lines[0], product_qty=9),
    "taxes that change the total": lambda odoo, order, lines: odoo.write_line(
        lines[0], taxes_id=[(6, 0, [2])]
    ),
    "a line with a price": lambda odoo, order, lines: odoo.add_line(order, price_unit=5.0),
    "delete a line with a price": lambda odoo, order, lines: odoo.delete_line(lines[0]),
    "confirm": lambda odoo, order, lines: odoo.confirm(order),
    "cancel": lambda odoo, order, lines: odoo.cancel(order),
    "receipt": lambda odoo, order, lines: odoo.receive(order, {lines[0]: 1.0}),
}
NEVER: dict[str, Change] = {
    "same value on the line": lambda odoo, order, lines: odoo.write_line(lines[0], price_unit=10.0),
    "line text": lambda odoo, order, lines: odoo.write_line(lines[0], name="other"),
    "line date": lambda odoo, order, lines: odoo.write_line(
        lines[0], date_planned="2030-01-01 00:00:00"
    ),
    "line sequence": lambda odoo, order, lines: odoo.write_line(lines[0], sequence=99),
    "taxes that don't": lambda odoo, order, lines: odoo.write_line(
        lines[2], taxes_id=[(6, 0, [2])]
    ),
    "delete a line of price 0": lambda odoo, order, lines: odoo.delete_line(lines[2]),
    "delete a note": lambda odoo, order, lines: odoo.delete_line(lines[3]),
    "rename the partner": lambda odoo, order, lines: odoo.rename("res.partner", 2, "Renamed"),
}
ON_17_ONLY: dict[str, Change] = {
    "a line of price 0": lambda odoo, order, lines: odoo.add_line(order, price_unit=0.0),
    "a note": lambda odoo, order, lines: odoo.add_line(order, display_type="line_note", name="n"),
}


def made(odoo: Simulator) -> tuple[int, list[int]]:
    """An order with two priced lines, one of price 0, and a note."""
    free = {"product_id": 3, "product_qty": 1, "price_unit": 0.0, "taxes_id": [1]}
    note = {"display_type": "line_note", "name": "A note"}
    order = odoo.create_order(lines=[*LINES, free, note], partner_ref="A")
    content = odoo.order(order)
    assert content is not None
    return order, [line["id"] for line in content["order_line"]]


@pytest.mark.parametrize("name", ALWAYS)
def test_these_move_the_order(odoo: Simulator, call: Caller, name: str) -> None:
    order, lines = made(odoo)
    before = call.write_date(order)
    ALWAYS[name](odoo, order, lines)
    assert call.write_date(order) > before


@pytest.mark.parametrize("name", NEVER)
def test_these_do_not_move_the_order(odoo: Simulator, call: Caller, name: str) -> None:
    order, lines = made(odoo)
    before = call.write_date(order)
    NEVER[name](odoo, order, lines)
    assert call.write_date(order) == before


@pytest.mark.parametrize("name", ON_17_ONLY)
def test_these_move_it_on_17_only(odoo: Simulator, call: Caller, name: str) -> None:
    order, lines = made(odoo)
    before = call.write_date(order)
    ON_17_ONLY[name](odoo, order, lines)
    assert (call.write_date(order) > before) is (odoo.version == 17)


def test_a_line_written_moves_the_line(odoo: Simulator) -> None:
    _order, lines = made(odoo)
    before = odoo.store.get("purchase.order.line", lines[0])
    odoo.write_line(lines[0], price_unit=10.0)
    after = odoo.store.get("purchase.order.line", lines[0])
    assert before is not None
    assert after is not None
    assert after["write_date"] > before["write_date"]


def test_second_partial_receipt_moves_the_order_though_its_status_stays(
    odoo: Simulator, call: Caller
) -> None:
    order, lines = made(odoo)
    odoo.confirm(order)
    odoo.receive(order, {lines[1]: 1.0})
    before = call.write_date(order)
    odoo.receive(order, {lines[1]: 1.0})
    content = odoo.order(order)
    assert content is not None
    assert content["receipt_status"] == "partial"
    assert content["order_line"][1]["qty_received"] == 2.0
    assert call.write_date(order) > before


def test_quantity_received_by_hand_moves_17_once(odoo: Simulator, call: Caller) -> None:
    order, lines = made(odoo)
    odoo.confirm(order)
    moved = []
    for quantity in (1.0, 2.0):
        before = call.write_date(order)
        odoo.write_line(lines[0], qty_received=quantity)
        moved.append(call.write_date(order) > before)
    assert moved == [odoo.version == 17, False]


def test_confirm_moves_the_lines_before_19(odoo: Simulator) -> None:
    order, lines = made(odoo)
    before = odoo.store.get("purchase.order.line", lines[0])
    odoo.confirm(order)
    after = odoo.store.get("purchase.order.line", lines[0])
    assert before is not None
    assert after is not None
    assert (after["write_date"] > before["write_date"]) is (odoo.version < 19)
    content = odoo.order(order)
    assert content is not None
    assert [line["state"] for line in content["order_line"]] == ["purchase"] * 4


def test_merge_moves_lines_that_keep_their_ids(odoo: Simulator, call: Caller) -> None:
    first, lines = made(odoo)
    second, more = made(odoo)
    if odoo.version == 17:
        assert call.fault("purchase.order", "action_merge", [first, second]).faultCode == 1
        odoo.merge(second, first)
    else:
        call.order("action_merge", [first, second])
    target, source = odoo.order(first), odoo.order(second)
    assert target is not None
    assert source is not None
    assert {line["id"] for line in target["order_line"]} == {*lines, *more}
    assert source["order_line"] == []
    assert (source["state"], source["amount_total"]) == ("cancel", 0.0)


@pytest.mark.parametrize(
    ("currency", "price", "quantity", "discount", "amounts"),
    [
        (1, 10.33, 3, 0.0, (30.99, 6.2, 37.19)),
        (1, 0.125, 1, 0.0, (0.13, 0.03, 0.16)),
        (1, 99.99, 7, 12.5, (612.44, 122.49, 734.93)),
        (3, 1999.5, 1, 0.0, (2000.0, 400.0, 2400.0)),
        (4, 7.12, 3, 33.33, (14.241, 2.848, 17.089)),
    ],
)
def test_money_is_rounded_to_the_currency(
    odoo17: Simulator,
    currency: int,
    price: float,
    quantity: int,
    discount: float,
    amounts: tuple[float, float, float],
) -> None:
    line = {
        "product_id": 1,
        "product_qty": quantity,
        "price_unit": price,
        "discount": discount,
        "taxes_id": [1],
    }
    order = odoo17.order(odoo17.create_order(lines=[line], currency_id=currency))
    assert order is not None
    shown = order["order_line"][0]
    assert (shown["price_subtotal"], shown["price_tax"], shown["price_total"]) == amounts
    assert (order["amount_untaxed"], order["amount_tax"], order["amount_total"]) == amounts


def test_sections_and_notes_are_lines_without_product_or_price(odoo17: Simulator) -> None:
    section = {"display_type": "line_section", "name": "Mobilier", "sequence": 1}
    order = odoo17.order(odoo17.create_order(lines=[*LINES, section]))
    assert order is not None
    shown = order["order_line"][0]
    assert shown["display_type"] == "line_section"
    assert (shown["product_id"], shown["price_total"]) == (False, 0.0)
