"""RabbitMQ's queues, as the first page tells of them; and what a silent RabbitMQ costs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pika
import pytest
from django.conf import LazySettings

from bc_consumer.messaging import cached_queue_counts
from bc_consumer.messaging.cached_queue_counts import (
    DEADLINE_SECONDS,
    AllQueueCounts,
    NamedQueueCount,
)
from bc_consumer.messaging.publisher import FALLBACK_QUEUE, UNDECODABLE_QUEUE
from tests.queues import channel_to
from tests.services.gate import Gate
from tests.services.waiting import wait_until


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    cached_queue_counts.forget()
    yield
    cached_queue_counts.forget()


def test_ids_that_travel_in_memory_have_no_queues(settings: LazySettings) -> None:
    settings.RABBITMQ_URL = ""
    assert cached_queue_counts.cached_queue_counts() is None


def test_queues_tell_what_waits_and_who_takes_it(vhost_url: str, settings: LazySettings) -> None:
    settings.RABBITMQ_URL, wakes = vhost_url, settings.RABBITMQ_QUEUE
    names = (wakes, FALLBACK_QUEUE, UNDECODABLE_QUEUE, f"{wakes}.XQ")
    empty = [NamedQueueCount(name, 0, 0) for name in names]
    # None of them is declared: that neither fails nor declares them.
    assert cached_queue_counts.cached_queue_counts() == AllQueueCounts(True, *empty)

    with channel_to(vhost_url) as channel:
        channel.queue_declare(wakes, durable=True)
        channel.queue_declare(FALLBACK_QUEUE, durable=True)
        channel.confirm_delivery()
        for _ in range(3):
            channel.basic_publish("", FALLBACK_QUEUE, b"{}")
        channel.basic_consume(wakes, lambda *_: None)
        cached_queue_counts.forget()
        assert cached_queue_counts.cached_queue_counts() == AllQueueCounts(
            True,
            NamedQueueCount(wakes, 0, 1),
            NamedQueueCount(FALLBACK_QUEUE, 3, 0),
            NamedQueueCount(UNDECODABLE_QUEUE, 0, 0),
            NamedQueueCount(f"{wakes}.XQ", 0, 0),
        )


def test_an_answer_is_kept_for_some_seconds(
    vhost_url: str, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RABBITMQ_URL = vhost_url
    known = cached_queue_counts.cached_queue_counts()
    monkeypatch.setattr(pika, "BlockingConnection", None)
    assert cached_queue_counts.cached_queue_counts() == known


@pytest.mark.parametrize("how", ["refuse", "swallow"])
def test_a_rabbitmq_that_does_not_answer_holds_no_page_up(
    how: str, vhost_url: str, gate_to_rabbitmq: Gate, settings: LazySettings
) -> None:
    settings.RABBITMQ_URL = gate_to_rabbitmq.rewrite(vhost_url)
    break_it: dict[str, Callable[[], None]] = {
        "refuse": gate_to_rabbitmq.refuse, "swallow": gate_to_rabbitmq.swallow,
    }  # fmt: skip
    break_it[how]()
    began = time.monotonic()
    for _tab in range(10):
        assert cached_queue_counts.cached_queue_counts() == AllQueueCounts(False)
    assert time.monotonic() - began < 2 * DEADLINE_SECONDS + 3, "each of them waited"
    gate_to_rabbitmq.open()

    def answers() -> bool:
        cached_queue_counts.forget()
        found = cached_queue_counts.cached_queue_counts()
        return found is not None and found.reachable

    wait_until(answers, what="RabbitMQ's answer", every=0.2)
