"""What the health checks say while PostgreSQL or RabbitMQ is away: everything is real."""

from __future__ import annotations

import pytest

from tests.conftest import Deploy
from tests.harness import Deployment
from tests.services.gate import Gate
from tests.services.postgres import Database
from tests.services.rabbitmq import RabbitMQ

READY_SECONDS = 2.0


def says(deployment: Deployment, **expected: str) -> bool:
    answer = deployment.get("/readyz")
    assert answer.seconds < READY_SECONDS
    body: dict[str, str] = answer.json()
    assert (answer.status == 503) == (body["database"] != "ok")
    return expected.items() <= body.items()


@pytest.mark.parametrize("trouble", ["refuse", "swallow"])
def test_without_postgresql_alive_but_not_ready(
    deploy: Deploy, flow_database: Database, gate_to_postgres: Gate, trouble: str
) -> None:
    deployment = deploy(
        database_url=gate_to_postgres.rewrite(flow_database.url), odoo_url="http://127.0.0.1:1"
    ).start(workers=0, scheduler=False)
    deployment.wait_until(
        lambda: says(deployment, status="ready", database="ok", rabbitmq="ok"), what="readiness"
    )
    getattr(gate_to_postgres, trouble)()
    assert deployment.get("/healthz").status == 200
    assert says(deployment, status="unavailable", database="no answer")
    assert b"postgresql://" not in deployment.get("/readyz").body
    gate_to_postgres.open()
    deployment.wait_until(lambda: says(deployment, status="ready"), what="readiness again")


def test_without_rabbitmq_degraded_and_still_ready(
    deploy: Deploy, rabbitmq: RabbitMQ, vhost_url: str, gate_to_rabbitmq: Gate
) -> None:
    deployment = deploy(
        rabbitmq_url=gate_to_rabbitmq.rewrite(vhost_url), odoo_url="http://127.0.0.1:1"
    ).start(workers=0, scheduler=False)
    deployment.wait_until(lambda: says(deployment, rabbitmq="ok"), what="RabbitMQ")
    gate_to_rabbitmq.refuse()
    deployment.wait_until(
        lambda: says(deployment, status="degraded", database="ok", rabbitmq="away"),
        30,
        what="the loss of RabbitMQ to be noticed",
    )
    gate_to_rabbitmq.open()
    deployment.wait_until(
        lambda: says(deployment, status="ready", rabbitmq="ok"), 30, what="RabbitMQ again"
    )
