"""Announces applied changes on a topic exchange of RabbitMQ: each at least once, in their order.

What is to be announced is in the journal, in the order of the versions; one row says how far it has
been. Whoever holds that row's lock announces, so there is one announcer at a time, in whichever
process; when it dies the next one goes on from the row. Nothing waits for it: neither the copy nor
a webhook.
"""

import json
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

import dramatiq
import pika
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction

from bc_consumer import process
from bc_consumer.broker import Broker
from bc_consumer.models import AnnouncedVersion, JournalEntry, VersionCounter
from bc_consumer.publisher import FAILURES
from bc_consumer.versions import COUNTER_ID

logger = logging.getLogger(__name__)

AT_ONCE = 100
"""Changes announced in one turn: so many are announced again when an announcer is killed."""
TURN_SECONDS = 5.0
"""A turn keeps a transaction open, and a slow RabbitMQ must not keep it for long."""
LONGEST_SLEEP_SECONDS = 1.0
"""How late a change is found that another process applied."""
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
        connection.close()

    def _look(self, broker: Broker) -> float:
        """Announce all there is; return the seconds until the next look."""
        try:
            broker.answer_heartbeats()
            while announce(broker) and not self._stopped.is_set():
                pass
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
        return LONGEST_SLEEP_SECONDS

    def _tell_away(self, error: Exception) -> None:
        level = logging.DEBUG if self._away else logging.WARNING
        self._away = True
        logger.log(
            level,
            "Changes can't be announced on the exchange %s; they are when RabbitMQ lets us: %r",
            settings.RABBITMQ_EXCHANGE,
            error,
        )


def announce(broker: Broker) -> int:
    """Announce the next changes, ``AT_ONCE`` at most; return how many were confirmed.

    Raises pika's AMQPError and its like when RabbitMQ does not take one: what it took before that
    is noted. Waits while another process announces.
    """
    if not _any_waiting():
        return 0
    failure: Exception | None = None
    with transaction.atomic():
        row = _locked_row()
        began, confirmed = time.monotonic(), 0
        entries = JournalEntry.objects.filter(version__gt=row.version).order_by("version")
        try:
            for entry in entries[:AT_ONCE]:
                _publish(broker, entry)
                row.version = entry.version or row.version
                confirmed += 1
                if process.stopping.is_set() or time.monotonic() - began > TURN_SECONDS:
                    break
        except FAILURES as error:
            # Not raised in here: that would roll back what the others' confirms have earned.
            failure = error
        if confirmed:
            row.save()
    if failure is not None:
        raise failure
    return confirmed


def waiting() -> int:
    """Count the changes that are applied and not announced yet; 0 before the first look."""
    announced = AnnouncedVersion.objects.filter(pk=ROW_ID).values_list("version", flat=True).first()
    if announced is None:
        return 0
    return _last_version() - announced


def _last_version() -> int:
    return VersionCounter.objects.values_list("last", flat=True).get(pk=COUNTER_ID)


def _any_waiting() -> bool:
    """Whether a look at the row under its lock is worth while: idle announcers write nothing."""
    row = AnnouncedVersion.objects.filter(pk=ROW_ID).first()
    return row is None or JournalEntry.objects.filter(version__gt=row.version).exists()


def _locked_row() -> AnnouncedVersion:
    """Lock the row. The first announcer begins with what is applied from now on."""
    rows = AnnouncedVersion.objects.select_for_update()
    row = rows.filter(pk=ROW_ID).first()
    if row is None:
        first = AnnouncedVersion(pk=ROW_ID, version=_last_version())
        AnnouncedVersion.objects.bulk_create([first], ignore_conflicts=True)
        row = rows.get(pk=ROW_ID)
    return row


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
