"""What the intake takes together, and how long for: nobody is refused because of another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from django.conf import LazySettings
from django.db import OperationalError

from bc_consumer import ledger
from bc_consumer.ledger import Mark
from bc_consumer.ledger.database_gate import StatementWait, Verdict
from bc_consumer.messaging import intake as intake_module
from bc_consumer.messaging.intake import AT_ONCE, AT_ONCE_CHARACTERS, Arrival, Intake
from bc_consumer.models import PendingBC
from odoo_webhook.webhook_request import MOST_IDS

pytestmark = pytest.mark.usefixtures("single_rows")

FIRST = 1
"""The order of the arrival that keeps the intake busy until the others are there."""
ANSWER_SECONDS = 80.0
"""A hundred times as long as usual, so that a busy machine makes nobody late."""
PATIENCE_SECONDS = 30.0
MARK = Mark(cause="webhook")


@dataclass(slots=True)
class Busy:
    """An intake whose first statement lasts until :meth:`go_on`."""

    intake: Intake
    statements: list[list[int]] = field(default_factory=list)
    """The orders of each statement that followed."""
    began: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    def go_on(self, *arrivals: Arrival) -> None:
        """Let these have come meanwhile, in this order, and the first statement end."""
        for arrival in arrivals:
            self.intake.put(arrival)
        self.may_end.set()


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> Iterator[Busy]:
    """An intake that is at its first statement, and has no RabbitMQ."""
    settings.WEBHOOK_ANSWER_SECONDS = ANSWER_SECONDS
    busy = Busy(Intake())
    mark_all = ledger.mark_all

    def noted(marks: Iterable[tuple[int, Mark]]) -> list[int]:
        marks = list(marks)
        if [odoo_id for odoo_id, _ in marks] == [FIRST]:
            busy.began.set()
            assert busy.may_end.wait(PATIENCE_SECONDS)
        elif marks:
            busy.statements.append([odoo_id for odoo_id, _ in marks])
        return mark_all(marks)

    monkeypatch.setattr(ledger, "mark_all", noted)
    busy.intake.start()
    busy.intake.put(arrival(FIRST, left=PATIENCE_SECONDS))
    assert busy.began.wait(PATIENCE_SECONDS)
    yield busy
    busy.may_end.set()
    busy.intake.close()


@pytest.fixture
def rabbitmq(monkeypatch: pytest.MonkeyPatch) -> None:
    """A RabbitMQ that keeps whatever it is given."""
    keeps = SimpleNamespace(usable=True, store=lambda *_: True, wake_together=lambda _: None)
    monkeypatch.setattr(intake_module, "publisher", lambda: keeps)


def arrival(*ids: int, left: float = ANSWER_SECONDS, payload: str = "") -> Arrival:
    mark = Mark(cause="webhook", payload=payload) if payload else MARK
    return Arrival([(odoo_id, mark) for odoo_id in ids], time.monotonic() + left)


def body(number: int, ids: int = MOST_IDS) -> Arrival:
    """One of several that name many orders, each others than the rest."""
    first = 100_000 * number
    return arrival(*range(first, first + ids))


def kept_in(arrivals: Iterable[Arrival]) -> set[str]:
    return {one.kept_in.result(PATIENCE_SECONDS) for one in arrivals}


def marked() -> set[int]:
    return set(PendingBC.objects.values_list("pk", flat=True)) - {FIRST}


@pytest.mark.parametrize("left", [-1.0, 0.005, 3.0, 4.0])
def test_one_that_is_about_to_leave_does_not_decide_for_the_others(busy: Busy, left: float) -> None:
    others = [arrival(odoo_id) for odoo_id in range(3, 46)]
    busy.go_on(arrival(2, left=left), *others)
    assert kept_in(others) == {"ledger"}
    assert busy.statements == [list(range(2, 46))]
    assert marked() == set(range(2, 46)), "nor is its own order forgotten"


@pytest.mark.parametrize("left", [0.005, 3.0, 4.0])
@pytest.mark.usefixtures("rabbitmq")
def test_nor_does_it_send_them_to_the_fallback_queue(busy: Busy, left: float) -> None:
    others = [arrival(odoo_id) for odoo_id in range(3, 46)]
    busy.go_on(arrival(2, left=left), *others)
    assert kept_in(others) == {"ledger"}
    assert marked() == set(range(2, 46))


def test_nor_when_the_database_was_slow_and_nobody_else_can_take_them(
    busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy.intake.gate, "open", lambda: None)
    monkeypatch.setattr(intake_module, "AWAY_SECONDS", 20.0)
    busy.intake.gate.trip(OperationalError("late"), Verdict.SLOW)
    others = [arrival(odoo_id) for odoo_id in range(3, 46)]
    busy.go_on(arrival(2, left=30.0), *others)
    assert kept_in(others) == {"ledger"}


def test_what_comes_too_late_for_an_answer_is_marked(busy: Busy) -> None:
    late = [arrival(odoo_id, left=0.005) for odoo_id in range(2, 5)]
    busy.go_on(*late)
    kept_in(late)
    assert marked() == {2, 3, 4}


def test_odoo_s_webhooks_do_not_wait_for_large_bodies(busy: Busy) -> None:
    bodies = [body(number) for number in range(1, 21)]
    webhooks = [arrival(odoo_id) for odoo_id in range(2, 52)]
    busy.go_on(*bodies, *webhooks)
    assert kept_in([*bodies, *webhooks]) == {"ledger"}
    assert busy.statements[0] == list(range(2, 52))
    assert max(map(len, busy.statements)) <= AT_ONCE
    assert sum(map(len, busy.statements)) == 20 * MOST_IDS + 50


def test_nor_do_large_bodies_wait_for_ever(busy: Busy) -> None:
    """However many webhooks come, every other statement is theirs."""
    long = "x" * (AT_ONCE_CHARACTERS // 2)
    webhooks = [arrival(odoo_id, payload=long) for odoo_id in range(2, 8)]
    bodies = [body(number) for number in range(1, 5)]
    busy.go_on(*webhooks, *bodies)
    assert kept_in([*webhooks, *bodies]) == {"ledger"}
    sizes = [len(statement) for statement in busy.statements]
    assert sizes == [2, 2 * MOST_IDS, 2, 2 * MOST_IDS, 2]


def test_nor_does_the_largest_wait_for_smaller_ones(busy: Busy) -> None:
    """However many come, the eldest is in the next statement."""
    eldest = body(1)
    busy.go_on(*(body(number, ids=400) for number in range(2, 6)), eldest, body(7, ids=400))
    assert kept_in([eldest]) == {"ledger"}
    assert 100_000 not in busy.statements[0]
    assert 100_000 in busy.statements[1]


def test_one_with_more_than_a_statement_takes_goes_alone(busy: Busy) -> None:
    largest, after = body(1, ids=AT_ONCE + 1), body(2)
    busy.go_on(largest, after)
    assert kept_in([largest, after]) == {"ledger"}
    assert [len(statement) for statement in busy.statements] == [AT_ONCE + 1, MOST_IDS]


def test_payloads_are_divided_too(busy: Busy) -> None:
    half = "x" * (AT_ONCE_CHARACTERS // 2)
    long = [arrival(odoo_id, payload=half) for odoo_id in (2, 3, 4)]
    busy.go_on(*long)
    assert kept_in(long) == {"ledger"}
    assert busy.statements == [[2, 3], [4]]


def test_whoever_was_told_to_send_it_again_is_in_nobody_s_way(busy: Busy) -> None:
    """A body that nobody waits for any more has what room is left; Odoo's own event its place."""
    given_up = [body(1), body(2), body(3), arrival(2)]
    for one in given_up:
        one.kept_in.cancel()
    in_time = [body(4), body(5, ids=500)]
    busy.go_on(*given_up, *in_time)
    assert kept_in(in_time) == {"ledger"}
    ids = [*range(400_000, 401_000), *range(500_000, 500_500)]
    assert [sorted(statement) for statement in busy.statements] == [[2], ids]


