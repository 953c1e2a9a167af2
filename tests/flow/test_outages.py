"""Rule 1: durable before 2xx, and answered in time, whatever is down. Every part is real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg2
import pytest

from odoo_simulator import Simulator
from tests.burst import Answered, burst
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import AS_MANY_AS_BY_DEFAULT, Deployment
from tests.services.gate import Gate
from tests.services.postgres import Database, Postgres
from tests.services.rabbitmq import RabbitMQ

pytestmark = pytest.mark.alone


ANSWER_SECONDS = 0.3
SCAN_IS_ASKED_FOR = "requested a scan of recent changes"
WEB_PROCESSES = int(AS_MANY_AS_BY_DEFAULT["WEB_PROCESSES"])
COMMITTED = AS_MANY_AS_BY_DEFAULT | {"ODOO_WEBHOOK_TIMING": "committed"}


def hundred(deployment: Deployment, ids: list[int]) -> list[Answered]:
    return burst(deployment.webhook_url, [{"_model": "purchase.order", "_id": i} for i in ids])


def warm_up(deployment: Deployment, odoo: Simulator) -> None:
    """One order through everything, so that connections are made and processes are awake."""
    ids = [odoo.create_order(lines=[{"name": "x", "price_unit": 1.0}]) for _ in range(20)]
    hundred(deployment, ids)
    deployment.wait_until(lambda: not differences(odoo, deployment.sql, ids), what="the warm-up")


def assert_all_taken_in_time(answers: list[Answered], kept_in: set[str]) -> None:
    assert {answer.status for answer in answers} == {202}
    assert_in_time(answers)
    assert {answer.body["kept_in"] for answer in answers} <= kept_in


def assert_in_time(answers: list[Answered]) -> None:
    """The time that this process had none to look is not the answer's."""
    slowest = max(answers, key=lambda answer: answer.seconds)
    assert slowest.seconds - slowest.lag <= ANSWER_SECONDS, (
        f"the slowest answer took {slowest.seconds * 1000:.0f} ms,"
        f" {slowest.lag * 1000:.0f} ms of them this process had no time"
    )


def assert_all_arrive(deployment: Deployment, odoo: Simulator, ids: list[int]) -> None:
    deployment.wait_until(
        lambda: not differences(odoo, deployment.sql, ids), 40, what="all orders to arrive"
    )


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_rule_1_a_stopped_postgresql(
    deploy: Deploy,
    simulator: Simulator,
    private_postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    database = private_postgres.create_database()
    Deployment.migrate(database.url, tmp_path_factory.mktemp("migrate"))
    deployment = deploy(settings=COMMITTED, database_url=database.url).start(workers=2)
    warm_up(deployment, simulator)
    forget_scan(deployment)
    ids = list(simulator.bulk_create(100, 2))

    private_postgres.pause()
    answers = hundred(deployment, ids)
    assert_all_taken_in_time(answers, {"queue"})
    again = hundred(deployment, ids)
    assert_all_taken_in_time(again, {"queue"})
    private_postgres.resume()

    assert_all_arrive(deployment, simulator, ids)
    deployment.wait_until(
        lambda: hundred(deployment, ids[:1])[0].body["kept_in"] == "ledger",
        what="events to go to the ledger again",
    )
    # Nothing was refused; but requests that never came so far are known to nobody.
    deployment.wait_until(lambda: scan_due(deployment), what="a scan to be due")


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=1, settings=COMMITTED)
def test_a_web_process_that_stood_still_has_a_scan_asked_for(
    deployment: Deployment, simulator: Simulator
) -> None:
    """What came meanwhile has left again after Odoo's second, and nothing here knows of it."""
    warm_up(deployment, simulator)
    forget_scan(deployment)
    assert deployment.web is not None
    deployment.web.pause()
    threading.Event().wait(3.0)
    deployment.web.resume()
    deployment.wait_until(lambda: scan_due(deployment), what="a scan to be due")


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_rule_1_a_blackholed_or_refusing_postgresql(
    deploy: Deploy,
    simulator: Simulator,
    flow_database: Database,
    gate_to_postgres: Gate,
) -> None:
    url = gate_to_postgres.rewrite(flow_database.url)
    deployment = deploy(settings=COMMITTED, database_url=url).start(workers=1)
    deployment.database_url = flow_database.url
    warm_up(deployment, simulator)
    for break_it in (gate_to_postgres.swallow, gate_to_postgres.refuse):
        ids = list(simulator.bulk_create(100, 1))
        break_it()
        assert_all_taken_in_time(hundred(deployment, ids), {"queue"})
        gate_to_postgres.open()
        assert_all_arrive(deployment, simulator, ids)


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=1, settings=COMMITTED)
def test_rule_1_a_ledger_that_somebody_has_locked(
    deployment: Deployment, simulator: Simulator
) -> None:
    warm_up(deployment, simulator)
    ids = list(simulator.bulk_create(100, 1))
    with psycopg2.connect(deployment.database_url) as locker, locker.cursor() as cursor:
        cursor.execute("LOCK TABLE bc_consumer_pendingbc IN ACCESS EXCLUSIVE MODE")
        assert_all_taken_in_time(hundred(deployment, ids), {"queue"})
    locker.close()
    assert_all_arrive(deployment, simulator, ids)


