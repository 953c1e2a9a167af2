"""Sends many rows to PostgreSQL as one parameter, and inserts them by one statement.

Django's ``bulk_create`` compiles SQL value by value, which takes longer than the database needs to
store the rows. Here a statement is the same whatever it carries: its rows travel as one JSON text,
which ``json_to_recordset`` turns into rows of the columns' own types. SQLite stores numbers as
doubles and parses their texts less exactly than Python does, so it keeps ``bulk_create``.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models

Row = Mapping[str, Any]
"""Column → value, as the model's attributes hold it."""


def is_possible() -> bool:
    """Return whether the configured database can take rows like this."""
    return connection.vendor == "postgresql"


def json_parameter(rows: Sequence[Row]) -> str:
    """Return the parameter for a row source: these rows as JSON."""
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"), default=_json_value)


def _json_value(value: object) -> object:
    if isinstance(value, Decimal | datetime):
        return str(value)
    return DjangoJSONEncoder().default(value)


def row_source(model: type[models.Model], columns: Iterable[str], **further: str) -> str:
    """Return a row source ``item(…)`` of one parameter, which :func:`json_parameter` makes.

    ``further``: columns that the model lacks, each with its type.
    """
    types = column_types(model)
    typed = {**{name: types[name] for name in columns}, **further}
    listed = ", ".join(f'"{name}" {type_}' for name, type_ in typed.items())
    return f"json_to_recordset(%s::json) AS item({listed})"


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
def _encoders(model: type[models.Model]) -> Mapping[str, type[json.JSONEncoder]]:
    """Return the JSON columns that have an encoder of their own: they travel as texts."""
    return {
        field.attname: field.encoder
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
    defaults, encoders = _defaults(model), _encoders(model)
    complete = [{**defaults, **row} for row in rows]
    for name, encoder in encoders.items():
        for row in complete:
            row[name] = json.dumps(row[name], cls=encoder)
    source = row_source(
        model,
        [name for name in defaults if name not in encoders],
        **dict.fromkeys(encoders, "text"),
    )
    columns = ", ".join(f'"{name}"' for name in defaults)
    values = ", ".join(f'"{name}"::jsonb' if name in encoders else f'"{name}"' for name in defaults)
    statement = f"INSERT INTO {model._meta.db_table} ({columns}) SELECT {values} FROM {source}"
    statement += f" RETURNING {returning}" if returning else ""
    with connection.cursor() as cursor:
        cursor.execute(statement, [json_parameter(complete)])
        return cursor.fetchall() if returning else []
