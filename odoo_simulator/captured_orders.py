"""Serves orders captured from a real Odoo, with every stored value as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from odoo_simulator.bulk_orders import Row
from odoo_simulator.model_fields import ModelSet
from odoo_simulator.store import Store, Transaction
from odoo_simulator.writing import Records

_CODED = re.compile(r"\[([^\]]+)\] (.*)", re.DOTALL)


class Target(Protocol):
    """What orders are loaded into: a simulator."""

    order_model: str
    store: Store
    records: Records
    models: ModelSet


def load_captured_orders(simulator: Target, source: str | Path | dict[str, Any]) -> list[int]:
    """Load orders in the form that `web_search_read` returns, many2one as {id, display_name}.

    `source`: a file or its parsed content, {model: [order, …]}. Ids are kept, related records are
    created with the captured names, and no rule fires. Returns the ids. Raises ValueError if an id
    is taken.
    """
    content = source if isinstance(source, dict) else json.loads(Path(source).read_text("utf-8"))
    loader = _Loader(simulator)
    orders = content[simulator.order_model]
    with simulator.store.lock:
        loader.load(orders)
    return [int(order["id"]) for order in orders]


class _Loader:
    def __init__(self, simulator: Target) -> None:
        self.simulator = simulator
        self.shape = simulator.records.shapes[simulator.order_model]

    def load(self, orders: Iterable[Row]) -> None:
        tx = self.simulator.store.begin()
        try:
            for order in orders:
                self._order(tx, order)
        except BaseException:
            tx.rollback()
            raise
        tx.commit()

    def _order(self, tx: Transaction, order: Row) -> None:
        number = int(order["id"])
        if tx.get(self.shape.order, number) is not None:
            raise ValueError(f"{self.shape.order}({number}) already exists: load it into a new one")
        row = self._row(tx, self.shape.order, order)
        row["order_line"] = tuple(int(line["id"]) for line in order["order_line"])
        tx.put(self.shape.order, number, row)
        for line in order["order_line"]:
            line_row = self._row(tx, self.shape.line, line)
            line_row["order_id"] = number
            tx.put(self.shape.line, int(line["id"]), line_row)
            self._taxes(tx, line)

    def _row(self, tx: Transaction, model: str, shown: Row) -> Row:
        fields = self.simulator.models[model].fields
        row: Row = {}
        for name, value in shown.items():
            field = fields.get(name)
            if field is None or name in ("id", "order_line"):
                continue
            if isinstance(value, dict):
                if name != "order_id":
                    self._related(tx, field.relation, value)
                row[name] = int(value["id"])
            elif isinstance(value, list):
                row[name] = tuple(
                    int(item["id"]) if isinstance(item, dict) else item for item in value
                )
            else:
                row[name] = value
        return row

    def _related(self, tx: Transaction, model: str, shown: Row) -> None:
        """Ensure that the related record exists under this id with this display_name."""
        if model in self.simulator.records.shapes:
            return
        number, name = int(shown["id"]), str(shown["display_name"])
        old = tx.get(model, number) or {"active": True, "create_date": tx.now, "write_date": tx.now}
        new = {**old, "name": name}
        coded = _CODED.fullmatch(name) if model == "product.product" else None
        if model == "product.product":
            new["default_code"] = coded.group(1) if coded else False
            new["name"] = coded.group(2) if coded else name
        if model == "res.currency":
            new.setdefault("decimal_places", 2)
        tx.put(model, number, new)

    def _taxes(self, tx: Transaction, line: Row) -> None:
        """Give the tax the rate that the line's amounts imply, so that later writes agree."""
        taxes = line.get(self.shape.taxes) or []
        if len(taxes) != 1 or not line.get("price_subtotal"):
            return
        percent = round(100 * line["price_tax"] / line["price_subtotal"], 1)
        old = tx.get("account.tax", taxes[0]) or {"create_date": tx.now, "active": True}
        known = {"name": f"{percent:g}%", "amount_type": "percent", "type_tax_use": "purchase"}
        tx.put("account.tax", taxes[0], {**old, **known, "amount": percent, "write_date": tx.now})
