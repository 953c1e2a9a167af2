"""Automation rules: when they call, how often, and with what."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.simulator.conftest import LINES, Caller, Hook, Receiver

FIVE = [
    {"product_id": number, "product_qty": 2, "price_unit": 10.0 * number, "taxes_id": [1]}
    for number in range(1, 6)
]


def test_one_rule_created_remotely_fires(odoo: Simulator, call: Caller, receiver: Receiver) -> None:
    model = call("ir.model", "search", [["model", "=", "purchase.order"]])[0]
    domain = [["model", "=", "purchase.order"], ["name", "in", ["write_date", "partner_id"]]]
    sent = call("ir.model.fields", "search", domain)
    watched = call(
        "ir.model.fields",
        "search",
        [["model", "=", "purchase.order"], ["name", "in", ["partner_ref"]]],
    )
    action = {
        "name": "given",
        "model_id": model,
        "usage": "base_automation",
        "state": "webhook",
        "webhook_url": f"{receiver.url}/hook?e=1",
        "webhook_field_ids": [[6, 0, sent]],
    }
    rule = {
        "name": "rule",
        "model_id": model,
        "trigger": "on_create_or_write",
        "trigger_field_ids": [[6, 0, watched]],
        "action_server_ids": [[0, 0, action]],
    }
    number = call("base.automation", "create", rule)
    order = odoo.create_order(partner_id=5)
    odoo.write_order(order, priority="1")
    odoo.write_order(order, partner_ref="B")
    odoo.write_order(order, partner_ref="B")
    assert len(receiver.hooks) == 2  # created, partner_ref changed
    hook = receiver.hooks[-1]
    action_id = call("base.automation", "read", [number], ["action_server_ids"])[0][
        "action_server_ids"
    ][0]
    name = "given" if odoo.version == 19 else "Send Webhook Notification"
    assert hook.path == "/hook?e=1"
    assert hook.payload == {
        "_action": f"{name}(#{action_id})",
        "_id": order,
        "_model": "purchase.order",
        "id": order,
        "partner_id": 5,
        "write_date": hook.payload["write_date"],
    }
    assert len(hook.payload["write_date"]) == 26
    call("base.automation", "unlink", [number])
    assert call("ir.actions.server", "search_count", []) == 0
    odoo.write_order(order, partner_ref="C")
    assert len(receiver.hooks) == 2


def test_17_and_18_overwrite_the_name_of_a_webhook_action(odoo: Simulator, call: Caller) -> None:
    [model] = call("ir.model", "search", [["model", "=", "purchase.order"]])
    action = {"name": "given", "model_id": model, "state": "webhook", "webhook_url": "http://x/"}
    number = call("ir.actions.server", "create", action)
    [stored] = call("ir.actions.server", "read", [number], ["name"])
    assert stored["name"] == ("given" if odoo.version == 19 else "Send Webhook Notification")


@pytest.mark.parametrize("model", ["base.automation", "ir.actions.server"])
def test_model_id_is_mandatory(call: Caller, model: str) -> None:
    assert call.fault(model, "create", {"name": "x"}).faultCode == 2


def test_a_webhook_looks_like_a_call_of_requests(odoo17: Simulator, receiver: Receiver) -> None:
    odoo17.install_rules(f"{receiver.url}/odoo/webhook/", secret="s3cret/:@")
    odoo17.create_order()
    headers = receiver.hooks[0].headers
    assert headers["User-Agent"] == "python-requests/2.31.0"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Basic b2RvbzpzM2NyZXQvOkA="
    assert receiver.hooks[0].path == "/odoo/webhook/"
    assert "s3cret" not in odoo17.webhooks.deliveries[0].url


def test_number_of_webhooks_is_odoos(odoo: Simulator, receiver: Receiver) -> None:
    """Measured with watched fields on 17, 18 and 19."""
    odoo.install_rules(receiver.url)

    def count(change: Any) -> int:
        receiver.clear()
        change()
        return len(receiver.hooks)

    made = []
    assert count(lambda: made.append(odoo.create_order(lines=FIVE))) == 13
    order = made[0]
    content = odoo.order(order)
    assert content is not None
    lines = [line["id"] for line in content["order_line"]]
    command = [(1, lines[1], {"price_unit": 55.0})]
    assert count(lambda: odoo.write_order(order, order_line=command)) == 4
    assert count(lambda: odoo.write_line(lines[0], name="other")) == 1
    assert count(lambda: odoo.write_line(lines[0], price_unit=99.0)) == 3
    assert count(lambda: odoo.delete_line(lines[4])) == 2
    assert count(lambda: odoo.confirm(order)) == 2
    assert count(lambda: odoo.receive(order)) == 6
    assert count(lambda: odoo.cancel(order)) == 1
    assert count(lambda: odoo.delete_order(order)) == 1
    assert receiver.hooks[0].path.endswith("?event=deleted")


def test_a_deleted_order_says_nothing_of_its_lines(odoo: Simulator, receiver: Receiver) -> None:
    odoo.install_rules(receiver.url)
    order = odoo.create_order(lines=LINES)
    receiver.clear()
    odoo.delete_order(order)
    assert receiver.models() == ["order"]
    assert odoo.line_ids() == []


def test_a_deleted_line_names_its_order(odoo: Simulator, receiver: Receiver) -> None:
    odoo.install_rules(receiver.url)
    order = odoo.create_order(lines=[{"display_type": "line_note", "name": "n"}])
    receiver.clear()
    odoo.delete_line(odoo.line_ids())
    assert [hook.path for hook in receiver.hooks] == ["/?event=deleted"]
    assert receiver.hooks[0].payload["order_id"] == order


def test_a_rename_says_nothing(odoo: Simulator, receiver: Receiver) -> None:
    odoo.install_rules(receiver.url)
    order = odoo.create_order(partner_id=2)
    receiver.clear()
    odoo.rename("res.partner", 2, "Renamed")
    assert receiver.hooks == []
    record = Caller(odoo).order("read", [order], ["partner_id"])[0]
    assert record["partner_id"] == [2, "Renamed"]


def test_timing(odoo: Simulator, receiver: Receiver, call: Caller) -> None:
    """17 and 18 call before the commit, 19 after it: what a reader sees during the call."""
    odoo.install_rules(receiver.url)
    seen: list[Any] = []
    receiver.on_hook = lambda hook: seen.append(
        call.order("read", [hook.payload.get("order_id") or hook.payload["_id"]], ["partner_ref"])
    )
    order = odoo.create_order()
    odoo.write_order(order, partner_ref="B")
    odoo.delete_order(order)
    early = [[], [{"id": order, "partner_ref": False}], [{"id": order, "partner_ref": "B"}]]
    committed = [[{"id": order, "partner_ref": False}], [{"id": order, "partner_ref": "B"}], []]
    assert seen == (committed if odoo.version == 19 else early)


@pytest.mark.parametrize(("version", "timing"), [(17, "committed"), (19, "early")])
def test_timing_can_be_chosen(version: int, timing: str, receiver: Receiver) -> None:
    with Simulator(version, webhook_timing=timing) as odoo:
        odoo.install_rules(receiver.url)
        with odoo.transaction() as transaction:
            transaction.create_order()
            assert len(receiver.hooks) == (1 if timing == "early" else 0)
            transaction.rollback()
        assert len(receiver.hooks) == (1 if timing == "early" else 0)


def test_a_recomputed_total_comes_with_the_previous_write_date(
    odoo: Simulator, receiver: Receiver, call: Caller
) -> None:
    odoo.install_rules(receiver.url)
    order = odoo.create_order(lines=LINES)
    before = call.write_date(order)
    receiver.clear()
    odoo.write_line(odoo.line_ids()[0], price_unit=12.0)
    hook = next(hook for hook in receiver.hooks if hook.model == "purchase.order")
    assert hook.payload["write_date"] == before < call.write_date(order)


def test_payload_shows_unrounded_totals(odoo17: Simulator, receiver: Receiver) -> None:
    rules = odoo17.install_rules(receiver.url)
    call = Caller(odoo17)
    total = call(
        "ir.model.fields",
        "search",
        [["model", "=", "purchase.order"], ["name", "=", "amount_total"]],
    )
    action = call("base.automation", "read", rules[:1], ["action_server_ids"])[0]
    call(
        "ir.actions.server",
        "write",
        action["action_server_ids"],
        {"webhook_field_ids": [[6, 0, total]]},
    )
    line = {"product_qty": 1, "price_unit": 0.1, "taxes_id": []}
    order = odoo17.create_order(lines=[line, {**line, "price_unit": 0.2}])
    totals = [
        hook.payload["amount_total"] for hook in receiver.hooks if "amount_total" in hook.payload
    ]
    assert 0.30000000000000004 in totals
    assert odoo17.order(order)["amount_total"] == 0.3  # type: ignore[index]


def test_a_slow_receiver_costs_one_second_each_and_nothing_else(
    odoo17: Simulator, receiver: Receiver
) -> None:
    odoo17.install_rules(receiver.url)
    orders = [odoo17.create_order() for _ in range(2)]
    receiver.clear()
    released = threading.Event()

    def hang(_hook: Hook) -> None:
        released.wait(10)

    receiver.on_hook = hang
    started = time.monotonic()
    odoo17.write_order(orders, partner_ref="B")
    taken = time.monotonic() - started
    released.set()
    assert 2.0 <= taken < 10.0
    assert len(receiver.hooks) == 2
    assert odoo17.webhooks.counters()["failed"] == 2
    assert all(odoo17.order(order)["partner_ref"] == "B" for order in orders)  # type: ignore[index]


def test_a_refusing_receiver_harms_nobody(odoo17: Simulator) -> None:
    odoo17.install_rules("http://127.0.0.1:1/")
    order = odoo17.create_order()
    odoo17.install_rules("ht!tp:///nowhere")
    odoo17.write_order(order, partner_ref="B")
    counters = odoo17.webhooks.counters()
    assert counters["sent"] == 0
    assert counters["failed"] >= 2


def test_a_redirect_turns_the_post_into_a_get(odoo17: Simulator, receiver: Receiver) -> None:
    odoo17.install_rules(f"{receiver.url}/here")
    receiver.status, receiver.headers = 301, {"Location": f"{receiver.url}/there"}
    odoo17.create_order()
    assert receiver.got == [("POST", "/here"), ("GET", "/there")]


def test_webhooks_can_be_lost_and_doubled(odoo17: Simulator, receiver: Receiver) -> None:
    odoo17.install_rules(receiver.url)
    odoo17.faults.webhooks(loss=1.0)
    order = odoo17.create_order()
    assert receiver.hooks == []
    odoo17.faults.webhooks(doubling=1.0)
    odoo17.write_order(order, partner_ref="B")
    assert len(receiver.hooks) == 2
    odoo17.faults.clear()
    odoo17.write_order(order, partner_ref="C")
    assert len(receiver.hooks) == 3


def test_without_watched_fields_there_is_a_storm(odoo: Simulator, receiver: Receiver) -> None:
    """Measured: 34 webhooks for one order of two lines on 17, 33 on 18, 24 on 19."""
    call = Caller(odoo)
    for rule in odoo.install_rules(receiver.url):
        [row] = call("base.automation", "read", [rule], fields=["trigger"])
        watching_all = {"trigger": row["trigger"], "trigger_field_ids": [[5]]}
        call("base.automation", "write", [rule], watching_all)
    order = odoo.create_order(lines=LINES)
    assert len(receiver.hooks) == {17: 34, 18: 33, 19: 24}[odoo.version]
    lines = odoo.line_ids()

    def count(change: Callable[[], Any]) -> int:
        receiver.clear()
        change()
        return len(receiver.hooks)

    assert count(lambda: odoo.write_order(order, {})) == 1
    command = [(1, lines[0], {"price_unit": 11.0})]
    assert count(lambda: odoo.write_order(order, order_line=command)) == 9
    if odoo.version == 17:
        assert count(lambda: odoo.confirm(order)) == 13
        assert count(lambda: odoo.add_line(order, price_unit=5.0)) == 19
    assert count(lambda: odoo.delete_line(lines[0])) == 14
