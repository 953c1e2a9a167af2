"""Makes good what got lost on the way: stored events into the ledger, lost messages sent again."""

import logging
from typing import Any

import dramatiq
from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection

from bc_consumer import ledger
from bc_consumer.broker import Broker, publish
from bc_consumer.intake import decode
from bc_consumer.publisher import FAILURES, FALLBACK_QUEUE, publisher

logger = logging.getLogger(__name__)

UNDECODABLE_QUEUE = f"{FALLBACK_QUEUE}.undecodable"
"""Bodies that are no stored event: kept for a person, out of the others' way."""
AT_ONCE = 500
"""Stored events taken in by one sweep, so that a sweep ends."""
RESEND_LIMIT = 20
"""Messages sent again by one sweep: each worker thread that wakes takes a whole batch."""


def sweep() -> None:
    """Do one round of both. Raises Django's database errors; a broker that is away is no error."""
    broker = dramatiq.get_broker()
    if not isinstance(broker, Broker):
        return
    try:
        _take_in(broker)
        _send_again(broker)
    except FAILURES as error:
        logger.debug("sweep: RabbitMQ is away: %r", error)
        broker.drop_connection()


def _take_in(broker: Broker) -> None:
    """Bring stored events into the ledger; ack each only when its mark is committed."""
    broker.ensure_plain_queue(FALLBACK_QUEUE)
    channel: Any = broker.channel
    for _ in range(AT_ONCE):
        method, _properties, body = channel.basic_get(FALLBACK_QUEUE)
        if method is None:
            return
        try:
            marks = decode(body)
            needs_message = ledger.mark_all(marks)
        except (ValueError, DataError, IntegrityError) as error:
            logger.error("Events in %s go to %s: %s", FALLBACK_QUEUE, UNDECODABLE_QUEUE, error)
            broker.ensure_plain_queue(UNDECODABLE_QUEUE)
            publish(channel, UNDECODABLE_QUEUE, body)
        except (DatabaseError, InterfaceError):
            channel.basic_nack(method.delivery_tag, requeue=True)
            raise
        else:
            publisher().wake(needs_message)
            marked = sorted({odoo_id for odoo_id, _ in marks})
            logger.info("BC %s marked from the fallback queue", marked)
        channel.basic_ack(method.delivery_tag)


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
