"""Stores events durably: in the ledger, or on RabbitMQ while the database is away.

Odoo 17 and 18 keep their user's transaction open while they wait for the webhook's answer, for at
most one second (measured), so the answer must come in time whatever is down. One thread per process
stores everything that has arrived meanwhile with one statement: a hundred simultaneous webhooks
cost the database one connection and a few commits, and during an outage only one batch waits.

A slow answer costs a moment; a refused event costs a scan. Therefore a database that is slow but
shows that it is alive gets most of that second, and one that does not is abandoned much sooner
(``ledger/database_gate.py``).
"""

import asyncio
import contextlib
import json
import logging
import queue
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.counters import totals
from bc_consumer.core.database_deadline import database_deadline, installed
from bc_consumer.core.log_context import logging_about
from bc_consumer.core.odoo_ids import HIGHEST_ID
from bc_consumer.core.translatable import gettext as _
from bc_consumer.ledger.database_gate import DatabaseGate, LivenessProbe, StatementWait, Verdict
from bc_consumer.messaging.publisher import publisher
from bc_consumer.models import Event, Lane
from bc_consumer.models.metrics import REFUSED, WEBHOOK_EVENTS

logger = logging.getLogger(__name__)

AT_ONCE = 2_000
"""Most marks in one statement, which then takes 30 ms (measured on two cores). A batch body has up
to a thousand; a request with more than this gets a statement of its own."""
AT_ONCE_CHARACTERS = 2**20
"""Most characters of payload in one statement, and in one message of the fallback queue."""
FEW = 10
"""A request with more marks than this is a large one. Each of Odoo's own requests has one."""
ODOO_WAITS_SECONDS = 1.0
"""Odoo's timeout: ``requests.post(…, timeout=1)`` in Odoo 17, 18 and 19 (measured)."""

# A share is a fraction of WEBHOOK_ANSWER_SECONDS.
LEAST_SHARE = 0.25
"""Share that each event gets, however late it reaches a thread or a batch."""
RABBITMQ_SHARE = 0.25
"""Share reserved for RabbitMQ in case a slow statement is abandoned."""
LAST_SHARE = 0.06
"""Share reserved for RabbitMQ when an event is late."""
LATE_SHARE = 0.125
"""A request with less than this share left does not count when a statement's deadline is chosen."""
HURRY = 1.5
"""A large request goes to RabbitMQ when less time is left than this many times the duration of the
latest statement for large ones."""
SLOW_SHARE = 0.5
"""A live database that took more than this share for one statement closes the gate."""
AWAY_SECONDS = 0.22
"""Time to answer once the database is known to be away: a longer one would gain nothing."""
LATELY = 2.0
"""The database may be silent for this many times the slowest recent statement: a machine so busy
that statements take 100 ms may deny a healthy server a processor for as long again."""
FORGET = 0.9
"""Factor by which each statement reduces the slowest one remembered."""
LONGEST_SILENCE_SHARE = 0.2
"""Longest silence that is tolerated, as a share, however slow recent statements were: with
RabbitMQ's time after it the answer still comes within 300 ms."""
ALONE = 1.5
"""Factor by which the database may be silent longer while RabbitMQ cannot take the event."""
BEGIN_SECONDS = 2.0
"""Deadline for connecting at the start, while no request is waiting."""
LEAST_SECONDS = 0.01
"""Nothing is begun with less time left than this."""

Marks = list[tuple[int, ledger.Mark]]


class IntakeUnavailable(Exception):
    """Neither the database nor RabbitMQ stored the event; the caller must send it again."""


