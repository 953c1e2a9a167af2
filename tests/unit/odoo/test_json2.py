"""JSON-2: named arguments, a key instead of a login, statuses that mean something."""

import gzip
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest

from bc_consumer.odoo import (
    MissingEndpoint,
    NoRights,
    OdooAccessError,
    OdooFault,
    OdooProtocolError,
    OdooRefused,
    OdooUnavailable,
    ResponseTooLarge,
    UnknownField,
    UnknownMethod,
    WrongCredentials,
    WrongDatabase,
)
from bc_consumer.odoo.errors import OdooError
from bc_consumer.odoo.json2 import name_arguments
from tests.unit.odoo.serving import (
    DATABASE,
    PASSWORD,
    Incoming,
    captured,
    captured_answer,
    http,
    json_answer,
    json_error,
    serving,
)

VERSION = json_answer({"version_info": [19, 0, 0, "final", 0, ""], "version": "19.0"})
PAGE = http(b"<!doctype html><title>404 Not Found</title>", 404, "text/html; charset=utf-8")


def named(name: str, message: str) -> dict[str, Any]:
    return json_error(1, "") | {
        "name": name,
        "message": message,
        "debug": f"Traceback …\n{message}",
    }


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "expected"),
    [
        ("search", [[("id", "=", 1)]], {"limit": 1}, {"domain": [("id", "=", 1)], "limit": 1}),
        ("read", [[1], ["name"]], {}, {"ids": [1], "fields": ["name"]}),
        ("read", [1], {"load": ""}, {"ids": [1], "load": ""}),
        ("write", [[1], {"name": "x"}], {}, {"ids": [1], "vals": {"name": "x"}}),
        ("unlink", [[1, 2]], {}, {"ids": [1, 2]}),
        ("create", [{"name": "x"}], {}, {"vals_list": {"name": "x"}}),
        ("button_cancel", [[1]], {"context": {"lang": "fr_FR"}}, None),
        ("context_get", [], {}, {}),
        ("fields_get", [["name"], ["type"]], {}, {"allfields": ["name"], "attributes": ["type"]}),
    ],
)
def test_arguments_get_their_names(
    method: str, args: Sequence[Any], kwargs: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    if expected is None:
        expected = {"ids": args[0], **kwargs}
    assert name_arguments(method, args, kwargs) == expected


def test_arguments_whose_names_are_unknown_are_refused() -> None:
    with pytest.raises(OdooProtocolError, match="button_cancel"):
        name_arguments("button_cancel", [[1], "why"], {})


def test_a_call_is_sent_as_odoo_wants_it() -> None:
    with serving(lambda _incoming: json_answer([]), transport="json2") as (server, odoo):
        assert odoo.call("res.partner", "read", [[1]], {"context": {"lang": "fr_FR"}}) == []
        [request] = server.requests
    assert request.path == "/json/2/res.partner/read"
    assert request.headers["authorization"] == f"bearer {PASSWORD}"
    assert request.headers["x-odoo-database"] == DATABASE
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"ids": [1], "context": {"lang": "fr_FR"}}
    assert PASSWORD.encode() not in request.body


def test_captured_answers_are_results() -> None:
    [record] = ask(http(captured("19_20_json2_search_read.txt"), content_type="application/json"))
    assert record["partner_id"] == [8, "Wood Corner"]
    [record] = ask(http(captured("19_21_json2_web_read.txt"), content_type="application/json"))
    assert record["order_line"][0]["product_qty"] == 15.0
    assert ask(json_answer(b"null")) is None


def ask(answer: bytes, model: str = "purchase.order", method: str = "read") -> Any:
    """Call a method of a server that always gives this answer, and its version where asked."""

    def respond(incoming: Incoming) -> bytes:
        return VERSION if incoming.path == "/web/version" else answer

    with serving(respond, transport="json2") as (_server, odoo):
        return odoo._calls.execute(model, method, [[1]], {}, needed_models=None).value


@pytest.mark.parametrize(
    ("name", "kind", "code", "message"),
    [
        ("19_22_json2_missing_error.txt", OdooFault, 2, "Record does not exist"),
        ("19_23_json2_unknown_field.txt", UnknownField, 1, "Invalid field 'nope'"),
        ("19_24_json2_no_auth.txt", WrongCredentials, None, "API keys only"),
    ],
)
def test_captured_errors(name: str, kind: type[OdooError], code: int | None, message: str) -> None:
    status, body = captured_answer(name)
    with pytest.raises(OdooError, match=message) as caught:
        ask(json_answer(body, status))
    assert type(caught.value) is kind
    assert getattr(caught.value, "code", None) == code
    if isinstance(caught.value, OdooFault):
        assert (caught.value.model, caught.value.method) == ("purchase.order", "read")


