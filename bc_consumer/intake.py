"""Take events in durably: into the ledger, or onto RabbitMQ while the database is away.

Odoo 17 and 18 hold their user's transaction while they wait for the webhook's answer (measured), so
an answer must come in time whatever is down. One thread a process takes in whatever has come
meanwhile, by one statement: a hundred webhooks at once cost the database one connection and a few
commits, and in an outage only one batch waits for the deadline.
"""

import json
import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from bc_consumer import ledger
from bc_consumer.deadline import database_deadline
from bc_consumer.message import gettext as _
from bc_consumer.models import Event, Lane, PendingBC
from bc_consumer.publisher import publisher
from bc_consumer.scan_request import request_scan

logger = logging.getLogger(__name__)

PROBE_SECONDS = 0.5
HOPELESS_SECONDS = 2.0
"""Of both being away, after which requests are refused without another try."""
AT_ONCE = 500
"""Marks taken in by one statement; a request may bring a thousand by itself."""
LARGEST_ID = 2**31 - 1
"""Odoo's ids are PostgreSQL integers."""
SPARE_SECONDS = 0.04
"""Of the time to answer, for everything but waiting."""
BEGIN_SECONDS = 2.0
"""To connect in, when no request waits yet."""
LEAST_SECONDS = 0.01
"""With less time left nothing is begun."""
AWAY = (DatabaseError, InterfaceError)

Marks = list[tuple[int, ledger.Mark]]


class IntakeUnavailable(Exception):
    """Neither the database nor RabbitMQ could take the event: the caller must send it again."""


def accept(odoo_ids: Sequence[int], mark: ledger.Mark) -> str:
    """Take in that these orders may have changed; return where that is kept now.

    ``"ledger"``: committed in the database. ``"queue"``: confirmed by RabbitMQ; the sweeper brings
    it into the ledger. Raises IntakeUnavailable when neither could do it in time.
    """
    gate = intake().gate
    arrival = _Arrival([(odoo_id, mark) for odoo_id in odoo_ids])
    if not gate.hopeless or publisher().usable:
        intake().put(arrival)
        try:
            if kept_in := arrival.kept_in.result(settings.WEBHOOK_ANSWER_SECONDS):
                return kept_in
        except FutureTimeoutError:
            pass
    gate.refused()
    raise IntakeUnavailable


def encode(marks: Marks) -> bytes:
    """Return the fallback queue's message: each mark with its orders' ids, as JSON."""
    groups: dict[ledger.Mark, list[int]] = {}
    for odoo_id, mark in marks:
        groups.setdefault(mark, []).append(odoo_id)
    return json.dumps([{"ids": ids, **asdict(mark)} for mark, ids in groups.items()]).encode()


def decode(body: bytes) -> Marks:
    """Read a message of :func:`encode`; raises ValueError when it is none."""
    try:
        marks = [mark for values in json.loads(body) for mark in _decoded(**values)]
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(_("not a stored event: %(error)s", error=repr(error))) from error
    if not marks:
        raise ValueError(_("not a stored event: it names no order"))
    return marks


def _decoded(*, ids: Any, event: Any, lane: Any, **others: Any) -> Marks:
    mark = ledger.Mark(event=Event(event), lane=Lane(lane), **others)
    for value, type_ in ((mark.cause, str), (mark.payload, str), (mark.early, bool)):
        if not isinstance(value, type_):
            raise TypeError(f"{value!r} is no {type_.__name__}")
    for number in (*ids, 1 if mark.run is None else mark.run):
        if type(number) is not int or not 0 < number <= LARGEST_ID:
            raise ValueError(f"{number!r} is no id")
    return [(odoo_id, mark) for odoo_id in ids]


@dataclass(frozen=True, slots=True)
class _Arrival:
    marks: Marks
    kept_in: "Future[str]" = field(default_factory=Future)


