"""Fields that the copy has no column for, whichever a database has: copied as a read gives them."""

from typing import Any

from bc_consumer.fields.table import PURCHASE_ORDER, PURCHASE_ORDER_LINE
from bc_consumer.odoo.field_set import ATTRIBUTES
from bc_consumer.refresh.mapping import map_order
from tests.contract.target import LINE, ORDER, Target

COLUMNS = {name for one in (*PURCHASE_ORDER, *PURCHASE_ORDER_LINE) for name in one.odoo_names}
TEXTS = frozenset({"char", "text", "html", "selection"})
TYPES = TEXTS | {"integer", "boolean", "many2one", "many2many"}
FEW = 25  # fields, by name


def of(target: Target, model: str) -> dict[str, str]:
    """Some of the stored fields of a model that have no column, and their types."""
    found = target.call(model, "fields_get", attributes=ATTRIBUTES)
    wanted = {
        name: described["type"]
        for name, described in sorted(found.items())
        if described.get("store")
        and described["type"] in TYPES
        and name not in COLUMNS
        and name != "id"
    }
    return dict(list(wanted.items())[:FEW])


def test_whatever_fields_there_are_come_as_a_read_gives_them(target: Target) -> None:
    orders, lines = of(target, ORDER), of(target, LINE)
    odoo = target.gateway(extra_fields=tuple(orders), extra_line_fields=tuple(lines))
    order_id = target.create(target.line())
    [line_id] = target.line_ids(order_id)
    mapped = map_order(odoo.fetch([order_id]).orders[order_id])
    [line] = mapped.lines
    for model, record_id, types, told in (
        (ORDER, order_id, orders, mapped.extra.values),
        (LINE, line_id, lines, line.extra.values),
    ):
        [record] = target.call(model, "read", [record_id], fields=list(types))
        assert types.keys() <= told.keys()
        for name, kind in types.items():
            assert copied(kind, told[name]) == read(kind, record[name]), (model, name)
    odoo.close()


def copied(kind: str, value: Any) -> Any:
    """What can be compared of a copied value."""
    if kind == "many2one":
        return value["id"] if value else None
    return sorted(one["id"] for one in value) if kind == "many2many" else value


def read(kind: str, value: Any) -> Any:
    """The same of what ``read`` gave."""
    if kind == "many2one":
        return value[0] if value else None
    if kind == "many2many":
        return sorted(value)
    return None if value is False and kind in TEXTS else value
