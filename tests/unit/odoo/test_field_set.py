"""Which of the wanted fields an Odoo has, by its own names."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bc_consumer.odoo import MissingField, OdooProtocolError
from bc_consumer.odoo.field_set import Wanted, load_field_set
from tests.unit.odoo.serving import CAPTURES

ORDER, LINE = "purchase.order", "purchase.order.line"


def fields_of(version: int) -> dict[str, dict[str, Any]]:
    fields: dict[str, dict[str, Any]] = json.loads(
        (CAPTURES / f"{version}_fields_get.json").read_text()
    )
    return fields


def answering(fields: Mapping[str, Mapping[str, Any]]) -> Any:
    def fields_get(model: str, names: Sequence[str]) -> dict[str, Any]:
        return {name: fields[model][name] for name in names if name in fields[model]}

    return fields_get


@pytest.mark.parametrize(
    ("version", "notes", "unit", "taxes"),
    [
        (17, "notes", "product_uom", "taxes_id"),
        (18, "notes", "product_uom", "taxes_id"),
        (19, "note", "product_uom_id", "tax_ids"),
    ],
)
def test_renamed_fields_are_found(version: int, notes: str, unit: str, taxes: str) -> None:
    field_set = load_field_set(Wanted(ORDER), answering(fields_of(version)))
    assert field_set.absent == ()
    assert field_set.order.odoo_name("notes") == notes
    assert field_set.line.odoo_name("product_uom") == unit
    assert field_set.line.odoo_name("taxes") == taxes
    assert field_set.order.odoo_name("locked") == ("locked" if version == 19 else None)
    assert field_set.line.model == LINE


def test_all_required_fields_that_lack_are_named_at_once() -> None:
    fields = fields_of(17)
    del fields[LINE]["price_unit"], fields[LINE]["product_qty"], fields[LINE]["discount"]
    with pytest.raises(MissingField, match="product_qty, price_unit") as caught:
        load_field_set(Wanted(ORDER), answering(fields))
    assert caught.value.fields == ("product_qty", "price_unit")


def test_an_odoo_without_the_optional_fields_is_good_enough() -> None:
    fields = fields_of(17)
    for name in ("receipt_status", "effective_date"):
        del fields[ORDER][name]
    field_set = load_field_set(Wanted(ORDER), answering(fields))
    assert field_set.absent == (f"{ORDER}.receipt_status", f"{ORDER}.effective_date")


@pytest.mark.parametrize("digits", [False, None, [16], [16, None], "16,2"])
def test_digits_that_are_none_are_left_out(digits: Any) -> None:
    fields = fields_of(17)
    fields[LINE]["product_qty"] = {"type": "float", "digits": digits}
    digits_known = load_field_set(Wanted(ORDER), answering(fields)).line.digits
    assert "product_qty" not in digits_known
    assert digits_known["price_unit"] == 2


@pytest.mark.parametrize("answer", [None, [], "fields", {"name": "char"}])
def test_an_answer_that_lists_no_fields_is_a_protocol_error(answer: Any) -> None:
    with pytest.raises(OdooProtocolError):
        load_field_set(Wanted(ORDER), lambda _model, _names: answer)


def test_lines_without_a_model_are_a_protocol_error() -> None:
    fields = fields_of(17)
    fields[ORDER]["order_line"] = {"type": "one2many"}
    with pytest.raises(OdooProtocolError, match="lines"):
        load_field_set(Wanted(ORDER), answering(fields))