@pytest.mark.usefixtures("rabbitmq")
def test_large_bodies_that_get_no_turn_in_time_are_kept_in_the_fallback_queue(busy: Busy) -> None:
    hurried = [arrival(*range(n * 10_000, n * 10_000 + MOST_IDS), left=15.0) for n in range(1, 5)]
    webhooks = [arrival(odoo_id, left=15.0) for odoo_id in range(2, 52)]
    in_time = body(7)
    busy.go_on(*hurried, *webhooks, in_time)
    assert kept_in(hurried) == {"queue"}
    assert kept_in([*webhooks, in_time]) == {"ledger"}


@pytest.mark.usefixtures("rabbitmq")
def test_they_are_not_if_one_statement_takes_all_that_wait(busy: Busy) -> None:
    bodies = [arrival(*range(n * 10_000, n * 10_000 + MOST_IDS), left=15.0) for n in (1, 2)]
    busy.go_on(*bodies)
    assert kept_in(bodies) == {"ledger"}


def test_rule_1_silence_is_borne_longer_while_statements_are_slow(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quiet machine's limit closed the gate of a healthy server under 64 connections."""
    settings.WEBHOOK_ANSWER_SECONDS, settings.WEBHOOK_DATABASE_SECONDS = 0.8, 0.08
    intake = Intake()
    intake.gate.probe = None
    took = [0.0]
    monkeypatch.setattr(StatementWait, "seconds", property(lambda _: took[0]))
    monkeypatch.setattr(ledger, "mark_all", lambda _: [])
    silences = [intake.silence_seconds()]
    for took[0] in (0.06, 5.0, *[0.003] * 60):
        assert intake._write_to_ledger([(FIRST, MARK)], time.monotonic() + 1, 1.0) == "ledger"
        silences.append(intake.silence_seconds())
    assert silences[:3] == pytest.approx([0.08, 0.12, 0.16])
    assert silences[-1] == pytest.approx(0.08), "a calm is soon believed"
