"""For any interleaving of marks, claims, fetches of any age, applies, crashes and ends of leases:
the ledger forgets no change, the copy never goes backwards and is never torn (rules 2, 3, 4, 5).

Hypothesis plays the interleavings on the real database; time passes by moving the ledger's dates
back. ``PROPERTY_EXAMPLES`` plays more than the few of every run.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db.models import F
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bc_consumer import ledger
from bc_consumer.ledger import LeaseLost, Mark
from bc_consumer.models import BC, Event, JournalEntry, Lane, PendingBC
from bc_consumer.refresh.writer import LinesElsewhere, apply
from tests.db.modelled import ModelledOdoo, State, Watch, differing, seen
from tests.quick import examples

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", examples(40)))
LONG = EXAMPLES > 100
STEPS = 60
PLACES = 4
"""Orders at a time: few, so that everything meets. A deleted one makes place for a new one."""
LOOKS = (0.0, 4.0, 16.0)
LEASE = 30.0
MARGIN = 3.0
"""Of the last look, for what a step really takes."""
EARLY = Mark(cause="webhook", early=True)
LATE = Mark(cause="webhook")
NIGHTLY = Mark(cause="nightly", lane=Lane.BULK)
DATES = ("first_marked_at", "last_marked_at", "due_at", "sent_at", "claimed_until", "shown_at",
         "first_failed_at", "failed_at")  # fmt: skip

IN_ODOO = ("write", "write", "move", "move", "move", "delete", "false_alarm")
IN_TRANSACTIONS = ("commit", "commit", "roll_back")
OF_A_WORKER = ("fetch", "apply", "apply", "apply", "apply", "crash", "give_back", "fail")
TIME = ("a moment", "a while", "a lease")
SECONDS = {"a moment": 0.5, "a while": 4.5, "a lease": LEASE + 1.0}
# One rule for all: Hypothesis leaves out rules at random, and without time, or workers, or changes
# there is nothing to see.
STEP = st.sampled_from((*IN_ODOO, *IN_TRANSACTIONS, "claim", "claim", *OF_A_WORKER, *TIME))


@dataclass(slots=True)
class Open:
    """A transaction that has sent its webhooks and not committed."""

    changes: dict[int, State]
    marked_at: float


@dataclass(slots=True)
class Worker:
    """A claim in somebody's hands."""

    token: uuid.UUID
    rows: dict[int, PendingBC]
    snapshot: dict[int, State] = field(default_factory=dict)


