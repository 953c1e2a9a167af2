"""Does the copy equal Odoo? Field by field, with a reading of Odoo's values of its own.

Which fields there are, and their names in Odoo, it takes from the product's table, which other
tests hold against real Odoos. How values are read it shares with nobody, so that an error in
refresh/mapping.py shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

from bc_consumer.fields import kinds
from bc_consumer.fields.field import Field
from bc_consumer.fields.table import TABLES

Row = Mapping[str, Any]
Columns = Mapping[str, tuple[str, tuple[str, ...]]]

TEXT, NUMBER, INTEGER, DATE, ID, FLAG, IDS = (
    "text", "number", "integer", "date", "id", "flag", "ids",
)  # fmt: skip
COMPARED_AS = {
    kinds.Kind.TEXT: TEXT,
    kinds.Kind.HTML: TEXT,
    kinds.Kind.BOOLEAN: FLAG,
    kinds.Kind.INTEGER: INTEGER,
    kinds.Kind.MONEY: NUMBER,
    kinds.Kind.PRICE: NUMBER,
    kinds.Kind.QUANTITY: NUMBER,
    kinds.Kind.NUMBER: NUMBER,
    kinds.Kind.DATE: DATE,
    kinds.Kind.DATETIME: DATE,
    kinds.Kind.MANY2ONE: ID,
    kinds.Kind.MANY2MANY: IDS,
}


def _columns(fields: Sequence[Field]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Give column → what it is, and its names in Odoo. Of a related record its id is compared."""
    return {
        field.columns[0]: (COMPARED_AS[field.kind], field.odoo_names)
        for field in fields
        if field.columns and field.derive is None
    }


def _extras(fields: Sequence[Field]) -> tuple[str, ...]:
    return tuple(field.name for field in fields if field.extra)


COLUMNS = {
    model: (
        _columns(table.order),
        # A line's state is its order's, and not stored in 19.
        {name: of for name, of in _columns(table.line).items() if name != "state"},
    )
    for model, table in TABLES.items()
}
"""Model → the columns of an order and of a line that Odoo has something for."""
EXTRA = {model: (_extras(table.order), _extras(table.line)) for model, table in TABLES.items()}
"""Fields that go into «extra» by themselves."""
ORDER, LINE = (
    list(dict.fromkeys(name for both in COLUMNS.values() for name in both[part])) for part in (0, 1)
)
JSON = {
    "extra",
    *(name for both in COLUMNS.values() for part in both for name in part if part[name][0] == IDS),
}
TOLERANCE = Decimal("1e-6")  # a total is a sum of doubles; exactness has tests of its own
EXACT_BELOW = 1e9
"""Equal doubles below this are closer to each other than the tolerance, whatever they stand for."""
ENOUGH = 20
"""Differences that tell what is wrong. A test that waits for none asks several times a second."""


class OdooSide(Protocol):
    """What is needed of the simulator."""

    def order(self, order_id: int) -> Any: ...

    def order_ids(self) -> list[int]: ...


