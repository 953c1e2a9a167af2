"""Transactions that lock rows of several tables take them in one order, so that none fails."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connection, transaction

from bc_consumer import ledger
from bc_consumer.ledger import Mark
from bc_consumer.models import JournalEntry, Lane, PendingBC, SyncLog, SyncState
from bc_consumer.reconciliation.lock import Lock
from bc_consumer.reconciliation.run import save_row
from bc_consumer.refresh import archive_brake, run_counts
from bc_consumer.refresh.writer import Result, apply
from tests.conftest import ON_SQLITE
from tests.db.copied import bc
from tests.db.modelled import seen
from tests.db.test_two_workers import in_another_thread

pytestmark = [
    pytest.mark.skipif(ON_SQLITE, reason="SQLite has one writer at a time"),
    pytest.mark.usefixtures("single_rows"),
]


@pytest.fixture
def run() -> SyncLog:
    """A run under way, that marked order 1."""
    made = SyncLog.objects.create(started_at=datetime.now(UTC), cause=SyncLog.Cause.NIGHTLY)
    ledger.mark([1], Mark(cause="nightly", lane=Lane.BULK, run=made.pk))
    return made


def claim() -> tuple[uuid.UUID, PendingBC]:
    token = uuid.uuid4()
    (row,) = ledger.claim(1, token).rows
    return token, row


@pytest.mark.parametrize("what", ["an order that never came", "an order for the brake to decide"])
def test_a_run_that_ends_and_a_batch_of_it_do_not_deadlock(run: SyncLog, what: str) -> None:
    if "brake" in what:
        bc(1)
        bc(2)
    token, row = claim()
    doubtful = archive_brake.find_doubtful_archivings([1], lambda: True)
    results: list[Result] = []
    errors: list[DatabaseError] = []

    def work() -> None:
        try:
            results.extend(apply(token, [seen(row, None)], early=False, doubtful=doubtful))
        except DatabaseError as error:
            errors.append(error)
        finally:
            connection.close()

    lock = Lock()
    assert lock.take()
    batch = threading.Thread(target=work)
    try:
        with transaction.atomic():
            lock.move_watermark(datetime.now(UTC))
            with in_another_thread(batch):
                run.status = SyncLog.Status.OK
                assert save_row(run, {"odoo_calls": 1})
    finally:
        lock.give_back()
        batch.join(60)
    assert errors == []
    outcome = (JournalEntry.Outcome.ARCHIVED, False) if doubtful else (None, True)
    assert [(result.outcome, result.unknown) for result in results] == [outcome]
    assert SyncState.objects.get().last_sync is not None
    assert SyncLog.objects.get().status == SyncLog.Status.OK


def test_a_mark_of_a_run_and_an_order_of_it_that_fails_do_not_deadlock(run: SyncLog) -> None:
    """PostgreSQL looks up the run's key when the mark commits, after the ledger's row is locked."""
    token, row = claim()
    marked = threading.Event()
    errors: list[DatabaseError] = []

    def mark() -> None:
        try:
            with transaction.atomic():
                ledger.mark([1, 2], Mark(cause="nightly", lane=Lane.BULK, run=run.pk))
                marked.set()
                time.sleep(0.5)  # meanwhile the other one locks the run, and waits for order 1
        except DatabaseError as error:
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=mark)
    with transaction.atomic():
        run_counts.lock([run.pk])
        thread.start()
        assert marked.wait(10)
        ledger.fail(token, row, ValueError("no"))
    thread.join(20)
    assert errors == []
