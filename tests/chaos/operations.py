"""What people do in Odoo, one operation of the plan at a time, on orders that exist then."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from odoo_simulator import Simulator
from odoo_simulator.order_changes import Operations
from tests.chaos.plan import EARLY, LONGEST, LOOKS, OUTLASTING, Operation
from tests.chaos.road import Outcome, Road

WITNESS = "witness"
"""The ``origin`` of orders whose reference and lines' texts always carry the same stamp."""
FEWEST_ORDERS = 20
TRIES = 12
"""Attempts with other orders while the drawn ones do not suit an operation."""
FEWEST_LINES, MOST_LINES = 1, 8
READS = 2
"""Reads during which an order is written again, so that one of them probably reads that order."""
WHILE_READ_SECONDS = 1.0
"""How long to wait for those reads."""
MARGIN_SECONDS = 1.5
"""Part of the longest transaction reserved for a webhook's delivery and a busy machine's clock."""

Touched = set[int]


class NothingSuitableError(Exception):
    """No order is free, or suitable, for this operation now."""


class Orders:
    """Which orders exist and which are in use. Thread-safe.

    Apart from operations about concurrent writes, an order is used by one operation at a time, so
    that each write changes something and fires its webhook.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: set[int] = set()
        self._witnesses: set[int] = set()

    def __len__(self) -> int:
        with self._lock:
            return len(self._free)

    def add(self, odoo_id: int, *, witness: bool = False) -> None:
        """Make an order available to operations."""
        with self._lock:
            (self._witnesses if witness else self._free).add(odoo_id)

    @contextmanager
    def some(
        self, dice: random.Random, count: int = 1, *, witness: bool = False
    ) -> Iterator[list[int]]:
        """Reserve that many orders for the block; a deleted one is to be removed from the list."""
        pool = self._witnesses if witness else self._free
        with self._lock:
            if len(pool) < count:
                raise NothingSuitableError
            taken = dice.sample(sorted(pool), count)
            pool.difference_update(taken)
        try:
            yield taken
        finally:
            with self._lock:
                pool.update(taken)


class Office:
    """Carries out operations in a simulated Odoo."""

    def __init__(self, odoo: Simulator, road: Road) -> None:
        self.odoo = odoo
        self.road = road
        self.orders = Orders()
        self._serial = itertools.count(1)
        self._while_read: dict[int, _WhileRead] = {}

    def furnish(self, orders: int, witnesses: int) -> None:
        """Create the initial orders."""
        dice = random.Random(0)
        for number in range(orders + witnesses):
            self._create_order(self.odoo, dice, witness=number < witnesses)

    def carry_out(self, operation: Operation) -> bool:
        """Carry out an operation; return False if no order suited it."""
        dice = random.Random(operation.dice)
        for _ in range(TRIES):
            outcome = Outcome()
            try:
                with self.road.watching(outcome):
                    touched = self._do(operation, dice, outcome)
            except NothingSuitableError:
                continue
            early = self.odoo.automation.timing == EARLY
            self.road.finish(outcome, touched, LONGEST - MARGIN_SECONDS if early else None)
            return True
        return False

    def _do(self, operation: Operation, dice: random.Random, outcome: Outcome) -> Touched:
        work: Callable[..., Touched] = getattr(self, f"_{operation.kind}")
        if operation.kind in _WITH_OWN_TRANSACTIONS:
            return work(dice, outcome)
        if not operation.hold and not operation.rolled_back:
            return work(self.odoo, dice)
        return self._held(operation, dice, work)

    def _held(
        self, operation: Operation, dice: random.Random, work: Callable[..., Touched]
    ) -> Touched:
        transaction = self.odoo.begin()
        ends = _End(transaction.commit, transaction.rollback, operation)
        try:
            return work(transaction, dice, ends)
        finally:
            ends.once()

    # --- one transaction each -------------------------------------------------------------------

    def _create_order(
        self,
        odoo: Operations,
        dice: random.Random,
        end: Callable[[], bool] = lambda: True,
        witness: bool = False,
    ) -> Touched:
        stamp = f"stamp {next(self._serial)}"
        lines = [self._line(dice) for _ in range(dice.randint(FEWEST_LINES, 5))]
        if witness:
            lines = [{**line, "name": stamp} for line in lines]
        order_id = odoo.create_order(
            dice.randint(2, 13), lines, partner_ref=stamp, origin=WITNESS if witness else False
        )
        if end():
            self.orders.add(order_id, witness=witness)
        return {order_id}

    def _write_order(
        self, odoo: Operations, dice: random.Random, end: Callable[[], bool] = lambda: True
    ) -> Touched:
        with self.orders.some(dice) as (order_id,):
            serial = next(self._serial)
            values = dice.choice(({"partner_ref": f"R{serial}"}, {"notes": f"<p>N{serial}</p>"}))
            odoo.write_order(order_id, values)
            end()
            return {order_id}

    def _stamp_order(
        self, odoo: Operations, dice: random.Random, end: Callable[[], bool] = lambda: True
    ) -> Touched:
        """Write one stamp into a witness and all its lines, adding and deleting some lines."""
        with self.orders.some(dice, witness=True) as (order_id,):
            stamp = f"stamp {next(self._serial)}"
            lines = [line["id"] for line in self._order(order_id)["order_line"]]
            commands: list[Any] = []
            if len(lines) > FEWEST_LINES and dice.random() < 0.3:
                commands.append((2, lines.pop(dice.randrange(len(lines))), 0))
            commands += [(1, line, {"name": stamp}) for line in lines]
            if len(lines) < MOST_LINES and dice.random() < 0.3:
                commands.append((0, 0, {**self._line(dice), "name": stamp}))
            odoo.write_order(order_id, partner_ref=stamp, order_line=commands)
            end()
            return {order_id}

    def _write_line_price(
        self, odoo: Operations, dice: random.Random, end: Callable[[], bool] = lambda: True
    ) -> Touched:
        with self.orders.some(dice) as (order_id,):
            odoo.write_line(self._any_line(order_id, dice), price_unit=next(self._serial) / 100)
            end()
            return {order_id}

    def _write_line_text(
        self, odoo: Operations, dice: random.Random, end: Callable[[], bool] = lambda: True
    ) -> Touched:
        """Write a line's text, which moves only the line's write_date."""
        with self.orders.some(dice) as (order_id,):
            odoo.write_line(self._any_line(order_id, dice), name=f"text {next(self._serial)}")
            end()
            return {order_id}

    def _add_line(
        self, odoo: Operations, dice: random.Random, end: Callable[[], bool] = lambda: True
    ) -> Touched:
        with self.orders.some(dice) as (order_id,):
            if len(self._order(order_id)["order_line"]) >= MOST_LINES:
                raise NothingSuitableError
            odoo.add_line(order_id, self._line(dice))
            end()
            return {order_id}

    def _add_note(
        self, odoo: Operations, dice: random.Random, end: Callable[[], bool] = lambda: True
    ) -> Touched:
        """Add a line that changes no total."""
        with self.orders.some(dice) as (order_id,):
            if len(self._order(order_id)["order_line"]) >= MOST_LINES:
                raise NothingSuitableError
            text = f"note {next(self._serial)}"
            odoo.add_line(order_id, display_type="line_note", name=text)
            end()
            return {order_id}

    def _delete_line(
        self, odoo: Operations, dice: random.Random, end: Callable[[], bool] = lambda: True
    ) -> Touched:
        with self.orders.some(dice) as (order_id,):
            if len(self._order(order_id)["order_line"]) <= FEWEST_LINES:
                raise NothingSuitableError
            odoo.delete_line(self._any_line(order_id, dice))
            end()
            return {order_id}

    def _delete_order(
        self, odoo: Operations, dice: random.Random, end: Callable[[], bool] = lambda: True
    ) -> Touched:
        if len(self.orders) < FEWEST_ORDERS:
            raise NothingSuitableError
        with self.orders.some(dice) as taken:
            order_id = taken[0]
            odoo.delete_order(order_id)
            if end():
                taken.clear()
            return {order_id}

    def _merge_orders(
        self, odoo: Operations, dice: random.Random, end: Callable[[], bool] = lambda: True
    ) -> Touched:
        with self.orders.some(dice, dice.randint(2, 3)) as taken:
            open_orders = [i for i in taken if self._order(i)["state"] in {"draft", "sent"}]
            if len(open_orders) < 2:
                raise NothingSuitableError
            odoo.merge(open_orders[1:], open_orders[0])
            end()
            return set(open_orders)

    def _move_line(
        self, odoo: Operations, dice: random.Random, end: Callable[[], bool] = lambda: True
    ) -> Touched:
        """Move a line with a price: without one Odoo does not report the order it leaves."""
        with self.orders.some(dice, 2) as (source, target):
            priced = [line for line in self._order(source)["order_line"] if line["price_subtotal"]]
            if not priced:
                raise NothingSuitableError
            odoo.move_line(dice.choice(priced)["id"], target)
            end()
            return {source, target}

    def _write_in_bulk(
        self, odoo: Operations, dice: random.Random, end: Callable[[], bool] = lambda: True
    ) -> Touched:
        with self.orders.some(dice, dice.randint(5, 15)) as taken:
            odoo.write_order(taken, partner_ref=f"bulk {next(self._serial)}")
            end()
            return set(taken)

    def _confirm_order(self, odoo: Operations, dice: random.Random) -> Touched:
        with self.orders.some(dice) as (order_id,):
            if self._order(order_id)["state"] not in {"draft", "sent"}:
                raise NothingSuitableError
            odoo.confirm(order_id)
            return {order_id}

    def _cancel_order(self, odoo: Operations, dice: random.Random) -> Touched:
        with self.orders.some(dice) as (order_id,):
            if self._order(order_id)["state"] not in {"draft", "purchase"}:
                raise NothingSuitableError
            odoo.cancel(order_id)
            return {order_id}

    def _receive_goods(self, odoo: Operations, dice: random.Random) -> Touched:
        with self.orders.some(dice) as (order_id,):
            order = self._order(order_id)
            if order["state"] != "purchase" or order["receipt_status"] == "full":
                raise NothingSuitableError
            lines = [line["id"] for line in order["order_line"] if line["product_id"]]
            if not lines:
                raise NothingSuitableError
            odoo.receive(order_id, dict.fromkeys(lines, 1.0) if dice.random() < 0.5 else None)
            return {order_id}

    def _rename_partner(self, odoo: Operations, dice: random.Random) -> Touched:
        """Rename a partner: many orders show it, no write_date moves, no webhook fires."""
        odoo.rename("res.partner", dice.randint(2, 13), f"Supplier {next(self._serial)}")
        return set()

    # --- several transactions -------------------------------------------------------------------

    def _write_twice_in_a_second(self, dice: random.Random, outcome: Outcome) -> Touched:
        """Commit twice with, more often than not, the same write_date on the wire."""
        with self.orders.some(dice) as (order_id,):
            line = self._any_line(order_id, dice)
            self.odoo.write_order(order_id, partner_ref=f"R{next(self._serial)}")
            time.sleep(dice.uniform(0.0, 0.3))
            if dice.random() < 0.5:
                self.odoo.write_line(line, name=f"text {next(self._serial)}")
            else:
                self.odoo.write_order(order_id, partner_ref=f"R{next(self._serial)}")
            return {order_id}

    def _write_in_conflict(self, dice: random.Random, outcome: Outcome) -> Touched:
        """Write one order twice at once: one write is retried, its webhooks sent already."""
        with self.orders.some(dice) as (order_id,):
            line = self._any_line(order_id, dice)
            write = self.odoo.write_order
            one = self._beside(outcome, lambda: write(order_id, notes=f"N{next(self._serial)}"))
            self.odoo.write_line(line, price_unit=next(self._serial) / 100)
            one.join()
            return {order_id}

    def _write_line_in_a_longer_write(self, dice: random.Random, outcome: Outcome) -> Touched:
        """Commit a line's text while a longer transaction has its order locked."""
        with self.orders.some(dice) as (order_id,):
            line = self._any_line(order_id, dice)
            with self.odoo.transaction(hold=dice.uniform(0.0, LOOKS[-1] / 4)) as longer:
                longer.write_order(order_id, partner_ref=f"R{next(self._serial)}")
                time.sleep(dice.uniform(0.0, 0.6))
                self.odoo.write_line(line, name=f"text {next(self._serial)}")
            return {order_id}

    def _write_in_a_long_transaction(self, dice: random.Random, outcome: Outcome) -> Touched:
        """Hold a change beyond the early looks while another change of its order is committed."""
        with self.orders.some(dice) as (order_id,):
            line = self._any_line(order_id, dice)
            with self.odoo.transaction(hold=OUTLASTING) as long:
                long.write_order(order_id, partner_ref=f"R{next(self._serial)}")
                time.sleep(dice.uniform(0.0, 0.6))
                self.odoo.write_line(line, name=f"text {next(self._serial)}")
            return {order_id}

    def _delete_line_in_a_long_transaction(self, dice: random.Random, outcome: Outcome) -> Touched:
        """Hold a line's deletion likewise; what becomes visible first is another line's text."""
        with self.orders.some(dice) as (order_id,):
            lines = [line["id"] for line in self._order(order_id)["order_line"]]
            if len(lines) <= FEWEST_LINES:
                raise NothingSuitableError
            gone, other = dice.sample(lines, 2)
            with self.odoo.transaction(hold=OUTLASTING) as long:
                long.delete_line(gone)
                time.sleep(dice.uniform(0.0, 0.6))
                self.odoo.write_line(other, name=f"text {next(self._serial)}")
            return {order_id}

    def _delete_order_in_a_long_transaction(self, dice: random.Random, outcome: Outcome) -> Touched:
        """Hold an order's deletion likewise; the other change comes first, as it would block."""
        if len(self.orders) < FEWEST_ORDERS:
            raise NothingSuitableError
        with self.orders.some(dice) as taken:
            order_id = taken[0]
            self.odoo.write_order(order_id, partner_ref=f"R{next(self._serial)}")
            with self.odoo.transaction(hold=OUTLASTING) as long:
                long.delete_order(order_id)
            taken.clear()
            return {order_id}

    def _write_while_read(self, dice: random.Random, outcome: Outcome) -> Touched:
        """Write again after Odoo has computed an answer and before it sends that answer.

        The answer may show the order as after the first write; the second write's webhook arrives
        while a worker has the order claimed.
        """
        with self.orders.some(dice) as (order_id,):
            again = self._while_read[order_id] = _WhileRead(outcome)
            # Set each time, because the end of any of Odoo's faults removes it.
            self.odoo.faults.between_calls(self._at_a_read)
            self.odoo.write_order(order_id, partner_ref=f"R{next(self._serial)}")
            again.end()
            del self._while_read[order_id]
            return {order_id}

    def _at_a_read(self, _model: str, method: str) -> None:
        """Called by the simulator, in the thread that answers."""
        if method != "web_search_read":
            return
        for order_id, again in list(self._while_read.items()):
            with self.road.watching(again.outcome), again.turn() as is_given:
                if is_given:
                    self.odoo.write_order(order_id, partner_ref=f"R{next(self._serial)}")

    # --- helpers --------------------------------------------------------------------------------

    def _beside(self, outcome: Outcome, work: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            with self.road.watching(outcome):
                work()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def _line(self, dice: random.Random) -> dict[str, Any]:
        return {
            "product_id": dice.randint(1, 12),
            "name": f"text {next(self._serial)}",
            "product_qty": float(dice.randint(1, 40)),
            "price_unit": dice.choice((0.0, next(self._serial) / 100, next(self._serial) / 100)),
        }

    def _order(self, order_id: int) -> Any:
        order = self.odoo.order(order_id)
        assert order is not None, f"order {order_id} was deleted by nobody here"
        return order

    def _any_line(self, order_id: int, dice: random.Random) -> int:
        lines = self._order(order_id)["order_line"]
        if not lines:
            raise NothingSuitableError
        return int(dice.choice(lines)["id"])


_WITH_OWN_TRANSACTIONS = frozenset({
    "write_twice_in_a_second", "write_in_conflict", "write_line_in_a_longer_write",
    "write_while_read", "write_in_a_long_transaction", "delete_line_in_a_long_transaction",
    "delete_order_in_a_long_transaction",
})  # fmt: skip


class _WhileRead:
    """An order to be written during the next reads; the first of them need not read that order."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._left = READS
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Yield whether to write now; other callers wait until the block ends."""
        with self._changed:
            yield self._left > 0
            self._left -= 1
            self._changed.notify()

    def end(self) -> None:
        """Wait a while for those reads; nothing is written afterwards."""
        with self._changed:
            self._changed.wait_for(lambda: self._left <= 0, WHILE_READ_SECONDS)
            self._left = 0


class _End:
    """Ends a held transaction as its operation demands; records whether it was committed."""

    def __init__(
        self, commit: Callable[[], None], rollback: Callable[[], None], operation: Operation
    ) -> None:
        self._commit, self._rollback, self._operation = commit, rollback, operation
        self._is_over = False

    def __call__(self) -> bool:
        self._is_over = True
        time.sleep(self._operation.hold)
        if self._operation.rolled_back:
            self._rollback()
            return False
        self._commit()
        return True

    def once(self) -> None:
        """Roll back if the operation did not complete."""
        if not self._is_over:
            self._rollback()