def accept(odoo_ids: Sequence[int], mark: ledger.Mark, *, arrived: float | None = None) -> str:
    """Store durably that these orders may have changed; return where that is stored.

    ``"ledger"`` means committed in the database. ``"queue"`` means confirmed by RabbitMQ; the
    sweeper moves it to the ledger. Raises IntakeUnavailable when neither succeeds within
    ``WEBHOOK_ANSWER_SECONDS`` of ``arrived``, a moment of ``time.monotonic()``, by default now; a
    late request still gets LEAST_SHARE of that time from now on.
    """
    arrival = Arrival.of(odoo_ids, mark, arrived)
    kept_in = ""
    if _hand_over(arrival):
        try:
            kept_in = arrival.kept_in.result(arrival.until - time.monotonic())
        except FutureTimeoutError:
            kept_in = arrival.give_up()
    return _judge(arrival, kept_in)


async def accept_on_loop(
    odoo_ids: Sequence[int], mark: ledger.Mark, *, arrived: float | None = None
) -> str:
    """Do the same as :func:`accept` on an event loop, which goes on with other work meanwhile."""
    arrival = Arrival.of(odoo_ids, mark, arrived)
    kept_in = ""
    if _hand_over(arrival):
        try:
            async with asyncio.timeout(arrival.until - time.monotonic()):
                kept_in = await asyncio.wrap_future(arrival.kept_in)
        except TimeoutError:
            kept_in = arrival.give_up()
    return _judge(arrival, kept_in)


def _hand_over(arrival: "Arrival") -> bool:
    """Give the arrival to the storing thread, unless nothing could store it."""
    if intake().gate.hopeless and not publisher().usable:
        return False
    intake().put(arrival)
    return True


def _judge(arrival: "Arrival", kept_in: str) -> str:
    totals.add(WEBHOOK_EVENTS, kept_in=kept_in or REFUSED)
    if not kept_in or time.monotonic() - arrival.arrived > ODOO_WAITS_SECONDS:
        # This caller has hung up by now, and others may have done so before reaching this code.
        intake().gate.note_missed()
    if not kept_in:
        raise IntakeUnavailable
    process_state.webhook.note()
    return kept_in


def slow_seconds() -> float:
    """Return the seconds that a statement may take before the gate closes."""
    return float(settings.WEBHOOK_ANSWER_SECONDS * SLOW_SHARE)


def note_missed() -> None:
    """Request a scan for events that may have been lost before they reached this module."""
    intake().gate.note_missed()


def encode(marks: Marks) -> bytes:
    """Return the body of a fallback queue message: a JSON list of marks with their orders' ids."""
    groups: dict[ledger.Mark, list[int]] = {}
    for odoo_id, mark in marks:
        groups.setdefault(mark, []).append(odoo_id)
    return json.dumps([{"ids": ids, **asdict(mark)} for mark, ids in groups.items()]).encode()


def decode(body: bytes) -> Marks:
    """Return the marks in a body made by :func:`encode`. Raises ValueError for any other body."""
    try:
        marks = [mark for values in json.loads(body) for mark in _decode_marks(**values)]
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(_("not a stored event: %(error)s", error=repr(error))) from error
    if not marks:
        raise ValueError(_("not a stored event: it names no order"))
    return marks


def _decode_marks(*, ids: Any, event: Any, lane: Any, **others: Any) -> Marks:
    mark = ledger.Mark(event=Event(event), lane=Lane(lane), **others)
    for value, type_ in ((mark.cause, str), (mark.payload, str), (mark.early, bool)):
        if not isinstance(value, type_):
            raise TypeError(f"{value!r} is not a {type_.__name__}")
    for number in (*ids, 1 if mark.run is None else mark.run):
        if type(number) is not int or not 0 < number <= HIGHEST_ID:
            raise ValueError(f"{number!r} is not an id")
    return [(odoo_id, mark) for odoo_id in ids]


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """The marks of one request, which waits to learn where they are stored."""

    marks: Marks
    until: float
    """Deadline for the answer, a time of ``time.monotonic()``."""
    arrived: float = 0.0
    """When the request was complete, likewise."""
    kept_in: "Future[str]" = field(default_factory=Future)
    """Resolves to "ledger", "queue" or "" (not stored). Cancelled when the request gives up."""

    @classmethod
    def of(cls, odoo_ids: Sequence[int], mark: ledger.Mark, arrived: float | None) -> "Arrival":
        """Return the arrival of this event, with its deadline."""
        now = time.monotonic()
        arrived = now if arrived is None else arrived
        answer = settings.WEBHOOK_ANSWER_SECONDS
        # A caller that waited long for a thread may have hung up, but its event is still valid.
        until = max(arrived + answer, now + answer * LEAST_SHARE)
        return cls([(odoo_id, mark) for odoo_id in odoo_ids], until, arrived)

    def give_up(self) -> str:
        """Stop waiting; return where it is stored if that became known just now, else ""."""
        if self.kept_in.cancel() or self.kept_in.cancelled():
            return ""
        return self.kept_in.result()

    @property
    def payload(self) -> str:
        """The request's body, which all of its marks share."""
        return self.marks[0][1].payload if self.marks else ""

    @property
    def large(self) -> bool:
        """Whether it names many orders. Such a request comes from a program other than Odoo."""
        return len(self.marks) > FEW

    @property
    def void(self) -> bool:
        """Whether its caller was told to send it again, and so need not be stored.

        Odoo never sends again, so a small request is stored however late it is.
        """
        return self.large and self.kept_in.cancelled()


