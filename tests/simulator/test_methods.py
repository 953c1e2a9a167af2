"""Buttons and the rarer methods, over RPC."""

from __future__ import annotations

from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.simulator.conftest import LINES, Caller, Receiver


def test_life_of_an_order(odoo: Simulator, call: Caller) -> None:
    order = call.order("create", {"partner_id": 3, "order_line": [[0, 0, {"product_id": 10}]]})
    line = call.line("search", [["order_id", "=", order]])[0]
    shown = call.line("read", [line], ["qty_received_method", "product_qty", "price_unit"])[0]
    assert shown == {
        "id": line,
        "qty_received_method": "manual",  # a service
        "product_qty": 1.0,
        "price_unit": 65.0,
    }
    assert call.fault("purchase.order", "unlink", [order]).faultCode == 2
    assert call.order("button_confirm", [order]) is True
    record = call.order("read", [order], ["state", "date_approve", "receipt_status"])[0]
    assert (record["state"], record["receipt_status"]) == ("purchase", "pending")
    assert record["date_approve"]
    assert call.fault("purchase.order.line", "unlink", [line]).faultCode == 2
    odoo.lock_order(order)
    field, value = ("locked", True) if odoo.version == 19 else ("state", "done")
    assert call.order("read", [order], [field])[0][field] == value
    assert call.fault("purchase.order", "button_cancel", [order]).faultCode == 2
    assert call.order("button_unlock", [order]) is True
    call.fault("purchase.order", "button_cancel", [order])  # None: a fault, though it worked
    assert call.order("unlink", [order]) is True
    assert call.order("search", []) == call.line("search", []) == []


def test_create_needs_a_partner_and_known_fields(call: Caller) -> None:
    assert call.fault("purchase.order", "create", {}).faultCode == 2
    fault = call.fault("purchase.order", "create", {"partner_id": 2, "nope": 1})
    assert fault.faultCode == 1
    assert call.fault("purchase.order", "create", {"partner_id": 2, "state": "x"}).faultCode == 1
    assert call.order("search_count", []) == 0


def test_dates_of_rows_are_odoos_alone(odoo: Simulator, call: Caller) -> None:
    order = call.order("create", {"partner_id": 2, "create_date": "2001-01-01 00:00:00"})
    call.order("write", [order], {"write_date": "2001-01-01 00:00:00"})
    record = call.order("read", [order], ["create_date", "write_date"])[0]
    assert min(record["create_date"], record["write_date"]) > "2020"


def test_one2many_commands(odoo: Simulator, call: Caller) -> None:
    order = odoo.create_order(lines=LINES)
    first, second = odoo.line_ids()
    call.order(
        "write",
        [order],
        {"order_line": [[1, first, {"name": "x"}], [2, second], [0, 0, {"price_unit": 3.0}]]},
    )
    content = odoo.order(order)
    assert content is not None
    assert [line["id"] for line in content["order_line"]] == [first, second + 1]
    assert content["amount_untaxed"] == 23.0
    call.order("write", [order], {"order_line": [[5]]})
    assert odoo.line_ids() == []


def test_a_new_partner_is_stored_in_the_lines_too(odoo: Simulator, call: Caller) -> None:
    order = odoo.create_order(partner_id=2, lines=LINES)
    odoo.write_order(order, partner_id=5)
    assert {line["partner_id"] for line in (odoo.order(order) or {})["order_line"]} == {5}


def test_a_new_currency_rounds_again(odoo17: Simulator) -> None:
    line = {"product_qty": 1, "price_unit": 10.55, "taxes_id": []}
    order = odoo17.create_order(lines=[line])
    odoo17.write_order(order, currency_id=3)
    content = odoo17.order(order)
    assert content is not None
    assert (content["amount_total"], content["order_line"][0]["price_total"]) == (11.0, 11.0)


