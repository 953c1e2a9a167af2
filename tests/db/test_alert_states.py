"""When an alert is sent, and when it is not: as it lasts, comes and goes, is in hand, or muted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db.models import F

from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import verbatim
from bc_consumer.models import Alert
from bc_consumer.operations import alert_channels, retention
from bc_consumer.operations.alert_channels import Channel, Outgoing
from bc_consumer.operations.alerts import (
    acknowledge,
    alert,
    amend,
    mute,
    resolve_alert,
    send_what_waits,
    unmute,
)
from bc_consumer.workers import periodic_sweep

pytestmark = pytest.mark.django_db
KEY = "odoo away"
TIMES = ("first_at", "last_at", "mailed_at", "tried_at", "resolved_at", "acknowledged_at",
         "muted_until")  # fmt: skip


class Phone:
    """A channel that may be away."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.away = False

    def ring(self, message: Outgoing, _addresses: Sequence[str]) -> None:
        if self.away:
            raise ConnectionRefusedError(111, "Connection refused")
        self.heard.append(message.subject.removeprefix("[BC] "))


@pytest.fixture
def phones(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> tuple[Phone, Phone]:
    """Two channels; the cool-down and the repetition are those by default."""
    two = Phone(), Phone()
    settings.FIRST_PHONE, settings.SECOND_PHONE = ["1"], ["2"]
    channels = Channel("FIRST_PHONE", two[0].ring), Channel("SECOND_PHONE", two[1].ring)
    monkeypatch.setattr(alert_channels, "CHANNELS", channels)
    return two


def begin(text: str = "it does not answer") -> None:
    alert(KEY, verbatim("Odoo is away"), verbatim(text))


def end() -> None:
    resolve_alert(KEY, verbatim("Odoo answers again"), verbatim("for now"))


def later(**period: Any) -> None:
    """Let all that is stored be so much older."""
    by = timedelta(**period)
    Alert.known.update(**{name: F(name) - by for name in TIMES})
    for known in Alert.known.all():
        sent = {name: at - by.total_seconds() for name, at in known.sent.items()}
        Alert.known.filter(pk=known.pk).update(sent=sent)


def in_hours(hours: float) -> datetime:
    return database_now() + timedelta(hours=hours)


# --- it lasts -----------------------------------------------------------------------------------


def test_what_lasts_is_sent_once_and_again_after_a_day(phones: tuple[Phone, Phone]) -> None:
    for _ in range(3):
        begin()
        later(hours=7)
    assert phones[0].heard == ["Odoo is away"]
    later(hours=4)
    begin()
    begin()
    assert phones[0].heard == phones[1].heard == ["Odoo is away"] * 2
    assert Alert.objects.get().count == 5


@pytest.mark.parametrize(("hours", "times"), [(2, 2), (0, 1)])
def test_the_time_until_it_is_sent_again_is_a_setting(
    phones: tuple[Phone, Phone], settings: LazySettings, hours: float, times: int
) -> None:
    settings.ALERT_AGAIN_HOURS = hours
    begin()
    later(days=3)
    begin()
    assert len(phones[0].heard) == times


# --- it comes and goes --------------------------------------------------------------------------


def test_an_outage_that_comes_and_goes_is_one_alert_and_one_recovery(
    phones: tuple[Phone, Phone],
) -> None:
    for _ in range(20):
        begin()
        later(minutes=3)
        send_what_waits()
        end()
        later(minutes=3)
        send_what_waits()
    assert phones[0].heard == ["Odoo is away"]
    later(minutes=8)
    send_what_waits()
    send_what_waits()
    assert phones[0].heard == phones[1].heard == ["Odoo is away", "Odoo answers again"]


def test_one_that_is_over_is_new_when_it_recurs(phones: tuple[Phone, Phone]) -> None:
    begin()
    acknowledge(KEY, "Jo")
    first = Alert.objects.get()
    end()
    assert not Alert.objects.exists()
    later(minutes=11)
    send_what_waits()
    begin()
    again = Alert.objects.get()
    assert (again.count, again.acknowledged_by, again.over_subject) == (1, "", "")
    assert again.first_at > first.first_at - timedelta(minutes=11)
    assert phones[0].heard == ["Odoo is away", "Odoo answers again", "Odoo is away"]


def test_one_that_recurs_before_anybody_could_tell_its_end_is_sent_all_the_same(
    phones: tuple[Phone, Phone],
) -> None:
    begin()
    end()
    later(minutes=11)
    begin()
    send_what_waits()
    assert phones[0].heard == ["Odoo is away"] * 2


def test_without_a_cool_down_the_end_is_told_at_once(
    phones: tuple[Phone, Phone], settings: LazySettings
) -> None:
    settings.ALERT_COOL_DOWN_MINUTES = 0
    begin()
    end()
    assert phones[0].heard == ["Odoo is away", "Odoo answers again"]


def test_an_end_without_a_message_is_not_told(phones: tuple[Phone, Phone]) -> None:
    begin()
    resolve_alert(KEY)
    later(minutes=11)
    send_what_waits()
    assert phones[0].heard == ["Odoo is away"]


def test_sweeps_tell_that_it_is_over(phones: tuple[Phone, Phone]) -> None:
    begin()
    end()
    later(minutes=11)
    periodic_sweep.sweep()
    assert phones[0].heard[1:] == ["Odoo answers again"]


def test_an_amended_text_is_not_sent(phones: tuple[Phone, Phone]) -> None:
    begin()
    amend(KEY, verbatim("Odoo is away"), verbatim("still"))
    assert Alert.objects.get().text == "still"
    assert len(phones[0].heard) == 1


# --- somebody can't be reached ------------------------------------------------------------------


def test_who_has_not_taken_it_is_sent_it_again_and_nobody_twice(
    phones: tuple[Phone, Phone],
) -> None:
    phones[1].away = True
    begin()
    begin()
    assert phones[0].heard == ["Odoo is away"]
    phones[1].away = False
    later(minutes=2)
    begin()
    begin()
    assert phones[0].heard == phones[1].heard == ["Odoo is away"]


def test_sweeps_try_again_where_a_cause_does_not_recur_soon(phones: tuple[Phone, Phone]) -> None:
    phones[1].away = True
    begin()
    send_what_waits()
    phones[1].away = False
    later(minutes=2)
    send_what_waits()
    later(minutes=2)
    send_what_waits()
    assert phones[0].heard == phones[1].heard == ["Odoo is away"]


def test_a_recovery_is_sent_only_to_those_who_were_sent_the_alert(
    phones: tuple[Phone, Phone],
) -> None:
    phones[1].away = True
    begin()
    end()
    phones[1].away = False
    later(minutes=11)
    send_what_waits()
    assert phones[0].heard == ["Odoo is away", "Odoo answers again"]
    assert phones[1].heard == []


def test_a_recovery_that_was_not_taken_is_tried_again(
    phones: tuple[Phone, Phone],
) -> None:
    begin()
    end()
    phones[1].away = True
    later(minutes=11)
    send_what_waits()
    phones[1].away = False
    send_what_waits()
    assert phones[1].heard == ["Odoo is away"], "not within a minute"
    later(minutes=2)
    send_what_waits()
    later(minutes=2)
    send_what_waits()
    assert phones[0].heard == phones[1].heard == ["Odoo is away", "Odoo answers again"]


def test_a_recovery_is_no_longer_sent_when_it_is_no_news(phones: tuple[Phone, Phone]) -> None:
    begin()
    end()
    later(minutes=72)
    send_what_waits()
    assert phones[0].heard == ["Odoo is away"]
    assert not Alert.known.exclude(over_subject="").exists()


def test_a_channel_that_is_added_later_is_sent_what_is_open(
    phones: tuple[Phone, Phone], settings: LazySettings
) -> None:
    settings.SECOND_PHONE = []
    begin()
    settings.SECOND_PHONE = ["2"]
    begin()
    assert phones[0].heard == phones[1].heard == ["Odoo is away"]


def test_a_mail_of_the_release_before_is_not_repeated(
    phones: tuple[Phone, Phone], settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_channels, "CHANNELS", (Channel("ALERT_EMAILS", phones[0].ring),))
    settings.ALERT_EMAILS = ["ops@example.com"]
    now = database_now()
    Alert.objects.create(key=KEY, text="", first_at=now, last_at=now, mailed_at=now)
    begin()
    assert phones[0].heard == []
    end()
    later(minutes=11)
    send_what_waits()
    assert phones[0].heard == ["Odoo answers again"]


# --- what people do about it --------------------------------------------------------------------


def test_an_acknowledged_one_is_not_repeated_while_it_lasts_and_its_end_is_told(
    phones: tuple[Phone, Phone],
) -> None:
    begin()
    assert acknowledge(KEY, "Jo")
    known = Alert.objects.get()
    assert known.acknowledged_by == "Jo"
    assert known.acknowledged_at is not None
    later(days=2)
    begin()
    end()
    later(minutes=3)
    begin()
    assert phones[0].heard == ["Odoo is away"]
    assert Alert.objects.get().acknowledged_by == "Jo", "it had not been over"
    end()
    later(minutes=11)
    send_what_waits()
    begin()
    assert phones[0].heard == ["Odoo is away", "Odoo answers again", "Odoo is away"]


def test_a_muted_one_is_shown_and_sends_nothing_until_its_time_even_if_it_recurs(
    phones: tuple[Phone, Phone],
) -> None:
    begin()
    assert mute(KEY, in_hours(8), "Jo")
    end()
    later(minutes=11)
    send_what_waits()
    later(hours=1)
    begin()
    later(hours=6)
    begin()
    assert phones[0].heard == ["Odoo is away"]
    assert Alert.objects.get().muted_by == "Jo"
    later(hours=1)
    begin()
    assert phones[0].heard == ["Odoo is away"] * 2


def test_one_that_is_unmuted_is_sent_at_its_next_occurrence(phones: tuple[Phone, Phone]) -> None:
    begin()
    mute(KEY, in_hours(8), "Jo")
    later(days=1, hours=-9)
    mute(KEY, in_hours(30), "Jo")
    later(days=1)
    begin()
    assert len(phones[0].heard) == 1
    assert unmute(KEY)
    assert not unmute(KEY)
    begin()
    assert len(phones[0].heard) == 2


@pytest.mark.parametrize("hours", [-1, 0, 91 * 24])
def test_a_time_that_is_over_or_far_away_mutes_nothing(
    phones: tuple[Phone, Phone], hours: float
) -> None:
    begin()
    with pytest.raises(ValueError, match="90 days"):
        mute(KEY, in_hours(hours) - timedelta(seconds=1), "Jo")
    assert Alert.objects.get().muted_until is None


def test_a_time_far_ahead_because_the_clock_was_set_back_mutes_nothing(
    phones: tuple[Phone, Phone],
) -> None:
    begin()
    mute(KEY, in_hours(8), "Jo")
    later(days=-365)
    resolve_alert(KEY)
    later(minutes=11)
    begin()
    assert len(phones[0].heard) == 2


def test_what_is_not_there_can_be_neither_acknowledged_nor_muted(
    phones: tuple[Phone, Phone],
) -> None:
    assert not acknowledge(KEY, "Jo")
    assert not mute(KEY, in_hours(1), "Jo")
    begin()
    end()
    assert not acknowledge(KEY, "Jo"), "it is over"
    assert mute(KEY, in_hours(1), "Jo"), "it may recur"


def test_those_that_are_over_are_purged_after_a_week_unless_they_are_muted(
    phones: tuple[Phone, Phone],
) -> None:
    begin()
    alert("brake", verbatim("held"), verbatim("text"))
    alert("open", verbatim("open"), verbatim("text"))
    mute(KEY, in_hours(24 * 30), "Jo")
    end()
    resolve_alert("brake")
    later(days=6)
    retention.purge()
    assert Alert.known.count() == 3
    later(days=2)
    retention.purge()
    assert set(Alert.known.values_list("key", flat=True)) == {KEY, "open"}


# --- the commands -------------------------------------------------------------------------------


def said(*words: str) -> str:
    out = StringIO()
    call_command("alerts", *words, stdout=out)
    return out.getvalue()


def test_the_command_lists_acknowledges_mutes_and_unmutes(phones: tuple[Phone, Phone]) -> None:
    assert "No alert is open" in said()
    begin()
    title, row = said().splitlines()
    assert title.split("  ")[0] == "alert"
    assert row.startswith(KEY)
    assert row.endswith("Odoo is away: it does not answer")
    assert "acknowledged by Jo" in said("--acknowledge", KEY, "--by", "Jo")
    assert "muted until" in said("--mute", KEY, "--hours", "2", "--by", "Kim")
    known = Alert.objects.get()
    assert (known.acknowledged_by, known.muted_by) == ("Jo", "Kim")
    assert known.muted_until is not None
    assert timedelta(hours=1.9) < known.muted_until - database_now() <= timedelta(hours=2)
    assert " Jo " in said()
    end()
    assert f"{KEY} is over, and muted until" in said()
    assert "no longer muted" in said("--unmute", KEY)


def test_the_command_names_what_is_wrong(phones: tuple[Phone, Phone]) -> None:
    for option in ("--acknowledge", "--mute", "--unmute"):
        with pytest.raises(CommandError, match="no such alert") as none:
            said(option, "odoo gone")
        assert none.value.returncode == 1
    begin()
    for hours in ("-1", "99999", "1e300"):
        with pytest.raises(CommandError) as wrong:
            said("--mute", KEY, "--hours", hours)
        assert wrong.value.returncode == 2


def test_the_command_tells_programs(phones: tuple[Phone, Phone]) -> None:
    begin()
    (found,) = json.loads(said("--json"))["alerts"]
    assert (found["key"], found["times"], found["subject"]) == (KEY, 1, "Odoo is away")
