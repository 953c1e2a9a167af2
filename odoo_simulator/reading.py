"""Reads: read, search_read and web_read, each in a real Odoo's format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from odoo_simulator.bulk_orders import Row
from odoo_simulator.company_access import belongs, seen
from odoo_simulator.domains import Compiler, parse
from odoo_simulator.errors import AccessError, missing
from odoo_simulator.model_fields import X2MANY_TYPES, Field, Model
from odoo_simulator.order_kinds import shapes_of
from odoo_simulator.search import Search, Visible
from odoo_simulator.store import Store
from odoo_simulator.written_values import unknown_field

Getter = Callable[[int, Row], Any]
Spec = dict[str, Any]
# Line fields that are not stored but taken from the order: (field, field of the order).
_FROM_ORDER = ("state", "currency_id", "date_order", "date_approve", "company_id", "partner_id")


class Reader:
    """Reads one store. Hold the store's lock around each call that must be one snapshot."""

    def __init__(self, store: Store, models: dict[str, Model], version: int) -> None:
        self.store = store
        self.models = models
        self.version = version
        self.compiler = Compiler(models, version, store, self.label)
        self.shapes = shapes_of(version)
        self.hidden: Callable[[str], frozenset[int]] = lambda _model: frozenset()

    def visible(self, model: str) -> Visible | None:
        """Return the predicate for visible records of a model; None if all are visible."""
        hidden = self.hidden(model)
        companies = seen() if model in self.shapes else None
        if companies is None:
            return (lambda number: number not in hidden) if hidden else None
        get = self.store.get

        def visible(number: int) -> bool:
            row = get(model, number)
            return number not in hidden and row is not None and belongs(row, companies)

        return visible

    def may_see(self, model: str, number: int) -> bool:
        """Return whether no record rule hides this record; a missing one is judged by its id."""
        if number in self.hidden(model):
            return False
        visible = self.visible(model)
        return visible is None or self.store.get(model, number) is None or visible(number)

    def search(
        self, model: str, domain: Sequence[Any], order: str = "", offset: int = 0, limit: int = 0
    ) -> list[int]:
        search = Search(self.store, self.compiler, model, parse(domain), self.visible(model))
        return search.ids(order, offset, limit or None)

    def count(self, model: str, domain: Sequence[Any]) -> int:
        return Search(self.store, self.compiler, model, parse(domain), self.visible(model)).count()

    def read(
        self, model: str, numbers: Iterable[int], fields: Sequence[str], load: str | None
    ) -> list[Row]:
        """Read records without deleted ones; a forbidden one fails the whole call (AccessError)."""
        names = [name for name in fields or list(self.models[model].fields) if name != "id"]
        getters = [(name, self._classic(model, self._field(model, name), load)) for name in names]
        records = []
        for number in numbers:
            row = self._readable(model, number)
            if row is not None:
                record: Row = {"id": number}
                for name, getter in getters:
                    record[name] = getter(number, row)
                records.append(record)
        return records

    def web_read(self, model: str, numbers: Sequence[int], spec: Spec) -> list[Row]:
        """Read records; a deleted one with a nested specification raises MissingError."""
        if set(spec) <= {"id"} and len(numbers) > 0:
            return [{"id": number} for number in numbers]  # existence is not checked (measured)
        nested = any((item or {}).get("fields") for item in spec.values())
        rows = [(number, self._readable(model, number)) for number in numbers]
        gone = [number for number, row in rows if row is None]
        if gone and nested and len(gone) < len(rows):
            raise missing(model, gone[0])
        shape = self.shape(model, spec)
        return [shape(number, row) for number, row in rows if row is not None]

    def shape(self, model: str, spec: Spec) -> Callable[[int, Row], Row]:
        """Return a function that formats one record as specified."""
        getters = [
            (name, self._specified(model, self._field(model, name), item or {}))
            for name, item in spec.items()
            if name != "id"
        ]

        def lay_out(number: int, row: Row) -> Row:
            record: Row = {"id": number}
            for name, getter in getters:
                record[name] = getter(number, row)
            return record

        return lay_out

    def label(self, model: str, number: int) -> str:
        """Return a record's display_name."""
        row = self.store.get(model, number)
        return self._label_of(model, number, row) if row is not None else f"{model},{number}"

    def _label_of(self, model: str, number: int, row: Row) -> str:
        name = str(row.get("name") or f"{model},{number}")
        if model == "purchase.order" and row.get("partner_ref"):
            return f"{name} ({row['partner_ref']})"
        if model == "product.product" and row.get("default_code"):
            return f"[{row['default_code']}] {name}"
        if model == "res.partner" and row.get("parent_id") and not row.get("is_company"):
            return f"{self.label(model, int(row['parent_id']))}, {name}"
        return name

    def _field(self, model: str, name: str) -> Field:
        field = self.models[model].fields.get(name)
        if field is None:
            raise unknown_field(model, name, self.version)
        return field

    def _readable(self, model: str, number: int) -> Row | None:
        if not self.may_see(model, number):
            raise access_error(self.models[model])
        return self.store.get(model, number)

    def _plain(self, model: str, field: Field) -> Getter:
        """Return a getter of the stored value: x2many as lists, moments without fractions."""
        name, default = field.name, field.default
        if name == "display_name":
            return lambda number, row: self._label_of(model, number, row)
        shape = self.shapes.get(model)
        if shape and model == shape.line and name in _FROM_ORDER and name not in shape.related:
            return self._from_order(shape.order, field)
        if field.type in X2MANY_TYPES:
            relation, visible = field.relation, self.visible(field.relation)
            if name == "order_line":
                return lambda _number, row: self._sorted_lines(relation, row, visible)
            return lambda _number, row: list(row.get(name, ()))
        if field.type == "datetime":
            return lambda _number, row: (row.get(name) or "")[:19] or False
        return lambda _number, row: row.get(name, default)

    def _from_order(self, order_model: str, field: Field) -> Getter:
        inner = self._plain(order_model, self.models[order_model].fields[field.name])
        get = self.store.get

        def value(_number: int, row: Row) -> Any:
            order_id = int(row["order_id"])
            order = get(order_model, order_id)
            return inner(order_id, order) if order is not None else field.default

        return value

    def _sorted_lines(self, model: str, row: Row, visible: Visible | None) -> list[int]:
        numbers = row.get("order_line", ())
        get = self.store.get
        keyed = [((get(model, number) or {}).get("sequence", 10), number) for number in numbers]
        keyed.sort()
        return [number for _sequence, number in keyed if visible is None or visible(number)]

    def _classic(self, model: str, field: Field, load: str | None) -> Getter:
        plain = self._plain(model, field)
        if field.type != "many2one" or load in ("", None, False):
            return plain
        relation = field.relation

        def pair(number: int, row: Row) -> Any:
            value = plain(number, row)
            return [value, self.label(relation, value)] if value else False

        return pair

    def _specified(self, model: str, field: Field, item: Spec) -> Getter:
        plain = self._plain(model, field)
        nested = item.get("fields")
        if not nested or not field.relation:
            return plain
        lay_out = self.shape(field.relation, nested)
        relation, get = field.relation, self.store.get
        if field.type == "many2one":

            def one(number: int, row: Row) -> Any:
                value = plain(number, row)
                target = get(relation, value) if value else None
                return lay_out(value, target) if target is not None else False

            return one
        limit = item.get("limit")

        def many(number: int, row: Row) -> list[Row]:
            records: list[Row] = []
            for position, other in enumerate(plain(number, row)):
                target = get(relation, other)
                if target is None:
                    continue
                bare = limit is not None and position >= limit
                records.append({"id": other} if bare else lay_out(other, target))
            return records

        return many


def access_error(model: Model) -> AccessError:
    """Return the error raised by a record rule."""
    return AccessError(
        "Uh-oh! Looks like you have stumbled upon some top-secret records.\n\n"
        f"Sorry, admin (id=2) doesn't have 'read' access to:\n- {model.description} ({model.name})"
    )


def model_access_error(model: Model) -> AccessError:
    """Return the error for missing rights on a whole model."""
    return AccessError(
        f"You are not allowed to access '{model.description}' ({model.name}) records.\n\n"
        "Contact your administrator to request access if necessary."
    )
