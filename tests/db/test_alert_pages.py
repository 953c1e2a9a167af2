"""The alerts and the messages that could not be read: what pages show, and what can be pressed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from io import StringIO
from types import MappingProxyType, SimpleNamespace
from typing import Any

import dramatiq
import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from bc_consumer.console import alerts as console_alerts
from bc_consumer.console.alerts import ADVICE
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import verbatim
from bc_consumer.models import Alert, DeadLetter, OperatorAction
from bc_consumer.operations import dead_letters
from bc_consumer.operations.dead_letters import Imported
from bc_consumer.workers import action_steps
from bc_consumer.workers.action_runner import Cancelled
from bc_consumer.workers.action_steps import STEPS
from tests.unit.test_alerts_documented import documented

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("single_rows")]
Kind, Status = OperatorAction.Kind, OperatorAction.Status


def log_in(group: str) -> Client:
    user = User.objects.create_user(group, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return log_in("BC operators")


@pytest.fixture
def alert() -> Alert:
    at = database_now() - timedelta(hours=2)
    return Alert.objects.create(
        key="odoo away", subject=verbatim("odoo is away"), text=verbatim("It has been for long"),
        first_at=at, last_at=at, count=17,
    )  # fmt: skip


@pytest.fixture
def letter() -> DeadLetter:
    now = timezone.now()
    return DeadLetter.objects.create(
        queue="bc.XQ", body=b"<b>no order</b>", digest="0", why=verbatim("not an order id"),
        first_at=now, last_at=now, count=3,
    )  # fmt: skip


def text(client: Client, path: str, language: str = "en") -> str:
    answer = client.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200
    return answer.content.decode()


def press(client: Client, kind: str, **values: object) -> OperatorAction:
    """Post the form of a button; return the record of what it asked for."""
    answer = client.post(f"/ask/{kind}/", {"next": "/alerts/", **values})
    assert answer.status_code == 302
    action = OperatorAction.objects.latest("pk")
    assert answer["Location"] == f"/alerts/?action={action.pk}"
    return action


# --- alerts --------------------------------------------------------------------------------------


def test_every_alert_has_its_meaning_and_what_to_do() -> None:
    assert {key.rstrip(":") for key in documented()} == set(ADVICE)


def test_an_alert_stands_on_today_and_has_a_page_with_what_it_means(
    operator: Client, alert: Alert
) -> None:
    today = text(operator, "/")
    assert "Odoo is away, since " in today
    assert "17 times" in today
    assert 'href="/alerts/"' in today
    page = text(operator, "/alerts/")
    for told in (
        "Odoo is away", "It has been for long", "17 times since", "Nothing is lost",
        "Look whether Odoo", "Not sent to anybody", "Acknowledge", "Mute for",
    ):  # fmt: skip
        assert told in page
    assert "Rien n’est perdu" in text(operator, "/alerts/", "fr")


def test_without_any_the_page_says_so(operator: Client) -> None:
    assert "No alert is open" in text(operator, "/alerts/")


def test_acknowledging_says_who_and_is_recorded(operator: Client, alert: Alert) -> None:
    action = press(operator, "acknowledge", alert=alert.key)
    assert (action.kind, action.status, action.asked_by) == (
        Kind.ACKNOWLEDGE, Status.DONE, "BC operators"
    )  # fmt: skip
    assert action.parameters == {"alert": "odoo away"}
    alert.refresh_from_db()
    assert alert.acknowledged_by == "BC operators"
    page = text(operator, f"/alerts/?action={action.pk}")
    assert "Somebody is taking care of it" in page
    assert "BC operators takes care of it since" in page
    assert 'action="/ask/acknowledge/"' not in page
    assert "BC operators takes care of it" in text(operator, "/")


def test_muting_and_unmuting(operator: Client, alert: Alert) -> None:
    action = press(operator, "mute", alert=alert.key, hours="8")
    assert str(action.outcome).startswith("Nothing is sent about it until ")
    muted = Alert.objects.get()
    assert muted.muted_until is not None
    assert timedelta(hours=7.9) < muted.muted_until - database_now() <= timedelta(hours=8)
    assert muted.muted_by == "BC operators"
    page = text(operator, "/alerts/")
    assert "Muted until" in page
    assert 'action="/ask/mute/"' not in page
    Alert.objects.update(resolved_at=database_now())
    assert "Over, and still muted" in text(operator, "/alerts/")
    assert press(operator, "unmute", alert=alert.key).status == Status.DONE
    assert Alert.known.get().muted_until is None
    assert press(operator, "unmute", alert=alert.key).status == Status.REFUSED


def test_one_that_is_over_meanwhile_is_refused_and_said(operator: Client, alert: Alert) -> None:
    Alert.objects.update(resolved_at=database_now())
    action = press(operator, "acknowledge", alert=alert.key)
    assert (action.status, action.outcome) == (Status.REFUSED, "This alert is over.")


def test_a_viewer_sees_alerts_and_messages_and_presses_nothing(
    alert: Alert, letter: DeadLetter
) -> None:
    viewer = log_in("BC viewers")
    for path in ("/alerts/", "/failures/", "/failures/messages/"):
        assert '<button class="main"' not in text(viewer, path), path
        assert "<summary class=" not in text(viewer, path), path
    for kind in ("acknowledge", "mute", "unmute", "import_dead_letters", "delete_dead_letters"):
        answer = viewer.post(f"/ask/{kind}/", {"alert": alert.key, "hours": 1, "letters": 1})
        assert answer.status_code == 403, kind
    assert not OperatorAction.objects.exists()


def test_the_command_is_recorded_too(alert: Alert) -> None:
    def run(*arguments: str) -> None:
        call_command("alerts", *arguments, "--by", "Jo", stdout=StringIO())

    run("--acknowledge", alert.key)
    run("--mute", alert.key, "--hours", "2")
    run("--unmute", alert.key)
    with pytest.raises(CommandError):
        run("--acknowledge", "nothing")
    recorded = OperatorAction.objects.order_by("pk").values_list("kind", "asked_by", "status")
    assert list(recorded) == [
        (kind, "Jo", Status.DONE) for kind in (Kind.ACKNOWLEDGE, Kind.MUTE, Kind.UNMUTE)
    ]


# --- messages that could not be read --------------------------------------------------------------


def test_a_message_is_shown_with_why_since_when_and_from_which_queue(
    operator: Client, letter: DeadLetter
) -> None:
    assert 'href="/failures/messages/"' in text(operator, "/failures/")
    page = text(operator, "/failures/messages/")
    assert "&lt;b&gt;no order&lt;/b&gt;" in page
    assert "not an order id" in page
    assert "bc.XQ" in page
    assert "Delete the selected messages" not in page, "an administrator's"


def test_a_long_message_says_how_much_of_it_is_not_shown(
    operator: Client, letter: DeadLetter
) -> None:
    assert "more character" not in text(operator, "/failures/messages/")
    DeadLetter.objects.update(body=b"x" * 20_007)
    page = text(operator, "/failures/messages/")
    assert "and 7 more characters" in page
    assert f'href="/admin/bc_consumer/deadletter/{letter.pk}/change/">All of it' in page


def test_more_alerts_than_a_page_shows_are_counted(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_alerts, "ROWS", 2)
    now = timezone.now()
    for number in range(5):
        Alert.objects.create(key=f"odd {number}", text="odd", first_at=now, last_at=now)
    for path in ("/alerts/", "/failures/"):
        assert "and 3 older alerts" in text(operator, path)
    assert 'Open alerts <span class="count">5</span>' in text(operator, "/alerts/")


def test_an_administrator_deletes_what_has_been_dealt_with(letter: DeadLetter) -> None:
    chief = log_in("BC administrators")
    assert "Yes: Delete the selected messages" in text(chief, "/failures/messages/")
    action = press(chief, "delete_dead_letters", letters=[letter.pk, letter.pk + 1])
    assert (action.kind, action.outcome) == (Kind.DELETE_DEAD_LETTERS, "1 message deleted.")
    assert not DeadLetter.objects.exists()
    again = press(chief, "delete_dead_letters", letters=[letter.pk])
    assert again.status == Status.REFUSED


def test_nothing_chosen_is_told_and_deletes_nothing(letter: DeadLetter) -> None:
    chief = log_in("BC administrators")
    answer = chief.post("/ask/delete_dead_letters/", {"next": "/failures/messages/"}, follow=True)
    assert "Nothing is chosen." in answer.content.decode()
    assert DeadLetter.objects.exists()
    assert not OperatorAction.objects.exists()


def test_the_command_lists_and_deletes_and_is_recorded(letter: DeadLetter) -> None:
    said = StringIO()
    call_command("dead_letters", stdout=said)
    assert "bc.XQ" in said.getvalue()
    assert "not an order id" in said.getvalue()
    with pytest.raises(CommandError, match="add --yes"):
        call_command("dead_letters", "--delete-all", stdout=said)
    assert DeadLetter.objects.exists()
    call_command("dead_letters", "--delete", str(letter.pk), "--yes", stdout=said)
    assert "1 message deleted." in said.getvalue()
    assert not DeadLetter.objects.exists()
    assert OperatorAction.objects.get().kind == Kind.DELETE_DEAD_LETTERS
    with pytest.raises(CommandError, match="no such messages"):
        call_command("dead_letters", "--delete-all", "--yes", stdout=said)


class FakeBroker:
    """RabbitMQ as far as ``bring_in`` needs it: each queue has this many messages of nobody's."""

    messages = 0

    @property
    def channel(self) -> FakeBroker:
        return self

    def basic_get(self, _queue: str) -> tuple[Any, None, bytes]:
        if not FakeBroker.messages:
            return None, None, b""
        FakeBroker.messages -= 1
        return SimpleNamespace(delivery_tag=1), None, b"nobody's %d" % FakeBroker.messages

    def basic_ack(self, _tag: int) -> None:
        pass

    def drop_connection(self) -> None:
        pass


