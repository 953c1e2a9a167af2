"""Where alerts go, and that one channel's trouble is none of another's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.conf import LazySettings
from django.core import mail

from bc_consumer.core.translatable import verbatim
from bc_consumer.models import Alert
from bc_consumer.operations import alert_channels, alerts
from bc_consumer.operations.alert_channels import Channel, Outgoing

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
