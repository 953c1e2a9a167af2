"""Operators' actions with real processes: done by a worker, stopped in the middle, killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import Deployment

COMMITTED = {"ODOO_WEBHOOK_TIMING": "committed"}
SLOWLY = COMMITTED | {"SYNC_PAGE_SIZE": "20", "BATCH_SIZE": "10"}
ASK = """
from django.contrib.auth.models import User
from bc_consumer.operations.action_requests import ask
chief, _new = User.objects.get_or_create(username="chief", is_superuser=True)
for kind, parameters in {asked!r}:
    print("asked", ask(kind, chief, **parameters).pk)
"""
ENDED = ("done", "failed", "refused", "expired")


def ask(deployment: Deployment, *asked: tuple[str, dict[str, Any]]) -> list[int]:
    """Ask for these actions as a page does, in a process that does none."""
    said = deployment.manage("shell", "-c", ASK.format(asked=asked)).stdout
    return [int(line.split()[1]) for line in said.splitlines() if line.startswith("asked ")]


def action(deployment: Deployment, key: int) -> dict[str, Any]:
    """Return an action's row."""
    columns = ("status", "outcome", "result", "attempts")
    ((status, outcome, result, attempts),) = deployment.sql(
        f"SELECT {', '.join(columns)} FROM bc_consumer_operatoraction WHERE id = %s", key
    )
    facts = json.loads(result) if isinstance(result, str) else result
    return dict(zip(columns, (status, outcome, facts, attempts), strict=True))


def end_of(deployment: Deployment, key: int, seconds: float = 60.0) -> dict[str, Any]:
    """Wait until an action has ended."""
    deployment.wait_until(
        lambda: action(deployment, key)["status"] in ENDED, seconds, what=f"action {key}"
    )
    return action(deployment, key)


def run_begun_by(deployment: Deployment, key: int) -> int:
    """Wait until the action tells its run."""
    run = deployment.wait_until(
        lambda: action(deployment, key)["result"].get("run"), 60, what="the run"
    )
    return int(run)


@pytest.mark.timeout(180)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_a_run_asked_for_is_done_by_a_worker(deploy: Deploy, simulator: Simulator) -> None:
    simulator.bulk_create(200, 2, spread_days=100)
    deployment = deploy(settings=COMMITTED).start(web=False, scheduler=False)
    (key,) = ask(deployment, ("run", {}))
    ended = end_of(deployment, key)
    assert ended["status"] == "done", ended
    assert deployment.sql("SELECT id, status, cause FROM bc_consumer_synclog") == [
        (ended["result"]["run"], "ok", "command")
    ]
    assert differences(simulator, deployment.sql) == []


@pytest.mark.timeout(180)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_a_run_is_stopped_in_the_middle_while_other_actions_are_done(
    deploy: Deploy, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(2000, 1, spread_days=100))
    simulator.faults.latency(0.3)
    deployment = deploy(settings=SLOWLY).start(web=False, scheduler=False)
    (run_key,) = ask(deployment, ("run", {}))
    run = run_begun_by(deployment, run_key)
    (compared,) = ask(deployment, ("compare", {"odoo_id": ids[-1]}))
    assert end_of(deployment, compared)["outcome"].endswith("Odoo has it, and the copy does not.")
    assert action(deployment, run_key)["status"] == "running"
    said = deployment.manage("sync_BcLinbc", "--stop").stdout
    assert f"run {run} (command, begun at" in said
    ended = end_of(deployment, run_key, 30)
    assert ended["status"] == "done"
    assert "stopped by" in ended["outcome"]
    ((status, error),) = deployment.sql("SELECT status, error FROM bc_consumer_synclog")
    assert status == "stopped"
    assert error.startswith("stopped by ")
    assert error.endswith("(manage.py)")
    assert deployment.sql("SELECT is_syncing FROM bc_consumer_syncstate") == [(False,)]
    recorded = "SELECT kind, status FROM bc_consumer_operatoraction WHERE user_id = ''"
    assert deployment.sql(recorded) == [("stop", "done")]


@pytest.mark.timeout(240)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_what_a_killed_worker_had_in_hand_is_done_by_another_or_ends_as_failed(
    deploy: Deploy, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(2000, 1, spread_days=100))
    simulator.faults.latency(2.0)
    deployment = deploy(settings=SLOWLY).start(web=False, scheduler=False)
    (run_key,) = ask(deployment, ("run", {}))
    run_begun_by(deployment, run_key)
    (compared,) = ask(deployment, ("compare", {"odoo_id": ids[-1]}))
    deployment.wait_until(
        lambda: action(deployment, compared)["status"] == "running", what="the comparison"
    )
    deployment.workers.pop().kill()
    simulator.faults.clear()
    deployment.start_worker()
    again = end_of(deployment, compared, 90)
    assert (again["status"], again["attempts"]) == ("done", 2)
    killed = end_of(deployment, run_key)
    assert (killed["status"], killed["outcome"]) == (
        "failed", "The worker that was doing it died. Ask for it again.",
    )  # fmt: skip
    (key,) = ask(deployment, ("run", {}))
    ended = end_of(deployment, key, 90)
    assert ended["status"] == "done", ended
    runs = deployment.sql("SELECT status FROM bc_consumer_synclog ORDER BY id")
    assert runs == [("failed",), ("ok",)]


@pytest.mark.timeout(180)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_a_worker_that_is_stopped_in_good_order_leaves_the_run_to_the_next(
    deploy: Deploy, simulator: Simulator
) -> None:
    simulator.bulk_create(1000, 1, spread_days=100)
    simulator.faults.latency(0.3)
    deployment = deploy(settings=SLOWLY).start(web=False, scheduler=False)
    (key,) = ask(deployment, ("run", {}))
    run_begun_by(deployment, key)
    deployment.stop_workers()
    assert action(deployment, key)["status"] == "asked"
    simulator.faults.clear()
    deployment.start_worker()
    assert end_of(deployment, key, 90)["status"] == "done"
    assert differences(simulator, deployment.sql) == []


@pytest.mark.timeout(120)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_the_embedded_worker_does_them_too(
    deploy: Deploy, simulator: Simulator, tmp_path: Path
) -> None:
    order_id = simulator.create_order(lines=[{"name": "Desk", "product_qty": 1}])
    deployment = deploy(
        settings=COMMITTED, database_url=f"sqlite:///{tmp_path / 'bc.sqlite3'}", rabbitmq_url=""
    )
    deployment.start_embedded()
    (key,) = ask(deployment, ("read_again", {"odoo_ids": [order_id]}))
    ended = end_of(deployment, key)
    assert ended["status"] == "done", ended
    assert [order["outcome"] for order in ended["result"]["orders"]] == ["created"]
