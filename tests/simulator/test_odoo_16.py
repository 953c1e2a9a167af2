"""What an Odoo 16 lacks, or does otherwise than 17: as a real one did."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from odoo_simulator import Simulator
from tests.simulator.conftest import LINES, Caller


@pytest.fixture
def odoo() -> Iterator[Simulator]:
    with Simulator(16) as started:
        yield started


def test_orders_and_lines_in_one_call_are_not_there(odoo: Simulator, call: Caller) -> None:
    order_id = odoo.create_order(lines=LINES)
    domain = [["id", "=", order_id]]
    fault = call.fault("purchase.order", "web_search_read", domain=domain, specification={})
    assert fault.faultString.rstrip().endswith(
        "TypeError: Base.web_search_read() got an unexpected keyword argument 'specification'"
    )
    found = call.order("web_search_read", domain=domain, fields=["order_line"])
    assert found["length"] == 1
    assert all(isinstance(line, int) for line in found["records"][0]["order_line"])
    for method in ("web_read", "web_save"):
        assert "AttributeError" in call.fault("purchase.order", method, [order_id]).faultString


def test_groups_leave_out_what_is_called_id(odoo: Simulator, call: Caller) -> None:
    ids = [odoo.create_order() for _ in range(3)]
    domain = [["id", "in", ids]]
    grouped = {"groupby": ["write_date:month"], "lazy": False}
    [unnamed] = call.order("read_group", domain, fields=["id:avg"], **grouped)
    [named] = call.order("read_group", domain, fields=["ids:sum(id)"], **grouped)
    assert "id" not in unnamed
    assert named["ids"] == sum(ids)
    assert [term[:2] for term in named["__domain"] if term != "&"] == [
        ["write_date", ">="],
        ["write_date", "<"],
        ["id", "in"],
    ]


def test_control_characters_come_as_they_are(odoo: Simulator) -> None:
    order_id = odoo.create_order(partner_ref="a\x0bb")
    arguments = ["odoo", 2, odoo.password, "purchase.order", "read", [[order_id]], {}]
    params = {"service": "object", "method": "execute_kw", "args": arguments}
    answer = post(f"{odoo.url}/jsonrpc", json.dumps({"params": params, "id": 1}).encode())
    assert json.loads(answer)["result"][0]["partner_ref"] == "a\x0bb"
    call = (
        "<methodCall><methodName>execute_kw</methodName><params>"
        + "".join(f"<param><value>{value}</value></param>" for value in ("odoo", "<int>2</int>"))
        + f"<param><value>{odoo.password}</value></param>"
        + "<param><value>purchase.order</value></param><param><value>read</value></param>"
        + f"<param><value><array><data><value><int>{order_id}</int></value></data></array></value>"
        + "</param></params></methodCall>"
    )
    assert b"<string>a\x0bb</string>" in post(f"{odoo.url}/xmlrpc/2/object", call.encode())


def post(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "text/plain"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


def test_there_are_rules_and_no_webhooks(call: Caller) -> None:
    assert call("ir.actions.server", "fields_get", ["webhook_url"]) == {}
    assert set(call("base.automation", "fields_get", ["trigger", "action_server_ids"])) == {
        "trigger"
    }


def test_purchases_have_no_discount_and_sales_no_lock(call: Caller) -> None:
    assert call.line("fields_get", ["discount", "price_unit"]).keys() == {"price_unit"}
    assert call("sale.order", "fields_get", ["locked", "state"]).keys() == {"state"}
