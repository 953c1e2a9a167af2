"""Rule 1 under a steady stream of webhooks: every part is real, and one of them breaks meanwhile.

OUTAGE_SECONDS=30 makes the outages longer than the 5 s that ``./test`` has time for.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from odoo_simulator import Simulator
from tests.burst import Streamed, stream
from tests.comparing import differences
from tests.conftest import or_skip, show_when_it_fails
from tests.harness import AS_MANY_AS_BY_DEFAULT, Deployment
from tests.services.postgres import Postgres
from tests.services.rabbitmq import RabbitMQ
from tests.services.session import Services

pytestmark = [
    pytest.mark.alone,
    pytest.mark.simulator(version=17, webhook_timing="committed"),
]

OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "5"))
BEFORE_SECONDS, AFTER_SECONDS = 2.0, 3.0
RATE = 50
ANSWER_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Servers:
    """What may break."""

    postgres: Postgres
    rabbitmq: RabbitMQ


@contextmanager
def postgresql_stopped(servers: Servers) -> Iterator[None]:
    """It keeps its connections, accepts new ones, and answers nothing."""
    servers.postgres.pause()
    try:
        yield
    finally:
        servers.postgres.resume()


@contextmanager
def postgresql_shut_down(servers: Servers) -> Iterator[None]:
    servers.postgres.stop()
    try:
        yield
    finally:
        servers.postgres.start()


@contextmanager
def memory_alarm(servers: Servers) -> Iterator[None]:
    servers.rabbitmq.raise_memory_alarm()
    try:
        yield
    finally:
        servers.rabbitmq.clear_memory_alarm()


@contextmanager
def rabbitmq_stopped(servers: Servers) -> Iterator[None]:
    servers.rabbitmq.pause()
    try:
        yield
    finally:
        servers.rabbitmq.resume()


@contextmanager
def memory_alarm_and_postgresql_stopped(servers: Servers) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(memory_alarm(servers))
        stack.enter_context(postgresql_stopped(servers))
        yield


@pytest.fixture(scope="module")
def servers(services: Services) -> Iterator[Servers]:
    """For all outages, one after the other: each ends before the next begins."""
    postgres = or_skip(services.start_postgres)
    yield Servers(postgres, or_skip(lambda: services.private_rabbitmq))
    postgres.stop()


@pytest.fixture(scope="module")
def started(
    services: Services,
    servers: Servers,
    simulator_of_module: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    database = servers.postgres.create_database()
    Deployment.migrate(database.url, tmp_path_factory.mktemp("migrate"))
    with Deployment(
        tmp_path_factory.mktemp("deployment"),
        services.reaper,
        database_url=database.url,
        rabbitmq_url=servers.rabbitmq.url(servers.rabbitmq.new_vhost()),
        odoo_url=simulator_of_module.url,
        settings=AS_MANY_AS_BY_DEFAULT | {"ODOO_WEBHOOK_TIMING": "committed"},
    ) as made:
        yield made.start(workers=2)


@pytest.fixture
def deployment(started: Deployment, request: pytest.FixtureRequest) -> Deployment:
    show_when_it_fails(request.node, started)
    return started


@pytest.mark.timeout(120 + 2 * OUTAGE_SECONDS)
@pytest.mark.parametrize(
    ("outage", "kept_in"),
    [
        (postgresql_stopped, {"ledger", "queue"}),
        (postgresql_shut_down, {"ledger", "queue"}),
        (memory_alarm, {"ledger"}),
        (rabbitmq_stopped, {"ledger"}),
        (memory_alarm_and_postgresql_stopped, {"ledger", "queue", None}),
    ],
)
def test_rule_1_fifty_webhooks_a_second(
    outage: Callable[[Servers], AbstractContextManager[None]],
    kept_in: set[str | None],
    request: pytest.FixtureRequest,
    deployment: Deployment,
    simulator_of_module: Simulator,
    servers: Servers,
) -> None:
    simulator = simulator_of_module
    warm_up(deployment, simulator)
    seconds = BEFORE_SECONDS + OUTAGE_SECONDS + AFTER_SECONDS
    # Each order is named once: a single lost event leaves a difference.
    ids = list(simulator.bulk_create(int(seconds * RATE), 2))
    payloads = [{"_model": "purchase.order", "_id": odoo_id} for odoo_id in ids]
    # Not in this process, where the simulator of Odoo is at work.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(os.getpid).result()
        sending = pool.submit(stream, deployment.webhook_url, payloads, RATE)
        pause(BEFORE_SECONDS)
        with outage(servers):
            pause(OUTAGE_SECONDS)
        streamed = sending.result()
    told = streamed.answers
    report(request.node.callspec.id, streamed)
    assert {answer.body.get("kept_in") for answer in told} <= kept_in
    assert {answer.status for answer in told} <= {202, 503}
    assert None in kept_in or {answer.status for answer in told} == {202}
    late = [
        f"{answer.seconds * 1000:.0f} ms, {answer.lag * 1000:.0f} of them the sender had no time"
        for answer in told
        if answer.seconds - answer.lag > ANSWER_SECONDS
    ]
    assert not late, f"{len(late)} answers took longer than 300 ms: {late}"
    taken = [i for i, answer in zip(ids, told, strict=True) if answer.status == 202]
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, taken), 60, what="all that got a 202"
    )


def warm_up(deployment: Deployment, odoo: Simulator) -> None:
    """Some orders through everything: connections are made, both web processes are awake."""
    ids = list(odoo.bulk_create(40, 1))
    payloads = [{"_model": "purchase.order", "_id": i} for i in ids]

    def all_to_the_ledger() -> bool:
        """The outage before may still be felt: then this begins again."""
        told = stream(deployment.webhook_url, payloads, 100).answers
        return {(answer.body or {}).get("kept_in") for answer in told} == {"ledger"}

    deployment.wait_until(all_to_the_ledger, what="events to go to the ledger")
    deployment.wait_until(lambda: not differences(odoo, deployment.sql, ids), what="the warm-up")


def pause(seconds: float) -> None:
    """Let the stream run on."""
    threading.Event().wait(seconds)


def report(name: str, streamed: Streamed) -> None:
    """Print what a person who runs this alone wants to see (pytest -s)."""
    times = sorted(answer.seconds * 1000 for answer in streamed.answers)
    kept = Counter(
        str((answer.body or {}).get("kept_in", answer.status)) for answer in streamed.answers
    )
    shares = {f"p{share}": f"{times[len(times) * share // 100]:.0f}" for share in (50, 99)}
    print(
        f"\n{name}: {len(times)} answers, {dict(kept)}, ms: {shares}, most {times[-1]:.0f}, "
        f"sender late by {streamed.lag * 1000:.0f}"
    )
