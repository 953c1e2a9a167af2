"""Odoo's answers → snapshots, whether orders came in one call or in two.

Both ways lead through ``build_order``, so that they give equal snapshots.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.fields.kinds import Kind
from bc_consumer.odoo.errors import OdooFault, OdooProtocolError
from bc_consumer.odoo.field_set import FieldSet, ModelFields
from bc_consumer.odoo.records import LineSnapshot, OrderSnapshot

NAMED: dict[str, Any] = {"fields": {"display_name": {}}}
CURRENCY: dict[str, Any] = {"fields": {"display_name": {}, "decimal_places": {}}}

Record = Mapping[str, Any]


def specification(field_set: FieldSet) -> dict[str, Any]:
    """Give the specification for ``web_search_read``: orders with lines and names."""
    wanted = _flat_specification(field_set.order)
    wanted[str(field_set.order.odoo_name("currency_id"))] = CURRENCY
    lines_name = str(field_set.order.odoo_name("order_line"))
    wanted[lines_name] = {"fields": _flat_specification(field_set.line)}
    return wanted


def _flat_specification(fields: ModelFields) -> dict[str, Any]:
    named = {Kind.MANY2ONE, Kind.MANY2MANY}
    return {name: NAMED if field.kind in named else {} for field, name in fields.present}


def build_order(record: Record, field_set: FieldSet) -> OrderSnapshot:
    """Make a snapshot of an order's record with nested lines, currency and names.

    Raises OdooProtocolError if the record lacks something that was asked for.
    """
    order_id = record_id(record)
    lines_name = str(field_set.order.odoo_name("order_line"))
    values = _values(record, field_set.order)
    lines = [_build_line(line, field_set.line) for line in records(record.get(lines_name))]
    currency = record.get(str(field_set.order.odoo_name("currency_id")))
    decimals = currency.get("decimal_places") if isinstance(currency, dict) else None
    return OrderSnapshot(
        id=order_id,
        values=values,
        lines=tuple(sorted(lines, key=lambda line: line.id)),
        fields=field_set,
        currency_decimals=decimals if isinstance(decimals, int) else None,
    )


def _build_line(record: Record, fields: ModelFields) -> LineSnapshot:
    return LineSnapshot(id=record_id(record), values=_values(record, fields))


def _values(record: Record, fields: ModelFields) -> dict[str, object]:
    values: dict[str, object] = {}
    for field, odoo_name in fields.present:
        if odoo_name not in record:
            raise OdooProtocolError(
                _(
                    "Odoo left %(odoo_name)s of %(model)s %(record)s out of its answer",
                    odoo_name=odoo_name,
                    model=fields.model,
                    record=record_id(record),
                )
            )
        if field.kind is Kind.MANY2ONE:
            values[field.name] = _named(record[odoo_name])
        elif field.kind is Kind.MANY2MANY:
            related = [_named(other) for other in records(record[odoo_name])]
            values[field.name] = sorted(related, key=record_id)
        elif field.kind is not Kind.LINES:
            values[field.name] = record[odoo_name]
    for field in fields.absent:
        if field.derive is not None:
            values[field.name] = field.derive(values)
    return values


def _named(value: Any) -> Any:
    """Give ``{"id", "display_name"}`` of a nested record or of ``[id, name]``; False is kept."""
    if isinstance(value, dict) and "id" in value:
        return {"id": value["id"], "display_name": value.get("display_name", False)}
    if isinstance(value, list) and len(value) == 2:
        return {"id": value[0], "display_name": value[1]}
    return value


def records(value: Any) -> Sequence[Record]:
    """Check that Odoo gave a list of records. Raises OdooFault for None, else OdooProtocolError."""
    if value is None:
        # XML-RPC can't carry None, and an answer that holds one anywhere is lost as a whole.
        raise OdooFault(_("Odoo's answer holds an empty value that it can't send"), code=1)
    if isinstance(value, list) and all(isinstance(record, dict) for record in value):
        return value
    raise OdooProtocolError(_("Odoo gave something else than a list of records"))


def record_id(record: Record) -> int:
    """Give the record's id. Raises OdooProtocolError if it has none."""
    number = record.get("id")
    if isinstance(number, int) and not isinstance(number, bool) and number > 0:
        return number
    raise OdooProtocolError(_("Odoo gave a record whose id is %(number)s", number=repr(number)))
