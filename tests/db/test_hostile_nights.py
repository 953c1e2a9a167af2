"""What else a night may bring: a run told to stop anywhere, clocks that differ, odd dates."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connection
from django.db.models import F

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.models import BC, PendingBC, SyncLog, SyncState
from bc_consumer.operations import run_control
from bc_consumer.reconciliation.lock import Interrupted
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator
from tests.comparing import differences

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause
LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35, "product_id": 1},
    {"name": "Gift", "product_qty": 1, "price_unit": 0.0},
]
WIRE = "%Y-%m-%d %H:%M:%S.%f"


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def run(**wish: Any) -> SyncLog:
    return reconcile(RunRequest(**{"cause": Cause.NIGHTLY, **wish}))


def lines_of(simulator: Simulator, order_id: int) -> list[int]:
    order = simulator.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


def proven(settings: LazySettings) -> None:
    """As if every order had been read long after its date: its date alone tells then."""
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = 0.001
    BC.objects.update(synced_at=F("write_date") + timedelta(days=1))


# --- told to stop ---------------------------------------------------------------------------------


def a_bad_night(simulator: Simulator) -> list[int]:
    """A copy, and then changes that each phase has to find."""
    ids = list(simulator.bulk_create(12, 2, spread_days=60))
    assert run().status == Status.OK
    simulator.write_order(ids[:3], partner_ref="changed")
    simulator.delete_line(lines_of(simulator, ids[4])[0])
    simulator.delete_order(ids[6])
    simulator.rename("res.partner", 2, "Renamed & Sons")
    return ids


def interrupted_at(call: int, simulator: Simulator) -> bool:
    """Run, and be told to stop at this call to Odoo; False: it ended before."""
    calls = 0

    def count(_model: str, _method: str) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            process_state.stopping.set()
            process_state.wake.set()

    simulator.faults.between_calls(count)
    try:
        run(cause=Cause.COMMAND)
    except Interrupted:
        return True
    finally:
        simulator.faults.between_calls(None)
        process_state.stopping.clear()
    return False


@pytest.mark.slow("plays several whole runs")
def test_a_run_that_is_told_to_stop_at_any_call_leaves_a_clean_state(simulator: Simulator) -> None:
    a_bad_night(simulator)
    watermark = SyncState.objects.get().last_sync
    call = 1
    while interrupted_at(call, simulator):
        state = SyncState.objects.get()
        assert (call, state.is_syncing, state.last_sync) == (call, False, watermark)
        assert not PendingBC.objects.filter(claim_token__isnull=False).exists(), call
        left = SyncLog.objects.order_by("-id")[0]
        assert (left.status, left.error) == (Status.FAILED, SyncLog.INTERRUPTED), call
        call += 1
    assert call > 15
    assert run().status == Status.OK
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays whole runs")
def test_rule_8_a_run_whose_lock_was_released_by_hand_ends_and_moves_nothing(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_LEASE_SECONDS = 0.4
    a_bad_night(simulator)
    watermark = SyncState.objects.get().last_sync
    released, noticed = threading.Event(), threading.Event()

    def release(_model: str, _method: str) -> None:
        if not released.is_set():
            released.set()
            run_control.unlock(force=True)
            connection.close()
            noticed.wait(0.5)

    simulator.faults.between_calls(release)
    late = run()
    simulator.faults.between_calls(None)
    assert late.status == Status.FAILED
    assert "lock" in late.error
    assert late.phase != SyncLog.Phase.DONE  # it does not go on to the end to learn of it there
    assert SyncState.objects.get().last_sync == watermark
    assert run().status == Status.OK
    assert differences(simulator, sql) == []


# --- clocks and dates -----------------------------------------------------------------------------


@pytest.mark.slow("plays whole runs")
@pytest.mark.parametrize("offset", [-3600.0, 3600.0])
def test_rule_9_two_changes_in_one_second_while_clocks_differ_by_an_hour(
    offset: float, simulator: Simulator
) -> None:
    simulator.faults.clock(offset)
    order_id = simulator.create_order(lines=LINES, partner_ref="first")
    assert run().status == Status.OK
    simulator.update_sql("purchase.order", order_id, {"partner_ref": "second"})
    assert run(digest=False).status == Status.OK
    assert BC.objects.get().partner_ref == "second"
    simulator.update_sql("purchase.order", order_id, {"partner_ref": "third"})
    with pytest.raises(SystemExit, match="7"):
        call_command("sync_BcLinbc", "--dry-run", "--json", stdout=(out := io.StringIO()))
    assert "third" in out.getvalue()


@pytest.mark.parametrize("microsecond", [0, 1, 999_999])
def test_rule_9_a_date_at_the_very_edge_of_the_window(
    microsecond: int, simulator: Simulator, settings: LazySettings
) -> None:
    order_id = simulator.create_order(lines=LINES, partner_ref="first")
    assert run().status == Status.OK
    state = SyncState.objects.get()
    assert state.last_sync is not None
    edge = state.last_sync - timedelta(seconds=settings.SYNC_OVERLAP_SECONDS)
    date = edge.replace(microsecond=microsecond).astimezone(UTC).strftime(WIRE)
    proven(settings)
    simulator.update_sql(
        "purchase.order", order_id, {"partner_ref": "at the edge", "write_date": date}
    )
    done = run(digest=False)
    assert (done.status, done.found_by_window) == (Status.OK, 1)
    assert differences(simulator, sql) == []


@pytest.mark.parametrize("since", ["99999w", "0001-01-01", "2026-03-29T02:30", "2026-10-25T02:30"])
def test_a_window_that_begins_at_an_odd_moment(
    since: str, simulator: Simulator, settings: LazySettings
) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    simulator.bulk_create(3, 1, spread_days=10)
    call_command("sync_BcLinbc", "--since", since, "--json")
    assert differences(simulator, sql) == []
    call_command("sync_BcLinbc", "--since", since, "--json", "--dry-run")


@pytest.mark.slow("plays whole runs")
def test_a_date_in_the_future_is_copied_and_settles(simulator: Simulator) -> None:
    """A clock of Odoo's that was wrong for a while left it."""
    order_id = simulator.create_order(lines=LINES)
    later = (datetime.now(UTC) + timedelta(days=400)).strftime(WIRE)
    simulator.update_sql("purchase.order", order_id, {"write_date": later})
    simulator.update_sql(
        "purchase.order.line", lines_of(simulator, order_id), {"write_date": later}
    )
    for _ in range(2):
        assert run().status == Status.OK
        assert differences(simulator, sql) == []
    simulator.delete_line(lines_of(simulator, order_id)[0])
    assert run().status == Status.OK
    assert differences(simulator, sql) == []


# --- orders and lines -----------------------------------------------------------------------------


@pytest.mark.slow("plays whole runs")
def test_an_order_that_goes_between_its_mark_and_its_fetch(simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(3, 1, spread_days=10))
    assert run().status == Status.OK
    simulator.write_order(ids[0], partner_ref="soon gone")
    simulator.delete_order(ids[0])
    ledger.mark([ids[0]], ledger.Mark(cause="webhook"))
    assert run().status == Status.OK
    assert BC.objects.get(odoo_id=ids[0]).archived_at is not None
