"""Publishes wake-ups and stored events to RabbitMQ from one long-lived thread per process.

Requests do not publish themselves, because dramatiq opens a connection for each thread and never
closes those of threads that have ended. Wake-ups may be dropped: the workers' timers find the marks
anyway. An event to be stored is either confirmed by RabbitMQ or reported as not stored.
"""

import contextlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Iterable, Sequence
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
"""Name of the actor that wake-ups are addressed to."""
FURTHER_IDS = "further_ids"
"""The message's option with the ids beside the first, which is the actor's argument."""
FALLBACK_QUEUE = f"{settings.RABBITMQ_QUEUE}.fallback"
UNDECODABLE_QUEUE = f"{FALLBACK_QUEUE}.undecodable"
"""Queue for messages that are not stored events. They are kept here for a person, so that they do
not block the fallback queue."""
IDLE_SECONDS = 5.0
"""Interval at which an idle connection answers RabbitMQ's heartbeats."""
PAUSE_SECONDS = 2.0
"""How long wake-ups are dropped after a failure, instead of queueing behind a dead broker."""
MOST_WAITING = 100
"""Most jobs in this process's queue at which a wake-up is still added. Further ones are dropped:
each wake-up makes a worker take whatever is due by then."""
SPACING_SECONDS = 0.01
"""Between two messages of :meth:`Publisher.wake_together`. Each makes a worker look at the ledger,
and finds little so soon after another one."""
MOST_GATHERED = 1_000
"""Most ids in one message; further ones are dropped, as with MOST_WAITING."""
CLOSE, STORE_FIRST, WAKE = -1, 0, 1
"""Priorities of jobs; the lowest goes first."""
FAILURES = (AMQPError, AMQPConnectorException, BrokerConnectionError, OSError)
"""Errors that mean RabbitMQ is away. AMQPConnectorException is not an AMQPError, and dramatiq does
not translate it; it is raised when RabbitMQ accepts a connection and never answers on it (measured
with pika 1.4.4)."""


@dataclass(order=True)
class _Job:
    priority: int
    number: int
    odoo_id: int | None = field(default=None, compare=False)
    is_shared: bool = field(default=False, compare=False)
    body: bytes = field(default=b"", compare=False)
    until: float = field(default=0.0, compare=False)
    stored: "Future[bool]" = field(default_factory=Future, compare=False)


