"""Alerts that arise together are one message, and none waits for longer than the setting says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db.models import F

from bc_consumer.core import process_state
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import gettext, verbatim
from bc_consumer.models import Alert, Heartbeat
from bc_consumer.operations import alert_channels, alerts
from bc_consumer.operations.alert_channels import Channel, Outgoing
from bc_consumer.workers.periodic_sweep import sweep
from tests.services.waiting import wait_until

pytestmark = pytest.mark.django_db
THREE = {
    "odoo away": ("Odoo is away", "it does not answer"),
    "failed orders": ("orders could not be copied", "2 orders\n2 × odd"),
    "poll failed": ("polls fail", "for five minutes"),
}


class Phone:
    """A channel that may be away."""

    def __init__(self) -> None:
        self.heard: list[Outgoing] = []
        self.away = False

    def ring(self, message: Outgoing, _addresses: Sequence[str]) -> None:
        if self.away:
            raise ConnectionRefusedError(111, "Connection refused")
        self.heard.append(message)


@pytest.fixture
def phone(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Phone:
    """A push channel beside mail; alerts wait for each other as by default."""
    settings.ALERT_GROUP_SECONDS, settings.ALERT_EMAILS = 60, ["ops@example.com"]
    settings.A_PHONE, one = ["1"], Phone()
    mails = alert_channels.CHANNELS[0]
    monkeypatch.setattr(alert_channels, "CHANNELS", (mails, Channel("A_PHONE", one.ring)))
    return one


@pytest.fixture
def worker() -> None:
    """A worker that is alive."""
    Heartbeat.objects.create(
        kind=Heartbeat.Kind.WORKER, host="x", pid=1, at=database_now(), number=1
    )


def raise_three(seconds_apart: float = 0) -> None:
    for key, (subject, text) in THREE.items():
        alerts.alert(key, verbatim(subject), verbatim(text))
        later(seconds_apart)


def later(seconds: float) -> None:
    by = timedelta(seconds=seconds)
    for name in ("first_at", "waits_since", "tried_at"):
        Alert.known.update(**{name: F(name) - by})


@pytest.mark.usefixtures("worker")
def test_an_outage_that_raises_three_within_a_minute_is_one_mail_and_one_push(
    phone: Phone,
) -> None:
    raise_three(seconds_apart=15)
    sweep()
    assert not mail.outbox
    later(14)
    sweep()
    assert not mail.outbox, "59 seconds after the first"
    later(1)
    sweep()
    sweep()
    (sent,), (heard,) = mail.outbox, phone.heard
    assert sent.subject == heard.subject == (
        "[BC] 3 alerts: Odoo is away, orders could not be copied, polls fail"
    )  # fmt: skip
    assert sent.body == heard.text
    assert sent.body.splitlines() == [
        "• Odoo is away: it does not answer",
        "• orders could not be copied: 2 orders 2 × odd",
        "• polls fail: for five minutes",
    ]
    for known in Alert.objects.all():
        assert (known.waits_since, known.tried_at, len(known.sent)) == (None, None, 2)
    raise_three()
    later(120)
    sweep()
    assert len(mail.outbox) == len(phone.heard) == 1, "what lasts is not sent again"


@pytest.mark.usefixtures("worker")
def test_one_alone_is_sent_as_it_is(phone: Phone) -> None:
    alerts.alert("x", verbatim("one"), verbatim("two\nlines"))
    later(60)
    sweep()
    assert [(one.subject, one.text) for one in phone.heard] == [("[BC] one", "two\nlines")]


def test_with_nobody_alive_to_send_it_later_each_is_sent_at_once(phone: Phone) -> None:
    raise_three()
    assert len(phone.heard) == len(mail.outbox) == 3


@pytest.mark.usefixtures("worker")
def test_zero_means_at_once(phone: Phone, settings: LazySettings) -> None:
    settings.ALERT_GROUP_SECONDS = 0
    raise_three()
    assert len(phone.heard) == 3


@pytest.mark.usefixtures("worker")
def test_who_acknowledged_or_muted_one_meanwhile_gets_a_shorter_message(phone: Phone) -> None:
    raise_three()
    alerts.acknowledge("odoo away", "Jo")
    alerts.mute("poll failed", database_now() + timedelta(hours=1), "Jo")
    later(60)
    sweep()
    assert [one.subject for one in phone.heard] == ["[BC] orders could not be copied"]


@pytest.mark.usefixtures("worker")
def test_one_that_ended_while_it_waited_is_told_and_its_end_as_well(
    phone: Phone, settings: LazySettings
) -> None:
    settings.ALERT_COOL_DOWN_MINUTES = 0
    raise_three()
    alerts.resolve_alert("odoo away", verbatim("Odoo answers again"), verbatim("since now"))
    later(60)
    sweep()
    sweep()
    assert [one.subject.partition(":")[0] for one in phone.heard] == [
        "[BC] 3 alerts", "[BC] Odoo answers again",
    ]  # fmt: skip


@pytest.mark.usefixtures("worker")
def test_who_did_not_take_the_message_is_tried_again_and_nobody_else(phone: Phone) -> None:
    phone.away = True
    raise_three()
    later(60)
    sweep()
    assert (len(mail.outbox), phone.heard) == (1, [])
    phone.away = False
    later(61)
    sweep()
    assert len(mail.outbox) == 1
    assert sorted(one.subject for one in phone.heard) == sorted(
        f"[BC] {subject}" for subject, _text in THREE.values()
    )


@pytest.mark.usefixtures("worker")
def test_the_message_is_in_the_language_of_the_project(
    phone: Phone, settings: LazySettings
) -> None:
    settings.LANGUAGE_CODE = "fr"
    alerts.alert("a", gettext("Odoo is away"), verbatim("x"))
    alerts.alert("b", gettext("messages could not be processed"), verbatim("y"))
    later(60)
    sweep()
    assert phone.heard[0].subject.startswith("[BC] 2 alertes")
    assert "Odoo is away" not in phone.heard[0].text


@pytest.fixture
def going_on() -> Iterator[None]:
    """This process beats, and goes on."""
    process_state.has_heartbeat.set()
    process_state.stopping.clear()
    yield
    process_state.stopping.set()
    wait_until(lambda: not alerts._timer.locked(), 5, what="the thread to end")
    process_state.has_heartbeat.clear()
    process_state.stopping.clear()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker", "going_on")
def test_the_process_sends_them_itself_without_any_sweep(
    phone: Phone, settings: LazySettings
) -> None:
    """A sweep may be held up by RabbitMQ for longer than people should wait."""
    settings.ALERT_GROUP_SECONDS = 1
    began = time.monotonic()
    raise_three()
    wait_until(lambda: phone.heard, 20, what="the message")
    assert time.monotonic() - began >= 1
    assert [one.subject.partition(":")[0] for one in phone.heard] == ["[BC] 3 alerts"]
