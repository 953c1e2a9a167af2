"""After a run was killed or interrupted: who goes on, with what, and how soon."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.ledger import Mark
from bc_consumer.models import BC, Lane, PendingBC, SyncLog, SyncState
from bc_consumer.reconciliation.lock import Interrupted
from bc_consumer.reconciliation.run import reconcile, reconcile_slice
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator
from tests.db.conftest import refresh

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause


def left_by_a_killed(cause: SyncLog.Cause, **values: Any) -> SyncLog:
    """Return the row of a run that was killed: its lock's lease is over."""
    return SyncLog.objects.create(
        started_at=datetime.now(UTC), cause=cause, phase="drain", **values
    )


def claim_for(run: SyncLog, ids: list[int]) -> None:
    """Mark these orders, and claim them as the run's crew does, never to come back."""
    ledger.mark(ids, Mark(cause="command", lane=Lane.BULK, run=run.pk))
    claim = ledger.claim(100, ledger.new_token(run.pk))
    assert [row.odoo_id for row in claim.rows] == ids


@pytest.mark.timeout(30)  # a lease is 90 s
def test_rule_8_what_a_killed_run_s_crew_had_claimed_is_free_for_the_next_run(
    simulator: Simulator,
) -> None:
    ids = list(simulator.bulk_create(10, 1, spread_days=10))
    killed = left_by_a_killed(Cause.COMMAND)
    claim_for(killed, ids)
    done = reconcile(RunRequest(Cause.COMMAND))
    assert (done.status, done.applied) == (Status.OK, 10)
    assert not PendingBC.objects.exists()


@pytest.mark.timeout(30)
def test_rule_8_and_what_an_ended_one_could_not_give_back(simulator: Simulator) -> None:
    """The database was away as its crew stopped, and back as it was closed as failed."""
    ids = list(simulator.bulk_create(10, 1, spread_days=10))
    failed = left_by_a_killed(Cause.COMMAND, status=Status.FAILED)
    claim_for(failed, ids)
    done = reconcile(RunRequest(Cause.COMMAND))
    assert (done.status, done.applied) == (Status.OK, 10)


@pytest.mark.timeout(30)
def test_rule_8_and_what_a_killed_slice_s_had_for_the_next_slice(simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(10, 1, spread_days=10))
    killed = left_by_a_killed(Cause.NIGHTLY, window_until=datetime.now(UTC))
    claim_for(killed, ids)
    assert reconcile_slice(killed.pk) is None
    killed.refresh_from_db()
    assert (killed.status, killed.applied) == (Status.OK, 10)


def test_rule_4_a_crew_that_was_only_late_writes_nothing(simulator: Simulator) -> None:
    (order_id,) = simulator.bulk_create(1, 1, spread_days=10)
    late = left_by_a_killed(Cause.COMMAND)
    ledger.mark([order_id], Mark(cause="command", lane=Lane.BULK, run=late.pk))
    simulator.faults.between_calls(lambda *_: ledger_frees(late.pk))
    freed = []

    def ledger_frees(run: int) -> None:
        simulator.faults.between_calls(None)
        freed.append(ledger.free_claims_of(run))

    work_off(0.01, run=late.pk)
    assert freed == [1]
    row = PendingBC.objects.get()
    assert (row.claim_token, row.attempts) == (None, 0)
    assert not BC.objects.exists()


def test_only_that_run_s_claims_are_given_back() -> None:
    one, other = left_by_a_killed(Cause.COMMAND), left_by_a_killed(Cause.COMMAND)
    claim_for(one, [1])
    claim_for(other, [2])
    ledger.mark([3], Mark(cause="webhook"))
    ledger.claim(100, ledger.new_token())
    assert ledger.free_claims_of(one.pk) == 1
    claimed = PendingBC.objects.filter(claim_token__isnull=False)
    assert set(claimed.values_list("odoo_id", flat=True)) == {2, 3}


