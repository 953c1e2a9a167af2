"""Each fault on command does what it says, and ends when told."""

from __future__ import annotations

import http.client
import socket
import threading
import time
import xmlrpc.client
from typing import Any

import pytest

from odoo_simulator import RemoteSimulator, Simulator
from tests.simulator.conftest import LINES, Caller
from tests.simulator.test_transactions import wait_for


@pytest.fixture
def caller(odoo17: Simulator) -> Caller:
    odoo17.create_order(lines=LINES)
    odoo17.create_order(lines=LINES)
    return Caller(odoo17)


def test_latency_and_latency_by_order(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.latency(0.1, per_order=0.1)
    started = time.monotonic()
    caller.order("read", [1, 2], ["name"])
    assert time.monotonic() - started >= 0.3
    assert odoo17.calls[-1].seconds >= 0.3


def test_drip_is_slow_as_a_whole_but_never_silent(odoo17: Simulator) -> None:
    odoo17.faults.drip(0.002)
    connection = socket.create_connection(("127.0.0.1", odoo17.port), timeout=30)
    body = xmlrpc.client.dumps((), "version").encode()
    head = f"POST /xmlrpc/2/common HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    started = time.monotonic()
    with connection:
        connection.sendall(head.encode() + body)
        pieces = sum(1 for _ in iter(lambda: connection.recv(65_536), b""))
    assert time.monotonic() - started > 1.0
    assert pieces > 50  # no timeout of a single read would strike


def test_http_errors_of_a_proxy(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.http_status(429, {"Retry-After": "7"}, times=1)
    with pytest.raises(xmlrpc.client.ProtocolError) as caught:
        caller.order("search", [])
    assert caught.value.errcode == 429
    assert caught.value.headers["Retry-After"] == "7"
    assert caller.order("search_count", []) == 2


def test_garbage_and_bomb(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.garbage()
    with pytest.raises(Exception, match=r"not well-formed|syntax|mismatched"):
        caller.order("search", [])
    odoo17.faults.clear()
    odoo17.faults.xml_bomb()
    connection = http.client.HTTPConnection("127.0.0.1", odoo17.port, timeout=10)
    connection.request("POST", "/xmlrpc/2/common", xmlrpc.client.dumps((), "version"))
    body = connection.getresponse().read()
    connection.close()
    assert body.count(b"<!ENTITY") == 11
    assert len(body) < 2000


def test_huge_answers_are_well_formed(odoo17: Simulator) -> None:
    odoo17.faults.huge(3_000_000)
    answer = Caller(odoo17).common("version")
    assert isinstance(answer, str)
    assert 2_999_000 < len(answer) < 3_000_000


def test_connection_cut_in_the_middle(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.close_mid_response()
    connection = http.client.HTTPConnection("127.0.0.1", odoo17.port, timeout=10)
    connection.request("POST", "/xmlrpc/2/common", xmlrpc.client.dumps((), "version"))
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    connection.close()
    odoo17.faults.clear()
    assert caller.order("search_count", []) == 2


def test_fault_for_all(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.fault_all(1, "psycopg2.OperationalError: the database system is starting up")
    fault = caller.fault("purchase.order", "search", [])
    assert fault.faultCode == 1
    assert "starting up" in fault.faultString
    odoo17.faults.clear()
    assert caller.order("search_count", []) == 2


def test_faults_and_pages_that_repeat_the_request(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.echo()
    odoo17.faults.fault_all(1, "ValueError: no")
    text = caller.fault("purchase.order", "search", []).faultString
    assert text.startswith("ValueError: no while doing object.execute_kw('odoo', 2, 'admin',")
    odoo17.faults.clear()
    odoo17.faults.echo()
    odoo17.faults.http_status(502)
    body = xmlrpc.client.dumps(("odoo", "admin", "admin", {}), "authenticate").encode()
    connection = http.client.HTTPConnection("127.0.0.1", odoo17.port, timeout=5)
    connection.request("POST", "/xmlrpc/2/common", body, {"Authorization": "Basic YTpi"})
    page = connection.getresponse().read()
    connection.close()
    assert b"Basic YTpi" in page
    assert body in page


def test_poison(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.poison(2, code=2, text="value out of range", on_dates=True)
    for method, args in (
        ("read", ([1, 2], ["name"])),
        ("web_search_read", ([["id", "in", [1, 2]]], {"name": {}})),
        ("search", ([],)),
        ("write", ([2], {"partner_ref": "x"})),
    ):
        fault = caller.fault("purchase.order", method, *args)
        assert (fault.faultCode, fault.faultString) == (2, "value out of range")
    assert caller.fault("purchase.order.line", "read", [3], ["name"]).faultCode == 2
    assert caller.order("read", [1], ["name"]) == [{"id": 1, "name": "P00001"}]
    odoo17.faults.cure(2)
    assert len(caller.order("read", [1, 2], ["name"])) == 2


def test_a_poison_that_is_only_slow(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.poison(2, code=None, slow=0.2)
    started = time.monotonic()
    assert caller.order("read", [2], ["name"])
    assert time.monotonic() - started >= 0.2


def test_a_poison_that_spares_dates(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.poison(2)
    assert len(caller.order("search_read", [], ["id", "write_date"])) == 2
    assert len(caller.order("web_search_read", [], {"write_date": {}})["records"]) == 2
    assert caller.order("search_count", []) == 2
    spec: dict[str, Any] = {"write_date": {}, "order_line": {"fields": {"write_date": {}}}}
    assert caller.fault("purchase.order", "web_search_read", [], spec).faultCode == 1
    assert caller.fault("purchase.order", "read", [2], ["name"]).faultCode == 1


def test_commits_that_come_late(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.slow_commit(2.0)
    writer = threading.Thread(target=lambda: odoo17.write_order(1, partner_ref="late"))
    writer.start()
    assert caller.order("read", [1], ["partner_ref"])[0]["partner_ref"] is False
    writer.join()
    assert caller.order("read", [1], ["partner_ref"])[0]["partner_ref"] == "late"


def test_a_write_between_two_calls(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.hide_method("web_search_read")
    assert caller.fault("purchase.order", "web_search_read", [], {}).faultCode == 1
    torn: list[str] = []

    def strike(model: str, method: str) -> None:
        torn.append(f"{model}.{method}")
        odoo17.faults.between_calls(None)
        odoo17.write_order(1, order_line=[(0, 0, {"price_unit": 7.0})])

    odoo17.faults.between_calls(strike)
    order = caller.order("read", [1], ["order_line", "amount_untaxed"])[0]
    lines = caller.line("search_read", [["order_id", "=", 1]], ["price_subtotal"])
    assert torn == ["purchase.order.read"]
    assert len(order["order_line"]) == 2
    assert len(lines) == 3


def test_denied_model_and_empty_database(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.deny_model("purchase.order")
    assert caller.fault("purchase.order", "read", [1], ["name"]).faultCode == 4
    odoo17.faults.clear()
    odoo17.faults.empty()
    assert caller.order("search", []) == []
    assert caller.order("read", [1], ["name"]) == []
    assert caller.order("web_search_read", [["id", "in", [1]]], {"name": {}})["records"] == []
    assert caller.line("search_count", []) == 0
    assert caller("res.partner", "search_count", []) > 0
    odoo17.faults.clear()
    assert caller.order("search_count", []) == 2


def test_a_field_that_is_gone(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.drop_field("purchase.order", "partner_ref")
    assert "partner_ref" not in caller.order("fields_get")
    assert caller.fault("purchase.order", "read", [1], ["partner_ref"]).faultCode == 1
    odoo17.faults.clear()
    assert caller.order("read", [1], ["partner_ref"]) == [{"id": 1, "partner_ref": False}]


def test_refused_connections(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.refuse()
    with pytest.raises(ConnectionRefusedError):
        caller.order("search", [])
    odoo17.faults.accept()
    assert caller.order("search_count", []) == 2
    odoo17.faults.refuse()
    odoo17.faults.clear()
    assert caller.order("search_count", []) == 2


def test_silence(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.silence()
    connection = http.client.HTTPConnection("127.0.0.1", odoo17.port, timeout=0.3)
    connection.request("POST", "/xmlrpc/2/common", xmlrpc.client.dumps((), "version"))
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    odoo17.faults.clear()
    assert caller.order("search_count", []) == 2


def test_another_clock(odoo17: Simulator, caller: Caller) -> None:
    odoo17.faults.clock(-86_400.0)
    order = odoo17.create_order()
    ours = odoo17.clock().strftime("%Y-%m-%d")
    assert caller.order("read", [order], ["write_date"])[0]["write_date"][:10] == ours
    connection = http.client.HTTPConnection("127.0.0.1", odoo17.port, timeout=10)
    connection.request("POST", "/xmlrpc/2/common", xmlrpc.client.dumps((), "version"))
    response = connection.getresponse()
    response.read()
    connection.close()
    assert odoo17.clock().strftime("%d %b %Y") in (response.getheader("Date") or "")


def test_calls_are_logged(odoo17: Simulator, caller: Caller) -> None:
    odoo17.calls_clear()
    caller.common("version")
    caller.order("web_search_read", [["id", "in", [1, 2, 3]]], {"name": {}})
    caller.fault("purchase.order", "read", [1], ["nope"])
    calls = odoo17.calls
    assert [(call.service, call.model, call.method) for call in calls] == [
        ("common", "", "version"),
        ("object", "purchase.order", "web_search_read"),
        ("object", "purchase.order", "read"),
    ]
    assert [(call.ids, call.records, call.fault) for call in calls[1:]] == [(3, 2, None), (1, 0, 1)]
    assert calls[1].response_bytes > 200 < calls[1].request_bytes
    odoo17.calls_clear()
    assert odoo17.calls == []


def test_everything_from_another_process(odoo17: Simulator, caller: Caller) -> None:
    remote = RemoteSimulator(odoo17.url)
    order = remote.create_order(partner_id=3, lines=LINES, partner_ref="R")
    assert remote.order(order)["partner_ref"] == "R"
    assert remote.order_ids() == [1, 2, order]
    remote.faults.latency(0.2)
    started = time.monotonic()
    caller.order("search_count", [])
    assert time.monotonic() - started >= 0.2
    remote.faults.clear()
    assert remote.calls[-1].method == "search_count"
    remote.faults.refuse()
    with pytest.raises(ConnectionRefusedError):
        caller.order("search_count", [])
    remote.faults.accept()
    assert len(remote.bulk_create(10, lines_per_order=1)) == 10
    assert caller.order("search_count", []) == 13
    remote.faults.between_calls([{"do": "write_order", "args": [1], "kwargs": {"origin": "torn"}}])
    assert caller.order("read", [1], ["origin"])[0]["origin"] is False
    assert caller.order("read", [1], ["origin"])[0]["origin"] == "torn"
    with pytest.raises(RuntimeError, match="unknown action"):
        remote.nonsense()
    with pytest.raises(RuntimeError, match="MissingError"):
        remote.write_order(999, partner_ref="x")


def test_remote_transactions(odoo17: Simulator, caller: Caller) -> None:
    remote = RemoteSimulator(odoo17.url)
    with remote.transaction() as transaction:
        transaction.write_order(1, partner_ref="late")
        assert caller.order("read", [1], ["partner_ref"])[0]["partner_ref"] is False
    assert caller.order("read", [1], ["partner_ref"])[0]["partner_ref"] == "late"
    with remote.transaction() as transaction:
        transaction.write_order(1, partner_ref="never")
        transaction.rollback()
    assert caller.order("read", [1], ["partner_ref"])[0]["partner_ref"] == "late"
    holding = threading.Thread(target=_held, args=(remote,))
    holding.start()
    wait_for(lambda: caller.order("read", [1], ["partner_ref"])[0]["partner_ref"] == "held")
    holding.join()


def _held(remote: RemoteSimulator) -> None:
    with remote.transaction(hold=0.2) as transaction:
        transaction.write_order(1, partner_ref="held")
