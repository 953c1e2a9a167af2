"""Where alerts go, and that one channel's trouble is none of another's."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from django.conf import LazySettings
from django.core import mail
from django.core.management import call_command

from bc_consumer.core.translatable import verbatim
from bc_consumer.models import Alert
from bc_consumer.operations import alert_channels, alerts
from bc_consumer.operations.alert_channels import Channel, Outgoing
from bc_consumer.redaction import RedactingFormatter
from tests.services.waiting import free_port
from tests.unit.odoo.serving import RawServer, http

pytestmark = pytest.mark.django_db


@pytest.fixture
def chat(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """A channel more: one function, and one setting."""
    told: list[tuple[str, str]] = []
    settings.ALERT_EMAILS = ["ops@example.com"]
    settings.ALERT_CHAT_URL = "https://chat.example.com/hook"
    settings.ALERT_COOL_DOWN_MINUTES = 0

    def tell(message: Outgoing, _addresses: Sequence[str]) -> None:
        told.append((message.subject.removeprefix("[BC] "), message.text))

    channel = Channel("ALERT_CHAT_URL", tell)
    monkeypatch.setattr(alert_channels, "CHANNELS", (*alert_channels.CHANNELS, channel))
    return told


def test_every_channel_in_use_tells_and_tells_the_end(chat: list[tuple[str, str]]) -> None:
    alerts.alert("key", verbatim("subject"), verbatim("text"))
    alerts.alert("key", verbatim("subject"), verbatim("text"))
    alerts.resolve_alert("key", verbatim("it is over"), verbatim("all is well"))
    assert chat == [("subject", "text"), ("it is over", "all is well")]
    assert [str(one.subject) for one in mail.outbox] == ["[BC] subject", "[BC] it is over"]


def test_one_whose_setting_is_empty_tells_nobody(
    chat: list[tuple[str, str]], settings: LazySettings
) -> None:
    settings.ALERT_CHAT_URL = ""
    alerts.alert("key", verbatim("subject"), verbatim("text"))
    assert chat == []
    assert len(mail.outbox) == 1


def test_a_channel_that_fails_keeps_the_others_from_nothing_and_is_tried_again(
    chat: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(_message: Outgoing, _addresses: Sequence[str]) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(
        alert_channels, "CHANNELS", (Channel("ALERT_EMAILS", away), *alert_channels.CHANNELS[1:])
    )
    alerts.alert("key", verbatim("subject"), verbatim("text"))
    assert chat == [("subject", "text")]
    assert "could not be sent by ALERT_EMAILS" in caplog.text
    assert list(Alert.objects.get().sent) == ["ALERT_CHAT_URL"]
    monkeypatch.undo()


# --- URLs, with a real server behind them ---------------------------------------------------------

TOKEN = "T0kenOfTheChat-9f8e7d"


@pytest.fixture
def hook() -> Iterator[RawServer]:
    """A chat's server, which takes all messages."""
    with RawServer(lambda _incoming: http(b"")) as server:
        yield server


def url(server: RawServer, more: str = "") -> str:
    return f"json://127.0.0.1:{server.port}/hooks/{TOKEN}{more}"


def told(server: RawServer) -> list[tuple[str, str, str]]:
    bodies = [json.loads(request.body) for request in server.requests]
    return [(body["title"], body["message"], body["type"]) for body in bodies]


def test_a_url_is_sent_the_alert_and_its_end(settings: LazySettings, hook: RawServer) -> None:
    settings.ALERT_URLS, settings.ALERT_COOL_DOWN_MINUTES = [url(hook)], 0
    alerts.alert("key", verbatim("a <b> & c"), verbatim("one\ntwo"))
    alerts.alert("key", verbatim("a <b> & c"), verbatim("one\ntwo"))
    alerts.resolve_alert("key", verbatim("it is over"))
    assert told(hook) == [
        ("[BC] a <b> & c", "one\ntwo", "failure"),
        ("[BC] it is over", "[BC] it is over", "success"),
    ]
    assert hook.requests[0].path == f"/hooks/{TOKEN}"


