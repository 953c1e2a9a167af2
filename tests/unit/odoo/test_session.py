"""Logging in: once, again when Odoo forgets us, and never a password where it could be read."""

import logging
import threading
import time
import traceback
import xmlrpc.client
from typing import Any

import pytest

from bc_consumer.odoo import (
    Odoo,
    OdooError,
    OdooProtocolError,
    OdooTimeout,
    OdooUnavailable,
    WrongCredentials,
    WrongDatabase,
)
from bc_consumer.odoo.connection_settings import TRANSPORTS
from tests.unit.odoo.serving import (
    PASSWORD,
    Incoming,
    RawServer,
    TinyOdoo,
    Wire,
    fault,
    http,
    json_answer,
    json_error,
    jsonrpc_fault,
    rpc,
    serving,
    settings_for,
)


def three(*_call: Any) -> int:
    return 3


def count(odoo: Odoo) -> Any:
    return odoo.call("res.partner", "search_count", [[]])


def test_the_account_s_id_is_asked_for_once_by_many_threads(wire: Wire) -> None:
    tiny = TinyOdoo(three)
    with serving(tiny.respond, transport=wire.name) as (_server, odoo):
        threads = [threading.Thread(target=count, args=(odoo,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(tiny.calls) == 8
        assert tiny.authentications == 1


def test_an_id_that_odoo_no_longer_takes_is_asked_for_again(wire: Wire) -> None:
    tiny = TinyOdoo(three)
    with serving(tiny.respond, transport=wire.name) as (_server, odoo):
        count(odoo)
        tiny.uid = 8
        assert count(odoo) == 3
        assert tiny.authentications == 2


def test_a_wrong_password_is_for_a_person(wire: Wire) -> None:
    tiny = TinyOdoo(three, password="another")
    with serving(tiny.respond, transport=wire.name) as (_server, odoo):
        with pytest.raises(WrongCredentials, match="«copy» on database «shop»"):
            count(odoo)
        assert not tiny.calls


def test_a_password_changed_while_we_run_is_for_a_person(wire: Wire) -> None:
    tiny = TinyOdoo(three)
    with serving(tiny.respond, transport=wire.name) as (_server, odoo):
        count(odoo)
        tiny.password = "another"
        with pytest.raises(WrongCredentials):
            count(odoo)
        assert tiny.authentications == 2
        tiny.password = PASSWORD
        assert count(odoo) == 3


def test_access_denied_all_the_same_ends_after_one_more_try(wire: Wire) -> None:
    def denied(*_call: Any) -> Any:
        raise xmlrpc.client.Fault(3, "Access Denied")

    tiny = TinyOdoo(denied)
    with serving(tiny.respond, transport=wire.name) as (_server, odoo):
        with pytest.raises(WrongCredentials):
            count(odoo)
        assert tiny.authentications == 2


def test_a_wrong_database_is_for_a_person(wire: Wire) -> None:
    text = "Traceback …\nKeyError: 'shop'\n"
    with (
        serving(lambda _incoming: wire.fault(1, text), transport=wire.name) as (_server, odoo),
        pytest.raises(WrongDatabase, match="ODOO_DATABASE"),
    ):
        count(odoo)


def test_an_odoo_whose_database_is_down_cannot_log_us_in_just_now(wire: Wire) -> None:
    text = "Traceback …\npsycopg2.OperationalError: Connection refused\n"
    with (
        serving(lambda _incoming: wire.fault(1, text), transport=wire.name) as (_server, odoo),
        pytest.raises(OdooUnavailable, match="just now"),
    ):
        count(odoo)


@pytest.mark.parametrize("uid", ["2", 0, [], 2.5])
def test_an_account_id_that_is_none_is_a_protocol_error(uid: Any, wire: Wire) -> None:
    with (
        serving(lambda _incoming: wire.value(uid), transport=wire.name) as (_server, odoo),
        pytest.raises(OdooProtocolError, match="account id"),
    ):
        count(odoo)


def test_threads_that_waited_for_one_failed_login_do_not_wait_in_turn(wire: Wire) -> None:
    def hang(_incoming: Incoming) -> bytes:
        threading.Event().wait(20)
        return b""

    errors: list[OdooError] = []
    with serving(hang, timeout=0.7, transport=wire.name) as (_server, odoo):

        def call() -> None:
            try:
                count(odoo)
            except OdooError as error:
                errors.append(error)

        began = time.monotonic()
        threads = [threading.Thread(target=call) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert time.monotonic() - began < 2.1
    assert len(errors) == 6
    assert all(isinstance(error, OdooUnavailable) for error in errors)
    assert any(isinstance(error, OdooTimeout) for error in errors)


def test_a_method_without_a_result_gives_none(wire: Wire) -> None:
    def no_result(*_call: Any) -> Any:
        raise xmlrpc.client.Fault(
            1, "Traceback …\nTypeError: cannot marshal None unless allow_none is enabled\n"
        )

    with serving(TinyOdoo(no_result).respond, transport=wire.name) as (_server, odoo):
        assert odoo.call("purchase.order", "button_cancel", [[1]]) is None


def test_each_call_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture, wire: Wire) -> None:
    caplog.set_level(logging.DEBUG, logger="bc_consumer.odoo")
    with serving(TinyOdoo(three).respond, transport=wire.name) as (_server, odoo):
        odoo.call("purchase.order", "read", [[1, 2, 3]])
        odoo.call("purchase.order", "search_read", [], {"domain": [("id", "in", [4, 5])]})
    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith("purchase.order.read: 3 ids, ")
    assert second.startswith("purchase.order.search_read: 2 ids, ")
    assert PASSWORD not in caplog.text


def shown_by(error: BaseException) -> str:
    """What a message shows: the error's own and its causes' texts and values."""
    return "".join(traceback.format_exception_only(error)) + repr(vars(error))


def shown_by_frames(error: BaseException) -> str:
    """What error pages and trackers show besides: the locals of each of the gateway's frames."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    chain = [shown, shown.__cause__, shown.__context__]
    frames = [frame for one in chain if one is not None for frame in one.stack]
    return repr([frame.locals for frame in frames if "bc_consumer" in frame.filename])


def call_anything(odoo: Odoo) -> None:
    odoo.call("purchase.order", "read", [[1]], {"fields": ["name"]})


def call_with_what_cannot_be_sent(odoo: Odoo) -> None:
    odoo.call("purchase.order", "read", [[1]], {"fields": object()})


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "answer",
    [
        http(b"", 502),
        http(b"", 404),
        http(b"", 301, Location=f"https://copy:{PASSWORD}@odoo.example.com/"),
        http(b"<html>", content_type="text/html"),
        http(b"garbage"),
        b"",
        fault(1, f"Traceback: {PASSWORD}\nValueError: {PASSWORD}"),
        fault(3, "Access Denied"),
        fault(4, f"Not for {PASSWORD}"),
        rpc(False),
        json_answer(json_error(1, f"Traceback: {PASSWORD}\nValueError: {PASSWORD}"), 500),
        json_answer(json_error(4, f"Not for {PASSWORD}"), 403),
        json_answer(b"{", 401),
    ],
)
def test_no_error_shows_the_password(answer: bytes, transport: str) -> None:
    check_that_no_error_shows_the_password(answer, transport)


@pytest.mark.parametrize(
    "answer",
    [
        jsonrpc_fault(1, f"Traceback: {PASSWORD}\nValueError: {PASSWORD}"),
        jsonrpc_fault(4, f"Not for {PASSWORD}"),
        json_answer({"jsonrpc": "2.0", "error": PASSWORD}),
        json_answer({"jsonrpc": "2.0", "error": {"code": 404, "data": {"message": PASSWORD}}}),
    ],
)
def test_no_error_of_json_rpc_shows_the_password(answer: bytes) -> None:
    check_that_no_error_shows_the_password(answer, "jsonrpc")


def check_that_no_error_shows_the_password(answer: bytes, transport: str) -> None:
    def respond(incoming: Incoming) -> bytes:
        return answer

    with RawServer(respond) as server:
        host = server.url.removeprefix("http://")
        settings = settings_for(
            server, url=f"http://proxy:{PASSWORD}@{host}", timeout=2, transport=transport
        )
        odoo = Odoo(settings)
        for call in (call_anything, lambda odoo: odoo.version(), lambda odoo: odoo.fetch([1])):
            with pytest.raises(OdooError) as caught:
                call(odoo)
            assert PASSWORD not in shown_by(caught.value)
            assert PASSWORD in repr(answer) or PASSWORD not in shown_by_frames(caught.value)
    assert PASSWORD not in repr(settings)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_error_of_a_known_account_shows_the_password(transport: str) -> None:
    def refuse(*_call: Any) -> Any:
        raise xmlrpc.client.Fault(1, "Traceback …\nValueError: no\n")

    def respond(incoming: Incoming) -> bytes:
        if incoming.path.startswith("/json/2/"):
            return json_answer(json_error(1, "Traceback …\nValueError: no\n"), 500)
        return tiny.respond(incoming)

    tiny = TinyOdoo(refuse)
    with serving(respond, transport=transport) as (_server, odoo):
        for call in (call_anything, call_with_what_cannot_be_sent, lambda odoo: odoo.fetch([1])):
            with pytest.raises(OdooError) as caught:
                call(odoo)
            assert PASSWORD not in shown_by(caught.value)
            assert PASSWORD not in shown_by_frames(caught.value)
