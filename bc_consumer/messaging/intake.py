"""Take events in durably: into the ledger, or onto RabbitMQ while the database is away.

Odoo 17 and 18 hold their user's transaction while they wait for the webhook's answer, a second at
most (measured), so an answer must come in time whatever is down. One thread a process takes in
whatever has come meanwhile, by one statement: a hundred webhooks at once cost the database one
connection and a few commits, and in an outage only one batch waits for it.

A slow answer costs a moment, a refused event costs a scan. So a database that is slow and shows
that it lives gets nearly all of that second, and one that does not is given up much sooner
(``ledger/database_gate.py``).
"""

import contextlib
import json
import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connection

from bc_consumer import ledger
from bc_consumer.core.database_deadline import database_deadline, installed, waiting
from bc_consumer.core.translatable import gettext as _
from bc_consumer.ledger.database_gate import AWAY, DatabaseGate, Verdict, Watch, Watched
from bc_consumer.messaging.publisher import publisher
from bc_consumer.models import Event, Lane

logger = logging.getLogger(__name__)

AT_ONCE = 2_000
"""Marks taken in by one statement, which takes 30 ms (measured, two cores). A batch body brings a
thousand; a request that brings more than this has a statement of its own."""
AT_ONCE_CHARACTERS = 2**20
"""Of the payloads in one statement, and in one message of the fallback queue."""
FEW = 10
"""A request with more marks than this is a large one. Odoo's own bring one each."""
LARGEST_ID = 2**31 - 1
"""Odoo's ids are PostgreSQL integers."""
ODOO_WAITS_SECONDS = 1.0
"""``requests.post(…, timeout=1)`` in Odoo 17, 18 and 19 (measured)."""
LEAST_SHARE = 0.25
"""Of the time to answer: has each event, however late it comes to a thread or into a batch."""
RABBITMQ_SHARE = 0.25
"""Of the time to answer: kept for RabbitMQ, should a slow statement come to nothing."""
LAST_SHARE = 0.06
"""Of the time to answer: all that is kept for it by an event that came late."""
LATE_SHARE = 0.125
"""Of the time to answer: a request that has less left is not counted when a statement's deadline is
chosen."""
HURRY = 1.5
"""A large request goes to RabbitMQ when it has less time left than so many times what the last
statement of large ones took."""
SLOW_SHARE = 0.5
"""Of the time to answer: a live database that took more for one statement is left alone."""
AWAY_SECONDS = 0.22
"""The answer's time once the database is known to be away: nothing is gained by a longer one."""
LATELY = 2.0
"""How many times as long as the slowest of the last statements the database may be silent: a
machine with so much to do that they take 100 ms may leave a healthy server without a processor for
as long again."""
FORGET = 0.9
"""What each statement leaves of the slowest one before it."""
LONGEST_SILENCE_SHARE = 0.4
"""Of the time to answer: no silence is waited for longer, however slow the statements were."""
ALONE = 1.5
"""How many times longer the database may be silent while RabbitMQ can't take the event."""
BEGIN_SECONDS = 2.0
"""To connect in, when no request waits yet."""
LEAST_SECONDS = 0.01
"""With less time left nothing is begun."""

Marks = list[tuple[int, ledger.Mark]]


class IntakeUnavailable(Exception):
    """Neither the database nor RabbitMQ could take the event: the caller must send it again."""


def accept(odoo_ids: Sequence[int], mark: ledger.Mark, *, arrived: float | None = None) -> str:
    """Take in that these orders may have changed; return where that is kept now.

    ``"ledger"``: committed in the database. ``"queue"``: confirmed by RabbitMQ; the sweeper brings
    it into the ledger. Raises IntakeUnavailable when neither could do it in time, which counts from
    ``arrived``, a moment of ``time.monotonic()``; by default from now.
    """
    now = time.monotonic()
    arrived = now if arrived is None else arrived
    answer = settings.WEBHOOK_ANSWER_SECONDS
    # Who has waited long for a thread may have left; the event is here all the same.
    until = max(arrived + answer, now + answer * LEAST_SHARE)
    gate = intake().gate
    arrival = Arrival([(odoo_id, mark) for odoo_id in odoo_ids], until)
    kept_in = ""
    if not gate.hopeless or publisher().usable:
        intake().put(arrival)
        try:
            kept_in = arrival.kept_in.result(until - time.monotonic())
        except FutureTimeoutError:
            if not arrival.kept_in.cancel():
                kept_in = arrival.kept_in.result()  # it came in this very moment
    if not kept_in or time.monotonic() - arrived > ODOO_WAITS_SECONDS:
        # Who is answered so late has left; and so may have others, of whom nothing is known here.
        gate.note_missed()
    if not kept_in:
        raise IntakeUnavailable
    return kept_in


