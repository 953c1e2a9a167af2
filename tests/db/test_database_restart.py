"""PostgreSQL restarts while a worker has orders in hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.translatable import verbatim
from bc_consumer.ledger import Mark
from bc_consumer.models import CallSlot, PendingBC, SyncLog, SyncState
from bc_consumer.odoo import OdooBusy
from bc_consumer.reconciliation import suspect_orders
from bc_consumer.reconciliation.lock import Interrupted
from bc_consumer.reconciliation.run import reconcile_slice
from bc_consumer.reconciliation.schedule import RunRequest, due
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import ON_SQLITE
from tests.services.gate import Gate

pytestmark = [
    pytest.mark.skipif(ON_SQLITE, reason="SQLite has no server that could end a connection"),
    pytest.mark.usefixtures("odoo"),
]


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


@pytest.fixture
def gate(gate_to_postgres: Gate) -> Iterator[Gate]:
    """A way to the test's database that can be shut."""
    where = connection.settings_dict
    kept = {name: where[name] for name in ("HOST", "PORT")}
    connection.close()
    where.update(HOST="127.0.0.1", PORT=str(gate_to_postgres.port))
    yield gate_to_postgres
    connection.close()
    where.update(kept)


def test_what_was_in_hand_is_given_back_as_soon_as_the_database_answers(
    simulator: Simulator, gate: Gate
) -> None:
    """Not only when the lease ends: that takes a minute and a half."""
    order_id = simulator.create_order(lines=[{"name": "Desk", "price_unit": 12.35}])

    def restart(_model: str, _method: str) -> None:
        simulator.faults.between_calls(None)
        gate.refuse()

    simulator.faults.between_calls(restart)
    ledger.mark([order_id], Mark(cause="webhook"))
    with pytest.raises((DatabaseError, InterfaceError)):
        work_off()
    with pytest.raises((DatabaseError, InterfaceError)):
        work_off()

    gate.open()
    connection.close()
    assert PendingBC.objects.get().claim_token is not None
    work_off()
    assert not PendingBC.objects.exists()
    assert differences(simulator, sql) == []


def test_a_call_that_was_under_way_leaves_its_slot_to_others_as_soon_as_the_database_answers(
    simulator: Simulator, gate: Gate, settings: LazySettings
) -> None:
    """Not only when the slot's lease ends: a restart would silence a deployment for a minute."""
    settings.ODOO_CONCURRENT_CALLS = 1
    order_id = simulator.create_order(lines=[{"name": "Desk", "price_unit": 12.35}])
    in_the_call: list[int] = []

    def restart(_model: str, _method: str) -> None:
        simulator.faults.between_calls(None)
        in_the_call.append(1)
        gate.refuse()

    simulator.faults.between_calls(restart)
    ledger.mark([order_id], Mark(cause="webhook"))
    with pytest.raises((DatabaseError, InterfaceError)):
        work_off()
    gate.open()
    connection.close()
    taken = CallSlot.objects.filter(taken_until__gt=Now())
    assert in_the_call
    assert taken.get().owner == process_state.process_number()
    work_off()
    assert not taken.exists()
    assert differences(simulator, sql) == []


def test_what_was_claimed_when_the_answer_got_lost_is_given_back(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = simulator.create_order(lines=[{"name": "Desk", "price_unit": 12.35}])
    ledger.mark([order_id], Mark(cause="webhook"))
    claim = ledger.claim

    def torn(*arguments: Any, **options: Any) -> ledger.Claim:
        assert claim(*arguments, **options).rows
        monkeypatch.setattr(ledger, "claim", claim)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(ledger, "claim", torn)
    with pytest.raises(OperationalError):
        work_off()
    assert PendingBC.objects.get().claim_token is not None
    ledger.mark([order_id + 1], Mark(cause="webhook"))  # a reason to look
    work_off()
    assert not PendingBC.objects.exists()


def assert_gone_on_with_at_once(simulator: Simulator) -> None:
    """The night's run is open and due, and its next slice ends it well."""
    run = SyncLog.objects.get()
    assert (run.status, run.error) == (SyncLog.Status.RUNNING, "")
    assert due() == [RunRequest(SyncLog.Cause.NIGHTLY, unfinished=run.pk)]
    assert reconcile_slice(run.pk) is None
    run.refresh_from_db()
    assert run.status == SyncLog.Status.OK, run.error
    assert differences(simulator, sql) == []


def test_a_restart_in_a_slice_of_the_nightly_run_leaves_it_open(
    simulator: Simulator, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on at once; a failed run is tried again a quarter of an hour later only."""
    simulator.bulk_create(20, 1, spread_days=10)
    find_renamed_page = suspect_orders.find_renamed_page
    restarted: list[bool] = []

    def restart(*arguments: Any) -> Any:
        page = find_renamed_page(*arguments)
        if not restarted:
            restarted.append(True)
            gate.refuse()
            gate.open()
        return page

    monkeypatch.setattr(suspect_orders, "find_renamed_page", restart)
    SyncState.objects.update(last_sync=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(Interrupted):
        reconcile_slice(None)
    assert_gone_on_with_at_once(simulator)


def test_a_slice_whose_calls_find_no_room_leaves_its_run_open(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.bulk_create(20, 1, spread_days=10)
    compare_orders_page = suspect_orders.compare_orders_page

    def busy(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(suspect_orders, "compare_orders_page", compare_orders_page)
        raise OdooBusy(verbatim("the call had to wait too long"))

    monkeypatch.setattr(suspect_orders, "compare_orders_page", busy)
    with pytest.raises(Interrupted):
        reconcile_slice(None)
    assert_gone_on_with_at_once(simulator)
