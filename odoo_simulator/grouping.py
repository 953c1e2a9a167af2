"""read_group (16 to 19) and formatted_read_group (19): counts and sums by day, state, partner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from odoo_simulator.bulk_orders import Block, Row, microseconds_of_text
from odoo_simulator.domains import parse
from odoo_simulator.errors import ServerError, UserError
from odoo_simulator.model_fields import Model
from odoo_simulator.reading import Reader
from odoo_simulator.search import Search, block_range
from odoo_simulator.store import Store
from odoo_simulator.written_values import unknown_field

_PERIODS = ("hour", "day", "week", "month", "quarter", "year")
_FUNCTIONS = ("sum", "min", "max", "avg", "count", "count_distinct")


@dataclass(frozen=True, slots=True)
class Aggregate:
    key: str  # its name in the answer
    field: str
    function: str


class Running:
    """One aggregate of one group, updated row by row."""

    __slots__ = ("count", "distinct", "high", "low", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total: Any = 0
        self.low: Any = None
        self.high: Any = None
        self.distinct: set[Any] = set()

    def add(self, value: Any, function: str) -> None:
        if value is None or value is False:
            return
        self.span(1, value if function in ("sum", "avg") else 0, value, value)
        if function == "count_distinct":
            self.distinct.add(value)

    def span(self, count: int, total: Any, low: Any, high: Any) -> None:
        """Add many values at once."""
        self.count += count
        self.total += total
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def result(self, function: str) -> Any:
        if function == "count":
            return self.count
        if function == "count_distinct":
            return len(self.distinct)
        if function == "sum":
            return self.total
        if function == "avg":
            return self.total / self.count if self.count else 0
        value = self.low if function == "min" else self.high
        if value is None:
            return False
        return value[:19] if isinstance(value, str) else value


class Group:
    """The running aggregates of one group."""

    __slots__ = ("count", "running")

    def __init__(self, width: int) -> None:
        self.count = 0
        self.running = [Running() for _ in range(width)]


Groups = dict[tuple[Any, ...], Group]


class Grouping:
    def __init__(
        self, store: Store, models: dict[str, Model], version: int, reader: Reader
    ) -> None:
        self.store = store
        self.models = models
        self.version = version
        self.reader = reader

    def read_group(  # noqa: PLR0917 - the order of arguments is Odoo's
        self,
        model: str,
        domain: Sequence[Any] = (),
        fields: Sequence[str] = (),
        groupby: str | Sequence[str] = (),
        offset: int = 0,
        limit: int | None = None,
        orderby: str | bool = False,
        lazy: bool = True,
    ) -> list[Row]:
        """Return a row a group: `__count` (lazy: `<field>_count`), `__domain`, dates' `__range`."""
        names = [groupby] if isinstance(groupby, str) else list(groupby)
        if lazy:
            names = names[:1]
        aggregates = [self._aggregate(model, text) for text in fields]
        rows = []
        for key, group in self._groups(model, domain, names, aggregates):
            row: Row = {}
            ranges: Row = {}
            extra: list[Any] = []
            for name, part in zip(names, key, strict=True):
                row[name] = self._label(model, name, part)
                extra = _joined(extra, self._part_domain(name, part))
                if ":" in name:
                    ranges[name] = _range(part, name)
            count_key = f"{names[0].split(':')[0]}_count" if lazy and names else "__count"
            row[count_key] = group.count
            results = self._results(aggregates, group)
            if self.version < 17:
                results.pop("id", None)  # a field called "id" is left out (measured on 14 and 16)
            row.update(results)
            row["__domain"] = self._domain(list(domain), extra)
            if ranges:
                row["__range"] = ranges
            rows.append(row)
        return rows[offset:] if not limit else rows[offset : offset + limit]

    def _domain(self, asked: list[Any], extra: list[Any]) -> list[Any]:
        """Return a group's domain: up to 16 its own terms come first (measured on 14 and 16)."""
        return _joined(extra, asked) if self.version < 17 else _joined(asked, extra)

    def formatted_read_group(  # noqa: PLR0917 - the order of arguments is Odoo's
        self,
        model: str,
        domain: Sequence[Any] = (),
        groupby: Sequence[str] = (),
        aggregates: Sequence[str] = (),
        having: Sequence[Any] = (),
        offset: int = 0,
        limit: int | None = None,
        order: str | None = None,
    ) -> list[Row]:
        """Return groups in 19's format: dates as [start, label], aggregates under full names."""
        names = list(groupby)
        wanted = [self._aggregate(model, text) for text in aggregates if text != "__count"]
        rows = []
        for key, group in self._groups(model, domain, names, wanted):
            row: Row = {}
            extra: list[Any] = []
            for name, part in zip(names, key, strict=True):
                label = self._label(model, name, part)
                row[name] = [_bounds(part, name)[0], label] if ":" in name and part else label
                extra = _joined(extra, self._part_domain(name, part))
            row["__extra_domain"] = extra
            results = self._results(wanted, group)
            for text in aggregates:
                if text == "__count":
                    row[text] = group.count
                else:
                    row[text] = results[text.split(":")[0]]
            rows.append(row)
        return rows[offset:] if not limit else rows[offset : offset + limit]

    def _groups(
        self, model: str, domain: Sequence[Any], names: list[str], aggregates: list[Aggregate]
    ) -> list[tuple[tuple[Any, ...], Group]]:
        groups: Groups = {}
        columns = [name.split(":")[0] for name in names]
        periods = [_period(name) for name in names]
        for name in columns:
            self._known(model, name)
        search = Search(
            self.store, self.reader.compiler, model, parse(domain), self.reader.visible(model)
        )
        needed = {*columns, *(aggregate.field for aggregate in aggregates)}
        by_range = search.by_range and needed <= {"id", "write_date"} and len(names) <= 1
        by_range &= all(periods) and all(item.function != "count_distinct" for item in aggregates)
        found = search.stored() if by_range else search.ascending()
        for number, row in self._rows(model, found, needed):
            key = tuple(
                _cut(row.get(column) or False, period)
                for column, period in zip(columns, periods, strict=True)
            )
            group = groups.get(key)
            if group is None:
                group = groups[key] = Group(len(aggregates))
            group.count += 1
            for running, aggregate in zip(group.running, aggregates, strict=True):
                value = number if aggregate.field == "id" else row.get(aggregate.field)
                running.add(value, aggregate.function)
        if by_range:
            for block in search.table.blocks:
                self._group_block(groups, search, block, names, aggregates)
        if not names and not groups:
            groups[()] = Group(len(aggregates))
        # Empty values come last, as PostgreSQL's NULLs do.
        return sorted(groups.items(), key=lambda item: [(part is False, part) for part in item[0]])

    def _group_block(
        self,
        groups: Groups,
        search: Search,
        block: Block,
        names: list[str],
        aggregates: list[Aggregate],
    ) -> None:
        """Group a block: its rows are in date order, so each period is one range of ids."""
        chosen = block_range(block, search.plan)
        first = chosen.start
        while first < chosen.stop:
            key: tuple[Any, ...] = ()
            after = chosen.stop
            if names:
                part = _cut(block.written_text(first), _period(names[0]))
                end = microseconds_of_text(_bounds(part, names[0])[1])
                key, after = (part,), min(after, block.first_written_since(end))
            ids = _without(range(first, after), search.table.explicit(first, after))
            if ids.count:
                group = groups.setdefault(key, Group(len(aggregates)))
                group.count += ids.count
                for running, aggregate in zip(group.running, aggregates, strict=True):
                    if aggregate.field == "id":
                        running.span(ids.count, ids.total, ids.first, ids.last)
                    else:
                        low, high = block.written_text(ids.first), block.written_text(ids.last)
                        running.span(ids.count, 0, low, high)
            first = after

    def _rows(
        self, model: str, numbers: Iterable[int], needed: set[str]
    ) -> Iterator[tuple[int, Row]]:
        table = self.store.tables[model]
        dated_only = needed <= {"id", "write_date"}
        for number in numbers:
            if dated_only and number not in table.rows:
                for block in table.blocks:
                    if number in block.ids:
                        yield number, {"write_date": block.written_text(number)}
            else:
                row = table.get(number)
                if row is not None:
                    yield number, row

    def _aggregate(self, model: str, text: str) -> Aggregate:
        name, _colon, function = text.partition(":")
        function, _paren, inner = function.partition("(")
        field = inner.rstrip(")") or name
        self._known(model, field)
        function = function or "sum"
        if function not in _FUNCTIONS:
            raise UserError(f"Invalid aggregation function {function!r}.")
        return Aggregate(name, field, function)

    def _known(self, model: str, name: str) -> None:
        if name not in self.models[model].fields:
            raise unknown_field(model, name, self.version)

    def _results(self, aggregates: list[Aggregate], group: Group) -> Row:
        return {
            aggregate.key: running.result(aggregate.function)
            for aggregate, running in zip(aggregates, group.running, strict=True)
        }

    def _label(self, model: str, name: str, part: Any) -> Any:
        if part is False or part is None:
            return False
        if ":" in name:
            return _period_label(part, _period(name))
        field = self.models[model].fields[name]
        if field.type == "many2one":
            return [part, self.reader.label(field.relation, part)]
        return part

    def _part_domain(self, name: str, part: Any) -> list[Any]:
        column = name.split(":", maxsplit=1)[0]
        if ":" in name and part:
            begin, end = _bounds(part, name)
            return ["&", [column, ">=", begin], [column, "<", end]]
        return [[column, "=", part]]


