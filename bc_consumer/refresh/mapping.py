"""Maps a snapshot of Odoo to the values of the copy's columns; pure, so a snapshot has one result.

Odoo sends False for anything empty, so its meaning follows from the field's kind (``fields/``): no
text is "", no date is None, no related record is None and "". Characters that only some of Odoo's
protocols carry are removed from texts, so that each protocol gives the same row. Numbers travel as
binary doubles; the shortest decimal that names the double is what Odoo shows. It is rounded half up
to the decimals of the currency (money) or of the field (quantities, prices), where Odoo has them.

Fields without a column go into ``extra``, as JSON: a number as a text, because that keeps its
decimals exact; a date as YYYY-MM-DD; a date and time in ISO 8601, UTC; a related record as its id
and name; an empty value as null, whatever the kind.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from itertools import islice
from typing import Any, TypeGuard

from bc_consumer.core.shortening import cut_between_words
from bc_consumer.core.translatable import Message, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo import EXTRA, Field, FieldSet, Kind, ModelFields, OrderSnapshot

MAPPING_VERSION = 1
"""Raise it whenever the same snapshot would give other values, so that old rows are read again. Not
for a field that is added to the table: that has its rows read again by itself
(docs/reading-again.md). It stays below VERSIONS, because the digits above stand for the fields
(``mapping_version``)."""
VERSIONS = 1_000
"""Versions of the mapping itself; the digits above belong to the set of fields."""
CHOICES = 2_000_000
"""Different sets of fields; times VERSIONS they fit the column, which has 31 bits."""

WITH_DIGITS = frozenset({Kind.PRICE, Kind.QUANTITY, Kind.NUMBER})
HIGHEST = 2**63 - 1
"""The largest whole number that its column holds."""
ROUNDING = Context(prec=400, rounding=ROUND_HALF_UP)
"""With more digits than any double has: 309 before the decimal point, and 17."""
LONGEST_SHOWN = 100
"""Characters of a bad value that its error repeats."""
LONGEST_MOMENT = 40
"""Characters of a date that is parsed at all; one with time and microseconds has 26."""
REMEMBERED = 10_000
"""Values of one kind that are remembered, at most."""

NOT_TEXT = dict.fromkeys(
    (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
)
"""Characters that XML cannot carry: Odoo drops them from XML-RPC, but not from JSON (measured on
17, 18 and 19)."""
# One digit of the year is enough: Odoo sends a year typed as 26 without leading zeros.
DATE = re.compile(r"(\d{1,4})-(\d\d)-(\d\d)")
DATETIME = re.compile(r"(\d{1,4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?")


class MappingError(ValueError):
    """A value of Odoo does not fit its column; the text names order, line, field and value."""

    def __init__(self, problem: Message, *, order_id: int, line_id: int | None, field: str) -> None:
        where = (
            _("order %(order)s, line %(line)s", order=order_id, line=line_id)
            if line_id
            else _("order %(order)s", order=order_id)
        )
        super().__init__(
            _(
                "%(field)s of %(where)s can't be copied: %(problem)s",
                field=field,
                where=where,
                problem=problem,
            )
        )
        self.order_id = order_id
        self.line_id = line_id
        self.field = field


@dataclass(frozen=True, slots=True)
class Extra:
    """A record's fields without a column; ``kept``: those whose last known value stays in the copy.

    Kept are the fields that this Odoo lacks at the moment: they may come back, and nothing says
    that they are empty.
    """

    values: Mapping[str, object]
    kept: frozenset[str] = frozenset()

    def over(self, old: Mapping[str, object]) -> dict[str, object]:
        """Return what the copy should hold, where it now holds ``old``."""
        kept = {name: value for name, value in old.items() if name in self.kept}
        return {**kept, **self.values}


@dataclass(frozen=True, slots=True)
class MappedLine:
    """One line's columns, name → value, ready for ``BCLine``; columns that Odoo lacks are left out.

    ``unreported``: columns and «extra.name» that do not count as changes of the order.
    """

    odoo_id: int
    fields: Mapping[str, object]
    extra: Extra
    unreported: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MappedOrder:
    """One order's columns, name → value, ready for ``BC``, and its lines, ascending by id.

    Columns that this Odoo lacks are left out. ``mapping_version``: by what the values were made;
    see the function. ``unreported``: as in MappedLine.
    """

    odoo_id: int
    fields: Mapping[str, object]
    extra: Extra
    lines: tuple[MappedLine, ...]
    mapping_version: int
    unreported: frozenset[str] = frozenset()


class _Unfit(Exception):
    """A value does not fit; the caller turns it into a MappingError, which says where."""


def map_orders(
    snapshots: Sequence[OrderSnapshot],
) -> tuple[dict[int, MappedOrder], dict[int, MappingError]]:
    """Map orders with their lines; return them by id, and the errors of those that do not fit."""
    try:
        return {order.odoo_id: order for order in _map_together(snapshots)}, {}
    except MappingError as error:
        if len(snapshots) == 1:
            return {}, {snapshots[0].id: error}
    mapped: dict[int, MappedOrder] = {}
    unfit: dict[int, MappingError] = {}
    for snapshot in snapshots:
        fit, misfit = map_orders([snapshot])
        mapped |= fit
        unfit |= misfit
    return mapped, unfit


def map_order(snapshot: OrderSnapshot) -> MappedOrder:
    """Map an order with its lines. Raises MappingError for a value that does not fit."""
    (order,) = _map_together([snapshot])
    return order


def _map_together(snapshots: Sequence[OrderSnapshot]) -> Iterator[MappedOrder]:
    """Map orders column by column, as far as they have the same fields and decimals."""
    groups: dict[tuple[int, int | None], list[OrderSnapshot]] = {}
    for snapshot in snapshots:
        groups.setdefault((id(snapshot.fields), snapshot.currency_decimals), []).append(snapshot)
    for group in groups.values():
        yield from _map_group(group, group[0].fields, group[0].currency_decimals)


def _map_group(
    snapshots: Sequence[OrderSnapshot], fields: FieldSet, currency: int | None
) -> Iterator[MappedOrder]:
    order_mapper, line_mapper = _Mapper(fields.order, currency), _Mapper(fields.line, currency)
    line_ids = [(order.id, line.id) for order in snapshots for line in order.lines]
    values = line_mapper.map([line.values for order in snapshots for line in order.lines], line_ids)
    lines = iter(zip(line_ids, values, strict=True))
    order_values = order_mapper.map(
        [order.values for order in snapshots], [(order.id, None) for order in snapshots]
    )
    version = mapping_version(fields.fingerprint)
    for order, (columns, extra) in zip(snapshots, order_values, strict=True):
        own = tuple(
            MappedLine(line_id, line_columns, line_extra, line_mapper.unreported)
            for (_order_id, line_id), (line_columns, line_extra) in islice(lines, len(order.lines))
        )
        yield MappedOrder(order.id, columns, extra, own, version, order_mapper.unreported)


def mapping_version(fingerprint: int) -> int:
    """Return the number that identifies the mapping and the set of fields that made a row.

    ``fingerprint``: a FieldSet's.
    """
    choice = 1 + fingerprint % (CHOICES - 1) if fingerprint else 0
    return MAPPING_VERSION + VERSIONS * choice


def current_versions(fields: FieldSet) -> frozenset[int]:
    """Return the mapping versions of rows that would not improve by being read again.

    Besides the version of the fields that this Odoo has now, that is the one of all configured
    fields: so a field that vanishes from Odoo does not cause every order to be read again.
    """
    return frozenset(map(mapping_version, (fields.fingerprint, fields.whole_fingerprint)))


class _Mapper:
    """Maps the records of one model, column by column: that takes a third of the time.

    ``currency``: decimals of the orders' currency; None: numbers are not rounded.
    """

    def __init__(self, fields: ModelFields, currency: int | None) -> None:
        self.known = [field for field in fields.known if not field.is_relation]
        self.unreported = frozenset(
            column
            for field in self.known
            if not field.reported
            for column in field.columns or (f"{EXTRA}{field.name}",)
        )
        self._kept = frozenset(field.name for field in fields.lacking if field.extra)
        self._digits = fields.digits
        self._currency = currency

    def map(
        self,
        records: Sequence[Mapping[str, object]],
        ids: Sequence[tuple[int, int | None]],
    ) -> list[tuple[dict[str, object], Extra]]:
        """Return each record's columns, and its fields that have none.

        ``ids``: of each record, its order's id, and its own if it is a line.
        """
        names: list[str] = []
        columns: list[Sequence[object]] = []
        extra_names: list[str] = []
        extras: list[Sequence[object]] = []
        for field in self.known:
            name = field.name
            values = [record.get(name, False) for record in records]
            try:
                if field.extra:
                    extra_names.append(name)
                    extras.append([self._json_value(field, value) for value in values])
                elif field.kind is Kind.MANY2ONE:
                    names += field.columns
                    pairs = [_many2one(value) for value in values]
                    columns += zip(*pairs, strict=True) if pairs else ((), ())
                else:
                    names.append(name)
                    columns.append(self._read_column(field, values))
            except _Unfit:
                self._raise_first_misfit(field, values, ids)
        rows, further = _rows(names, columns, records), _rows(extra_names, extras, records)
        return [(row, Extra(extra, self._kept)) for row, extra in zip(rows, further, strict=True)]

    def _raise_first_misfit(
        self, field: Field, values: Sequence[object], ids: Sequence[tuple[int, int | None]]
    ) -> None:
        """Raise MappingError for the first of these values that does not fit."""
        for value, (order_id, line_id) in zip(values, ids, strict=True):
            try:
                if field.extra:
                    self._json_value(field, value)
                elif field.kind is Kind.MANY2ONE:
                    _many2one(value)
                else:
                    self._read_column(field, [value])
            except _Unfit as problem:
                raise MappingError(
                    message_of(problem), order_id=order_id, line_id=line_id, field=field.name
                ) from None

    def _read_column(self, field: Field, values: Sequence[object]) -> Sequence[object]:
        kind = field.kind
        if kind is Kind.TEXT or kind is Kind.HTML:
            return [
                value if type(value) is str and value.isprintable() else _text(value)
                for value in values
            ]
        if kind is Kind.MONEY:
            return _read_numbers(values, self._currency)
        if kind in WITH_DIGITS:
            return _read_numbers(values, self._digits.get(field.name))
        if kind is Kind.DATETIME:
            return [
                _DATETIMES[value] if type(value) is str else _datetime(value) for value in values
            ]
        read = READERS[kind]
        return [read(value) for value in values]

    def _json_value(self, field: Field, value: object) -> object:
        """Return a value as ``extra`` holds it."""
        if field.kind is Kind.MANY2ONE:
            number, name = _many2one(value)
            return None if number is None else {"id": number, "name": name}
        (read,) = self._read_column(field, [value])
        if isinstance(read, Decimal):
            return f"{read:f}"
        if isinstance(read, date):  # a datetime is one too
            return read.isoformat().replace("+00:00", "Z")
        return None if read == "" else read


def _rows(
    names: Sequence[str], columns: Sequence[Sequence[object]], records: Sequence[object]
) -> list[dict[str, object]]:
    """Return a row for each record, made of these columns."""
    if not names:
        return [{} for _record in records]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


class _Memory(dict[Any, Any]):
    """Remembers what was read: most dates and numbers of a batch occur several times in it.

    Its keys are all of one type, as 1 and True would be one key.
    """

    def __init__(self, read: Callable[[Any], object]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, value: object) -> object:
        read = self._read(value)
        if len(self) >= REMEMBERED:
            self.clear()
        self[value] = read
        return read


def _read_numbers(values: Sequence[object], decimals: int | None) -> list[object]:
    memory = _numbers(decimals)
    return [memory[value] if type(value) is float else _number(value, decimals) for value in values]


@lru_cache(maxsize=32)
def _numbers(decimals: int | None) -> _Memory:
    return _Memory(lambda value: _number(value, decimals))


def normalised_text(text: str) -> str:
    """Return a text as each of Odoo's protocols would carry it."""
    if text.isprintable():
        return text  # most texts: nothing in them to normalise
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(NOT_TEXT)


