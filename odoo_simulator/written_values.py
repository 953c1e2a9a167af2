"""Converts written values to stored ones: types, digits, currencies' decimals, commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from odoo_simulator.errors import ServerError
from odoo_simulator.model_fields import TEXT_TYPES, Field, Model

MAGIC_FIELDS = frozenset({"id", "create_date", "write_date", "create_uid", "write_uid"})


def rounded(value: float, decimals: int) -> float:
    """Round half up, like Odoo's float_round."""
    if decimals < 0 or value == 0:
        return value
    exponent = Decimal(1).scaleb(-decimals)
    return float(Decimal(repr(float(value))).quantize(exponent, rounding=ROUND_HALF_UP))


def check_fields(model: Model, names: Iterable[str], version: int) -> None:
    """Raise ServerError (fault 1) for a field that this model lacks."""
    for name in names:
        if name not in model.fields:
            raise unknown_field(model.name, name, version)


def unknown_field(model: str, name: str, version: int) -> ServerError:
    where = f"'{model}'" if version >= 19 else f"model '{model}'"
    return ServerError("ValueError", f"Invalid field {name!r} on {where}")


def stored(field: Field, value: Any, decimals: int = 2) -> Any:
    """Return a value as the store keeps it; `decimals` of the currency, for monetary fields."""
    if value is None:
        value = False
    if field.type == "selection":
        return _selection(field, value)
    if field.type in TEXT_TYPES:
        return value if value is False else str(value)
    if field.type == "integer":
        return int(value or 0)
    if field.type == "boolean":
        return bool(value)
    if field.type in ("float", "monetary"):
        return _number(field, value, decimals)
    if field.type == "datetime":
        return _moment(value)
    if field.type == "many2one":
        return int(value) if value else False
    if field.type == "many2many":
        return tuple(value or ())
    return value


def _number(field: Field, value: Any, decimals: int) -> float:
    number = float(value or 0.0)
    if field.digits is not None:
        return rounded(number, field.digits[1])
    return rounded(number, decimals) if field.type == "monetary" else number


def _selection(field: Field, value: Any) -> Any:
    known = {key for key, _label in field.selection}
    if value is not False and known and value not in known:
        raise ServerError("ValueError", f"Wrong value for {field.name}: {value!r}")
    return value


def _moment(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        return False
    text = value.replace("T", " ").removesuffix("Z")
    return f"{text} 00:00:00" if len(text) == 10 else text


def apply_links(current: tuple[int, ...], value: Any) -> tuple[int, ...]:
    """Apply many2many commands (6 set, 4 link, 3 unlink, 5 clear) or a plain list of ids."""
    if not value:
        return ()
    result = list(current)
    if all(isinstance(item, int) for item in value):
        return tuple(value)
    for command in value:
        code = command[0]
        if code == 6:
            result = list(command[2])
        elif code == 5:
            result = []
        elif code == 4 and command[1] not in result:
            result.append(command[1])
        elif code in (2, 3) and command[1] in result:
            result.remove(command[1])
    return tuple(result)


def commands_of(value: Any) -> list[tuple[int, int, Any]]:
    """Return one2many commands as triples, whatever their length on the wire."""
    result: list[tuple[int, int, Any]] = []
    for command in value or ():
        if isinstance(command, dict):
            result.append((0, 0, command))
            continue
        items: Sequence[Any] = tuple(command)
        second = items[1] if len(items) > 1 else 0
        third = items[2] if len(items) > 2 else False
        result.append((int(items[0]), int(second or 0), third))
    return result
