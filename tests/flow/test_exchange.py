"""Applied changes on the topic exchange: all of them, in order, whatever RabbitMQ or workers do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.conftest import Deploy
from tests.harness import Deployment
from tests.queues import Announced, bind
from tests.services.rabbitmq import RabbitMQ

EXCHANGE = "orders"
SETTINGS = {
    "ODOO_WEBHOOK_TIMING": "committed",
    "RABBITMQ_EXCHANGE": EXCHANGE,
    # A killed worker's orders come back soon.
    "ODOO_TIMEOUT_SECONDS": "3",
    "LEASE_SECONDS": "7",
}
LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35}]

pytestmark = pytest.mark.simulator(version=17, webhook_timing="committed")


def applied(deployment: Deployment) -> list[tuple[Any, ...]]:
    return deployment.sql(
        "SELECT odoo_id, version, outcome FROM bc_consumer_journalentry"
        " WHERE version IS NOT NULL ORDER BY version"
    )


def wait_all_announced(deployment: Deployment, announced: Announced, changes: int) -> None:
    """Wait until at least so many changes are applied, and all of them have come."""
    wanted: list[int] = []

    def come() -> bool:
        wanted[:] = [version for _, version, _ in applied(deployment)]
        return len(wanted) >= changes and set(announced.versions()) >= set(wanted)

    deployment.wait_until(come, 40, what="every change on the application's queue")
    assert announced.versions() == wanted, "each version in its order, none invented"


def started(deploy: Deploy, odoo: Simulator, **options: str) -> tuple[Deployment, Announced]:
    """Start two workers, with an application's queue that is bound before anything changes."""
    deployment = deploy(settings=SETTINGS, **options)
    url = deployment.environment["RABBITMQ_URL"]
    bind(url, EXCHANGE)
    deployment.start(workers=2, scheduler=False)
    row = "SELECT count(*) FROM bc_consumer_announcedversion"
    deployment.wait_until(lambda: deployment.sql(row)[0][0] == 1, what="an announcer")
    odoo.install_rules(deployment.webhook_url)
    return deployment, Announced(url)


def test_a_bound_queue_gets_every_change(deploy: Deploy, simulator: Simulator) -> None:
    deployment, announced = started(deploy, simulator)
    ids = [simulator.create_order(lines=LINES) for _ in range(20)]
    wait_all_announced(deployment, announced, 20)
    simulator.write_order(ids[0], partner_ref="B")
    simulator.delete_order(ids[1])
    wait_all_announced(deployment, announced, 22)
    assert {(one["id"], one["outcome"]) for one in announced.look()[20:]} == {
        (ids[0], "changed"),
        (ids[1], "archived"),
    }
    (changed,) = [one for one in announced.look() if one["outcome"] == "changed"]
    # Made and changed within one second, it has the date that it had.
    assert set(changed["fields"]) - {"write_date"} == {"partner_ref"}
    assert deployment.get("/status.json").json()["unannounced"] == 0


@contextmanager
def away(broker: RabbitMQ, how: str) -> Iterator[None]:
    """Take RabbitMQ away for the block: dead, hanging, or blocking its publishers."""
    match how:
        case "killed":
            broker.kill()
        case "hanging":
            broker.pause()
        case _:
            broker.raise_memory_alarm()
    try:
        yield
    finally:
        match how:
            case "killed":
                broker.start()
            case "hanging":
                broker.resume()
            case _:
                broker.clear_memory_alarm()


@pytest.mark.parametrize("how", ["killed", "hanging", "out of memory"])
def test_what_changed_while_rabbitmq_was_away_is_told_afterwards(
    deploy: Deploy, simulator: Simulator, private_rabbitmq: RabbitMQ, how: str
) -> None:
    url = private_rabbitmq.url(private_rabbitmq.new_vhost())
    deployment, announced = started(deploy, simulator, rabbitmq_url=url)
    ids = [simulator.create_order(lines=LINES) for _ in range(10)]
    wait_all_announced(deployment, announced, 10)

    with away(private_rabbitmq, how):
        for odoo_id in ids:
            simulator.write_order(odoo_id, partner_ref="meanwhile")
        deployment.wait_until(lambda: len(applied(deployment)) >= 20, 40, what="the copy to go on")
        assert deployment.get("/status.json").json()["unannounced"] >= 10

    wait_all_announced(deployment, announced, 20)


def test_a_killed_announcer_s_work_is_taken_over(deploy: Deploy, simulator: Simulator) -> None:
    deployment, announced = started(deploy, simulator)
    ids = list(simulator.bulk_create(400, 1))
    deployment.post({"_model": "purchase.order", "ids": ids})
    deployment.wait_until(lambda: len(announced.look()) > 20, what="some announcements")
    deployment.workers.pop(0).kill()
    wait_all_announced(deployment, announced, 400)
    assert len(announced.versions()) >= 400
