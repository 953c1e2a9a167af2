"""Processes whose settings lead to another Odoo than the one that was copied: nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import Deployment

COMMITTED = {"ODOO_WEBHOOK_TIMING": "committed"}
REFUSED = 6
COPY = "SELECT odoo_id, create_date, write_date, partner_ref, archived_at FROM bc_consumer_bc"


@pytest.fixture
def other() -> Iterator[Simulator]:
    """Another database, with other orders under the same ids."""
    with Simulator(version=17, webhook_timing="committed") as started:
        started.bulk_create(40, 2, spread_days=300)
        yield started


def copied(deployment: Deployment) -> list[tuple[Any, ...]]:
    return sorted(deployment.sql(COPY))


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_neither_webhooks_nor_scans_nor_commands_bring_another_database_s_orders(
    deploy: Deploy, simulator: Simulator, other: Simulator
) -> None:
    ids = list(simulator.bulk_create(30, 2, spread_days=100))
    deployment = deploy(settings=COMMITTED | {"ALERT_COOL_DOWN_MINUTES": "0"})
    deployment.manage("sync_BcLinbc")
    before = copied(deployment)

    for order_id in ids[:10]:
        other.write_order(order_id, partner_ref="another's")
    deployment.environment["ODOO_URL"] = other.url
    deployment.start(workers=2)
    for order_id in [*ids[:10], 35]:
        assert deployment.post({"_model": "purchase.order", "_id": order_id}).status == 202
    alerted = (
        "SELECT text FROM bc_consumer_alert WHERE key = 'odoo refuses' AND resolved_at IS NULL"
    )
    ((told,),) = deployment.wait_until(lambda: deployment.sql(alerted), 30, what="the alert")
    assert "created at another time" in told
    assert "sync_BcLinbc --force" in told
    polls = "SELECT status FROM bc_consumer_synclog WHERE cause = 'poll' AND status <> 'running'"
    statuses = deployment.wait_until(lambda: deployment.sql(polls), 30, what="the scan")
    assert set(statuses) == {("refused",)}
    done = deployment.manage("sync_BcLinbc", "--bc", f"{ids[0]}", check=False)
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert "created at another time" in done.stderr
    assert deployment.manage("sync_BcLinbc", check=False).returncode == REFUSED
    assert copied(deployment) == before
    failed = (
        "SELECT count(*) FROM bc_consumer_pendingbc WHERE attempts > 0 OR failed_at IS NOT NULL"
    )
    assert deployment.sql(failed) == [(0,)], "it is no order's failure"

    # The settings are corrected: what has waited is read from the right one.
    deployment.close()
    simulator.write_order(ids[5], partner_ref="ours")
    deployment.environment["ODOO_URL"] = simulator.url
    # The minute after a refusal is over; tests/db/test_circuit_breaker.py is about how long it is.
    deployment.sql("UPDATE bc_consumer_pace SET next_claim_at = now()")
    deployment.start(workers=1)
    deployment.wait_drained()
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql), 30, what="the copy to be right"
    )
    deployment.wait_until(lambda: not deployment.sql(alerted), 30, what="the alert to be over")


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_with_force_the_other_database_is_the_one_to_be_copied(
    deploy: Deploy, simulator: Simulator, other: Simulator
) -> None:
    simulator.bulk_create(30, 2, spread_days=100)
    deployment = deploy(settings=COMMITTED | {"ALERT_COOL_DOWN_MINUTES": "0"})
    deployment.manage("sync_BcLinbc")
    deployment.environment["ODOO_URL"] = other.url
    deployment.manage("sync_BcLinbc", "--force")
    assert differences(other, deployment.sql) == []
    deployment.start(workers=1)
    other.write_order(1, partner_ref="it is ours now")
    assert deployment.post({"_model": "purchase.order", "_id": 1}).status == 202
    deployment.wait_until(
        lambda: not differences(other, deployment.sql, [1]), 30, what="its webhook's change"
    )
