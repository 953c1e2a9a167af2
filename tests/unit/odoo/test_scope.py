"""Which orders are ours: what is left out is told apart, and what Odoo can't take is refused."""

from typing import Any

import pytest

from bc_consumer.odoo import Missing, OdooFault, OdooRefused, OdooUnavailable
from odoo_simulator import Simulator
from tests.unit.odoo.serving import gateway

PURCHASE, SALE = "purchase.order", "sale.order"
ONE_CALL = "web_search_read"


@pytest.mark.parametrize("one_call", [True, False], ids=["one call", "two reads"])
def test_rule_10_each_order_that_is_not_ours_is_told_why(
    one_call: bool, each_version: Simulator
) -> None:
    simulator = each_version
    if not one_call:
        simulator.faults.hide_method(ONE_CALL)
    company = simulator.add_company("Other")
    ours, draft, theirs, hidden, both = (simulator.create_order(lines=[{}]) for _ in range(5))
    simulator.confirm([ours, theirs, hidden])
    simulator.write_order([theirs, both], company_id=company)
    simulator.faults.forbid([hidden])
    odoo = gateway(simulator, domain=[["state", "=", "purchase"]], company_ids=(1,))
    fetched = odoo.fetch([ours, draft, theirs, hidden, both, 999])
    assert fetched.orders.keys() == {ours}
    assert fetched.missing == {
        draft: Missing.OUTSIDE_DOMAIN,
        theirs: Missing.OUTSIDE_COMPANIES,
        both: Missing.OUTSIDE_COMPANIES,
        hidden: Missing.FORBIDDEN,
        999: Missing.GONE,
    }


def test_without_a_choice_nothing_more_is_asked(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=[{}])
    gateway(simulator).fetch([order_id, 999])
    methods = [call.method for call in simulator.calls if call.model == PURCHASE]
    assert methods == ["fields_get", ONE_CALL, "read"]


def test_an_order_that_comes_in_between_two_calls_is_read_again(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=[{}])
    odoo = gateway(simulator, domain=[["state", "=", "purchase"]])
    odoo.field_set()
    changes = iter([None, lambda: simulator.confirm(order_id)])

    def after_each_read(_model: str, _method: str) -> None:
        change = next(changes, None)
        if change is not None:
            change()

    simulator.faults.between_calls(after_each_read)
    fetched = odoo.fetch([order_id])
    assert fetched.orders.keys() == {order_id}


def test_all_companies_of_the_account_are_seen_unless_some_are_chosen(
    each_version: Simulator,
) -> None:
    company = each_version.add_company("Other")
    ids = [each_version.create_order(company_id=one) for one in (1, company)]
    everybody, second = gateway(each_version), gateway(each_version, company_ids=(company,))
    assert everybody.listing.existing(ids) == set(ids)
    assert second.listing.existing(ids) == {ids[1]}
    assert second.listing.any_order()
    assert everybody.listing.count_orders(after_id=0) == 2
    assert second.listing.count_orders(after_id=0) == 1
    [listed] = second.listing.orders(since=None, after_id=0, limit=10)
    assert listed.id == ids[1]
    [bucket] = second.listing.order_buckets("day")
    assert (bucket.count, bucket.id_sum) == (1, ids[1])


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"company_ids": (1, 9)}, "may not see all of ODOO_COMPANY_IDS 1, 9"),
        ({"domain": [["x_no", "=", 1]]}, "by ODOO_DOMAIN .*x_no"),
        ({"domain": [["x_no", "=", 1]], "company_ids": (1,)}, "by ODOO_DOMAIN .*x_no"),
    ],
)
def test_what_odoo_cannot_take_is_refused_and_names_the_setting(
    choice: dict[str, Any], told: str, each_version: Simulator
) -> None:
    order_id = each_version.create_order(lines=[{}])
    odoo = gateway(each_version, **choice)
    for attempt in (lambda: odoo.fetch([order_id]), odoo.ping, odoo.field_set):
        with pytest.raises(OdooRefused, match=told):
            attempt()


