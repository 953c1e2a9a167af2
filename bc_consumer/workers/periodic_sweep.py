"""Does what is due every few seconds: stored events, lost wake-ups, alerts.

Each worker process and scheduler has a thread for it: so no stored event waits for the scheduler
alone. It is not the timer's, because RabbitMQ can block it for a minute (only heartbeats detect a
network that drops packets), and no order may wait for that.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dramatiq
from django.conf import settings
from django.db import DataError, IntegrityError, connection

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.log_context import logging_about
from bc_consumer.ledger.marks import shorten_ids
from bc_consumer.messaging.broker import Broker, publish
from bc_consumer.messaging.intake import AT_ONCE as MARKS_AT_ONCE
from bc_consumer.messaging.intake import Marks, decode
from bc_consumer.messaging.publisher import FAILURES, FALLBACK_QUEUE, UNDECODABLE_QUEUE, publisher
from bc_consumer.operations import alerts, dead_letters
from bc_consumer.workers.guarded_step import run_guarded

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Interval at which the fallback queue is checked: one request to RabbitMQ, no SQL statement."""
AT_ONCE = 100
"""Most stored events in one statement, which also has at most ``MARKS_AT_ONCE`` marks: webhooks for
these orders wait until it has finished. It is the channel's prefetch count, too."""
AT_ONCE_BYTES = 4 * 2**20
"""Once the bodies consumed have this many bytes they are marked, before more are consumed."""
LONGEST_SECONDS = 30.0
"""A round stops consuming stored events after this time; the next one continues."""
QUIET_SECONDS = 0.1
"""Without a delivery for this long, the queue is empty or other consumers have its messages."""
RESEND_LIMIT = 20
"""Most messages that one sweep sends again: each worker thread that wakes takes a whole batch."""


class SweeperThread(threading.Thread):
    """Moves stored events to the ledger as soon as possible, and does a full sweep periodically."""

    def __init__(self) -> None:
        super().__init__(name="sweeping", daemon=True)

    def run(self) -> None:
        """Run until the process stops."""
        sweeper = Sweeper()
        while not process_state.stopping.is_set():
            process_state.stopping.wait(run_guarded(sweeper.run_round, LOOK_SECONDS))
        leave_rabbitmq()
        connection.close()


class Sweeper:
    """Does one round after another. To be used by a single thread."""

    def __init__(self) -> None:
        self._next_sweep_at = 0.0

    def run_round(self) -> float:
        """Move stored events to the ledger, or do a full sweep if it is time for one.

        Returns the seconds to wait until the next round. Raises Django's DatabaseError or
        InterfaceError; an unreachable RabbitMQ is not an error.
        """
        if time.monotonic() < self._next_sweep_at:
            return (
                LOOK_SECONDS if _run_with_rabbitmq(_move_stored) else float(settings.SWEEP_SECONDS)
            )
        sweep()
        self._next_sweep_at = time.monotonic() + settings.SWEEP_SECONDS
        return min(LOOK_SECONDS, settings.SWEEP_SECONDS)


def sweep() -> None:
    """Do a full sweep: stored events, dead letters, lost messages, alerts that wait.

    Raises Django's DatabaseError or InterfaceError; an unreachable RabbitMQ is not an error.
    """
    _run_with_rabbitmq(_move_stored, dead_letters.alert_to_dead_letters, _send_again)
    alerts.send_what_waits()


def _run_with_rabbitmq(*steps: Callable[[Broker], object]) -> bool:
    """Call the steps in turn; return whether RabbitMQ was reachable throughout."""
    broker = dramatiq.get_broker()
    if not isinstance(broker, Broker):
        return False
    try:
        for step in steps:
            step(broker)
    except FAILURES as error:
        logger.debug("sweep: RabbitMQ is away: %r", error)
        broker.drop_connection()
        return False
    except Exception:
        broker.drop_connection()  # RabbitMQ requeues unacked messages
        raise
    return True


def leave_rabbitmq() -> None:
    """Close this thread's connection before the thread ends: no other thread may close it."""
    broker = dramatiq.get_broker()
    if isinstance(broker, Broker):
        broker.drop_connection()