class Hand:
    """An action in hand that is told of its progress, and ends where it is cancelled."""

    parameters: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, cancelled_after: int = 1000, seconds: float = 600.0) -> None:
        self.told: list[int] = []
        self._cancelled_after = cancelled_after
        self._seconds = seconds

    def seconds_left(self) -> float:
        return self._seconds

    def check(self) -> None:
        if len(self.told) > self._cancelled_after:
            raise Cancelled("Cancelled by chief.")

    def tell(self, done: int, *_: object, **_more: object) -> None:
        self.told.append(done)
        self.check()

    def admit_another(self) -> None:
        pass


@pytest.fixture
def rabbitmq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bc_consumer.workers.action_steps.Broker", FakeBroker)
    monkeypatch.setattr(dramatiq, "get_broker", FakeBroker)
    monkeypatch.setattr(dead_letters, "waiting", lambda _broker: {"bc.XQ": FakeBroker.messages})


@pytest.mark.usefixtures("rabbitmq")
def test_putting_back_tells_what_became_of_the_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "bring_in", lambda *_: Imported(orders=2, kept=1))
    done = STEPS[Kind.IMPORT_DEAD_LETTERS](Hand())
    assert done.outcome == "Orders marked: 2. Messages that name no order, kept here: 1."
    assert done.status == Status.DONE


