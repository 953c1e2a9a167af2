"""Rule 5: webhooks that Odoo sends before its commit, on PostgreSQL and on the embedded default."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import Deployment

LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35},
    {"name": "A gift", "product_qty": 1, "price_unit": 0.0},
]
SOON_SECONDS = 7.0
HOLD_SECONDS = 3.0


@pytest.fixture(params=["postgresql", "sqlite"])
def make(request: pytest.FixtureRequest, deploy: Deploy, tmp_path: Path) -> object:
    """Return a function that starts a deployment of either kind with further settings."""

    def start(**settings: str) -> Deployment:
        if request.param == "postgresql":
            return deploy(settings=settings).start(workers=2)
        deployment = deploy(
            settings=settings, database_url=f"sqlite:///{tmp_path / 'bc.sqlite3'}", rabbitmq_url=""
        )
        deployment.start_embedded()
        return deployment

    return start


def started(make: object, odoo: Simulator, **settings: str) -> Deployment:
    assert callable(make)
    deployment: Deployment = make(**settings)
    odoo.install_rules(deployment.webhook_url)
    return deployment


def wait_equal(deployment: Deployment, odoo: Simulator, seconds: float) -> None:
    deployment.wait_until(
        lambda: not differences(odoo, deployment.sql), seconds, what="the copy to equal Odoo"
    )


def line_ids(odoo: Simulator, order_id: int) -> list[int]:
    order = odoo.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


@pytest.mark.simulator(version=17, webhook_timing="early")
def test_rule_5_the_final_state_is_there_soon_after_a_late_commit(
    make: object, simulator: Simulator
) -> None:
    deployment = started(make, simulator)
    written, priced, shortened, doomed = (simulator.create_order(lines=LINES) for _ in range(4))
    wait_equal(deployment, simulator, 15)

    transactions = [simulator.begin() for _ in range(5)]
    transactions[0].write_order(written, partner_ref="late")
    # The order's own event carries its previous write_date: its total is recomputed.
    transactions[1].write_line(line_ids(simulator, priced)[0], price_unit=99.5)
    transactions[2].delete_line(line_ids(simulator, shortened)[1])
    transactions[3].delete_order(doomed)
    created = transactions[4].create_order(lines=LINES, partner_ref="new")
    time.sleep(HOLD_SECONDS)  # how long these transactions stay open is what is tested
    assert created not in deployment_ids(deployment)
    for transaction in transactions:
        transaction.commit()

    wait_equal(deployment, simulator, SOON_SECONDS)
    assert created in deployment_ids(deployment)
    outcomes = dict(
        deployment.sql("SELECT odoo_id, max(outcome) FROM bc_consumer_journalentry GROUP BY 1")
    )
    assert "unconfirmed" not in outcomes.values()


def deployment_ids(deployment: Deployment) -> set[int]:
    return {odoo_id for (odoo_id,) in deployment.sql("SELECT odoo_id FROM bc_consumer_bc")}


@pytest.mark.simulator(version=17, webhook_timing="early")
def test_rule_5_what_was_rolled_back_ends_as_unconfirmed_and_leaves_nothing(
    make: object, simulator: Simulator
) -> None:
    deployment = started(
        make, simulator, EARLY_LOOKS="0.15 0.5 1 2 3", ODOO_LONGEST_TRANSACTION_SECONDS="3"
    )
    kept, doomed = (simulator.create_order(lines=LINES) for _ in range(2))
    wait_equal(deployment, simulator, 15)
    deployment.wait_until(lambda: deployment.pending() == 0, what="the looks to be over")

    transaction = simulator.begin()
    transaction.write_order(kept, partner_ref="never")
    transaction.delete_line(line_ids(simulator, kept)[0])
    transaction.delete_order(doomed)
    never_came = transaction.create_order(lines=LINES)
    transaction.rollback()

    deployment.wait_until(lambda: deployment.pending() == 0, what="the looks to be over")
    wait_equal(deployment, simulator, 1)
    assert never_came not in deployment_ids(deployment)
    unconfirmed = deployment.sql(
        "SELECT odoo_id FROM bc_consumer_journalentry WHERE outcome = 'unconfirmed'"
    )
    # More than once, where the looks for one event were over before the next one came.
    assert {odoo_id for (odoo_id,) in unconfirmed} == {kept, doomed}
    # What never was is told by the log alone: anybody with the secret can name any id.
    assert f"The first: BC [{never_came}]" in deployment.logs()
    failed = "SELECT count(*) FROM bc_consumer_journalentry WHERE outcome = 'failed'"
    assert deployment.sql(failed) == [(0,)]
    assert deployment.sql("SELECT count(*) FROM bc_consumer_bcline") == [(4,)]
    # An event that nothing confirmed asks for a scan: something may have been missed.
    (scan,) = deployment.sql("SELECT scan_due_at FROM bc_consumer_syncstate")
    assert scan[0] is not None


@pytest.mark.simulator(version=17, webhook_timing="early")
def test_rule_5_what_showed_before_does_not_hide_a_transaction_longer_than_the_looks(
    make: object, simulator: Simulator
) -> None:
    """A bulk change with a webhook for each record lasts for minutes on 17 and 18."""
    deployment = started(
        make, simulator, EARLY_LOOKS="0.15 0.5 1", ODOO_LONGEST_TRANSACTION_SECONDS="8"
    )
    order_id = simulator.create_order(lines=LINES)
    wait_equal(deployment, simulator, 15)
    owed_or_soon = "SELECT count(*) FROM bc_consumer_pendingbc WHERE lane = 0"
    with simulator.transaction() as long:
        # The line's name alone: the order's own row stays free for others.
        long.write_line(line_ids(simulator, order_id)[0], name="Told at once, committed late")
        simulator.write_order(order_id, partner_ref="shown at once")
        shown = "SELECT partner_ref FROM bc_consumer_bc"
        deployment.wait_until(lambda: deployment.sql(shown) == [("shown at once",)], what="it")
        deployment.wait_until(
            lambda: deployment.sql(owed_or_soon) == [(0,)], what="the looks to be over"
        )
    wait_equal(deployment, simulator, 15)
    deployment.wait_until(lambda: deployment.pending() == 0, what="the last look")
