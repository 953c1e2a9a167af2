"""Two containers that show the same host name and process id: their claims are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import Deployment

ALIKE = """
import os, socket
os.getpid = lambda: 7
socket.gethostname = lambda: "worker"
"""
"""What Python imports first: what each of two containers with a fixed hostname sees of itself."""
LATENCY_SECONDS = 8.0
"""Of each call to Odoo: the first read takes several, and each process beats twice meanwhile."""
CLAIMED = "SELECT count(*) FROM bc_consumer_pendingbc WHERE claim_token IS NOT NULL"


def workers(deployment: Deployment) -> int:
    return int(deployment.get("/status.json").json()["workers"])


@pytest.fixture
def twins(deploy: Deploy, tmp_path: Path) -> Deployment:
    """A deployment of two workers that are alike."""
    (tmp_path / "alike").mkdir()
    (tmp_path / "alike" / "sitecustomize.py").write_text(ALIKE)
    deployment = deploy(settings={"ODOO_WEBHOOK_TIMING": "committed"})
    deployment.start(workers=0)
    deployment.environment["PYTHONPATH"] = str(tmp_path / "alike")
    for _ in range(2):
        deployment.start_worker()
    rows = "SELECT count(*) FROM bc_consumer_heartbeat WHERE host = 'worker' AND pid = 7"
    deployment.wait_until(lambda: deployment.sql(rows)[0][0] > 0, what="a heartbeat")
    return deployment


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_workers_of_one_name_and_process_id_leave_each_other_s_claims_alone(
    twins: Deployment, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(20, 1))
    simulator.faults.latency(LATENCY_SECONDS)
    twins.post({"_model": "purchase.order", "ids": ids})
    twins.wait_until(lambda: not differences(simulator, twins.sql), 120, what="the orders")
    assert "has died" not in twins.logs()
    assert "our lease ran out" not in twins.logs()
    assert workers(twins) == 2


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_a_dead_one_is_known_by_its_missed_beats(twins: Deployment, simulator: Simulator) -> None:
    """Not before: what lives under its name may be another container's."""
    ids = list(simulator.bulk_create(20, 1))
    twins.wait_until(lambda: workers(twins) == 2, what="both hearts")
    simulator.faults.latency(60.0)
    twins.post({"_model": "purchase.order", "ids": ids})
    twins.wait_until(lambda: twins.sql(CLAIMED) == [(20,)], what="the claim")
    for worker in twins.workers:  # whichever has them
        worker.kill()
    twins.workers.clear()
    simulator.faults.clear()  # not before: a worker that still lives would get its answer
    twins.start_worker()
    # A lease is 90 s; a death is noticed after 35 to 45.
    twins.wait_until(lambda: not differences(simulator, twins.sql), 75, what="the orders")
    assert "the 20 orders it had claimed are free again" in twins.logs()