def next_batch(waiting: Sequence[Arrival]) -> tuple[list[Arrival], list[Arrival]]:
    """Split arrivals, given in order of arrival, into the next statement's batch and the rest.

    The batch has the oldest one, so that each gets its turn, and then the smaller ones first. Void
    ones that do not fit are dropped: in an overload they would delay those that are still in time.
    """
    void = {arrival for arrival in waiting if arrival.void}
    eldest = next((arrival for arrival in waiting if arrival not in void), waiting[0])
    others = sorted(waiting, key=lambda arrival: (arrival in void, len(arrival.marks)))
    batch, count, characters = [eldest], len(eldest.marks), len(eldest.payload)
    for arrival in others:
        more, longer = count + len(arrival.marks), characters + len(arrival.payload)
        if arrival is not eldest and more <= AT_ONCE and longer <= AT_ONCE_CHARACTERS:
            batch.append(arrival)
            count, characters = more, longer
    taken = void.union(batch)
    return batch, [arrival for arrival in waiting if arrival not in taken]


@dataclass(frozen=True, slots=True)
class TimeShares:
    """Until when an attempt to store a batch may take, as times of ``time.monotonic()``."""

    ledger: float
    """The first attempt, with both stores usable: it leaves time for RabbitMQ."""
    away: float
    """An attempt at a database that is known to be away."""
    away_but_answering: float
    """The same when it answered and was merely slow: a live server is tried even if the oldest
    request of the batch is almost out of time."""
    last: float
    """The last attempt."""


def share_time(ends: Collection[float], now: float, answer: float) -> TimeShares:
    """Share the time among the attempts to store a batch. Pure.

    ``ends``: the deadlines of its requests that still wait; ``answer``: WEBHOOK_ANSWER_SECONDS.
    Each request times out at its own deadline, whatever happens to the batch. Therefore only the
    first attempt ends by the earliest deadline; the last one may take until the latest.

    An example, with 0.8 s to answer, in seconds from now. A request that has just come must be
    answered at 0.8: the ledger has until 0.6, and RabbitMQ the rest (RABBITMQ_SHARE, 0.2). With a
    request beside it that has waited for the batch before, and must be answered at 0.15, that one
    decides: 0.2 before its end would be in the past, but it was not the database that made it wait,
    so the ledger still has all but LAST_SHARE (0.048) of that time, until 0.102, and RabbitMQ until
    0.8. One with 0.05 left, less than LATE_SHARE (0.1), decides nothing: the ledger has until 0.6.
    A database known to be away has AWAY_SECONDS (0.22) from a request's arrival: until 0.22.
    """
    # A request that has timed out is stored all the same: Odoo will not send it again.
    in_time = [end for end in ends if end - now >= LEAST_SECONDS] or [now + answer]
    first, last = min(in_time), max(in_time)
    late = min(answer * LATE_SHARE, (last - now) / 2)
    end = min(end for end in in_time if end - now >= late)
    # That this batch had to wait for the one before it says nothing against the database.
    chance = min(end, now + answer * LEAST_SHARE)
    away = min(AWAY_SECONDS, answer) - answer
    return TimeShares(
        ledger=max(end - answer * RABBITMQ_SHARE, chance - answer * LAST_SHARE),
        away=first + away,
        away_but_answering=last + away,
        last=last,
    )


