"""Isolation, late commits, rollbacks, and two writers of one row."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from odoo_simulator import SerializationFailure, Simulator
from tests.simulator.conftest import LINES, Caller, Receiver


def test_nothing_shows_before_the_commit_and_then_with_an_old_date(odoo17: Simulator) -> None:
    call = Caller(odoo17)
    slow, quick = odoo17.create_order(lines=LINES), odoo17.create_order(lines=LINES)
    with odoo17.transaction() as transaction:
        transaction.write_order(slow, partner_ref="slow")
        created = transaction.create_order(lines=LINES)
        odoo17.write_order(quick, partner_ref="quick")
        shown = call.order("read", [slow, quick, created], ["partner_ref"])
        assert [record["partner_ref"] for record in shown] == [False, "quick"]
    assert call.order("read", [slow], ["partner_ref"])[0]["partner_ref"] == "slow"
    # Committed later, dated earlier: what makes a poll by write_date lose it.
    assert call.write_date(slow) == call.write_date(created) < call.write_date(quick)


def test_hold_keeps_it_open(odoo17: Simulator) -> None:
    order = odoo17.create_order()
    started = time.monotonic()
    with odoo17.transaction(hold=0.3) as transaction:
        transaction.write_order(order, partner_ref="B")
    assert time.monotonic() - started >= 0.3
    assert Caller(odoo17).order("read", [order], ["partner_ref"])[0]["partner_ref"] == "B"


def test_rollback_leaves_nothing_but_a_gap_in_the_ids(odoo17: Simulator) -> None:
    order = odoo17.create_order(lines=LINES)
    before = odoo17.order(order)
    with odoo17.transaction() as transaction:
        transaction.write_order(order, partner_ref="gone")
        transaction.delete_line(odoo17.line_ids()[0])
        lost = transaction.create_order()
        transaction.rollback()
    assert odoo17.order(order) == before
    assert odoo17.order(lost) is None
    assert odoo17.create_order() == lost + 1


def test_an_exception_rolls_back(odoo17: Simulator) -> None:
    order = odoo17.create_order()
    with pytest.raises(RuntimeError), odoo17.transaction() as transaction:
        transaction.delete_order(order)
        raise RuntimeError
    assert odoo17.order_ids() == [order]


def test_second_writer_waits_and_starts_again(odoo17: Simulator, receiver: Receiver) -> None:
    odoo17.install_rules(receiver.url)
    order = odoo17.create_order()
    receiver.clear()
    first = odoo17.begin()
    first.write_order(order, partner_ref="first")
    second = threading.Thread(target=lambda: odoo17.write_order(order, priority="1"))
    second.start()
    wait_for(lambda: len(receiver.hooks) == 2)
    first.commit()
    second.join(30)
    content = odoo17.order(order)
    assert content is not None
    assert (content["partner_ref"], content["priority"]) == ("first", "1")
    # Two writers, three webhooks: the one that had to start again had called already (measured).
    assert len(receiver.hooks) == 3
    sent = [hook.payload["write_date"] for hook in receiver.hooks]
    assert Caller(odoo17).write_date(order) == sent[2]
    assert len(set(sent)) == 3


def test_an_explicit_transaction_is_told_to_start_again(odoo17: Simulator) -> None:
    order = odoo17.create_order()
    transaction = odoo17.begin()
    odoo17.write_order(order, partner_ref="other")
    with pytest.raises(SerializationFailure):
        transaction.write_order(order, partner_ref="mine")
    transaction.rollback()
    odoo17.write_order(order, partner_ref="mine")


def test_each_call_is_one_snapshot(odoo17: Simulator) -> None:
    """A reader never sees an order whose total isn't its lines'."""
    call, order = Caller(odoo17), odoo17.create_order(lines=LINES)
    stop = threading.Event()
    spec: dict[str, Any] = {"amount_untaxed": {}, "order_line": {"fields": {"price_subtotal": {}}}}

    def change() -> None:
        price = 1.0
        while not stop.is_set():
            price += 1
            commands = [(1, number, {"price_unit": price}) for number in (1, 2)]
            odoo17.write_order(order, order_line=[*commands, (0, 0, {"price_unit": price})])
            newest = odoo17.line_ids()[-1]
            odoo17.delete_line(newest)

    writer = threading.Thread(target=change)
    writer.start()
    try:
        for _ in range(60):
            record = call.order("web_search_read", domain=[["id", "=", order]], specification=spec)[
                "records"
            ][0]
            total = sum(line["price_subtotal"] for line in record["order_line"])
            assert record["amount_untaxed"] == total
    finally:
        stop.set()
        writer.join()


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
