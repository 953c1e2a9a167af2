"""Rule 8 with real processes on PostgreSQL: one run at a time, and after ``kill -9`` the next."""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import ROOT, Deployment

COMMITTED = {"ODOO_WEBHOOK_TIMING": "committed"}
OK, LOCKED = 0, 4
ROUNDS = 100

Answers = queue.Queue[tuple[int, str]]


@contextmanager
def racer(deployment: Deployment, answers: Answers) -> Iterator[subprocess.Popen[str]]:
    """Run a process that begins a reconciliation at each line it is given."""

    def listen(lines: Iterable[str]) -> None:
        for line in lines:
            code, said = json.loads(line)
            answers.put((code, said))

    with subprocess.Popen(
        [sys.executable, "-m", "tests.flow.racer"], cwd=ROOT, env=deployment.environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        listener = threading.Thread(target=listen, args=(process.stdout,))
        listener.start()
        try:
            yield process
        finally:
            process.kill()
            listener.join()


class Barrier:
    """Keeps the run that has begun at Odoo until the other one has ended."""

    def __init__(self, simulator: Simulator) -> None:
        self._open = threading.Event()
        simulator.faults.between_calls(self._wait)

    def _wait(self, _model: str, _method: str) -> None:
        self._open.wait(90)

    def close(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()


@pytest.mark.timeout(300)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_rule_8_two_runs_at_once_a_hundred_times(deploy: Deploy, simulator: Simulator) -> None:
    simulator.bulk_create(3, 1, spread_days=10)
    deployment, answers = deploy(settings=COMMITTED), Answers()
    barrier = Barrier(simulator)
    with racer(deployment, answers) as one, racer(deployment, answers) as other:
        for number in range(ROUNDS):
            barrier.close()
            for process in (one, other):
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            code, said = answers.get(timeout=60)
            assert (number, code) == (number, LOCKED), said
            assert "holds the lock" in said
            barrier.open()
            code, said = answers.get(timeout=60)
            assert (number, code) == (number, OK), said
    runs = deployment.sql(
        "SELECT status, count(*) FROM bc_consumer_synclog WHERE cause <> 'poll' GROUP BY status"
    )
    assert runs == [("ok", ROUNDS)]
    assert differences(simulator, deployment.sql) == []


@pytest.mark.timeout(120)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_rule_8_as_commands_the_second_says_which_run_is_at_work(
    deploy: Deploy, simulator: Simulator
) -> None:
    simulator.bulk_create(3, 1, spread_days=10)
    deployment = deploy(settings=COMMITTED)
    barrier = Barrier(simulator)
    with subprocess.Popen(
        [sys.executable, "manage.py", "sync_BcLinbc"], cwd=ROOT, env=deployment.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as first:  # fmt: skip
        try:
            deployment.wait_until(
                lambda: deployment.sql("SELECT 1 FROM bc_consumer_synclog WHERE cause <> 'poll'"),
                60,
                what="a run",
            )
            second = deployment.manage("sync_BcLinbc", check=False)
        finally:
            barrier.open()
        assert first.wait(60) == OK
    assert second.returncode == LOCKED
    assert "Nothing was done: run 1 (command, begun at" in second.stderr
    assert second.stdout == ""


@contextmanager
def a_load_that_lasts(deployment: Deployment, simulator: Simulator) -> Iterator[None]:
    """Begin a first load, kill it by SIGKILL in the middle, with orders in its hands."""
    simulator.bulk_create(2000, 2, spread_days=100)
    fetches, killed = itertools.count(1), threading.Event()

    def keep_later_fetches(_model: str, method: str) -> None:
        """Let two batches through. Who fetches another one has its orders in hand, and waits."""
        if method == "web_search_read" and next(fetches) > 2:
            killed.wait(90)

    simulator.faults.between_calls(keep_later_fetches)
    load = subprocess.Popen(
        [sys.executable, "manage.py", "sync_BcLinbc"], cwd=ROOT, env=deployment.environment
    )
    claimed = "SELECT count(*) FROM bc_consumer_pendingbc WHERE claim_token IS NOT NULL"
    try:
        deployment.wait_until(
            lambda: (
                deployment.sql("SELECT count(*) FROM bc_consumer_bc")[0][0] == 400
                and deployment.sql(claimed)[0][0] > 0
            ),
            60,
            what="the load to be under way",
        )
        yield
    finally:
        load.kill()
        load.wait(10)
        killed.set()
    assert deployment.sql(claimed)[0][0] > 0
    simulator.faults.clear()


@pytest.mark.timeout(180)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_rule_8_after_kill_9_the_next_run_has_done_all_within_a_minute(
    deploy: Deploy, simulator: Simulator
) -> None:
    """With the settings as they come: the lease of a batch alone, 90 s, would be longer."""
    deployment = deploy(settings=COMMITTED)
    with a_load_that_lasts(deployment, simulator):
        second = deployment.manage("sync_BcLinbc", check=False)
        assert second.returncode == LOCKED, second.stderr
        assert "run 1 (command" in second.stderr
    killed = time.monotonic()
    deployment.wait_until(
        lambda: deployment.manage("sync_BcLinbc", check=False).returncode == OK, 60, what="takeover"
    )
    assert time.monotonic() - killed < 60
    assert differences(simulator, deployment.sql) == []
    assert deployment.pending() == 0
    runs = deployment.sql(
        "SELECT status, applied FROM bc_consumer_synclog WHERE cause <> 'poll' ORDER BY id"
    )
    assert [status for status, _applied in runs] == ["failed", "ok"]
    assert sum(applied for _status, applied in runs) == 2000


@pytest.mark.timeout(180)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_rule_8_a_worker_killed_in_a_slice_is_followed_by_another(
    deploy: Deploy, simulator: Simulator
) -> None:
    simulator.bulk_create(2000, 2, spread_days=100)
    deployment = deploy(
        settings=COMMITTED
        | {"SYNC_NIGHTLY_AT": "00:00", "SYNC_SLICE_SECONDS": "60", "SYNC_LEASE_SECONDS": "5"}
        | {"LEASE_SECONDS": "20", "ODOO_TIMEOUT_SECONDS": "8", "BATCH_SIZE": "50"}
    )
    simulator.faults.latency(0.3)
    deployment.start(workers=1, web=False)
    deployment.wait_until(
        lambda: deployment.sql("SELECT count(*) FROM bc_consumer_bc")[0][0] > 0, 60, what="the run"
    )
    deployment.workers.pop().kill()
    simulator.faults.clear()
    deployment.start_worker()
    deployment.wait_until(
        lambda: (
            deployment.sql("SELECT status FROM bc_consumer_synclog WHERE cause <> 'poll'")
            == [("ok",)]
        ),
        100,
        what="the run to be gone on with",
    )
    assert differences(simulator, deployment.sql) == []
