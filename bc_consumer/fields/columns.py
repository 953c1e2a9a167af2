"""The columns of the copy, each with its field.

A column has the same meaning and kind whichever order model is copied; its label may differ.
"""

from collections.abc import Iterable, Mapping

from bc_consumer.fields.field import Field
from bc_consumer.fields.table import TABLES

Columns = Mapping[str, Field]
"""Maps a column to its field."""


def columns_of(fields: Iterable[Field]) -> Columns:
    """Return the columns of these fields."""
    return {column: field for field in fields for column in field.columns}


def _of_all(parts: Iterable[Iterable[Field]]) -> Columns:
    """Return the columns of all order models; the first model that has a column sets its label."""
    found: dict[str, Field] = {}
    for fields in parts:
        found |= {name: field for name, field in columns_of(fields).items() if name not in found}
    return found


ORDER_COLUMNS = _of_all(table.order for table in TABLES.values())
LINE_COLUMNS = _of_all(table.line for table in TABLES.values())


def order_label(column: str) -> str:
    """Return the English label of an order's column. Raises LookupError if the table lacks it."""
    return _label(ORDER_COLUMNS, column, "order")


def line_label(column: str) -> str:
    """Return the English label of a line's column. Raises LookupError if the table lacks it."""
    return _label(LINE_COLUMNS, column, "line")


def _label(columns: Columns, column: str, part: str) -> str:
    if column not in columns:
        raise LookupError(
            f"bc_consumer/fields/table.py: no field of the {part} has column {column}"
        )
    return columns[column].label_of(column)
