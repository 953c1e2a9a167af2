"""Take an event in durably: into the ledger, or onto RabbitMQ while the database is away.

Odoo 17 and 18 hold their user's transaction while they wait for the webhook's answer (measured), so
nothing here waits longer than the two deadlines in the settings.
"""

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from bc_consumer import ledger
from bc_consumer.deadline import database_deadline
from bc_consumer.models import Event, Lane, PendingBC
from bc_consumer.publisher import publisher

logger = logging.getLogger(__name__)

PROBE_SECONDS = 0.5
AWAY = (DatabaseError, InterfaceError)


class IntakeUnavailable(Exception):
    """Neither the database nor RabbitMQ could take the event: the caller must send it again."""


def accept(odoo_ids: Sequence[int], mark: ledger.Mark) -> str:
    """Take in that these orders may have changed; return where that is kept now.

    ``"ledger"``: committed in the database. ``"queue"``: confirmed by RabbitMQ; the sweeper brings
    it into the ledger. Raises IntakeUnavailable when neither could do it in time.
    """
    if database_gate().usable:
        try:
            with database_deadline(settings.WEBHOOK_DATABASE_SECONDS):
                needs_message = ledger.mark(odoo_ids, mark)
        except AWAY as error:
            database_gate().trip(error)
        else:
            publisher().wake(needs_message)
            return "ledger"
    if publisher().store(encode(odoo_ids, mark), settings.WEBHOOK_BROKER_SECONDS):
        return "queue"
    raise IntakeUnavailable


def encode(odoo_ids: Sequence[int], mark: ledger.Mark) -> bytes:
    """Return the fallback queue's message: the ids and the mark, as JSON."""
    return json.dumps({"ids": list(odoo_ids), **asdict(mark)}).encode()


def decode(body: bytes) -> tuple[list[int], ledger.Mark]:
    """Read a message of :func:`encode`; raises ValueError when it is none."""
    try:
        values: dict[str, Any] = json.loads(body)
        ids = [int(odoo_id) for odoo_id in values.pop("ids")]
        event, lane = Event(values.pop("event")), Lane(values.pop("lane"))
        return ids, ledger.Mark(event=event, lane=lane, **values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a stored event: {error!r}") from error


class DatabaseGate:
    """Closed after a failure, so that only the first requests of an outage wait for it.

    A thread probes the ledger meanwhile and opens the gate again; no request has to.
    """

    def __init__(self) -> None:
        self.usable = True
        self._lock = threading.Lock()

    def trip(self, error: Exception) -> None:
        """Close the gate and start probing, unless that is so already."""
        connection.close()
        with self._lock:
            if not self.usable:
                return
            self.usable = False
        logger.error("The database is away; events go to RabbitMQ meanwhile: %s", error)
        threading.Thread(target=self._probe, name="database-probe", daemon=True).start()

    def _probe(self) -> None:
        pause = threading.Event()
        while not pause.wait(PROBE_SECONDS):
            try:
                with database_deadline(settings.WEBHOOK_DATABASE_SECONDS):
                    # Takes the locks that a mark takes, and changes nothing.
                    PendingBC.objects.filter(pk=-1).update(marks=0)
            except AWAY:
                connection.close()
            else:
                break
        connection.close()
        self.usable = True
        logger.warning("The database is back; events go to the ledger again")


@cache
def database_gate() -> DatabaseGate:
    """Return this process's gate."""
    return DatabaseGate()
