"""Which alerts a run ends, and which it leaves: only what it has shown to be over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import InterfaceError

from bc_consumer import ledger
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import verbatim
from bc_consumer.ledger import Mark, circuit_breaker
from bc_consumer.models import BC, Alert, Event, SyncLog
from bc_consumer.operations import retention
from bc_consumer.reconciliation import run_record
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import batch
from odoo_simulator import Simulator
from tests.db.conftest import refresh
from tests.db.test_refresh import LINES

pytestmark = pytest.mark.usefixtures("odoo")
Cause, Status = SyncLog.Cause, SyncLog.Status


def open_alert(key: str) -> None:
    Alert.objects.create(key=key, first_at=database_now(), last_at=database_now())


def is_open(key: str) -> bool:
    return Alert.objects.filter(key=key, resolved_at=None).exists()


def test_an_order_that_was_forbidden_and_then_deleted_needs_nobody(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    BC.objects.update(forbidden_at=database_now(), archived_at=database_now())
    simulator.delete_order(order_id)
    open_alert("forbidden")
    reconcile(RunRequest(Cause.COMMAND))
    assert not is_open("forbidden")


def test_a_run_that_writes_orders_shows_that_the_database_fits(simulator: Simulator) -> None:
    open_alert(batch.UNFIT_DATABASE)
    reconcile(RunRequest(Cause.COMMAND))
    assert is_open(batch.UNFIT_DATABASE)
    simulator.create_order(lines=LINES)
    reconcile(RunRequest(Cause.COMMAND))
    assert not is_open(batch.UNFIT_DATABASE)


def test_a_poll_that_reads_nothing_does_not_say_that_odoo_accepts_our_access(
    simulator: Simulator,
) -> None:
    reconcile(RunRequest(Cause.COMMAND))
    circuit_breaker.record_failure(verbatim("no order can be read"), probing=False, refused=True)
    for key in (batch.REFUSED, batch.AWAY):
        open_alert(key)
    assert reconcile(RunRequest(Cause.POLL, digest=False)).status == Status.OK
    assert is_open(batch.REFUSED)
    assert is_open(batch.AWAY)
    circuit_breaker.record_success()  # and the worker that did it died before it told anybody
    reconcile(RunRequest(Cause.POLL, digest=False))
    assert not is_open(batch.REFUSED)
    assert not is_open(batch.AWAY)


def test_a_first_poll_that_fails_long_after_the_last_good_run_needs_nobody_yet(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]
    reconcile(RunRequest(Cause.COMMAND))
    SyncLog.objects.update(ended_at=database_now() - timedelta(hours=1))
    simulator.faults.fault_all(1, "psycopg2.OperationalError: no")
    for _ in range(2):
        assert reconcile(RunRequest(Cause.POLL, digest=False)).status == Status.FAILED
    assert mail.outbox == []
    polls = SyncLog.objects.filter(cause=Cause.POLL)
    polls.update(ended_at=database_now() - run_record.POLL_MAY_FAIL_FOR)
    reconcile(RunRequest(Cause.POLL, digest=False))
    assert [message.subject for message in mail.outbox] == ["[BC] a poll failed"]
    simulator.faults.clear()
    reconcile(RunRequest(Cause.COMMAND))  # polls may be rare: any run that looks at everything does
    assert not is_open(run_record.POLL_FAILED)


@pytest.mark.slow("plays whole runs")
def test_a_night_that_failed_does_not_say_that_webhooks_come(simulator: Simulator) -> None:
    simulator.create_order(lines=LINES)
    reconcile(RunRequest(Cause.COMMAND))
    open_alert("missed by webhooks")
    simulator.faults.fault_all(1, "psycopg2.OperationalError: no")
    assert reconcile(RunRequest(Cause.NIGHTLY)).status == Status.FAILED
    assert is_open("missed by webhooks")
    simulator.faults.clear()
    assert reconcile(RunRequest(Cause.NIGHTLY)).status == Status.OK
    assert not is_open("missed by webhooks")


def test_a_purge_that_loses_its_connection_ends_no_run_a_second_time(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lose(*_: object) -> None:
        raise InterfaceError("connection already closed")

    monkeypatch.setattr(retention, "purge", lose)
    told: list[SyncLog] = []
    monkeypatch.setattr("bc_consumer.reconciliation.run.report_to_monitor", told.append)
    simulator.create_order(lines=LINES)
    done = reconcile(RunRequest(Cause.COMMAND))
    assert done.status == Status.OK
    assert len(told) == 1
    assert "could not be purged" in caplog.text


def test_an_announced_deletion_ends_the_alert_about_hidden_orders(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    BC.objects.update(forbidden_at=database_now())
    open_alert("forbidden")
    simulator.delete_order(order_id)
    ledger.mark([order_id], Mark(cause="webhook", event=Event.DELETED))
    batch.work_off()
    assert BC.objects.get().archived_at is not None
    reconcile(RunRequest(Cause.COMMAND))
    assert not is_open("forbidden")