def _joined(first: list[Any], second: list[Any]) -> list[Any]:
    if not first or not second:
        return [*first, *second]
    return ["&", *first, *second]


def _period(name: str) -> str:
    _column, colon, period = name.partition(":")
    if colon and period not in _PERIODS:
        raise ServerError("ValueError", f"Invalid granularity {period!r}")
    return period


def _cut(value: Any, period: str) -> Any:
    """Truncate a moment to its period, as sortable text; other values are unchanged."""
    if not period or value is False:
        return value
    text = str(value)
    if period == "day":
        return text[:10]
    if period == "hour":
        return text[:13]
    if period == "month":
        return text[:7]
    if period == "year":
        return text[:4]
    moment = datetime.fromisoformat(text[:10])
    if period == "week":
        return (moment - timedelta(days=moment.weekday())).date().isoformat()
    return f"{text[:4]}-{(moment.month - 1) // 3 * 3 + 1:02d}"


def _bounds(part: str, name: str) -> tuple[str, str]:
    """Return [from, to) of a period, as text in UTC."""
    period = _period(name)
    begin = datetime.fromisoformat({4: f"{part}-01-01", 7: f"{part}-01"}.get(len(part), part))
    months = {"month": 1, "quarter": 3, "year": 12}.get(period)
    if months is None:
        end = begin + {"hour": timedelta(hours=1), "day": timedelta(days=1)}.get(
            period, timedelta(weeks=1)
        )
    else:
        index = begin.year * 12 + begin.month - 1 + months
        end = begin.replace(year=index // 12, month=index % 12 + 1)
    return begin.isoformat(" "), end.isoformat(" ")


def _range(part: Any, name: str) -> Any:
    """Return a group's bounds; none for records without a date."""
    if not part:
        return False
    begin, end = _bounds(part, name)
    return {"from": begin, "to": end}


def _period_label(part: str, period: str) -> str:
    begin = datetime.fromisoformat(_bounds(part, f"x:{period}")[0])
    if period == "week":
        year, week, _day = begin.isocalendar()
        return f"W{week} {year}"
    if period == "quarter":
        return f"Q{(begin.month - 1) // 3 + 1} {begin.year}"
    shapes = {"hour": "%H:00 %d %b", "day": "%d %b %Y", "month": "%B %Y", "year": "%Y"}
    return begin.strftime(shapes[period])


@dataclass(frozen=True, slots=True)
class Ids:
    """The aggregates of a range of ids, some of them left out."""

    count: int
    total: int
    first: int
    last: int


def _without(ids: range, left_out: list[int]) -> Ids:
    """Aggregate `ids` without `left_out` (ascending, all within it); count 0 if none is left."""
    count = len(ids) - len(left_out)
    if count <= 0:
        return Ids(0, 0, 0, 0)
    total = (ids[0] + ids[-1]) * len(ids) // 2 - sum(left_out)
    if not left_out:
        return Ids(count, total, ids[0], ids[-1])
    gone = frozenset(left_out)
    first = next(number for number in ids if number not in gone)
    last = next(number for number in reversed(ids) if number not in gone)
    return Ids(count, total, first, last)
