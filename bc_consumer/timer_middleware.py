"""Starts and stops the timer, and the heart, with the Dramatiq worker of its process.

A module of its own: Django loads middleware before its models, and both need those.
"""

import threading

from dramatiq import Broker, Middleware, Worker

from bc_consumer import process

STOP_SECONDS = 10.0


class TimerMiddleware(Middleware):
    """Starts the timer with the worker, and tells the process that it stops."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def after_worker_boot(self, _broker: Broker, _worker: Worker) -> None:
        """Start both."""
        from bc_consumer.heartbeats import Heart
        from bc_consumer.models import Heartbeat
        from bc_consumer.timer import Timer

        process.stopping.clear()
        self._threads = [Timer(), Heart(Heartbeat.Kind.WORKER, process.stopping)]
        for thread in self._threads:
            thread.start()

    def before_worker_shutdown(self, _broker: Broker, _worker: Worker) -> None:
        """Cut calls to Odoo short: their claims are released within the grace time."""
        process.stopping.set()
        process.wake.set()

    def after_worker_shutdown(self, _broker: Broker, _worker: Worker) -> None:
        """Wait for the timer to have given its claims back."""
        for thread in self._threads:
            thread.join(STOP_SECONDS)
