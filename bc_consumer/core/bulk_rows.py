"""Sends many rows to PostgreSQL as a few parameters, and inserts them by one statement.

Django's ``bulk_create`` compiles SQL value by value, which takes longer than the database needs to
store the rows. Here a statement is the same whatever it carries. SQLite stores numbers as doubles
and parses their texts less exactly than Python does, so it keeps ``bulk_create``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import orjson
from django.db import connection, models

Row = Mapping[str, Any]
"""Column → value, as the model's attributes hold it."""


def is_possible() -> bool:
    """Return whether the configured database can take rows like this."""
    return connection.vendor == "postgresql"


class RowSource:
    """A row source ``item(…)`` of rows that travel as parameters: one JSON list for each column.

    One list of objects would be simpler, and takes PostgreSQL twice as long to read.
    """

    def __init__(self, model: type[models.Model], columns: Iterable[str], **further: str) -> None:
        """``further``: columns that the model lacks, each with its type in PostgreSQL."""
        types = column_types(model)
        self._types = {**{name: types[name] for name in columns}, **further}
        self._encoders = {
            name: encode for name, encode in _encoders(model).items() if name in self._types
        }

    @property
    def sql(self) -> str:
        """The source, for FROM; its parameters are those that :meth:`parameters` returns."""
        lists = ", ".join(
            f"json_array_elements{'' if self._is_nested(name) else '_text'}(%s::json)"
            for name in self._types
        )
        places = [f"column{place}" for place in range(len(self._types))]
        values = ", ".join(
            f'{place}::{type_} AS "{name}"'
            for place, (name, type_) in zip(places, self._types.items(), strict=True)
        )
        return f"(SELECT {values} FROM ROWS FROM ({lists}) AS given({', '.join(places)})) AS item"

    def parameters(self, rows: Sequence[Row]) -> list[str]:
        """Return the parameters that stand for these rows."""
        return [self._parameter(name, [row[name] for row in rows]) for name in self._types]

    def _is_nested(self, name: str) -> bool:
        return self._types[name] == "jsonb"

    def _parameter(self, name: str, values: list[Any]) -> str:
        encode = self._encoders.get(name)
        if encode is None:
            return orjson.dumps(values, default=_json_value).decode()
        return orjson.dumps(values, default=encode, option=AS_THE_ENCODER_HAS_THEM).decode()


AS_THE_ENCODER_HAS_THEM = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS
"""Dates are the encoder's, who writes them in another way than orjson would."""


def _json_value(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{value!r} can't be stored in a row of the copy")


@cache
def column_types(model: type[models.Model]) -> Mapping[str, str]:
    """Return the model's columns, each with its type in PostgreSQL, without its primary key."""
    return {
        field.attname: str(field.db_type(connection))
        for field in model._meta.concrete_fields
        if not field.primary_key
    }


@cache
def _defaults(model: type[models.Model]) -> Mapping[str, Any]:
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    return {field.attname: field.get_default() for field in fields}


@cache
def _encoders(model: type[models.Model]) -> Mapping[str, Callable[[Any], Any]]:
    """Return the JSON columns that have an encoder of their own → what it makes of a value."""
    return {
        field.attname: field.encoder().default
        for field in model._meta.concrete_fields
        if isinstance(field, models.JSONField) and field.encoder
    }


def insert(
    model: type[models.Model], rows: Sequence[Row], *, returning: str = ""
) -> list[tuple[Any, ...]]:
    """Insert these rows in their order; what a row does not name has the model's default.

    ``returning``: columns whose values the result holds, one tuple for each row. Raises Django's
    IntegrityError where a row is there already; then none is written.
    """
    if not rows:
        return []
    defaults = _defaults(model)
    columns = ", ".join(f'"{name}"' for name in defaults)
    source = RowSource(model, defaults)
    statement = f"INSERT INTO {model._meta.db_table} ({columns}) SELECT {columns} FROM {source.sql}"
    statement += f" RETURNING {returning}" if returning else ""
    with connection.cursor() as cursor:
        cursor.execute(statement, source.parameters([{**defaults, **row} for row in rows]))
        return cursor.fetchall() if returning else []
