"""Brings events from the fallback queue into the ledger, and sends lost wake-ups again."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dramatiq
from django.conf import settings
from django.db import DataError, IntegrityError, connection

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.ledger.marks import in_short
from bc_consumer.messaging.broker import Broker, publish
from bc_consumer.messaging.intake import AT_ONCE as MARKS_AT_ONCE
from bc_consumer.messaging.intake import Marks, decode
from bc_consumer.messaging.publisher import FAILURES, FALLBACK_QUEUE, UNDECODABLE_QUEUE, publisher
from bc_consumer.operations import dead_letters

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks whether there are stored events: one question to RabbitMQ, no statement."""
AT_ONCE = 100
"""Stored events marked by one statement, if they hold no more than ``MARKS_AT_ONCE``: webhooks for
these orders wait until it is over. So many are sent to this process ahead."""
AT_ONCE_BYTES = 4 * 2**20
"""Of their bodies, together: larger ones are marked in several steps."""
LONGEST_SECONDS = 30.0
"""One round takes events in no longer than this; the next one goes on."""
QUIET_SECONDS = 0.1
"""Without a further stored event: there is none, or others have got it."""
RESEND_LIMIT = 20
"""Messages sent again by one sweep: each worker thread that wakes takes a whole batch."""


class Sweeper:
    """Does one round after the other; of one thread."""

    def __init__(self) -> None:
        self._all_at = 0.0

    def round(self) -> float:
        """Take stored events in, and do the rest when it is time; return how long to wait then.

        Raises Django's database errors; a broker that is away is no error.
        """
        if time.monotonic() < self._all_at:
            return LOOK_SECONDS if _with_rabbitmq(_take_in) else float(settings.SWEEP_SECONDS)
        sweep()
        self._all_at = time.monotonic() + settings.SWEEP_SECONDS
        return min(LOOK_SECONDS, settings.SWEEP_SECONDS)


def sweep() -> None:
    """Do one round of all. Raises Django's database errors; a broker that is away is no error."""
    _with_rabbitmq(_take_in, dead_letters.watch, _send_again)


def _with_rabbitmq(*steps: Callable[[Broker], None]) -> bool:
    """Do them, as far as RabbitMQ is there; tell whether it is."""
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
        broker.drop_connection()  # what was got and not acked goes back to its queue
        raise
    return True


def leave_rabbitmq() -> None:
    """Close this thread's connection: nobody else may, and the thread ends."""
    broker = dramatiq.get_broker()
    if isinstance(broker, Broker):
        broker.drop_connection()


@dataclass(frozen=True, slots=True)
class _Stored:
    """One message of the fallback queue."""

    tag: int
    body: bytes
    marks: Marks


def _take_in(broker: Broker) -> None:
    """Bring stored events into the ledger; ack each only when its mark is committed."""
    broker.ensure_plain_queue(FALLBACK_QUEUE)
    if not broker.channel.queue_declare(FALLBACK_QUEUE, passive=True).method.message_count:
        return
    # A ledger that takes no marks fails here, before messages are got and given back: RabbitMQ 4
    # drops one from a quorum queue that came back twenty times.
    ledger.mark_all([])
    end = time.monotonic() + LONGEST_SECONDS
    broker.channel.basic_qos(prefetch_count=AT_ONCE)
    deliveries = broker.channel.consume(FALLBACK_QUEUE, inactivity_timeout=QUIET_SECONDS)
    while time.monotonic() < end and not process_state.stopping.is_set():
        stored = _get(broker, deliveries)
        if not stored:
            break
        for together in _by_statement(stored):
            _mark_together(broker, together)
            broker.channel.basic_ack(together[-1].tag, multiple=True)
    broker.channel.cancel()  # gives back what was sent ahead


def _get(broker: Broker, deliveries: Iterator[Any]) -> list[_Stored]:
    """Get what a statement or two shall mark; bodies that are no stored event are set aside."""
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


def _by_statement(stored: Sequence[_Stored]) -> Iterator[list[_Stored]]:
    """Divide them, in their order, by what one statement takes; a larger one has its own."""
    together: list[_Stored] = []
    marks = 0
    for message in stored:
        if together and marks + len(message.marks) > MARKS_AT_ONCE:
            yield together
            together, marks = [], 0
        together.append(message)
        marks += len(message.marks)
    if together:
        yield together


def _mark_together(broker: Broker, stored: Sequence[_Stored]) -> None:
    """Mark by one statement; what the ledger can't hold is found one by one and set aside."""
    try:
        _mark([mark for message in stored for mark in message.marks])
    except (DataError, IntegrityError) as error:
        if len(stored) == 1:
            _set_aside(broker, stored[0].body, error)
            return
        for message in stored:
            _mark_together(broker, [message])


def _mark(marks: Marks) -> None:
    publisher().wake(ledger.mark_all(marks))
    process_state.wake.set()
    marked = sorted({odoo_id for odoo_id, _ in marks})
    logger.info("%d BC marked from the fallback queue: %s", len(marked), in_short(marked))


def _set_aside(broker: Broker, body: bytes, error: Exception) -> None:
    logger.error("Events in %s go to %s: %s", FALLBACK_QUEUE, UNDECODABLE_QUEUE, error)
    broker.ensure_plain_queue(UNDECODABLE_QUEUE)
    publish(broker.channel, UNDECODABLE_QUEUE, body)


def _send_again(broker: Broker) -> None:
    """Send messages for rows whose own went missing, where workers wait with nothing to do."""
    broker.declare_queue(settings.RABBITMQ_QUEUE, ensure=True)
    queue = broker.channel.queue_declare(settings.RABBITMQ_QUEUE, passive=True).method
    if queue.message_count == 0 and queue.consumer_count > 0:
        overdue = ledger.take_overdue(settings.RESEND_SECONDS, RESEND_LIMIT)
        if overdue:
            logger.info("%d messages sent again: BC %s", len(overdue), overdue)
            publisher().wake(overdue)
    connection.close_if_unusable_or_obsolete()