def test_a_run_waits_for_what_earlier_ones_marked_and_counts_it(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_PAGE_SIZE = 20
    simulator.bulk_create(100, 1, spread_days=10)
    begun = SyncLog.objects.create(
        started_at=datetime.now(UTC), cause=Cause.COMMAND, phase="orders", cursor=60,
        window_until=datetime.now(UTC), status=Status.FAILED,
    )  # fmt: skip
    ledger.mark(range(1, 61), Mark(cause="command", lane=Lane.BULK, run=begun.pk))
    done = reconcile(RunRequest(Cause.COMMAND))
    assert f"continues run {begun.pk}" in done.notes
    assert (done.status, done.bc_count, done.applied) == (Status.OK, 100, 100)
    begun.refresh_from_db()
    assert begun.bc_count == 0


def test_what_was_given_up_or_held_is_not_waited_for() -> None:
    earlier = left_by_a_killed(Cause.COMMAND)
    ledger.mark([1, 2, 3], Mark(cause="command", lane=Lane.BULK, run=earlier.pk))
    PendingBC.objects.filter(odoo_id=1).update(failed_at=datetime.now(UTC))
    PendingBC.objects.filter(odoo_id=2).update(held_reason="brake")
    later = left_by_a_killed(Cause.COMMAND)
    assert ledger.adopt(later.pk) == 1
    assert list(PendingBC.objects.filter(run=later).values_list("odoo_id", flat=True)) == [3]


@pytest.mark.slow("plays whole runs")
def test_a_killed_first_load_ends_with_one_row_an_order(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_PAGE_SIZE = 20
    simulator.bulk_create(100, 1, spread_days=10)
    lists = []

    def stop_at_third_page(model: str, method: str) -> None:
        lists.append(method)
        if lists.count("search_read") == 3:
            process_state.stopping.set()

    simulator.faults.between_calls(stop_at_third_page)
    with pytest.raises(Interrupted):
        reconcile(RunRequest(Cause.COMMAND))
    simulator.faults.clear()
    process_state.stopping.clear()
    first = SyncLog.objects.get()
    second = reconcile(RunRequest(Cause.COMMAND))
    first.refresh_from_db()
    assert second.status == Status.OK
    assert first.bc_count + second.bc_count == BC.objects.count() == 100


@pytest.mark.slow("plays several whole runs")
def test_a_later_run_brings_what_was_given_up(simulator: Simulator, settings: LazySettings) -> None:
    settings.MAX_ATTEMPTS = 1
    order_id = simulator.create_order(partner_id=2, lines=[])
    reconcile(RunRequest(Cause.COMMAND))
    simulator.faults.poison(order_id)
    simulator.rename("res.partner", 2, "Renamed & Sons")
    assert reconcile(RunRequest(Cause.NIGHTLY)).status == Status.PARTIAL
    # The window leaves the renaming behind, and the watermark moves on all the same.
    settings.SYNC_OVERLAP_SECONDS = -60
    still = reconcile(RunRequest(Cause.NIGHTLY))
    assert (still.status, still.error_count, still.found_by_names) == (Status.PARTIAL, 1, 0)
    simulator.faults.clear()
    assert reconcile(RunRequest(Cause.NIGHTLY)).status == Status.OK
    assert BC.objects.get().partner_name == "Renamed & Sons"


@pytest.mark.slow("plays whole runs")
def test_what_was_given_up_is_read_together_by_the_next_run(
    simulator: Simulator, settings: LazySettings
) -> None:
    """Thousands of orders may have had one cause, and it is gone for all of them."""
    settings.MAX_ATTEMPTS = 1
    ids = list(simulator.bulk_create(40, 1, spread_days=10))
    reconcile(RunRequest(Cause.COMMAND))
    ledger.mark(ids, Mark(cause="operator", lane=Lane.BULK))
    PendingBC.objects.update(failed_at=Now(), batch_limit=1, attempts=1)
    simulator.calls_clear()
    done = reconcile(RunRequest(Cause.NIGHTLY))
    assert (done.status, done.bc_count) == (Status.OK, 40)
    reads = [call for call in simulator.calls if call.method == "web_search_read"]
    assert len(reads) <= 4
    assert not PendingBC.objects.exists()


@pytest.mark.slow("plays whole runs")
@pytest.mark.parametrize("who", ["a later mark", "a later run"])
def test_rule_9_an_order_that_cannot_be_applied_harms_only_itself(
    who: str, simulator: Simulator, settings: LazySettings
) -> None:
    settings.MAX_ATTEMPTS = 1
    ids = [simulator.create_order(lines=[], partner_ref=str(number)) for number in range(5)]
    simulator.write_order(ids[3], partner_ref="1")
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX only_here ON bc_consumer_bc (partner_ref)")
    try:
        done = reconcile(RunRequest(Cause.COMMAND))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX only_here")
    assert (done.status, done.applied, done.error_count) == (Status.PARTIAL, 4, 1)
    assert f"BC {ids[3]}" in done.error
    assert SyncState.objects.get().last_sync == done.window_until
    row = PendingBC.objects.get()
    assert (row.odoo_id, row.error_class, bool(row.failed_at)) == (ids[3], "IntegrityError", True)
    if who == "a later mark":
        refresh(ids[3])
    else:
        assert reconcile(RunRequest(Cause.NIGHTLY)).status == Status.OK
    assert BC.objects.count() == 5
    assert not PendingBC.objects.exists()


def test_a_poll_leaves_what_was_given_up_alone(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.MAX_ATTEMPTS = 1
    order_id = simulator.create_order(lines=[])
    simulator.faults.poison(order_id)
    reconcile(RunRequest(Cause.COMMAND))
    SyncState.objects.update(last_sync=datetime.now(UTC))
    settings.SYNC_OVERLAP_SECONDS = -60
    simulator.faults.clear()
    assert reconcile(RunRequest(Cause.POLL, digest=False)).bc_count == 0
    assert PendingBC.objects.filter(failed_at__isnull=False).count() == 1
