"""Several companies: who sees which orders, and what is refused."""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Iterator
from typing import Any

import pytest

from odoo_simulator import Simulator

ORDER, LINE = "purchase.order", "purchase.order.line"


class Account:
    """Calls as one account."""

    def __init__(self, odoo: Simulator, login: str, password: str) -> None:
        self.password = password
        self.server = xmlrpc.client.ServerProxy(f"{odoo.url}/xmlrpc/2/object")
        with xmlrpc.client.ServerProxy(f"{odoo.url}/xmlrpc/2/common") as common:
            self.uid = common.authenticate("odoo", login, password, {})

    def __call__(self, model: str, method: str, *args: Any, **kwargs: Any) -> Any:
        execute: Any = self.server.execute_kw
        return execute("odoo", self.uid, self.password, model, method, list(args), kwargs)


@pytest.fixture
def odoo() -> Iterator[Simulator]:
    with Simulator(18) as started:
        yield started


def test_an_account_sees_the_orders_of_its_companies(odoo: Simulator) -> None:
    second, third = odoo.add_company("Second"), odoo.add_company("Third")
    ids = [odoo.create_order(lines=[{}], company_id=one) for one in (1, second, third)]
    odoo.add_user("two", "pw", [1, second])
    everybody, two = Account(odoo, "admin", "admin"), Account(odoo, "two", "pw")
    assert everybody(ORDER, "search", [], order="id") == ids
    assert two(ORDER, "search", [], order="id") == ids[:2]
    assert two(ORDER, "search_count", []) == 2
    assert len(two(LINE, "search", [])) == 2
    only = {"allowed_company_ids": [second]}
    assert two(ORDER, "search", [], context=only) == [ids[1]]
    [group] = two(
        ORDER, "read_group", [], ["id:count"], ["write_date:day"], lazy=False, context=only
    )
    assert group["__count"] == 1
    answer = two(ORDER, "web_search_read", [["id", "in", ids]], {"name": {}}, context=only)
    assert [record["id"] for record in answer["records"]] == [ids[1]]


def test_another_company_s_order_faults_the_whole_read(odoo: Simulator) -> None:
    second = odoo.add_company("Second")
    ids = [odoo.create_order(company_id=one) for one in (1, second)]
    odoo.add_user("one", "pw", [1])
    one = Account(odoo, "one", "pw")
    for method, arguments in (("read", [ids, ["name"]]), ("write", [[ids[1]], {"origin": "x"}])):
        with pytest.raises(xmlrpc.client.Fault) as caught:
            one(ORDER, method, *arguments)
        assert caught.value.faultCode == 4
    assert one(ORDER, "read", [ids[0], 999], ["name"])[0]["id"] == ids[0]


def test_a_company_that_the_account_has_not_is_refused(odoo: Simulator) -> None:
    odoo.create_order()
    admin = Account(odoo, "admin", "admin")
    with pytest.raises(xmlrpc.client.Fault) as caught:
        admin(ORDER, "search", [], context={"allowed_company_ids": [1, 7]})
    assert caught.value.faultCode == 4
    assert caught.value.faultString.strip() == "Access to unauthorized or invalid companies."


def test_companies_are_taken_from_an_account(odoo: Simulator) -> None:
    second = odoo.add_company("Second")
    order_id = odoo.create_order(company_id=second)
    admin = Account(odoo, "admin", "admin")
    assert admin(ORDER, "search", []) == [order_id]
    odoo.set_companies(2, [1])
    assert admin(ORDER, "search", []) == []
    assert odoo.order_ids() == [order_id], "the simulator's own verbs see everything"


def test_records_below_another_are_found(odoo: Simulator) -> None:
    child = odoo.create("res.partner", {"name": "Agency", "parent_id": 3})
    ids = [odoo.create_order(partner) for partner in (3, child, 4)]
    admin = Account(odoo, "admin", "admin")
    found = admin(ORDER, "search", [["partner_id", "child_of", [3]]], order="id")
    assert found == ids[:2]
    assert admin(ORDER, "search", [["partner_id", "parent_of", child]], order="id") == ids[:2]
    assert admin("res.partner", "search", [["id", "child_of", child]]) == [child]


def test_a_field_comes_and_goes(odoo: Simulator) -> None:
    odoo.add_field(ORDER, "x_due", "date")
    order_id = odoo.create_order(x_due="2030-01-31")
    admin = Account(odoo, "admin", "admin")
    assert admin(ORDER, "read", [order_id], ["x_due"])[0]["x_due"] == "2030-01-31"
    assert admin("ir.model.fields", "search_count", [["name", "=", "x_due"]]) == 1
    odoo.remove_field(ORDER, "x_due")
    assert "x_due" not in admin(ORDER, "fields_get")
    assert admin("ir.model.fields", "search_count", [["name", "=", "x_due"]]) == 0
    with pytest.raises(xmlrpc.client.Fault, match="Invalid field"):
        admin(ORDER, "read", [order_id], ["x_due"])


@pytest.mark.parametrize("version", [17, 18, 19])
def test_a_sale_is_confirmed_and_delivered(version: int) -> None:
    with Simulator(version, order_model="sale.order") as odoo:
        order_id = odoo.create_order(lines=[{"product_id": 1, "product_qty": 4}], partner_ref="C")
        odoo.confirm(order_id)
        order = odoo.order(order_id)
        assert order is not None
        assert (order["state"], order["delivery_status"]) == ("sale", "pending")
        assert (order["client_order_ref"], order["partner_shipping_id"]) == ("C", 2)
        [line] = order["order_line"]
        odoo.receive(order_id, {line["id"]: 1.0})
        order = odoo.order(order_id)
        assert order is not None
        assert order["delivery_status"] == "partial"
        assert order["order_line"][0]["qty_delivered"] == 1.0
        odoo.receive(order_id)
        order = odoo.order(order_id)
        assert order is not None
        assert order["delivery_status"] == "full"
