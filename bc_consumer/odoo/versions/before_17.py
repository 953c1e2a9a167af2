"""What Odoo 14 to 16 need and later versions don't.

Whoever drops them deletes this file and the lines that import it. In short, they have no
``web_search_read`` that returns lines, ``read_group`` describes its groups less well, answers by
XML-RPC hold raw control characters, and there are no webhooks. Measured on 14 and 16.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.fields.kinds import Kind
from bc_consumer.odoo.errors import NoWebhookActions, OdooTorn
from bc_consumer.odoo.field_set import FieldSet, ModelFields
from bc_consumer.odoo.grouping_methods import (
    Function,
    Group,
    GroupLacksBounds,
    PeriodName,
    ReadGroup,
    check_whole_period,
    group_count,
)
from bc_consumer.odoo.http import Answer
from bc_consumer.odoo.records import (
    OrderSnapshot,
    Record,
    ServerVersion,
    build_order,
    check_records,
    record_id,
)
from bc_consumer.odoo.scope import Scope

Execute = Callable[[str, str, Sequence[Any], Mapping[str, Any]], Answer]
NamesByField = Mapping[str, Mapping[int, Any]]
"""A many2many's name in Odoo → id of the related record → its display_name."""

ROUNDS = 5  # an order that changes during each of so many reads is left for later
CONTROL_CHARACTERS = bytes({*range(0x20)} - {0x09, 0x0A, 0x0D})
"""XML forbids these; Odoo up to 16 sends them as they are (measured)."""
FIRST_WITH_WEBHOOKS = 17
ID_FIGURE = "id_figure"  # our name for an aggregate of ids


class SeparateReads:
    """Reads orders and lines in separate calls, for an Odoo without ``web_search_read``.

    Each call is a transaction of its own, so a change may fall between two of them. The orders are
    therefore read again after their lines; an order that differs is torn, and read again.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._decimals: dict[int, Any] = {}  # id of a currency → its decimals, which stay the same

    def fetch(
        self, ids: Sequence[int], field_set: FieldSet, execute: Execute
    ) -> dict[int, OrderSnapshot]:
        """Return a consistent snapshot of each order that exists and is readable.

        Three calls, and one for each model whose names they don't return. Raises OdooTorn if some
        orders changed during each of five rounds.
        """
        reader = _Reader(field_set, execute, self._scope)
        snapshots: dict[int, OrderSnapshot] = {}
        open_ids = list(ids)
        for _round in range(ROUNDS):
            whole, torn = reader.read(open_ids)
            for record in self._add_names(whole, reader):
                snapshots[record_id(record)] = build_order(record, field_set)
            if not torn:
                return snapshots
            open_ids = torn
        raise OdooTorn(
            _(
                "Orders %(ids)s changed in Odoo between the reads of the order and of"
                " its lines, %(rounds)s times in a row (torn): they will be read again later",
                ids=f"{open_ids}",
                rounds=ROUNDS,
            )
        )

    def _add_names(self, orders: Sequence[Record], reader: "_Reader") -> list[Record]:
        """Add the currency's decimals and each many2many's names where one call has them."""
        currency, lines = reader.currency, reader.lines
        unknown = {o[currency][0] for o in orders if o[currency]} - self._decimals.keys()
        found = reader.read_field("res.currency", unknown, "decimal_places")
        self._decimals = {**self._decimals, **found}
        names = reader.names_of_many(orders)
        return [
            {
                **order,
                **_nest_names(order, names["order"]),
                currency: _nest_decimals(order[currency], self._decimals),
                lines: [{**line, **_nest_names(line, names["line"])} for line in order[lines]],
            }
            for order in orders
        ]


class _Reader:
    """The calls of one fetch."""

    def __init__(self, field_set: FieldSet, execute: Execute, scope: Scope) -> None:
        self.lines = str(field_set.order.odoo_name("order_line"))
        self.currency = str(field_set.order.odoo_name("currency_id"))
        self._order_of_line = str(field_set.line.odoo_name("order_id"))
        self._field_set = field_set
        self._execute = execute
        self._scope = scope

    def read(self, ids: Sequence[int]) -> tuple[list[Record], list[int]]:
        """Return the consistent records, with their lines nested, and the ids of the torn ones."""
        before = self._orders(ids)
        lines = self._lines_of(before)
        after = self._orders(ids)
        whole: list[Record] = []
        torn = sorted(before.keys() ^ after.keys())
        for order_id in sorted(before.keys() & after.keys()):
            own = lines.get(order_id, [])
            order = after[order_id]
            # Compare the lines' ids too: a line may have been added and removed in between.
            fits = sorted(order[self.lines]) == [record_id(line) for line in own]
            if before[order_id] == order and fits:
                whole.append({**order, self.lines: own})
            else:
                torn.append(order_id)
        return whole, torn

    def names_of_many(self, orders: Sequence[Record]) -> dict[str, NamesByField]:
        """Return the names of all records in many2many fields, for "order" and for "line"."""
        every_line = [line for order in orders for line in order[self.lines]]
        sources = (
            ("order", self._field_set.order, orders),
            ("line", self._field_set.line, every_line),
        )
        wanted: dict[str, set[int]] = {}
        for _what, fields, owners in sources:
            for name, model in _many2many(fields):
                wanted.setdefault(model, set()).update(i for owner in owners for i in owner[name])
        names = "display_name"
        found = {model: self.read_field(model, ids, names) for model, ids in wanted.items()}
        return {
            what: {name: found[model] for name, model in _many2many(fields)}
            for what, fields, _owners in sources
        }

    def read_field(self, model: str, ids: Collection[int], field: str) -> dict[int, Any]:
        """Read one field of related records."""
        if not ids:
            return {}
        kwargs = {"fields": [field], "context": self._scope.context}
        answer = self._execute(model, "read", [sorted(ids)], kwargs)
        return {record_id(record): record.get(field) for record in check_records(answer.value)}

    def _orders(self, ids: Sequence[int]) -> dict[int, Record]:
        fields = self._field_set.order
        found = self._search_read(fields, self._scope.order_domain(("id", "in", list(ids))))
        return {record_id(record): record for record in found}

    def _lines_of(self, order_ids: Iterable[int]) -> dict[int, list[Record]]:
        """Return each order's lines, ascending by id."""
        wanted = list(order_ids)
        if not wanted:
            return {}
        name = self._order_of_line
        lines: dict[int, list[Record]] = {}
        for line in self._search_read(self._field_set.line, [(name, "in", wanted)]):
            lines.setdefault(line[name][0], []).append(line)
        return {order_id: sorted(own, key=record_id) for order_id, own in lines.items()}

    def _search_read(self, fields: ModelFields, domain: Sequence[Any]) -> Sequence[Record]:
        kwargs = {
            "domain": list(domain),
            "fields": fields.odoo_names,
            "order": "id",
            "context": self._scope.context,
        }
        return check_records(self._execute(fields.model, "search_read", [], kwargs).value)


