"""read_group (17, 18, 19) and formatted_read_group (19): counts and sums by day, state, partner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from odoo_simulator.blocks import Row
from odoo_simulator.domains import parse
from odoo_simulator.errors import ServerError, UserError
from odoo_simulator.fields import Model
from odoo_simulator.reading import Reader
from odoo_simulator.search import Search
from odoo_simulator.store import Store
from odoo_simulator.values import unknown_field

_PERIODS = ("hour", "day", "week", "month", "quarter", "year")
_FUNCTIONS = ("sum", "min", "max", "avg", "count", "count_distinct")


@dataclass(frozen=True, slots=True)
class Aggregate:
    key: str  # what the answer calls it
    field: str
    function: str


class Group:
    """The running figures of one group."""

    __slots__ = ("count", "values")

    def __init__(self, width: int) -> None:
        self.count = 0
        self.values: list[list[Any]] = [[] for _ in range(width)]


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
        """One row a group: `__count` (lazy: `<field>_count`), `__domain`, `__range` for dates."""
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
                    begin, end = _bounds(part, name)
                    ranges[name] = {"from": begin, "to": end}
            count_key = f"{names[0].split(':')[0]}_count" if lazy and names else "__count"
            row[count_key] = group.count
            row.update(self._results(aggregates, group))
            row["__domain"] = _joined(list(domain), extra)
            if ranges:
                row["__range"] = ranges
            rows.append(row)
        return rows[offset:] if not limit else rows[offset : offset + limit]

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
        """19's own: dates as [start, label], aggregates under their full names."""
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
        groups: dict[tuple[Any, ...], Group] = {}
        columns = [name.split(":")[0] for name in names]
        periods = [_period(name) for name in names]
        for name in columns:
            self._known(model, name)
        for number, row in self._matching(model, domain, columns, aggregates):
            key = tuple(
                _cut(row.get(column) or False, period)
                for column, period in zip(columns, periods, strict=True)
            )
            group = groups.get(key)
            if group is None:
                group = groups[key] = Group(len(aggregates))
            group.count += 1
            for values, aggregate in zip(group.values, aggregates, strict=True):
                values.append(number if aggregate.field == "id" else row.get(aggregate.field))
        if not names and not groups:
            groups[()] = Group(len(aggregates))
        # Empty values come last, as PostgreSQL's NULLs do.
        return sorted(groups.items(), key=lambda item: [(part is False, part) for part in item[0]])

    def _matching(
        self, model: str, domain: Sequence[Any], columns: list[str], aggregates: list[Aggregate]
    ) -> Iterator[tuple[int, Row]]:
        search = Search(
            self.store, self.reader.compiler, model, parse(domain), self.reader.visible(model)
        )
        needed = {*columns, *(aggregate.field for aggregate in aggregates)}
        table = self.store.tables[model]
        dated_only = needed <= {"id", "write_date"}
        for number in search.ascending():
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
            aggregate.key: _reduce(aggregate.function, values)
            for aggregate, values in zip(aggregates, group.values, strict=True)
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
    """A moment's period as sortable text; other values as they are."""
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
    """[from, to) of a period, as text in UTC."""
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


def _period_label(part: str, period: str) -> str:
    begin = datetime.fromisoformat(_bounds(part, f"x:{period}")[0])
    if period == "week":
        year, week, _day = begin.isocalendar()
        return f"W{week} {year}"
    if period == "quarter":
        return f"Q{(begin.month - 1) // 3 + 1} {begin.year}"
    shapes = {"hour": "%H:00 %d %b", "day": "%d %b %Y", "month": "%B %Y", "year": "%Y"}
    return begin.strftime(shapes[period])


def _reduce(function: str, values: Iterable[Any]) -> Any:
    present = [value for value in values if value is not None and value is not False]
    if function == "count":
        return len(present)
    if function == "count_distinct":
        return len(set(present))
    if not present:
        return False if function in ("min", "max") else 0
    if function == "sum":
        return sum(present)
    if function == "avg":
        return sum(present) / len(present)
    value = min(present) if function == "min" else max(present)
    return value[:19] if isinstance(value, str) else value
