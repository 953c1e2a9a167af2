"""What goes over the wire: HTTP, XML-RPC, faults and their codes."""

from __future__ import annotations

import http.client
import xmlrpc.client
from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.simulator.conftest import LINES, Caller


def raw(simulator: Simulator, body: bytes, path: str = "/xmlrpc/2/object") -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=10)
    try:
        connection.request("POST", path, body, {"Content-Type": "text/xml"})
        response = connection.getresponse()
        return response.status, response.version, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_version_needs_no_login(odoo: Simulator, call: Caller) -> None:
    answer = call.common("version")
    assert answer == {
        "server_version": f"{odoo.version}.0",
        "server_version_info": [odoo.version, 0, 0, "final", 0, ""],
        "server_serie": f"{odoo.version}.0",
        "protocol_version": 1,
    }


def test_authenticate_gives_the_uid_or_false(odoo17: Simulator) -> None:
    call = Caller(odoo17)
    assert call.common("authenticate", "odoo", "admin", "admin", {}) == 2
    assert call.common("authenticate", "odoo", "admin", "wrong", {}) is False
    assert call.common("authenticate", "odoo", "nobody", "admin", {}) is False


def test_api_key_works_as_a_password() -> None:
    with Simulator(17, api_keys=("key-1",)) as odoo:
        call = Caller(odoo)
        call.password = "key-1"
        assert call.common("authenticate", "odoo", "admin", "key-1", {}) == 2
        assert call.order("search_count", []) == 0


def test_wrong_database_is_a_fault_1_with_a_traceback(odoo17: Simulator) -> None:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        Caller(odoo17).common("authenticate", "nope", "admin", "admin", {})
    assert caught.value.faultCode == 1
    assert caught.value.faultString.startswith("Traceback (most recent call last):")
    assert "OperationalError" in caught.value.faultString


def test_wrong_password_in_a_call_is_fault_3(odoo17: Simulator) -> None:
    call = Caller(odoo17)
    call.password = "wrong"
    fault = call.fault("purchase.order", "search_count", [])
    assert (fault.faultCode, fault.faultString) == (3, "Access Denied")


def test_http_is_closed_dated_and_always_200(odoo17: Simulator) -> None:
    status, version, headers, body = raw(odoo17, b"this is no XML")
    assert (status, version) == (200, 10)
    assert headers["Connection"] == "close"
    assert headers["Date"].endswith("GMT")
    assert headers["Content-Type"] == "text/xml; charset=utf-8"
    with pytest.raises(xmlrpc.client.Fault) as caught:
        xmlrpc.client.loads(body)
    assert caught.value.faultCode == 1


def test_keep_alive_serves_several_calls_on_one_connection() -> None:
    with Simulator(17, keep_alive=True) as odoo:
        connection = http.client.HTTPConnection("127.0.0.1", odoo.port, timeout=10)
        body = xmlrpc.client.dumps((), "version").encode()
        for _ in range(3):
            connection.request("POST", "/xmlrpc/2/common", body)
            assert connection.getresponse().read()
            assert connection.sock is not None
        connection.close()


def test_unknown_field_is_fault_1(odoo: Simulator, call: Caller) -> None:
    order = odoo.create_order()
    where = "'purchase.order'" if odoo.version == 19 else "model 'purchase.order'"
    for method, args in (("read", ([order], ["nope"])), ("search_read", ([], ["nope"]))):
        fault = call.fault("purchase.order", method, *args)
        assert fault.faultCode == 1
        assert fault.faultString.endswith(f"ValueError: Invalid field 'nope' on {where}\n")
    specs: list[dict[str, Any]] = [{"nope": {}}, {"order_line": {"fields": {"nope": {}}}}]
    for spec in specs:
        kwargs = {"domain": [["id", "=", order]], "specification": spec}
        assert call.fault("purchase.order", "web_search_read", **kwargs).faultCode == 1
    fault = call.fault("purchase.order", "search", [["nope", "=", 1]])
    assert fault.faultCode == 1
    assert "Invalid field purchase.order.nope in leaf" in fault.faultString


def test_faults_of_unknown_things(call: Caller) -> None:
    fault = call.fault("nope.model", "search", [])
    assert (fault.faultCode, fault.faultString) == (2, "Object nope.model doesn't exist")
    assert call.fault("purchase.order", "nope_method", []).faultCode == 1
    assert call.fault("purchase.order", "_private", []).faultCode == 4
    fault = call.fault("purchase.order", "write", [999999], {"partner_ref": "x"})
    assert fault.faultCode == 2
    assert fault.faultString == (
        "Record does not exist or has been deleted.\n(Record: purchase.order(999999,), User: 2)"
    )


def test_a_method_that_returns_none_faults_though_it_committed(
    odoo: Simulator, call: Caller
) -> None:
    order = odoo.create_order(lines=LINES)
    fault = call.fault("purchase.order", "button_cancel", [order])
    assert fault.faultCode == 1
    assert "cannot marshal None unless allow_none is enabled" in fault.faultString
    assert call.order("read", [order], ["state"])[0]["state"] == "cancel"


def test_empties_are_false_and_moments_are_seconds(odoo: Simulator, call: Caller) -> None:
    order = odoo.create_order()
    fields = [
        "partner_ref",
        "date_approve",
        "payment_term_id",
        "origin",
        "write_date",
        "partner_id",
    ]
    record = call.order("read", [order], fields)[0]
    assert [record[name] for name in fields[:4]] == [False] * 4
    assert len(record["write_date"]) == 19
    assert record["partner_id"] == [2, odoo.display_name("res.partner", 2)]
    assert call.order("read", [order], ["partner_id"], load="")[0]["partner_id"] == 2


def test_control_characters_and_carriage_returns_do_not_survive(odoo17: Simulator) -> None:
    order = odoo17.create_order(partner_ref="a\r\nb\x0bc")
    record = Caller(odoo17).order("read", [order], ["partner_ref"])[0]
    assert record["partner_ref"] == "a\nbc"
    assert odoo17.order(order)["partner_ref"] == "a\r\nb\x0bc"  # type: ignore[index]


def test_integers_over_31_bits_are_fault_1(odoo17: Simulator) -> None:
    odoo17.bulk_create(70_000, 0)
    fault = Caller(odoo17).fault("purchase.order", "read_group", [], ["id:sum"], [], lazy=False)
    assert fault.faultCode == 1
    assert "OverflowError: int exceeds XML-RPC limits" in fault.faultString


def test_names_differ_by_version(odoo: Simulator, call: Caller) -> None:
    order = call.order("fields_get", attributes=["type", "store", "digits"])
    line = call.line("fields_get", attributes=["type", "store", "digits"])
    late = odoo.version == 19
    assert ("note" in order, "notes" in order) == (late, not late)
    assert ("locked" in order) is late
    assert ("product_uom_id" in line, "product_uom" in line) == (late, not late)
    assert ("tax_ids" in line, "taxes_id" in line) == (late, not late)
    assert line["state"]["store"] is not late
    assert line["price_unit"].get("digits") == (None if late else [16, 2])


def test_elder_paths_have_textual_fault_codes(odoo17: Simulator) -> None:
    with (
        xmlrpc.client.ServerProxy(f"{odoo17.url}/xmlrpc/object") as server,
        pytest.raises(xmlrpc.client.Fault) as caught,
    ):
        server.execute_kw("odoo", 2, "wrong", "purchase.order", "search", [[]])
    assert str(caught.value.faultCode) == "AccessDenied"
