"""What happened while nobody could be told of it: the scan that was asked for finds it."""

from __future__ import annotations

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import Deployment

LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35},
    {"name": "Gift", "product_qty": 1, "price_unit": 0.0},
]


def loaded(deployment: Deployment, simulator: Simulator) -> None:
    """Load what there is, an hour ago as the runs tell, then start everything."""
    deployment.manage("sync_BcLinbc")
    deployment.sql("UPDATE bc_consumer_synclog SET started_at = started_at - interval '1 hour'")
    deployment.start()
    simulator.install_rules(deployment.webhook_url)
    ended = (
        "SELECT 1 FROM bc_consumer_syncstate, bc_consumer_synclog"
        " WHERE cause = 'poll' AND status = 'ok'"
    )
    deployment.wait_until(lambda: deployment.sql(ended), 60, what="the scan of web's start")
    deployment.sql("UPDATE bc_consumer_syncstate SET scan_due_at = NULL")
    deployment.sql("UPDATE bc_consumer_synclog SET started_at = started_at - interval '1 hour'")
    assert differences(simulator, deployment.sql) == []


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_what_was_deleted_while_web_was_down_is_archived_when_it_is_back(
    deploy: Deploy, simulator: Simulator
) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(6)]
    deployment = deploy(settings={"ODOO_WEBHOOK_TIMING": "committed"})
    loaded(deployment, simulator)
    assert deployment.web is not None
    deployment.web.stop(20)
    simulator.delete_order(ids[1])
    order = simulator.order(ids[2])
    assert order is not None
    simulator.delete_line(order["order_line"][1]["id"])  # no date moves: only its absence tells
    simulator.write_order(ids[3], partner_ref="meanwhile")
    deployment.start_web()
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql), 60, what="the scan to find all of it"
    )
    archived = "SELECT odoo_id FROM bc_consumer_bc WHERE archived_at IS NOT NULL"
    assert deployment.sql(archived) == [(ids[1],)]


SIXTEEN_MINUTES_LATER = (
    "UPDATE bc_consumer_synclog SET started_at = started_at - interval '16 minutes'",
    "UPDATE bc_consumer_syncstate SET scan_due_at = scan_due_at - interval '16 minutes'",
)


@pytest.mark.simulator(version=17, webhook_timing="early")
def test_what_was_open_in_odoo_while_web_was_down_is_found_by_the_scan_that_ends_the_request(
    deploy: Deploy, simulator: Simulator
) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(4)]
    deployment = deploy(settings={"ODOO_WEBHOOK_TIMING": "early"})
    loaded(deployment, simulator)
    assert deployment.web is not None
    deployment.web.stop(20)
    transaction = simulator.begin()
    transaction.delete_order(ids[1])  # its webhook comes to a closed door, before the commit
    deployment.start_web()
    scans = "SELECT count(*) FROM bc_consumer_synclog WHERE asked_for AND ended_at IS NOT NULL"
    wanted = deployment.sql(scans)[0][0] + 1
    deployment.wait_until(
        lambda: deployment.sql(scans)[0][0] == wanted, 60, what="the first scan after the request"
    )
    transaction.commit()
    for statement in SIXTEEN_MINUTES_LATER:
        deployment.sql(statement)
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql), 60, what="the scan that ends it"
    )
    due = "SELECT 1 FROM bc_consumer_syncstate WHERE scan_due_at IS NOT NULL"
    deployment.wait_until(lambda: not deployment.sql(due), 30, what="the request to be over")
