"""The service only reads Odoo: every call of a day's work is one that changes nothing there."""

from __future__ import annotations

import pytest

from bc_consumer.models import SyncLog
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator
from tests.db.conftest import refresh
from tests.db.test_sync_command import sync

pytestmark = pytest.mark.usefixtures("odoo")

READING = {
    "authenticate", "fields_get", "formatted_read_group", "read", "read_group", "search",
    "search_count", "search_read", "version", "web_read", "web_search_read",
}  # fmt: skip
LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35, "product_id": 1}]


@pytest.mark.slow("plays several whole runs")
def test_no_call_of_loads_events_runs_and_commands_writes(simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(5)]
    assert sync().code == 0
    simulator.write_order(ids[0], partner_ref="new")
    simulator.delete_order(ids[1])
    refresh(*ids)
    simulator.faults.poison(ids[2])
    refresh(ids[2])
    simulator.faults.clear()
    reconcile(RunRequest(SyncLog.Cause.NIGHTLY))
    assert sync("--full").code == 0
    assert sync("--dry-run", "--full").code == 0
    assert sync("--bc", str(ids[3])).code == 0
    methods = {call.method for call in simulator.calls}
    assert methods <= READING, methods - READING
    assert "web_search_read" in methods
