"""JSON-RPC's answers: results, errors, and what is neither."""

import json
from typing import Any

import pytest

from bc_consumer.odoo import (
    MissingEndpoint,
    OdooAccessError,
    OdooFault,
    OdooProtocolError,
    OdooUnavailable,
    UnknownField,
    UnknownMethod,
    WrongCredentials,
    WrongDatabase,
)
from bc_consumer.odoo.errors import OdooError
from bc_consumer.odoo.fault_errors import Fault
from bc_consumer.odoo.rpc import JsonRpc
from tests.unit.odoo.serving import Incoming, Respond, json_answer, jsonrpc_value, serving


def test_a_call_is_written_as_odoo_wants_it() -> None:
    request = JsonRpc().request("object", "execute_kw", lambda: ("db", 2, "x", "m", "n", [], {}))
    assert request.path == "/jsonrpc"
    assert json.loads(request.body or b"") == {
        "jsonrpc": "2.0",
        "method": "call",
        "id": 1,
        "params": {
            "service": "object",
            "method": "execute_kw",
            "args": ["db", 2, "x", "m", "n", [], {}],
        },
    }


def read(content: Any) -> Any:
    return JsonRpc().read(json.dumps(content).encode())


def test_a_result_may_be_left_out() -> None:
    assert read({"jsonrpc": "2.0", "id": 1, "result": [1]}) == [1]
    assert read({"jsonrpc": "2.0", "id": 1, "result": None}) is None
    assert read({"jsonrpc": "2.0", "id": 1}) is None
    assert read({"jsonrpc": "2.0", "id": 1, "result": False}) is False


@pytest.mark.parametrize(
    "content",
    [
        [],
        None,
        "x",
        {},
        {"result": 1},
        {"jsonrpc": "1.0", "result": 1},
        {"jsonrpc": "2.0", "error": "no"},
        {"jsonrpc": "2.0", "error": {"code": 200, "message": "Odoo Server Error"}},
        {"jsonrpc": "2.0", "error": {"data": {"name": None}}},
    ],
)
def test_what_is_no_answer_of_json_rpc_is_refused(content: Any) -> None:
    with pytest.raises(OdooProtocolError):
        read(content)


@pytest.mark.parametrize("code", [200, 0])
def test_the_error_s_own_code_and_message_tell_nothing(code: int) -> None:
    data = {"name": "odoo.exceptions.AccessError", "message": "Accès refusé", "debug": "…"}
    with pytest.raises(Fault) as caught:
        read({"jsonrpc": "2.0", "error": {"code": code, "message": "Erreur", "data": data}})
    assert (caught.value.code, caught.value.text) == (4, "Accès refusé")


def test_a_closed_endpoint_is_told_apart() -> None:
    data = {"name": "werkzeug.exceptions.NotFound", "message": "404: Not Found", "debug": "…"}
    with pytest.raises(MissingEndpoint, match="/jsonrpc"):
        read({"jsonrpc": "2.0", "error": {"code": 404, "message": "404", "data": data}})


def told(name: str, message: str, debug: str) -> bytes:
    """An error as 17 and 18 write it."""
    data = {"name": name, "message": message, "arguments": [message], "context": {}, "debug": debug}
    error = {"code": 200, "message": "Odoo Server Error", "data": data}
    return json_answer({"jsonrpc": "2.0", "id": 1, "error": error})


DOES_NOT_EXIST = 'connection to server failed: FATAL:  database "shop" does not exist'


@pytest.mark.parametrize(
    ("name", "message", "kind"),
    [
        ("odoo.exceptions.AccessDenied", "Access Denied", WrongCredentials),
        ("odoo.exceptions.AccessError", "Vous n'avez pas le droit", OdooAccessError),
        ("odoo.exceptions.MissingError", "Gone", OdooFault),
        ("odoo.exceptions.UserError", "Object x doesn't exist", OdooFault),
        ("builtins.ValueError", "Invalid field 'x_a' on model 'res.partner'", UnknownField),
        ("builtins.ValueError", "Invalid field res.partner.x_a in leaf (…)", UnknownField),
        ("builtins.AttributeError", "The method 'res.partner.read' does not exist", UnknownMethod),
        ("builtins.KeyError", "'partner'", OdooFault),
        ("psycopg2.OperationalError", DOES_NOT_EXIST, WrongDatabase),
        ("psycopg2.OperationalError", "FATAL:  sorry, too many clients already", OdooFault),
    ],
)
def test_errors_are_those_of_xml_rpc(name: str, message: str, kind: type[OdooError]) -> None:
    short = name.removeprefix("builtins.")
    error = told(name, message, f"Traceback (most recent call last):\n  …\n{short}: {message}\n")

    def respond(incoming: Incoming) -> bytes:
        return jsonrpc_value(7) if b"authenticate" in incoming.body else error

    with serving(respond, transport="jsonrpc") as (_server, odoo):
        with pytest.raises(OdooError) as caught:
            odoo._calls.execute("res.partner", "read", [[1]], {}, needed_models=None)
        assert type(caught.value) is kind


def test_a_database_that_is_not_there_is_told_when_logging_in() -> None:
    for message, kind in ((DOES_NOT_EXIST, WrongDatabase), ("Connection refused", OdooUnavailable)):
        debug = f"Traceback …\npsycopg2.OperationalError: {message}\n"
        error = told("psycopg2.OperationalError", message, debug)
        with (
            serving(always(error), transport="jsonrpc") as (_server, odoo),
            pytest.raises(OdooError) as caught,
        ):
            odoo.ping()
        assert type(caught.value) is kind


def always(answer: bytes) -> Respond:
    return lambda _incoming: answer
