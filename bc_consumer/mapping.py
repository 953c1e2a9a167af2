"""A snapshot of Odoo → the values of the copy's columns. Pure: the same snapshot, the same values.

Odoo says False for anything empty, so what it means follows from the field's kind (``fields.py``):
no text is "", no date is None, no related record is None and "". Texts lose what only some of
Odoo's protocols carry, so that each protocol gives the same row. Numbers are binary doubles on the
wire; the shortest decimal that names the double is what Odoo shows, rounded half up to the
decimals of the currency (money) or of the field (quantities, prices), where Odoo tells them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from bc_consumer.odoo import OrderSnapshot
from bc_consumer.odoo.fields import PURCHASE_ORDER, PURCHASE_ORDER_LINE, Field, Kind

# Raised whenever the same snapshot would give other values, so that old rows count as drift.
MAPPING_VERSION = 1

HIGHEST = 2**63 - 1  # what a column of whole numbers holds
ROUNDING = Context(prec=400, rounding=ROUND_HALF_UP)  # a double has at most 309 + 17 digits
LONGEST_SHOWN = 100  # characters of a bad value that its error repeats

# What XML can't carry: Odoo leaves it out of XML-RPC and not out of JSON (17, 18 and 19).
NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
NEW_LINE = re.compile("\r\n?")
# A year typed as 26 comes without zeros in front.
DATETIME = re.compile(r"(\d{1,4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?")

# Kept for the relations they hold, not columns of their own.
NOT_COLUMNS = frozenset({"order_line", "order_id"})


class MappingError(ValueError):
    """A value of Odoo that does not fit its column; says which order, line, field and value."""

    def __init__(self, problem: str, *, order_id: int, line_id: int | None, field: str) -> None:
        where = f"order {order_id}" + (f", line {line_id}" if line_id else "")
        super().__init__(f"{field} of {where} can't be copied: {problem}")
        self.order_id = order_id
        self.line_id = line_id
        self.field = field


@dataclass(frozen=True, slots=True)
class MappedLine:
    """One line's columns: name → value, ready for ``BCLine``."""

    odoo_id: int
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class MappedOrder:
    """One order's columns: name → value, ready for ``BC``; and its lines by id."""

    odoo_id: int
    fields: Mapping[str, object]
    lines: tuple[MappedLine, ...]


@dataclass(frozen=True, slots=True)
class _Decimals:
    """How many decimals numbers have; None: as many as they come with."""

    currency: int | None
    digits: Mapping[str, int]


class _Unfit(Exception):
    """Says what is wrong with a value; becomes a MappingError that says where."""


def map_order(snapshot: OrderSnapshot) -> MappedOrder:
    """Map an order with its lines. Raises MappingError for a value that does not fit."""
    decimals = _Decimals(snapshot.currency_decimals, snapshot.digits)
    lines = []
    for line in snapshot.lines:
        fields = _map(PURCHASE_ORDER_LINE, line.values, decimals, snapshot.id, line.id)
        lines.append(MappedLine(odoo_id=line.id, fields=fields))
    fields = _map(PURCHASE_ORDER, snapshot.values, decimals, snapshot.id, None)
    return MappedOrder(odoo_id=snapshot.id, fields=fields, lines=tuple(lines))


def _map(
    table: Sequence[Field],
    values: Mapping[str, object],
    decimals: _Decimals,
    order_id: int,
    line_id: int | None,
) -> dict[str, object]:
    columns: dict[str, object] = {}
    for field in table:
        if field.name in NOT_COLUMNS:
            continue
        # A field that this Odoo lacks is empty.
        value = values.get(field.name, False)
        try:
            if field.kind is Kind.MANY2ONE:
                base = field.name.removesuffix("_id")
                columns[f"{base}_id"], columns[f"{base}_name"] = _many2one(value)
            else:
                columns[field.name] = _scalar(field, value, decimals)
        except _Unfit as problem:
            raise MappingError(
                str(problem), order_id=order_id, line_id=line_id, field=field.name
            ) from None
    return columns


def _scalar(field: Field, value: object, decimals: _Decimals) -> object:
    if field.kind is Kind.MONEY:
        return _number(value, decimals.currency)
    if field.kind is Kind.NUMBER:
        return _number(value, decimals.digits.get(field.name))
    return READERS[field.kind](value)


def normalised_text(text: str) -> str:
    """Return a text as each of Odoo's protocols would carry it."""
    if text.isprintable():
        return text  # most texts: nothing in them to normalise
    return NOT_TEXT.sub("", NEW_LINE.sub("\n", text))


def _text(value: object) -> str:
    if value is False or value is None:
        return ""
    if not isinstance(value, str):
        raise _unfit(value, "a text")
    return normalised_text(value)


def _boolean(value: object) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _unfit(value, "true or false")
    return value


def _integer(value: object) -> int:
    if value is False or value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not -HIGHEST <= value <= HIGHEST:
        raise _unfit(value, "a whole number of at most 64 bits")
    return value


def _number(value: object, decimals: int | None) -> Decimal | None:
    if value is False or value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unfit(value, "a number")
    exact = Decimal(repr(value))
    if not exact.is_finite():
        raise _unfit(value, "a finite number")
    if decimals is not None:
        exact = exact.quantize(Decimal(1).scaleb(-decimals), context=ROUNDING)
    return exact or exact.copy_abs()  # -0.0 is 0


def _datetime(value: object) -> datetime | None:
    """Read Odoo's «2026-11-24 01:50:34», always UTC."""
    if value is False or value is None:
        return None
    found = DATETIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _unfit(value, "a date with time")
    *whole, fraction = found.groups()
    year, month, day, hour, minute, second = map(int, whole)
    microsecond = int((fraction or "").ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, microsecond, UTC)
    except ValueError:
        raise _unfit(value, "a date of the calendar") from None


def _many2one(value: object) -> tuple[int | None, str]:
    """Give the related record's id and display name."""
    if value is False or value is None:
        return None, ""
    record = _related(value)
    return record["id"], _text(record.get("display_name"))


def _taxes(value: object) -> list[dict[str, object]]:
    if value is False or value is None:
        return []
    if not isinstance(value, list):
        raise _unfit(value, "a list of taxes")
    taxes = [_related(tax) for tax in value]
    named = [{"id": tax["id"], "name": _text(tax.get("display_name"))} for tax in taxes]
    return sorted(named, key=lambda tax: int(tax["id"]))


def _related(value: object) -> Mapping[str, Any]:
    number = value.get("id") if isinstance(value, dict) else None
    fits = isinstance(number, int) and not isinstance(number, bool) and 0 < number <= HIGHEST
    if not isinstance(value, dict) or not fits:
        raise _unfit(value, "a related record")
    return value


def _unfit(value: object, wanted: str) -> _Unfit:
    return _Unfit(f"{repr(value)[:LONGEST_SHOWN]} is not {wanted}")


READERS: Mapping[Kind, Callable[[object], object]] = {
    Kind.TEXT: _text,
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.DATETIME: _datetime,
    Kind.TAXES: _taxes,
}
