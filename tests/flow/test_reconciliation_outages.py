"""A reconciliation during which RabbitMQ or PostgreSQL is away: it goes on by itself, and soon."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import ROOT, Deployment
from tests.services.gate import Gate
from tests.services.postgres import Postgres
from tests.services.rabbitmq import RabbitMQ

NIGHTLY = {
    "ODOO_WEBHOOK_TIMING": "committed", "SYNC_NIGHTLY_AT": "00:00", "SYNC_SLICE_SECONDS": "1",
    "SYNC_PAGE_SIZE": "50", "BATCH_SIZE": "50", "SYNC_LEASE_SECONDS": "5",
}  # fmt: skip
ORDERS = 1500
LATENCY = 0.3
"""Of Odoo, in seconds: so long that the run takes a good many slices."""
HANDED_OVER = "SELECT 1 FROM bc_consumer_syncstate WHERE owner LIKE 'run %'"


@contextmanager
def away(broker: RabbitMQ, how: str) -> Iterator[None]:
    if how == "killed":
        broker.kill()
        yield
        broker.start()
    else:
        broker.raise_memory_alarm()
        yield
        broker.clear_memory_alarm()


def wait_for_a_slice_more(deployment: Deployment) -> None:
    """Wait until the run has been handed over once more: its next slice needs a message.

    That state lasts for some hundredths of a second, so it is asked for again and again.
    """
    deadline = time.monotonic() + 60
    while not deployment.sql(HANDED_OVER):
        assert time.monotonic() < deadline, "no slice ended"
        time.sleep(0.005)


def wait_for_the_end(deployment: Deployment, seconds: float) -> None:
    runs = "SELECT status, cause FROM bc_consumer_synclog WHERE cause <> 'poll' ORDER BY id"
    deployment.wait_until(
        lambda: deployment.sql(runs)[-1:] == [("ok", "nightly")],
        seconds,
        what="the run to be gone on with, and to end",
    )


@pytest.mark.timeout(400)
@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.parametrize("how", ["killed", "out of memory"])
def test_rabbitmq_away_between_two_slices(
    how: str, deploy: Deploy, simulator: Simulator, private_rabbitmq: RabbitMQ
) -> None:
    simulator.bulk_create(ORDERS, 2, spread_days=100)
    simulator.faults.latency(LATENCY)
    url = private_rabbitmq.url(private_rabbitmq.new_vhost())
    deployment = deploy(settings=NIGHTLY, rabbitmq_url=url).start(workers=2, web=False)
    wait_for_a_slice_more(deployment)
    # Long enough for a busy machine to break RabbitMQ while the next slice is at work.
    simulator.faults.latency(5.0)
    deployment.wait_until(lambda: not deployment.sql(HANDED_OVER), 60, what="the next slice")
    with away(private_rabbitmq, how):
        simulator.faults.latency(0.1)
        deployment.wait_until(lambda: deployment.sql(HANDED_OVER), 60, what="the slice's end")
        assert deployment.sql("SELECT status FROM bc_consumer_synclog WHERE cause <> 'poll'") == [
            ("running",)
        ]
    wait_for_the_end(deployment, 150)  # a minute of it where the message died with RabbitMQ
    assert deployment.sql("SELECT status FROM bc_consumer_synclog WHERE cause <> 'poll'") == [
        ("ok",)
    ]
    assert differences(simulator, deployment.sql) == []


@pytest.mark.timeout(400)
@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.parametrize("trouble", ["refusing", "silent"])
def test_rabbitmq_away_for_good_between_two_slices(
    trouble: str, deploy: Deploy, simulator: Simulator, gate_to_rabbitmq: Gate, vhost_url: str
) -> None:
    simulator.bulk_create(ORDERS, 2, spread_days=100)
    simulator.faults.latency(LATENCY)
    # By the default heartbeat a silent RabbitMQ is noticed after a minute.
    url = f"{gate_to_rabbitmq.rewrite(vhost_url)}?heartbeat=5"
    deployment = deploy(settings=NIGHTLY, rabbitmq_url=url)
    deployment.start(workers=1, web=False)
    wait_for_a_slice_more(deployment)
    if trouble == "refusing":
        gate_to_rabbitmq.refuse()
    else:
        gate_to_rabbitmq.swallow()
    # What is to come are slices without RabbitMQ; they need not be as many.
    simulator.faults.latency(LATENCY / 3)
    assert deployment.sql("SELECT status FROM bc_consumer_synclog WHERE cause <> 'poll'") == [
        ("running",)
    ]
    wait_for_the_end(deployment, 150)
    assert "in this process: RabbitMQ is away" in deployment.logs()
    assert "unexpected internal error" not in deployment.logs()
    gate_to_rabbitmq.open()
    assert deployment.sql("SELECT status FROM bc_consumer_synclog WHERE cause <> 'poll'") == [
        ("ok",)
    ]
    assert differences(simulator, deployment.sql) == []


@pytest.mark.timeout(400)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_postgresql_restarted_in_a_nightly_run(
    deploy: Deploy,
    simulator: Simulator,
    private_postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    simulator.bulk_create(ORDERS, 2, spread_days=100)
    simulator.faults.latency(0.1)
    database = private_postgres.create_database()
    Deployment.migrate(database.url, tmp_path_factory.mktemp("migrate"))
    deployment = deploy(settings=NIGHTLY | {"SYNC_SLICE_SECONDS": "60"}, database_url=database.url)
    deployment.start(workers=2, web=False)
    written = "SELECT count(*) FROM bc_consumer_bc"
    deployment.wait_until(lambda: deployment.sql(written)[0][0] > 100, 60, what="the first load")
    private_postgres.restart()
    assert deployment.sql("SELECT status FROM bc_consumer_synclog WHERE cause <> 'poll'") == [
        ("running",)
    ]
    wait_for_the_end(deployment, 100)
    assert deployment.sql("SELECT status FROM bc_consumer_synclog WHERE cause <> 'poll'") == [
        ("ok",)
    ]
    assert differences(simulator, deployment.sql) == []


@pytest.mark.timeout(400)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_postgresql_restarted_in_a_command(
    deploy: Deploy,
    simulator: Simulator,
    private_postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    simulator.bulk_create(ORDERS, 2, spread_days=100)
    simulator.faults.latency(0.1)
    database = private_postgres.create_database()
    Deployment.migrate(database.url, tmp_path_factory.mktemp("migrate"))
    settings = NIGHTLY | {"SYNC_NIGHTLY_AT": "never"}
    deployment = deploy(settings=settings, database_url=database.url)
    written = "SELECT count(*) FROM bc_consumer_bc"
    with subprocess.Popen(
        [sys.executable, "manage.py", "sync_BcLinbc"], cwd=ROOT, env=deployment.environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as command:  # fmt: skip
        deployment.wait_until(lambda: deployment.sql(written)[0][0] > 100, 60, what="the load")
        private_postgres.restart()
        said, _ = command.communicate(timeout=120)
    # Where the restart met none but its crew's threads, which go on, it ends well.
    first = "ok" if command.returncode == 0 else "failed"
    assert command.returncode in {0, 1}, said
    # The one when it still is away as the run ends, the other when it is back by then.
    ends = ("The database failed", "The watermark stays", "the next run continues it")
    assert first == "ok" or any(text in said for text in ends), said[-3000:]
    assert "Traceback" not in said
    simulator.faults.clear()
    deployment.wait_until(
        lambda: deployment.manage("sync_BcLinbc", check=False).returncode == 0, 60, what="the next"
    )
    runs = "SELECT status FROM bc_consumer_synclog WHERE cause <> 'poll' ORDER BY id"
    assert deployment.sql(runs) == [(first,), ("ok",)]
    assert differences(simulator, deployment.sql) == []
