"""Which transport ``auto`` chooses, keeps, and gives up."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from bc_consumer.odoo import (
    MissingEndpoint,
    Odoo,
    OdooFault,
    OdooUnavailable,
    WrongCredentials,
    WrongDatabase,
    transports,
)
from odoo_simulator import Simulator
from tests.unit.odoo.serving import (
    PASSWORD,
    Incoming,
    TinyOdoo,
    gateway,
    http,
    json_answer,
    json_error,
    serving,
)

PAGE = http(b"<!doctype html><title>404</title>", 404, "text/html")
KEY = "a-key-of-the-account"


class Server:
    """An Odoo whose endpoints can be closed: «xmlrpc», «jsonrpc», «json2»."""

    def __init__(self, *endpoints: str, key: str = PASSWORD) -> None:
        self.open = set(endpoints)
        self.key = key
        self.tiny = TinyOdoo(lambda *_call: [3])
        self.asked: Counter[str] = Counter()
        self.in_place_of_json2: Callable[[Incoming], bytes] | None = None

    def respond(self, incoming: Incoming) -> bytes:
        endpoint = _endpoint(incoming.path)
        self.asked[endpoint] += 1
        if endpoint not in self.open:
            return PAGE
        if endpoint != "json2":
            return self.tiny.respond(incoming)
        if self.in_place_of_json2 is not None:
            return self.in_place_of_json2(incoming)
        if incoming.path == "/web/version":
            return json_answer({"version": "19.0"})
        if incoming.headers.get("authorization") != f"bearer {self.key}":
            return json_answer(json_error(1, "no") | {"name": "werkzeug.Unauthorized"}, 401)
        if incoming.headers["x-odoo-database"] != "shop":
            return PAGE
        return json_answer([3])


def _endpoint(path: str) -> str:
    if path.startswith(("/json/2/", "/web/version")):
        return "json2"
    return "jsonrpc" if path == "/jsonrpc" else "xmlrpc"


def ask(odoo: Odoo) -> Any:
    return odoo.call("res.partner", "search", [[]])


@pytest.mark.parametrize(
    ("endpoints", "key", "chosen"),
    [
        (("json2", "jsonrpc", "xmlrpc"), PASSWORD, "json2"),
        (("json2", "jsonrpc", "xmlrpc"), "a password is no key", "jsonrpc"),
        (("jsonrpc", "xmlrpc"), PASSWORD, "jsonrpc"),
        (("xmlrpc",), PASSWORD, "xmlrpc"),
        (("json2",), PASSWORD, "json2"),
    ],
)
def test_the_fastest_that_works_is_chosen_once(
    endpoints: tuple[str, ...], key: str, chosen: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="bc_consumer.odoo")
    server = Server(*endpoints, key=key)
    with serving(server.respond, transport="auto") as (_server, odoo):
        assert (odoo.transport, odoo.may_lag) == ("auto", True)
        assert ask(odoo) == [3]
        assert odoo.transport == chosen
        assert odoo.may_lag == (chosen == "json2")
        before = sum(server.asked.values()) - server.asked[chosen]
        for _ in range(3):
            ask(odoo)
        assert sum(server.asked.values()) - server.asked[chosen] == before
    [message] = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"Odoo is called over {chosen} from now on (")
    # It says why it is none of the faster ones.
    for faster in ("json2", "jsonrpc"):
        if faster == chosen:
            break
        assert f"not over {faster}: " in message
    assert PASSWORD not in caplog.text


def test_an_endpoint_that_vanished_is_told_and_the_next_one_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server("json2", "jsonrpc", "xmlrpc")
    with serving(server.respond, transport="auto") as (_server, odoo):
        for gone, then in (("json2", "jsonrpc"), ("jsonrpc", "xmlrpc")):
            ask(odoo)
            assert odoo.transport == gone
            server.open.discard(gone)
            caplog.clear()
            assert ask(odoo) == [3]
            assert odoo.transport == then
            assert f"no longer answers over {gone}" in caplog.text
        server.open.clear()
        with pytest.raises(MissingEndpoint):
            ask(odoo)
        server.open = {"json2"}
        assert ask(odoo) == [3]
        assert odoo.transport == "json2"


def test_a_refusal_decides_anew() -> None:
    server = Server("json2", "jsonrpc", "xmlrpc")
    with serving(server.respond, transport="auto") as (_server, odoo):
        ask(odoo)
        server.key = "revoked"
        assert ask(odoo) == [3]
        assert odoo.transport == "jsonrpc"
        server.tiny.password = "another"
        server.asked.clear()
        with pytest.raises(WrongCredentials, match='login "copy"'):
            ask(odoo)
        assert server.asked["xmlrpc"] == 0  # it would say the same
        assert odoo.transport == "auto"
        server.key = PASSWORD
        ask(odoo)
        assert odoo.transport == "json2"


def test_trouble_is_no_reason_to_change() -> None:
    server = Server("json2", "jsonrpc", "xmlrpc")
    with serving(server.respond, transport="auto") as (_server, odoo):
        for answer, error in (
            (http(b"", 502), OdooUnavailable),
            (json_answer(json_error(2, "No"), 422), OdooFault),
        ):
            server.in_place_of_json2 = lambda _incoming, answer=answer: answer
            with pytest.raises(error):
                ask(odoo)
            assert odoo.transport == "auto"
        server.in_place_of_json2 = None
        ask(odoo)
        server.in_place_of_json2 = lambda _incoming: http(b"", 502)
        with pytest.raises(OdooUnavailable):
            ask(odoo)
        assert odoo.transport == "json2"
        assert not server.asked["jsonrpc"] + server.asked["xmlrpc"]


@pytest.mark.parametrize("hidden", [("json2",), ("json2", "jsonrpc")])
def test_what_was_hidden_for_a_moment_is_found_later(
    hidden: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="bc_consumer.odoo")
    server = Server("json2", "jsonrpc", "xmlrpc")
    server.open -= set(hidden)
    with serving(server.respond, transport="auto") as (_server, odoo):
        ask(odoo)
        slower = odoo.transport
        assert slower != "json2"
        server.open |= set(hidden)
        ask(odoo)
        assert odoo.transport == slower  # not looked at with each call
        monkeypatch.setattr(transports, "SECONDS_UNTIL_NEXT_LOOK", 0.0)
        odoo._transport._transport._next_look = 0.0  # type: ignore[attr-defined]
        assert ask(odoo) == [3]
        assert odoo.transport == "json2"
    assert "Odoo is called over json2 from now on (json2 works now)" in caplog.text


@pytest.mark.parametrize(
    "answer", [http(b"", 502), http(b"", 403), PAGE, json_answer(json_error(2, "No"), 422)]
)
def test_a_look_at_a_faster_one_harms_no_call(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "SECONDS_UNTIL_NEXT_LOOK", 0.0)
    server = Server("jsonrpc", "xmlrpc")
    with serving(server.respond, transport="auto") as (_server, odoo):
        ask(odoo)
        server.open.add("json2")
        server.in_place_of_json2 = lambda _incoming: answer
        before = server.asked["json2"]
        assert ask(odoo) == [3]
        assert odoo.transport == "jsonrpc"
        assert server.asked["json2"] > before


def test_json_2_refused_by_a_proxy_is_gone_round() -> None:
    server = Server("json2", "jsonrpc")
    server.in_place_of_json2 = lambda _incoming: http(b"", 403)
    with serving(server.respond, transport="auto") as (_server, odoo):
        assert ask(odoo) == [3]
        assert odoo.transport == "jsonrpc"


def test_the_version_is_told_by_any_of_them() -> None:
    for endpoint, major in (("xmlrpc", 17), ("jsonrpc", 17), ("json2", 19)):
        server = Server(endpoint)
        with serving(server.respond, transport="auto") as (_server, odoo):
            assert odoo.version().major == major
            assert odoo.transport == "auto"


def test_threads_that_begin_together_agree() -> None:
    server = Server("json2", "jsonrpc", key="other")
    with serving(server.respond, transport="auto") as (_server, odoo):
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(ask(odoo))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert found == [[3]] * 8
        assert odoo.transport == "jsonrpc"
        assert server.tiny.authentications == 1


@pytest.mark.parametrize(
    ("version", "password", "chosen"),
    [(17, "admin", "jsonrpc"), (18, KEY, "jsonrpc"), (19, "admin", "jsonrpc"), (19, KEY, "json2")],
)
def test_each_version_and_credential(version: int, password: str, chosen: str) -> None:
    with Simulator(version, api_keys=(KEY,)) as simulator:
        order_id = simulator.create_order()
        odoo = gateway(simulator, transport="auto", password=password)
        assert set(odoo.fetch([order_id]).orders) == {order_id}
        assert odoo.transport == chosen
        with pytest.raises(WrongDatabase):
            gateway(simulator, transport="auto", password=password, database="nowhere").ping()
        with pytest.raises(WrongCredentials, match="ODOO_LOGIN"):
            gateway(simulator, transport="auto", password="wrong").ping()
        odoo.close()
