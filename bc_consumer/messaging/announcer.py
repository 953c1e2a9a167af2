"""Publishes applied changes to a RabbitMQ topic exchange, each at least once and in order.

The changes are read from the journal in the order of their versions. One row stores the last
version announced. The announcer that holds the lease on that row publishes, so that only one does
at a time, in any process. If it dies, the next one continues from the row. Neither the copy nor a
webhook waits for it.
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
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from bc_consumer.core import process_state
from bc_consumer.messaging.broker import Broker
from bc_consumer.messaging.publisher import FAILURES
from bc_consumer.models import AnnouncedVersion, JournalEntry, VersionCounter

logger = logging.getLogger(__name__)

AT_ONCE = 100
"""Most changes published under one lease. As many may be published again when an announcer is
killed."""
TURN_SECONDS = 5.0
"""Longest time to publish under one lease, well below ``LEASE``."""
LEASE = timedelta(seconds=30)
"""Time after which an announcer that was killed, or hangs, is replaced."""
LONGEST_SLEEP_SECONDS = 1.0
"""Interval at which changes that other processes applied are looked for."""
HELD_SECONDS = 0.2
"""Delay before the next try while another announcer holds the lease."""
PAUSE_SECONDS = 2.0
"""Delay before the next try after a failure."""
ROW_ID = 1
"""Primary key of the only ``AnnouncedVersion`` row."""

_wake = threading.Event()


def wake() -> None:
    """Wake this process's announcer, if there is one, to look for changes now."""
    _wake.set()


class Announcer(threading.Thread):
    """Announces changes until the process stops.

    Ends at once when RabbitMQ or RABBITMQ_EXCHANGE is not configured.
    """

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="announcer", daemon=True)
        self._stopped = stop
        self._outage_logged = False

    def run(self) -> None:
        """Announce what is due whenever woken, and at least every LONGEST_SLEEP_SECONDS."""
        broker = dramatiq.get_broker()
        if not isinstance(broker, Broker) or not settings.RABBITMQ_EXCHANGE:
            return
        while not self._stopped.is_set():
            _wake.clear()
            pause = self._announce_waiting(broker)
            _wake.wait(pause)
        broker.drop_connection()
        connection.close()

    def _announce_waiting(self, broker: Broker) -> float:
        """Announce all changes that are waiting; return the seconds until the next look."""
        try:
            broker.answer_heartbeats()
            while (count := announce(broker)) and not self._stopped.is_set():
                logger.debug("%d changes announced", count)
        except FAILURES as error:
            broker.drop_connection()
            self._log_outage(error)
            return PAUSE_SECONDS
        except DatabaseFailure as error:
            connection.close()
            logger.warning("The announcer waits for the database: %s", error)
            return PAUSE_SECONDS
        except Exception:
            logger.exception("The announcer had an unexpected internal error and carries on")
            return PAUSE_SECONDS
        self._outage_logged = False
        return LONGEST_SLEEP_SECONDS if count is not None else HELD_SECONDS

    def _log_outage(self, error: Exception) -> None:
        level = logging.DEBUG if self._outage_logged else logging.WARNING
        self._outage_logged = True
        logger.log(
            level,
            "Changes can't be announced on the exchange %s until RabbitMQ is back: %r",
            settings.RABBITMQ_EXCHANGE,
            error,
        )


def announce(broker: Broker) -> int | None:
    """Publish the next changes, ``AT_ONCE`` at most; return how many RabbitMQ confirmed.

    Returns None when another announcer holds the lease. Raises one of ``publisher.FAILURES`` when
    RabbitMQ does not confirm a change; those confirmed before are recorded as announced.
    """
    if not _has_waiting():
        return 0
    token = uuid.uuid4()
    first = _take_lease(token)
    if first is None:
        return None
    confirmed = first
    count = 0
    began = time.monotonic()
    # Keep no transaction open while publishing: RabbitMQ may be slow.
    try:
        entries = JournalEntry.objects.filter(version__gt=first).order_by("version")
        for entry in entries[:AT_ONCE]:
            _publish(broker, entry)
            confirmed = entry.version or confirmed
            count += 1
            if process_state.stopping.is_set() or time.monotonic() - began > TURN_SECONDS:
                break
    finally:
        _end_lease(token, confirmed)
    return count


def waiting() -> int:
    """Return how many applied changes are not announced yet; 0 before the very first look."""
    announced = AnnouncedVersion.objects.filter(pk=ROW_ID).values_list("version", flat=True).first()
    if announced is None:
        return 0
    return _last_version() - announced


def _last_version() -> int:
    return VersionCounter.objects.values_list("last", flat=True).get(pk=VersionCounter.ONLY)


def _has_waiting() -> bool:
    """Return whether a change is waiting, so that an idle announcer takes no lease.

    On the very first look it records the current version, and returns False.
    """
    row = AnnouncedVersion.objects.filter(pk=ROW_ID).first()
    if row is None:
        # The first announcer begins with the changes that are applied from now on.
        first = AnnouncedVersion(pk=ROW_ID, version=_last_version())
        AnnouncedVersion.objects.bulk_create([first], ignore_conflicts=True)
        return False
    return JournalEntry.objects.filter(version__gt=row.version).exists()


def _take_lease(token: uuid.UUID) -> int | None:
    """Take the lease; return the last version announced, or None when another announcer has it."""
    free = Q(leased_until__isnull=True) | Q(leased_until__lte=Now())
    free |= Q(leased_until__gt=Now() + LEASE)  # the clock was set back
    leased = AnnouncedVersion.objects.filter(free, pk=ROW_ID).update(
        token=token, leased_until=Now() + LEASE
    )
    if not leased:
        return None
    ours = AnnouncedVersion.objects.filter(pk=ROW_ID, token=token)
    return ours.values_list("version", flat=True).first()


def _end_lease(token: uuid.UUID, confirmed: int) -> None:
    """Record the last version confirmed and end the lease.

    If the lease has passed to another announcer nothing is recorded, and that one publishes these
    changes again.
    """
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
    """Return the message for a change: order, version and the names of what changed, no values."""
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
