"""What RabbitMQ keeps aside, brought where operators see it: into the ledger, or into a table.

Two queues: dramatiq's dead letters (``<queue>.XQ``: messages that no worker could take; RabbitMQ
drops them after a week), and stored events that the sweeper could not read. A message is acked when
what became of it is committed, so that none vanishes.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dramatiq
from django.conf import settings
from django.db import DataError, IntegrityError, transaction
from django.db import Error as DatabaseFailure
from django.db.models import F
from django.db.models.functions import Now
from dramatiq.common import xq_name
from dramatiq.errors import DecodeError

from bc_consumer import ledger
from bc_consumer.core.redaction import redacted
from bc_consumer.core.redactor import beginning
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import Message, joined, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.messaging.broker import Broker
from bc_consumer.messaging.intake import Marks, decode
from bc_consumer.messaging.publisher import ACTOR, UNDECODABLE_QUEUE
from bc_consumer.models import Alert, DeadLetter, Lane
from bc_consumer.odoo.orders import HIGHEST_ID
from bc_consumer.operations.alerts import alert, over

logger = logging.getLogger(__name__)

CAUSE = "dead letter"
ALERT = "dead letters"
UNDECODED = ("utf-8", "surrogateescape")
"""Any bytes as a text, and back."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the messages."""

    orders: int = 0
    """Orders that were marked."""
    kept: int = 0
    """Messages that name no order, kept in the table."""


def queues() -> tuple[str, str]:
    """Return the names of both queues."""
    return xq_name(settings.RABBITMQ_QUEUE), UNDECODABLE_QUEUE


def waiting(broker: Broker) -> Mapping[str, int]:
    """Count the messages in both queues. Raises pika's errors when RabbitMQ is away.

    A message that has just been given back may be missing: RabbitMQ answers this question before it
    deals with what was nacked earlier on the same channel (measured with 3.10, on a busy machine:
    two times in five), while ``basic_get`` finds it.
    """
    broker.declare_queue(settings.RABBITMQ_QUEUE, ensure=True)
    broker.ensure_plain_queue(UNDECODABLE_QUEUE)
    channel: Any = broker.channel
    return {name: channel.queue_declare(name, passive=True).method.message_count
            for name in queues()}  # fmt: skip


def bring_in(broker: Broker) -> Imported:
    """Import what is in both queues now.

    A message for an order marks it, in the bulk lane; so do events that can be read after all.
    Raises pika's errors when RabbitMQ is away and Django's when the database is: what was not
    brought in is still in its queue.
    """
    orders: set[int] = set()
    kept = 0
    for queue in waiting(broker):
        while True:  # not as many as were counted: RabbitMQ's count can lag behind
            method, _properties, body = broker.channel.basic_get(queue)
            if method is None:
                break
            try:
                marked = _bring_in(queue, bytes(body))
            except DatabaseFailure:
                broker.channel.basic_nack(method.delivery_tag, requeue=True)
                raise
            broker.channel.basic_ack(method.delivery_tag)
            orders.update(marked)
            kept += not marked
    watch(broker)
    return Imported(len(orders), kept)


def _bring_in(queue: str, body: bytes) -> set[int]:
    """Commit what this message comes to; return the orders that it marked."""
    try:
        marks = decode(body) if queue == UNDECODABLE_QUEUE else _order_of(body)
        with transaction.atomic():
            ledger.mark_all(marks)
        return {odoo_id for odoo_id, _mark in marks}
    except (ValueError, OverflowError, DataError, IntegrityError) as error:
        _keep(queue, body, message_of(error))
        return set()


def _order_of(body: bytes) -> Marks:
    """Read a message of our actor; ValueError for any other."""
    try:
        message: dramatiq.Message[None] = dramatiq.Message.decode(body)
    except DecodeError as error:
        raise ValueError(_("not a message of dramatiq's: %(error)s", error=repr(error))) from error
    if message.actor_name != ACTOR:
        raise ValueError(
            _("a message for «%(actor)s», which is about no order", actor=message.actor_name)
        )
    match message.args:
        case (int(odoo_id),) | [int(odoo_id)] if 0 < odoo_id <= HIGHEST_ID:
            return [(odoo_id, ledger.Mark(cause=CAUSE, lane=Lane.BULK))]
    raise ValueError(_("no id of an order: %(args)s", args=beginning(repr(message.args), 200)))


def _keep(queue: str, body: bytes, why: Message) -> None:
    """Put a message into the table, where the same one counts once more."""
    why, kept = redacted(why), redacted(body.decode(*UNDECODED)).encode(*UNDECODED)
    logger.error("A message in %s is kept for a person: %s", queue, why)
    now = database_now()
    letter, created = DeadLetter.objects.get_or_create(
        digest=hashlib.sha256(queue.encode() + b"\0" + body).hexdigest(),
        defaults={"queue": queue, "body": kept, "why": why, "first_at": now, "last_at": now},
    )
    if not created:
        DeadLetter.objects.filter(pk=letter.pk).update(count=F("count") + 1, last_at=Now())


def watch(broker: Broker) -> None:
    """Tell people, once, that something is waiting there; take it back when nothing is."""
    found = {name: count for name, count in waiting(broker).items() if count}
    if not found:
        over(ALERT)
        return
    told = joined(
        ", ",
        *(_("%(count)s in %(queue)s", count=count, queue=name) for name, count in found.items()),
    )
    text = _(
        "RabbitMQ keeps messages aside: %(queues)s. manage.py replay --dead-letters brings"
        " them in.",
        queues=told,
    )
    if not Alert.objects.filter(key=ALERT, text=text).exists():
        alert(ALERT, _("messages were kept aside"), text)