Sql = Callable[..., list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Kind:
    """Which orders are compared, and which fields besides the columns."""

    model: str = "purchase.order"
    extra: tuple[str, ...] = ()
    line_extra: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Columns, Columns]:
        """Those of an order and of a line that Odoo has something for."""
        return COLUMNS[self.model]

    @property
    def extras(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """All that should be in «extra», of an order and of a line."""
        order, line = EXTRA[self.model]
        return (*order, *self.extra), (*line, *self.line_extra)


PURCHASES = Kind()


def differences(
    odoo: OdooSide,
    sql: Sql,
    ids: list[int] | None = None,
    kind: Kind = PURCHASES,
    exactly: list[int] | None = None,
    most: float = ENOUGH,
) -> list[str]:
    """Return a line for each difference between Odoo's orders and the copy's current ones.

    ``sql`` runs a query on the copy; ``ids`` narrows the comparison to some orders. ``exactly``:
    the copy must have these and no others. Orders that one side lacks come first; once there are
    as many lines as ``most``, no further orders are compared.
    """
    expected = set(odoo.order_ids() if ids is None and exactly is None else exactly or ids or ())
    found = copied_orders(sql, None if ids is None else expected)
    current = {odoo_id for odoo_id, bc in found.items() if bc["archived_at"] is None}
    if ids is not None:
        current &= expected
    told = [f"order {i} is not in the copy" for i in sorted(expected - current)]
    told += [f"order {i} is in the copy, not in Odoo" for i in sorted(current - expected)]
    for odoo_id in sorted(expected & current):
        if len(told) >= most:
            break
        theirs = odoo.order(odoo_id)
        if theirs is None:
            told.append(f"order {odoo_id} went away while comparing")
            continue
        told += _order_differences(kind, theirs, found[odoo_id])
    return told


def _order_differences(kind: Kind, theirs: Row, ours: Row) -> list[str]:
    where = f"order {theirs['id']}"
    told = _record_differences(where, kind.columns[0], theirs, ours)
    told += _extra_differences(where, kind.extras[0], theirs, ours)
    locked = theirs["locked"] if "locked" in theirs else theirs["state"] == "done"
    if bool(ours["locked"]) is not bool(locked):
        told.append(f"{where} locked: {locked!r} in Odoo, {ours['locked']!r} here")
    lines = {line["id"]: line for line in theirs["order_line"]}
    if lines.keys() != ours["lines"].keys():
        told.append(f"{where} lines: {sorted(lines)} in Odoo, {sorted(ours['lines'])} here")
    for line_id in sorted(lines.keys() & ours["lines"].keys()):
        line, copied = lines[line_id], ours["lines"][line_id]
        told += _record_differences(f"{where} line {line_id}", kind.columns[1], line, copied)
        told += _extra_differences(f"{where} line {line_id}", kind.extras[1], line, copied)
    return told


def _extra_differences(where: str, names: tuple[str, ...], theirs: Row, ours: Row) -> list[str]:
    extra = ours["extra"]
    told = [f"{where} extra {name}: not to be there" for name in sorted(extra.keys() - set(names))]
    for name in names:
        if name not in extra:
            told.append(f"{where} extra {name}: not in the copy")
        elif not _same_plain(theirs[name], extra[name]):
            told.append(f"{where} extra {name}: {theirs[name]!r} in Odoo, {extra[name]!r} here")
    return told


def _same_plain(theirs: Any, ours: Any) -> bool:
    """Compare a value of Odoo with one in JSON."""
    if theirs is False:
        return ours is None or ours is False
    if isinstance(theirs, list | tuple):
        return bool([one["id"] for one in ours] == sorted(theirs))
    if isinstance(ours, dict):
        return bool(ours["id"] == theirs and ours["name"])
    if isinstance(theirs, float):
        return isinstance(ours, str) and abs(Decimal(repr(theirs)) - Decimal(ours)) <= TOLERANCE
    if isinstance(theirs, str) and isinstance(ours, str):
        return ours in {theirs, theirs.replace(" ", "T") + "Z"}
    return bool(theirs == ours)


def _record_differences(
    where: str, columns: Mapping[str, tuple[str, tuple[str, ...]]], theirs: Row, ours: Row
) -> list[str]:
    told = []
    for column, (kind, names) in columns.items():
        name = next((name for name in names if name in theirs), None)
        value = theirs[name] if name is not None else False
        lacks = name is None and kind == NUMBER and ours[column] is None
        if not lacks and not _same(kind, value, ours[column]):
            told.append(f"{where} {column}: {value!r} in Odoo, {ours[column]!r} here")
    return told


def _same(kind: str, theirs: Any, ours: Any) -> bool:
    if kind == NUMBER:
        if ours is not None and float(theirs) == float(ours) and abs(theirs) < EXACT_BELOW:
            return True
        return ours is not None and abs(Decimal(repr(theirs)) - Decimal(str(ours))) <= TOLERANCE
    if kind == IDS:
        return [one["id"] for one in ours] == sorted(theirs or ())
    if theirs is False:
        return ours in (None, "", 0)
    if kind == DATE:
        moment = datetime.fromisoformat(str(theirs)).replace(tzinfo=UTC)
        return ours is not None and _moment(ours) == moment
    if kind == ID:
        return bool((theirs["id"] if isinstance(theirs, dict) else theirs) == ours)
    if kind == TEXT:
        return bool(str(theirs).replace("\r\n", "\n").replace("\r", "\n") == ours)
    return bool(theirs == ours)


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    """Read JSON columns, where the database's driver has not."""
    for name in JSON:
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    return row


def copied_orders(sql: Sql, ids: Collection[int] | None = None) -> dict[int, dict[str, Any]]:
    """Return the copy: BC's Odoo id → its columns, its lines under ``lines`` by Odoo id.

    ``ids``: of these orders only.
    """
    those = "" if ids is None else f"WHERE odoo_id IN ({', '.join(map(str, ids)) or 'NULL'})"
    columns = ["odoo_id", "id", "archived_at", "locked", "extra", *ORDER]
    orders: dict[int, dict[str, Any]] = {}
    by_key: dict[int, dict[str, Any]] = {}
    for values in sql(f"SELECT {', '.join(columns)} FROM bc_consumer_bc {those}"):
        bc = _decoded(dict(zip(columns, values, strict=True), lines={}))
        orders[bc["odoo_id"]] = by_key[bc["id"]] = bc
    theirs = f"WHERE bc_id IN (SELECT id FROM bc_consumer_bc {those})" if those else ""
    columns = ["odoo_id", "bc_id", "extra", *LINE]
    for values in sql(f"SELECT {', '.join(columns)} FROM bc_consumer_bcline {theirs}"):
        line = _decoded(dict(zip(columns, values, strict=True)))
        # Two queries, two moments: a line of an order that came in between is left out.
        if line["bc_id"] in by_key:
            by_key[line["bc_id"]]["lines"][line["odoo_id"]] = line
    return orders