def slow_seconds() -> float:
    """Return how long a statement may take of a database that events still go to."""
    return float(settings.WEBHOOK_ANSWER_SECONDS * SLOW_SHARE)


def note_missed() -> None:
    """Have a scan asked for: events may have been lost that never came as far as this module."""
    intake().gate.note_missed()


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


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """The marks of one request, which waits until it is told where they are kept."""

    marks: Marks
    until: float
    """When it has to be answered, as ``time.monotonic()`` tells time."""
    kept_in: "Future[str]" = field(default_factory=Future)
    """Cancelled when nobody waits for it any more."""

    @property
    def payload(self) -> str:
        """What the caller sent: all marks of one request have the same."""
        return self.marks[0][1].payload if self.marks else ""

    @property
    def large(self) -> bool:
        """Whether it is some program's, which names many orders at once."""
        return len(self.marks) > FEW

    @property
    def void(self) -> bool:
        """Whether its caller was told to send it again, and will: Odoo's, which never does, is
        marked however late."""
        return self.large and self.kept_in.cancelled()


def next_batch(waiting: Sequence[Arrival]) -> tuple[list[Arrival], list[Arrival]]:
    """Return what the next statement takes of these, who came in this order; and who waits on.

    The eldest, so that everybody gets a turn, then the smaller ones first. What is void and has no
    room is dropped: in an overload it would be in the way of those that are still in time.
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


class Intake(threading.Thread):
    """See the module. Daemon: what it has not answered was not promised."""

    def __init__(self) -> None:
        super().__init__(name="intake", daemon=True)
        self.begun = threading.Event()
        """It has tried to connect, and now takes in whatever comes."""
        self.gate = DatabaseGate(Watch() if installed() else None)
        self._arrivals: queue.SimpleQueue[Arrival | None] = queue.SimpleQueue()
        self._small: list[Arrival] = []
        self._large: list[Arrival] = []
        self._turn_of_large = False
        self._large_took = 0.0
        self._slowest_lately = 0.0
        self._closed = False

    def put(self, arrival: Arrival) -> None:
        """Hand one request's marks over; its future tells where they are kept."""
        self._arrivals.put(arrival)

    def close(self) -> None:
        """Take in what has come, and end."""
        self._arrivals.put(None)
        self.join()
        self.gate.close()

    def run(self) -> None:
        """Take in until closed."""
        self._begin()
        self.begun.set()
        while self._whatever_came():
            batch, hurried = self._next()
            kept_in = ""
            began = time.monotonic()
            try:
                kept_in = self._store(batch) if hurried else self._keep(batch)
            except Exception:
                logger.exception("%d events could not be taken in", len(batch))
            for arrival in batch:
                with contextlib.suppress(InvalidStateError):
                    arrival.kept_in.set_result(kept_in)
            if batch[0].large and not hurried:
                self._large_took = time.monotonic() - began
        connection.close()

    def silence_seconds(self) -> float:
        """Return how long the database may show no sign of life before it counts as away.

        It grows with what statements took lately: on a busy machine a healthy server is silent,
        too.
        """
        longest = settings.WEBHOOK_ANSWER_SECONDS * LONGEST_SILENCE_SHARE
        patience = min(self._slowest_lately * LATELY, longest)
        return max(settings.WEBHOOK_DATABASE_SECONDS, patience)

    def _begin(self) -> None:
        """Connect before the first request has to wait for that."""
        self.gate.start()
        try:
            with database_deadline(BEGIN_SECONDS):
                ledger.mark_all([])
        except AWAY as error:
            self.gate.trip(error, None)

    def _whatever_came(self) -> bool:
        """Let all that has come wait for its turn; tell whether anything does. Waits for it."""
        while not self._closed and not ((self._small or self._large) and self._arrivals.empty()):
            arrival = self._arrivals.get()
            if arrival is None:
                self._closed = True
            elif arrival.large:
                self._large.append(arrival)
            else:
                self._small.append(arrival)
        return bool(self._small or self._large)

    def _next(self) -> tuple[list[Arrival], bool]:
        """Return what is to be kept now, and whether RabbitMQ shall keep it.

        Small and large ones take turns: however many large ones come at once, Odoo's users wait for
        one statement of theirs at most, and none of theirs is in one that takes too long.
        """
        if self._small and not (self._large and self._turn_of_large):
            batch, self._small = next_batch(self._small)
            self._turn_of_large = bool(self._large)
            return batch, False
        batch, waiting = next_batch(self._large)
        hurried = self._hurried() if waiting else []
        if hurried:
            batch, _more = next_batch(hurried)
            waiting = [arrival for arrival in self._large if arrival not in batch]
        self._large = waiting
        self._turn_of_large = False
        return batch, bool(hurried)

    def _hurried(self) -> list[Arrival]:
        """Return the large ones that may leave before they get a turn, if RabbitMQ is there."""
        if not (self.gate.usable and publisher().usable):
            return []
        now = time.monotonic()
        share = settings.WEBHOOK_ANSWER_SECONDS * RABBITMQ_SHARE
        soon = now + max(share, self._large_took * HURRY)
        return [
            arrival
            for arrival in self._large
            if now + LEAST_SECONDS <= arrival.until < soon and not arrival.void
        ]

    def _keep(self, batch: Sequence[Arrival]) -> str:
        """Try ledger and RabbitMQ within the time to answer; return where it is kept, or "".

        Each request leaves by its own deadline, whatever is done here. So only what leaves time to
        ask RabbitMQ, too, goes by the soonest of them; the last chance lasts as long as anybody's.
        """
        marks = [mark for arrival in batch for mark in arrival.marks]
        silence, answer = self.silence_seconds(), settings.WEBHOOK_ANSWER_SECONDS
        now = time.monotonic()
        ends = [arrival.until for arrival in batch if not arrival.kept_in.cancelled()]
        # For whom it is too late is marked all the same: what Odoo sent, it won't send again.
        ends = [end for end in ends if end - now >= LEAST_SECONDS] or [now + answer]
        last = max(ends)
        if not self.gate.usable:
            # Of a server that lives nobody is kept away because another one came too early.
            soon = (last if self.gate.slow else min(ends)) - answer + min(AWAY_SECONDS, answer)
            return self._while_away(marks, soon, last)
        if not publisher().usable:
            # A slow moment of the database must not refuse what nobody else can take.
            return self._ledger(marks, last, silence * ALONE) or self._queue(marks, last)
        late = min(answer * LATE_SHARE, (last - now) / 2)
        end = min(end for end in ends if end - now >= late)
        # A batch that waited for the one before it is no reason to doubt the database.
        chance = min(end, now + answer * LEAST_SHARE)
        until = max(end - answer * RABBITMQ_SHARE, chance - answer * LAST_SHARE)
        return self._ledger(marks, until, silence) or self._queue(marks, last)

    def _store(self, batch: Sequence[Arrival]) -> str:
        """Try RabbitMQ first; return where it is kept, or ""."""
        marks = [mark for arrival in batch for mark in arrival.marks]
        last = max(arrival.until for arrival in batch)
        silence = self.silence_seconds()
        return self._queue(marks, last) or self._ledger(marks, last, silence)

    def _while_away(self, marks: Marks, soon: float, end: float) -> str:
        """Ask first who is likelier to answer; the database gets no long time now."""
        silence = settings.WEBHOOK_DATABASE_SECONDS * ALONE
        if publisher().usable:
            return self._queue(marks, end) or self._ledger(marks, soon, silence)
        return self._ledger(marks, soon, silence) or self._queue(marks, soon)

    def _ledger(self, marks: Marks, until: float, silence: float) -> str:
        if until - time.monotonic() < LEAST_SECONDS:
            return ""
        watched = Watched(self.gate.watch, until=until, silence=silence)
        try:
            with watched, waiting(watched):
                needs_message = ledger.mark_all(marks)
        except AWAY as error:
            if watched.verdict is Verdict.SLOW and watched.seconds < slow_seconds():
                connection.close()
                logger.info("A statement was given up after %.2f s: %s", watched.seconds, error)
            else:
                self.gate.trip(error, watched.verdict)
            return ""
        self._slowest_lately = max(watched.seconds, self._slowest_lately * FORGET)
        self.gate.open()
        publisher().wake(needs_message)
        return "ledger"

    def _queue(self, marks: Marks, until: float) -> str:
        if until - time.monotonic() < LEAST_SECONDS:
            return ""
        kept = publisher().store(encode(marks), settings.WEBHOOK_BROKER_SECONDS, until)
        return "queue" if kept else ""


@cache
def intake() -> Intake:
    """Return this process's intake, started at the first use (after any fork)."""
    thread = Intake()
    thread.start()
    return thread
