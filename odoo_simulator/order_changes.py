"""The operations that a test or demo performs, each in its own or in an explicit transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from odoo_simulator.bulk_orders import Row
from odoo_simulator.order_kinds import Shape
from odoo_simulator.store import Transaction
from odoo_simulator.writing import Records
from odoo_simulator.written_values import apply_links, stored

T = TypeVar("T")
Ids = int | Iterable[int]
# The same field in 17 and 18, in 19, and in sale orders; any of the names works in any version.
_RENAMED = (
    ("notes", "note"),
    ("product_uom", "product_uom_id"),
    ("taxes_id", "tax_ids"),
    ("taxes_id", "tax_id"),
    ("partner_ref", "client_order_ref"),
    ("product_qty", "product_uom_qty"),
)


class Operations:
    """The operations; `_do` decides in which transaction they run."""

    version: int
    order_model: str
    records: Records

    def _do(self, work: Callable[[Transaction], T]) -> T:
        raise NotImplementedError

    @property
    def _shape(self) -> Shape:
        return self.records.shapes[self.order_model]

    # --- orders and lines ---

    def create_order(self, partner_id: int = 2, lines: Sequence[Row] = (), **values: Any) -> int:
        """Create an order with its lines; return its id."""
        row = {"partner_id": partner_id, **self._own(values)}
        if lines:
            row["order_line"] = [(0, 0, self._own(line)) for line in lines]
        return self._do(lambda tx: self.records.create(tx, self.order_model, row))

    def write_order(self, ids: Ids, values: Row | None = None, **more: Any) -> None:
        """Write fields (one2many commands included) of one or several orders."""
        row = self._own({**(values or {}), **more})
        self._do(lambda tx: self.records.write(tx, self.order_model, _list(ids), row))

    def add_line(self, order_id: int, values: Row | None = None, **more: Any) -> int:
        """Create a line by itself; return its id."""
        row = {**self._own({**(values or {}), **more}), "order_id": order_id}
        return self._do(lambda tx: self.records.create(tx, self._shape.line, row))

    def write_line(self, ids: Ids, values: Row | None = None, **more: Any) -> None:
        row = self._own({**(values or {}), **more})
        self._do(lambda tx: self.records.write(tx, self._shape.line, _list(ids), row))

    def delete_line(self, ids: Ids) -> None:
        """Delete lines directly, whatever the order's state."""
        self._do(lambda tx: self.records.unlink(tx, self._shape.line, _list(ids), checked=False))

    def delete_order(self, ids: Ids) -> None:
        """Delete orders, whatever their state; the database's cascade deletes their lines."""
        self._do(lambda tx: self.records.unlink(tx, self.order_model, _list(ids), checked=False))

    # --- buttons ---

    def confirm(self, ids: Ids) -> None:
        self._press("confirm", ids)

    def cancel(self, ids: Ids) -> None:
        self._press("cancel", ids)

    def to_draft(self, ids: Ids) -> None:
        self._press("to_draft", ids)

    def lock_order(self, ids: Ids) -> None:
        self._press("lock", ids)

    def receive(self, order_id: int, quantities: dict[int, float] | None = None) -> None:
        """Validate a receipt of these quantities by line id (None: everything outstanding)."""
        amounts = None if quantities is None else {int(k): v for k, v in quantities.items()}
        workflow = self.records.workflows[self.order_model]
        self._do(
            lambda tx: self.records.act(
                tx, lambda events: workflow.receive(tx, order_id, amounts, events)
            )
        )

    def merge(self, source_ids: Ids, target_id: int) -> None:
        """Move all lines of the sources to the target (ids are kept) and cancel the sources."""
        sources = _list(source_ids)
        workflow = self.records.workflows[self.order_model]
        self._do(
            lambda tx: self.records.act(
                tx, lambda events: workflow.merge(tx, sources, target_id, events)
            )
        )

    def move_line(self, line_id: int, order_id: int) -> None:
        """Move one line to another order; it keeps its id."""
        self.write_line(line_id, {"order_id": order_id})

    # --- other records ---

    def create(self, model: str, values: Row) -> int:
        return self._do(lambda tx: self.records.create(tx, model, values))

    def write(self, model: str, ids: Ids, values: Row) -> None:
        self._do(lambda tx: self.records.write(tx, model, _list(ids), values))

    def unlink(self, model: str, ids: Ids) -> None:
        self._do(lambda tx: self.records.unlink(tx, model, _list(ids), checked=False))

    def rename(self, model: str, record_id: int, name: str) -> None:
        """Change a display_name that many orders show, without writing to any of them."""
        self.write(model, record_id, {"name": name})

    def update_sql(self, model: str, ids: Ids, values: Row) -> None:
        """Change rows as plain SQL would: no rule fires, write_date changes only if given."""
        fields = self.records.models[model].fields

        def work(tx: Transaction) -> None:
            for number in _list(ids):
                row = dict(tx.need(model, number))
                for name, value in values.items():
                    field = fields[name]
                    links = field.type == "many2many"
                    row[name] = (
                        apply_links(row.get(name, ()), value) if links else stored(field, value)
                    )
                tx.put(model, number, row)
            self.records.store.acquire(tx, tx.written())

        self._do(work)

    def _press(self, button: str, ids: Ids) -> None:
        press = getattr(self.records.workflows[self.order_model], button)
        numbers = _list(ids)
        self._do(lambda tx: self.records.act(tx, lambda events: press(tx, numbers, events)))

    def _own(self, values: Row) -> Row:
        """Return the values under this version's field names."""
        row = dict(values)
        for model in (self.order_model, self._shape.line):
            fields = self.records.models[model].fields
            for pair in _RENAMED:
                for old, new in (pair, pair[::-1]):
                    if old in row and old not in fields and new in fields:
                        row[new] = row.pop(old)
        return row


def _list(ids: Ids) -> list[int]:
    return [ids] if isinstance(ids, int) else [int(number) for number in ids]