class Ledger(RuleBasedStateMachine):
    """Odoo, its webhooks, and any number of workers on one ledger."""

    def __init__(self) -> None:
        super().__init__()
        for model in (PendingBC, BC, JournalEntry):
            model._default_manager.all().delete()
        self.odoo = ModelledOdoo()
        self.watch = Watch(self.odoo)
        self.now = 0.0
        self.open: list[Open] = []
        self.workers: list[Worker] = []
        self.newest_id = PLACES
        self.places = list(range(1, PLACES + 1))

    @rule(
        step=STEP,
        one=st.integers(0, PLACES - 1),
        other=st.integers(0, PLACES - 1),
        early=st.booleans(),
    )
    def step(self, step: str, one: int, other: int, early: bool) -> None:
        """Whatever happens next."""
        if step in IN_ODOO:
            self.change(step, one, other, early)
        elif step in IN_TRANSACTIONS:
            self.end(one, committed=step == "commit")
        elif step in TIME:
            self.pass_time(SECONDS[step])
        elif step == "claim" or not self.workers:
            self.claim(one + 1)
        else:
            worker = self.workers[one % len(self.workers)]
            over = getattr(self, step)(worker)
            if over or not worker.rows:
                self.workers.remove(worker)

    # --- Odoo -----------------------------------------------------------------------------------

    def change(self, what: str, one: int, other: int, early: bool) -> None:
        """Send webhooks and commit later or not at all, as Odoo 17 and 18 do; or as 19 does."""
        ids = self.places[one], self.places[other]
        if what == "false_alarm":
            self.false_alarm(*ids, early)
            return
        changes = self.changes(what, *ids)
        if not changes:
            return
        gone = Event.DELETED if what == "delete" else Event.CHANGED
        if early:
            ledger.mark(changes, Mark(cause="webhook", event=gone, early=True))
            self.open.append(Open(changes, self.now))
        else:
            self.commit(changes)
            ledger.mark(changes, Mark(cause="webhook", event=gone))

    def changes(self, what: str, one: int, other: int) -> dict[int, State]:
        """Return what an operation changes; nothing where it is not possible."""
        busy = {odoo_id for transaction in self.open for odoo_id in transaction.changes}
        state, target = self.odoo.committed.get(one), self.odoo.committed.get(other)
        if {one, other} & busy:
            return {}
        if what == "write" or state is None:
            return {one: self.odoo.written(state)}
        if what == "delete":
            return {one: None}
        if one == other or target is None or not state.lines:
            return {}
        left, taken = self.odoo.moved(state, target)
        return {one: left, other: taken}

    def commit(self, changes: dict[int, State]) -> None:
        self.odoo.commit(changes)
        for odoo_id, state in changes.items():
            if state is None:
                self.newest_id += 1
                self.places[self.places.index(odoo_id)] = self.newest_id

    def end(self, number: int, *, committed: bool) -> None:
        """End a transaction that has sent its webhooks."""
        if not self.open:
            return
        transaction = self.open.pop(number % len(self.open))
        if not committed:
            return
        self.commit(transaction.changes)
        if self.now - transaction.marked_at > LOOKS[-1] - MARGIN:
            event("outlasted")
            ledger.mark(transaction.changes, NIGHTLY)  # a run finds what outlasted the looks

    def false_alarm(self, one: int, other: int, early: bool) -> None:
        """A webhook doubled, replayed, or from another Odoo, perhaps of an order yet to come."""
        if one > other:
            ledger.mark([one], Mark(cause="webhook", early=early))
        else:
            ledger.mark([one], Mark(cause="webhook", event=Event.DELETED, early=early))

    # --- workers --------------------------------------------------------------------------------

    def claim(self, limit: int) -> None:
        token = uuid.uuid4()
        rows = ledger.claim(limit, token).rows
        if rows:
            self.workers.append(Worker(token, {row.odoo_id: row for row in rows}))

    def fetch(self, worker: Worker) -> bool:
        """Renew, and read what is still ours; it may be applied much later."""
        ours = ledger.renew(worker.token, worker.rows)
        worker.rows = {odoo_id: row for odoo_id, row in worker.rows.items() if odoo_id in ours}
        worker.snapshot = self.odoo.snapshot(worker.rows)
        return False

    def apply(self, worker: Worker) -> bool:
        """Apply what was read; return whether this worker is through."""
        rows = [seen(worker.rows[odoo_id], state) for odoo_id, state in worker.snapshot.items()]
        if not rows:
            return self.fetch(worker)
        try:
            apply(worker.token, rows, early=True)
        except LeaseLost as lost:
            event("lease lost")
            for odoo_id in lost.ids:
                worker.snapshot.pop(odoo_id, None)
                worker.rows.pop(odoo_id, None)
            return False
        except LinesElsewhere as elsewhere:
            event("lines elsewhere")
            return not self.bring_along(worker, elsewhere.ids - worker.rows.keys())
        event("applied")
        return True

    def bring_along(self, worker: Worker, others: frozenset[int]) -> bool:
        """Claim the orders that lines come from, and read all anew; give back if that can't be."""
        if not ledger.stuck(others):
            extra = ledger.claim_also(others, "moved lines", worker.token)
            worker.rows |= {row.odoo_id: row for row in extra}
        worker.snapshot = {}
        if worker.rows.keys() >= others:
            return True
        ledger.release(worker.token, worker.rows, 0.3)
        return False

    def crash(self, _worker: Worker) -> bool:
        """Killed: its lease will end."""
        return True

    def give_back(self, worker: Worker) -> bool:
        """Odoo is away, or the process is told to stop."""
        ledger.release(worker.token, worker.rows, 2.0)
        return True

    def fail(self, worker: Worker) -> bool:
        """One order of a batch can't be read."""
        odoo_id, claimed = worker.rows.popitem()
        worker.snapshot.pop(odoo_id, None)
        try:
            last = ledger.fail(worker.token, claimed, ValueError("unreadable"))
        except LeaseLost:
            return False
        if last:
            event("given up")
            now = PendingBC.objects.get(pk=odoo_id)
            assert now.generation == claimed.generation, "given up although it was marked anew"
        return False

    # --- time, and what always holds ------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        back = timedelta(seconds=seconds)
        PendingBC.objects.update(**{name: F(name) - back for name in DATES})

    @invariant()
    def nothing_is_torn_backwards_or_forgotten(self) -> None:
        copy = self.watch.look()
        pending = set(PendingBC.objects.values_list("odoo_id", flat=True))
        forgotten = differing(self.odoo.committed, copy) - pending
        assert not forgotten, f"nobody will look at BC {forgotten} any more"

    def teardown(self) -> None:
        """Once all is quiet, and what failed was replayed, the copy equals Odoo."""
        for _ in range(30):
            if not PendingBC.objects.exists():
                break
            self.pass_time(LEASE + 1.0)
            failed = PendingBC.objects.filter(failed_at__isnull=False)
            ledger.mark(list(failed.values_list("odoo_id", flat=True)), LATE)
            token = uuid.uuid4()
            rows = ledger.claim(100, token).rows
            worker = Worker(token, {row.odoo_id: row for row in rows})
            for _ in range(4):
                self.fetch(worker)
                if not worker.rows or self.apply(worker):
                    break
        assert list(PendingBC.objects.values()) == []
        assert differing(self.odoo.committed, self.watch.look()) == set()


PROFILE = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=not LONG,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow("plays many sequences of marks, claims and answers")
@pytest.mark.timeout(3600 if LONG else 120)
@pytest.mark.usefixtures("single_rows")
def test_rules_2_3_4_and_5_hold_for_any_interleaving(settings: LazySettings) -> None:
    settings.EARLY_LOOKS = LOOKS
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = LOOKS[-1]
    settings.LEASE_SECONDS = LEASE
    settings.MAX_ATTEMPTS = 2
    run_state_machine_as_test(Ledger, settings=PROFILE)
