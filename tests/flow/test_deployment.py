"""The harness itself: its processes are real, die for real, and are missed when they do."""

from __future__ import annotations

import pytest

from odoo_simulator import Simulator
from tests.conftest import Deploy
from tests.harness import Deployment
from tests.services.processes import is_alive, tree


@pytest.mark.deployment(workers=2, by_manage=True)
def test_an_order_arrives(deployment: Deployment, simulator: Simulator) -> None:
    order = simulator.create_order(lines=[{"name": "A shelf", "product_qty": 2}])
    found = "SELECT count(*) FROM bc_consumer_bc WHERE odoo_id = %s"
    deployment.wait_until(lambda: deployment.sql(found, order)[0][0] == 1, what="the order")
    deployment.wait_drained()
    answer = deployment.post({"_model": "purchase.order", "_id": order, "id": order})
    assert answer.status == 202
    assert answer.seconds < 5


def test_a_killed_worker_is_gone_with_its_children(deploy: Deploy) -> None:
    deployment = deploy()
    worker = deployment.start_worker()
    deployment.wait_until(lambda: len(tree(worker.pid)) > 1, what="the worker's own process")
    members = tree(worker.pid)
    worker.kill()
    assert not any(map(is_alive, members))


def test_a_process_that_dies_by_itself_fails_the_test(deploy: Deploy) -> None:
    deployment = deploy(settings={"SECRET_KEY": ""})
    deployment.start_scheduler()
    with pytest.raises(AssertionError, match=r"scheduler-1 ended with 2:(?s:.*)SECRET_KEY"):
        deployment.wait_until(lambda: False, 20)


def test_management_commands_run_with_the_deployments_settings(deploy: Deploy) -> None:
    deployment = deploy()
    shown = deployment.manage("diffsettings", "--output", "unified").stdout
    assert deployment.environment["ODOO_URL"] in shown


@pytest.mark.deployment(workers=2)
def test_processes_are_alive_until_they_end(deployment: Deployment) -> None:
    def alive() -> tuple[int, int]:
        status = deployment.get("/status.json").json()
        return status["workers"], status["schedulers"]

    deployment.wait_until(lambda: alive() == (2, 1), what="three heartbeats")
    deployment.stop_workers()
    assert alive() == (0, 1)
