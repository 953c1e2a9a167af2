"""Orders by the million: rows are computed from their id, and stored only once they are changed.

A `Bulk` describes N orders of L lines by a handful of numbers; `OrderBlock` and `LineBlock` present
it as rows. write_date grows with the id, so a range of dates is a range of ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from odoo_simulator.model_fields import Names

Row = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATES = ("draft", "sent", "purchase", "purchase", "purchase", "cancel")
_TAX_PERCENT = 20


def moment_text(moment: datetime) -> str:
    """Format a timestamp as PostgreSQL and Python's str() do: without a fraction if it is zero."""
    return str(moment.astimezone(UTC).replace(tzinfo=None))


def text_of_microseconds(value: int) -> str:
    return str((EPOCH + timedelta(microseconds=value)).replace(tzinfo=None))


def microseconds_of_text(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Bulk:
    """`count` orders whose write_dates run from `start` (µs since 1970) in steps of `step` µs."""

    first_order: int
    first_line: int
    count: int
    lines: int
    start: int
    step: int
    seed: int
    partners: tuple[tuple[int, str], ...]
    products: tuple[tuple[int, str], ...]
    users: tuple[int, ...]
    company: int
    currency: int
    uom: int
    tax: int

    def written(self, index: int) -> int:
        return self.start + index * self.step

    def line_numbers(self, index: int) -> range:
        first = self.first_line + index * self.lines
        return range(first, first + self.lines)

    def amounts(self, index: int, position: int) -> tuple[int, int, int, int]:
        """Return (quantity, unit price, subtotal, tax) of one line, money in cents."""
        quantity = 1 + (index * 13 + position * 7 + self.seed) % 20
        price = 500 + (index * 7919 + position * 104_729 + self.seed) % 200_000
        subtotal = quantity * price
        return quantity, price, subtotal, (subtotal * _TAX_PERCENT + 50) // 100


class Block(Protocol):
    ids: range
    cheap: frozenset[str]  # the fields that `light` knows

    def row(self, record_id: int) -> Row: ...

    def light(self, record_id: int) -> Row:
        """Return only the fields that are cheap to compute: for searches through all rows."""
        ...

    def written_text(self, record_id: int) -> str: ...

    def first_written_since(self, microseconds: int) -> int: ...


class OrderBlock:
    """The orders of a bulk as rows."""

    cheap = frozenset({"id", "state", "priority", "partner_id", "company_id", "currency_id"})

    def __init__(self, bulk: Bulk, names: Names) -> None:
        self.bulk = bulk
        self.names = names
        self.ids = range(bulk.first_order, bulk.first_order + bulk.count)

    def written_text(self, record_id: int) -> str:
        return text_of_microseconds(self.bulk.written(record_id - self.bulk.first_order))

    def first_written_since(self, microseconds: int) -> int:
        """Return the lowest id with a write_date not before this, or one past the last id."""
        index = _first_index(self.bulk, microseconds)
        return self.bulk.first_order + index

    def light(self, record_id: int) -> Row:
        bulk = self.bulk
        index = record_id - bulk.first_order
        return {
            "state": _STATES[index % len(_STATES)],
            "priority": "0",
            "partner_id": bulk.partners[(index * 7 + bulk.seed) % len(bulk.partners)][0],
            "company_id": bulk.company,
            "currency_id": bulk.currency,
        }

    def row(self, record_id: int) -> Row:
        bulk = self.bulk
        index = record_id - bulk.first_order
        untaxed = tax = 0
        for position in range(bulk.lines):
            _quantity, _price, line_untaxed, line_tax = bulk.amounts(index, position)
            untaxed += line_untaxed
            tax += line_tax
        written = text_of_microseconds(bulk.written(index))
        state = _STATES[index % len(_STATES)]
        confirmed = state == "purchase"
        return {
            "name": f"P{record_id:05d}",
            "partner_id": bulk.partners[(index * 7 + bulk.seed) % len(bulk.partners)][0],
            "partner_ref": f"REF-{record_id}" if index % 3 else False,
            "state": state,
            "priority": "0",
            "date_order": written[:19],
            "date_planned": written[:19],
            "date_approve": written[:19] if confirmed else False,
            "currency_id": bulk.currency,
            "currency_rate": 1.0,
            "company_id": bulk.company,
            "user_id": bulk.users[index % len(bulk.users)],
            "invoice_status": "no",
            "receipt_status": "pending" if confirmed else False,
            "amount_untaxed": untaxed / 100,
            "amount_tax": tax / 100,
            "amount_total": (untaxed + tax) / 100,
            "order_line": tuple(bulk.line_numbers(index)),
            "create_date": written,
            "write_date": written,
            "create_uid": 2,
            "write_uid": 2,
        }


class LineBlock:
    """The lines of a bulk as rows."""

    cheap = frozenset({"id", "order_id", "company_id", "sequence"})

    def __init__(self, bulk: Bulk, names: Names) -> None:
        self.bulk = bulk
        self.names = names
        self.ids = range(bulk.first_line, bulk.first_line + bulk.count * bulk.lines)

    def written_text(self, record_id: int) -> str:
        index = (record_id - self.bulk.first_line) // self.bulk.lines
        return text_of_microseconds(self.bulk.written(index))

    def first_written_since(self, microseconds: int) -> int:
        return self.bulk.first_line + _first_index(self.bulk, microseconds) * self.bulk.lines

    def light(self, record_id: int) -> Row:
        bulk = self.bulk
        index, position = divmod(record_id - bulk.first_line, bulk.lines)
        return {
            "order_id": bulk.first_order + index,
            "company_id": bulk.company,
            "sequence": 10 + position,
        }

    def row(self, record_id: int) -> Row:
        bulk = self.bulk
        index, position = divmod(record_id - bulk.first_line, bulk.lines)
        quantity, price, subtotal, tax = bulk.amounts(index, position)
        product, label = bulk.products[(index * 31 + position * 17) % len(bulk.products)]
        written = text_of_microseconds(bulk.written(index))
        row: Row = {
            "order_id": bulk.first_order + index,
            "sequence": 10 + position,
            "product_id": product,
            "name": label,
            "product_qty": float(quantity),
            "product_uom_qty": float(quantity),
            "price_unit": price / 100,
            "price_subtotal": subtotal / 100,
            "price_tax": tax / 100,
            "price_total": (subtotal + tax) / 100,
            "date_planned": written[:19],
            "partner_id": bulk.partners[(index * 7 + bulk.seed) % len(bulk.partners)][0],
            "company_id": bulk.company,
            "qty_received_method": "stock_moves",
            "propagate_cancel": True,
            self.names.uom: bulk.uom,
            self.names.taxes: (bulk.tax,),
            "create_date": written,
            "write_date": written,
            "create_uid": 2,
            "write_uid": 2,
        }
        if self.names.line_state_stored:
            row["state"] = _STATES[index % len(_STATES)]
            row["currency_id"] = bulk.currency
        return row


def _first_index(bulk: Bulk, microseconds: int) -> int:
    if microseconds <= bulk.start:
        return 0
    if bulk.step == 0:
        return bulk.count
    return min(bulk.count, -(-(microseconds - bulk.start) // bulk.step))
