"""Announces applied changes on a topic exchange of RabbitMQ: each at least once, in their order.

What is to be announced is in the journal, in the order of the versions; one row says how far it has
been. Whoever has leased that row announces, so there is one announcer at a time, in whichever
process; when it dies the next one goes on from the row. Nothing waits for it: neither the copy nor
a webhook.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import dramatiq
import pika
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q
from django.db.models.functions import Now

from bc_consumer.core import process_state
from bc_consumer.messaging.broker import Broker
from bc_consumer.messaging.publisher import FAILURES
from bc_consumer.models import AnnouncedVersion, JournalEntry, VersionCounter

logger = logging.getLogger(__name__)

AT_ONCE = 100
"""Changes announced in one turn: so many are announced again when an announcer is killed."""
TURN_SECONDS = 5.0
"""A turn ends then, however many are left: long before its lease does."""
LEASE = timedelta(seconds=30)
"""An announcer that was killed, or hangs, is replaced after so long."""
LONGEST_SLEEP_SECONDS = 1.0
"""How late a change is found that another process applied."""
HELD_SECONDS = 0.2
"""Before looking again at changes that another announcer seems to be telling."""
PAUSE_SECONDS = 2.0
"""After a failure."""
ROW_ID = 1

_wake = threading.Event()


def wake() -> None:
    """Let this process's announcer, if there is one, look at once."""
    _wake.set()


class Announcer(threading.Thread):
    """Announces until the process stops. Does nothing without RabbitMQ and RABBITMQ_EXCHANGE."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="announcer", daemon=True)
        self._stopped = stop
        self._away = False

    def run(self) -> None:
        """Look whenever woken, and every second."""
        broker = dramatiq.get_broker()
        if not isinstance(broker, Broker) or not settings.RABBITMQ_EXCHANGE:
            return
        while not self._stopped.is_set():
            _wake.clear()
            pause = self._look(broker)
            _wake.wait(pause)
        broker.drop_connection()
        connection.close()

    def _look(self, broker: Broker) -> float:
        """Announce all there is; return the seconds until the next look."""
        try:
            broker.answer_heartbeats()
            while (count := announce(broker)) and not self._stopped.is_set():
                logger.debug("%d changes announced", count)
        except FAILURES as error:
            broker.drop_connection()
            self._tell_away(error)
            return PAUSE_SECONDS
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            logger.warning("The announcer waits for the database: %s", error)
            return PAUSE_SECONDS
        except Exception:
            logger.exception("The announcer met an error of our own and goes on")
            return PAUSE_SECONDS
        self._away = False
        return LONGEST_SLEEP_SECONDS if count is not None else HELD_SECONDS

    def _tell_away(self, error: Exception) -> None:
        level = logging.DEBUG if self._away else logging.WARNING
        self._away = True
        logger.log(
            level,
            "Changes can't be announced on the exchange %s; they are when RabbitMQ lets us: %r",
            settings.RABBITMQ_EXCHANGE,
            error,
        )


def announce(broker: Broker) -> int | None:
    """Announce the next changes, ``AT_ONCE`` at most; return how many were confirmed.

    None: another process announces. Raises pika's AMQPError and its like when RabbitMQ does not
    take one; what it took before that is noted.
    """
    if not _any_waiting():
        return 0
    token = uuid.uuid4()
    first = _lease(token)
    if first is None:
        return None
    confirmed = first
    count = 0
    began = time.monotonic()
    # No transaction is open meanwhile: RabbitMQ may take its time.
    try:
        entries = JournalEntry.objects.filter(version__gt=first).order_by("version")
        for entry in entries[:AT_ONCE]:
            _publish(broker, entry)
            confirmed = entry.version or confirmed
            count += 1
            if process_state.stopping.is_set() or time.monotonic() - began > TURN_SECONDS:
                break
    finally:
        _give_back(token, confirmed)
    return count


def waiting() -> int:
    """Count the changes that are applied and not announced yet; 0 before the first look."""
    announced = AnnouncedVersion.objects.filter(pk=ROW_ID).values_list("version", flat=True).first()
    if announced is None:
        return 0
    return _last_version() - announced


def _last_version() -> int:
    return VersionCounter.objects.values_list("last", flat=True).get(pk=VersionCounter.ONLY)


def _any_waiting() -> bool:
    """Whether the lease is worth while: an idle announcer writes nothing."""
    row = AnnouncedVersion.objects.filter(pk=ROW_ID).first()
    if row is None:
        # The first announcer begins with what is applied from now on.
        first = AnnouncedVersion(pk=ROW_ID, version=_last_version())
        AnnouncedVersion.objects.bulk_create([first], ignore_conflicts=True)
        return False
    return JournalEntry.objects.filter(version__gt=row.version).exists()


def _lease(token: uuid.UUID) -> int | None:
    """Become the one announcer; return the version announced last, or None when another one is."""
    free = Q(leased_until__isnull=True) | Q(leased_until__lte=Now())
    free |= Q(leased_until__gt=Now() + LEASE)  # the clock was set back
    leased = AnnouncedVersion.objects.filter(free, pk=ROW_ID).update(
        token=token, leased_until=Now() + LEASE
    )
    if not leased:
        return None
    ours = AnnouncedVersion.objects.filter(pk=ROW_ID, token=token)
    return ours.values_list("version", flat=True).first()


def _give_back(token: uuid.UUID, confirmed: int) -> None:
    """Note how far we are and end the lease, if it is still ours: else others announce it again."""
    ours = AnnouncedVersion.objects.filter(pk=ROW_ID, token=token)
    ours.update(version=confirmed, token=None, leased_until=None)


def _publish(broker: Broker, entry: JournalEntry) -> None:
    exchange: str = settings.RABBITMQ_EXCHANGE
    broker.ensure_topic_exchange(exchange)
    channel: Any = broker.channel
    channel.basic_publish(
        exchange=exchange,
        routing_key=f"bc.{entry.outcome}",
        body=json.dumps(message(entry)).encode(),
        properties=pika.BasicProperties(
            delivery_mode=2,
            content_type="application/json",
            message_id=f"bc-{entry.odoo_id}-{entry.version}",
            timestamp=int(entry.at.timestamp()),
        ),
    )


def message(entry: JournalEntry) -> dict[str, Any]:
    """Return what is told of one change: order, version, names of what changed; no values."""
    changes: Mapping[str, Any] = entry.changes
    lines = changes.get("lines", {})
    return {
        "id": entry.odoo_id,
        "version": entry.version,
        "outcome": entry.outcome,
        "fields": sorted(changes.get("fields", ())),
        "lines": {
            how: sorted(map(int, lines[how]))
            for how in ("added", "changed", "deleted")
            if how in lines
        },
        "at": entry.at.isoformat(),
    }
