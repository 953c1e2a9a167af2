"""Starts and stops timer, sweeping, heart and announcer with the Dramatiq worker of its process.

Stops the publisher, too.

A module of its own: Django loads middleware before its models, and all need those.
"""

import threading
import time

from dramatiq import Broker, Middleware, Worker

from bc_consumer.core import process_state

STOP_SECONDS = 5.0
"""For all threads together. What is held up by PostgreSQL or RabbitMQ comes back by itself: claims
when their lease ends, stored events because they were not acked."""


class TimerMiddleware(Middleware):
    """Starts the threads with the worker, and tells the process that it stops."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def after_worker_boot(self, _broker: Broker, _worker: Worker) -> None:
        """Start them."""
        from bc_consumer.messaging.change_publisher import Announcer
        from bc_consumer.models import Heartbeat
        from bc_consumer.operations.heartbeats import HeartbeatThread
        from bc_consumer.workers.due_order_timer import Sweeping, Timer

        process_state.stopping.clear()
        self._threads = [
            Timer(),
            Sweeping(),
            HeartbeatThread(Heartbeat.Kind.WORKER, process_state.stopping),
            Announcer(process_state.stopping),
        ]
        for thread in self._threads:
            thread.start()

    def before_worker_shutdown(self, _broker: Broker, _worker: Worker) -> None:
        """Cut calls to Odoo short: their claims are released within the grace time."""
        from bc_consumer.messaging import change_publisher, publisher

        process_state.stopping.set()
        process_state.wake.set()
        change_publisher.wake()
        sender = publisher.started()
        if sender is not None:
            sender.close()
            self._threads.append(sender)

    def after_worker_shutdown(self, _broker: Broker, _worker: Worker) -> None:
        """Wait for the timer to have given its claims back, and for all to have left RabbitMQ.

        Dramatiq closes the broker next.
        """
        end = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0.0))
