"""What read, search_read and web_search_read give, and what fetching makes of it."""

import re
from decimal import Decimal
from typing import Any

from bc_consumer.fields.table import PURCHASE_ORDER, PURCHASE_ORDER_LINE
from bc_consumer.odoo import Missing
from bc_consumer.odoo.field_set import ATTRIBUTES
from bc_consumer.refresh.mapping import map_order
from tests.contract.target import GONE_ID, LINE, ONE_CALL, ORDER, Target, fault_code_of, unique

SECONDS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def test_every_field_of_the_copy_exists_under_one_of_its_names(target: Target) -> None:
    for model, table in ((ORDER, PURCHASE_ORDER), (LINE, PURCHASE_ORDER_LINE)):
        names = [name for field in table for name in field.odoo_names]
        there = target.call(model, "fields_get", allfields=names, attributes=ATTRIBUTES)
        for field in table:
            present = [name for name in field.odoo_names if name in there]
            assert present or field.derive or not field.required, field
        assert set(there) <= set(names)
    target.odoo.fetch([target.create()])
    # Those of module purchase_stock may be absent.
    may_lack = {f"{ORDER}.receipt_status", f"{ORDER}.effective_date"}
    discount = set() if target.has_discounts else {f"{LINE}.discount"}
    assert discount <= set(target.odoo.absent_fields) <= may_lack | discount


def test_the_lines_model_and_the_digits_are_told(target: Target) -> None:
    there = target.call(
        ORDER, "fields_get", allfields=["order_line"], attributes=["type", "relation"]
    )
    assert there["order_line"]["relation"] == LINE
    there = target.call(LINE, "fields_get", allfields=["product_qty"], attributes=["digits"])
    assert there["product_qty"]["digits"][1] >= 0


def test_empty_is_false_and_a_many2one_a_pair(target: Target) -> None:
    order_id = target.create(target.line(product_qty=2))
    record = target.read(
        order_id, "partner_ref", "date_approve", "partner_id", "amount_total", "create_date"
    )
    assert record["partner_ref"] is False
    assert record["date_approve"] is False
    assert SECONDS.fullmatch(record["create_date"])
    partner_id, name = record["partner_id"]
    assert isinstance(partner_id, int)
    assert isinstance(name, str)
    assert isinstance(record["amount_total"], float)
    assert all(isinstance(line, int) for line in target.read(order_id, "order_line")["order_line"])


def test_deleted_orders_are_left_out_of_a_read(target: Target) -> None:
    live, gone = target.create(), target.create()
    target.remove([gone])
    assert target.call(ORDER, "read", [gone], fields=["write_date"]) == []
    there = target.call(ORDER, "read", [live, gone], fields=["write_date"])
    assert [record["id"] for record in there] == [live]
    assert target.call(ORDER, "search", [("id", "in", [live, gone, GONE_ID])]) == [live]


def test_a_deleted_order_faults_web_read_and_not_web_search_read(target: Target) -> None:
    target.needs(17, ONE_CALL)
    live, gone = target.create(target.line()), target.create()
    target.remove([gone])
    specification: dict[str, Any] = {"order_line": {"fields": {"name": {}}}}
    assert (
        fault_code_of(
            lambda: target.call(ORDER, "web_read", [live, gone], specification=specification)
        )
        == 2
    )
    found = target.call(
        ORDER,
        "web_search_read",
        domain=[("id", "in", [live, gone])],
        specification=specification,
        limit=3,
    )
    assert [record["id"] for record in found["records"]] == [live]


def test_one_call_gives_all_lines_however_many(target: Target) -> None:
    target.needs(17, ONE_CALL)
    order_id = target.create(*[target.line(name=f"n{number}") for number in range(120)])
    found = target.call(
        ORDER,
        "web_search_read",
        domain=[("id", "=", order_id)],
        specification={"name": {}, "order_line": {"fields": {"name": {}}}},
    )
    [record] = found["records"]
    assert {line["name"] for line in record["order_line"]} == {f"n{n}" for n in range(120)}


def test_a_many2one_s_name_comes_only_if_asked_for(target: Target) -> None:
    target.needs(17, ONE_CALL)
    order_id = target.create()
    found = target.call(
        ORDER,
        "web_search_read",
        domain=[("id", "=", order_id)],
        specification={
            "partner_id": {},
            "company_id": {"fields": {"display_name": {}}},
            "currency_id": {"fields": {"display_name": {}, "decimal_places": {}}},
            "payment_term_id": {"fields": {"display_name": {}}},
        },
    )
    [record] = found["records"]
    assert isinstance(record["partner_id"], int)
    assert record["company_id"].keys() == {"id", "display_name"}
    assert isinstance(record["currency_id"]["decimal_places"], int)
    assert record["payment_term_id"] is False or record["payment_term_id"]["id"]


def test_fetching_gives_what_reading_gives(target: Target) -> None:
    reference = unique()
    order_id = target.create(
        target.line(product_qty=3, price_unit=12.34, discount=10.0),
        target.line(display_type="line_section", name="A section"),
        target.line(display_type="line_note", name="A note"),
        partner_ref=reference,
        **{target.notes: "<p>Thanks</p>"},
    )
    fetched = target.odoo.fetch([order_id, GONE_ID])
    assert fetched.missing == {GONE_ID: Missing.GONE}
    mapped = map_order(fetched.orders[order_id])
    record = target.read(
        order_id, "name", "state", "amount_total", "partner_id", "write_date", "order_line"
    )
    assert mapped.fields["name"] == record["name"]
    assert mapped.fields["partner_ref"] == reference
    assert "Thanks" in str(mapped.fields["notes"])
    assert (mapped.fields["partner_id"], mapped.fields["partner_name"]) == tuple(
        record["partner_id"]
    )
    assert f"{mapped.fields['write_date']:%Y-%m-%d %H:%M:%S}" == record["write_date"]
    assert float(Decimal(str(mapped.fields["amount_total"]))) == record["amount_total"]
    assert [line.odoo_id for line in mapped.lines] == sorted(record["order_line"])
    kinds = {line.fields["name"]: line.fields["display_type"] for line in mapped.lines}
    assert kinds == {"A thing": "", "A section": "line_section", "A note": "line_note"}
    first = next(line.fields for line in mapped.lines if line.fields["name"] == "A thing")
    assert (first["product_qty"], first["price_unit"]) == (3, Decimal("12.34"))
    if target.has_discounts:
        assert first["discount"] == 10
    decimals = fetched.orders[order_id].currency_decimals
    subtotal = Decimal("33.318") if target.has_discounts else Decimal("37.02")
    assert first["price_subtotal"] == round(subtotal, decimals)


def test_both_ways_of_fetching_agree(target: Target) -> None:
    target.needs(17, ONE_CALL)
    ids = [target.create(target.line(), target.line(name="b", price_unit=0)) for _ in range(3)]
    one_call = target.odoo.fetch(ids).orders
    odoo = target.gateway()
    # As an Odoo before 17 would: the method is not there.
    odoo._orders._one_call_exists = False
    assert odoo.fetch(ids).orders == one_call
