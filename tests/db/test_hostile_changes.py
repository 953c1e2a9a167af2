"""What people and modules do in Odoo that no webhook tells, and dates hardly do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from bc_consumer.models import BC, SyncLog, SyncState
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator
from tests.comparing import differences

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause
LINES = [{"name": f"Gift {number}", "product_qty": 1, "price_unit": 0.0} for number in range(3)]


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def night(**wish: Any) -> SyncLog:
    done = reconcile(RunRequest(**{"cause": Cause.NIGHTLY, **wish}))
    assert done.status == Status.OK, done.error
    return done


def line_ids(simulator: Simulator, order_id: int) -> list[int]:
    order = simulator.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


def dated(simulator: Simulator, order_id: int, moment: datetime) -> None:
    text = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
    lines = line_ids(simulator, order_id)
    simulator.update_sql("purchase.order.line", lines, {"write_date": text})
    simulator.update_sql("purchase.order", order_id, {"write_date": text})


@pytest.fixture
def old(simulator: Simulator) -> list[int]:
    """Orders of long ago, copied and proven."""
    ids = [simulator.create_order(lines=LINES) for _ in range(4)]
    for order_id in ids:
        dated(simulator, order_id, datetime.now(UTC) - timedelta(days=60))
    night()
    night()
    return ids


@pytest.mark.slow("plays whole runs")
def test_all_lines_of_an_old_order_vanish(old: list[int], simulator: Simulator) -> None:
    before = simulator.order(old[0])
    assert before is not None
    for line_id in line_ids(simulator, old[0]):
        simulator.delete_line(line_id)
    simulator.update_sql("purchase.order", old[0], {"write_date": before["write_date"]})
    night()
    assert BC.objects.get(odoo_id=old[0]).lines.count() == 0
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays several whole runs")
def test_an_order_goes_and_another_comes_while_a_run_is_at_work(
    old: list[int], simulator: Simulator
) -> None:
    """Whatever the moment: each read of the run is followed by one deletion and one creation."""
    made: list[int] = []

    def replace(model: str, method: str) -> None:
        if len(made) < 3:
            made.append(simulator.create_order(lines=LINES))
            simulator.delete_order([old[len(made)]])

    simulator.faults.between_calls(replace)
    reconcile(RunRequest(Cause.NIGHTLY))
    simulator.faults.between_calls(None)
    night()
    assert len(made) == 3
    assert differences(simulator, sql) == []
    assert BC.objects.current().count() == 4


@pytest.mark.slow("plays several whole runs")
@pytest.mark.parametrize("seconds", [0, 1])
def test_rule_9_the_window_s_first_second_belongs_to_it(
    seconds: int, simulator: Simulator, old: list[int]
) -> None:
    """Written in the very second at which the window begins, or one before it."""
    last_sync = SyncState.objects.get().last_sync
    assert last_sync is not None
    edge = last_sync.replace(microsecond=0)
    order = old[1]
    simulator.write_order(order, partner_ref="edge")
    dated(simulator, order, edge - timedelta(seconds=seconds))
    done = reconcile(RunRequest(Cause.COMMAND, since=edge, digest=False))
    assert done.status == Status.OK
    found = BC.objects.get(odoo_id=order).partner_ref
    assert found == ("edge" if seconds == 0 else "")
    night()
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays several whole runs")
def test_a_since_in_the_future_skips_nothing(simulator: Simulator, old: list[int]) -> None:
    before = SyncState.objects.get().last_sync
    simulator.write_order(old[1], partner_ref="now")
    later = datetime.now(UTC) + timedelta(days=1)
    done = reconcile(RunRequest(Cause.COMMAND, since=later))
    assert done.status == Status.OK
    assert SyncState.objects.get().last_sync == before
    night()
    assert differences(simulator, sql) == []
