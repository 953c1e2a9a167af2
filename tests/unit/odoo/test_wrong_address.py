"""An address that lacks the protocol: what is wrong is told for certain, by one more call."""

from __future__ import annotations

import pytest

from bc_consumer.odoo import MissingEndpoint, MissingProtocol, Odoo, OdooProtocolError, WrongAddress
from odoo_simulator import Simulator
from tests.unit.odoo.serving import (
    Incoming,
    RawServer,
    gateway,
    http,
    jsonrpc_value,
    serving,
    settings_for,
)

PAGE = http(b"<html>", 404)
VERSION = jsonrpc_value({"server_version": "18.0"})


@pytest.mark.parametrize("version", [17, 18])
def test_an_odoo_too_old_for_json_2_is_told_by_its_version(version: int) -> None:
    with Simulator(version) as simulator:
        odoo = gateway(simulator, transport="json2")
        for ask in (odoo.ping, odoo.version):
            with pytest.raises(MissingProtocol) as caught:
                ask()
            said = str(caught.value)
            assert f"is Odoo {version}.0, and JSON-2 came with Odoo 19: set" in said
            assert "proxy" not in said
            assert "ODOO_URL" not in said


@pytest.mark.parametrize("transport", ["xmlrpc", "jsonrpc", "auto"])
@pytest.mark.parametrize("answer", [PAGE, http(b"<html>", 400), http(b"<html>", 200)])
def test_a_page_s_path_in_the_address_is_told_with_the_right_one(
    transport: str, answer: bytes
) -> None:
    def respond(incoming: Incoming) -> bytes:
        return VERSION if incoming.path == "/jsonrpc" else answer

    with RawServer(respond) as server:
        odoo = Odoo(settings_for(server, url=f"{server.url}/web/", transport=transport))
        with pytest.raises(WrongAddress) as caught:
            odoo.ping()
        assert f"which answers at {server.url} (Odoo 18.0)" in str(caught.value)


def test_a_path_below_which_odoo_answers_is_right() -> None:
    def respond(incoming: Incoming) -> bytes:
        return VERSION if incoming.path.endswith("/jsonrpc") else PAGE

    with RawServer(respond) as server:
        odoo = Odoo(settings_for(server, url=f"{server.url}/below"))
        with pytest.raises(MissingEndpoint, match="xmlrpc"):
            odoo.ping()


@pytest.mark.parametrize("transport", ["xmlrpc", "json2"])
def test_where_no_odoo_answers_the_first_error_stays(transport: str) -> None:
    with RawServer(lambda _incoming: PAGE) as server:
        odoo = Odoo(settings_for(server, url=f"{server.url}/web", transport=transport))
        with pytest.raises(MissingEndpoint):
            odoo.ping()


def test_an_error_of_another_kind_costs_no_further_call() -> None:
    with (
        serving(lambda _incoming: http(b"{", 200, "application/json")) as (server, odoo),
        pytest.raises(OdooProtocolError),
    ):
        odoo.ping()
    assert len(server.requests) == 1