@pytest.mark.usefixtures("rabbitmq")
def test_putting_back_takes_a_share_at_once_and_tells_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(action_steps, "LETTERS_AT_ONCE", 3)
    monkeypatch.setattr(FakeBroker, "messages", 5)
    hand = Hand()
    done = STEPS[Kind.IMPORT_DEAD_LETTERS](hand)
    assert hand.told == [0, 1, 2, 3], "after each message it may be cancelled, or be over"
    assert str(done.outcome) == (
        "Orders marked: 0. Messages that name no order, kept here: 3. Still in RabbitMQ: 2. Put"
        " them back, too."
    )
    assert DeadLetter.objects.count() == 3
    late = STEPS[Kind.IMPORT_DEAD_LETTERS](Hand(seconds=1.0))
    assert "Still in RabbitMQ: 2." in late.outcome


@pytest.mark.usefixtures("rabbitmq")
def test_putting_back_ends_where_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeBroker, "messages", 5)
    with pytest.raises(Cancelled):
        STEPS[Kind.IMPORT_DEAD_LETTERS](Hand(cancelled_after=2))
    assert FakeBroker.messages == 3


@pytest.mark.usefixtures("rabbitmq")
def test_without_rabbitmq_nothing_is_put_back_and_nothing_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object) -> Imported:
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(dead_letters, "bring_in", away)
    done = STEPS[Kind.IMPORT_DEAD_LETTERS](Hand())
    assert done.status == Status.FAILED
    assert "still there" in done.outcome
