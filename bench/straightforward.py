"""The obvious way to copy orders: read each, read its lines, and update or create each row.

    python -m bench.straightforward < connection-and-ids.json

It is written as a competent developer writes it first: Django's ORM, the product's own tables, one
order after the other. Prints the seconds that the orders took.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import django

from bc_consumer.fields.field import Field
from bc_consumer.fields.kinds import NUMBERS, Kind
from bc_consumer.fields.table import TABLES
from bench.odoo_calls import LINE, ORDER, OdooCalls, connect, field_names


def main() -> None:
    """Copy the orders that standard input names."""
    told = json.load(sys.stdin)
    django.setup()
    account = (told[name] for name in ("transport", "url", "database", "login", "password"))
    odoo = connect(*account)
    names = {model: field_names(odoo, model) for model in (ORDER, LINE)}
    began = time.perf_counter()
    for number in told["ids"]:
        copy_order(odoo, names, number)
    print(time.perf_counter() - began)


def copy_order(odoo: OdooCalls, names: dict[str, dict[str, str]], number: int) -> None:
    """Copy one order and its lines."""
    from django.apps import apps

    orders: Any = apps.get_model("bc_consumer", "BC").objects
    lines: Any = apps.get_model("bc_consumer", "BCLine").objects
    [record] = odoo.call(ORDER, "read", [number], fields=list(names[ORDER].values()))
    values = columns(record, TABLES[ORDER].order, names[ORDER])
    order, _created = orders.update_or_create(odoo_id=number, defaults=values)
    numbers = record[names[ORDER]["order_line"]]
    for line in odoo.call(LINE, "read", numbers, fields=list(names[LINE].values())):
        values = columns(line, TABLES[ORDER].line, names[LINE])
        lines.update_or_create(odoo_id=line["id"], defaults={**values, "bc": order})
    lines.filter(bc=order).exclude(odoo_id__in=numbers).delete()


def columns(
    record: dict[str, Any], fields: tuple[Field, ...], names: dict[str, str]
) -> dict[str, Any]:
    """Return the columns' values of a record of Odoo."""
    values: dict[str, Any] = {}
    for field in fields:
        if field.is_relation or field.name not in names:
            continue
        value = record[names[field.name]]
        if field.kind is Kind.MANY2ONE:
            number, name = field.columns
            values[number], values[name] = value or (None, "")
        elif field.kind in {Kind.DATETIME, Kind.DATE}:
            values[field.name] = f"{value}+00:00" if value else None
        elif field.kind in {Kind.TEXT, Kind.HTML}:
            values[field.name] = value or ""
        elif field.kind in NUMBERS:
            values[field.name] = str(value or 0)
        else:
            values[field.name] = value
    return values


if __name__ == "__main__":
    main()
