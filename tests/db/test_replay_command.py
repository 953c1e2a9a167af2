"""``manage.py replay``: what it shows, whom it asks, what it marks; and RabbitMQ's dead letters."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone
from dramatiq.common import xq_name
from pika.exceptions import AMQPConnectionError

from bc_consumer import ledger
from bc_consumer.ledger import Mark, error_fingerprint
from bc_consumer.management.command import caller_name
from bc_consumer.messaging import intake
from bc_consumer.messaging.broker import Broker, publish
from bc_consumer.messaging.publisher import ACTOR, FURTHER_IDS, UNDECODABLE_QUEUE
from bc_consumer.models import BC, Alert, DeadLetter, Lane, OperatorAction, PendingBC
from bc_consumer.operations import dead_letters
from bc_consumer.refresh import odoo_connection
from bc_consumer.workers.periodic_sweep import sweep
from tests.db.copied import failed, pending

pytestmark = pytest.mark.usefixtures("single_rows")

OLD = timezone.now() - timedelta(days=3)


class Replay:
    """The last call's exit code and what it printed."""

    def __init__(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()

    def __call__(self, *arguments: str) -> int:
        self.out, self.err = io.StringIO(), io.StringIO()
        try:
            call_command("replay", *arguments, stdout=self.out, stderr=self.err)
        except SystemExit as ended:
            return int(str(ended.code))
        return 0

    def json(self, *arguments: str) -> dict[str, Any]:
        code = self(*arguments, "--json")
        told: dict[str, Any] = json.loads(self.out.getvalue())
        assert told["exit_code"] == code
        return told


@pytest.fixture
def replay() -> Replay:
    return Replay()


@pytest.fixture
def four_failed(single_rows: None) -> None:
    for odoo_id, kind, text, at in (
        (1, "OdooFault", "Odoo fault 1: order 1 cannot be computed", timezone.now()),
        (2, "OdooFault", "Odoo fault 1: order 2 cannot be computed", timezone.now()),
        (3, "MappingError", "price_unit of order 3 can't be copied: nan", OLD),
        (4, "OdooTimeout", "Odoo needs more than 30 s", timezone.now()),
    ):
        failed(
            odoo_id,
            error_class=kind,
            last_error=text,
            failure=error_fingerprint.fingerprint(kind, text),
            failed_at=at,
            first_failed_at=at,
            batch_limit=1,
        )
    pending(5, age=10)


def marked() -> set[int]:
    rows = PendingBC.objects.filter(failed_at__isnull=True, causes__endswith="replay")
    return set(rows.values_list("pk", flat=True))


@pytest.mark.usefixtures("four_failed")
@pytest.mark.parametrize(
    ("choice", "ids"),
    [
        (["--all"], {1, 2, 3, 4}),
        (["--error", "odoofault"], {1, 2}),
        (["--error", "CANNOT be"], {1, 2}),
        (["--error", "30 s"], {4}),
        (["--since", "1d"], {1, 2, 4}),
        (["--error", "MappingError", "--since", "1d"], set()),
        (["--bc", "3", "5", "99"], {3}),
        (["--bc", "1", "3", "--error", "OdooFault"], {1}),
    ],
)
def test_those_chosen_are_marked_and_no_others(
    replay: Replay, choice: list[str], ids: set[int]
) -> None:
    assert replay(*choice, "--yes") == 0
    assert marked() == ids
    rows = PendingBC.objects.filter(pk__in=ids)
    assert {(row.lane, row.batch_limit) for row in rows} <= {(Lane.BULK.value, 0)}
    assert PendingBC.objects.get(pk=5).generation == 1


@pytest.mark.usefixtures("four_failed")
def test_who_replayed_what_is_recorded(replay: Replay) -> None:
    replay("--all", "--dry-run")
    assert not OperatorAction.objects.exists()
    replay("--all", "--yes")
    action = OperatorAction.objects.get()
    assert (action.kind, action.status) == ("replay", "done")
    assert (action.parameters, action.asked_by) == ({"all": True}, caller_name())
    assert action.outcome == "4 orders were replayed."


@pytest.mark.usefixtures("four_failed")
def test_a_dry_run_shows_causes_with_their_numbers_and_changes_nothing(replay: Replay) -> None:
    assert replay("--all", "--dry-run") == 0
    told = replay.out.getvalue()
    heading, first, example, *_rest = told.splitlines()
    assert heading.split() == ["orders", "error", "first", "failed", "last", "failed"]
    assert first.split()[:2] == ["2", "OdooFault"]
    assert heading.index("error") == first.index("OdooFault")
    assert example.strip() == "BC 1: Odoo fault 1: order 1 cannot be computed"
    assert "4 failed orders." in told
    assert not marked()


@pytest.mark.usefixtures("four_failed")
def test_orders_that_the_copy_has_may_be_named_by_their_references(replay: Replay) -> None:
    for odoo_id, name in ((1, "P00001"), (3, "P00003"), (8, "P00042"), (9, "P00042")):
        BC.objects.create(odoo_id=odoo_id, name=name, company_name=f"Company {odoo_id}")
    assert replay("--bc", "P00001", "3", "--yes") == 0
    assert "BC 1 P00001: Odoo fault 1" in replay.out.getvalue()
    assert marked() == {1, 3}
    assert replay("--bc", "P00042", "--yes") == 2
    for line in ("  #8  P00042  Company 8", "  #9  P00042  Company 9"):
        assert line in replay.err.getvalue().splitlines()
    assert marked() == {1, 3}


@pytest.mark.usefixtures("four_failed")
def test_a_reference_that_only_odoo_could_know_needs_odoo(
    replay: Replay, settings: LazySettings
) -> None:
    settings.ODOO_URL = "http://127.0.0.1:1"
    odoo_connection.odoo.cache_clear()
    told = replay.json("--bc", "P00099", "--yes")
    assert told["exit_code"] == 1
    assert "Give the order's Odoo id instead" in told["error"]
    odoo_connection.odoo.cache_clear()


@pytest.mark.usefixtures("four_failed")
def test_on_a_terminal_no_line_is_long(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "200")
    PendingBC.objects.filter(pk=4).update(last_error="needs more time " * 12)
    screen = Terminal()
    call_command("replay", "--all", "--dry-run", stdout=screen, stderr=screen)
    lines = screen.getvalue().splitlines()
    assert 90 < max(map(len, lines)) <= 100


@pytest.mark.usefixtures("four_failed")
def test_json_tells_the_same(replay: Replay) -> None:
    told = replay.json("--error", "OdooFault", "--bc", "1", "2", "3", "--yes")
    assert (told["orders"], told["replayed"], told["not_failed"]) == (2, 2, [3])
    (group,) = told["groups"]
    assert (group["count"], group["error_class"], group["example"]) == (2, "OdooFault", 1)
    assert group["cause"] == "OdooFault: Odoo fault #: order # cannot be computed"
    assert (told["status"], told["error"]) == ("ok", "")


@pytest.mark.usefixtures("four_failed")
def test_nothing_chosen_shows_what_there_is_and_asks_for_a_choice(replay: Replay) -> None:
    assert replay() == 2
    assert "4 failed orders." in replay.out.getvalue()
    assert "--all" in replay.err.getvalue()
    assert not marked()


@pytest.mark.usefixtures("four_failed")
def test_a_choice_beside_all_is_a_contradiction(replay: Replay) -> None:
    with pytest.raises(CommandError, match="can't be combined"):
        replay("--all", "--bc", "1")


@pytest.mark.parametrize("arguments", [[], ["--all"], ["--error", "x"], ["--all", "--dry-run"]])
def test_nothing_failed_is_no_trouble(replay: Replay, arguments: list[str]) -> None:
    assert replay(*arguments) == 0
    assert "No such failed orders." in replay.out.getvalue()


@pytest.mark.usefixtures("four_failed")
@pytest.mark.parametrize(
    ("terminal", "answer", "code", "ids"),
    [
        (True, "y\n", 0, {1, 2}),
        (True, "\n", 1, set()),
        (True, "n\n", 1, set()),
        (False, "", 2, set()),
    ],
)
def test_it_asks_first_and_only_where_somebody_can_answer(
    replay: Replay,
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    answer: str,
    code: int,
    ids: set[int],
) -> None:
    keyboard = io.StringIO(answer)
    monkeypatch.setattr(keyboard, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stdin", keyboard)
    assert replay("--error", "OdooFault") == code
    assert marked() == ids
    asked = "Read 2 orders again?" if terminal else "add --yes"
    assert asked in replay.err.getvalue()


@pytest.mark.usefixtures("four_failed")
def test_a_database_that_fails_is_told_by_the_exit_code(
    replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(ledger, "reopen", away)
    told = replay.json("--all", "--yes")
    assert told["exit_code"] == 1
    assert "server closed the connection" in told["error"]


# --- dead letters ---------------------------------------------------------------------------------


@pytest.fixture
def broker(vhost_url: str, settings: LazySettings) -> Iterator[Broker]:
    """A real RabbitMQ for this process."""
    before = dramatiq.get_broker()
    broker = Broker(url=vhost_url, middleware=[])
    dramatiq.set_broker(broker)
    dead_letters.waiting(broker)  # declares the queues
    yield broker
    dramatiq.set_broker(before)
    broker.close()


def message(*arguments: object, actor: str = ACTOR) -> bytes:
    sent: dramatiq.Message[None] = dramatiq.Message(
        queue_name="bc", actor_name=actor, args=arguments, kwargs={}, options={}
    )
    return sent.encode()


def shared(*ids: object) -> bytes:
    """A message about orders whose events came together."""
    first, *others = ids
    sent: dramatiq.Message[None] = dramatiq.Message(
        queue_name="bc",
        actor_name=ACTOR,
        args=(first,),
        kwargs={},
        options={FURTHER_IDS: others},
    )
    return sent.encode()


def dead(broker: Broker, *bodies: bytes) -> None:
    for body in bodies:
        publish(broker.channel, xq_name("bc"), body)


def test_dead_letters_mark_their_orders_and_none_vanishes(replay: Replay, broker: Broker) -> None:
    dead(broker, message(7), message(8), message(7), message(actor="reconcile_nightly"))
    dead(broker, b"\x00\xff not JSON", b"\x00\xff not JSON", message("x"), message(2**40))
    event = intake.encode([(9, Mark(cause="webhook"))])
    publish(broker.channel, UNDECODABLE_QUEUE, event)
    publish(broker.channel, UNDECODABLE_QUEUE, b"{}[")

    shown = replay.json("--dead-letters", "--dry-run")
    assert shown["dead_letters"] == {xq_name("bc"): 8, UNDECODABLE_QUEUE: 2}
    told = replay.json("--dead-letters", "--yes")
    assert (told["orders_of_dead_letters"], told["kept"], told["replayed"]) == (3, 6, 0)
    (action,) = OperatorAction.objects.all()
    assert action.kind == OperatorAction.Kind.IMPORT_DEAD_LETTERS
    assert str(action.outcome).startswith("Orders marked: 3.")
    assert set(PendingBC.objects.values_list("pk", flat=True)) == {7, 8, 9}
    assert set(dead_letters.waiting(broker).values()) == {0}
    kept = {letter.text: letter.count for letter in DeadLetter.objects.all()}
    assert kept["\x00\\xff not JSON"] == 2
    assert kept["{}["] == 1
    assert sum(kept.values()) == 6


def test_a_shared_message_marks_all_its_orders_or_is_kept(replay: Replay, broker: Broker) -> None:
    dead(broker, shared(7, 8, 9), shared(10, "x"), shared(*range(1, 2000)))
    told = replay.json("--dead-letters", "--yes")
    assert (told["orders_of_dead_letters"], told["kept"]) == (3, 2)
    assert set(PendingBC.objects.values_list("pk", flat=True)) == {7, 8, 9}


@pytest.mark.usefixtures("four_failed")
def test_dead_letters_alone_replay_no_failed_order(replay: Replay, broker: Broker) -> None:
    dead(broker, message(7))
    assert replay("--dead-letters", "--yes") == 0
    assert not marked()
    assert replay("--dead-letters", "--error", "OdooFault", "--yes") == 0
    assert marked() == {1, 2}


def test_a_dead_letter_stays_in_its_queue_until_its_mark_is_committed(
    replay: Replay, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("the connection was lost")

    dead(broker, message(7), message(8))
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "mark_all", away)
        assert replay("--dead-letters", "--yes") == 1
    assert replay("--dead-letters", "--yes") == 0  # takes them out, whatever RabbitMQ counts by now
    assert set(PendingBC.objects.values_list("pk", flat=True)) == {7, 8}


def test_rabbitmq_that_is_away_is_told_by_the_exit_code(
    replay: Replay, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise AMQPConnectionError("refused")

    monkeypatch.setattr(dead_letters, "waiting", away)
    told = replay.json("--dead-letters", "--yes")
    assert told["exit_code"] == 1
    assert "RabbitMQ is away" in told["error"]


def test_without_rabbitmq_there_are_none(replay: Replay) -> None:
    assert replay("--dead-letters") == 0
    assert "no RabbitMQ" in replay.out.getvalue()


def test_waiting_dead_letters_are_told_once_until_they_are_brought_in(
    replay: Replay, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    sweep()
    assert not Alert.objects.exists()
    dead(broker, message(7))
    publish(broker.channel, "bc.fallback", b"no event")
    for _ in range(3):
        sweep()
    alert = Alert.objects.get(key=dead_letters.ALERT)
    assert f"1 in {xq_name('bc')}, 1 in {UNDECODABLE_QUEUE}" in alert.text
    assert len([r for r in caplog.records if r.name == "bc_consumer.operations.alerts"]) == 1
    assert replay("--dead-letters", "--yes") == 0
    assert not Alert.objects.exists()
