"""How many messages wait in RabbitMQ's queues, and how many consumers they have.

It asks on a connection of its own: a passive declaration of a queue that is not there closes its
channel, and the publisher's must stay open for webhooks.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pika
from django.conf import settings
from pika.exceptions import ChannelClosedByBroker

from bc_consumer.core.background_value import BackgroundValue
from bc_consumer.messaging.publisher import FAILURES, FALLBACK_QUEUE, UNDECODABLE_QUEUE

DEADLINE_SECONDS = 1.0
"""For connecting; and the longest that a page waits for the whole answer."""
EVERY_SECONDS = 5.0
"""An answer is at most this old. Asking takes RabbitMQ a connection and one request per queue."""
HEARTBEAT_SECONDS = 5
"""A connection on which nothing answers any more is given up after two of these."""
NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """One queue. A queue that nobody has declared yet is empty, and has no consumers."""

    name: str
    messages: int
    """Those that wait; messages in a consumer's hands are not among them."""
    consumers: int


@dataclass(frozen=True, slots=True)
class QueueDepths:
    """All of our queues, or what kept RabbitMQ from answering."""

    reachable: bool
    wake_ups: QueueDepth | None = None
    """Order ids on their way to the workers."""
    stored_events: QueueDepth | None = None
    """Events that the database could not take; workers and schedulers move them to the ledger."""
    undecodable: QueueDepth | None = None
    """Messages that are no stored events, and wait for a person."""


def _read() -> QueueDepths:
    names = (settings.RABBITMQ_QUEUE, FALLBACK_QUEUE, UNDECODABLE_QUEUE)
    try:
        with _connection() as connection:
            return QueueDepths(True, *_depths(connection, names))
    except FAILURES:
        return QueueDepths(False)


def _depths(connection: Any, names: Sequence[str]) -> Iterator[QueueDepth]:
    for name in names:
        channel = connection.channel()
        try:
            found = channel.queue_declare(name, passive=True).method
        except ChannelClosedByBroker as error:
            if error.reply_code != NOT_FOUND:
                raise
            yield QueueDepth(name, 0, 0)
        else:
            channel.close()
            yield QueueDepth(name, int(found.message_count), int(found.consumer_count))


@contextmanager
def _connection() -> Iterator[Any]:
    parameters = pika.URLParameters(settings.RABBITMQ_URL)
    parameters.socket_timeout = parameters.stack_timeout = DEADLINE_SECONDS
    parameters.blocked_connection_timeout = DEADLINE_SECONDS
    parameters.heartbeat = HEARTBEAT_SECONDS
    parameters.connection_attempts = 1
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


_known = BackgroundValue(_read, every=EVERY_SECONDS, wait=DEADLINE_SECONDS)


def queue_depths() -> QueueDepths | None:
    """Return the queues as they were a moment ago; None where ids travel in memory.

    Takes ``DEADLINE_SECONDS`` at most. While RabbitMQ keeps us waiting it counts as unreachable.
    """
    if not settings.RABBITMQ_URL:
        return None
    known = _known()
    if known is None or known.seconds_old > EVERY_SECONDS + DEADLINE_SECONDS:
        return QueueDepths(False)
    return known.answer


def forget() -> None:
    """Have RabbitMQ asked again at the next call."""
    _known.forget()
