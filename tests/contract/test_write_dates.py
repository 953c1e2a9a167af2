"""When write_date moves, how it compares, and how to page without losing anything."""

import threading
import time
from collections.abc import Callable

import pytest

from bc_consumer.odoo import OdooTorn
from tests.contract.target import LINE, ORDER, PATIENCE, Target

PAUSE_BEFORE_17 = 0.3
"""Seconds between two writes: orders and lines come by several calls there, of which five in a row
may be torn."""


def test_a_write_date_is_found_again_by_greater_or_equal(target: Target) -> None:
    order_id = target.create()
    written = target.read(order_id, "write_date")["write_date"]
    domain = [("write_date", ">=", written), ("id", "=", order_id)]
    assert target.call(ORDER, "search", domain) == [order_id]


def test_orders_of_one_second_are_all_paged_by_id(target: Target) -> None:
    made = target.create_together(12)
    since = target.read(made[0], "write_date")["write_date"]
    seen: list[int] = []
    last = made[0] - 1
    while True:
        domain = [("write_date", ">=", since), ("id", ">", last), ("id", "<=", made[-1])]
        page = target.call(ORDER, "search", domain, limit=5, order="id")
        if not page:
            break
        seen += page
        last = page[-1]
    assert [number for number in seen if number in made] == made
    assert len(seen) == len(set(seen))


def test_which_changes_move_the_order_s_write_date(target: Target) -> None:
    changes: dict[str, Callable[[int, list[int]], object]] = {
        "same value": lambda order, _lines: target.write(order, partner_ref="r"),
        "nothing": lambda order, _lines: target.write(order),
        "line price": lambda _o, lines: target.call(LINE, "write", lines[:1], {"price_unit": 99}),
        "line name": lambda _o, lines: target.call(LINE, "write", lines[:1], {"name": "renamed"}),
        "line sequence": lambda _o, lines: target.call(LINE, "write", lines[:1], {"sequence": 99}),
        "note deleted": lambda _o, lines: target.call(LINE, "unlink", lines[-1:]),
        "through the order": lambda order, lines: target.write(
            order, order_line=[(1, lines[0], {"name": "renamed"})]
        ),
    }
    note = target.line(display_type="line_note", name="A note")
    orders = {name: target.create(target.line(), note, partner_ref="r") for name in changes}
    lines = {name: target.line_ids(order) for name, order in orders.items()}
    before = {name: target.read(order, "write_date") for name, order in orders.items()}
    before_lines = line_dates(target, lines)
    target.next_second()
    for name, change in changes.items():
        change(orders[name], lines[name])
    after = {name: target.read(order, "write_date") for name, order in orders.items()}
    moved = {name for name in changes if after[name] != before[name]}
    assert moved == {"same value", "nothing", "line price", "through the order"}
    moved_lines = {
        name for name, date in line_dates(target, lines).items() if date != before_lines[name]
    }
    assert {"line price", "line name", "line sequence", "through the order"} <= moved_lines


def line_dates(target: Target, lines: dict[str, list[int]]) -> dict[str, str]:
    """The write_date of each order's first line."""
    first = {name: ids[0] for name, ids in lines.items()}
    found = target.call(LINE, "read", list(first.values()), fields=["write_date"])
    by_id = {record["id"]: record["write_date"] for record in found}
    return {name: by_id[number] for name, number in first.items()}


def test_a_deleted_note_leaves_no_trace_but_its_absence(target: Target) -> None:
    order_id = target.create(target.line(), target.line(display_type="line_note"))
    before = target.read(order_id, "write_date", "amount_total", "order_line")
    target.next_second()
    target.call(LINE, "unlink", [max(before["order_line"])])
    after = target.read(order_id, "write_date", "amount_total", "order_line")
    assert after.pop("order_line") == [min(before.pop("order_line"))]
    assert after == before


def test_the_write_date_cannot_be_set(target: Target) -> None:
    order_id = target.create()
    target.call(ORDER, "write", [order_id], {"write_date": "2001-01-01 00:00:00"})
    assert target.read(order_id, "write_date")["write_date"] > "2002"


def test_a_late_commit_appears_with_an_old_write_date(target: Target) -> None:
    if target.simulator is None:
        pytest.skip("needs a transaction that stays open while another commits")
    late, other = target.create(), target.create()
    simulator = target.simulator
    opened, done = threading.Event(), threading.Event()

    def slow() -> None:
        with simulator.transaction() as transaction:
            transaction.write_order(late, partner_ref="late")
            opened.set()
            done.wait(10)

    thread = threading.Thread(target=slow)
    thread.start()
    assert opened.wait(10)
    target.next_second()
    target.write(other, partner_ref="early")
    assert target.read(late, "partner_ref")["partner_ref"] is False
    done.set()
    thread.join(10)
    assert target.read(late, "partner_ref")["partner_ref"] == "late"
    dates = [target.read(number, "write_date")["write_date"] for number in (late, other)]
    assert dates[0] < dates[1]


def test_lines_move_between_orders_and_keep_their_ids(target: Target) -> None:
    source, destination = target.create(target.line()), target.create(target.line())
    [moved] = target.line_ids(source)
    target.call(LINE, "write", [moved], {"order_id": destination})
    assert target.line_ids(source) == []
    assert moved in target.line_ids(destination)
    fetched = target.odoo.fetch([source, destination]).orders
    assert not fetched[source].lines
    assert moved in {line.id for line in fetched[destination].lines}


def test_each_read_of_an_order_is_one_snapshot(target: Target) -> None:
    order_id = target.create(target.line(price_unit=1), target.line(price_unit=1))
    ids = target.line_ids(order_id)
    stop = threading.Event()
    writer = target.gateway()

    def write() -> None:
        price = 1
        while not stop.is_set():
            price += 1
            lines = [(1, number, {"price_unit": price}) for number in ids]
            stop.wait(PAUSE_BEFORE_17 if target.major < 17 else 0)
            writer.call(ORDER, "write", [[order_id], {"order_line": lines}])

    seen: set[object] = set()

    def read() -> None:
        try:
            snapshot = target.odoo.fetch([order_id]).orders[order_id]
        except OdooTorn:
            assert target.major < 17, "one call can't be torn"
            return
        prices = {line.values["price_unit"] for line in snapshot.lines}
        assert len(prices) == 1
        seen.update(prices)
        subtotals = sum(float(str(line.values["price_subtotal"])) for line in snapshot.lines)
        assert snapshot.values["amount_untaxed"] == pytest.approx(subtotals)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(20):
            read()
        deadline = time.monotonic() + PATIENCE
        while len(seen) <= 2:
            assert time.monotonic() < deadline, "the order never changed"
            read()
    finally:
        stop.set()
        thread.join(PATIENCE)
        writer.close()
