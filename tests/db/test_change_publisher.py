"""The announcer against a real RabbitMQ: from the journal, in order, as far as it was confirmed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db.models.functions import Now
from pika.exceptions import AMQPError, ChannelClosedByBroker

from bc_consumer.core import process_state
from bc_consumer.messaging import announcer
from bc_consumer.messaging.announcer import announce, waiting
from bc_consumer.messaging.broker import Broker
from bc_consumer.models import AnnouncedVersion, VersionCounter
from tests.conftest import ON_SQLITE
from tests.db import copied
from tests.queues import Announced, bind, channel_to

EXCHANGE = "orders"
pytestmark = [
    pytest.mark.usefixtures("single_rows"),
    pytest.mark.skipif(ON_SQLITE, reason="RabbitMQ takes PostgreSQL"),
]


@pytest.fixture
def broker(vhost_url: str, settings: LazySettings) -> Iterator[Broker]:
    settings.RABBITMQ_EXCHANGE = EXCHANGE
    process_state.stopping.clear()
    made = Broker(url=vhost_url, middleware=[])
    yield made
    made.close()


@pytest.fixture
def announced(vhost_url: str) -> Announced:
    bind(vhost_url, EXCHANGE)
    return Announced(vhost_url)


def journal(version: int, odoo_id: int = 7, **values: Any) -> None:
    copied.journal(odoo_id, version=version, **values)
    VersionCounter.objects.update(last=version)


def test_the_first_announcer_begins_with_what_comes(broker: Broker, announced: Announced) -> None:
    journal(1)
    assert announce(broker) == 0
    assert AnnouncedVersion.objects.get().version == 1
    journal(2)
    assert waiting() == 1
    assert announce(broker) == 1
    assert announced.versions() == [2]
    assert waiting() == 0


def test_what_is_told_of_a_change(broker: Broker, announced: Announced) -> None:
    announce(broker)
    changes = {
        "fields": {
            "state": ["draft", "purchase"],
            "amount_total": [1, 2],
            "extra.x_lot": [None, 1],
        },
        "lines": {"changed": {"9": {"name": ["a", "b"]}}, "added": {"11": "Desk", "10": "Lamp"}},
    }
    journal(5, changes=changes)
    journal(6, outcome="created", changes={"lines": {"count": 2}})
    journal(7, outcome="archived")
    copied.journal(7, outcome="unconfirmed")
    announce(broker)
    bodies = announced.look()
    assert bodies[0] | {"at": ""} == {
        "id": 7,
        "version": 5,
        "outcome": "changed",
        "fields": ["amount_total", "extra.x_lot", "state"],
        "lines": {"added": [10, 11], "changed": [9]},
        "at": "",
    }
    assert [(one["outcome"], one["fields"], one["lines"]) for one in bodies[1:]] == [
        ("created", [], {}),
        ("archived", [], {}),
    ]
    assert announced.routing_keys == ["bc.changed", "bc.created", "bc.archived"]
    properties = announced.properties[0]
    assert (properties.delivery_mode, properties.message_id) == (2, "bc-7-5")
    assert properties.content_type == "application/json"


def test_many_are_told_in_the_order_of_the_versions(
    broker: Broker, announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(broker)
    for version in reversed(range(1, 11)):
        copied.journal(version % 3, version=version)
    monkeypatch.setattr(announcer, "AT_ONCE", 4)
    assert [announce(broker) for _ in range(4)] == [4, 4, 2, 0]
    assert announced.versions() == list(range(1, 11))


def test_what_was_not_confirmed_is_told_again(
    broker: Broker, announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(broker)
    for version in range(1, 5):
        journal(version)
    real = announcer._publish

    def fails_at_the_third(broker: Broker, entry: Any) -> None:
        if entry.version == 3:
            raise AMQPError("gone")
        real(broker, entry)

    monkeypatch.setattr(announcer, "_publish", fails_at_the_third)
    with pytest.raises(AMQPError):
        announce(broker)
    assert AnnouncedVersion.objects.get().version == 2
    monkeypatch.undo()
    assert announce(broker) == 2
    assert [body["version"] for body in announced.look()] == [1, 2, 3, 4]


def test_an_exchange_of_another_type_is_told_and_nothing_skipped(
    broker: Broker, vhost_url: str
) -> None:
    with channel_to(vhost_url) as channel:
        channel.exchange_declare(EXCHANGE, exchange_type="fanout", durable=True)
    announce(broker)
    journal(1)
    with pytest.raises(ChannelClosedByBroker, match="PRECONDITION_FAILED"):
        announce(broker)
    assert AnnouncedVersion.objects.get().version == 0


def test_there_is_one_announcer_at_a_time(broker: Broker, announced: Announced) -> None:
    announce(broker)
    journal(1)
    other = uuid.uuid4()
    assert announcer._take_lease(other) == 0
    assert announce(broker) is None
    announcer._end_lease(other, 1)
    assert announce(broker) == 0
    assert announced.look() == []


def test_a_lease_that_ran_out_is_taken_over(broker: Broker, announced: Announced) -> None:
    announce(broker)
    journal(1)
    late = uuid.uuid4()
    announcer._take_lease(late)
    AnnouncedVersion.objects.update(leased_until=Now() - timedelta(seconds=1))
    assert announce(broker) == 1
    journal(2)
    announcer._end_lease(late, 0)
    assert AnnouncedVersion.objects.get().version == 1, "the late one must not turn it back"
    assert announce(broker) == 1
    assert [body["version"] for body in announced.look()] == [1, 2]


def test_a_failure_ends_the_lease_at_once(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(broker)
    journal(1)

    def fails(*_: object) -> None:
        raise AMQPError("gone")

    monkeypatch.setattr(announcer, "_publish", fails)
    with pytest.raises(AMQPError):
        announce(broker)
    monkeypatch.undo()
    assert announce(broker) == 1