class Intake(threading.Thread):
    """See the module. Daemon: what it has not answered was not promised."""

    def __init__(self) -> None:
        super().__init__(name="intake", daemon=True)
        self.begun = threading.Event()
        """It has tried to connect, and now takes in whatever comes."""
        self.gate = DatabaseGate()
        self._arrivals: queue.SimpleQueue[_Arrival | None] = queue.SimpleQueue()

    def put(self, arrival: _Arrival) -> None:
        """Hand one request's marks over; its future tells where they are kept."""
        self._arrivals.put(arrival)

    def close(self) -> None:
        """Take in what has come, and end."""
        self._arrivals.put(None)
        self.join()

    def run(self) -> None:
        """Take in until closed."""
        self._begin()
        self.begun.set()
        while (first := self._arrivals.get()) is not None:
            batch = self._with_whatever_came(first)
            kept_in = ""
            try:
                kept_in = self._keep([mark for arrival in batch for mark in arrival.marks])
            except Exception:
                logger.exception("%d events could not be taken in", len(batch))
            for arrival in batch:
                arrival.kept_in.set_result(kept_in)
        connection.close()

    def _begin(self) -> None:
        """Connect before the first request has to wait for that.

        Whatever was sent while there was no web process is lost: a scan has to find it.
        """
        self.gate.refused()
        try:
            with database_deadline(BEGIN_SECONDS):
                ledger.mark_all([])
                self.gate.ask_for_what_was_refused()
        except AWAY as error:
            self.gate.trip(error)

    def _with_whatever_came(self, first: _Arrival) -> list[_Arrival]:
        batch = [first]
        count = len(first.marks)
        while count < AT_ONCE and not self._arrivals.empty():
            arrival = self._arrivals.get()
            if arrival is None:
                self._arrivals.put(None)
                break
            batch.append(arrival)
            count += len(arrival.marks)
        return batch

    def _keep(self, marks: Marks) -> str:
        """Try ledger and RabbitMQ within the time to answer; return where it is kept, or ""."""
        until = time.monotonic() + settings.WEBHOOK_ANSWER_SECONDS - SPARE_SECONDS
        if not publisher().usable:
            # A slow moment of the database must not refuse what nobody else can take.
            return self._ledger(marks, until - time.monotonic()) or self._queue(
                marks, until - time.monotonic()
            )
        return (
            self._ledger(marks, settings.WEBHOOK_DATABASE_SECONDS if self.gate.usable else 0.0)
            or self._queue(marks, settings.WEBHOOK_BROKER_SECONDS)
            or self._ledger(marks, until - time.monotonic())
        )

    def _ledger(self, marks: Marks, seconds: float) -> str:
        if seconds < LEAST_SECONDS:
            return ""
        try:
            with database_deadline(seconds):
                needs_message = ledger.mark_all(marks)
        except AWAY as error:
            self.gate.trip(error)
            return ""
        self.gate.open()
        publisher().wake(needs_message)
        return "ledger"

    def _queue(self, marks: Marks, seconds: float) -> str:
        kept = seconds >= LEAST_SECONDS and publisher().store(encode(marks), seconds)
        return "queue" if kept else ""


@cache
def intake() -> Intake:
    """Return this process's intake, started at the first use (after any fork)."""
    thread = Intake()
    thread.start()
    return thread


class DatabaseGate:
    """Closed after a failure, so that only the first requests of an outage wait for it.

    A thread probes the ledger meanwhile and opens the gate again; no request has to.
    """

    def __init__(self) -> None:
        self.usable = True
        self._closed_at = 0.0
        self._lock = threading.Lock()
        self._events_were_refused = False

    @property
    def hopeless(self) -> bool:
        """Whether it has been closed for so long that another try is not worth the wait."""
        return not self.usable and time.monotonic() - self._closed_at > HOPELESS_SECONDS

    def trip(self, error: Exception) -> None:
        """Close the gate and start probing, unless that is so already."""
        connection.close()
        with self._lock:
            if not self.usable:
                return
            self.usable = False
            self._closed_at = time.monotonic()
        logger.error("The database is away; events go to RabbitMQ meanwhile: %s", error)
        threading.Thread(target=self._probe, name="database-probe", daemon=True).start()

    def open(self) -> None:
        """Let events go to the ledger again, if they did not."""
        with self._lock:
            if self.usable:
                return
            self.usable = True
        logger.warning("The database is back; events go to the ledger again")

    def refused(self) -> None:
        """Remember that an event was lost: its sender may never send it again."""
        self._events_were_refused = True

    def ask_for_what_was_refused(self) -> None:
        """Have events that were refused found by a scan. Raises Django's database errors."""
        if not self._events_were_refused:
            return
        self._events_were_refused = False
        try:
            request_scan()
        except AWAY:
            self._events_were_refused = True
            raise

    def _probe(self) -> None:
        pause = threading.Event()
        while not pause.wait(PROBE_SECONDS):
            try:
                with database_deadline(settings.WEBHOOK_DATABASE_SECONDS):
                    # Takes the locks that a mark takes, and changes nothing.
                    PendingBC.objects.filter(pk=-1).update(marks=0)
                    self.ask_for_what_was_refused()
            except AWAY:
                connection.close()
            else:
                break
        connection.close()
        self.open()
