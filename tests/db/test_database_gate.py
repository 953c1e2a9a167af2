"""What a web process does about events that it may have missed, and how it tells of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import dramatiq
import pytest
from django.conf import LazySettings
from django.db import OperationalError

from bc_consumer.ledger import Mark, database_gate
from bc_consumer.ledger.database_gate import DatabaseGate, Verdict
from bc_consumer.messaging import intake
from bc_consumer.messaging.publisher import MOST_WAITING, Publisher
from bc_consumer.models import SyncState
from tests.services.waiting import wait_until

pytestmark = pytest.mark.usefixtures("single_rows")


PAUSE = 0.5
"""Seconds between two requests of a scan."""


class CountingGate(DatabaseGate):
    """Counts how often its thread has looked for something to do."""

    rounds = 0

    def _wait_for_next_round(self) -> bool:
        self.rounds += 1
        return super()._wait_for_next_round()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When scans were asked for; the gate looks for a reason all the time."""
    asked: list[float] = []
    monkeypatch.setattr(database_gate, "PROBE_SECONDS", 0.01)
    monkeypatch.setattr(database_gate, "ASK_AGAIN_SECONDS", PAUSE)
    monkeypatch.setattr(database_gate, "STALLED_SECONDS", 60.0)  # on a busy machine it may wait
    monkeypatch.setattr(SyncState, "request_scan", lambda: asked.append(time.monotonic()))
    return asked


@pytest.fixture
def gate(asked: list[float]) -> Iterator[CountingGate]:
    """A gate that has asked for the scan which each process asks for at its start."""
    gate = CountingGate(None)
    gate.start()
    wait_until(lambda: asked, what="the scan of a starting process")
    yield gate
    gate.close()


def test_a_scan_is_asked_for_once_and_not_for_each_event(
    gate: CountingGate, asked: list[float]
) -> None:
    for _ in range(100):
        gate.note_missed()
    wait_until(lambda: len(asked) == 2, what="the scan after a while")
    assert asked[1] - asked[0] >= PAUSE, "the one of the start is enough for a while"
    wait_until(lambda: time.monotonic() > asked[1] + PAUSE, what="the next pause to be over")
    rounds = gate.rounds
    wait_until(lambda: gate.rounds > rounds + 3, what="the gate to have looked")
    assert len(asked) == 2, "all is well, and nothing is asked for"


def test_after_the_gate_was_closed_a_scan_is_due(gate: CountingGate, asked: list[float]) -> None:
    gate.trip(OperationalError("gone"), Verdict.SILENT)
    wait_until(lambda: gate.usable and len(asked) == 2, what="the gate to open, and the scan")


def test_only_a_database_that_is_away_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = DatabaseGate(None)
    caplog.set_level(logging.WARNING, "bc_consumer.ledger.database_gate")
    for _ in range(20):
        gate.trip(OperationalError("late"), Verdict.SLOW)
        gate.usable = True
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "The database is slow" in caplog.text
    gate.trip(OperationalError("no answer"), Verdict.SILENT)
    gate.trip(OperationalError("no answer"), Verdict.SILENT)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


def test_an_answer_after_odoo_s_second_has_a_scan_asked_for(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waited so long for a thread has left. This event is here; of others nobody knows."""
    settings.WEBHOOK_ANSWER_SECONDS = 10
    monkeypatch.setattr(database_gate, "ASK_AGAIN_SECONDS", PAUSE)
    monkeypatch.setattr(database_gate, "STALLED_SECONDS", 60.0)
    SyncState.objects.update(scan_due_at=None)

    def is_asked_for() -> bool:
        return SyncState.objects.get().scan_due_at is not None

    intake.intake.cache_clear()
    intake.intake()
    try:
        wait_until(is_asked_for, what="the scan of a starting process")
        SyncState.objects.update(scan_due_at=None)
        intake.accept([5], Mark(cause="webhook"))
        until = time.monotonic() + PAUSE + 2 * database_gate.PROBE_SECONDS
        wait_until(lambda: time.monotonic() > until, what="the gate to have looked")
        assert not is_asked_for(), "nothing is missed by that"
        intake.accept([6], Mark(cause="webhook"), arrived=time.monotonic() - 30)
        wait_until(is_asked_for, what="the scan")
    finally:
        intake.intake().close()
        intake.intake.cache_clear()


def test_wake_ups_do_not_pile_up() -> None:
    """One that is sent later finds everything that was marked before it."""
    publisher = Publisher(dramatiq.get_broker())  # not started: nothing is taken from it
    publisher.wake(range(1, 10_000))
    assert publisher.waiting() == MOST_WAITING
