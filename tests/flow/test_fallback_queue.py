"""What webhooks left in the fallback queue while PostgreSQL was away gets into the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pika
import pytest

from bc_consumer.ledger import Mark
from bc_consumer.messaging.broker import publish
from bc_consumer.messaging.intake import encode
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import Deployment

SETTINGS = {"ODOO_WEBHOOK_TIMING": "committed", "SWEEP_SECONDS": "0.2"}
RARE = {"SWEEP_SECONDS": "120", "RESEND_SECONDS": "240"}
MARK = Mark(cause="webhook", payload='{"_model": "purchase.order"}')
STORED = json.loads(encode([(1, MARK)]))[0]
WRONG: list[dict[str, object]] = [
    {"ids": []},
    {"ids": [0]},
    {"ids": [2**31]},
    {"ids": [True]},
    {"ids": 5},
    {"lane": 9},
    {"event": "renamed"},
    {"cause": None},
    {"early": "yes"},
    {"payload": {}},
    {"payload": "\0"},
    {"run": 12345},
    {"more": 1},
]
POISON = [b"", b"\xff\xfe\0", b"[" * 100_000, b"[]", b"{}", b"7", b'"text"', b"null"]
POISON += [json.dumps([{**STORED, **wrong}]).encode() for wrong in WRONG]
"""Bodies that are no stored event, or one that the ledger can't hold."""


@contextmanager
def channel_to(deployment: Deployment) -> Iterator[Any]:
    parameters = pika.URLParameters(deployment.environment["RABBITMQ_URL"])
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


def put(deployment: Deployment, bodies: Iterable[bytes]) -> None:
    """Leave bodies in the fallback queue, as the web process does."""
    with channel_to(deployment) as channel:
        channel.queue_declare(fallback(deployment), durable=True)
        for body in bodies:
            publish(channel, fallback(deployment), body)


def fallback(deployment: Deployment) -> str:
    return f"{deployment.environment['RABBITMQ_QUEUE']}.fallback"


def bodies_in(deployment: Deployment, queue: str) -> list[bytes]:
    """Take all bodies out of a queue."""
    with channel_to(deployment) as channel:
        channel.queue_declare(queue, durable=True)
        found = []
        while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
            found.append(got[2])
        return found


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_thousands_of_stored_events_and_poison_among_them(
    deploy: Deploy, simulator: Simulator
) -> None:
    deployment = deploy(settings=SETTINGS)
    ids = list(simulator.bulk_create(1500, 1))
    events = [encode([(odoo_id, MARK)]) for odoo_id in ids * 2]
    for number, body in enumerate(POISON):
        events.insert(number * 100, body)
    put(deployment, events)

    # Two sweep at once, and there is no scheduler.
    deployment.start(workers=2, scheduler=False, web=False)
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, ids), 60, what="the stored events"
    )
    deployment.wait_until(lambda: not depth(deployment), what="the fallback queue to be empty")
    set_aside = bodies_in(deployment, f"{fallback(deployment)}.undecodable")
    assert sorted(set_aside) == sorted(POISON)
    assert "unexpected internal error" not in deployment.logs()


def depth(deployment: Deployment) -> int:
    with channel_to(deployment) as channel:
        declared = channel.queue_declare(fallback(deployment), passive=True)
        return int(declared.method.message_count)


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_a_worker_killed_while_it_takes_in_loses_nothing(
    deploy: Deploy, simulator: Simulator
) -> None:
    deployment = deploy(settings=SETTINGS)
    ids = list(simulator.bulk_create(1500, 1))
    put(deployment, (encode([(odoo_id, MARK)]) for odoo_id in ids))
    worker = deployment.start_worker()
    deployment.wait_until(lambda: depth(deployment) < 1500, what="the first events to be taken")
    worker.kill()
    # What the dead worker had claimed would come back after its lease.
    deployment.sql("UPDATE bc_consumer_pendingbc SET claim_token = NULL, claimed_until = NULL")
    deployment.start_worker()
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, ids), 60, what="the stored events"
    )


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=1, scheduler=False, settings=SETTINGS | RARE)
def test_stored_events_do_not_wait_for_the_next_sweep(
    deployment: Deployment, simulator: Simulator
) -> None:
    """The first one was made when the worker started, and the next one is two minutes away."""
    warm_up = list(simulator.bulk_create(1, 1))
    deployment.post({"_model": "purchase.order", "_id": warm_up[0]})
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, warm_up), what="the worker to be awake"
    )
    ids = list(simulator.bulk_create(600, 1))
    put(deployment, (encode([(odoo_id, MARK)]) for odoo_id in ids))
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, warm_up + ids), 30, what="their orders"
    )
