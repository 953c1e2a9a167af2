"""The one table of copied fields, and what has to follow it; a failure names the file and line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.db import models

from bc_consumer.console import column_layout
from bc_consumer.core.decimal_field import ExactDecimalField
from bc_consumer.fields.columns import LINE_COLUMNS, ORDER_COLUMNS, Columns, columns_of
from bc_consumer.fields.field import Field
from bc_consumer.fields.kinds import NUMBERS, Kind
from bc_consumer.fields.table import TABLES
from bc_consumer.models import BC, BCLine
from bc_consumer.odoo.field_set import FIRST_TABLES, _table_mark
from tests.unit.odoo.serving import CAPTURES
from tools import field_tables

ROOT = Path(__file__).resolve().parents[2]
TABLE, MODELS = "bc_consumer/fields/table.py", "bc_consumer/models/orders.py"
LAYOUT = "bc_consumer/console/column_layout.py"
OWN = field_tables.OWN | {"id", "archived_reason"}
COLUMN_TYPES: dict[Kind, type[Any]] = {
    **dict.fromkeys((Kind.TEXT, Kind.HTML), models.TextField),
    **dict.fromkeys(NUMBERS, ExactDecimalField),
    Kind.BOOLEAN: models.BooleanField,
    Kind.INTEGER: models.BigIntegerField,
    Kind.DATE: models.DateField,
    Kind.DATETIME: models.DateTimeField,
    Kind.MANY2MANY: models.JSONField,
}
PARTS: tuple[tuple[type[models.Model], Columns], ...] = (
    (BC, ORDER_COLUMNS),
    (BCLine, LINE_COLUMNS),
)
ALL = [
    (model, field)
    for name, table in TABLES.items()
    for model, fields in ((name, table.order), (table.line_model, table.line))
    for field in fields
]


def at(file: str, text: str) -> str:
    """Return «file:line» of the first line with this text, or the file where none has it."""
    lines = (ROOT / file).read_text().splitlines()
    found = (number for number, line in enumerate(lines, 1) if text in line)
    number = next(found, 0)
    return f"{file}:{number}" if number else file


def declared(field: Field) -> str:
    return at(TABLE, f'"{field.name}"')


def written(column: str) -> str:
    return at(MODELS, f"    {column} =")


def placed(name: str) -> str:
    return at(LAYOUT, f'"{name}"')


def type_of(field: Field, column: str) -> type[Any]:
    if field.kind is not Kind.MANY2ONE:
        return COLUMN_TYPES[field.kind]
    return models.BigIntegerField if column == field.columns[0] else models.TextField


def test_the_copy_has_the_columns_of_the_table_and_its_own() -> None:
    problems = []
    for model, columns in PARTS:
        there = {field.name: field for field in model._meta.concrete_fields}
        for name in columns.keys() - there.keys():
            place = declared(columns[name])
            problems.append(f"{place}: {MODELS} has no column {model.__name__}.{name}")
        problems += [
            f"{written(name)}: {TABLE} has no field for this column"
            for name in there.keys() - columns.keys() - OWN
        ]
        for name in columns.keys() & there.keys():
            wanted = type_of(columns[name], name)
            if type(there[name]) is not wanted:
                problems.append(f"{written(name)}: should be a {wanted.__name__}")
            if str(there[name].verbose_name) != columns[name].label_of(name):
                problems.append(f"{written(name)}: takes its label from elsewhere")
    assert not problems, "\n".join(problems)


def test_every_field_tells_what_its_kind_needs() -> None:
    problems = []
    for model, field in ALL:
        place = f"{declared(field)}: {model}.{field.name}"
        if field.columns and not field.label:
            problems.append(f"{place} has no label")
        if field.columns and field.kind is Kind.MANY2ONE and not (field.id_label and field.model):
            problems.append(f"{place} has no label of its id, or no model")
        if field.kind is Kind.MANY2MANY and field.columns and not field.model:
            problems.append(f"{place} has no model")
        if field.kind is not Kind.MANY2ONE and field.name.endswith("_name"):
            problems.append(f"{place}: columns ending in _name hold names of related records")
        if field.renamed_in and len(field.odoo_names) < 2:
            problems.append(f"{place} is renamed to nothing")
    assert not problems, "\n".join(problems)


def test_a_column_is_of_one_kind_whatever_orders_are_copied() -> None:
    for model, field in ALL:
        common = LINE_COLUMNS if model.endswith(".line") else ORDER_COLUMNS
        for column in field.columns:
            assert common[column].kind is field.kind, f"{declared(field)}: {column}"


@cache
def captured(version: int) -> dict[str, dict[str, Any]]:
    fields: dict[str, dict[str, Any]] = json.loads(
        (CAPTURES / f"{version}_fields_get.json").read_text()
    )
    return fields


@pytest.mark.parametrize("version", [17, 18, 19])
def test_real_odoos_have_the_fields_by_these_names_and_of_these_types(version: int) -> None:
    problems = []
    for model, field in ALL:
        described = captured(version).get(model, {})
        name = next((one for one in field.odoo_names if one in described), None)
        if name is None:
            continue  # of an app that was not there; what must be is required
        place = f"{declared(field)}: {model}.{name} in Odoo {version}"
        shown = described[name]
        if field.renamed_in and name != field.name_in(version):
            problems.append(f"{place}, where {field.name_in(version)} is told")
        if field.model and shown.get("relation") != field.model:
            problems.append(f"{place} leads to {shown.get('relation')}")
        if shown["type"] not in odoo_types(field):
            problems.append(f"{place} is a {shown['type']}, not of kind {field.kind.value}")
    assert not problems, "\n".join(problems)


def odoo_types(field: Field) -> set[str]:
    if field.kind in NUMBERS:
        return {"float", "monetary"}
    if field.kind in {Kind.TEXT, Kind.HTML}:
        return {"char", "text", "html", "selection"}
    return {"one2many" if field.kind is Kind.LINES else field.kind.value}


def test_the_documents_tables_are_up_to_date() -> None:
    for file, made in field_tables.documents().items():
        text = file.read_text(encoding="utf-8")
        pairs = zip(text.splitlines(), made.splitlines(), strict=False)
        stale = next((n for n, (old, new) in enumerate(pairs, 1) if old != new), 0)
        place = f"{file.relative_to(ROOT)}:{stale}"
        assert made == text, f"{place} does not follow {TABLE}: run tools/messages"


def test_the_layout_names_columns_that_there_are() -> None:
    order, line = set(ORDER_COLUMNS), set(LINE_COLUMNS)
    places: tuple[tuple[Iterable[str], set[str]], ...] = (
        (column_layout.ORDER_PAGE, order | {"synced_at"}),
        (column_layout.ELSEWHERE_ON_ORDER_PAGE | column_layout.NOT_ON_ORDER_PAGE, order),
        (column_layout.IN_LINES | column_layout.NOT_IN_LINES, line),
        (column_layout.ADMIN_ORDER, order | {"odoo_link", "page_link"}),
        (column_layout.ADMIN_DATES, order),
        (column_layout.ADMIN_AMOUNTS, order),
        (column_layout.ADMIN_IDS, order | {"odoo_id", "mapping_version", "extra_shown"}),
        (column_layout.ADMIN_LINES, line | {"odoo_id"}),
        (column_layout.NOT_IN_ADMIN_LINES, line),
    )
    problems = [
        f"{placed(name)}: {name} is no column"
        for names, known in places
        for name in names
        if name.removesuffix("_label") not in known
    ]
    assert not problems, "\n".join(problems)


def test_each_table_makes_rows_of_its_own_version() -> None:
    """The first release's rows say nothing of their table; each other table has them read again."""
    for table in TABLES.values():
        fewer = type(table)(table.order[:-1], table.line_model, table.line)
        assert _table_mark(fewer)
        assert _table_mark(fewer) != _table_mark(table)
    assert len(FIRST_TABLES) == 2


def test_columns_are_found_by_their_names() -> None:
    table = TABLES["purchase.order"]
    assert columns_of(table.line)["product_uom_name"].model == "uom.uom"
    assert "order_line" not in columns_of(table.order)
