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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When scans were asked for; the gate looks for a reason all the time."""
    asked: list[float] = []
    monkeypatch.setattr(database_gate, "PROBE_SECONDS", 0.01)
    monkeypatch.setattr(SyncState, "request_scan", lambda: asked.append(time.monotonic()))
    return asked


@pytest.fixture
def gate(asked: list[float]) -> Iterator[DatabaseGate]:
    """A gate that has asked for the scan which each process asks for at its start."""
    gate = DatabaseGate(None)
    gate.start()
    wait_until(lambda: asked, what="the scan of a starting process")
    yield gate
    gate.close()


def test_a_scan_is_asked_for_once_and_not_for_each_event(
    gate: DatabaseGate, asked: list[float]
) -> None:
    for _ in range(100):
        gate.note_missed()
    rounds = gate.rounds
    wait_until(lambda: gate.rounds > rounds + 3, what="the gate to have looked")
    assert len(asked) == 1, "the one of the start is enough for a while"
    gate.ask_again()
    wait_until(lambda: len(asked) == 2, what="the scan after a while")
    gate.ask_again()
    rounds = gate.rounds
    wait_until(lambda: gate.rounds > rounds + 3, what="the gate to have looked")
    assert len(asked) == 2, "all is well, and nothing is asked for"


def test_after_the_gate_was_closed_a_scan_is_due(gate: DatabaseGate, asked: list[float]) -> None:
    gate.ask_again()
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


def test_an_answer_after_odoo_s_second_has_a_scan_asked_for(settings: LazySettings) -> None:
    """Who waited so long for a thread has left. This event is here; of others nobody knows."""
    settings.WEBHOOK_ANSWER_SECONDS = 10
    intake.intake.cache_clear()
    gate = intake.intake().gate
    try:
        wait_until(lambda: not gate.missing, what="the scan of a starting process")
        SyncState.objects.update(scan_due_at=None)
        intake.accept([5], Mark(cause="webhook"))
        wait_until(lambda: not gate.missing, what="nothing to be missed by that")
        intake.accept([6], Mark(cause="webhook"), arrived=time.monotonic() - 30)
        gate.ask_again()
        wait_until(lambda: SyncState.objects.get().scan_due_at is not None, what="the scan")
    finally:
        intake.intake().close()
        intake.intake.cache_clear()


def test_wake_ups_do_not_pile_up() -> None:
    """One that is sent later finds everything that was marked before it."""
    publisher = Publisher(dramatiq.get_broker())  # not started: nothing is taken from it
    publisher.wake(range(1, 10_000))
    assert publisher.waiting() == MOST_WAITING
