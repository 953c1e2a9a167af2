"""A run that is told to stop: what it leaves, and who goes on."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from bc_consumer.core import process_state
from bc_consumer.models import Alert, SyncLog, SyncState
from bc_consumer.reconciliation import schedule
from bc_consumer.reconciliation.lock import Interrupted, Lock
from bc_consumer.reconciliation.run import reconcile, reconcile_slice
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause


@pytest.fixture
def stop_at_first_read(simulator: Simulator) -> None:
    """The process is told to stop while Odoo answers the run's first read."""
    simulator.bulk_create(30, 1, spread_days=10)
    simulator.faults.between_calls(lambda *_: process_state.stopping.set())


@pytest.mark.slow("plays several whole runs")
@pytest.mark.usefixtures("stop_at_first_read")
def test_a_slice_that_is_interrupted_leaves_its_run_to_the_scheduler(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_SLICE_SECONDS = 60
    with pytest.raises(Interrupted):
        reconcile_slice(None)
    run = SyncLog.objects.get()
    assert (run.status, run.ended_at) == (Status.RUNNING, None)
    assert not SyncState.objects.get().is_syncing
    assert not Alert.objects.exists()
    process_state.stopping.clear()
    simulator.faults.clear()
    assert schedule.due() == [schedule.RunRequest(Cause.NIGHTLY, unfinished=run.pk)]
    assert reconcile_slice(run.pk) is None
    run.refresh_from_db()
    assert (run.status, run.bc_count) == (Status.OK, 30)


@pytest.mark.usefixtures("stop_at_first_read")
def test_any_other_run_ends_and_alerts_nobody() -> None:
    with pytest.raises(Interrupted):
        reconcile(RunRequest(Cause.COMMAND))
    assert SyncLog.objects.get().status == Status.FAILED
    assert not SyncState.objects.get().is_syncing
    assert not Alert.objects.exists()


@pytest.mark.timeout(20)
def test_waiting_for_a_poll_to_give_way_ends_too() -> None:
    poll = Lock()
    assert poll.take()
    SyncLog.objects.create(started_at="2026-01-01T00:00Z", cause=Cause.POLL)
    process_state.stopping.set()
    try:
        with pytest.raises(Interrupted):
            reconcile(RunRequest(Cause.COMMAND))
    finally:
        poll.give_back()
