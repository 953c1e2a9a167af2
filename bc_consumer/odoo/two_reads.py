"""Orders and lines in separate calls, for an Odoo without ``web_search_read`` (before 17).

Each call is a transaction of its own, so a change may fall between them. The orders are therefore
read again after their lines, and those that differ are torn: they are read anew.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.fields.kinds import Kind
from bc_consumer.odoo.errors import OdooTorn
from bc_consumer.odoo.field_set import FieldSet, ModelFields
from bc_consumer.odoo.records import Answer, OrderSnapshot
from bc_consumer.odoo.scope import Scope
from bc_consumer.odoo.snapshots import Record, build_order, record_id, records

Execute = Callable[[str, str, Sequence[Any], Mapping[str, Any]], Answer]
Names = Mapping[str, Mapping[int, Any]]  # a many2many's name in Odoo → id → display_name

ROUNDS = 5  # an order that changes within each of so many reads is left for later


class TwoReads:
    """Reads orders with their lines in three calls, and the names those calls don't give."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._decimals: dict[int, Any] = {}  # currency's id → decimals; they never change in use

    def fetch(
        self, ids: Sequence[int], field_set: FieldSet, execute: Execute
    ) -> dict[int, OrderSnapshot]:
        """Give a consistent snapshot of each order that is there and readable.

        Raises OdooTorn if some kept changing between the reads.
        """
        reader = _Reader(field_set, execute, self._scope)
        snapshots: dict[int, OrderSnapshot] = {}
        open_ids = list(ids)
        for _round in range(ROUNDS):
            whole, torn = reader.read(open_ids)
            for record in self._with_names(whole, reader):
                snapshots[record_id(record)] = build_order(record, field_set)
            if not torn:
                return snapshots
            open_ids = torn
        raise OdooTorn(
            _(
                "Orders %(ids)s changed in Odoo between the reads of the order and of"
                " its lines, %(rounds)s times in a row (torn): to be read again later",
                ids=f"{open_ids}",
                rounds=ROUNDS,
            )
        )

    def _with_names(self, orders: Sequence[Record], reader: "_Reader") -> list[Record]:
        """Put decimals, and the names behind each many2many, where one call would have put them."""
        currency, lines = reader.currency, reader.lines
        unknown = {o[currency][0] for o in orders if o[currency]} - self._decimals.keys()
        found = reader.read_field("res.currency", unknown, "decimal_places")
        self._decimals = {**self._decimals, **found}
        names = reader.names_of_many(orders)
        return [
            {
                **order,
                **_with_names(order, names["order"]),
                currency: _with_decimals(order[currency], self._decimals),
                lines: [{**line, **_with_names(line, names["line"])} for line in order[lines]],
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
        """Give the records whose lines fit them, lines nested, and the ids of the torn ones."""
        before = self._orders(ids)
        lines = self._lines_of(before)
        after = self._orders(ids)
        whole: list[Record] = []
        torn = sorted(before.keys() ^ after.keys())
        for order_id in sorted(before.keys() & after.keys()):
            own = lines.get(order_id, [])
            order = after[order_id]
            # The lines' ids too: a line may have come and gone in between.
            fits = sorted(order[self.lines]) == [record_id(line) for line in own]
            if before[order_id] == order and fits:
                whole.append({**order, self.lines: own})
            else:
                torn.append(order_id)
        return whole, torn

    def names_of_many(self, orders: Sequence[Record]) -> dict[str, Names]:
        """Give, for orders and for lines, the names of all records behind their many2many."""
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
        return {record_id(record): record.get(field) for record in records(answer.value)}

    def _orders(self, ids: Sequence[int]) -> dict[int, Record]:
        fields = self._field_set.order
        found = self._search_read(fields, self._scope.orders(("id", "in", list(ids))))
        return {record_id(record): record for record in found}

    def _lines_of(self, order_ids: Iterable[int]) -> dict[int, list[Record]]:
        """Give each order's lines, by id."""
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
        return records(self._execute(fields.model, "search_read", [], kwargs).value)


def _with_decimals(value: Any, decimals: Mapping[int, Any]) -> Any:
    if not value:
        return value
    return {"id": value[0], "display_name": value[1], "decimal_places": decimals.get(value[0])}


def _with_names(record: Record, names: Names) -> Record:
    return {
        field: [{"id": i, "display_name": known.get(i, False)} for i in record[field]]
        for field, known in names.items()
    }


def _many2many(fields: ModelFields) -> list[tuple[str, str]]:
    """Give the names of these fields in Odoo, each with the model that it leads to."""
    return [
        (odoo_name, fields.relations[field.name])
        for field, odoo_name in fields.present
        if field.kind is Kind.MANY2MANY
    ]
