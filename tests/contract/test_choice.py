"""Which orders and which fields are copied: domain, companies, further fields, sales orders."""

from collections.abc import Iterator
from typing import Any

import pytest

from bc_consumer.mapping import map_order
from bc_consumer.odoo import Missing, NoRights, Odoo, OdooAccessError, OdooFault, OdooRefused
from bc_consumer.odoo.field_set import ATTRIBUTES, table_of
from tests.contract.target import GONE_ID, LINE, ORDER, PREFIX, Target, unique

SALE, SALE_LINE = "sale.order", "sale.order.line"
# Types that are copied, and how the copy writes what ``read`` gives.
PLAIN = frozenset({"char", "text", "html", "selection", "integer", "boolean"})
LINKS = frozenset({"many2one", "many2many"})
FURTHER = 25  # fields, of those this Odoo has


def test_a_domain_leaves_orders_out_and_says_so(target: Target) -> None:
    mark = unique()
    inside, outside = target.create(partner_ref=mark), target.create(partner_ref="other")
    odoo = target.gateway(domain=[("partner_ref", "=", mark)])
    fetched = odoo.fetch([inside, outside, GONE_ID])
    assert set(fetched.orders) == {inside}
    assert fetched.missing == {outside: Missing.OUTSIDE_DOMAIN, GONE_ID: Missing.GONE}
    target.write(outside, partner_ref=mark)
    assert set(odoo.fetch([inside, outside]).orders) == {inside, outside}


def test_a_domain_narrows_the_listing_of_orders_and_of_lines(target: Target) -> None:
    mark = unique()
    inside = target.create(target.line(), partner_ref=mark)
    target.create(target.line(), partner_ref="other")
    listing = target.gateway(domain=[("partner_ref", "=", mark)]).listing
    orders = listing.orders(since=None, after_id=0, limit=10)
    assert [row.id for row in orders] == [inside]
    lines = listing.lines(since=None, after_id=0, limit=10)
    assert [row.id for row in lines] == target.line_ids(inside)
    [bucket] = listing.order_buckets("day")
    assert (bucket.count, bucket.id_sum) == (1, inside)


def test_a_domain_that_odoo_cannot_take_is_refused(target: Target) -> None:
    odoo = target.gateway(domain=[("x_no_such_field", "=", 1)])
    with pytest.raises(OdooRefused, match="ODOO_DOMAIN"):
        odoo.fetch([target.create()])


def test_a_company_that_the_account_has_not_is_refused(target: Target) -> None:
    odoo = target.gateway(company_ids=(GONE_ID,))
    with pytest.raises(OdooRefused, match="ODOO_COMPANY_IDS"):
        odoo.fetch([target.create()])


def test_a_choice_of_companies_leaves_orders_out_and_says_so(target: Target) -> None:
    if target.simulator is not None and target.simulator.count("res.company") < 2:
        target.simulator.add_company("Another")
    here = target.create()
    company = target.read(here, "company_id")["company_id"][0]
    assert set(target.gateway(company_ids=(company,)).fetch([here]).orders) == {here}
    others = target.call("res.company", "search", [("id", "!=", company)], limit=1)
    if not others:
        pytest.skip("the account has one company only")
    row = {"partner_id": target.vendor, "company_id": others[0]}
    context = {"allowed_company_ids": others}
    try:
        there: int = target.call(ORDER, "create", row, context=context)
    except (OdooFault, NoRights) as refusal:
        pytest.skip(f"no order can be made in the other company: {refusal}")
    target.made.append(there)
    fetched = target.gateway(company_ids=(company,)).fetch([here, there])
    assert set(fetched.orders) == {here}
    assert fetched.missing == {there: Missing.OUTSIDE_COMPANIES}
    assert set(target.gateway(company_ids=(company, others[0])).fetch([there]).orders) == {there}


def further_fields(target: Target, model: str) -> dict[str, str]:
    """Some of the stored fields that the copy has no column for, and their types."""
    table = table_of(ORDER)
    columns = {"id", *(n for one in (*table.order, *table.line) for n in one.odoo_names)}
    found = target.call(model, "fields_get", attributes=ATTRIBUTES)
    wanted = {
        name: described["type"]
        for name, described in sorted(found.items())
        if described.get("store") and described["type"] in PLAIN | LINKS and name not in columns
    }
    return dict(list(wanted.items())[:FURTHER])


