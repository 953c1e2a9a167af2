"""The columns of the copy, each with the field it is made of.

A column means the same whatever orders are copied, so it has one kind; its label need not be one.
"""

from collections.abc import Iterable, Mapping

from bc_consumer.fields.field import Field
from bc_consumer.fields.table import TABLES

Columns = Mapping[str, Field]
"""Column → its field."""


def columns_of(fields: Iterable[Field]) -> Columns:
    """Give the columns of these fields."""
    return {column: field for field in fields for column in field.columns}


def _of_all(parts: Iterable[Iterable[Field]]) -> Columns:
    """Give the columns of all order models; the first that has one says what it is called."""
    found: dict[str, Field] = {}
    for fields in parts:
        found |= {name: field for name, field in columns_of(fields).items() if name not in found}
    return found


ORDER_COLUMNS = _of_all(table.order for table in TABLES.values())
LINE_COLUMNS = _of_all(table.line for table in TABLES.values())


def order_label(column: str) -> str:
    """Give the English label of a column of orders. Raises LookupError where the table lacks it."""
    return _label(ORDER_COLUMNS, column, "order")


def line_label(column: str) -> str:
    """Give the English label of a column of lines. Raises LookupError where the table lacks it."""
    return _label(LINE_COLUMNS, column, "line")


def _label(columns: Columns, column: str, part: str) -> str:
    if column not in columns:
        raise LookupError(
            f"bc_consumer/fields/table.py: no field of the {part} has column {column}"
        )
    return columns[column].label_of(column)
