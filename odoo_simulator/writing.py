"""create, write and unlink on any model, inside a transaction: the only way rows change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from odoo_simulator.automation import Automation, Event
from odoo_simulator.base_data import UNITS
from odoo_simulator.bulk_orders import Row
from odoo_simulator.errors import SerializationFailure, UserError, ValidationError, missing
from odoo_simulator.model_fields import INVERSES, Model
from odoo_simulator.order_kinds import Shape, shapes_of
from odoo_simulator.orders import OrderLogic
from odoo_simulator.store import Store, Transaction
from odoo_simulator.workflow import Workflow
from odoo_simulator.written_values import (
    MAGIC_FIELDS,
    apply_links,
    check_fields,
    commands_of,
    stored,
)

T = TypeVar("T")
RETRIES = 5  # as Odoo's MAX_TRIES_ON_CONCURRENCY_FAILURE
_LINE_LOCKED_STATES = ("purchase", "done", "sale")


class Records:
    """All writes; each method fires the rules, then locks the rows that it has written."""

    def __init__(
        self, store: Store, models: dict[str, Model], version: int, automation: Automation
    ) -> None:
        self.store = store
        self.models = models
        self.version = version
        self.automation = automation
        self.commit_delay: Callable[[], float] = lambda: 0.0
        self.shapes: dict[str, Shape] = shapes_of(version)
        self._logics = {
            shape.order: OrderLogic(shape, models, version, automation.fire)
            for shape in self.shapes.values()
        }
        self.workflows = {name: Workflow(logic) for name, logic in self._logics.items()}

    def logic(self, model: str) -> OrderLogic:
        """Return the logic of an order's or a line's model. Raises KeyError for other models."""
        return self._logics[self.shapes[model].order]

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in its own transaction and commit; retry after a serialization failure."""
        for attempt in range(RETRIES):
            tx = self.store.begin()
            try:
                result = work(tx)
            except SerializationFailure:
                tx.rollback()
                if attempt == RETRIES - 1:
                    raise
            except BaseException:
                tx.rollback()
                raise
            else:
                time.sleep(self.commit_delay())
                tx.commit()
                return result
        raise SerializationFailure("could not serialize access")

    def create(self, tx: Transaction, model: str, values: Row, wanted_id: int | None = None) -> int:
        events: list[Event] = []
        shape = self.shapes.get(model)
        if shape is None:
            number = self._create_plain(tx, model, values, wanted_id)
            events.append(Event("create", model, number))
        elif model == shape.order:
            number = self.logic(model).create_order(tx, values, events, wanted_id)
        else:
            number = self.logic(model).create_line(tx, values, events, wanted_id)
        self._finish(tx, events)
        return number

    def write(self, tx: Transaction, model: str, numbers: Iterable[int], values: Row) -> None:
        """Write records. Raises MissingError for a missing id, ServerError for an unknown field."""
        events: list[Event] = []
        shape = self.shapes.get(model)
        for number in numbers:
            if shape is None:
                self._write_plain(tx, model, number, values, events)
            elif model == shape.order:
                self.logic(model).write_order(tx, number, values, events)
            else:
                self.logic(model).write_line(tx, number, values, events)
        self._finish(tx, events)

    def unlink(
        self, tx: Transaction, model: str, numbers: Sequence[int], checked: bool = True
    ) -> None:
        """Delete records; `checked` applies Odoo's rules (a confirmed order is refused)."""
        events: list[Event] = []
        shape = self.shapes.get(model)
        for number in numbers:
            if shape is None:
                self._unlink_plain(tx, model, number)
                continue
            logic = self.logic(model)
            if model == shape.line:
                if checked:
                    self._check_line(tx, shape, number)
                logic.unlink_line(tx, number, events)
                continue
            if checked:
                logic.check_deletable(tx, number)
            if tx.get(model, number) is None:
                raise missing(model, number, tx.uid)
            self.automation.fire(tx, [Event("unlink", model, number)])
            logic.unlink_order(tx, number)
        self._finish(tx, events)

    def act(self, tx: Transaction, work: Callable[[list[Event]], None]) -> None:
        """Run a step of a workflow that collects events, then fire the rules and lock the rows."""
        events: list[Event] = []
        work(events)
        self._finish(tx, events)

    def _finish(self, tx: Transaction, events: list[Event]) -> None:
        alive = [event for event in events if tx.get(event.model, event.record_id) is not None]
        self.automation.fire(tx, alive)
        # Locked only now, because Odoo flushes the UPDATE after the rules have run: a call that
        # then has to be retried has already sent its webhooks (measured on 17).
        self.store.acquire(tx, tx.written())

    def _check_line(self, tx: Transaction, shape: Shape, number: int) -> None:
        row = tx.get(shape.line, number)
        if row is None:
            raise missing(shape.line, number, tx.uid)
        order = tx.get(shape.order, int(row["order_id"])) or {}
        if order.get("state") in _LINE_LOCKED_STATES and not row.get("display_type"):
            raise UserError(
                f"Cannot delete a purchase order line which is in state '{order.get('state')}'."
            )

    # --- models without logic of their own ---

    def _create_plain(self, tx: Transaction, model: str, values: Row, wanted_id: int | None) -> int:
        check_fields(self.models[model], values, self.version)
        number = tx.new_id(model) if wanted_id is None else wanted_id
        self._check_rule(model, values)
        row: Row = {"create_date": tx.now, "create_uid": tx.uid}
        if model == "product.product":
            row["uom_id"] = UNITS
        if "active" in self.models[model].fields:
            row["active"] = True
        tx.put(model, number, row)
        self._set_plain(tx, model, number, row, values)
        return number

    def _write_plain(
        self, tx: Transaction, model: str, number: int, values: Row, events: list[Event]
    ) -> None:
        check_fields(self.models[model], values, self.version)
        row = tx.get(model, number)
        if row is None:
            raise missing(model, number, tx.uid)
        if model == "base.automation":
            values = self._with_watched(row, values)
        self._set_plain(tx, model, number, row, values)
        new = tx.need(model, number)
        changed = frozenset(name for name in values if row.get(name) != new.get(name))
        events.append(Event("write", model, number, changed))

    def _set_plain(self, tx: Transaction, model: str, number: int, row: Row, values: Row) -> None:
        fields = self.models[model].fields
        new = {**row, "write_date": tx.now, "write_uid": tx.uid}
        children: list[tuple[str, str, tuple[int, int, object]]] = []
        for name, value in values.items():
            field = fields[name]
            if name in MAGIC_FIELDS:
                continue
            if field.type == "many2many":
                new[name] = apply_links(row.get(name, ()), value)
            elif field.type == "one2many":
                child, back = INVERSES[(model, name)]
                children.extend((child, back, command) for command in commands_of(value))
            else:
                new[name] = stored(field, value)
        if model == "ir.actions.server":
            self._name_action(new)
        tx.put(model, number, new)
        for child, back, command in children:
            self._child_command(tx, child, {back: number}, command)
        self._link_back(tx, model, number, new, row)

    def _name_action(self, action: Row) -> None:
        """Set the name of a webhook action: 17 and 18 overwrite the given one (measured)."""
        if self.version < 19 and action.get("state") == "webhook":
            action["name"] = "Send Webhook Notification"

    def _child_command(
        self, tx: Transaction, child: str, back: Row, command: tuple[int, int, object]
    ) -> None:
        code, number, values = command
        if code == 0 and isinstance(values, dict):
            self._create_plain(tx, child, {**values, **back}, None)
        elif code == 1 and isinstance(values, dict):
            self._write_plain(tx, child, number, values, [])
        elif code == 2:
            self._unlink_plain(tx, child, number)

    def _link_back(self, tx: Transaction, model: str, number: int, new: Row, old: Row) -> None:
        """Keep the one2many's list in step with the many2one."""
        for (parent_model, name), (child, back) in INVERSES.items():
            if child != model or new.get(back, False) == old.get(back, False):
                continue
            parent_id = int(new.get(back) or 0)
            parent = tx.get(parent_model, parent_id)
            if parent is not None:
                links = (*parent.get(name, ()), number)
                tx.put(parent_model, parent_id, {**parent, name: links})

    def _unlink_plain(self, tx: Transaction, model: str, number: int) -> None:
        row = tx.get(model, number)
        if row is None:
            raise missing(model, number, tx.uid)
        for (parent_model, name), (child, back) in INVERSES.items():
            if parent_model == model:  # deleting a rule also deletes its actions
                for line in row.get(name, ()):
                    tx.delete(child, line)
            elif child == model and row.get(back):
                parent = tx.get(parent_model, int(row[back]))
                if parent is not None:
                    links = tuple(link for link in parent.get(name, ()) if link != number)
                    tx.put(parent_model, int(row[back]), {**parent, name: links})
        tx.delete(model, number)

    def _with_watched(self, rule: Row, values: Row) -> Row:
        """Return the values written to a rule, with the watched fields that Odoo derives.

        Writing a trigger, even the same one, empties the watched fields; 19 keeps those of
        on_create_or_write, 17 keeps all. On 18, leaving no watched field also unsets the trigger,
        which raises fault 2 unless the trigger is written in the same call (all measured).
        """
        written = values.get("trigger_field_ids")
        if written is None:
            kept = self.version >= 19 and values.get("trigger") == "on_create_or_write"
            resets = "trigger" in values and self.version >= 18 and not kept
            return {**values, "trigger_field_ids": [(5, 0, 0)]} if resets else values
        left = apply_links(rule.get("trigger_field_ids", ()), written)
        if self.version == 18 and not left and "trigger" not in values:
            raise ValidationError(
                "The operation cannot be completed:\n- Create/update: a mandatory field is not set."
                "\n\nModel: Automation Rule (base.automation)\nField: Trigger (trigger)\n"
            )
        return values

    def _check_rule(self, model: str, values: Row) -> None:
        """Require model_id on a rule and on its action (measured: fault 2 without)."""
        if model in ("base.automation", "ir.actions.server") and not values.get("model_id"):
            raise ValidationError(
                "The operation cannot be completed: missing required value for the field "
                f"'Model' (model_id) of {model}."
            )
