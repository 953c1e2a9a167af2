"""Which of the fields that the copy wants this Odoo has: asked for by ``fields_get``."""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of
from bc_consumer.fields.field import Field, Table
from bc_consumer.fields.kinds import Kind, kind_of
from bc_consumer.fields.table import TABLES
from bc_consumer.odoo.errors import (
    MissingField,
    MissingModel,
    OdooFault,
    OdooProtocolError,
    OdooRefused,
    OdooUnavailable,
    UnfitField,
)
from bc_consumer.odoo.fault_errors import USER_ERROR

ATTRIBUTES = [
    "type", "digits", "string", "relation", "store", "selection", "required", "currency_field",
]  # fmt: skip

FIRST_TABLES = frozenset({2452737743, 2949734134})
"""Fingerprints of the tables of the first release. Rows written by it have no table mark, so these
tables add none."""

Names = tuple[tuple[str, str], ...]
FieldsGet = Callable[[str, Sequence[str]], Mapping[str, Any]]
MayRead = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class WantedFields:
    """What to copy: an order model, and the fields that the settings add to those of the table."""

    order_model: str
    extra_fields: tuple[str, ...] = ()
    extra_line_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFields:
    """One model's fields: those that this Odoo has, with its names for them, and those it lacks.

    ``digits``: canonical name → decimals, where Odoo tells them. ``relations``: canonical name →
    related model of a many2one or many2many. ``chosen``: names of the configured fields.
    ``labels``: canonical name of a field without a column → its label in Odoo.
    """

    model: str
    present: tuple[tuple[Field, str], ...]
    absent: tuple[Field, ...]
    digits: Mapping[str, int]
    relations: Mapping[str, str]
    chosen: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    # The following are made of those above, once: every record is read by them.
    plain_names: Names = field(init=False, repr=False, compare=False)
    """Fields whose values are kept as Odoo sends them: canonical name, and this Odoo's."""
    many2one_names: Names = field(init=False, repr=False, compare=False)
    many2many_names: Names = field(init=False, repr=False, compare=False)
    derived: tuple[Field, ...] = field(init=False, repr=False, compare=False)
    """Fields that this Odoo lacks and that are computed from others."""

    def __post_init__(self) -> None:
        """Sort the fields by how their values are read."""
        apart = {Kind.MANY2ONE, Kind.MANY2MANY, Kind.LINES}
        by_kind = {
            "plain_names": set(Kind) - apart,
            "many2one_names": {Kind.MANY2ONE},
            "many2many_names": {Kind.MANY2MANY},
        }
        for attribute, kinds in by_kind.items():
            names = ((one.name, name) for one, name in self.present if one.kind in kinds)
            object.__setattr__(self, attribute, tuple(names))
        derived = (one for one in self.absent if one.derive is not None)
        object.__setattr__(self, "derived", tuple(derived))

    @property
    def odoo_names(self) -> list[str]:
        """This Odoo's names of the fields that it has."""
        return [odoo_name for _field, odoo_name in self.present]

    @property
    def naming(self) -> tuple[tuple[Field, str], ...]:
        """Fields that hold the names of other records, each with the model of those records."""
        return tuple(
            (field, self.relations[field.name])
            for field, _odoo_name in self.present
            if not field.is_relation and self.relations.get(field.name)
        )

    @property
    def known(self) -> tuple[Field, ...]:
        """The fields that each record has a value for, derived ones included."""
        return (*(field for field, _odoo_name in self.present), *self.derived)

    @property
    def lacking(self) -> tuple[Field, ...]:
        """Fields that this Odoo lacks and that can't be derived from others."""
        return tuple(field for field in self.absent if field.derive is None)

    def odoo_name(self, canonical: str) -> str | None:
        """Return this Odoo's name of a field; None if it lacks the field."""
        for one, odoo_name in self.present:
            if one.name == canonical:
                return odoo_name
        return None


