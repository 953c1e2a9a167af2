"""Which of the wanted fields an Odoo has, by its own names."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bc_consumer.fields.kinds import Kind
from bc_consumer.odoo import MissingField, OdooProtocolError, UnfitField
from bc_consumer.odoo.field_set import WantedFields, load_field_set
from bc_consumer.refresh.mapping import (
    MAPPING_VERSION,
    VERSIONS,
    current_versions,
    mapping_version,
)
from odoo_simulator.model_fields import load_models
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
    field_set = load_field_set(WantedFields(ORDER), answering(fields_of(version)))
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
        load_field_set(WantedFields(ORDER), answering(fields))
    assert caught.value.fields == ("product_qty", "price_unit")


def test_an_odoo_without_the_optional_fields_is_good_enough() -> None:
    fields = fields_of(17)
    for name in ("receipt_status", "effective_date"):
        del fields[ORDER][name]
    field_set = load_field_set(WantedFields(ORDER), answering(fields))
    assert field_set.absent == (f"{ORDER}.receipt_status", f"{ORDER}.effective_date")


@pytest.mark.parametrize("digits", [False, None, [16], [16, None], "16,2"])
def test_digits_that_are_none_are_left_out(digits: Any) -> None:
    fields = fields_of(17)
    fields[LINE]["product_qty"] = {"type": "float", "digits": digits}
    digits_known = load_field_set(WantedFields(ORDER), answering(fields)).line.digits
    assert "product_qty" not in digits_known
    assert digits_known["price_unit"] == 2


@pytest.mark.parametrize("answer", [None, [], "fields", {"name": "char"}])
def test_an_answer_that_lists_no_fields_is_a_protocol_error(answer: Any) -> None:
    with pytest.raises(OdooProtocolError):
        load_field_set(WantedFields(ORDER), lambda _model, _names: answer)


def test_lines_without_a_model_are_a_protocol_error() -> None:
    fields = fields_of(17)
    fields[ORDER]["order_line"] = {"type": "one2many"}
    with pytest.raises(OdooProtocolError, match="lines"):
        load_field_set(WantedFields(ORDER), answering(fields))


@pytest.mark.parametrize("version", [17, 18, 19])
def test_all_fields_of_sales_are_there_by_the_names_of_each_version(version: int) -> None:
    models = load_models(version)
    fields = {
        model: {name: field.described() for name, field in models[model].fields.items()}
        for model in ("sale.order", "sale.order.line")
    }
    field_set = load_field_set(WantedFields("sale.order"), answering(fields))
    assert field_set.absent == ()
    assert field_set.order.odoo_name("partner_ref") == "client_order_ref"
    assert field_set.order.odoo_name("locked") == "locked"
    assert field_set.line.odoo_name("product_qty") == "product_uom_qty"
    assert field_set.line.odoo_name("taxes") == ("tax_ids" if version == 19 else "tax_id")
    assert field_set.line.relations["taxes"] == "account.tax"


def test_configured_fields_have_the_kind_that_odoo_tells() -> None:
    fields = fields_of(18)
    fields[ORDER]["x_date"] = {"type": "date"}
    fields[ORDER]["x_own"] = {"type": "monetary", "currency_field": "x_currency_id"}
    fields[ORDER]["x_cost"] = {"type": "monetary", "currency_field": "currency_id"}
    fields[ORDER]["x_terms_id"] = {"type": "many2one", "relation": "account.incoterms"}
    fields[LINE]["x_packages"] = {"type": "float"}
    names = ("x_date", "x_own", "x_cost", "x_terms_id", "priority", "id")
    wanted = WantedFields(ORDER, extra_fields=names, extra_line_fields=("x_packages",))
    field_set = load_field_set(wanted, answering(fields))
    kinds = {field.name: field.kind for field, _name in field_set.order.present if field.extra}
    assert kinds == {
        "x_date": Kind.DATE,
        "x_own": Kind.NUMBER,
        "x_cost": Kind.MONEY,
        "x_terms_id": Kind.MANY2ONE,
    }, "what has a column is not copied twice"
    assert field_set.chosen == (
        f"{ORDER}.x_cost", f"{ORDER}.x_date", f"{ORDER}.x_own", f"{ORDER}.x_terms_id",
        f"{LINE}.x_packages",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"), [("message_ids", "one2many"), ("tax_totals", "binary"), ("x_json", "json")]
)
def test_a_configured_field_that_cannot_be_copied_is_refused(name: str, kind: str) -> None:
    fields = fields_of(17)
    fields[ORDER]["x_json"] = {"type": "json"}
    with pytest.raises(UnfitField, match=f"{ORDER}.{name} is of type {kind}") as caught:
        load_field_set(WantedFields(ORDER, (name,)), answering(fields))
    assert (caught.value.model, caught.value.field) == (ORDER, name)


def test_rule_13_each_choice_of_fields_makes_rows_of_its_own_version() -> None:
    fields = fields_of(17)
    for name in ("x_one", "x_two"):
        fields[ORDER][name] = {"type": "char"}

    def versions(*names: str, lacking: tuple[str, ...] = ()) -> tuple[int, frozenset[int]]:
        there = {name: shown for name, shown in fields[ORDER].items() if name not in lacking}
        field_set = load_field_set(WantedFields(ORDER, names), answering({**fields, ORDER: there}))
        return mapping_version(field_set.fingerprint), current_versions(field_set)

    plain, _ = versions()
    one, _ = versions("x_one")
    both, _ = versions("x_one", "x_two")
    assert versions("x_two", "x_one")[0] == both
    lacking, current = versions("x_one", "x_two", lacking=("x_two",))
    without, _ = versions(lacking=("origin",))
    assert len({plain, one, both, lacking, without}) == 5
    assert plain % VERSIONS == MAPPING_VERSION
    assert max(one, both, lacking, without) < 2**31
    assert current == {both, lacking}, "rows made while nothing lacked need not be read again"
