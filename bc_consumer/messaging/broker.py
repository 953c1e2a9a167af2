"""Dramatiq's RabbitMQ broker with the settings this service needs."""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import dramatiq
import pika
from django.conf import settings
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware

# Dramatiq's defaults neither confirm nor time out soon enough: in a memory alarm a publish still
# hung after 25 s (measured with RabbitMQ 3.10). Parameters in the URL's query override these.
HEARTBEAT_SECONDS = 30
"""Heartbeat timeout proposed to RabbitMQ."""
SOCKET_SECONDS = 2.0
"""Timeout for connecting the socket. The whole connection, with TLS and AMQP, gets twice this."""
BLOCKED_SECONDS = 2.0
"""How long RabbitMQ may keep a connection blocked before pika closes it."""


class Broker(RabbitmqBroker):
    """Dramatiq's broker with publisher confirms, short timeouts and, optionally, quorum queues.

    Changing ``quorum`` requires a new queue name: RabbitMQ refuses to declare an existing queue
    with other arguments (406 PRECONDITION_FAILED; measured).
    """

    def __init__(
        self, *, url: str, quorum: bool = False, middleware: Sequence[Middleware] | None = None
    ) -> None:
        self.quorum = quorum
        self._connection_threads: dict[Any, threading.Thread] = {}
        """Each open connection and the thread that owns it."""
        super().__init__(
            url=url,
            confirm_delivery=True,
            middleware=list(middleware) if middleware is not None else None,
        )
        self._declared_queues: set[tuple[Any, str]] = set()
        self._declared_exchanges: set[tuple[Any, str]] = set()
        parameters: Any = self.parameters
        if "heartbeat=" not in url:
            parameters.heartbeat = HEARTBEAT_SECONDS
        if "socket_timeout=" not in url:
            parameters.socket_timeout = SOCKET_SECONDS
            parameters.stack_timeout = 2 * SOCKET_SECONDS
        if "blocked_connection_timeout=" not in url:
            parameters.blocked_connection_timeout = BLOCKED_SECONDS
        if "connection_attempts=" not in url:
            parameters.connection_attempts = 1

    @property
    def connection(self) -> Any:
        """This thread's connection, opened on first use."""
        connection: Any = super().connection
        self._connection_threads[connection] = threading.current_thread()
        return connection

    @connection.deleter
    def connection(self) -> None:
        self._connection_threads.pop(getattr(self.state, "connection", None), None)
        RabbitmqBroker.connection.fdel(self)  # type: ignore[attr-defined]  # a property

    def close(self) -> None:
        """Close this thread's connection and those of threads that have ended.

        A connection that a blocked thread still uses stays open until the process ends, because
        pika's connections are not thread-safe. Dramatiq's own ``close`` closes those, too.
        """
        for connection, thread in list(self._connection_threads.items()):
            if thread is threading.current_thread() or not thread.is_alive():
                with contextlib.suppress(pika.exceptions.AMQPError, OSError):
                    connection.close()

    def plain_queue_arguments(self) -> dict[str, Any]:
        """Return the arguments for a durable queue that no actor consumes."""
        return {"x-queue-type": "quorum"} if self.quorum else {}

    def ensure_plain_queue(self, queue: str) -> None:
        """Declare a durable queue, once per channel of this thread."""
        declared: set[tuple[Any, str]] = self._declared_queues
        key = (self.channel, queue)
        if key not in declared:
            self.channel.queue_declare(queue, durable=True, arguments=self.plain_queue_arguments())
            declared.add(key)

    def ensure_topic_exchange(self, exchange: str) -> None:
        """Declare a durable topic exchange, once per channel of this thread."""
        key = (self.channel, exchange)
        if key not in self._declared_exchanges:
            channel: Any = self.channel
            channel.exchange_declare(exchange, exchange_type="topic", durable=True)
            self._declared_exchanges.add(key)

    def answer_heartbeats(self) -> None:
        """Process pending I/O on this thread's connection, if it has one, heartbeats included."""
        if getattr(self.state, "connection", None) is not None:
            self.connection.process_data_events()

    def drop_connection(self) -> None:
        """Close and forget this thread's connection; the next use opens a new one."""
        channel = getattr(self.state, "channel", None)
        self._declared_queues = {key for key in self._declared_queues if key[0] is not channel}
        self._declared_exchanges = {
            key for key in self._declared_exchanges if key[0] is not channel
        }
        try:
            del self.connection
        except (pika.exceptions.AMQPError, OSError):
            return

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._build_queue_arguments(queue_name)  # type: ignore[no-untyped-call]
        return arguments | self.plain_queue_arguments()


def broker_from_settings(middleware: Sequence[Middleware] | None = None) -> dramatiq.Broker:
    """Return the broker for RABBITMQ_URL, or an in-memory StubBroker when that is empty."""
    if settings.RABBITMQ_URL:
        url, quorum = settings.RABBITMQ_URL, settings.RABBITMQ_QUORUM
        return Broker(url=url, quorum=quorum, middleware=middleware)
    return StubBroker(middleware=list(middleware) if middleware is not None else None)


def publish(channel: Any, queue: str, body: bytes) -> None:
    """Publish one persistent message to a queue and wait for RabbitMQ's confirm.

    ``channel`` must be in confirm mode. Raises pika's AMQPError when RabbitMQ does not confirm.
    """
    channel.basic_publish(
        exchange="",
        routing_key=queue,
        body=body,
        properties=pika.BasicProperties(delivery_mode=2, content_type="application/json"),
        mandatory=True,
    )
