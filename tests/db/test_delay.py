"""Delays as the journal has them, by the whole way from a mark to the applied change."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db.models import F
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.ledger import Mark
from bc_consumer.models import BC, Event, JournalEntry, PendingBC, SyncLog
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator
from tests.db.conftest import refresh

pytestmark = pytest.mark.usefixtures("odoo")

MARK, CHANGE = JournalEntry.DelayFrom.MARK, JournalEntry.DelayFrom.CHANGE
LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35}]
WEBHOOK = Mark(cause="webhook")
EARLY = Mark(cause="webhook", early=True)


def latest(odoo_id: int) -> JournalEntry:
    return JournalEntry.objects.filter(odoo_id=odoo_id).latest("id")


def later(seconds: float) -> None:
    """Let the ledger's rows be so many seconds older."""
    gone = timedelta(seconds=seconds)
    PendingBC.objects.update(
        due_at=F("due_at") - gone,
        first_marked_at=F("first_marked_at") - gone,
        last_marked_at=F("last_marked_at") - gone,
        owed_since=F("owed_since") - gone,
    )


def date(simulator: Simulator, order_id: int, seconds_ago: float) -> None:
    """Let the order have been written so long ago, as its date says."""
    written = database_now() - timedelta(seconds=seconds_ago)
    values = {"write_date": f"{written:%Y-%m-%d %H:%M:%S}"}
    simulator.update_sql("purchase.order", [order_id], values)


@pytest.fixture
def early(settings: LazySettings) -> None:
    settings.ODOO_WEBHOOK_TIMING = "early"
    settings.EARLY_LOOKS = (0.0, 30.0, 60.0)


def test_a_webhook_s_change_counts_from_its_arrival(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    ledger.mark([order_id], WEBHOOK)
    later(7)
    work_off()
    entry = latest(order_id)
    assert entry.delay_from == MARK
    assert entry.delay is not None
    assert 7 <= entry.delay < 20


def test_a_change_that_no_webhook_announced_counts_from_itself(
    early: None, simulator: Simulator
) -> None:
    order_id = simulator.create_order(lines=LINES)
    date(simulator, order_id, 3)
    ledger.mark([order_id], EARLY)
    work_off()
    assert latest(order_id).delay_from == MARK
    later(60)
    simulator.write_order(order_id, partner_ref="by a field that no rule watches")
    work_off()
    entry = latest(order_id)
    assert (entry.outcome, entry.delay_from) == ("changed", CHANGE)
    assert entry.delay is not None
    assert entry.delay < 10, "counted from a webhook that announced an earlier change"


def test_what_shows_at_a_further_look_counts_from_its_webhook(
    early: None, simulator: Simulator
) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    with simulator.transaction() as open_transaction:
        open_transaction.write_order(order_id, partner_ref="late")
        ledger.mark([order_id], EARLY)
        work_off()
    date(simulator, order_id, 31)
    later(30)
    work_off()
    entry = latest(order_id)
    assert (entry.outcome, entry.delay_from) == ("changed", MARK)
    assert entry.delay is not None
    assert entry.delay >= 30


@pytest.mark.slow("plays whole runs")
def test_a_first_load_and_a_new_mapping_have_no_delay(simulator: Simulator) -> None:
    ids = simulator.bulk_create(10, 2)
    assert reconcile(RunRequest(SyncLog.Cause.COMMAND)).status == SyncLog.Status.OK
    BC.objects.update(mapping_version=1, partner_ref="as an older mapping had it")
    assert reconcile(RunRequest(SyncLog.Cause.NIGHTLY)).status == SyncLog.Status.OK
    told = JournalEntry.objects.values_list("outcome", "delay", "delay_from")
    assert set(told) == {("created", None, ""), ("changed", None, "")}
    assert told.count() == 2 * len(ids)


@pytest.mark.slow("plays whole runs")
def test_what_the_nightly_run_finds_has_no_delay(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    simulator.write_order(order_id, partner_ref="missed")
    reconcile(RunRequest(SyncLog.Cause.NIGHTLY))
    entry = latest(order_id)
    assert (entry.causes, entry.delay, entry.delay_from) == ("nightly", None, "")


def test_what_a_poll_finds_counts_from_the_change(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    date(simulator, order_id, 60)  # else both writes may share a second
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    reconcile(RunRequest(SyncLog.Cause.POLL, digest=False))
    simulator.write_order(order_id, partner_ref="polled")
    reconcile(RunRequest(SyncLog.Cause.POLL, digest=False))
    entry = latest(order_id)
    assert (entry.causes, entry.delay_from) == ("poll", CHANGE)
    assert entry.delay is not None
    assert 0 <= entry.delay < 20


@pytest.mark.slow("plays whole runs")
def test_what_a_poll_s_digest_finds_of_old_has_no_delay(simulator: Simulator) -> None:
    simulator.create_order(lines=LINES)
    old = simulator.create_order(lines=LINES)
    values = {"write_date": "2020-01-01 10:00:00"}
    simulator.update_sql("purchase.order", [old], values)
    simulator.update_sql("purchase.order.line", simulator.line_ids(), values)
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    reconcile(RunRequest(SyncLog.Cause.POLL, digest=False))
    BC.objects.filter(odoo_id=old).delete()
    reconcile(RunRequest(SyncLog.Cause.POLL))
    entry = latest(old)
    assert (entry.outcome, entry.causes, entry.delay) == ("created", "poll", None)


def test_a_new_name_has_no_delay(early: None, simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    ledger.mark([order_id], EARLY)
    work_off()
    partner = BC.objects.get().partner_id
    assert partner is not None
    simulator.rename("res.partner", partner, "Another name")
    later(60)
    work_off()
    entry = latest(order_id)
    assert (entry.outcome, entry.delay, entry.delay_from) == ("changed", None, "")


def test_a_deletion_counts_from_its_webhook(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    simulator.delete_order(order_id)
    refresh(order_id, mark=Mark(cause="webhook", event=Event.DELETED))
    assert (latest(order_id).outcome, latest(order_id).delay_from) == ("archived", MARK)


def test_the_replay_of_an_order_that_was_given_up_has_no_delay(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    simulator.faults.poison(order_id, code=1, text="ValueError: cannot compute")
    refresh(order_id)
    assert PendingBC.objects.get().failed_at is not None
    simulator.faults.clear()
    ledger.reopen([order_id], Mark(cause="replay"))
    PendingBC.objects.update(owed_since=Now() + timedelta(milliseconds=1))
    work_off()
    assert (latest(order_id).outcome, latest(order_id).delay) == ("created", None)


def test_a_clock_of_odoo_that_is_behind_makes_no_delay_longer(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    reconcile(RunRequest(SyncLog.Cause.POLL, digest=False))
    simulator.faults.clock(-300)
    simulator.write_order(order_id, partner_ref="written five minutes ago, as it says")
    reconcile(RunRequest(SyncLog.Cause.POLL, digest=False))
    entry = latest(order_id)
    assert entry.delay_from == CHANGE
    assert entry.delay is not None
    assert 0 <= entry.delay < 20
