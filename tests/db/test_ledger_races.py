"""Marks, claims, renewals, applies and ends of leases that really happen at the same time.

Threads with connections of their own; what each does next is thrown with dice from a seed, how they
meet is left to the machine.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.conf import LazySettings
from django.db import connection

from bc_consumer import ledger
from bc_consumer.ledger import LeaseLost, Mark
from bc_consumer.models import Event, PendingBC
from bc_consumer.refresh.writer import LinesElsewhere, apply
from tests.conftest import ON_SQLITE
from tests.db.modelled import ModelledOdoo, State, Watch, differing, seen
from tests.services.waiting import wait_until

ORDERS = 6
CHANGES = 40
"""Of each clerk."""
CLERKS, WORKERS = 3, 4
LOOKS = (0.05, 0.2, 1.0, 2.0)
LONGEST_TRANSACTION = 0.3
LEASE = 0.3
SECONDS = 60.0


class Office:
    """Clerks who change orders, each order in one clerk's hands at a time."""

    def __init__(self, odoo: ModelledOdoo) -> None:
        self.odoo = odoo
        self._lock = threading.Lock()
        self._busy: set[int] = set()

    def work(self, dice: random.Random) -> None:
        for _ in range(CHANGES):
            with self._hands_on(dice) as (one, other):
                changes = self._changes(dice, one, other)
                if changes:
                    self._commit(dice, changes)
            time.sleep(dice.uniform(0.0, 0.02))

    @contextmanager
    def _hands_on(self, dice: random.Random) -> Iterator[tuple[int, int]]:
        def take() -> bool:
            taken[:] = dice.sample(range(1, ORDERS + 1), 2)
            with self._lock:
                free = self._busy.isdisjoint(taken)
                self._busy.update(taken if free else ())
            return free

        taken: list[int] = []
        wait_until(take, SECONDS, what="two orders that nobody has in hand", every=0.001)
        try:
            yield taken[0], taken[1]
        finally:
            with self._lock:
                self._busy.difference_update(taken)

    def _changes(self, dice: random.Random, one: int, other: int) -> dict[int, State]:
        with self._lock:
            state, target = self.odoo.committed.get(one), self.odoo.committed.get(other)
            if state is None and one in self.odoo.committed:
                return {}
            if state is not None and state.lines and target is not None and dice.random() < 0.5:
                left, taken = self.odoo.moved(state, target)
                return {one: left, other: taken}
            if state is not None and one > 3 and dice.random() < 0.05:
                return {one: None}
            return {one: self.odoo.written(state)}

    def _commit(self, dice: random.Random, changes: dict[int, State]) -> None:
        """With the webhooks before the commit, or after it; or without a commit."""
        event = Event.DELETED if None in changes.values() else Event.CHANGED
        early = dice.random() < 0.6
        if early:
            ledger.mark(changes, Mark(cause="webhook", event=event, early=True))
            time.sleep(dice.choice((0.0, dice.uniform(0.0, LONGEST_TRANSACTION))))
            if dice.random() < 0.15:
                return
        with self._lock:
            self.odoo.commit(changes)
        if not early:
            ledger.mark(changes, Mark(cause="webhook", event=event))


class Labour:
    """Workers who are slow, forget what they have in hand, or give it back, now and then."""

    def __init__(self, odoo: ModelledOdoo, over: threading.Event) -> None:
        self.odoo = odoo
        self.over = over
        self.applied = self.lost = self.brought_along = 0

    def work(self, dice: random.Random) -> None:
        while not self.over.is_set():
            token = uuid.uuid4()
            rows = ledger.claim(dice.choice((1, 1, 2, ORDERS)), token).rows
            if not rows:
                time.sleep(0.01)
                continue
            self._batch(token, {row.odoo_id: row for row in rows}, dice)

    def _batch(
        self, token: uuid.UUID, rows: dict[int, PendingBC], dice: random.Random, rounds: int = 3
    ) -> None:
        _dawdle(dice)
        ours = ledger.renew(token, rows)
        snapshot = self.odoo.snapshot(ours)
        _dawdle(dice)
        if dice.random() < 0.1:
            return  # killed
        if dice.random() < 0.1:
            ledger.release(token, ours, 0.0)
            return
        while snapshot:
            try:
                apply(token, [seen(rows[i], state) for i, state in snapshot.items()], early=True)
            except LeaseLost as lost:
                self.lost += 1
                snapshot = {i: state for i, state in snapshot.items() if i not in lost.ids}
            except LinesElsewhere as elsewhere:
                others = elsewhere.ids - rows.keys()
                extra = ledger.claim_also(others, "moved lines", token)
                rows |= {row.odoo_id: row for row in extra}
                if rounds and rows.keys() >= others:
                    self.brought_along += 1
                    self._batch(token, rows, dice, rounds - 1)
                else:
                    ledger.release(token, rows, 0.05)
                return
            else:
                self.applied += 1
                return


def _dawdle(dice: random.Random) -> None:
    """Mostly not at all, sometimes longer than a lease."""
    if dice.random() < 0.2:
        time.sleep(dice.uniform(0.0, LEASE * 2))


@pytest.mark.skipif(ON_SQLITE, reason="SQLite does one thing at a time")
@pytest.mark.usefixtures("single_rows")
def test_rules_2_3_and_4_hold_when_everything_happens_at_once(settings: LazySettings) -> None:
    settings.EARLY_LOOKS = LOOKS
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = LOOKS[-1]
    settings.LEASE_SECONDS = LEASE
    odoo = ModelledOdoo()
    over = threading.Event()
    office, labour, watch = Office(odoo), Labour(odoo, over), Watch(odoo)
    errors: list[BaseException] = []

    def read(_dice: random.Random) -> None:
        while not over.wait(0.005):
            watch.look()

    def begin(work: Callable[[random.Random], None], number: int) -> threading.Thread:
        def run() -> None:
            try:
                work(random.Random(number))
            except BaseException as error:  # noqa: BLE001 (a test must see whatever it was)
                errors.append(error)
            finally:
                connection.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    clerks = [begin(office.work, number) for number in range(CLERKS)]
    others = [begin(labour.work, 100 + number) for number in range(WORKERS)] + [begin(read, 0)]
    try:
        for clerk in clerks:
            clerk.join(SECONDS)
        wait_until(lambda: errors or not PendingBC.objects.exists(), SECONDS, what="quiet")
    finally:
        over.set()
        for thread in others:
            thread.join(SECONDS)
    assert errors == []
    assert differing(odoo.committed, watch.look()) == set()
    # They must have got in each other's way, or the test shows nothing.
    assert labour.applied
    assert labour.lost + labour.brought_along
