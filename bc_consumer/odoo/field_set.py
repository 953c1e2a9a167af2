"""The fields that this Odoo has of those the copy wants, asked for once (``fields_get``)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bc_consumer.odoo.errors import (
    MissingField,
    MissingModel,
    OdooFault,
    OdooProtocolError,
    OdooRefused,
    OdooUnavailable,
)
from bc_consumer.odoo.faults import USER_ERROR
from bc_consumer.odoo.fields import TABLES, Field, Table

ATTRIBUTES = ["type", "digits", "string", "relation", "store", "selection", "required"]

FieldsGet = Callable[[str, Sequence[str]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ModelFields:
    """One model's fields: those this Odoo has, by its own names, and those it lacks.

    ``digits``: canonical name → decimals, where Odoo tells them.
    """

    model: str
    present: tuple[tuple[Field, str], ...]
    absent: tuple[Field, ...]
    digits: Mapping[str, int]

    @property
    def odoo_names(self) -> list[str]:
        """Names to ask this Odoo for."""
        return [odoo_name for _field, odoo_name in self.present]

    def odoo_name(self, canonical: str) -> str | None:
        """Give this Odoo's name of a field, None if it has no such field."""
        for field, odoo_name in self.present:
            if field.name == canonical:
                return odoo_name
        return None


@dataclass(frozen=True, slots=True)
class FieldSet:
    """The fields of orders and of their lines."""

    order: ModelFields
    line: ModelFields

    @property
    def absent(self) -> tuple[str, ...]:
        """Optional fields that this Odoo lacks, as «model.field»; derived ones are not lacking."""
        return tuple(
            f"{fields.model}.{field.name}"
            for fields in (self.order, self.line)
            for field in fields.absent
            if field.derive is None
        )


def load_field_set(order_model: str, fields_get: FieldsGet) -> FieldSet:
    """Ask Odoo what it has. Raises MissingField, MissingModel, and what the calls raise."""
    table = table_of(order_model)
    order_answer = _ask(order_model, table.order, fields_get)
    order = _resolve(order_model, table.order, order_answer)
    line_model = order_answer[str(order.odoo_name("order_line"))].get("relation")
    if not isinstance(line_model, str):
        raise OdooProtocolError(f"Odoo does not tell the model of the lines of {order_model}")
    line = _resolve(line_model, table.line, _ask(line_model, table.line, fields_get))
    return FieldSet(order=order, line=line)


def table_of(order_model: str) -> Table:
    """Give the fields of an order model. Raises OdooRefused for one that we don't know."""
    if order_model not in TABLES:
        known = ", ".join(TABLES)
        raise OdooRefused(f"Order model «{order_model}» can't be copied; known are: {known}")
    return TABLES[order_model]


def _ask(model: str, fields: Sequence[Field], fields_get: FieldsGet) -> Mapping[str, Any]:
    names = [name for field in fields for name in field.odoo_names]
    try:
        answer = fields_get(model, names)
    except OdooFault as fault:
        if fault.code == USER_ERROR:
            raise MissingModel(
                f"This Odoo has no model «{model}» ({fault.message}): install its app there, or"
                " correct the order model or the database",
                model=model,
            ) from fault
        # No order is concerned, so this is Odoo's own trouble.
        raise OdooUnavailable(f"Odoo can't tell the fields of {model} just now: {fault}") from fault
    if not isinstance(answer, dict) or not all(isinstance(v, dict) for v in answer.values()):
        raise OdooProtocolError(f"Odoo's list of the fields of {model} is none")
    return answer


def _resolve(model: str, fields: Sequence[Field], answer: Mapping[str, Any]) -> ModelFields:
    present, absent, digits = [], [], {}
    for field in fields:
        odoo_name = next((name for name in field.odoo_names if name in answer), None)
        if odoo_name is None:
            absent.append(field)
            continue
        present.append((field, odoo_name))
        decimals = _decimals(answer[odoo_name].get("digits"))
        if decimals is not None:
            digits[field.name] = decimals
    _refuse_if_needed(model, absent)
    return ModelFields(model, tuple(present), tuple(absent), digits)


def _decimals(digits: object) -> int | None:
    """Read fields_get's «digits»: [total, decimals], or false."""
    if isinstance(digits, list | tuple) and len(digits) == 2 and isinstance(digits[1], int):
        return digits[1]
    return None


def _refuse_if_needed(model: str, absent: Sequence[Field]) -> None:
    needed = [field.name for field in absent if field.required]
    if needed:
        raise MissingField(
            f"This Odoo's {model} lacks, or does not show to this account, what every order needs:"
            f" {', '.join(needed)}. Give the account the rights of a purchase user, or check that"
            " this Odoo's version is supported",
            model=model,
            fields=needed,
        )
