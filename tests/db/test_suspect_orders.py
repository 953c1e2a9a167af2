"""The window and the names: what dates and ids alone tell."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from bc_consumer.models import BC, BCLine, SyncLog, SyncState
from bc_consumer.odoo import Odoo
from bc_consumer.reconciliation.dry_run import DryRun
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import odoo_connection
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.conftest import proven

pytestmark = pytest.mark.usefixtures("odoo")

ORDER = "purchase.order"
LINE = {"name": "Desk", "product_qty": 2, "price_unit": 12.35, "product_id": 1}


def run(**wish: Any) -> SyncLog:
    done = reconcile(RunRequest(**{"cause": SyncLog.Cause.NIGHTLY, **wish}))
    assert done.status == SyncLog.Status.OK, done.error
    return done


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


@pytest.mark.parametrize("offset", [-7200.0, 7200.0])
def test_rule_9_the_watermark_is_on_odoo_s_clock(offset: float, simulator: Simulator) -> None:
    simulator.faults.clock(offset)
    simulator.create_order(lines=[LINE])
    before = simulator.clock()
    done = run()
    last_sync = SyncState.objects.get().last_sync
    assert last_sync is not None
    assert before - timedelta(seconds=3) <= last_sync <= simulator.clock()
    assert last_sync == done.window_until


@pytest.mark.slow("plays whole runs")
@pytest.mark.parametrize("offset", [-3600.0, 0.0, 3600.0])
def test_rule_9_what_a_second_may_hide_is_read_again_whatever_odoo_s_clock_says(
    offset: float, simulator: Simulator, odoo: Odoo
) -> None:
    simulator.faults.clock(offset)
    order_id = simulator.create_order(lines=[LINE], partner_ref="first")
    run()
    # A second write within the same second, of which the webhook was lost.
    simulator.update_sql(ORDER, order_id, {"partner_ref": "second"})
    assert [drift.field for drift in DryRun(odoo).drifts()] == ["partner_ref"]
    run(digest=False)
    assert BC.objects.get().partner_ref == "second"


@pytest.mark.slow("plays whole runs")
def test_a_line_that_sql_moved_is_found_by_the_window(
    simulator: Simulator, settings: LazySettings
) -> None:
    """Its date tells nothing, the order that it is in does."""
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = 0.001
    one, other = (simulator.create_order(lines=[LINE]) for _ in range(2))
    run()
    proven(simulator)
    orders = [simulator.order(one) or {}, simulator.order(other) or {}]
    line = orders[0]["order_line"][0]
    simulator.move_line(line["id"], other)
    for row, model in (*((order, ORDER) for order in orders), (line, f"{ORDER}.line")):
        simulator.update_sql(model, [row["id"]], {"write_date": row["write_date"]})
    assert run(digest=False).found_by_window == 1
    assert BC.objects.get(odoo_id=other).lines.count() == 2
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays whole runs")
@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("res.partner", "partner_id"),
        ("res.users", "user_id"),
        ("res.company", "company_id"),
        ("res.currency", "currency_id"),
        ("product.product", "product_id"),
        ("uom.uom", "product_uom"),
        ("account.tax", "taxes_id"),
    ],
)
def test_rule_13_whatever_is_renamed(model: str, field: str, simulator: Simulator) -> None:
    simulator.bulk_create(3, 2, spread_days=100)
    run()
    values = [
        row[field]
        for order_id in simulator.order_ids()
        for order in [simulator.order(order_id) or {}]
        for row in [order, *order["order_line"]]
        if row.get(field)
    ]
    record_id = values[0][0] if isinstance(values[0], list) else values[0]
    simulator.rename(model, record_id, "Renamed & Sons")
    assert run().found_by_names >= 1
    assert "Renamed & Sons" in str([*BC.objects.values(), *BCLine.objects.values()])
    assert run().found_by_names == 0


@pytest.mark.slow("plays whole runs")
def test_names_that_the_account_may_not_read_are_not_followed_and_the_run_says_so(
    simulator: Simulator,
) -> None:
    simulator.create_order(lines=[LINE])
    assert "res.users" not in run().notes
    simulator.faults.deny_model("res.users")
    done = run()
    assert "res.users" in done.notes
    assert "res.partner" not in done.notes


@pytest.mark.slow("plays several whole runs")
def test_an_archived_order_is_not_found_by_names_nor_read_again(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ODOO_EXTRA_FIELDS, settings.ODOO_EXTRA_LINE_FIELDS = ["x_agent"], ["x_tags"]
    simulator.add_field(ORDER, "x_agent", "many2one", relation="res.partner")
    simulator.add_field(f"{ORDER}.line", "x_tags", "many2many", relation="res.partner")
    odoo_connection.odoo.cache_clear()
    line = {**LINE, "x_tags": [2], "taxes_id": [1]}
    gone, kept, hidden = (
        simulator.create_order(partner_id=2, x_agent=2, lines=[line]) for _ in range(3)
    )
    run()
    simulator.delete_order(gone)
    order = simulator.order(hidden)
    assert order is not None
    simulator.faults.forbid([hidden])
    simulator.faults.forbid([row["id"] for row in order["order_line"]], f"{ORDER}.line")
    run()
    assert BC.objects.get(odoo_id=gone).archived_at is not None
    assert BC.objects.get(odoo_id=hidden).forbidden_at is not None
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = 0.001
    proven(simulator)
    simulator.rename("res.partner", 2, "Renamed & Sons")
    simulator.rename("account.tax", 1, "Another rate")
    done = run()
    assert (done.found_by_names, done.bc_count) == (1, 1)
    copied = BC.objects.get(odoo_id=kept)
    assert copied.partner_name == copied.extra["x_agent"]["name"] == "Renamed & Sons"
    assert run().bc_count == 0
