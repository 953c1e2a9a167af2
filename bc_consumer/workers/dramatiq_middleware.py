"""Starts and stops the process's own threads together with its Dramatiq worker.

These are the timer, the sweeper, the heartbeat, the announcer, and the thread that does operators'
actions; the publisher is stopped, too.
The imports are inside the methods because Django loads this module before its models, which all of
these need.
"""

import threading
import time

from dramatiq import Broker, Middleware, Worker

from bc_consumer.core import process_state
from bc_consumer.core.garbage_collection import collect_rarely

STOP_SECONDS = 5.0
"""Grace time for all threads together. Work that PostgreSQL or RabbitMQ blocks is not lost: claims
expire with their lease, and RabbitMQ requeues stored events that were not acked."""


class ThreadsMiddleware(Middleware):
    """Starts the threads with the worker, and signals them to stop before it shuts down."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def after_worker_boot(self, _broker: Broker, _worker: Worker) -> None:
        """Start the threads."""
        from bc_consumer.messaging.announcer import Announcer
        from bc_consumer.models import Heartbeat
        from bc_consumer.operations.heartbeats import HeartbeatThread
        from bc_consumer.workers.action_runner import ActionsThread
        from bc_consumer.workers.periodic_sweep import SweeperThread
        from bc_consumer.workers.timer import Timer

        collect_rarely()
        process_state.stopping.clear()
        self._threads = [
            Timer(),
            SweeperThread(),
            HeartbeatThread(Heartbeat.Kind.WORKER, process_state.stopping),
            Announcer(process_state.stopping),
            ActionsThread(),
        ]
        for thread in self._threads:
            thread.start()

    def before_worker_shutdown(self, _broker: Broker, _worker: Worker) -> None:
        """Abort calls to Odoo, so that their claims are released within the grace time."""
        from bc_consumer.messaging import announcer, publisher

        process_state.stopping.set()
        process_state.wake.set()
        process_state.action_asked.set()
        announcer.wake()
        sender = publisher.started_publisher()
        if sender is not None:
            sender.close()
            self._threads.append(sender)

    def after_worker_shutdown(self, _broker: Broker, _worker: Worker) -> None:
        """Wait until the timer has released its claims and all threads have left RabbitMQ.

        Dramatiq closes the broker next.
        """
        from bc_consumer.operations import metric_totals

        end = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0.0))
        metric_totals.flush_at_end(max(end - time.monotonic(), 0.0))