def forget_scan(deployment: Deployment) -> None:
    """Forget the scan that starting web processes ask for, each a moment after its start."""
    deployment.wait_until(
        lambda: deployment.logs().count(SCAN_IS_ASKED_FOR) >= WEB_PROCESSES,
        what="the starting web's scan to be due",
    )
    deployment.sql("UPDATE bc_consumer_syncstate SET scan_due_at = NULL")


def scan_due(deployment: Deployment) -> bool:
    found = deployment.sql("SELECT scan_due_at FROM bc_consumer_syncstate")
    return found[0][0] is not None


@contextmanager
def memory_alarm(broker: RabbitMQ) -> Iterator[None]:
    broker.raise_memory_alarm()
    try:
        yield
    finally:
        broker.clear_memory_alarm()


@contextmanager
def gate_is(shut: Callable[[], object], gate: Gate) -> Iterator[None]:
    shut()
    try:
        yield
    finally:
        gate.open()


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.parametrize("trouble", ["refusing", "blackholed", "memory alarm"])
def test_rule_1_a_rabbitmq_in_trouble(
    trouble: str, deploy: Deploy, simulator: Simulator, private_rabbitmq: RabbitMQ
) -> None:
    with Gate(private_rabbitmq.address.host, private_rabbitmq.address.port) as gate:
        url = gate.rewrite(private_rabbitmq.url(private_rabbitmq.new_vhost()))
        deployment = deploy(settings=COMMITTED, rabbitmq_url=url).start(workers=1)
        warm_up(deployment, simulator)
        ids = list(simulator.bulk_create(100, 1))
        broken: dict[str, AbstractContextManager[None]] = {
            "refusing": gate_is(gate.refuse, gate),
            "blackholed": gate_is(gate.swallow, gate),
            "memory alarm": memory_alarm(private_rabbitmq),
        }
        with broken[trouble]:
            assert_all_taken_in_time(hundred(deployment, ids), {"ledger"})
            # The marks are enough: the workers' timers bring them without a message.
            assert_all_arrive(deployment, simulator, ids)
            assert_all_taken_in_time(hundred(deployment, ids), {"ledger"})
        assert "unexpected internal error" not in deployment.logs()
        deployment.close()


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_rule_1_both_away_is_503_in_time(
    deploy: Deploy,
    simulator: Simulator,
    flow_database: Database,
    gate_to_postgres: Gate,
    gate_to_rabbitmq: Gate,
    vhost_url: str,
) -> None:
    deployment = deploy(
        settings=COMMITTED,
        database_url=gate_to_postgres.rewrite(flow_database.url),
        rabbitmq_url=gate_to_rabbitmq.rewrite(vhost_url),
    ).start(workers=0, scheduler=False)
    # Both web processes are up when they have answered; one is enough for «healthy».
    hundred(deployment, list(range(1, 101)))
    deployment.database_url = flow_database.url
    forget_scan(deployment)
    gate_to_postgres.swallow()
    gate_to_rabbitmq.swallow()
    answers = hundred(deployment, list(range(1, 101)))
    assert {answer.status for answer in answers} == {503}
    assert_in_time(answers)
    assert "send it again" in answers[0].body["error"]
    gate_to_postgres.open()
    # Odoo never sends again: what was refused has to be looked for.
    deployment.wait_until(lambda: scan_due(deployment), what="a scan to be due")
    deployment.wait_until(
        lambda: hundred(deployment, [107])[0].status == 202, what="the database to be used again"
    )
    assert (107,) in deployment.sql("SELECT odoo_id FROM bc_consumer_pendingbc")
