"""A graceful stop: nothing is lost, nothing is left claimed, and little is delayed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psycopg2
import pytest

from bc_consumer.ledger import Mark
from bc_consumer.messaging.intake import encode
from odoo_simulator import Simulator
from tests.burst import Answered, stream
from tests.comparing import differences
from tests.conftest import Deploy
from tests.flow.test_fallback_queue import put
from tests.harness import AS_MANY_AS_BY_DEFAULT, Deployment
from tests.services.owned import OwnedProcess
from tests.services.postgres import Postgres
from tests.services.processes import tree
from tests.services.waiting import wait_until

COMMITTED = AS_MANY_AS_BY_DEFAULT | {"ODOO_WEBHOOK_TIMING": "committed"}
RATE = 30
STOP_SECONDS = 15.0
"""A worker ends within a second or two; more on a busy machine. Its grace time is 30 s."""
ROUNDS = 3
MARKED = (
    "SELECT odoo_id FROM bc_consumer_pendingbc WHERE odoo_id = %s"
    " UNION SELECT odoo_id FROM bc_consumer_bc WHERE odoo_id = %s"
)
CLAIMED = "SELECT count(*) FROM bc_consumer_pendingbc WHERE claim_token IS NOT NULL"


def wait_ready(deployment: Deployment, worker: OwnedProcess) -> None:
    alive = "SELECT pid FROM bc_consumer_heartbeat WHERE kind = 'worker'"
    deployment.wait_until(
        lambda: any(pid in tree(worker.pid) for (pid,) in deployment.sql(alive)),
        30,
        what="the worker's first heartbeat",
    )


def replace_worker(deployment: Deployment) -> None:
    """The new one first, then SIGTERM to the eldest."""
    wait_ready(deployment, deployment.start_worker())
    eldest = deployment.workers.pop(0)
    began = time.monotonic()
    eldest.stop(STOP_SECONDS * 2)
    assert time.monotonic() - began < STOP_SECONDS


@pytest.mark.alone
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_a_rolling_restart_under_load_loses_nothing_and_delays_little(
    deploy: Deploy, simulator: Simulator
) -> None:
    deployment = deploy(settings=COMMITTED).start(workers=2)
    for worker in deployment.workers:
        wait_ready(deployment, worker)
    ids = list(simulator.bulk_create(RATE * 60, 2))

    def restarts() -> None:
        replace_worker(deployment)
        replace_worker(deployment)
        assert deployment.web is not None
        respawn_web(deployment, deployment.web)

    spawn = multiprocessing.get_context("spawn")
    told: list[Answered] = []
    with ProcessPoolExecutor(1, spawn) as pool, ThreadPoolExecutor(1) as thread:
        restarting = thread.submit(restarts)
        while not restarting.done() or len(told) < RATE * 5:
            some = ids[len(told) : len(told) + RATE * 2]
            payloads = [{"_model": "purchase.order", "_id": odoo_id} for odoo_id in some]
            told += pool.submit(stream, deployment.webhook_url, payloads, RATE).result().answers
        restarting.result()
    ids = ids[: len(told)]
    assert {answer.status for answer in told} == {202}
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, ids), 40, what="all orders to arrive"
    )
    # Nobody waited for the lease of a worker that went.
    (slowest,) = deployment.sql("SELECT max(delay) FROM bc_consumer_journalentry")[0]
    assert slowest < 10


def respawn_web(deployment: Deployment, web: OwnedProcess) -> None:
    """SIGHUP: granian replaces its processes one after the other, on the same socket."""
    before = children(web.pid)
    assert len(before) == 2
    os.kill(web.pid, signal.SIGHUP)
    deployment.wait_until(
        lambda: not before & children(web.pid) and len(children(web.pid)) == 2,
        30,
        what="all web processes to be new",
    )


def children(pid: int) -> set[int]:
    """Return the granian processes that serve (not multiprocessing's own helpers)."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in found if "resource_tracker" not in command(int(child))}


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=1, settings=COMMITTED)
def test_a_stopping_worker_breaks_off_its_call_and_gives_its_orders_back(
    deployment: Deployment, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(60, 1))
    simulator.faults.latency(20.0)
    deployment.post({"_model": "purchase.order", "ids": ids})
    deployment.wait_until(lambda: deployment.sql(CLAIMED)[0][0] == 60, what="the claim")
    began = time.monotonic()
    deployment.stop_workers(STOP_SECONDS * 2)
    assert time.monotonic() - began < STOP_SECONDS
    assert deployment.sql(CLAIMED) == [(0,)]
    unharmed = "SELECT count(*) FROM bc_consumer_pendingbc WHERE attempts = 0 AND error_class = ''"
    assert deployment.sql(unharmed) == [(60,)]
    simulator.faults.clear()
    deployment.start_worker()
    deployment.wait_until(lambda: not differences(simulator, deployment.sql), what="the orders")


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_workers_that_are_told_to_end_under_traffic_print_no_traceback(
    deploy: Deploy, simulator: Simulator
) -> None:
    """Sweeper, publisher and announcer are all at work on RabbitMQ when the SIGTERM comes."""
    settings = COMMITTED | {"SWEEP_SECONDS": "0.2", "RABBITMQ_EXCHANGE": "changes"}
    deployment = deploy(settings=settings)
    mark = Mark(cause="webhook")
    ids = list(simulator.bulk_create(12_000, 1))
    for number in range(ROUNDS):
        share = ids[number::ROUNDS]
        worker = deployment.start_worker()
        wait_ready(deployment, worker)
        # A thousand orders in one event: the publisher has messages to send for seconds.
        parts = (share[first : first + 1000] for first in range(0, len(share), 1000))
        put(deployment, [encode([(odoo_id, mark) for odoo_id in part]) for part in parts])
        marked = partial(deployment.sql, MARKED, share[0], share[0])
        deployment.wait_until(marked, what="the sweeper to mark")
        worker.stop(STOP_SECONDS * 2)
        assert worker.exit_code() == 0
        deployment.workers.clear()
        assert "Traceback" not in deployment.logs()
    assert deployment.sql(CLAIMED) == [(0,)]


