"""What a choice of orders and fields relies on: domains through lines, companies, sales, types."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from bc_consumer.fields.columns import LINE_COLUMNS, ORDER_COLUMNS
from bc_consumer.fields.table import SALE_ORDER, SALE_ORDER_LINE
from bc_consumer.odoo import Missing, NoRights, OdooAccessError, OdooRefused
from bc_consumer.odoo.field_set import ATTRIBUTES
from bc_consumer.refresh.mapping import map_order
from tests.contract.target import GONE_ID, LINE, ORDER, Target, unique

SALE, SALE_LINE = "sale.order", "sale.order.line"


def test_a_domain_narrows_orders_and_lines_and_tells_what_is_outside(target: Target) -> None:
    mark = unique()
    inside = target.create(target.line(), target.line(display_type="line_note"), origin=mark)
    outside = target.create(target.line(), origin=unique())
    domain: list[Any] = ["|", ["origin", "=", mark], "&", ["origin", "=", mark], ["id", "<", 0]]
    odoo = target.gateway(domain=domain)
    try:
        fetched = odoo.fetch([inside, outside, GONE_ID])
        assert fetched.orders.keys() == {inside}
        assert fetched.missing == {outside: Missing.OUTSIDE_DOMAIN, GONE_ID: Missing.GONE}
        assert odoo.listing.existing([inside, outside]) == {inside}
        lines = odoo.listing.lines(since=None, after_id=0, limit=50)
        assert [line.id for line in lines] == target.line_ids(inside)
        assert {line.order_id for line in lines} == {inside}
        buckets = odoo.listing.line_buckets("month")
        assert sum(bucket.count for bucket in buckets) == 2
        target.write(inside, origin="moved")
        assert odoo.fetch([inside]).missing == {inside: Missing.OUTSIDE_DOMAIN}
    finally:
        odoo.close()


def test_a_negated_domain_leaves_the_same_lines_as_orders(target: Target) -> None:
    mark, other = unique(), unique()
    ids = [target.create(target.line(), origin=one) for one in (mark, other)]
    bare = target.create(target.line())
    theirs = [["id", "in", [*ids, bare]]]
    for domain, expected in (
        ([*theirs, "!", ["origin", "=", mark]], [ids[1], bare]),
        ([*theirs, ["origin", "!=", mark]], [ids[1], bare]),
        ([*theirs, "!", ["origin", "!=", False]], [bare]),
    ):
        odoo = target.gateway(domain=domain)
        listed = odoo.listing.lines(since=None, after_id=0, limit=50)
        assert sorted({line.order_id or 0 for line in listed}) == sorted(expected), domain
        assert odoo.listing.existing([*ids, bare]) == set(expected), domain
        odoo.close()


def test_a_domain_of_an_unknown_field_is_refused(target: Target) -> None:
    order_id = target.create(target.line())
    odoo = target.gateway(domain=[["x_there_is_none", "=", 1]])
    with pytest.raises(OdooRefused, match="ODOO_DOMAIN"):
        odoo.fetch([order_id])
    odoo.close()


def test_a_company_that_the_account_has_not_is_refused(target: Target) -> None:
    order_id = target.create(target.line())
    odoo = target.gateway(company_ids=(GONE_ID,))
    with pytest.raises(OdooRefused, match="ODOO_COMPANY_IDS"):
        odoo.fetch([order_id])
    odoo.close()


def test_the_account_s_own_company_shows_its_orders(target: Target) -> None:
    order_id = target.create(target.line())
    company = target.read(order_id, "company_id")["company_id"][0]
    odoo = target.gateway(company_ids=(company,))
    assert odoo.fetch([order_id]).orders.keys() == {order_id}
    assert odoo.listing.existing([order_id]) == {order_id}
    odoo.close()


def test_amounts_tell_their_currency(target: Target) -> None:
    there = target.call(ORDER, "fields_get", allfields=["amount_total"], attributes=ATTRIBUTES)
    assert there["amount_total"]["currency_field"] == "currency_id"


def test_extra_fields_of_many_types_are_read_in_one_call(target: Target) -> None:
    names = ("incoterm_location", "fiscal_position_id", "mail_reminder_confirmed", "currency_rate")
    line_names = ("product_uom_qty", "company_id", "propagate_cancel", "move_dest_ids")
    there = [
        # 16 has move_dest_ids as one2many, which is not for copying. What has a column is no extra.
        {
            name
            for name, told in target.odoo.fields_of(model).items()
            if told["type"] != "one2many" and name not in columns
        }
        for model, columns in ((ORDER, ORDER_COLUMNS), (LINE, LINE_COLUMNS))
    ]
    odoo = target.gateway(
        extra_fields=tuple(name for name in names if name in there[0]),
        extra_line_fields=tuple(name for name in line_names if name in there[1]),
    )
    place = {"incoterm_location": "FCA"} if "incoterm_location" in there[0] else {}  # of inventory
    order_id = target.create(target.line(product_qty=2), **place)
    mapped = map_order(odoo.fetch([order_id]).orders[order_id])
    extra = mapped.extra.values
    assert extra.items() >= place.items()
    position = extra["fiscal_position_id"]  # Odoo may find one for our vendor
    assert position is None or isinstance(position, dict)
    assert isinstance(extra["currency_rate"], str)
    line = mapped.lines[0].extra.values
    assert float(str(line["product_uom_qty"])) == 2.0
    company = line["company_id"]
    assert isinstance(company, dict)
    assert isinstance(company["id"], int)
    assert company["name"]
    odoo.close()


@pytest.fixture
def sale(target: Target) -> Iterator[tuple[int, str]]:
    """A sale of two lines and a note, and its customer's reference; skips where it can't be."""
    if not target.has_model(SALE):
        pytest.skip("this Odoo has no sales, or the account may not read them")
    product, _unit = target.product
    mark = unique()
    lines = [
        (0, 0, {"product_id": product, "product_uom_qty": 2, "price_unit": 10.0, "name": "A"}),
        (0, 0, {"product_id": product, "product_uom_qty": 1.5, "price_unit": 3.25, "name": "B"}),
        (0, 0, {"display_type": "line_note", "name": "A remark"}),
    ]
    values = {"partner_id": target.vendor, "order_line": lines, "client_order_ref": mark}
    try:
        order_id: int = target.call(SALE, "create", values)
    except (NoRights, OdooAccessError):
        pytest.skip("the account may not create sales")
    yield order_id, mark
    if target.call(SALE, "search", [("id", "=", order_id)]):
        target.call(SALE, "unlink", [order_id])


@pytest.mark.usefixtures("sale")
def test_every_field_of_a_sale_exists_under_one_of_its_names(target: Target) -> None:
    for model, table in ((SALE, SALE_ORDER), (SALE_LINE, SALE_ORDER_LINE)):
        there = target.call(model, "fields_get", attributes=ATTRIBUTES)
        for field in table:
            present = [name for name in field.odoo_names if name in there]
            assert present or field.derive or not field.required, field


def test_a_sale_is_fetched_with_its_lines_and_what_only_sales_have(
    target: Target, sale: tuple[int, str]
) -> None:
    order_id, mark = sale
    odoo = target.gateway(order_model=SALE, domain=[["client_order_ref", "=", mark]])
    try:
        mapped = map_order(odoo.fetch([order_id]).orders[order_id])
        assert mapped.fields["partner_ref"] == mark
        assert mapped.fields["state"] == "draft"
        assert "receipt_status" not in mapped.fields
        assert {"team_id", "commitment_date", "validity_date"} <= mapped.extra.values.keys()
        first, second, note = mapped.lines
        assert [line.fields["product_qty"] for line in (first, second)] == [2, Decimal("1.5")]
        assert Decimal(str(first.extra.values["qty_delivered"])) == 0
        assert note.fields["display_type"] == "line_note"
        [bucket] = odoo.listing.order_buckets("day")
        assert (bucket.count, bucket.id_sum) == (1, order_id)
        target.call(SALE, "write", [order_id], {"client_order_ref": "other"})
        assert odoo.fetch([order_id]).missing == {order_id: Missing.OUTSIDE_DOMAIN}
        target.call(SALE, "unlink", [order_id])
        assert odoo.fetch([order_id]).missing == {order_id: Missing.GONE}
    finally:
        odoo.close()
