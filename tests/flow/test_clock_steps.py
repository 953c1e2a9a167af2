"""The database's clock is set back, or forward, while everything runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import Deployment
from tests.services.postgres import Postgres
from tests.services.waiting import wait_until

SETTINGS = {"ODOO_WEBHOOK_TIMING": "committed", "SYNC_POLL_SECONDS": "2", "SWEEP_SECONDS": "1"}
HOUR = 3600.0
SOON_SECONDS = 25.0
"""A beat of the hearts is ten, and a machine may be busy."""
POLLS = "SELECT count(*) FROM bc_consumer_synclog WHERE cause = 'poll' AND status = 'ok'"
APPLIED = "SELECT max(id) FROM bc_consumer_journalentry"


@pytest.fixture
def stepped(
    deploy: Deploy,
    simulator: Simulator,
    postgres_with_own_clock: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Deployment:
    """A deployment on a database whose clock can be set."""
    database = postgres_with_own_clock.create_database()
    Deployment.migrate(database.url, tmp_path_factory.mktemp("migrate"))
    deployment = deploy(settings=SETTINGS, database_url=database.url)
    deployment.start(workers=2)
    simulator.install_rules(deployment.webhook_url)
    simulator.bulk_create(200, 2)
    deployment.manage("sync_BcLinbc")
    return deployment


@contextmanager
def traffic(odoo: Simulator) -> Iterator[None]:
    """One change after the other, each with its webhook."""
    stop = threading.Event()

    def write() -> None:
        count = 0
        while not stop.wait(0.05):
            count += 1
            odoo.write_order(count % 200 + 1, partner_ref=f"change {count}")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def workers(deployment: Deployment) -> int:
    return int(deployment.get("/status.json").json()["workers"])


def is_quiet(deployment: Deployment) -> bool:
    status = deployment.get("/status.json").json()
    return bool(status["owed"] == status["watching"] == 0)


def assert_goes_on(deployment: Deployment, odoo: Simulator) -> None:
    """Polls and changes go on within seconds, and the status tells the truth."""
    (polls,), (applied,) = deployment.sql(POLLS)[0], deployment.sql(APPLIED)[0]
    deployment.wait_until(
        lambda: deployment.sql(APPLIED)[0][0] > applied + 10, SOON_SECONDS, what="changes"
    )
    deployment.wait_until(
        lambda: deployment.sql(POLLS)[0][0] > polls + 1, SOON_SECONDS, what="two polls"
    )
    deployment.wait_until(lambda: workers(deployment) == 2, SOON_SECONDS, what="both hearts")


def assert_equal_soon(deployment: Deployment, odoo: Simulator) -> None:
    deployment.wait_until(
        lambda: not differences(odoo, deployment.sql), SOON_SECONDS, what="the copy to equal Odoo"
    )
    # Polls go on, and mark what changed a moment ago once more.
    deployment.wait_until(lambda: is_quiet(deployment), SOON_SECONDS, what="an empty ledger")
    status = deployment.get("/status.json").json()
    assert status["failed"] == 0
    assert status["odoo"] == "ok"
    assert status["schedulers"] == 1
    assert 0 <= status["delay_p50_seconds"] <= status["delay_p95_seconds"]


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.parametrize("step", [-HOUR, HOUR], ids=["back", "forward"])
def test_orders_go_on_being_copied(
    stepped: Deployment, simulator: Simulator, postgres_with_own_clock: Postgres, step: float
) -> None:
    with traffic(simulator):
        stepped.wait_until(lambda: stepped.sql(APPLIED)[0][0] > 50, what="changes")
        postgres_with_own_clock.step_clock(step)
        assert_goes_on(stepped, simulator)
    assert_equal_soon(stepped, simulator)
    assert "has died" not in stepped.logs()
    assert "our lease ran out" not in stepped.logs() or step > 0


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_what_a_killed_worker_had_in_hand_is_taken_up_after_the_clock_was_set_back(
    stepped: Deployment, simulator: Simulator, postgres_with_own_clock: Postgres
) -> None:
    """Its lease, its slot for calls and its last beat lie an hour ahead then."""
    simulator.faults.latency(60.0)
    ids = list(range(1, 21))
    for odoo_id in ids:
        simulator.write_order(odoo_id, partner_ref="while one is killed")
    claimed = "SELECT count(*) FROM bc_consumer_pendingbc WHERE claim_token IS NOT NULL"
    stepped.wait_until(lambda: stepped.sql(claimed)[0][0] > 0, what="a claim")
    for worker in stepped.workers:
        worker.kill()
    stepped.workers.clear()
    postgres_with_own_clock.step_clock(-HOUR)
    simulator.faults.clear()
    stepped.start_worker()
    wait_until(lambda: not differences(simulator, stepped.sql), 75, what="the orders")
    stepped.wait_until(lambda: workers(stepped) == 1, 60, what="the dead to be known as dead")
