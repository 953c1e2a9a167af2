"""What the buttons do: confirm, cancel, lock, receive, merge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from odoo_simulator.automation import Event
from odoo_simulator.bulk_orders import Row
from odoo_simulator.errors import UserError
from odoo_simulator.orders import OrderLogic
from odoo_simulator.store import Transaction

STORM_CONFIRM = 9  # an unwatched rule fires 13 times in all for an order of two lines (17)


class Workflow:
    """The buttons of one kind of order."""

    def __init__(self, logic: OrderLogic) -> None:
        self.logic = logic
        self.shape = logic.shape

    def confirm(self, tx: Transaction, numbers: Iterable[int], events: list[Event]) -> None:
        """Confirm orders; moves order and lines (19: the order only)."""
        for number in numbers:
            row = self.logic._existing(tx, self.shape.order, number)
            if row.get("state") not in ("draft", "sent"):
                continue
            values: Row = {"state": self.shape.confirmed, self.shape.date_on_confirm: tx.now[:19]}
            self._set(tx, number, values, events, repeats=STORM_CONFIRM)
            self._set(tx, number, {self.shape.status: "pending"}, events)

    def cancel(self, tx: Transaction, numbers: Iterable[int], events: list[Event]) -> None:
        """Cancel orders. Raises UserError for a locked order."""
        for number in numbers:
            row = self.logic._existing(tx, self.shape.order, number)
            if row.get("locked") or row.get("state") == "done":
                raise UserError("You cannot cancel a locked order. Please unlock it first.")
            self._set(tx, number, {"state": "cancel"}, events)

    def to_draft(self, tx: Transaction, numbers: Iterable[int], events: list[Event]) -> None:
        for number in numbers:
            self._set(tx, number, {"state": "draft"}, events)

    def lock(self, tx: Transaction, numbers: Iterable[int], events: list[Event]) -> None:
        """Lock orders: by a state in 17 and 18, by a field in 19."""
        has_field = "locked" in self.logic.models[self.shape.order].fields
        for number in numbers:
            self._set(tx, number, {"locked": True} if has_field else {"state": "done"}, events)

    def unlock(self, tx: Transaction, numbers: Iterable[int], events: list[Event]) -> None:
        has_field = "locked" in self.logic.models[self.shape.order].fields
        values: Row = {"locked": False} if has_field else {"state": self.shape.confirmed}
        for number in numbers:
            self._set(tx, number, values, events)

    def receive(
        self,
        tx: Transaction,
        number: int,
        quantities: dict[int, float] | None,
        events: list[Event],
    ) -> None:
        """Validate a receipt, or delivery, of these quantities by line (None: all outstanding).

        The order's write_date moves each time, even if its status stays the same.
        """
        order = self.logic._existing(tx, self.shape.order, number)
        for line in order["order_line"]:
            row = tx.need(self.shape.line, line)
            ordered = row.get(self.shape.quantity, 0.0)
            received = row.get(self.shape.moved, 0.0)
            more = ordered - received if quantities is None else quantities.get(line, 0.0)
            if row.get("display_type") or not more:
                continue
            new = {**row, self.shape.moved: received + more, **self.logic._stamp(tx)}
            tx.put(self.shape.line, line, new)
            events.append(Event("write", self.shape.line, line, frozenset({self.shape.moved})))
        status = self._moved_status(tx, order["order_line"])
        values: Row = {self.shape.status: status, "invoice_status": "to invoice"}
        if not order.get("effective_date"):
            values["effective_date"] = tx.now[:19]
        self._set(tx, number, values, events, each=True)

    def merge(
        self, tx: Transaction, sources: Sequence[int], target: int, events: list[Event]
    ) -> None:
        """Move the lines, which keep their ids, to the target and cancel the emptied orders."""
        self.logic._existing(tx, self.shape.order, target)
        for source in sources:
            if source == target:
                continue
            for line in self.logic._existing(tx, self.shape.order, source)["order_line"]:
                self.logic.move_line(tx, line, target, events)
            self._set(tx, source, {"state": "cancel"}, events)

    def _moved_status(self, tx: Transaction, lines: Iterable[int]) -> str:
        rows = [tx.need(self.shape.line, line) for line in lines]
        goods = [row for row in rows if not row.get("display_type")]
        moved = self.shape.moved
        if all(row.get(moved, 0.0) >= row.get(self.shape.quantity, 0.0) for row in goods):
            return "full"
        return "partial" if any(row.get(moved) for row in goods) else "pending"

    def _set(
        self,
        tx: Transaction,
        number: int,
        values: Row,
        events: list[Event],
        *,
        each: bool = False,
        repeats: int = 0,
    ) -> None:
        """Set fields and move write_date; fire one event, or one per changed field."""
        order = self.logic.shape.order
        old = self.logic._existing(tx, order, number)
        tx.put(order, number, {**old, **values, **self.logic._stamp(tx)})
        changed = {name for name, value in values.items() if old.get(name, False) != value}
        if each:
            events.extend(Event("write", order, number, frozenset({name})) for name in changed)
        else:
            events.append(Event("write", order, number, frozenset(changed), repeats=repeats))
        self.logic._pass_to_lines(tx, number, changed, events)