def test_an_odoo_that_cannot_search_at_all_is_away_not_misconfigured(simulator: Simulator) -> None:
    odoo = gateway(simulator, domain=[["state", "=", "purchase"]])
    odoo.ping()
    simulator.faults.fault_all(1, "psycopg2.OperationalError: out of memory")
    with pytest.raises(OdooUnavailable, match="The problem is Odoo"):
        odoo.ping()


@pytest.mark.parametrize("one_call", [True, False], ids=["one call", "two reads"])
def test_both_ways_give_equal_snapshots_of_sales_with_extra_fields(
    one_call: bool, each_version: Simulator
) -> None:
    simulator = each_version
    simulator.order_model = SALE
    simulator.add_field("sale.order.line", "x_partners", "many2many", relation="res.partner")
    order_id = simulator.create_order(
        lines=[{"product_id": 1, "x_partners": [(6, 0, [5, 3])]}, {"product_id": 2}],
        tag_ids=[(6, 0, [2, 1])],
        client_order_ref="C-1",
        validity_date="2030-01-31",
    )
    if not one_call:
        simulator.faults.hide_method(ONE_CALL)
    odoo = gateway(
        simulator,
        order_model=SALE,
        extra_fields=("tag_ids", "validity_date"),
        extra_line_fields=("x_partners",),
    )
    snapshot = odoo.fetch([order_id]).orders[order_id]
    assert snapshot.values["partner_ref"] == "C-1"
    assert snapshot.values["validity_date"] == "2030-01-31"
    assert snapshot.values["tag_ids"] == [
        {"id": 1, "display_name": "Urgent"},
        {"id": 2, "display_name": "Trade fair"},
    ]
    first, second = snapshot.lines
    names = [simulator.display_name("res.partner", i) for i in (3, 5)]
    assert first.values["x_partners"] == [
        {"id": 3, "display_name": names[0]},
        {"id": 5, "display_name": names[1]},
    ]
    assert second.values["x_partners"] == []
    assert first.values["product_qty"] == 1.0
    assert "order_line" not in snapshot.values


def test_a_many2many_whose_records_may_not_be_read_is_left_out(simulator: Simulator) -> None:
    simulator.add_field(PURCHASE, "x_tags", "many2many", relation="crm.tag")
    order_id = simulator.create_order(lines=[{}], x_tags=[(6, 0, [1])])
    simulator.faults.deny_model("crm.tag")
    odoo = gateway(simulator, extra_fields=("x_tags", "incoterm_location"))
    snapshot = odoo.fetch([order_id]).orders[order_id]
    assert "x_tags" not in snapshot.values
    assert "incoterm_location" in snapshot.values
    assert odoo.absent_fields == ("purchase.order.x_tags",)


def test_what_odoo_has_is_asked_anew_after_a_while(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = simulator.create_order(lines=[{}])
    odoo = gateway(simulator, extra_fields=("x_new",))
    odoo.fetch([order_id])
    simulator.add_field(PURCHASE, "x_new", "char")
    assert "x_new" not in odoo.fetch([order_id]).orders[order_id].values
    monkeypatch.setattr("bc_consumer.odoo.orders.FIELDS_SECONDS", -1.0)
    assert "x_new" in odoo.fetch([order_id]).orders[order_id].values


def test_a_domain_that_breaks_one_call_fails_that_call_alone(simulator: Simulator) -> None:
    """A fault of one call, while the control call passes, stays a fault."""
    order_id = simulator.create_order(lines=[{}])
    odoo = gateway(simulator, domain=[["state", "=", "draft"]])
    odoo.field_set()
    simulator.faults.poison(order_id)
    with pytest.raises(OdooFault):
        odoo.fetch([order_id])
    odoo.ping()
