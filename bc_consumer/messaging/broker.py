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

# Own figures: dramatiq's defaults neither confirm nor give up in time (a publish still hung after
# 25 s in a memory alarm; measured with RabbitMQ 3.10). A URL's own query wins over these.
HEARTBEAT_SECONDS = 30
SOCKET_SECONDS = 2.0
BLOCKED_SECONDS = 2.0


class Broker(RabbitmqBroker):
    """Publisher confirms, short timeouts, and quorum queues by setting.

    A change of ``quorum`` needs a new queue name: RabbitMQ refuses an existing queue with other
    arguments (406 PRECONDITION_FAILED; measured).
    """

    def __init__(
        self, *, url: str, quorum: bool = False, middleware: Sequence[Middleware] | None = None
    ) -> None:
        self.quorum = quorum
        self._users: dict[Any, threading.Thread] = {}
        """Which thread each connection is of."""
        super().__init__(
            url=url,
            confirm_delivery=True,
            middleware=list(middleware) if middleware is not None else None,
        )
        self._plain_queues: set[tuple[Any, str]] = set()
        self._exchanges: set[tuple[Any, str]] = set()
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
        """This thread's connection, made when it is first asked for."""
        connection: Any = super().connection
        self._users[connection] = threading.current_thread()
        return connection

    @connection.deleter
    def connection(self) -> None:
        self._users.pop(getattr(self.state, "connection", None), None)
        RabbitmqBroker.connection.fdel(self)  # type: ignore[attr-defined]  # a property

    def close(self) -> None:
        """Close the connections that ended threads have left.

        One that a thread still uses, since RabbitMQ holds it up, ends with the process: pika's
        connections are not for two threads, and dramatiq closes those too.
        """
        for connection, thread in list(self._users.items()):
            if thread is threading.current_thread() or not thread.is_alive():
                with contextlib.suppress(pika.exceptions.AMQPError, OSError):
                    connection.close()

    def plain_queue_arguments(self) -> dict[str, Any]:
        """Return the arguments of a durable queue that no actor reads."""
        return {"x-queue-type": "quorum"} if self.quorum else {}

    def ensure_plain_queue(self, queue: str) -> None:
        """Declare a plain durable queue once for each of this thread's channels."""
        declared: set[tuple[Any, str]] = self._plain_queues
        key = (self.channel, queue)
        if key not in declared:
            self.channel.queue_declare(queue, durable=True, arguments=self.plain_queue_arguments())
            declared.add(key)

    def ensure_topic_exchange(self, exchange: str) -> None:
        """Declare a durable topic exchange once for each of this thread's channels."""
        key = (self.channel, exchange)
        if key not in self._exchanges:
            channel: Any = self.channel
            channel.exchange_declare(exchange, exchange_type="topic", durable=True)
            self._exchanges.add(key)

    def answer_heartbeats(self) -> None:
        """Let this thread's connection, if it has one, answer RabbitMQ."""
        if getattr(self.state, "connection", None) is not None:
            self.connection.process_data_events()

    def drop_connection(self) -> None:
        """Forget this thread's connection; the next use makes a new one."""
        channel = getattr(self.state, "channel", None)
        self._plain_queues = {key for key in self._plain_queues if key[0] is not channel}
        self._exchanges = {key for key in self._exchanges if key[0] is not channel}
        try:
            del self.connection
        except (pika.exceptions.AMQPError, OSError):
            return

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._build_queue_arguments(queue_name)  # type: ignore[no-untyped-call]
        return arguments | self.plain_queue_arguments()


def broker_from_settings(middleware: Sequence[Middleware] | None = None) -> dramatiq.Broker:
    """Return the broker that RABBITMQ_URL stands for; without one, this process's memory."""
    if settings.RABBITMQ_URL:
        url, quorum = settings.RABBITMQ_URL, settings.RABBITMQ_QUORUM
        return Broker(url=url, quorum=quorum, middleware=middleware)
    return StubBroker(middleware=list(middleware) if middleware is not None else None)


def publish(channel: Any, queue: str, body: bytes) -> None:
    """Publish one persistent message to a plain queue and wait for RabbitMQ's confirm.

    ``channel`` must be in confirm mode. Raises pika's AMQPError when RabbitMQ does not take it.
    """
    channel.basic_publish(
        exchange="",
        routing_key=queue,
        body=body,
        properties=pika.BasicProperties(delivery_mode=2, content_type="application/json"),
        mandatory=True,
    )
