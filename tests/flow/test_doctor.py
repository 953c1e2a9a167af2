"""``manage.py doctor`` against broken PostgreSQL and RabbitMQ, as a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pika
import pytest

from odoo_simulator import Simulator
from tests.conftest import Deploy
from tests.harness import Deployment
from tests.services.gate import Gate
from tests.services.postgres import Database, Postgres
from tests.services.rabbitmq import RabbitMQ
from tests.services.waiting import free_port


@dataclass(frozen=True, slots=True)
class Said:
    """What one run of the command came to."""

    code: int
    out: str
    err: str

    def findings(self, name: str) -> list[dict[str, str]]:
        """What one check found."""
        checks = {check["name"]: check for check in json.loads(self.out)["checks"]}
        found: list[dict[str, str]] = checks[name]["findings"]
        return found

    def tells(self, name: str, level: str, *, cause: str, fix: str) -> bool:
        """Whether a finding of this check names cause and fix."""
        return any(
            one["level"] == level and cause in one["text"] and fix in one["fix"]
            for one in self.findings(name)
        )


def doctor(deployment: Deployment) -> Said:
    done = deployment.manage("doctor", "--json", check=False)
    for secret in (deployment.secret, "wrong-password"):
        assert secret not in done.stdout + done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{password}@{host}"))


def with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}"))


def with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


# --- PostgreSQL ---------------------------------------------------------------------------------

CHANGED_DATABASES: dict[str, tuple[Callable[[str], str], str, str]] = {
    "closed port": (lambda url: with_port(url, free_port()), "refused", "Is PostgreSQL running"),
    "unknown host": (
        lambda url: url.replace("127.0.0.1", "postgres.invalid"),
        "postgres.invalid",
        "host's name in DATABASE_URL",
    ),
    "no such database": (lambda url: with_path(url, "nope"), "nope", "Create that database"),
    "no such directory": (
        lambda _url: "sqlite:////nowhere/at/all.sqlite3",
        "unable to open",
        "DATA_DIR",
    ),
}


@pytest.mark.parametrize("what", CHANGED_DATABASES)
def test_a_database_that_can_t_be_used(
    deploy: Deploy, flow_database: Database, simulator: Simulator, what: str
) -> None:
    change, cause, fix = CHANGED_DATABASES[what]
    said = doctor(deploy(database_url=change(flow_database.url), rabbitmq_url=""))
    assert said.code == 2
    assert said.tells("database", "error", cause=cause, fix=fix)
    # One check hides no other: Odoo is looked at all the same.
    assert said.findings("odoo.account")[0]["level"] == "ok"
    assert said.findings("workers")[0]["level"] == "skipped"


def test_a_database_that_swallows_everything(
    deploy: Deploy, flow_database: Database, gate_to_postgres: Gate
) -> None:
    gate_to_postgres.swallow()
    url = gate_to_postgres.rewrite(flow_database.url)
    said = doctor(deploy(database_url=url, rabbitmq_url=""))
    assert said.tells("database", "error", cause="timeout", fix="firewall")


def test_a_database_without_our_tables(deploy: Deploy, postgres: Postgres) -> None:
    empty = postgres.create_database()
    try:
        said = doctor(deploy(database_url=empty.url, rabbitmq_url=""))
    finally:
        postgres.drop_database(empty.name)
    assert said.tells("database.migrations", "error", cause="not applied", fix="manage.py migrate")
    assert said.findings("database")[0]["level"] == "ok"


# --- RabbitMQ -----------------------------------------------------------------------------------

CHANGED_BROKERS: dict[str, tuple[Callable[[str], str], str, str]] = {
    "closed port": (lambda url: with_port(url, free_port()), "", "Is RabbitMQ running"),
    "wrong password": (
        lambda url: with_password(url, "wrong-password"),
        "ACCESS_REFUSED",
        "user and password in RABBITMQ_URL",
    ),
    "no such vhost": (lambda url: with_path(url, "nope"), "nope", "virtual host"),
    "unknown host": (
        lambda url: url.replace("127.0.0.1", "rabbitmq.invalid"),
        "",
        "host's name in RABBITMQ_URL",
    ),
}


@pytest.mark.parametrize("what", CHANGED_BROKERS)
def test_a_rabbitmq_that_can_t_be_used(deploy: Deploy, vhost_url: str, what: str) -> None:
    change, cause, fix = CHANGED_BROKERS[what]
    said = doctor(deploy(rabbitmq_url=change(vhost_url)))
    assert said.code == 2
    assert said.tells("rabbitmq", "error", cause=cause, fix=fix)
    assert said.findings("database")[0]["level"] == "ok"
    assert said.findings("rabbitmq.consumers")[0]["level"] == "skipped"


def test_a_rabbitmq_that_swallows_everything(
    deploy: Deploy, gate_to_rabbitmq: Gate, vhost_url: str
) -> None:
    gate_to_rabbitmq.swallow()
    said = doctor(deploy(rabbitmq_url=gate_to_rabbitmq.rewrite(vhost_url)))
    assert said.tells("rabbitmq", "error", cause="Timeout", fix="firewall")


def test_queues_that_were_made_by_other_settings(deploy: Deploy) -> None:
    deployment = deploy()
    _declare(deployment, deployment.environment["RABBITMQ_QUEUE"], {"x-max-priority": 5})
    said = doctor(deployment)
    assert said.tells("rabbitmq.queues", "error", cause="other arguments", fix="new name")
    assert said.tells("rabbitmq.consumers", "error", cause="has no consumers", fix="rundramatiq")


def test_stored_events_that_wait_and_such_as_are_none(deploy: Deploy) -> None:
    deployment = deploy()
    queue = f"{deployment.environment['RABBITMQ_QUEUE']}.fallback"
    for name in (queue, f"{queue}.undecodable"):
        _declare(deployment, name, {}, body=b"{}")
    said = doctor(deployment)
    assert said.tells("rabbitmq.fallback", "warning", cause="1 events are waiting", fix="running")
    assert said.tells("rabbitmq.fallback", "warning", cause="undecodable", fix="--dead-letters")
    assert said.tells("rabbitmq.queues", "warning", cause="not there yet", fix="worker")


def test_an_alarm_of_rabbitmq(deploy: Deploy, private_rabbitmq: RabbitMQ) -> None:
    url = private_rabbitmq.url(private_rabbitmq.new_vhost())
    private_rabbitmq.raise_memory_alarm()
    said = doctor(deploy(rabbitmq_url=url))
    assert said.tells("rabbitmq.publishing", "error", cause="alarm", fix="Free memory or disk")


def _declare(
    deployment: Deployment, queue: str, arguments: dict[str, Any], body: bytes = b""
) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(deployment.environment["RABBITMQ_URL"]))
    channel = connection.channel()
    channel.queue_declare(queue, durable=True, arguments=arguments)
    if body:
        channel.confirm_delivery()
        channel.basic_publish("", queue, body)
    connection.close()


# --- all together -------------------------------------------------------------------------------


@pytest.mark.simulator(version=19)
def test_a_whole_deployment_is_in_order(deploy: Deploy, simulator: Simulator) -> None:
    deployment = deploy()
    deployment.environment["PUBLIC_URL"] = deployment.base_url
    deployment.start(by_manage=True)
    simulator.create_order(lines=[{"name": "A shelf", "product_qty": 2}])
    deployment.manage("odoo_rules", "install")
    deployment.manage("sync_BcLinbc")
    deployment.wait_until(
        lambda: deployment.get("/status.json").json()["workers"] == 1, what="the worker's heartbeat"
    )
    done = deployment.manage("doctor", "--json", "--webhook", check=False)
    checks = json.loads(done.stdout)["checks"]
    wrong = [check for check in checks if check["level"] != "ok"]
    # Nobody is to be mailed; that is all.
    assert [check["name"] for check in wrong] == ["mail"]
    assert done.returncode == 1
    assert {check["name"] for check in checks} >= {"rabbitmq.queues", "rabbitmq.publishing"}
