"""Attaches a bulk of orders to a store."""

from __future__ import annotations

from odoo_simulator import base_data
from odoo_simulator.bulk_orders import Bulk, LineBlock, OrderBlock
from odoo_simulator.model_fields import Names, names_of
from odoo_simulator.order_kinds import shapes_of
from odoo_simulator.store import Store


def attach_bulk(
    store: Store,
    order_model: str,
    version: int,
    *,
    count: int,
    lines: int,
    start: int,
    step: int,
    seed: int,
) -> Bulk:
    """Describe `count` new orders and add them to the store; `start` and `step` in µs."""
    shape = shapes_of(version)[order_model]
    if shape.prefix != "P":
        raise ValueError("bulk_create creates purchase orders only")
    with store.lock:
        orders, line_table = store.tables[shape.order], store.tables[shape.line]
        bulk = Bulk(
            first_order=orders.last_id + 1,
            first_line=line_table.last_id + 1,
            count=count,
            lines=lines,
            start=start,
            step=step,
            seed=seed,
            partners=_labelled(store, "res.partner", skip=1),
            products=_labelled(store, "product.product"),
            users=(2, 3, 4),
            company=base_data.COMPANY,
            currency=base_data.EUR,
            uom=base_data.UNITS,
            tax=base_data.TAX_20,
        )
        show_bulk(store, order_model, bulk, names_of(version), version)
    return bulk


def show_bulk(store: Store, order_model: str, bulk: Bulk, names: Names, version: int) -> None:
    """Add a bulk's rows to the tables."""
    shape = shapes_of(version)[order_model]
    orders, lines = store.tables[shape.order], store.tables[shape.line]
    order_block, line_block = OrderBlock(bulk, names), LineBlock(bulk, names)
    if len(order_block.ids):
        orders.blocks.append(order_block)
        orders.last_id = max(orders.last_id, order_block.ids[-1])
    if len(line_block.ids):
        lines.blocks.append(line_block)
        lines.last_id = max(lines.last_id, line_block.ids[-1])


def _labelled(store: Store, model: str, skip: int = 0) -> tuple[tuple[int, str], ...]:
    rows = store.tables[model].rows
    return tuple(
        (number, str(row["name"])) for number, row in sorted(rows.items()) if row and number > skip
    )