def test_further_fields_come_as_a_read_gives_them(target: Target) -> None:
    of_orders, of_lines = further_fields(target, ORDER), further_fields(target, LINE)
    odoo = target.gateway(extra_fields=tuple(of_orders), extra_line_fields=tuple(of_lines))
    order_id = target.create(target.line())
    [line_id] = target.line_ids(order_id)
    mapped = map_order(odoo.fetch([order_id]).orders[order_id])
    [line] = mapped.lines
    for model, record_id, types, told in (
        (ORDER, order_id, of_orders, mapped.extra.values),
        (LINE, line_id, of_lines, line.extra.values),
    ):
        [record] = target.call(model, "read", [record_id], fields=list(types))
        assert types.keys() <= told.keys()
        for name, kind in types.items():
            assert copied(kind, told[name]) == as_read(kind, record[name]), (model, name)


def copied(kind: str, value: Any) -> Any:
    """Give what can be compared of a copied value."""
    if kind == "many2one":
        return value["id"] if value else None
    return sorted(one["id"] for one in value) if kind == "many2many" else value


def as_read(kind: str, value: Any) -> Any:
    """Give the same of what ``read`` gave."""
    if kind == "many2one":
        return value[0] if value else None
    if kind == "many2many":
        return sorted(value)
    return None if value is False and kind in {"char", "text", "html", "selection"} else value


@pytest.fixture
def sales(target: Target) -> Iterator[list[int]]:
    """Sales orders of our own, ids; deleted after the test."""
    if not target.has_model(SALE):
        pytest.skip("no module sale there, or the account has no Sales rights")
    product, _unit = target.product
    taxes = "tax_ids" if target.major >= 19 else "tax_id"
    line = {"product_id": product, "name": "Sold", "product_uom_qty": 3, "price_unit": 12.35}
    row = {
        "partner_id": target.vendor,
        "client_order_ref": f"{PREFIX} {unique()}",
        "order_line": [
            (0, 0, {**line, taxes: [(6, 0, [])]}),
            (0, 0, {"display_type": "line_note", "name": "A note"}),
        ],
    }
    try:
        made: list[int] = target.call(SALE, "create", [row, row])
    except (OdooAccessError, NoRights) as refusal:
        pytest.skip(f"the account may not make sales orders: {refusal}")
    yield made
    target.call(SALE, "unlink", target.call(SALE, "search", [("id", "in", made)]))


def of_sales(target: Target, **changes: Any) -> Odoo:
    return target.gateway(order_model=SALE, **changes)


def test_sales_orders_come_as_a_read_gives_them(target: Target, sales: list[int]) -> None:
    fetched = of_sales(target).fetch([*sales, GONE_ID])
    assert fetched.missing == {GONE_ID: Missing.GONE}
    order_id = sales[0]
    mapped = map_order(fetched.orders[order_id])
    names = ["name", "state", "client_order_ref", "partner_id", "amount_untaxed", "order_line"]
    [record] = target.call(SALE, "read", [order_id], fields=names)
    assert mapped.fields["name"] == record["name"]
    assert mapped.fields["state"] == record["state"]
    assert mapped.fields["partner_ref"] == record["client_order_ref"]
    assert (mapped.fields["partner_id"], mapped.fields["partner_name"]) == tuple(
        record["partner_id"]
    )
    assert float(str(mapped.fields["amount_untaxed"])) == record["amount_untaxed"]
    assert [line.odoo_id for line in mapped.lines] == sorted(record["order_line"])
    sold, note = sorted(mapped.lines, key=lambda line: str(line.fields["display_type"]))
    assert (sold.fields["product_qty"], float(str(sold.fields["price_unit"]))) == (3, 12.35)
    assert (note.fields["display_type"], note.fields["name"]) == ("line_note", "A note")


def test_sales_orders_are_listed_with_their_lines(target: Target, sales: list[int]) -> None:
    listing = of_sales(target, domain=[("id", "in", sales)]).listing
    rows = listing.orders(since=None, after_id=0, limit=10)
    assert [row.id for row in rows] == sorted(sales)
    lines = listing.lines(since=None, after_id=0, limit=10)
    assert {row.order_id for row in lines} == set(sales)
    assert len(lines) == 4
    assert sum(bucket.count for bucket in listing.line_buckets("day")) == 4
    assert target.call(SALE_LINE, "search_count", [("order_id", "in", sales)]) == 4