@dataclass(frozen=True, slots=True)
class FieldSet:
    """The fields of orders and of their lines.

    ``fingerprint`` identifies what rows of this set hold: the table of fields, the configured
    fields, and the fields that this Odoo lacks. ``whole_fingerprint`` is the same for a set without
    lacking fields. Both are 0 for a first table (``FIRST_TABLES``) with no configured fields and
    nothing lacking.
    """

    order: ModelFields
    line: ModelFields
    fingerprint: int = 0
    whole_fingerprint: int = 0

    @property
    def absent(self) -> tuple[str, ...]:
        """Fields that this Odoo lacks, as "model.field"."""
        return _names(self.order, self.order.lacking) + _names(self.line, self.line.lacking)

    def later_than(self, major: int) -> tuple[str, ...]:
        """The absent fields that Odoo introduced after this major version."""
        return tuple(
            name
            for fields in (self.order, self.line)
            for name in _names(fields, (one for one in fields.lacking if one.since > major))
        )

    def absent_of_modules(self) -> dict[str, tuple[str, ...]]:
        """Return module → the absent fields that it would bring along."""
        absent: dict[str, tuple[str, ...]] = {}
        for fields in (self.order, self.line):
            for one in fields.lacking:
                if one.module:
                    absent[one.module] = absent.get(one.module, ()) + _names(fields, (one,))
        return absent

    @property
    def present(self) -> tuple[str, ...]:
        """Fields that this Odoo has, as "model.field"; a renamed one by its first name."""
        return tuple(
            name
            for fields in (self.order, self.line)
            for name in _names(fields, (field for field, _odoo_name in fields.present))
        )

    @property
    def chosen(self) -> tuple[str, ...]:
        """Fields that the settings name, as "model.field"."""
        return tuple(
            f"{fields.model}.{name}" for fields in (self.order, self.line) for name in fields.chosen
        )


def load_field_set(
    wanted: WantedFields, fields_get: FieldsGet, may_read: MayRead = lambda _model: True
) -> FieldSet:
    """Ask Odoo which fields it has, and return them.

    ``may_read`` tells whether the account may read a model. A configured many2many to a model that
    it may not read is left out: it would make each read fail. Raises MissingField, MissingModel,
    UnfitField, and the errors of the two functions.
    """
    table = table_of(wanted.order_model)
    asked = (*table.order, *_chosen(table.order, wanted.extra_fields))
    answer = _ask(wanted.order_model, asked, fields_get)
    order = _resolve(wanted.order_model, table.order, wanted.extra_fields, answer, may_read)
    line_model = answer[str(order.odoo_name("order_line"))].get("relation")
    if not isinstance(line_model, str):
        raise OdooProtocolError(
            _(
                "Odoo does not say which model the lines of %(order_model)s have",
                order_model=wanted.order_model,
            )
        )
    asked = (*table.line, *_chosen(table.line, wanted.extra_line_fields))
    answer = _ask(line_model, asked, fields_get)
    line = _resolve(line_model, table.line, wanted.extra_line_fields, answer, may_read)
    chosen = [f"order.{name}" for name in order.chosen] + [f"line.{name}" for name in line.chosen]
    lacking = [f"-{name}" for name in FieldSet(order, line).absent]
    whole = [*chosen, *_table_mark(table)]
    return FieldSet(order, line, _fingerprint([*whole, *lacking]), _fingerprint(whole))


def table_of(order_model: str) -> Table:
    """Return the table of an order model. Raises OdooRefused for a model that can't be copied."""
    if order_model not in TABLES:
        known = ", ".join(TABLES)
        raise OdooRefused(
            _(
                'Order model "%(order_model)s" can\'t be copied; known models: %(known)s',
                order_model=order_model,
                known=known,
            )
        )
    return TABLES[order_model]


def _chosen(table: Sequence[Field], names: Iterable[str]) -> tuple[Field, ...]:
    """Return the configured fields that the table lacks. Odoo tells their kind later."""
    own = {name for field in table for name in (field.name, *field.odoo_names)}
    wanted = sorted(set(names) - own - {"id"})
    return tuple(Field(name, Kind.TEXT, extra=True) for name in wanted)


def _table_mark(table: Table) -> list[str]:
    """Return a mark of the table's fields and kinds; nothing for a table of the first release."""
    fields = [("order", one) for one in table.order] + [("line", one) for one in table.line]
    print_ = _fingerprint([f"{part}.{one.name} {one.kind.value}" for part, one in fields])
    return [] if print_ in FIRST_TABLES else [f"table {print_}"]


def _fingerprint(names: Sequence[str]) -> int:
    return zlib.crc32("\n".join(sorted(names)).encode()) if names else 0


