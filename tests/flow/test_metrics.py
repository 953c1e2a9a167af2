"""``/metrics`` of a deployment of several processes: right, whichever of them counted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.parser import text_string_to_metric_families

from odoo_simulator import Simulator
from tests.conftest import Deploy
from tests.harness import AS_MANY_AS_BY_DEFAULT, Deployment
from tests.services.gate import Gate
from tests.services.postgres import Database

TOKEN = "a-token-for-the-metrics-alone"
SETTINGS = {"METRICS_TOKEN": TOKEN, "ODOO_WEBHOOK_TIMING": "committed"}
SCRAPE_SECONDS = 2.0
ORDERS = 60
TOTAL = "SELECT COALESCE(sum(value), 0) FROM bc_consumer_metrictotal WHERE series LIKE %s"


def scrape(deployment: Deployment) -> dict[str, float]:
    answer = deployment.get("/metrics", {"Authorization": f"Bearer {TOKEN}"})
    assert answer.status == 200
    assert answer.seconds < SCRAPE_SECONDS
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def total(deployment: Deployment, series: str) -> int:
    return int(deployment.sql(TOTAL, series)[0][0])


def has_counted(deployment: Deployment, events: int, looks: int) -> bool:
    counted = (
        total(deployment, "bc_webhook_events_total%"),
        total(deployment, "bc_refreshes_total%"),
    )
    return counted[0] >= events and counted[1] >= looks


def check_equals_tables(deployment: Deployment, events: int) -> Mapping[str, float]:
    """Compare counters with the journal; ``events``: all that were sent, each got a 202."""
    samples = scrape(deployment)
    assert samples["bc_webhook_events_total['ledger']"] == events
    journal = "SELECT outcome, count(*) FROM bc_consumer_journalentry GROUP BY outcome"
    for outcome, count in deployment.sql(journal):
        assert samples[f"bc_refreshes_total['{outcome}']"] == count
    delays = "SELECT count(*), sum(delay) FROM bc_consumer_journalentry WHERE delay IS NOT NULL"
    ((count, seconds),) = deployment.sql(delays)
    assert samples["bc_copy_delay_seconds_count['webhook']"] == count
    assert samples["bc_copy_delay_seconds_sum['webhook']"] == pytest.approx(seconds)
    ((copied,),) = deployment.sql("SELECT count(*) FROM bc_consumer_bc")
    assert samples["bc_copy_orders['current']"] == copied
    assert samples["bc_pending_orders['owed']"] == 0
    return samples


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_two_web_and_two_worker_processes_count_as_one_and_restarts_lose_nothing(
    deploy: Deploy, simulator: Simulator
) -> None:
    deployment = deploy(settings={**SETTINGS, **AS_MANY_AS_BY_DEFAULT}).start(workers=2)
    ids = list(simulator.bulk_create(ORDERS, 1))
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(
                lambda order: deployment.post({"_model": "purchase.order", "_id": order}), ids
            )
        )
    assert [answer.json()["kept_in"] for answer in answers] == ["ledger"] * ORDERS
    deployment.wait_drained()
    deployment.wait_until(
        lambda: has_counted(deployment, ORDERS, ORDERS), 30, what="every process's flush"
    )
    samples = check_equals_tables(deployment, ORDERS)
    assert samples["bc_refreshes_total['created']"] == ORDERS
    assert samples["bc_odoo_call_duration_seconds_count[]"] == len(simulator.calls)
    assert samples["bc_processes_alive['worker']"] == 2
    assert samples["bc_rabbitmq_up[]"] == 1
    assert samples["bc_rabbitmq_queue_consumers['work']"] >= 2
    # What is not flushed yet when the processes are told to end is stored at their end.
    for order in ids:
        assert deployment.post({"_model": "purchase.order", "_id": order}).status == 202
    deployment.wait_drained()
    deployment.stop_workers()
    assert deployment.web is not None
    deployment.web.stop(15)
    assert total(deployment, "bc_webhook_events_total%") == 2 * ORDERS
    assert total(deployment, "bc_refreshes_total%") == 2 * ORDERS
    deployment.start_web()
    deployment.wait_for_web()
    after = check_equals_tables(deployment, 2 * ORDERS)
    assert not {
        name: value
        for name, value in samples.items()
        if name.partition("[")[0].endswith(("_total", "_count", "_bucket")) and after[name] < value
    }


@pytest.mark.parametrize("trouble", ["refuse", "swallow"])
def test_without_postgresql_it_answers_within_two_seconds(
    deploy: Deploy, flow_database: Database, gate_to_postgres: Gate, trouble: str
) -> None:
    deployment = deploy(
        database_url=gate_to_postgres.rewrite(flow_database.url),
        odoo_url="http://127.0.0.1:1",
        settings=SETTINGS,
    ).start(workers=0, scheduler=False)
    assert scrape(deployment)["bc_database_up[]"] == 1
    getattr(gate_to_postgres, trouble)()
    for _ in range(3):
        samples = scrape(deployment)
        assert samples.pop("bc_database_up[]") == 0
        assert {name.partition("[")[0] for name in samples} <= {
            "bc_rabbitmq_up", "bc_rabbitmq_queue_messages", "bc_rabbitmq_queue_consumers"
        }  # fmt: skip
    gate_to_postgres.open()
    deployment.wait_until(
        lambda: scrape(deployment)["bc_database_up[]"] == 1, what="the database again"
    )


@pytest.mark.parametrize("trouble", ["refuse", "swallow"])
def test_without_rabbitmq_its_queues_are_missing_and_all_else_is_there(
    deploy: Deploy, vhost_url: str, gate_to_rabbitmq: Gate, trouble: str
) -> None:
    deployment = deploy(
        rabbitmq_url=gate_to_rabbitmq.rewrite(vhost_url),
        odoo_url="http://127.0.0.1:1",
        settings=SETTINGS,
    ).start(workers=0, scheduler=False)
    assert scrape(deployment)["bc_rabbitmq_up[]"] == 1
    getattr(gate_to_rabbitmq, trouble)()
    began = time.monotonic()
    samples = scrape(deployment)
    assert time.monotonic() - began < SCRAPE_SECONDS
    assert samples["bc_rabbitmq_up[]"] == 0
    assert not [name for name in samples if name.startswith("bc_rabbitmq_queue")]
    assert samples["bc_database_up[]"] == 1
    gate_to_rabbitmq.open()
    deployment.wait_until(
        lambda: scrape(deployment)["bc_rabbitmq_up[]"] == 1, 30, what="RabbitMQ again"
    )


def test_events_kept_in_the_queue_and_refused_ones_are_told_once_the_database_is_back(
    deploy: Deploy, flow_database: Database, gate_to_postgres: Gate, gate_to_rabbitmq: Gate,
    vhost_url: str,
) -> None:  # fmt: skip
    deployment = deploy(
        database_url=gate_to_postgres.rewrite(flow_database.url),
        rabbitmq_url=gate_to_rabbitmq.rewrite(vhost_url),
        odoo_url="http://127.0.0.1:1",
        settings=SETTINGS,
    ).start(workers=0, scheduler=False)
    gate_to_postgres.refuse()
    assert deployment.post({"_model": "purchase.order", "_id": 1}).json()["kept_in"] == "queue"
    gate_to_rabbitmq.refuse()
    assert deployment.post({"_model": "purchase.order", "_id": 2}).status == 503
    gate_to_postgres.open()
    deployment.wait_until(
        lambda: total(deployment, "bc_webhook_events_total%") == 2, 30, what="the flush"
    )
    samples = scrape(deployment)
    assert samples["bc_webhook_events_total['queue']"] == 1
    assert samples["bc_webhook_events_total['refused']"] == 1


@pytest.mark.deployment(settings={"HTTPS": "1", **SETTINGS})
def test_only_the_token_opens_it_over_http_too(deployment: Deployment) -> None:
    assert scrape(deployment)["bc_database_up[]"] == 1
    for shown in ("", "Bearer wrong", f"Bearer {deployment.secret}"):
        answer = deployment.get("/metrics", {"Authorization": shown})
        assert answer.status == 401
        assert b"bc_" not in answer.body
    assert TOKEN not in deployment.logs()
