"""An Odoo, or what answers in its place, that means harm: nothing of it is followed or believed."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from functools import cache

import pytest

from bc_consumer.odoo import Odoo, OdooError, OdooRefused
from bc_consumer.odoo.errors import NoRights, OdooFault, OdooProtocolError, ResponseTooLarge
from bc_consumer.odoo.json_codec import read_json
from bc_consumer.odoo.xmlrpc_codec import read_response
from tests.unit.odoo.serving import (
    Incoming,
    RawServer,
    TinyOdoo,
    http,
    json_answer,
    jsonrpc_fault,
    rpc,
    serving,
    settings_for,
)

TRANSPORTS = ("xmlrpc", "jsonrpc", "json2", "auto")
CALLS: tuple[Callable[[Odoo], object], ...] = (
    lambda odoo: odoo.version(),
    lambda odoo: odoo.call("purchase.order", "search", [[]]),
    lambda odoo: odoo.fetch([1]),
)
ELSEWHERE = ("file:///etc/passwd", "gopher://127.0.0.1:70/", "ftp://127.0.0.1/", "//127.0.0.1/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_redirect_leads_anywhere(transport: str, status: int) -> None:
    """Not to another host, to which the password would go, nor to a file."""
    with RawServer(lambda _incoming: rpc(1)) as other:
        for target in (f"{other.url}/xmlrpc/2/common", *ELSEWHERE):

            def respond(_incoming: Incoming, target: str = target) -> bytes:
                return http(b"", status, Location=target)

            for call in CALLS:
                with serving(respond, transport=transport) as (server, odoo):
                    with pytest.raises(OdooRefused):
                        call(odoo)
                    assert all(one.path.startswith("/") for one in server.requests)
        assert other.requests == []


def test_other_schemes_than_http_are_refused_at_once() -> None:
    with RawServer(lambda _incoming: b"") as server:
        for url in ("file:///etc/passwd", "ftp://host/", "javascript:alert(1)"):
            with pytest.raises(OdooRefused):
                settings_for(server, url=url)


HEAD = "<?xml version='1.0'?>"
BODY = "<methodResponse><params><param><value>&a;</value></param></params></methodResponse>"


@pytest.mark.parametrize(
    "declaration",
    [
        "<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x.dtd'>",
        "<!DOCTYPE x PUBLIC '-//x' 'file:///etc/passwd'>",
        "<!DOCTYPE x [<!ENTITY % p SYSTEM 'file:///etc/passwd'> %p;]>",
        "<!DOCTYPE x [<!ENTITY a SYSTEM 'http://127.0.0.1:1/'>]>",
        "<!DOCTYPE x [" + "<!ENTITY a '" + "x" * 100_000 + "'>]>",
        "<!DOCTYPE x [<!ELEMENT methodResponse ANY>]>",
    ],
)
def test_nothing_that_an_answer_declares_is_believed(declaration: str) -> None:
    with pytest.raises(OdooProtocolError, match="refused"):
        read_response(f"{HEAD}{declaration}{BODY}".encode())


@cache
def compressed(coding: str) -> bytes:
    """Return fifty million blanks; made by those who play with them, not by all who collect."""
    blanks = b" " * 50_000_000
    for one in coding.split(", "):
        blanks = zlib.compress(blanks) if one == "deflate" else gzip.compress(blanks)
    return blanks


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, gzip"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_compressed_answer_grows_no_larger_than_the_cap(transport: str, coding: str) -> None:
    bomb = compressed(coding)

    def respond(_incoming: Incoming) -> bytes:
        return http(bomb, Content_Encoding=coding)

    for call in CALLS:
        with serving(respond, max_response_bytes=1_000_000, transport=transport) as (_server, odoo):
            with pytest.raises(ResponseTooLarge):
                call(odoo)
            assert odoo.bytes < 2_000_000


def test_codings_upon_codings_are_refused() -> None:
    """libcurl undoes no more than a few, one in the other."""

    def respond(_incoming: Incoming) -> bytes:
        return http(b"x", Content_Encoding=", ".join(["gzip"] * 50))

    with serving(respond) as (_server, odoo), pytest.raises(OdooError):
        odoo.version()


def test_of_a_doubled_key_the_last_one_counts_and_no_key_is_special() -> None:
    assert read_json(b'{"a": 1, "a": 2}') == {"a": 2}
    assert read_json(b'{"__class__": "x", "__proto__": {}}') == {"__class__": "x", "__proto__": {}}


UNFIT = "before\x00\x1b[31m\x9b\u202e\ud800after"


@pytest.mark.parametrize("transport", ["jsonrpc", "json2"])
@pytest.mark.parametrize("code", [1, 2, 4])
def test_what_odoo_says_of_an_error_can_be_kept_and_printed(transport: str, code: int) -> None:
    text = f"Traceback\nValueError: {UNFIT}"

    def respond(incoming: Incoming) -> bytes:
        if transport == "jsonrpc":
            if b'"authenticate"' in incoming.body:
                return json_answer({"jsonrpc": "2.0", "id": 1, "result": 2})
            return jsonrpc_fault(code, text)
        name = {1: "builtins.ValueError", 2: "odoo.exceptions.UserError"}.get(
            code, "odoo.exceptions.AccessError"
        )
        return json_answer({"name": name, "message": text, "arguments": [], "debug": text}, 500)

    with serving(respond, transport=transport) as (_server, odoo):
        with pytest.raises((OdooFault, NoRights)) as caught:
            odoo.call("res.partner", "search", [[]])
        for told in (str(caught.value), getattr(caught.value, "traceback", "")):
            assert not set("\x00\x1b\x9b\u202e\ud800") & set(told)
            told.encode()
        assert "before" in str(caught.value)
        assert "after" in str(caught.value)


def test_a_huge_number_of_digits_or_a_huge_text_costs_no_more_than_its_size() -> None:
    with pytest.raises(OdooProtocolError):
        read_json(json.dumps({"id": 0}).replace("0", "9" * 1_000_000).encode())
    text = "x" * 5_000_000
    tiny = TinyOdoo(lambda *_: text)
    with serving(tiny.respond) as (_server, odoo):
        assert odoo.call("res.partner", "search", [[]]) == text
