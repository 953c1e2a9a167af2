"""Makes good what got lost on the way: stored events into the ledger, lost messages sent again."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import dramatiq
from django.conf import settings
from django.db import DataError, IntegrityError, connection

from bc_consumer import dead_letters, ledger, process
from bc_consumer.broker import Broker, publish
from bc_consumer.intake import Marks, decode
from bc_consumer.publisher import FAILURES, FALLBACK_QUEUE, UNDECODABLE_QUEUE, publisher

logger = logging.getLogger(__name__)

AT_ONCE = 200
"""Stored events marked by one statement."""
AT_ONCE_BYTES = 4 * 2**20
"""Of their bodies, together: larger ones are marked in several steps."""
LONGEST_SECONDS = 5.0
"""One sweep takes events in no longer than this; the next one goes on."""
RESEND_LIMIT = 20
"""Messages sent again by one sweep: each worker thread that wakes takes a whole batch."""


def sweep() -> None:
    """Do one round of all. Raises Django's database errors; a broker that is away is no error."""
    broker = dramatiq.get_broker()
    if not isinstance(broker, Broker):
        return
    try:
        _take_in(broker)
        dead_letters.watch(broker)
        _send_again(broker)
    except FAILURES as error:
        logger.debug("sweep: RabbitMQ is away: %r", error)
        broker.drop_connection()
    except Exception:
        broker.drop_connection()  # what was got and not acked goes back to its queue
        raise


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
    end = time.monotonic() + LONGEST_SECONDS
    while _depth(broker, FALLBACK_QUEUE) and time.monotonic() < end:
        if process.stopping.is_set():
            return
        # A ledger that takes no marks fails here, before a message is got and given back: RabbitMQ
        # 4 drops one from a quorum queue that came back twenty times.
        ledger.mark_all([])
        stored = _get(broker)
        _mark_together(broker, stored)
        for message in stored:
            broker.channel.basic_ack(message.tag)


def _depth(broker: Broker, queue: str) -> int:
    return int(broker.channel.queue_declare(queue, passive=True).method.message_count)


def _get(broker: Broker) -> list[_Stored]:
    """Get what one statement shall mark; bodies that are no stored event are set aside."""
    stored: list[_Stored] = []
    size = 0
    while len(stored) < AT_ONCE and size < AT_ONCE_BYTES:
        method, _properties, body = broker.channel.basic_get(FALLBACK_QUEUE)
        if method is None:
            break
        size += len(body)
        try:
            stored.append(_Stored(method.delivery_tag, body, decode(body)))
        except ValueError as error:
            _set_aside(broker, body, error)
            broker.channel.basic_ack(method.delivery_tag)
    return stored


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
    process.wake.set()
    marked = sorted({odoo_id for odoo_id, _ in marks})
    if marked:
        logger.info("BC %s marked from the fallback queue", marked)


def _set_aside(broker: Broker, body: bytes, error: Exception) -> None:
    logger.error("Events in %s go to %s: %s", FALLBACK_QUEUE, UNDECODABLE_QUEUE, error)
    broker.ensure_plain_queue(UNDECODABLE_QUEUE)
    publish(broker.channel, UNDECODABLE_QUEUE, body)


def _send_again(broker: Broker) -> None:
    """Send messages for rows whose own went missing, where workers wait with nothing to do."""
    broker.declare_queue(settings.RABBITMQ_QUEUE, ensure=True)
    queue = broker.channel.queue_declare(settings.RABBITMQ_QUEUE, passive=True).method
    if queue.message_count == 0 and queue.consumer_count > 0:
        overdue = ledger.unsent(settings.RESEND_SECONDS, RESEND_LIMIT)
        if overdue:
            logger.info("%d messages sent again: BC %s", len(overdue), overdue)
            publisher().wake(overdue)
    connection.close_if_unusable_or_obsolete()