WERKZEUG = "werkzeug.exceptions."


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (403, json_error(4, "Pas le droit"), OdooAccessError, 4),
        (403, json_error(3, "Access Denied"), WrongCredentials, None),
        (404, named(f"{WERKZEUG}NotFound", "the model 'purchase.order' is not"), OdooFault, 2),
        (
            404,
            named(f"{WERKZEUG}NotFound", "The method 'purchase.order.read' does not exist"),
            UnknownMethod,
            1,
        ),
        (422, json_error(2, "On ne peut pas"), OdooFault, 2),
        (422, named(f"{WERKZEUG}UnprocessableEntity", "missing a required argument"), OdooFault, 1),
        (500, json_error(1, "Traceback …\nZeroDivisionError: division by zero"), OdooFault, 1),
        (400, named(f"{WERKZEUG}BadRequest", "could not parse the body"), OdooProtocolError, None),
        (503, named(f"{WERKZEUG}ServiceUnavailable", "later"), OdooUnavailable, None),
        (429, {"message": "rate limit exceeded"}, OdooUnavailable, None),
        (500, {"message": "upstream"}, OdooUnavailable, None),
        (403, {"message": "Forbidden"}, OdooRefused, None),
        (401, {"message": "Unauthorized"}, OdooRefused, None),
        (404, {"message": "no Route matched"}, MissingEndpoint, None),
        (200, None, None, None),
    ],
)
def test_each_status_tells_what_to_do(
    status: int, error: Any, kind: type[OdooError] | None, code: int | None
) -> None:
    answer = json_answer(error, status)
    if kind is None:
        assert ask(answer) is None
        return
    with pytest.raises(OdooError) as caught:
        ask(answer)
    assert type(caught.value) is kind
    assert getattr(caught.value, "code", None) == code


def test_the_wish_to_wait_is_handed_on() -> None:
    with pytest.raises(OdooUnavailable) as caught:
        ask(json_answer({"message": "slow down"}, 429, Retry_After="17"))
    assert caught.value.retry_after == 17


def test_a_404_page_is_a_missing_database_where_there_is_json_2() -> None:
    with pytest.raises(WrongDatabase, match='"shop"'):
        ask(PAGE)


def test_a_404_page_is_a_missing_endpoint_where_there_is_no_version_either() -> None:
    with (
        serving(lambda _incoming: PAGE, transport="json2") as (_server, odoo),
        pytest.raises(MissingEndpoint, match="from version 19 on"),
    ):
        odoo.ping()
    with (
        serving(lambda _incoming: PAGE, transport="json2") as (_server, odoo),
        pytest.raises(MissingEndpoint, match="ODOO_TRANSPORT to auto"),
    ):
        odoo.version()


def test_odoo_s_login_page_is_a_missing_endpoint() -> None:
    """18 has pages below /json/, and sends whoever calls JSON-2 there to log in (measured)."""

    def respond(incoming: Incoming) -> bytes:
        location = f"/web/login?redirect={quote(incoming.path + '?', safe='')}"
        return PAGE if incoming.path == "/web/version" else http(b"", 303, Location=location)

    with (
        serving(respond, transport="json2") as (server, odoo),
        pytest.raises(MissingEndpoint, match="from version 19 on"),
    ):
        odoo.ping()
    assert [one.path for one in server.requests][1:] == ["/web/version", "/jsonrpc"]


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://odoo.example.com/web/login", r"https://odoo\.example\.com/web/login:"),
        ("//odoo.example.com/web/login", r"odoo\.example\.com/web/login:"),
        ("/elsewhere/json/2/res.users/search", "another address"),
    ],
)
def test_a_proxy_s_redirect_names_the_address_to_use(location: str, told: str) -> None:
    with pytest.raises(OdooRefused, match=told):
        ask(http(b"", 303, Location=location))


def test_a_server_that_goes_away_in_between_is_neither() -> None:
    def respond(incoming: Incoming) -> bytes:
        return http(b"", 502) if incoming.path == "/web/version" else PAGE

    with (
        serving(respond, transport="json2") as (_server, odoo),
        pytest.raises(OdooUnavailable),
    ):
        odoo.ping()


@pytest.mark.parametrize("status", [415, 401, 403, 500, 200])
def test_a_page_is_never_an_answer(status: int) -> None:
    with pytest.raises(OdooError):
        ask(http(b"<html>", status, "text/html"))


