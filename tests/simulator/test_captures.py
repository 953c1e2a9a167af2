"""Captured requests get answers of the captured shape; captured orders are served as they were."""

from __future__ import annotations

import json
import xmlrpc.client
from pathlib import Path
from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.simulator.conftest import LINES, Caller

CAPTURES = Path(__file__).parents[1] / "fixtures" / "odoo"


def capture(name: str) -> tuple[list[Any], Any]:
    """(parameters of the request, result of the response) of one capture."""
    text = next(CAPTURES.glob(f"{name}_*.txt")).read_text("utf-8")
    request, response = text.split("<<< RESPONSE\n")
    params, _method = xmlrpc.client.loads(request.partition("\n\n")[2])
    try:
        (result,), _none = xmlrpc.client.loads(response.partition("\n\n")[2])
    except xmlrpc.client.Fault as fault:
        return list(params), fault
    return list(params), result


def shape(value: Any) -> Any:
    """The form of an answer: names and types, whatever the values; False goes with anything."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else "list"
    return type(value).__name__


def differing(path: str, theirs: Any, ours: Any) -> list[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        told = [f"{path}.{name}" for name in theirs.keys() ^ ours.keys()]
        for name in theirs.keys() & ours.keys():
            told += differing(f"{path}.{name}", theirs[name], ours[name])
        return told
    if isinstance(theirs, list) and isinstance(ours, list):
        return differing(f"{path}[]", theirs[0], ours[0])
    return [] if theirs == ours or "bool" in (theirs, ours) else [f"{path}: {theirs} and {ours}"]


@pytest.mark.parametrize(
    "name", ["17_05", "18_05", "19_05", "17_14", "18_14", "19_14", "17_15", "19_15"]
)
def test_answers_have_the_captured_shape(name: str) -> None:
    params, theirs = capture(name)
    with Simulator(int(name[:2])) as odoo:
        orders = [odoo.create_order(lines=LINES) for _ in range(3)]
        params[0], params[2] = "odoo", "admin"
        if params[4] != "web_search_read":
            params[5][0] = [orders[0]]
        with xmlrpc.client.ServerProxy(f"{odoo.url}/xmlrpc/2/object") as server:
            ours = server.execute_kw(*params)
    assert differing("", shape(theirs), shape(ours)) == []
    if name == "17_15":
        assert isinstance(ours, dict)
        assert ours["length"] == 3
        assert len(ours["records"]) == 2


@pytest.mark.parametrize("name", ["17_04", "17_07", "17_08", "17_09", "17_12", "17_17", "17_18"])
def test_faults_have_the_captured_code_and_text(name: str) -> None:
    params, theirs = capture(name)
    with Simulator(17) as odoo:
        odoo.create_order()
        password = "admin" if params[2] != "nope" else "nope"
        params[0], params[1], params[2] = "odoo", 2, password
        if name == "17_12":
            odoo.faults.deny_model("purchase.order")
        elif name == "17_17":
            odoo.faults.forbid([5620])
        elif name == "17_18":
            params[5] = [[1]]
        with (
            xmlrpc.client.ServerProxy(f"{odoo.url}/xmlrpc/2/object") as server,
            pytest.raises(xmlrpc.client.Fault) as caught,
        ):
            server.execute_kw(*params)
    assert caught.value.faultCode == theirs.faultCode
    expected, got = theirs.faultString.strip(), caught.value.faultString.strip()
    # Of a traceback the last line tells, of the others the first.
    position = -1 if theirs.faultCode == 1 else 0
    assert got.split("\n")[position] == expected.split("\n")[position]


@pytest.mark.parametrize("version", [17, 18, 19])
def test_captured_orders_are_served_exactly(version: int) -> None:
    content = json.loads((CAPTURES / f"{version}_demo_orders.json").read_text("utf-8"))
    orders = content["purchase.order"]
    with Simulator(version) as odoo:
        ids = odoo.load_demo_orders(CAPTURES / f"{version}_demo_orders.json")
        answer = Caller(odoo).order(
            "web_search_read",
            domain=[["id", "in", ids]],
            specification=specification(orders),
            order="id",
        )
    assert answer["records"] == sorted(orders, key=lambda order: int(order["id"]))


def specification(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The specification that shows records as they were captured."""
    spec: dict[str, Any] = {}
    for record in records:
        for name, value in record.items():
            if isinstance(value, dict):
                spec[name] = {"fields": {"display_name": {}}}
            elif isinstance(value, list) and value and isinstance(value[0], dict):
                spec[name] = {"fields": specification(value)}
            else:
                spec.setdefault(name, {})
    return spec


@pytest.mark.parametrize("version", [17, 18, 19])
def test_fields_get_is_what_was_captured(version: int) -> None:
    captured = json.loads((CAPTURES / f"{version}_fields_get.json").read_text("utf-8"))
    with Simulator(version) as odoo:
        call = Caller(odoo)
        for model in ("purchase.order", "purchase.order.line"):
            fields = call(model, "fields_get")
            assert fields.keys() == captured[model].keys()
            for name, theirs in captured[model].items():
                ours = fields[name]
                assert {key: ours[key] for key in theirs} == theirs


def test_a_write_after_loading_computes_with_the_captured_tax() -> None:
    with Simulator(17) as odoo:
        odoo.load_demo_orders(CAPTURES / "17_demo_orders.json")
        order = odoo.order(1)
        assert order is not None
        line = order["order_line"][0]
        odoo.write_line(line["id"], price_unit=100.0)
        after = odoo.order(1)
    assert after is not None
    assert after["order_line"][0]["price_tax"] == 225.0  # 15 × 100 at 15 %
    assert after["amount_total"] == pytest.approx(3480.48 - 1376.55 + 1725.0)