@dataclass(frozen=True, slots=True)
class _Stored:
    """One message consumed from the fallback queue, with the marks that its body holds."""

    tag: int
    """AMQP's delivery tag."""
    body: bytes
    marks: Marks


def _move_stored(broker: Broker) -> None:
    """Move stored events to the ledger; ack each only after its marks are committed."""
    broker.ensure_plain_queue(FALLBACK_QUEUE)
    if not broker.channel.queue_declare(FALLBACK_QUEUE, passive=True).method.message_count:
        return
    # If the ledger cannot take marks, fail before consuming: RabbitMQ 4 drops a quorum queue's
    # message that was redelivered twenty times.
    ledger.mark_all([])
    end = time.monotonic() + LONGEST_SECONDS
    broker.channel.basic_qos(prefetch_count=AT_ONCE)
    deliveries = broker.channel.consume(FALLBACK_QUEUE, inactivity_timeout=QUIET_SECONDS)
    while time.monotonic() < end and not process_state.stopping.is_set():
        stored = _consume_stored(broker, deliveries)
        if not stored:
            break
        for group in _split_by_statement(stored):
            _mark_together(broker, group)
            broker.channel.basic_ack(group[-1].tag, multiple=True)
    broker.channel.cancel()  # requeues prefetched messages


def _consume_stored(broker: Broker, deliveries: Iterator[Any]) -> list[_Stored]:
    """Consume messages for a statement or two; set aside bodies that are not stored events."""
    stored: list[_Stored] = []
    size = marks = 0
    while len(stored) < AT_ONCE and size < AT_ONCE_BYTES and marks < MARKS_AT_ONCE:
        method, _properties, body = next(deliveries)
        if method is None:
            break
        size += len(body)
        try:
            stored.append(_Stored(method.delivery_tag, body, decode(body)))
        except ValueError as error:
            _set_aside(broker, body, error)
            broker.channel.basic_ack(method.delivery_tag)
        else:
            marks += len(stored[-1].marks)
    return stored


def _split_by_statement(stored: Sequence[_Stored]) -> Iterator[list[_Stored]]:
    """Split messages, in order, into groups for one statement; a larger message has its own."""
    group: list[_Stored] = []
    marks = 0
    for message in stored:
        if group and marks + len(message.marks) > MARKS_AT_ONCE:
            yield group
            group, marks = [], 0
        group.append(message)
        marks += len(message.marks)
    if group:
        yield group


def _mark_together(broker: Broker, stored: Sequence[_Stored]) -> None:
    """Mark all with one statement; if it fails, go one by one and set aside what is rejected."""
    try:
        _mark([mark for message in stored for mark in message.marks])
    except (DataError, IntegrityError) as error:
        if len(stored) == 1:
            _set_aside(broker, stored[0].body, error)
            return
        for message in stored:
            _mark_together(broker, [message])


def _mark(marks: Marks) -> None:
    publisher().wake_together(ledger.mark_all(marks))
    process_state.wake.set()
    marked = sorted({odoo_id for odoo_id, _ in marks})
    with logging_about(order=marked, cause=",".join(sorted({mark.cause for _, mark in marks}))):
        logger.info("%d BC marked from the fallback queue: %s", len(marked), shorten_ids(marked))


def _set_aside(broker: Broker, body: bytes, error: Exception) -> None:
    logger.error("Unreadable events in %s go to %s: %s", FALLBACK_QUEUE, UNDECODABLE_QUEUE, error)
    broker.ensure_plain_queue(UNDECODABLE_QUEUE)
    publish(broker.channel, UNDECODABLE_QUEUE, body)


def _send_again(broker: Broker) -> None:
    """Send messages again for overdue rows if the queue is empty and has consumers."""
    broker.declare_queue(settings.RABBITMQ_QUEUE, ensure=True)
    queue = broker.channel.queue_declare(settings.RABBITMQ_QUEUE, passive=True).method
    if queue.message_count == 0 and queue.consumer_count > 0:
        overdue = ledger.take_overdue(settings.RESEND_SECONDS, RESEND_LIMIT)
        if overdue:
            with logging_about(order=overdue):
                logger.info("%d messages sent again: BC %s", len(overdue), overdue)
            publisher().wake(overdue)
    connection.close_if_unusable_or_obsolete()