def test_one_url_that_fails_keeps_no_other_from_its_message_and_its_token_is_nowhere(
    settings: LazySettings, hook: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    quoted = f"no channel at /hooks/{TOKEN}".encode()
    settings.ALERT_EMAILS = ["ops@example.com"]
    with RawServer(lambda _incoming: http(quoted, 404)) as gone, caplog.at_level("DEBUG"):
        nobody = f"json://127.0.0.1:{free_port()}/hooks/{TOKEN}"
        settings.ALERT_URLS = [url(gone), nobody, "nothing://" + TOKEN, url(hook)]
        alerts.alert("key", verbatim("subject"), verbatim("text"))
        results = alerts.send_test_alert()
    assert [result.taken for result in results] == [True, False, False, False, True]
    assert [result.label for result in results] == [
        "ALERT_EMAILS",
        "ALERT_URLS 1 (json://127.0.0.1)",
        "ALERT_URLS 2 (json://127.0.0.1)",
        "ALERT_URLS 3 (nothing://T0ke…)",
        "ALERT_URLS 4 (json://127.0.0.1)",
    ]
    assert len(mail.outbox) == len(hook.requests) == len(gone.requests) == 2
    assert "404" in results[1].error
    assert len(Alert.objects.get().sent) == 2
    lines = [RedactingFormatter().format(record) for record in caplog.records]
    shown = f"{lines}{results}{Alert.objects.values()}"
    assert f"POST /hooks/{TOKEN}" in caplog.text, "urllib3 tells it at DEBUG"
    assert TOKEN[:5] not in shown
    assert "could not be sent by ALERT_URLS 2 (json://127.0.0.1)" in caplog.text


def test_a_redirect_is_no_success(settings: LazySettings, hook: RawServer) -> None:
    """Python's client would go there with a GET, and the message would be lost."""
    moved = http(b"", 302, Location=f"http://127.0.0.1:{hook.port}/")
    with RawServer(lambda _incoming: moved) as server:
        settings.ALERT_URLS = [url(server)]
        (result,) = alerts.send_test_alert()
    assert not result.taken
    assert not hook.requests


def test_a_channel_that_hangs_has_a_deadline_and_costs_one_thread(
    settings: LazySettings, hook: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_channels, "SECONDS", 1.5)
    go_on = threading.Event()

    def drip(_incoming: object) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        while not go_on.wait(0.2):
            yield b"X-Still: here\r\n"

    with RawServer(drip) as slow:
        settings.ALERT_URLS = [url(slow), url(hook)]
        for error in ("no answer within 1.5 s", "the previous attempt is still running"):
            began = time.monotonic()
            hanging, taken = alerts.send_test_alert()
            assert time.monotonic() - began < 5
            assert taken.taken
            assert error in hanging.error
        assert len(slow.requests) == 1
        go_on.set()


def test_the_test_alert_says_which_channels_took_it(
    settings: LazySettings, hook: RawServer
) -> None:
    settings.ALERT_EMAILS, settings.ALERT_URLS = ["ops@example.com"], [url(hook)]
    assert send_test() == (0, ["✓ ALERT_EMAILS", "✓ ALERT_URLS 1 (json://127.0.0.1)"])
    assert told(hook)[0][0] == "[BC] test alert"
    with RawServer(lambda _incoming: http(b"", 500)) as broken:
        settings.ALERT_URLS = [url(hook), url(broken)]
        code, lines = send_test()
    assert code == 1
    assert [line[0] for line in lines] == ["✓", "✓", "✗"]
    assert "500" in lines[2]
    settings.ALERT_EMAILS = settings.ALERT_URLS = []
    code, (line,) = send_test()
    assert code == 1
    assert "nobody" in line


def send_test() -> tuple[int, list[str]]:
    out = io.StringIO()
    try:
        call_command("send_test_alert", stdout=out)
    except SystemExit as left:
        return int(left.code or 0), out.getvalue().splitlines()
    return 0, out.getvalue().splitlines()