@pytest.mark.parametrize("body", [b"", b"{", b"[NaN]", b"[" * 100_000, b"<html>"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, OdooProtocolError),
        (404, MissingEndpoint),
        (500, OdooUnavailable),
        (502, OdooUnavailable),
        (403, OdooRefused),
    ],
)
def test_json_that_is_none_is_no_error_of_odoo(
    body: bytes, status: int, kind: type[OdooError]
) -> None:
    with pytest.raises(OdooError) as caught:
        ask(json_answer(body, status))
    assert type(caught.value) is kind


def test_the_version_is_told_without_an_account() -> None:
    def respond(incoming: Incoming) -> bytes:
        assert "authorization" not in incoming.headers
        assert incoming.body == b""
        return VERSION

    with serving(respond, transport="json2") as (server, odoo):
        assert odoo.version().major == 19
        assert odoo.server_time() is not None
        assert {request.path for request in server.requests} == {"/web/version"}
    with (
        serving(lambda _incoming: json_answer([19]), transport="json2") as (_server, odoo),
        pytest.raises(OdooProtocolError, match="version"),
    ):
        odoo.version()


def test_a_get_and_a_post_on_one_connection_do_not_mix() -> None:
    def respond(incoming: Incoming) -> bytes:
        return VERSION if incoming.path == "/web/version" else json_answer([])

    with serving(respond, transport="json2", keep_alive=True) as (server, odoo):
        for call in (odoo.version, odoo.ping, odoo.version, odoo.ping):
            call()
        assert [request.method for request in server.requests] == ["GET", "POST"] * 2
        assert all((request.method == "POST") == bool(request.body) for request in server.requests)
        assert all(
            (request.method == "POST") == ("authorization" in request.headers)
            for request in server.requests
        )


@pytest.mark.parametrize("password", ["a word", "mot de passé", "line\nX-Injected: 1", ""])
def test_what_no_header_can_hold_is_no_key(password: str) -> None:
    with serving(lambda _incoming: json_answer([]), transport="json2", password=password) as (
        server,
        odoo,
    ):
        with pytest.raises(WrongCredentials):
            odoo.ping()
        assert not server.requests


def test_a_database_s_name_cannot_add_a_header() -> None:
    with serving(lambda _i: json_answer([]), transport="json2", database="a\r\nX: 1") as (
        server,
        odoo,
    ):
        with pytest.raises(WrongDatabase):
            odoo.ping()
        assert not server.requests


def test_one_record_is_created_and_told_as_one_by_every_transport() -> None:
    bodies: list[Any] = []

    def respond(incoming: Incoming) -> bytes:
        bodies.append(json.loads(incoming.body)["vals_list"])
        return json_answer([7] if len(bodies[-1]) == 1 else [8, 9])

    with serving(respond, transport="json2") as (_server, odoo):
        assert odoo.call("res.partner", "create", [{"name": "x"}]) == 7
        assert odoo.call("res.partner", "create", [[{"name": "x"}]]) == [7]
        assert odoo.call("res.partner", "create", [[{"name": "x"}, {"name": "y"}]]) == [8, 9]
    assert bodies == [[{"name": "x"}], [{"name": "x"}], [{"name": "x"}, {"name": "y"}]]


def test_a_model_that_may_not_be_read_is_told_by_name() -> None:
    with (
        serving(lambda _i: json_answer(json_error(4, "Non"), 403), transport="json2") as (_s, odoo),
        pytest.raises(NoRights, match=r"purchase\.order"),
    ):
        odoo.call("purchase.order", "search", [[]])


def test_compressed_answers_are_read_and_capped_after_decompression() -> None:
    def packed(value: Any) -> bytes:
        body = gzip.compress(json.dumps(value).encode())
        return http(body, content_type="application/json", Content_Encoding="gzip")

    assert ask(packed(["x" * 1_000])) == ["x" * 1_000]
    with (
        serving(
            lambda _i: packed("x" * 1_000_000), transport="json2", max_response_bytes=100_000
        ) as (_server, odoo),
        pytest.raises(ResponseTooLarge),
    ):
        odoo.call("purchase.order", "search", [[]])


@pytest.mark.parametrize("transport", ["jsonrpc", "json2"])
def test_a_connection_is_kept_where_the_server_keeps_it(transport: str) -> None:
    def respond(incoming: Incoming) -> bytes:
        value: Any = 7 if b"authenticate" in incoming.body else []
        jsonrpc: Any = {"jsonrpc": "2.0", "id": 1, "result": value}
        return json_answer(jsonrpc if incoming.path == "/jsonrpc" else value)

    with serving(respond, transport=transport, keep_alive=True) as (server, odoo):
        for _ in range(5):
            odoo.ping()
        assert len(server.requests) >= 5
        assert server.connections == 1