def _names(fields: ModelFields, some: Iterable[Field]) -> tuple[str, ...]:
    return tuple(f"{fields.model}.{field.odoo_names[0]}" for field in some)


def _ask(model: str, fields: Sequence[Field], fields_get: FieldsGet) -> Mapping[str, Any]:
    names = [name for field in fields for name in field.odoo_names]
    try:
        answer = fields_get(model, names)
    except OdooFault as fault:
        if fault.code == USER_ERROR:
            raise MissingModel(
                _(
                    'This Odoo has no model "%(model)s" (%(message)s): install its app there, '
                    "or correct the order model or the database",
                    model=model,
                    message=fault.message,
                ),
                model=model,
            ) from fault
        # No order is concerned, so this is Odoo's own trouble.
        raise OdooUnavailable(
            _(
                "Odoo can't list the fields of %(model)s just now: %(error)s",
                model=model,
                error=message_of(fault),
            )
        ) from fault
    if not isinstance(answer, dict) or not all(isinstance(v, dict) for v in answer.values()):
        raise OdooProtocolError(
            _("Odoo did not return a valid list of the fields of %(model)s", model=model)
        )
    return answer


def _resolve(
    model: str,
    table: Sequence[Field],
    extra: Iterable[str],
    answer: Mapping[str, Any],
    may_read: MayRead,
) -> ModelFields:
    chosen = _chosen(table, extra)
    present: list[tuple[Field, str]] = []
    absent: list[Field] = []
    digits, relations, labels = {}, {}, {}
    for wanted in (*table, *chosen):
        odoo_name = next((name for name in wanted.odoo_names if name in answer), None)
        if odoo_name is None or not _readable(wanted, answer[odoo_name], may_read):
            absent.append(wanted)
            continue
        description = answer[odoo_name]
        fit = _fit(model, wanted, description) if wanted in chosen else wanted
        present.append((fit, odoo_name))
        decimals = _decimals(description.get("digits"))
        if decimals is not None:
            digits[fit.name] = decimals
        if fit.kind in {Kind.MANY2ONE, Kind.MANY2MANY}:
            relations[fit.name] = str(description.get("relation") or "")
        if fit.extra:
            labels[fit.name] = str(description.get("string") or fit.name)
    _refuse_if_needed(model, absent)
    names = tuple(one.name for one in chosen)
    return ModelFields(model, tuple(present), tuple(absent), digits, relations, names, labels)


def _readable(field: Field, description: Mapping[str, Any], may_read: MayRead) -> bool:
    """Tell whether the names of a field's records can be read.

    Those of a many2many need the right to read its model; those of a many2one don't.
    """
    related = description.get("relation")
    if not field.extra or description.get("type") != "many2many" or not isinstance(related, str):
        return True
    return may_read(related)


def _fit(model: str, field: Field, description: Mapping[str, Any]) -> Field:
    """Return a configured field with the kind that Odoo tells. Raises UnfitField without one."""
    kind = kind_of(description)
    if kind is None:
        raise UnfitField(
            _(
                "%(model)s.%(name)s is of type %(type)s, which can't be copied: remove it from"
                " ODOO_EXTRA_FIELDS or ODOO_EXTRA_LINE_FIELDS (manage.py odoo_fields lists"
                " the fields that can be copied)",
                model=model,
                name=field.name,
                type=str(description.get("type")),
            ),
            model=model,
            field=field.name,
        )
    return Field(field.name, kind, field.odoo_names, extra=True)


def _decimals(digits: object) -> int | None:
    """Read the "digits" of ``fields_get``: ``[total, decimals]``, or false."""
    if isinstance(digits, list | tuple) and len(digits) == 2 and isinstance(digits[1], int):
        return digits[1]
    return None


def _refuse_if_needed(model: str, absent: Sequence[Field]) -> None:
    needed = [field.name for field in absent if field.required]
    if needed:
        raise MissingField(
            _(
                "This Odoo's %(model)s lacks, or does not show to this account, what every"
                " order needs: %(needed)s. Give the account the rights of a user of its app,"
                " or check that this Odoo's version is supported",
                model=model,
                needed=", ".join(needed),
            ),
            model=model,
            fields=needed,
        )
