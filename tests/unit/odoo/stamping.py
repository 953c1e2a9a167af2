"""Giving a simulator's records a write_date of the test's choice, which Odoo lets nobody do."""

from datetime import UTC, datetime
from typing import Any, Literal

from odoo_simulator import Simulator
from odoo_simulator.bulk_orders import moment_text

ORDER, LINE = "purchase.order", "purchase.order.line"


def moment(text: str) -> datetime:
    """«2026-01-31» or «2026-01-31 23:59:59.9» as an aware datetime, UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def stamp(
    simulator: Simulator, record_id: int, written: str | Literal[False], model: str = ORDER
) -> None:
    """Set a write_date as the database would hold it; False for none, as rows made by SQL."""
    with simulator.store.lock:
        table = simulator.store.tables[model]
        row = table.get(record_id)
        assert row is not None
        stored = moment_text(moment(written)) if isinstance(written, str) else written
        table.set(record_id, {**row, "write_date": stored})


def stamped_order(simulator: Simulator, written: str | Literal[False], lines: int = 0) -> int:
    """A new order, written then, with its lines."""
    some: list[dict[str, Any]] = [{"name": f"n{number}"} for number in range(lines)]
    order_id = simulator.create_order(lines=some)
    stamp(simulator, order_id, written)
    return order_id


def written(simulator: Simulator, record_id: int, model: str = ORDER) -> datetime:
    """The record's write_date as the wire shows it."""
    row = simulator.store.get(model, record_id)
    assert row is not None
    return moment(str(row["write_date"])[:19])
