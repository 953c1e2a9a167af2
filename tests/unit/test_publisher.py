"""Wake-ups to RabbitMQ: how many messages, and what is in them. RabbitMQ itself is in tests/db."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import dramatiq
import pytest
from django.conf import LazySettings
from dramatiq.brokers.stub import StubBroker

from bc_consumer.messaging import publisher as published
from bc_consumer.messaging.publisher import MOST_GATHERED, Publisher
from tests.services.waiting import wait_until


class SlowBroker(StubBroker):
    """Takes as long for a message as RabbitMQ and its confirm, and remembers it."""

    def __init__(self) -> None:
        super().__init__(middleware=[])
        self.sent: list[dramatiq.Message[Any]] = []
        self.free = threading.Event()
        self.free.set()

    def enqueue(
        self, message: dramatiq.Message[Any], *, delay: int | None = None
    ) -> dramatiq.Message[Any]:
        assert self.free.wait(10)
        self.sent.append(message)
        return message

    def has_sent(self, count: int) -> bool:
        return len(self.sent) == count

    @property
    def ids(self) -> list[list[int]]:
        """What each message is about."""
        return [[*one.args, *one.options.get("further_ids", [])] for one in self.sent]


@pytest.fixture
def broker() -> SlowBroker:
    return SlowBroker()


@pytest.fixture
def publisher(broker: SlowBroker) -> Iterator[Publisher]:
    thread = Publisher(broker)
    thread.start()
    yield thread
    broker.free.set()
    thread.close()
    thread.join(10)


def test_an_event_alone_is_sent_at_once(broker: SlowBroker, publisher: Publisher) -> None:
    for count, odoo_id in enumerate((7, 8, 9), start=1):
        publisher.wake_together([odoo_id])
        wait_until(partial(broker.has_sent, count), what="the message")
        time.sleep(2 * published.SPACING_SECONDS)
    assert broker.ids == [[7], [8], [9]]


def test_events_one_upon_the_other_share_messages_and_each_is_in_a_later_one(
    broker: SlowBroker,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    settings: LazySettings,
) -> None:
    settings.BATCH_SIZE = 1000
    monkeypatch.setattr(published, "SPACING_SECONDS", 0.2)
    publisher.wake_together([1])
    wait_until(lambda: broker.ids == [[1]], what="the first message")
    for odoo_id in range(2, 100):
        publisher.wake_together([odoo_id, odoo_id + 1000])
    publisher.wake_together([1])  # once more: what came since needs a message of its own
    wait_until(lambda: len(broker.sent) == 2, what="the second message")
    assert broker.ids[1] == [n for i in range(2, 100) for n in (i, i + 1000)] + [1]
    time.sleep(0.3)
    assert len(broker.sent) == 2


def test_a_worker_of_an_older_release_takes_such_a_message(
    broker: SlowBroker, publisher: Publisher
) -> None:
    """Its actor knows one argument."""
    publisher.wake_together([3, 4, 5])
    wait_until(lambda: bool(broker.sent), what="the message")
    [message] = broker.sent
    assert (message.args, message.kwargs) == ((3,), {})
    assert message.options["further_ids"] == [4, 5]


def test_an_event_to_be_stored_does_not_wait_for_shared_messages(
    broker: SlowBroker, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "SPACING_SECONDS", 60.0)
    publisher.wake_together([1])
    wait_until(lambda: broker.ids == [[1]], what="the first message")
    publisher.wake_together([2])
    publisher.wake([3])
    wait_until(lambda: [3] in broker.ids, what="the job behind it")
    assert broker.ids == [[1], [3]]


def test_many_orders_wake_more_than_one_thread(
    broker: SlowBroker, publisher: Publisher, settings: LazySettings
) -> None:
    """A thread that wakes takes one batch; the others would sleep until their timer's next look."""
    settings.BATCH_SIZE = 100
    publisher.wake_together(range(1, 251))
    wait_until(lambda: len(broker.sent) == 3, what="a message for each batch")
    assert [one for ids in broker.ids for one in ids] == list(range(1, 251))


def test_what_has_gathered_is_sent_before_the_end(
    broker: SlowBroker, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "SPACING_SECONDS", 60.0)
    for odoo_id in (1, 2):
        publisher.wake_together([odoo_id])
        wait_until(lambda: publisher.waiting() == 0, what="the job to be taken")
    publisher.close()
    publisher.join(10)
    assert broker.ids == [[1], [2]]


def test_shared_messages_do_not_pile_up(broker: SlowBroker, publisher: Publisher) -> None:
    """The timers find what is dropped."""
    broker.free.clear()
    publisher.wake_together([1])
    wait_until(lambda: publisher.waiting() == 0, what="the first to be taken")
    for first in range(10, 10_000, 10):
        publisher.wake_together(range(first, first + 10))
    broker.free.set()
    wait_until(lambda: sum(map(len, broker.ids)) > MOST_GATHERED, what="what has gathered")
    sent = [one for ids in broker.ids for one in ids]
    assert sent == [1, *range(10, 10 + MOST_GATHERED)]