def test_web_save_name_search_and_exists(odoo: Simulator, call: Caller) -> None:
    order = odoo.create_order()
    spec: dict[str, Any] = {"partner_ref": {}}
    saved = call.order("web_save", [order], {"partner_ref": "A"}, spec)
    assert saved == [{"id": order, "partner_ref": "A"}]
    created = call.order("web_save", [], {"partner_id": 2, "partner_ref": "B"}, spec)
    assert created == [{"id": order + 1, "partner_ref": "B"}]
    assert call.order("exists", [order, 999]) == [order]
    assert call("res.partner", "name_search", "Papeterie") == [[3, "Papeterie Centrale"]]
    assert call("product.product", "read", [1], ["display_name"])[0]["display_name"].startswith("[")


def test_a_rule_in_two_steps_can_be_switched_off(
    odoo: Simulator, call: Caller, receiver: Receiver
) -> None:
    model = call("ir.model", "search", [["model", "=", "purchase.order"]])[0]
    rule = call(
        "base.automation", "create", {"name": "r", "model_id": model, "trigger": "on_state_set"}
    )
    action = {"name": "a", "model_id": model, "state": "webhook", "webhook_url": receiver.url}
    call("ir.actions.server", "create", {**action, "base_automation_id": rule})
    order = odoo.create_order()
    odoo.write_order(order, partner_ref="x")
    assert receiver.hooks == []
    odoo.confirm(order)
    assert [set(hook.payload) for hook in receiver.hooks] == [{"_action", "_id", "_model"}]
    call("base.automation", "write", [rule], {"active": False})
    odoo.cancel(order)
    assert len(receiver.hooks) == 1


def test_access_to_hidden_orders_is_denied_for_writing_too(odoo: Simulator, call: Caller) -> None:
    order = odoo.create_order()
    odoo.faults.forbid([order])
    assert call.fault("purchase.order", "write", [order], {"origin": "x"}).faultCode == 4


@pytest.mark.parametrize("period", ["hour", "week", "month", "quarter", "year"])
def test_groups_by_any_period(odoo: Simulator, call: Caller, period: str) -> None:
    odoo.bulk_create(60, 1, spread_days=400 if period != "hour" else 1)
    odoo.write_order(30, partner_ref="x")
    name = f"write_date:{period}"
    groups = call.order("read_group", [], ["id:count"], [name], lazy=False)
    assert sum(group["__count"] for group in groups) == 60
    begins = [group["__range"][name]["from"] for group in groups]
    assert begins == sorted(begins)
    for group in groups:
        bounds = group["__range"][name]
        domain = [["write_date", ">=", bounds["from"]], ["write_date", "<", bounds["to"]]]
        assert call.order("search_count", domain) == group["__count"]


def test_domains_search_bulks_too(odoo: Simulator, call: Caller) -> None:
    odoo.bulk_create(120, 2, spread_days=3)
    rows = call.order("search_read", [], ["state", "partner_id", "amount_total"], order="id")
    for domain, matches in (
        ([["state", "=", "purchase"]], lambda row: row["state"] == "purchase"),
        ([["partner_id", "in", [3, 4]]], lambda row: row["partner_id"][0] in (3, 4)),
        ([["amount_total", ">", 20000]], lambda row: row["amount_total"] > 20000),
    ):
        expected = [row["id"] for row in rows if matches(row)]
        assert expected
        assert call.order("search", domain, order="id") == expected
        assert call.order("search_count", domain) == len(expected)
    assert call.line("search", [["order_id", "in", [2, 5]]], order="id") == [3, 4, 9, 10]


def test_nonsense_is_a_fault(call: Caller) -> None:
    order: list[Any] = [
        call.fault("purchase.order", "search", [["id", "~", 1]]).faultCode,
        call.fault("purchase.order", "search", ["&", ["id", "=", 1]]).faultCode,
        call.fault("purchase.order", "search", ["id"]).faultCode,
        call.fault("purchase.order", "search", [], nope=1).faultCode,
        call.fault("purchase.order", "read_group", [], [], ["write_date:century"]).faultCode,
        call.fault("purchase.order", "search", [], order="nope").faultCode,
    ]
    assert order == [1] * 6
