"""Moves what RabbitMQ keeps aside to where operators see it: into the ledger, or into a table.

There are two such queues: dramatiq's dead letters (``<queue>.XQ``, messages that no worker could
process; RabbitMQ drops them after a week), and stored events that the sweeper could not read. A
message is acked after its import is committed, so that none is lost.
"""

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping
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
from bc_consumer.core.odoo_ids import HIGHEST_ID
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.shortening import cut_between_words
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import NOTHING, Message, joined, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.messaging.broker import Broker
from bc_consumer.messaging.intake import Marks, decode
from bc_consumer.messaging.publisher import (
    ACTOR,
    FURTHER_IDS,
    MOST_GATHERED,
    UNDECODABLE_QUEUE,
)
from bc_consumer.models import Alert, DeadLetter, Lane
from bc_consumer.operations.alerts import alert, resolve_alert

logger = logging.getLogger(__name__)

CAUSE = "dead letter"
ALERT = "dead letters"
UNDECODED = ("utf-8", "surrogateescape")
"""Decodes any bytes to a text, and back."""


@dataclass(frozen=True, slots=True)
class Imported:
    """How the messages were imported."""

    orders: int = 0
    """Orders that were marked."""
    kept: int = 0
    """Messages that name no order, kept in the table."""
    left: int = 0
    """Messages that are still in the queues, as far as RabbitMQ's count tells."""

    def outcome(self) -> Message:
        """Return what became of the messages, as it is recorded with the action."""
        return joined(
            " ",
            _(
                "Orders marked: %(orders)s. Messages that name no order, kept here: %(kept)s.",
                orders=self.orders,
                kept=self.kept,
            ),
            _("Still in RabbitMQ: %(count)s. Put them back, too.", count=self.left)
            if self.left
            else NOTHING,
        )


def queues() -> tuple[str, str]:
    """Return the names of the two queues."""
    return xq_name(settings.RABBITMQ_QUEUE), UNDECODABLE_QUEUE


def waiting(broker: Broker) -> Mapping[str, int]:
    """Count the messages in both queues. Raises pika's errors if RabbitMQ is away.

    A message that was just requeued may be missing: RabbitMQ answers this question before it
    handles earlier nacks on the same channel (measured with 3.10 on a busy machine, two times in
    five), although ``basic_get`` would find it.
    """
    broker.declare_queue(settings.RABBITMQ_QUEUE, ensure=True)
    broker.ensure_plain_queue(UNDECODABLE_QUEUE)
    channel: Any = broker.channel
    return {name: channel.queue_declare(name, passive=True).method.message_count
            for name in queues()}  # fmt: skip


def bring_in(broker: Broker, go_on: Callable[[int], bool] | None = None) -> Imported:
    """Import what is in both queues now.

    ``go_on`` is asked after each message, with the count of those that are done, and may raise.

    A message for an order marks the order in the bulk lane; so do events that turn out to be
    readable. Raises pika's errors if RabbitMQ is away and Django's if the database is; what was not
    imported is still in its queue.
    """
    orders: set[int] = set()
    done = kept = 0
    for queue in waiting(broker):
        # Not just the counted ones: RabbitMQ's count can lag behind.
        while go_on is None or go_on(done):
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
            done += 1
    return Imported(len(orders), kept, sum(alert_to_dead_letters(broker).values()))


def _bring_in(queue: str, body: bytes) -> set[int]:
    """Commit this message's import; return the orders that it marked."""
    try:
        marks = decode(body) if queue == UNDECODABLE_QUEUE else _marks_of(body)
        with transaction.atomic():
            ledger.mark_all(marks)
        return {odoo_id for odoo_id, _mark in marks}
    except (ValueError, OverflowError, DataError, IntegrityError) as error:
        _keep(queue, body, message_of(error))
        return set()


def _marks_of(body: bytes) -> Marks:
    """Read a message to our actor. Raises ValueError for any other message."""
    try:
        message: dramatiq.Message[None] = dramatiq.Message.decode(body)
    except DecodeError as error:
        raise ValueError(_("not a dramatiq message: %(error)s", error=repr(error))) from error
    if message.actor_name != ACTOR:
        raise ValueError(
            _('a message for "%(actor)s", which concerns no order', actor=message.actor_name)
        )
    further = message.options.get(FURTHER_IDS, [])
    ids = [*message.args, *(further if isinstance(further, list) else [further])]
    if len(message.args) != 1 or len(ids) > MOST_GATHERED or not all(map(_is_id, ids)):
        raise ValueError(_("not an order id: %(args)s", args=cut_between_words(repr(ids), 200)))
    return [(odoo_id, ledger.Mark(cause=CAUSE, lane=Lane.BULK)) for odoo_id in ids]


def _is_id(value: object) -> bool:
    return type(value) is int and 0 < value <= HIGHEST_ID


def _keep(queue: str, body: bytes, why: Message) -> None:
    """Store a message in the table, or raise its count if the same one is there."""
    why, kept = redacted(why), redacted(body.decode(*UNDECODED)).encode(*UNDECODED)
    logger.error("A message from %s is kept for an operator: %s", queue, why)
    now = database_now()
    letter, created = DeadLetter.objects.get_or_create(
        digest=hashlib.sha256(queue.encode() + b"\0" + body).hexdigest(),
        defaults={"queue": queue, "body": kept, "why": why, "first_at": now, "last_at": now},
    )
    if not created:
        DeadLetter.objects.filter(pk=letter.pk).update(count=F("count") + 1, last_at=Now())


def delete(keys: Collection[int]) -> int:
    """Delete kept messages, which somebody has dealt with; return how many were there."""
    count, _by_model = DeadLetter.objects.filter(pk__in=keys).delete()
    logger.warning("%d dead letters were deleted", count)
    return count


def alert_to_dead_letters(broker: Broker) -> Mapping[str, int]:
    """Alert people once while messages wait in the queues; resolve the alert when none do.

    Return how many wait, by queue.
    """
    found = {name: count for name, count in waiting(broker).items() if count}
    if not found:
        resolve_alert(ALERT, _("no unprocessed messages are left"))
        return found
    told = joined(
        ", ",
        *(_("%(count)s in %(queue)s", count=count, queue=name) for name, count in found.items()),
    )
    text = _(
        "RabbitMQ holds messages that could not be processed: %(queues)s. Bring them in: "
        "manage.py replay --dead-letters.",
        queues=told,
    )
    if not Alert.objects.filter(key=ALERT, text=text).exists():
        alert(ALERT, _("messages could not be processed"), text)
    return found