def _logging_about(batch: Sequence[Arrival]) -> AbstractContextManager[None]:
    marks = [mark for arrival in batch for mark in arrival.marks]
    causes = dict.fromkeys(mark.cause for _odoo_id, mark in marks)
    return logging_about(order={odoo_id for odoo_id, _mark in marks}, cause=",".join(causes))


class Intake(threading.Thread):
    """The storing thread; see the module's docstring.

    It is a daemon thread: an event without an answer was not promised to be kept.
    """

    def __init__(self) -> None:
        super().__init__(name="intake", daemon=True)
        self.begun = threading.Event()
        """Set once the thread has tried to connect and begins to store events."""
        self.gate = DatabaseGate(LivenessProbe() if installed() else None)
        self._arrivals: queue.SimpleQueue[Arrival | None] = queue.SimpleQueue()
        self._small: list[Arrival] = []
        self._large: list[Arrival] = []
        self._large_is_next = False
        self._large_seconds = 0.0
        self._slowest_recent_seconds = 0.0
        self._closed = False

    def put(self, arrival: Arrival) -> None:
        """Queue one request's marks; ``arrival.kept_in`` will say where they are stored."""
        self._arrivals.put(arrival)

    def close(self) -> None:
        """Store what has arrived, then end the thread."""
        self._arrivals.put(None)
        self.join()
        self.gate.close()

    def run(self) -> None:
        """Store events until :meth:`close`."""
        self._connect()
        self.begun.set()
        while self._receive_arrivals():
            batch, expiring = self._choose_batch()
            kept_in = ""
            began = time.monotonic()
            store = self._store_in_rabbitmq_first if expiring else self._store_batch
            with _logging_about(batch):
                try:
                    kept_in = store(batch)
                except Exception:
                    logger.exception("%d events could not be stored", len(batch))
            for arrival in batch:
                with contextlib.suppress(InvalidStateError):
                    arrival.kept_in.set_result(kept_in)
            if batch[0].large and not expiring:
                self._large_seconds = time.monotonic() - began
        connection.close()

    def silence_seconds(self) -> float:
        """Return the seconds that the database may be silent before it counts as away.

        They grow with the duration of recent statements: on a busy machine a healthy server is
        silent, too.
        """
        longest = settings.WEBHOOK_ANSWER_SECONDS * LONGEST_SILENCE_SHARE
        patience = min(self._slowest_recent_seconds * LATELY, longest)
        return max(settings.WEBHOOK_DATABASE_SECONDS, patience)

    def _connect(self) -> None:
        """Connect ahead of the first request, so that it does not wait for the connection."""
        self.gate.start()
        try:
            with database_deadline(BEGIN_SECONDS):
                ledger.mark_all([])
        except DatabaseFailure as error:
            self.gate.trip(error, None)

    def _receive_arrivals(self) -> bool:
        """Sort all queued arrivals into small and large; block while there is none.

        Returns False when the intake is closed and nothing is left to store.
        """
        while not self._closed and not ((self._small or self._large) and self._arrivals.empty()):
            arrival = self._arrivals.get()
            if arrival is None:
                self._closed = True
            elif arrival.large:
                self._large.append(arrival)
            else:
                self._small.append(arrival)
        return bool(self._small or self._large)

    def _choose_batch(self) -> tuple[list[Arrival], bool]:
        """Return the batch to store now, and whether RabbitMQ is to store it.

        Small and large requests take turns: however many large ones arrive at once, Odoo's users
        wait for at most one of their statements, and never share one that takes too long.
        """
        if self._small and not (self._large and self._large_is_next):
            batch, self._small = next_batch(self._small)
            self._large_is_next = bool(self._large)
            return batch, False
        batch, waiting = next_batch(self._large)
        expiring = self._find_expiring() if waiting else []
        if expiring:
            batch, _more = next_batch(expiring)
            waiting = [arrival for arrival in self._large if arrival not in batch]
        self._large = waiting
        self._large_is_next = False
        return batch, bool(expiring)

    def _find_expiring(self) -> list[Arrival]:
        """Return the large requests that may time out before their turn, if RabbitMQ is usable."""
        if not (self.gate.usable and publisher().usable):
            return []
        now = time.monotonic()
        share = settings.WEBHOOK_ANSWER_SECONDS * RABBITMQ_SHARE
        soon = now + max(share, self._large_seconds * HURRY)
        return [
            arrival
            for arrival in self._large
            if now + LEAST_SECONDS <= arrival.until < soon and not arrival.void
        ]

    def _store_batch(self, batch: Sequence[Arrival]) -> str:
        """Try the ledger and RabbitMQ within the time to answer; return the place, or ""."""
        marks = [mark for arrival in batch for mark in arrival.marks]
        silence, now = self.silence_seconds(), time.monotonic()
        ends = [arrival.until for arrival in batch if not arrival.kept_in.cancelled()]
        times = share_time(ends, now, settings.WEBHOOK_ANSWER_SECONDS)
        last = times.last
        if not self.gate.usable:
            soon = times.away_but_answering if self.gate.slow else times.away
            return self._store_while_database_away(marks, soon, last)
        if not publisher().usable:
            # With RabbitMQ away a slow moment of the database must not cause a refusal.
            silence = max(silence, settings.WEBHOOK_DATABASE_SECONDS * ALONE)
            return self._write_to_ledger(marks, last, silence) or self._publish(marks, last)
        return self._write_to_ledger(marks, times.ledger, silence) or self._publish(marks, last)

    def _store_in_rabbitmq_first(self, batch: Sequence[Arrival]) -> str:
        """Try RabbitMQ first, then the ledger; return the place, or ""."""
        marks = [mark for arrival in batch for mark in arrival.marks]
        last = max(arrival.until for arrival in batch)
        silence = self.silence_seconds()
        return self._publish(marks, last) or self._write_to_ledger(marks, last, silence)

    def _store_while_database_away(self, marks: Marks, soon: float, end: float) -> str:
        """Try first the store that is likelier to answer; the database gets little time now."""
        silence = settings.WEBHOOK_DATABASE_SECONDS * ALONE
        if publisher().usable:
            return self._publish(marks, end) or self._write_to_ledger(marks, soon, silence)
        return self._write_to_ledger(marks, soon, silence) or self._publish(marks, soon)

    def _write_to_ledger(self, marks: Marks, until: float, silence: float) -> str:
        if until - time.monotonic() < LEAST_SECONDS:
            return ""
        wait = StatementWait(self.gate.probe, until=until, silence=silence)
        try:
            with wait:
                needs_message = ledger.mark_all(marks)
        except DatabaseFailure as error:
            if wait.verdict is Verdict.SLOW and wait.seconds < slow_seconds():
                connection.close()
                logger.info("A statement was abandoned after %.2f s: %s", wait.seconds, error)
            else:
                self.gate.trip(error, wait.verdict)
            return ""
        self._slowest_recent_seconds = max(wait.seconds, self._slowest_recent_seconds * FORGET)
        self.gate.open()
        publisher().wake_together(needs_message)
        return "ledger"

    def _publish(self, marks: Marks, until: float) -> str:
        if until - time.monotonic() < LEAST_SECONDS:
            return ""
        kept = publisher().store(encode(marks), settings.WEBHOOK_BROKER_SECONDS, until)
        return "queue" if kept else ""


@cache
def intake() -> Intake:
    """Return this process's intake, started on first use and so after any fork."""
    thread = Intake()
    thread.start()
    return thread
