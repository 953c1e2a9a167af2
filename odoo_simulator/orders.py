"""Orders and lines: stored totals, which writes move which write_date, what webhook rules see.

When the order's write_date moves was measured on Odoo 17, 18 and 19; each branch that depends on
the version says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from odoo_simulator.automation import Event
from odoo_simulator.bulk_orders import Row
from odoo_simulator.errors import UserError, ValidationError, missing
from odoo_simulator.model_fields import Model
from odoo_simulator.order_kinds import RELATED_SOURCES, Shape
from odoo_simulator.store import Transaction
from odoo_simulator.written_values import (
    MAGIC_FIELDS,
    apply_links,
    check_fields,
    commands_of,
    rounded,
    stored,
)

Fire = Callable[[Transaction, Iterable[Event]], None]
# How many more times a rule without watched fields fires. Measured webhooks: for a new order of two
# lines 34 on 17, 33 on 18, 24 on 19; on 17, 9 for a price edited through the order, 19 for an added
# line, 14 for a deleted one.
STORM_NEW_ORDER = {16: 0, 17: 7, 18: 6, 19: 5}
STORM_NEW_LINE = {16: 0, 17: 10, 18: 10, 19: 6}
STORM_COMMANDS, STORM_LINE_ADDED, STORM_LINE_DELETED = 4, 6, 12
ORDER_AMOUNTS = ("amount_untaxed", "amount_tax", "amount_total")
LINE_AMOUNTS = ("price_subtotal", "price_tax", "price_total")
_ADDRESSES = ("partner_invoice_id", "partner_shipping_id")
_PLANNED_AFTER = timedelta(days=7)


class OrderLogic:
    """Creates, writes and deletes the orders of one shape, and their lines."""

    def __init__(self, shape: Shape, models: dict[str, Model], version: int, fire: Fire) -> None:
        self.shape = shape
        self.models = models
        self.version = version
        self.fire = fire

    # --- orders ---

    def create_order(
        self, tx: Transaction, values: Row, events: list[Event], wanted_id: int | None = None
    ) -> int:
        """Create an order with its lines. Raises ValidationError without a partner."""
        shape = self.shape
        check_fields(self.models[shape.order], values, self.version)
        if not values.get("partner_id"):
            raise ValidationError(
                "The operation cannot be completed: missing required field partner_id "
                f"on {shape.order}"
            )
        number = tx.new_id(shape.order) if wanted_id is None else wanted_id
        row = self._order_defaults(tx, number)
        row.update(self._stored_values(tx, shape.order, row, values))
        if shape.prefix == "S":
            addresses = dict.fromkeys(_ADDRESSES, row["partner_id"])
            row = {**addresses, **row}
        tx.put(shape.order, number, row)
        repeats = STORM_NEW_ORDER[self.version]
        events.append(Event("create", shape.order, number, repeats=repeats))
        for code, line_id, line_values in commands_of(values.get("order_line")):
            self._line_command(tx, number, (code, line_id, line_values), events)
        before = tx.need(shape.order, number)
        if before["order_line"]:
            self._total(tx, number, events)
            if "date_planned" not in values and shape.prefix == "P":
                planned = self._earliest_planned(tx, number)
                tx.put(
                    shape.order, number, {**tx.need(shape.order, number), "date_planned": planned}
                )
                events.append(_write(shape.order, number, {"date_planned"}))
        return number

    def write_order(self, tx: Transaction, number: int, values: Row, events: list[Event]) -> None:
        """Write an order: its write_date moves with any write, even {} or unchanged values."""
        shape = self.shape
        old = self._existing(tx, shape.order, number)
        changes = self._stored_values(tx, shape.order, old, values)
        new = {**old, **changes, **self._stamp(tx)}
        tx.put(shape.order, number, new)
        changed = {name for name, value in changes.items() if old.get(name) != value}
        commands = commands_of(values.get("order_line"))
        repeats = STORM_COMMANDS if commands else 0
        events.append(Event("write", shape.order, number, frozenset(changed), repeats=repeats))
        self._pass_to_lines(tx, number, changed, events)
        for command in commands:
            self._line_command(tx, number, command, events)
        if commands or "currency_id" in changed:
            moved = self._total(tx, number, events)
            if moved:  # the order's own write sees the recomputed totals again
                events.append(_write(shape.order, number, moved))

    def unlink_order(self, tx: Transaction, number: int) -> None:
        """Delete an order; the database's cascade deletes its lines, so no line rule fires."""
        row = self._existing(tx, self.shape.order, number)
        for line in row.get("order_line", ()):
            tx.delete(self.shape.line, line)
        tx.delete(self.shape.order, number)

    # --- lines ---

    def create_line(
        self, tx: Transaction, values: Row, events: list[Event], wanted_id: int | None = None
    ) -> int:
        """Create a line alone: moves the order's write_date if its total changes (17: always)."""
        self._existing(tx, self.shape.order, int(values.get("order_id") or 0))
        number = self._new_line(tx, int(values["order_id"]), values, events, wanted_id)
        self._total(
            tx,
            int(values["order_id"]),
            events,
            always=self.version == 17,
            repeats=STORM_LINE_ADDED,
        )
        return number

    def write_line(self, tx: Transaction, number: int, values: Row, events: list[Event]) -> None:
        """Write a line by itself: moves the order's write_date only if the total changes."""
        order_id = int(self._existing(tx, self.shape.line, number)["order_id"])
        touched = self._change_line(tx, number, values, events)
        target = int(tx.need(self.shape.line, number)["order_id"])
        if target != order_id:
            self.relink(tx, number, order_id, target)
            self._total(tx, order_id, events)
            self._total(tx, target, events)
        elif touched:
            self._total(tx, order_id, events)
        if "qty_received" in values and self.version == 17:
            self._first_manual_receipt(tx, order_id, events)

    def unlink_line(self, tx: Transaction, number: int, events: list[Event]) -> None:
        """Delete a line by itself: if the total is unchanged, only the list of lines shows it."""
        order_id = int(self._existing(tx, self.shape.line, number)["order_id"])
        self._drop_line(tx, number)
        self._total(tx, order_id, events, repeats=STORM_LINE_DELETED)

    def relink(self, tx: Transaction, line: int, source: int, target: int) -> None:
        """Move a line's id from one order's list to another's; no write_date moves."""
        for order_id, keep in ((source, False), (target, True)):
            row = tx.need(self.shape.order, order_id)
            lines = tuple(number for number in row["order_line"] if number != line)
            tx.put(
                self.shape.order,
                order_id,
                {**row, "order_line": (*lines, line) if keep else lines},
            )

    def move_line(self, tx: Transaction, line: int, target: int, events: list[Event]) -> None:
        """Move a line to another order as a merge does, keeping its id."""
        self.write_line(tx, line, {"order_id": target}, events)

    # --- helpers ---

    def _line_command(
        self, tx: Transaction, order_id: int, command: tuple[int, int, Any], events: list[Event]
    ) -> None:
        code, number, values = command
        if code == 0:
            self._new_line(tx, order_id, values, events, None)
        elif code == 1:
            self._change_line(tx, number, values, events)
        elif code in (2, 3):
            self._existing(tx, self.shape.line, number)
            self._drop_line(tx, number)
        elif code == 5:
            for line in tx.need(self.shape.order, order_id)["order_line"]:
                self._drop_line(tx, line)

    def _new_line(
        self,
        tx: Transaction,
        order_id: int,
        values: Row,
        events: list[Event],
        wanted_id: int | None,
    ) -> int:
        shape = self.shape
        check_fields(self.models[shape.line], values, self.version)
        number = tx.new_id(shape.line) if wanted_id is None else wanted_id
        order = tx.need(shape.order, order_id)
        row = self._line_defaults(tx, order_id, order, values)
        row.update(self._stored_values(tx, shape.line, row, values))
        row["order_id"] = order_id
        if row.get("display_type"):
            row.update({"product_id": False, shape.quantity: 0.0, "price_unit": 0.0})
        self._follow_quantities(row, values)
        tx.put(shape.line, number, row)
        order = {**order, "order_line": (*order["order_line"], number)}
        tx.put(shape.order, order_id, order)
        repeats = 0 if row.get("display_type") else STORM_NEW_LINE[self.version]
        events.append(Event("create", shape.line, number, repeats=repeats))
        amounts = self._line_amounts(tx, order, row)
        tx.put(shape.line, number, {**row, **amounts})
        if not row.get("display_type"):
            changed = {name for name in LINE_AMOUNTS if amounts[name]}
            events.append(_write(shape.line, number, changed or {"price_total"}))
        return number

    def _change_line(self, tx: Transaction, number: int, values: Row, events: list[Event]) -> bool:
        """Write one line; return whether its amounts had to be recomputed."""
        shape = self.shape
        old = self._existing(tx, shape.line, number)
        changes = self._stored_values(tx, shape.line, old, values)
        new = {**old, **changes, **self._stamp(tx)}
        if "qty_received" in changes:
            new["qty_received_manual"] = changes["qty_received"]
        self._follow_quantities(new, values)
        changed = {name for name, value in changes.items() if old.get(name) != value}
        tx.put(shape.line, number, new)
        events.append(Event("write", shape.line, number, frozenset(changed)))
        if shape.pricing.isdisjoint(changes):
            return "order_id" in changed
        amounts = self._line_amounts(tx, tx.need(shape.order, int(new["order_id"])), new)
        moved = {name for name in LINE_AMOUNTS if old.get(name, 0.0) != amounts[name]}
        if moved:
            tx.put(shape.line, number, {**new, **amounts})
            events.append(_write(shape.line, number, moved))
        return True

    def _drop_line(self, tx: Transaction, number: int) -> None:
        row = tx.need(self.shape.line, number)
        self.fire(tx, [Event("unlink", self.shape.line, number)])
        order_id = int(row["order_id"])
        order = tx.need(self.shape.order, order_id)
        lines = tuple(line for line in order["order_line"] if line != number)
        tx.put(self.shape.order, order_id, {**order, "order_line": lines})
        tx.delete(self.shape.line, number)

    def _total(
        self,
        tx: Transaction,
        number: int,
        events: list[Event],
        *,
        always: bool = False,
        repeats: int = 0,
    ) -> set[str]:
        """Recompute the order's totals; a change (or `always`) moves its write_date."""
        shape = self.shape
        old = tx.need(shape.order, number)
        decimals = self.decimals(tx, old)
        untaxed = tax = 0.0
        for line in old["order_line"]:
            row = tx.need(shape.line, line)
            untaxed += row.get("price_subtotal", 0.0)
            tax += row.get("price_tax", 0.0)
        # A rule's payload shows the cached value, before the database rounds it (measured).
        tx.unrounded[(shape.order, number)] = {"amount_total": untaxed + tax}
        amounts = {
            "amount_untaxed": rounded(untaxed, decimals),
            "amount_tax": rounded(tax, decimals),
            "amount_total": rounded(untaxed + tax, decimals),
        }
        if "amount_total_cc" in self.models[shape.order].fields:
            amounts["amount_total_cc"] = amounts["amount_total"]
        moved = {name for name, value in amounts.items() if old.get(name, 0.0) != value}
        if moved or always:
            tx.put(shape.order, number, {**old, **amounts, **self._stamp(tx)})
            previous = str(old["write_date"])
            changed = frozenset(moved)
            events.append(Event("write", shape.order, number, changed, previous, repeats))
        return moved

    def _line_amounts(self, tx: Transaction, order: Row, line: Row) -> dict[str, float]:
        decimals = self.decimals(tx, order)
        if line.get("display_type"):
            return dict.fromkeys(LINE_AMOUNTS, 0.0)
        quantity = float(line.get(self.shape.quantity, 0.0))
        price = float(line.get("price_unit", 0.0)) * (1 - float(line.get("discount", 0.0)) / 100)
        subtotal = rounded(quantity * price, decimals)
        tax = 0.0
        for tax_id in line.get(self.shape.taxes, ()):
            rate = (tx.get("account.tax", tax_id) or {}).get("amount", 0.0)
            tax += rounded(subtotal * rate / 100, decimals)
        tax = rounded(tax, decimals)
        return dict(
            zip(LINE_AMOUNTS, (subtotal, tax, rounded(subtotal + tax, decimals)), strict=True)
        )

    def _pass_to_lines(
        self, tx: Transaction, number: int, changed: set[str], events: list[Event]
    ) -> None:
        """Copy fields that lines store too; a new currency re-rounds the lines' amounts."""
        shape = self.shape
        order = tx.need(shape.order, number)
        sources = {name: RELATED_SOURCES.get(name, name) for name in shape.related}
        touched = {name for name, source in sources.items() if source in changed}
        if not touched and "currency_id" not in changed:
            return
        for line in order["order_line"]:
            old = tx.need(shape.line, line)
            new = {**old, **{name: order.get(sources[name], False) for name in touched}}
            if "currency_id" in changed:
                new.update(self._line_amounts(tx, order, new))
            tx.put(shape.line, line, {**new, **self._stamp(tx)})
            events.append(_write(shape.line, line, touched))

    def _first_manual_receipt(self, tx: Transaction, number: int, events: list[Event]) -> None:
        order = tx.need(self.shape.order, number)
        if order.get("state") == self.shape.confirmed and order.get("invoice_status") == "no":
            tx.put(
                self.shape.order,
                number,
                {**order, "invoice_status": "to invoice", **self._stamp(tx)},
            )
            events.append(_write(self.shape.order, number, {"invoice_status"}))

    def _stored_values(self, tx: Transaction, model: str, row: Row, values: Row) -> Row:
        """Return the values as they are stored; like Odoo, drop those that can't be written."""
        fields = self.models[model].fields
        check_fields(self.models[model], values, self.version)
        decimals = self.decimals(tx, {**row, **values}) if model == self.shape.order else 2
        result: Row = {}
        for name, value in values.items():
            field = fields[name]
            if name in MAGIC_FIELDS or name in ("order_line", *LINE_AMOUNTS, *ORDER_AMOUNTS):
                continue
            if field.type == "many2many":
                result[name] = apply_links(row.get(name, ()), value)
            elif field.type != "one2many" and field.store:
                result[name] = stored(field, value, decimals)
        return result

    def _follow_quantities(self, row: Row, values: Row) -> None:
        if self.shape.quantity == "product_qty":
            row["product_uom_qty"] = row.get("product_qty", 0.0)
        if "qty_received" in values:
            row["qty_received_manual"] = row["qty_received"]

    def _order_defaults(self, tx: Transaction, number: int) -> Row:
        row: Row = {
            "name": f"{self.shape.prefix}{number:05d}",
            "state": "draft",
            "date_order": tx.now[:19],
            "currency_id": 1,
            "currency_rate": 1.0,
            "company_id": 1,
            "user_id": tx.uid,
            "invoice_status": "no",
            "order_line": (),
            **dict.fromkeys(ORDER_AMOUNTS, 0.0),
            **self._birth(tx),
        }
        if self.shape.prefix == "P":
            row["priority"] = "0"
        else:
            row |= {"team_id": 1, "pricelist_id": 1, "warehouse_id": 1, "picking_policy": "direct"}
        return row

    def _line_defaults(self, tx: Transaction, order_id: int, order: Row, values: Row) -> Row:
        product = tx.get("product.product", int(values.get("product_id") or 0)) or {}
        row: Row = {
            "order_id": order_id,
            "sequence": 10,
            "name": values.get("name") or product.get("display_name") or product.get("name", ""),
            "display_type": False,
            self.shape.quantity: 0.0 if values.get("display_type") else 1.0,
            "price_unit": product.get("standard_price", 0.0),
            self.shape.taxes: (),
            self.shape.uom: product.get("uom_id", False),
            **self._birth(tx),
        }
        for name in self.shape.related:
            row[name] = order.get(RELATED_SOURCES.get(name, name), False)
        if values.get("display_type"):
            row[self.shape.uom] = False
            return row
        if self.shape.prefix == "P":
            row["date_planned"] = (datetime.fromisoformat(tx.now[:19]) + _PLANNED_AFTER).isoformat(
                " "
            )
            service = product.get("type") == "service"
            row["qty_received_method"] = "manual" if service else "stock_moves"
            row["propagate_cancel"] = True
        return row

    def _earliest_planned(self, tx: Transaction, number: int) -> Any:
        lines = tx.need(self.shape.order, number)["order_line"]
        dates = [tx.need(self.shape.line, line).get("date_planned") for line in lines]
        return min((date for date in dates if date), default=False)

    def _existing(self, tx: Transaction, model: str, number: int) -> Row:
        row = tx.get(model, number)
        if row is None:
            raise missing(model, number, tx.uid)
        return row

    def _stamp(self, tx: Transaction) -> Row:
        return {"write_date": tx.now, "write_uid": tx.uid}

    def _birth(self, tx: Transaction) -> Row:
        return {"create_date": tx.now, "create_uid": tx.uid, **self._stamp(tx)}

    def decimals(self, tx: Transaction, order: Row) -> int:
        """Return the decimals of an order's currency (2 if it has none)."""
        currency = tx.get("res.currency", int(order.get("currency_id") or 0))
        return int(currency["decimal_places"]) if currency else 2

    def check_deletable(self, tx: Transaction, number: int) -> None:
        """Raise UserError unless the order is cancelled (a sale order may also be a draft)."""
        row = self._existing(tx, self.shape.order, number)
        allowed = ("cancel",) if self.shape.prefix == "P" else ("cancel", "draft", "sent")
        if row.get("state") not in allowed:
            raise UserError("In order to delete a purchase order, you must cancel it first.")


def _write(model: str, number: int, changed: set[str]) -> Event:
    return Event("write", model, number, frozenset(changed))