def _text(value: object) -> str:
    if value is False or value is None:
        return ""
    if not isinstance(value, str):
        raise _unfit(value, _("a text"))
    return normalised_text(value)


def _boolean(value: object) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _unfit(value, _("true or false"))
    return value


def _integer(value: object) -> int:
    if value is False or value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not -HIGHEST <= value <= HIGHEST:
        raise _unfit(value, _("a whole number of at most 64 bits"))
    return value


def _number(value: object, decimals: int | None) -> Decimal | None:
    if value is False or value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unfit(value, _("a number"))
    if value - value != 0:
        raise _unfit(value, _("a finite number"))
    exact = Decimal(repr(value))
    if decimals is not None:
        exact = exact.quantize(_last_place(decimals), None, ROUNDING)
    return exact or exact.copy_abs()  # -0.0 is 0


@lru_cache(maxsize=32)
def _last_place(decimals: int) -> Decimal:
    return Decimal(1).scaleb(-decimals)


def _datetime(value: object) -> datetime | None:
    """Parse Odoo's «2026-11-24 01:50:34», which is always UTC."""
    if value is False or value is None:
        return None
    found = DATETIME.fullmatch(value) if _is_short_text(value) else None
    if found is None:
        raise _unfit(value, _("a date and time"))
    *whole, fraction = found.groups()
    year, month, day, hour, minute, second = map(int, whole)
    microsecond = int((fraction or "").ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, microsecond, UTC)
    except ValueError:
        raise _unfit(value, _("a calendar date")) from None


