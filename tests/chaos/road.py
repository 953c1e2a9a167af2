"""The route of webhooks from Odoo to us, on which they may be lost, doubled, delayed and overtaken.

It records what became of each operation's webhooks, so that the verdict knows which orders the copy
may be wrong about, and until when: see ``Why``.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from odoo_simulator.webhooks import Delivery, WebhookSender

LONGEST_DELAY_SECONDS = 3.0


class Why(enum.Enum):
    """Why the copy may be wrong about an order."""

    REFUSED = "a webhook got no 2xx"
    """The service can know that it has missed something; valid until the scans that it requests."""
    LOST = "a webhook never arrived"
    """Nobody can know; valid until the nightly run, like all that follow."""
    BEYOND = "a transaction was longer than the settings' longest"
    HIDDEN = "a record rule hid it"
    CLOCK = "the database's clock was set forward before the commit"
    """The last look was taken when, on that clock, the longest transaction must have ended."""


class Outcome:
    """What became of one operation's webhooks. Thread-safe."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.first_sent: float | None = None
        self.missed: set[Why] = set()
        self.told: set[int] = set()
        """Orders named by a webhook that was answered with 2xx."""
        self.touched: set[int] = set()
        self.over = False
        self.lock = threading.Lock()


class Doubts:
    """The orders that the copy may be wrong about for a while. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[tuple[int, Why], float] = {}
        self.counts: Counter[Why] = Counter()
        """Of webhooks, and of transactions."""

    def __len__(self) -> int:
        with self._lock:
            return len({odoo_id for odoo_id, _why in self._since})

    def about(self, odoo_id: int) -> set[Why]:
        """Return why it is doubted; empty if it is not."""
        with self._lock:
            return {why for why in Why if (odoo_id, why) in self._since}

    def add(self, odoo_ids: Iterable[int], why: Why) -> None:
        """Doubt these orders from now on."""
        now = time.monotonic()
        with self._lock:
            self._since.update({(odoo_id, why): now for odoo_id in odoo_ids})

    def dispel(self, odoo_ids: Iterable[int], began: float) -> None:
        """Remove doubts from before this operation: its webhooks arrived, so orders are fetched."""
        with self._lock:
            for doubt in itertools.product(odoo_ids, Why):
                if self._since.get(doubt, began) < began:
                    del self._since[doubt]

    def clear(self) -> None:
        """Remove all doubts, after a reconciliation."""
        with self._lock:
            self._since.clear()


@dataclass(order=True)
class _Delayed:
    due: float
    number: int
    url: str = field(compare=False)
    body: bytes = field(compare=False)
    outcome: Outcome | None = field(compare=False)


class Road(WebhookSender):
    """Sends the simulator's webhooks. ``losing``, ``doubling``, ``delaying``: shares, 0 to 1."""

    def __init__(self, seed: int, doubts: Doubts) -> None:
        super().__init__()
        self.dice = random.Random(seed)
        self.doubts = doubts
        self.losing = self.delaying = 0.0
        self.clock_set_forward_at = 0.0
        self.counts = {"lost": 0, "doubled": 0, "delayed": 0}
        self._here = threading.local()
        self._delayed: list[_Delayed] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._carrying = False
        self._closed = False
        self._carrier = threading.Thread(target=self._carry_delayed, name="road", daemon=True)
        self._carrier.start()

    @contextmanager
    def watching(self, outcome: Outcome) -> Iterator[None]:
        """Attribute what this thread sends to this outcome."""
        self._here.outcome = outcome
        try:
            yield
        finally:
            self._here.outcome = None

    def finish(self, outcome: Outcome, touched: Iterable[int], longest: float | None) -> None:
        """Record that an operation has ended, having touched these orders.

        ``longest``: seconds after a webhook within which its change must be committed; None if
        webhooks come after the commit.
        """
        with outcome.lock:
            outcome.over = True
            outcome.touched.update(touched)
            doubts, told = set(outcome.missed), set(outcome.told)
        if longest is not None and outcome.first_sent is not None:
            doubts |= self._doubts_of_early(outcome.first_sent, longest)
        for why in doubts:
            self.doubts.add(outcome.touched, why)
        if not doubts:
            self.doubts.dispel(told, outcome.began)

    def _doubts_of_early(self, first_sent: float, longest: float) -> set[Why]:
        """Return the doubts about a commit now, after its webhooks and perhaps the last look."""
        doubts = set()
        if time.monotonic() - first_sent > longest:
            doubts.add(Why.BEYOND)
        if first_sent < self.clock_set_forward_at:
            doubts.add(Why.CLOCK)
        self.doubts.counts.update(doubts)
        return doubts

    def send(self, url: str, body: bytes) -> None:
        """Deliver one webhook of the simulator, or lose, double or delay it."""
        outcome: Outcome | None = getattr(self._here, "outcome", None)
        if outcome is not None and outcome.first_sent is None:
            outcome.first_sent = time.monotonic()
        if self.dice.random() < self.losing:
            self.counts["lost"] += 1
            self._missed(outcome, Why.LOST)
            return
        if self.dice.random() < self.doubling:
            self.counts["doubled"] += 1
            self._delay(url, body, outcome)
        if self.dice.random() < self.delaying:
            self.counts["delayed"] += 1
            self._delay(url, body, outcome)
            return
        self._carry(url, body, outcome)

    def wait_empty(self, seconds: float) -> bool:
        """Wait until no webhook is delayed any longer; return whether that happened in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._delayed and not self._carrying, seconds)

    def close(self) -> None:
        """End the thread that delivers delayed webhooks."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._carrier.join(5)

    def _carry(self, url: str, body: bytes, outcome: Outcome | None) -> None:
        if not _is_taken(self.deliver(url, body)):
            self._missed(outcome, Why.REFUSED)
        elif outcome is not None:
            with outcome.lock:
                outcome.told.add(_order_of(body))

    def _missed(self, outcome: Outcome | None, why: Why) -> None:
        self.doubts.counts[why] += 1
        if outcome is None:
            return
        with outcome.lock:
            outcome.missed.add(why)
            over = outcome.over
        if over:
            self.doubts.add(outcome.touched, why)

    def _delay(self, url: str, body: bytes, outcome: Outcome | None) -> None:
        due = time.monotonic() + self.dice.uniform(0.0, LONGEST_DELAY_SECONDS)
        with self._changed:
            number = next(self._numbers)
            heapq.heappush(self._delayed, _Delayed(due, number, url, body, outcome))
            self._changed.notify_all()

    def _carry_delayed(self) -> None:
        while True:
            with self._changed:
                self._carrying = False
                self._changed.notify_all()
                while not self._closed:
                    left = self._delayed[0].due - time.monotonic() if self._delayed else 60.0
                    if left <= 0:
                        break
                    self._changed.wait(left)
                if self._closed:
                    return
                one = heapq.heappop(self._delayed)
                self._carrying = True
            self._carry(one.url, one.body, one.outcome)


def _is_taken(delivery: Delivery) -> bool:
    return delivery.status is not None and 200 <= delivery.status < 300


def _order_of(body: bytes) -> int:
    values = json.loads(body)
    order = values["order_id"] if "order_id" in values else values["_id"]
    return int(order)
