"""What work costs in round trips: statements of the database, calls to Odoo, bytes from it.

Speed is measured by ``bench``; here is what cannot vary with the machine. A number that grows makes
everything slower: raise it only with a reason. One that falls is to be lowered here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bc_consumer import ledger
from bc_consumer.models import PendingBC, SyncLog
from bc_consumer.odoo import Odoo
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator
from tests.db.conftest import refresh

pytestmark = [
    pytest.mark.usefixtures("odoo"),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite has statements of its own"
    ),
]

LINES = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """Statements, transactions' ends included, and calls to Odoo."""

    statements: int
    calls: int


def cost_of_refreshing(simulator: Simulator, ids: Sequence[int]) -> Cost:
    """Mark these orders, and return what working them off costs."""
    ledger.mark(ids, ledger.Mark(cause="webhook"))
    calls = len(simulator.calls)
    with CaptureQueriesContext(connection) as captured:
        assert work_off() == len(ids)
    return Cost(len(captured.captured_queries), len(simulator.calls) - calls)


@pytest.fixture
def copied(simulator: Simulator) -> list[int]:
    """Return orders that the copy has as Odoo has them."""
    ids = list(simulator.bulk_create(100, LINES))
    refresh(*ids)
    return ids


@pytest.mark.parametrize("count", [1, 100])
def test_a_batch_costs_the_same_whatever_is_in_it(
    count: int, simulator: Simulator, copied: list[int]
) -> None:
    ids = copied[:count]
    assert cost_of_refreshing(simulator, ids) == Cost(statements=17, calls=1)
    for odoo_id in ids:
        simulator.write_order(odoo_id, partner_ref="other")
    assert cost_of_refreshing(simulator, ids) == Cost(statements=21, calls=1)
    new = list(simulator.bulk_create(count, LINES))
    assert cost_of_refreshing(simulator, new) == Cost(statements=20, calls=1)
    for odoo_id in ids[:10]:  # more would be held back
        simulator.delete_order(odoo_id)
    # Two more calls ask why they are missing, and whether Odoo has any order at all.
    assert cost_of_refreshing(simulator, ids[:10]) == Cost(statements=29, calls=3)


def test_webhooks_cost_one_statement_however_many_came(copied: list[int]) -> None:
    marks = [(odoo_id, ledger.Mark(cause="webhook")) for odoo_id in copied]
    with CaptureQueriesContext(connection) as captured:
        ledger.mark_all(marks)
    assert len(captured.captured_queries) == 1
    assert PendingBC.objects.count() == len(copied)


def test_a_first_load_lists_each_page_once_and_reads_each_batch_once(
    simulator: Simulator, settings: LazySettings
) -> None:
    simulator.bulk_create(100, LINES, spread_days=300)
    settings.SYNC_PAGE_SIZE = 10
    assert reconcile(RunRequest(SyncLog.Cause.COMMAND)).status == SyncLog.Status.OK
    calls = Counter(call.method for call in simulator.calls if call.model == "purchase.order")
    # Ten pages, one that shows that there are no more, orders without a date, and the sample by
    # which the database is known again.
    assert calls["search_read"] == 13
    assert calls["web_search_read"] <= 20  # the run's threads take what there is, page by page
    listed_lines = [call for call in simulator.calls if call.model == "purchase.order.line"]
    assert len(listed_lines) <= 5


@pytest.mark.parametrize("orders", [100, 400])
def test_a_quiet_run_costs_the_same_whatever_the_copy_holds(
    orders: int, simulator: Simulator, settings: LazySettings
) -> None:
    simulator.bulk_create(orders, LINES, spread_days=300)
    settings.SYNC_SCRUB_DAYS = 0
    for _load in range(2):
        reconcile(RunRequest(SyncLog.Cause.COMMAND))
    before = len(simulator.calls)
    assert reconcile(RunRequest(SyncLog.Cause.COMMAND)).status == SyncLog.Status.OK
    assert len(simulator.calls) - before == 22


def test_an_order_costs_no_more_bytes_than_its_values(odoo: Odoo, copied: list[int]) -> None:
    """By XML-RPC, of whose bytes three quarters are tags; one order has five lines here."""
    before = odoo.bytes
    odoo.fetch(copied)
    assert (odoo.bytes - before) / len(copied) < 15_000