def _is_short_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= LONGEST_MOMENT


def _date(value: object) -> date | None:
    """Parse Odoo's «2026-11-24»."""
    if value is False or value is None:
        return None
    found = DATE.fullmatch(value) if _is_short_text(value) else None
    if found is None:
        raise _unfit(value, _("a date"))
    try:
        return date(*map(int, found.groups()))
    except ValueError:
        raise _unfit(value, _("a calendar date")) from None


def _many2one(value: object) -> tuple[int | None, str]:
    """Return the related record's id and display name."""
    if value is False or value is None:
        return None, ""
    record = _related(value)
    name = record.get("display_name")
    return record["id"], name if type(name) is str and name.isprintable() else _text(name)


def _many2many(value: object) -> list[dict[str, object]]:
    if value is False or value is None:
        return []
    if not isinstance(value, list):
        raise _unfit(value, _("a list of related records"))
    records = [_related(record) for record in value]
    named = [{"id": record["id"], "name": _text(record.get("display_name"))} for record in records]
    return sorted(named, key=lambda record: int(record["id"]))


def _related(value: object) -> Mapping[str, Any]:
    number = value.get("id") if isinstance(value, dict) else None
    fits = isinstance(number, int) and not isinstance(number, bool) and 0 < number <= HIGHEST
    if not isinstance(value, dict) or not fits:
        raise _unfit(value, _("a related record"))
    return value


def _unfit(value: object, wanted: Message) -> _Unfit:
    return _Unfit(
        _(
            "%(value)s is not %(wanted)s",
            value=cut_between_words(repr(value), LONGEST_SHOWN),
            wanted=wanted,
        )
    )


READERS: Mapping[Kind, Callable[[object], object]] = {
    Kind.TEXT: _text,
    Kind.HTML: _text,
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
    Kind.MANY2MANY: _many2many,
}
"""Kind of field → function that reads its value; the other kinds need more than the value."""
_DATETIMES = _Memory(_datetime)