def test_a_scheduler_that_is_told_to_end_ends_in_good_order(deploy: Deploy) -> None:
    deployment = deploy(settings=COMMITTED | {"SWEEP_SECONDS": "0.2"})
    scheduler = deployment.start_scheduler()
    alive = "SELECT count(*) FROM bc_consumer_heartbeat WHERE kind = 'scheduler'"
    deployment.wait_until(lambda: deployment.sql(alive) == [(1,)], what="its heartbeat")
    scheduler.stop(STOP_SECONDS)
    deployment.scheduler = None
    assert scheduler.exit_code() == 0
    assert deployment.sql(alive) == [(0,)]
    assert "Traceback" not in deployment.logs()


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_a_worker_stopped_during_a_slice_leaves_the_nightly_run_to_another(
    deploy: Deploy, simulator: Simulator
) -> None:
    simulator.bulk_create(3000, 1, spread_days=100)
    simulator.faults.latency(0.3)
    deployment = deploy(settings=COMMITTED | {"SYNC_NIGHTLY_AT": "00:00"})
    deployment.start(workers=1, web=False)
    written = "SELECT count(*) FROM bc_consumer_bc"
    deployment.wait_until(lambda: deployment.sql(written)[0][0] > 0, 40, what="the first load")
    began = time.monotonic()
    deployment.stop_workers(STOP_SECONDS * 2)
    assert time.monotonic() - began < STOP_SECONDS
    assert deployment.sql(CLAIMED) == [(0,)]
    assert deployment.sql("SELECT status FROM bc_consumer_synclog WHERE cause <> 'poll'") == [
        ("running",)
    ]
    assert deployment.sql(written)[0][0] < 3000

    simulator.faults.clear()
    deployment.start_worker()
    deployment.wait_until(
        lambda: (
            deployment.sql("SELECT status FROM bc_consumer_synclog WHERE cause <> 'poll'")
            == [("ok",)]
        ),
        90,
        what="another worker to go on with the run",
    )
    assert not differences(simulator, deployment.sql)


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_a_worker_that_waits_for_postgresql_ends_within_its_grace_time(
    deploy: Deploy,
    simulator: Simulator,
    private_postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    database = private_postgres.create_database()
    Deployment.migrate(database.url, tmp_path_factory.mktemp("migrate"))
    deployment = deploy(settings=COMMITTED, database_url=database.url)
    patient, hurried = deployment.start_worker(), deployment.start_worker()
    for worker in (patient, hurried):
        wait_ready(deployment, worker)
    private_postgres.pause()
    began = time.monotonic()
    for worker in (patient, hurried):
        worker.terminate()

    def told_again() -> bool:
        hurried.terminate()
        return hurried.has_ended()

    wait_until(told_again, 8, every=0.5, what="the worker that was told twice to end")
    assert not patient.has_ended(), "both ended at once: nothing was held up"
    wait_until(patient.has_ended, 30 - (time.monotonic() - began), what="the other to end")


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=1, settings=COMMITTED | {"LIVE_PAGE_PUBLIC": "1"})
def test_a_stopping_web_server_answers_what_it_has_begun(
    deployment: Deployment, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(300, 1))
    payloads = [{"_model": "purchase.order", "_id": odoo_id} for odoo_id in ids]
    assert deployment.web is not None
    # granian's processes hear no SIGTERM while they load; the second one may still do so.
    deployment.wait_until(lambda: deployment.logs().count("runtime-1") == 2, what="both")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as pool, ThreadPoolExecutor(1) as thread:
        pool.submit(os.getpid).result()
        with psycopg2.connect(deployment.database_url) as locker, locker.cursor() as cursor:
            # A page that takes its time: it waits for this lock.
            cursor.execute("LOCK TABLE bc_consumer_journalentry IN ACCESS EXCLUSIVE MODE")
            page = thread.submit(deployment.get, "/")
            deployment.wait_until(lambda: waits_for_a_lock(deployment), what="the page to wait")
            sending = pool.submit(stream, deployment.webhook_url, payloads, 100)
            deployment.wait_until(
                lambda: "kept in the" in deployment.logs(),
                what="the first webhooks",
            )
            deployment.web.terminate()
            told = sending.result().answers
        locker.close()
        assert page.result().status == 200
    wait_until(deployment.web.has_ended, 40, what="the web server to end")

    # Answered with 202, or never accepted: Odoo's log tells of the latter. Never a 5xx.
    assert {answer.status for answer in told} == {202, 0}
    taken = [i for i, answer in zip(ids, told, strict=True) if answer.status == 202]
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, taken), what="what got a 202"
    )


def waits_for_a_lock(deployment: Deployment) -> bool:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(deployment.sql(waiting)[0][0])


def test_web_processes_that_follow_a_sighup_read_the_file_of_now(
    deploy: Deploy, tmp_path: Path
) -> None:
    deployment = deploy(settings=AS_MANY_AS_BY_DEFAULT)
    file = tmp_path / "env"
    file.write_text("ODOO_WEBHOOK_SECRETS=the-first-secret\nDATABASE_CONN_MAX_AGE=\n")
    del deployment.environment["ODOO_WEBHOOK_SECRETS"]
    deployment.environment["ENV_FILE"] = str(file)
    deployment.start(workers=0, scheduler=False)
    payload = {"_model": "purchase.order", "_id": 1}

    def status(secret: str) -> int:
        return deployment.post(payload, secret=secret).status

    assert status("the-first-secret") == 202
    file.write_text("ODOO_WEBHOOK_SECRETS=the-second-secret\n")
    assert deployment.web is not None
    respawn_web(deployment, deployment.web)
    deployment.wait_until(lambda: status("the-first-secret") == 401, 10, what="the new secret")
    assert status("the-second-secret") == 202
