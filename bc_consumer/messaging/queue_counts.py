"""Counts what waits in RabbitMQ's queues, over a connection of its own that is closed at once.

So no other thread's work waits for the answer, nor does a queue that is missing close a channel
that others use.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pika
from django.conf import settings
from pika.exceptions import ChannelClosedByBroker

HEARTBEAT_SECONDS = 5
"""Heartbeat timeout proposed to RabbitMQ: such a connection lasts for less than a second."""


@dataclass(frozen=True, slots=True)
class QueueCount:
    """What one queue holds."""

    messages: int
    """Those ready for delivery, without those that a consumer has and has not acked."""
    consumers: int


@contextmanager
def short_connection(seconds: float) -> Iterator[Any]:
    """Open a connection of pika's to RABBITMQ_URL for the block.

    ``seconds`` bounds connecting, and how long RabbitMQ may keep the connection blocked. Where the
    network swallows everything later, a question ends by missed heartbeats. Raises
    ``publisher.FAILURES``, and ValueError for a URL that can't be right.
    """
    parameters = pika.URLParameters(settings.RABBITMQ_URL)
    parameters.socket_timeout = parameters.stack_timeout = seconds
    parameters.blocked_connection_timeout = seconds
    parameters.connection_attempts = 1
    parameters.heartbeat = HEARTBEAT_SECONDS
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


def count_messages(names: Iterable[str], seconds: float) -> Mapping[str, QueueCount]:
    """Return the counts of these queues; those that are not there are missing.

    Raises what :func:`short_connection` raises.
    """
    found = {}
    with short_connection(seconds) as connection:
        for name in names:
            try:
                method = connection.channel().queue_declare(name, passive=True).method
            except ChannelClosedByBroker:
                continue
            found[name] = QueueCount(method.message_count, method.consumer_count)
    return found
