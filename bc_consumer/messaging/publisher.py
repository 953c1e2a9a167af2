"""Puts BC ids on RabbitMQ, off the request's path: one long-lived thread a process.

One thread, because dramatiq keeps a connection per thread and never closes those of threads that
ended. Wake-ups may be dropped: the workers' timers find the marks anyway. What is to be stored is
confirmed by RabbitMQ or reported as not stored.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from functools import cache

import dramatiq
from django.conf import settings
from dramatiq.errors import BrokerConnectionError
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError

from bc_consumer.core.database_deadline import STEP_SECONDS, Patience
from bc_consumer.messaging.broker import Broker, publish

logger = logging.getLogger(__name__)

ACTOR = "refresh_bc"
FALLBACK_QUEUE = f"{settings.RABBITMQ_QUEUE}.fallback"
UNDECODABLE_QUEUE = f"{FALLBACK_QUEUE}.undecodable"
"""Bodies that are no stored event: kept for a person, out of the others' way."""
IDLE_SECONDS = 5.0
"""How often an idle connection answers RabbitMQ's heartbeats."""
PAUSE_SECONDS = 2.0
"""After a failure, wake-ups are dropped this long instead of queueing up behind a dead broker."""
MOST_WAITING = 100
"""Wake-ups; further ones are dropped: whoever gets one of these takes whatever is due by then."""
CLOSE, STORE_FIRST, WAKE = -1, 0, 1
FAILURES = (AMQPError, AMQPConnectorException, BrokerConnectionError, OSError)
"""What says that RabbitMQ is away. The second is no AMQPError, and dramatiq lets it through: a
RabbitMQ that accepts a connection and says nothing on it (pika 1.4.4, measured)."""


@dataclass(order=True)
class _Job:
    priority: int
    number: int
    odoo_id: int | None = field(default=None, compare=False)
    body: bytes = field(default=b"", compare=False)
    until: float = field(default=0.0, compare=False)
    stored: "Future[bool]" = field(default_factory=Future, compare=False)