class Publisher(threading.Thread):
    """The publishing thread; see the module's docstring.

    Call ``start()`` once. It is a daemon thread, so that it never keeps a process from ending.
    """

    def __init__(self, broker: dramatiq.Broker) -> None:
        super().__init__(name="publisher", daemon=True)
        self.broker = broker
        self._rabbitmq = broker if isinstance(broker, Broker) else None
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._count = 0
        self._down_until = 0.0
        self._lock = threading.Lock()
        self._connect_attempted = threading.Event()
        self._closed = False
        self._gathered: list[int] = []
        """Ids for the next message, guarded by the lock."""
        self._message_due_at: float | None = None
        """When that message is due, by ``time.monotonic()``; None: there is none."""
        self._latest_message_at = 0.0
        self.away = False
        """RabbitMQ failed and has not answered since; the thread tries again when idle."""

    @property
    def usable(self) -> bool:
        """Whether RabbitMQ is configured and did not fail when last used."""
        return self._rabbitmq is not None and not self.away

    def wake(self, odoo_ids: Iterable[int]) -> None:
        """Queue one message for each id; drop them while many wait or RabbitMQ is away."""
        if self._closed or time.monotonic() < self._down_until:
            return
        for odoo_id in odoo_ids:
            if self.waiting() >= MOST_WAITING:
                return
            self._jobs.put(_Job(WAKE, self._next_number(), odoo_id=odoo_id))

    def wake_together(self, odoo_ids: Iterable[int]) -> None:
        """Send a message for these ids: at once, or together with others SPACING_SECONDS later.

        Each id stands in a message that is sent after this call, unless MOST_GATHERED others wait
        to be sent, or RabbitMQ is away.
        """
        if self._closed or time.monotonic() < self._down_until:
            return
        with self._lock:
            are_some = bool(self._gathered)
            self._gathered += itertools.islice(odoo_ids, MOST_GATHERED - len(self._gathered))
            if are_some or not self._gathered:
                return
        self._jobs.put(_Job(WAKE, self._next_number(), is_shared=True))

    def waiting(self) -> int:
        """Return how many wake-ups and events are still to be published."""
        return self._jobs.qsize()

    def store(self, body: bytes, seconds: float, until: float) -> bool:
        """Publish ``body`` to the fallback queue; return whether RabbitMQ confirmed it in time.

        The wait lasts ``seconds``, not counting the time in which this process is suspended, and
        ends at ``until`` at the latest, a time of ``time.monotonic()``.
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
        return job.stored.result()  # the confirm arrived just now

    def connect(self) -> threading.Event:
        """Connect ahead of the first request; the returned event is set after the first attempt."""
        self._jobs.put(_Job(WAKE, self._next_number()))
        return self._connect_attempted

    def close(self) -> None:
        """Stop publishing and end the thread soon; unsent jobs are dropped, as during an outage."""
        self._closed = True
        self._jobs.put(_Job(CLOSE, self._next_number()))

    def run(self) -> None:
        """Publish until :meth:`close`, or until the process ends."""
        while True:
            job = self._next_job()
            if job is not None and job.priority == CLOSE:
                break
            try:
                if job is not None:
                    self._run_job(job)
                elif self._message_due_at is None:
                    self._answer_heartbeats()
                if self._message_due_at is not None and time.monotonic() >= self._message_due_at:
                    self._send_gathered()
            except Exception:
                logger.exception("The publisher had an unexpected internal error and carries on")
                if job is not None:
                    job.stored.cancel()
        if self._gathered and not self.away:
            self._send_gathered()
        if self._rabbitmq is not None:
            self._rabbitmq.drop_connection()

    def _next_job(self) -> _Job | None:
        """Return the next job; None where there is none, and something else is due."""
        seconds = IDLE_SECONDS
        if self._message_due_at is not None:
            seconds = max(self._message_due_at - time.monotonic(), 0.0)
        with contextlib.suppress(queue.Empty):
            return self._jobs.get(timeout=seconds)
        return None

    def _run_job(self, job: _Job) -> None:
        if job.priority == STORE_FIRST:
            self._store(job)
        elif job.is_shared:
            self._message_due_at = self._latest_message_at + SPACING_SECONDS
        else:
            self._wake(job)

    def _next_number(self) -> int:
        with self._lock:
            self._count += 1
            return self._count

    def _store(self, job: _Job) -> None:
        """Publish on the open connection, which may have died unnoticed, then on a new one."""
        for _ in range(2):
            if time.monotonic() > job.until:
                break
            try:
                self._publish_to_fallback_queue(job.body)
            except FAILURES as error:
                self._handle_failure(error)
            else:
                self.away = False
                _resolve(job, kept=True)
                return
        _resolve(job, kept=False)

    def _send_gathered(self) -> None:
        self._message_due_at = None
        with self._lock:
            odoo_ids, self._gathered = self._gathered, []
        # A worker that wakes takes one batch at a time; more of them wake the more workers.
        for start in range(0, len(odoo_ids), settings.BATCH_SIZE):
            self._send(odoo_ids[start : start + settings.BATCH_SIZE])
        self._latest_message_at = time.monotonic()

    def _wake(self, job: _Job) -> None:
        self._send([] if job.odoo_id is None else [job.odoo_id])

    def _send(self, odoo_ids: Sequence[int]) -> None:
        """Send one message about these orders; without any, only connect."""
        if time.monotonic() < self._down_until:
            return
        try:
            if not odoo_ids:
                self._ensure_fallback_queue()
                self.away = False
                self._connect_attempted.set()
                return
            first, *others = odoo_ids
            message: dramatiq.Message[None] = dramatiq.Message(
                queue_name=settings.RABBITMQ_QUEUE,
                actor_name=ACTOR,
                args=(first,),
                kwargs={},
                # Not an argument: workers of an older release know only one.
                options={FURTHER_IDS: others} if others else {},
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
        self._connect_attempted.set()
        logger.warning("RabbitMQ is away; the timers take over meanwhile: %r", error)
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


def _resolve(job: _Job, *, kept: bool) -> None:
    with contextlib.suppress(InvalidStateError):  # the caller no longer waits
        job.stored.set_result(kept)


@cache
def publisher() -> Publisher:
    """Return this process's publisher, started on first use and so after any fork."""
    thread = Publisher(dramatiq.get_broker())
    thread.start()
    return thread


def started_publisher() -> Publisher | None:
    """Return this process's publisher if it was started, else None."""
    return publisher() if publisher.cache_info().currsize else None