def _nest_decimals(value: Any, decimals: Mapping[int, Any]) -> Any:
    if not value:
        return value
    return {"id": value[0], "display_name": value[1], "decimal_places": decimals.get(value[0])}


def _nest_names(record: Record, names: NamesByField) -> Record:
    return {
        field: [{"id": i, "display_name": known.get(i, False)} for i in record[field]]
        for field, known in names.items()
    }


def _many2many(fields: ModelFields) -> list[tuple[str, str]]:
    """Return the many2many fields' names in this Odoo, each with its related model."""
    return [
        (odoo_name, fields.relations[field.name])
        for field, odoo_name in fields.present
        if field.kind is Kind.MANY2MANY
    ]


class ReadGroupBefore17:
    """``read_group`` of 14 and 16: an aggregate named "id" is left out, and so is the range.

    The aggregate gets a name of our own, and the group's bounds are read from its domain.
    """

    method = "read_group"

    def arguments(self, period: PeriodName, function: Function) -> dict[str, Any]:
        """Return the keyword arguments besides domain and context."""
        asked = ReadGroup().arguments(period, function)
        return {**asked, "fields": [f"{ID_FIGURE}:{function}(id)"]}

    def group(self, row: Record, period: PeriodName) -> Group | None:
        """Read one row; None for the group of records without a write_date."""
        if row.get(f"write_date:{period}") is False:
            return None
        # The group's own conditions come before those of the domain that was asked for.
        domain = row.get("__domain")
        terms = domain if isinstance(domain, list) else []
        first, end = _bound(terms, ">="), _bound(terms, "<")
        if first is None or end is None:
            raise GroupLacksBounds
        start: datetime = check_whole_period(first, end, period)
        return Group(start, group_count(row), row.get(ID_FIGURE))


def _bound(terms: Sequence[Any], operator: str) -> object:
    """Return the first value that a domain compares write_date with by this operator, or None."""
    for term in terms:
        if isinstance(term, list) and term[:2] == ["write_date", operator]:
            return term[2] if len(term) == 3 else None
    return None


def refuse_without_webhooks(version: ServerVersion) -> None:
    """Raise NoWebhookActions for a version that has none."""
    if version.major < FIRST_WITH_WEBHOOKS:
        raise NoWebhookActions(
            _(
                "Odoo %(version)s has no webhook actions: they came with Odoo %(first)s",
                version=version.text,
                first=FIRST_WITH_WEBHOOKS,
            )
        )