class Publisher(threading.Thread):
    """See the module. ``start()`` it once; daemon, so that it never holds a process back."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        super().__init__(name="publisher", daemon=True)
        self.broker = broker
        self._rabbitmq = broker if isinstance(broker, Broker) else None
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._count = 0
        self._down_until = 0.0
        self._lock = threading.Lock()
        self._tried = threading.Event()
        self._closed = False
        self.away = False
        """RabbitMQ failed and has not answered since; an idle moment tries again."""

    @property
    def usable(self) -> bool:
        """Whether there is a RabbitMQ and it did not fail when last used."""
        return self._rabbitmq is not None and not self.away

    def wake(self, odoo_ids: Iterable[int]) -> None:
        """Send one message for each id, soon; drop them while many wait, or RabbitMQ is away."""
        if self._closed or time.monotonic() < self._down_until:
            return
        for odoo_id in odoo_ids:
            if self.waiting() >= MOST_WAITING:
                return
            self._jobs.put(_Job(WAKE, self._next_number(), odoo_id=odoo_id))

    def waiting(self) -> int:
        """Return how many wake-ups and stored events it has still to send."""
        return self._jobs.qsize()

    def store(self, body: bytes, seconds: float, until: float) -> bool:
        """Put ``body`` on the fallback queue; return whether RabbitMQ confirmed it in time.

        It has ``seconds`` in which this process is let run, and no longer than ``until``.
        """
        if self._rabbitmq is None or self._closed:
            return False
        job = _Job(STORE_FIRST, self._next_number(), body=body, until=until)
        self._jobs.put(job)
        patience = Patience(seconds)
        while not patience.over and time.monotonic() < until:
            began = time.monotonic()
            try:
                return job.stored.result(STEP_SECONDS)
            except FutureTimeoutError:
                patience.count(began)
            except CancelledError:
                break
        if job.stored.cancel():
            self.away = True
            return False
        return job.stored.result()  # it came in this very moment

    def connect(self) -> threading.Event:
        """Connect before the first request needs it; the event is set when that was tried."""
        self._jobs.put(_Job(WAKE, self._next_number()))
        return self._tried

    def close(self) -> None:
        """Send nothing more, and end soon: what is not sent yet is dropped, as while it is away."""
        self._closed = True
        self._jobs.put(_Job(CLOSE, self._next_number()))

    def run(self) -> None:
        """Publish until closed, or until the process ends."""
        while True:
            job = None
            with contextlib.suppress(queue.Empty):
                job = self._jobs.get(timeout=IDLE_SECONDS)
            if job is not None and job.priority == CLOSE:
                break
            try:
                if job is None:
                    self._answer_heartbeats()
                else:
                    self._do(job)
            except Exception:
                logger.exception("The publisher met an error of our own and goes on")
                if job is not None:
                    job.stored.cancel()
        if self._rabbitmq is not None:
            self._rabbitmq.drop_connection()

    def _do(self, job: _Job) -> None:
        if job.priority == STORE_FIRST:
            self._store(job)
        else:
            self._wake(job)

    def _next_number(self) -> int:
        with self._lock:
            self._count += 1
            return self._count

    def _store(self, job: _Job) -> None:
        """Try on the connection at hand, which may have died unnoticed, then on a fresh one."""
        for _ in range(2):
            if time.monotonic() > job.until:
                break
            try:
                self._publish_to_fallback_queue(job.body)
            except FAILURES as error:
                self._handle_failure(error)
            else:
                self.away = False
                _tell(job, kept=True)
                return
        _tell(job, kept=False)

    def _wake(self, job: _Job) -> None:
        if time.monotonic() < self._down_until:
            return
        try:
            if job.odoo_id is None:
                self._ensure_fallback_queue()
                self.away = False
                self._tried.set()
                return
            message: dramatiq.Message[None] = dramatiq.Message(
                queue_name=settings.RABBITMQ_QUEUE,
                actor_name=ACTOR,
                args=(job.odoo_id,),
                kwargs={},
                options={},
            )
            self.broker.declare_queue(settings.RABBITMQ_QUEUE)
            self.broker.enqueue(message)
            self.away = False
        except FAILURES as error:
            self._handle_failure(error)

    def _ensure_fallback_queue(self) -> None:
        if self._rabbitmq is not None:
            self._rabbitmq.ensure_plain_queue(FALLBACK_QUEUE)

    def _publish_to_fallback_queue(self, body: bytes) -> None:
        self._ensure_fallback_queue()
        if self._rabbitmq is not None:
            publish(self._rabbitmq.channel, FALLBACK_QUEUE, body)

    def _handle_failure(self, error: Exception) -> None:
        self._down_until = time.monotonic() + PAUSE_SECONDS
        self.away = True
        self._tried.set()
        logger.warning("RabbitMQ is away; the timers take over for a moment: %r", error)
        if self._rabbitmq is not None:
            self._rabbitmq.drop_connection()

    def _answer_heartbeats(self) -> None:
        if self._rabbitmq is None:
            return
        try:
            if self.away:
                self._ensure_fallback_queue()
                self.away = False
            self._rabbitmq.answer_heartbeats()
        except FAILURES as error:
            self._handle_failure(error)


def _tell(job: _Job, *, kept: bool) -> None:
    with contextlib.suppress(InvalidStateError):  # nobody waits for it any more
        job.stored.set_result(kept)


@cache
def publisher() -> Publisher:
    """Return this process's publisher, started at the first use (after any fork)."""
    thread = Publisher(dramatiq.get_broker())
    thread.start()
    return thread


def started() -> Publisher | None:
    """Return this process's publisher if it has been used; None: there is none to be stopped."""
    return publisher() if publisher.cache_info().currsize else None
