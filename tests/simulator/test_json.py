"""JSON-RPC on every version, JSON-2 on 19: the same values, errors of their own."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.simulator.conftest import LINES, Caller

SPEC: dict[str, Any] = {
    "name": {},
    "write_date": {},
    "partner_id": {"fields": {"display_name": {}}},
    "amount_total": {},
    "order_line": {"fields": {"name": {}, "price_total": {}}},
}


def post(
    odoo: Simulator, path: str, content: Any, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    connection = http.client.HTTPConnection("127.0.0.1", odoo.port, timeout=10)
    try:
        sent = {"Content-Type": "application/json", **(headers or {})}
        connection.request("POST", path, body, sent)
        response = connection.getresponse()
        text = response.read()
        is_json = "json" in (response.getheader("Content-Type") or "")
        return response.status, json.loads(text) if is_json else text.decode()
    finally:
        connection.close()


def jsonrpc(odoo: Simulator, service: str, method: str, *args: Any) -> dict[str, Any]:
    params = {"service": service, "method": method, "args": args}
    status, answer = post(
        odoo, "/jsonrpc", {"jsonrpc": "2.0", "method": "call", "id": 7, "params": params}
    )
    assert status == 200
    assert answer["id"] == 7
    return dict(answer)


def test_json_rpc_gives_what_xml_rpc_gives(odoo: Simulator, call: Caller) -> None:
    order = odoo.create_order(lines=LINES)
    args = ["odoo", 2, "admin", "purchase.order", "web_search_read"]
    named = {"domain": [["id", "=", order]], "specification": SPEC}
    answer = jsonrpc(odoo, "object", "execute_kw", *args, [], named)
    assert answer["result"] == call.order("web_search_read", **named)
    assert jsonrpc(odoo, "common", "version")["result"] == call.common("version")
    assert jsonrpc(odoo, "common", "authenticate", "odoo", "admin", "admin", {})["result"] == 2
    wrong = jsonrpc(odoo, "common", "authenticate", "odoo", "admin", "wrong", {})
    assert wrong["result"] is False
    assert odoo.calls[-1].method == "authenticate"


def test_json_rpc_carries_what_xml_cannot(odoo: Simulator) -> None:
    order = odoo.create_order(partner_ref="a\r\nb\x0bc")
    args = ["odoo", 2, "admin", "purchase.order"]
    answer = jsonrpc(odoo, "object", "execute_kw", *args, "read", [[order], ["partner_ref"]])
    assert answer["result"] == [{"id": order, "partner_ref": "a\r\nb\x0bc"}]
    answer = jsonrpc(odoo, "object", "execute_kw", *args, "button_cancel", [[order]])
    assert answer == {"jsonrpc": "2.0", "id": 7}
    odoo.bulk_create(70_000, 0)
    answer = jsonrpc(
        odoo, "object", "execute_kw", *args, "read_group", [[], ["id:sum"], []], {"lazy": False}
    )
    assert answer["result"][0]["id"] > 2**31


@pytest.mark.parametrize(
    ("secret", "model", "method", "args", "name"),
    [
        ("wrong", "purchase.order", "search", [[]], "odoo.exceptions.AccessDenied"),
        ("admin", "purchase.order", "read", [[1], ["nope"]], "builtins.ValueError"),
        ("admin", "purchase.order", "write", [[99], {}], "odoo.exceptions.MissingError"),
        ("admin", "purchase.order", "_private", [], "odoo.exceptions.AccessError"),
        ("admin", "nope.model", "search", [[]], "odoo.exceptions.UserError"),
    ],
)
def test_json_rpc_errors_are_typed(
    odoo: Simulator, secret: str, model: str, method: str, args: list[Any], name: str
) -> None:
    odoo.create_order()
    answer = jsonrpc(odoo, "object", "execute_kw", "odoo", 2, secret, model, method, args)
    assert answer["error"]["code"] == (0 if odoo.version == 19 else 200)
    assert answer["error"]["data"]["name"] == name
    assert answer["error"]["data"]["message"]


@pytest.fixture
def keyed() -> Iterator[Simulator]:
    with Simulator(19, api_keys=("key-1",)) as odoo:
        odoo.create_order(lines=LINES)
        yield odoo


KEY = {"Authorization": "bearer key-1"}


def test_json2_reads_and_writes(keyed: Simulator) -> None:
    path = "/json/2/purchase.order/"
    status, answer = post(keyed, path + "web_read", {"ids": [1], "specification": SPEC}, KEY)
    assert status == 200
    assert answer == Caller(keyed).order("web_read", [1], SPEC)
    status, answer = post(keyed, path + "search_read", {"domain": [], "fields": ["name"]}, KEY)
    assert (status, answer) == (200, [{"id": 1, "name": "P00001"}])
    assert post(keyed, path + "read", {"ids": [99], "fields": ["name"]}, KEY) == (200, [])
    assert post(keyed, path + "read", [1], KEY) == (200, [])  # an array is ignored
    assert post(keyed, path + "create", {"vals_list": {"partner_id": 2}}, KEY) == (200, [2])
    assert post(keyed, path + "write", {"ids": [2], "vals": {"origin": "x"}}, KEY) == (200, True)
    assert post(keyed, path + "button_cancel", {"ids": [2]}, KEY) == (200, None)
    assert (keyed.calls[-1].model, keyed.calls[-1].method) == ("purchase.order", "button_cancel")


UNPROCESSABLE = "werkzeug.exceptions.UnprocessableEntity"
NESTED = {"ids": [1, 99], "specification": {"order_line": {"fields": {"name": {}}}}}


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "name"),
    [
        ("purchase.order/read", {"ids": [1]}, {}, 401, "werkzeug.exceptions.Unauthorized"),
        (
            "purchase.order/read",
            {"ids": [1]},
            {"Authorization": "bearer admin"},
            401,
            "werkzeug.exceptions.Unauthorized",
        ),
        ("purchase.order/_private", {}, KEY, 403, "odoo.exceptions.AccessError"),
        ("purchase.order/web_read", NESTED, KEY, 404, "odoo.exceptions.MissingError"),
        ("nope.model/read", {"ids": [1]}, KEY, 404, "werkzeug.exceptions.NotFound"),
        ("purchase.order/nope", {}, KEY, 404, "werkzeug.exceptions.NotFound"),
        ("purchase.order", {}, KEY, 404, "werkzeug.exceptions.NotFound"),
        ("purchase.order/read", {"ids": [1], "nope": 1}, KEY, 422, UNPROCESSABLE),
        ("purchase.order/search", {"ids": [1]}, KEY, 422, UNPROCESSABLE),
        ("purchase.order/unlink", {"ids": [1]}, KEY, 422, "odoo.exceptions.UserError"),
        ("purchase.order/read", {"ids": [1], "fields": ["x"]}, KEY, 500, "builtins.ValueError"),
        ("purchase.order/read", b"{", KEY, 400, None),
    ],
)
def test_json2_errors_have_real_statuses(
    keyed: Simulator,
    path: str,
    content: Any,
    headers: dict[str, str],
    status: int,
    name: str | None,
) -> None:
    got, answer = post(keyed, f"/json/2/{path}", content, headers)
    assert got == status
    assert answer.keys() == {"name", "message", "arguments", "context", "debug"}
    if name is not None:
        assert answer["name"] == name


def test_json2_edges(keyed: Simulator) -> None:
    other = {**KEY, "X-Odoo-Database": "other"}
    status, text = post(keyed, "/json/2/purchase.order/read", {"ids": [1]}, other)
    assert (status, text[:15]) == (404, "<!doctype html>")
    plain = {**KEY, "Content-Type": "text/plain"}
    assert post(keyed, "/json/2/purchase.order/read", {"ids": [1]}, plain)[0] == 415
    assert post(keyed, "/json/version", {})[1] == {
        "version": "19.0",
        "version_info": [19, 0, 0, "final", 0, ""],
    }


def test_keys_are_generated_revoked_and_end(keyed: Simulator) -> None:
    path = "/json/2/purchase.order/search_count"
    asked: dict[str, Any] = {"domain": []}
    valid, ended = keyed.generate_api_key(days=1), keyed.generate_api_key(days=0)
    assert len(valid) == 40
    for key, status in ((valid, 200), (ended, 401)):
        assert post(keyed, path, asked, {"Authorization": f"bearer {key}"})[0] == status
    told = jsonrpc(keyed, "common", "authenticate", "odoo", "admin", valid, {})
    assert told["result"] == 2
    keyed.revoke_api_key(valid)
    assert post(keyed, path, asked, {"Authorization": f"bearer {valid}"})[0] == 401
    told = jsonrpc(keyed, "common", "authenticate", "odoo", "admin", valid, {})
    assert told["result"] is False


def test_the_version_is_told_by_get_too(keyed: Simulator) -> None:
    with urllib.request.urlopen(f"{keyed.url}/web/version", timeout=10) as answer:
        assert json.load(answer)["version"] == "19.0"


def test_json2_is_19s(odoo17: Simulator) -> None:
    for path in ("/json/2/purchase.order/read", "/web/version"):
        status, page = post(odoo17, path, {"ids": [1]}, KEY)
        assert (status, page[:9]) == (404, "<!doctype")


def test_18_sends_json2_to_its_login_page() -> None:
    with Simulator(18) as odoo:
        assert post(odoo, "/json/2/purchase.order/read", {"ids": [1]})[0] == 303
        assert post(odoo, "/web/version", {})[0] == 404
