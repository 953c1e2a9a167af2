"""Domains, orders, pages, groups, and what deleted or forbidden ids do."""

from __future__ import annotations

from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.simulator.conftest import LINES, Caller


@pytest.fixture
def five(odoo: Simulator) -> list[int]:
    """Orders P00001 to P00005 of partners 2 to 6, references A to E, the last without one."""
    orders = [
        odoo.create_order(partner_id=2 + position, partner_ref=reference, lines=LINES[:1])
        for position, reference in enumerate(["Alpha", "Beta", "gamma", "Delta", False])
    ]
    odoo.confirm(orders[1])
    odoo.update_sql("purchase.order", orders[2], {"priority": "1"})
    return orders


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ([], [1, 2, 3, 4, 5]),
        ([["id", "in", [1, 3, 99]]], [1, 3]),
        ([["id", "not in", [1, 3]]], [2, 4, 5]),
        ([["id", ">", 2], ["id", "<=", 4]], [3, 4]),
        ([["state", "=", "purchase"]], [2]),
        ([["state", "!=", "purchase"]], [1, 3, 4, 5]),
        ([["partner_ref", "=", False]], [5]),
        ([["partner_ref", "!=", False]], [1, 2, 3, 4]),
        ([["partner_ref", "!=", "Alpha"]], [2, 3, 4, 5]),
        ([["partner_ref", "ilike", "TA"]], [2, 4]),
        ([["partner_ref", "like", "ta"]], [2, 4]),
        ([["partner_ref", "=like", "%a"]], [1, 2, 3, 4]),
        ([["partner_ref", "not ilike", "ta"]], [1, 3, 5]),
        ([["partner_ref", "in", ["Alpha", False]]], [1, 5]),
        (["|", ["id", "=", 1], ["partner_ref", "=", "Beta"]], [1, 2]),
        (["!", ["id", "=", 1]], [2, 3, 4, 5]),
        (["&", ["id", ">", 1], "|", ["id", "=", 2], ["id", "=", 5]], [2, 5]),
        (["!", "|", ["id", "=", 1], ["id", "=", 2], ["id", "<", 5]], [3, 4]),
        ([["partner_id", "=", 3]], [2]),
        ([["partner_id", "in", [3, 4]]], [2, 3]),
        ([["partner_id.ref", "=", "S004"]], [3]),
        ([["partner_id", "ilike", "papeterie"]], [2]),
        ([["order_line.product_id", "=", 1]], [1, 2, 3, 4, 5]),
        ([["order_line", "!=", False]], [1, 2, 3, 4, 5]),
        ([["amount_total", ">", 1000]], []),
        ([["date_approve", "<", "2100-01-01 00:00:00"]], [2]),
        ([[1, "=", 1]], [1, 2, 3, 4, 5]),
    ],
)
def test_domains(call: Caller, five: list[int], domain: list[Any], expected: list[int]) -> None:
    assert call.order("search", domain, order="id") == expected
    assert call.order("search_count", domain) == len(expected)


def test_orders_limits_and_offsets(call: Caller, five: list[int]) -> None:
    assert call.order("search", []) == [3, 5, 4, 2, 1]  # priority desc, id desc
    assert call.order("search", [], order="partner_ref desc, id") == [5, 3, 4, 2, 1]
    assert call.order("search", [], order="write_date, id", limit=2, offset=1) == [3, 4]
    assert call.order("search", [], order="id desc", limit=2) == [5, 4]
    answer = call.order("web_search_read", [], {"name": {}}, limit=2, order="id")
    assert answer["length"] == 5
    assert [record["name"] for record in answer["records"]] == ["P00001", "P00002"]


def test_write_date_is_compared_as_this_version_does(odoo: Simulator, call: Caller) -> None:
    order = odoo.create_order()
    odoo.update_sql("purchase.order", order, {"write_date": "2026-01-02 03:04:05.678901"})
    second = "2026-01-02 03:04:05"
    found = {
        operator: bool(call.order("search", [["write_date", operator, second]]))
        for operator in ("=", "<", "<=", ">", ">=")
    }
    if odoo.version == 19:
        assert found == {"=": True, "<": False, "<=": True, ">": False, ">=": True}
        assert (
            call.fault(
                "purchase.order", "search", [["write_date", ">", "2026-01-02T03:04:05Z"]]
            ).faultCode
            == 1
        )
    else:
        assert found == {"=": False, "<": False, "<=": False, ">": True, ">=": True}
        for exact in ("2026-01-02 03:04:05.678901", "2026-01-02T03:04:05.678901Z"):
            assert call.order("search", [["write_date", "=", exact]]) == [order]


def test_paging_by_date_never_ends_or_skips(odoo: Simulator, call: Caller) -> None:
    """Twelve orders of one transaction, pages of five, a keyset on (write_date, id)."""
    call.order("create", [{"partner_id": 2} for _ in range(12)])
    seen: list[int] = []
    last: tuple[str, int] = ("2000-01-01 00:00:00", 0)
    for _page in range(6):
        domain = [
            "|",
            ["write_date", ">", last[0]],
            "&",
            ["write_date", "=", last[0]],
            ["id", ">", last[1]],
        ]
        page = call.order("search_read", domain, ["write_date"], limit=5, order="write_date, id")
        if not page:
            break
        seen += [record["id"] for record in page]
        last = (page[-1]["write_date"], page[-1]["id"])
    if odoo.version == 19:
        assert len(seen) == 12 or sorted(set(seen)) != seen
    else:
        assert len(seen) > len(set(seen))  # the same second, over and over


def test_deleted_ids(odoo: Simulator, call: Caller) -> None:
    live, gone = odoo.create_order(lines=LINES), odoo.create_order()
    odoo.delete_order(gone)
    nested: dict[str, Any] = {"name": {}, "order_line": {"fields": {"name": {}}}}
    assert call.order("read", [gone], ["name"]) == []
    assert [record["id"] for record in call.order("read", [live, gone], ["name"])] == [live]
    assert call.order("web_read", [gone], nested) == []
    assert [record["id"] for record in call.order("web_read", [live, gone], {"name": {}})] == [live]
    assert call.fault("purchase.order", "web_read", [live, gone], nested).faultCode == 2
    assert call.order("web_read", [gone], {"id": {}}) == [{"id": gone}]
    answer = call.order("web_search_read", [["id", "in", [live, gone]]], nested)
    assert [record["id"] for record in answer["records"]] == [live]


def test_forbidden_ids(odoo: Simulator, call: Caller) -> None:
    mine, hidden = odoo.create_order(), odoo.create_order()
    odoo.faults.forbid([hidden])
    assert call.fault("purchase.order", "read", [mine, hidden], ["name"]).faultCode == 4
    assert call.fault("purchase.order", "web_read", [mine, hidden], {"name": {}}).faultCode == 4
    answer = call.order("web_search_read", [["id", "in", [mine, hidden]]], {"name": {}})
    assert [record["id"] for record in answer["records"]] == [mine]
    assert call.order("search_count", []) == 1
    odoo.faults.clear()
    assert call.order("search_count", []) == 2


def test_all_lines_come_unless_a_limit_is_asked_for(odoo17: Simulator) -> None:
    order = odoo17.create_order(lines=[{"product_id": 1} for _ in range(120)])
    call = Caller(odoo17)
    lines: dict[str, Any] = {"fields": {"name": {}}}
    record = call.order("web_read", [order], {"order_line": lines})[0]
    assert all("name" in line for line in record["order_line"])
    assert len(record["order_line"]) == 120
    record = call.order("web_read", [order], {"order_line": {**lines, "limit": 40}})[0]
    assert [len(line) for line in record["order_line"]] == [2] * 40 + [1] * 80


def test_lines_come_by_sequence(odoo17: Simulator) -> None:
    order = odoo17.create_order(lines=[{"product_id": 1, "sequence": n} for n in (30, 10, 20)])
    assert Caller(odoo17).order("read", [order], ["order_line"])[0]["order_line"] == [2, 3, 1]


def test_read_group_by_day(odoo: Simulator, call: Caller) -> None:
    ids = odoo.bulk_create(300, 2, spread_days=3)
    counted = call.order(
        "read_group",
        [["write_date", ">=", "2026-01-01 00:00:00"]],
        ["id:count", "newest:max(write_date)"],
        ["write_date:day"],
        lazy=False,
        context={"tz": "UTC"},
    )
    assert sum(group["__count"] for group in counted) == 300
    for group in counted:
        bounds = group["__range"]["write_date:day"]
        domain = [["write_date", ">=", bounds["from"]], ["write_date", "<", bounds["to"]]]
        assert call.order("search_count", domain) == group["__count"] == group["id"]
        assert call.order("search_count", group["__domain"]) == group["__count"]
        assert bounds["from"] <= group["newest"] < bounds["to"]
    summed = call.order("read_group", [], ["id:sum"], [], lazy=False)
    assert summed[0]["id"] == sum(ids)
    lazy = call.order("read_group", [], ["id"], ["write_date:month"])
    assert sum(group["write_date_count"] for group in lazy) == 300


def test_groups_of_a_changed_bulk_are_those_of_its_rows(odoo17: Simulator) -> None:
    call = Caller(odoo17)
    odoo17.bulk_create(400, 1, spread_days=4)
    odoo17.delete_order([1, 50, 51, 399])
    odoo17.write_order([60, 400], partner_ref="x")
    odoo17.create_order()
    rows = call.order("search_read", [["id", "<", 399]], ["write_date"])
    expected: dict[str, list[int]] = {}
    for row in rows:
        expected.setdefault(row["write_date"][:10], []).append(row["id"])
    groups = call.order(
        "read_group",
        [["id", "<", 399]],
        ["id:sum", "low:min(id)", "high:max(id)", "mean:avg(id)", "newest:max(write_date)"],
        ["write_date:day"],
        lazy=False,
    )
    assert [group["__count"] for group in groups] == [
        len(expected[day]) for day in sorted(expected)
    ]
    for group, day in zip(groups, sorted(expected), strict=True):
        ids = expected[day]
        assert group["__range"]["write_date:day"]["from"] == f"{day} 00:00:00"
        assert group["id"] == sum(ids)
        assert (group["low"], group["high"]) == (min(ids), max(ids))
        assert group["mean"] == pytest.approx(sum(ids) / len(ids))
        assert group["newest"] == max(row["write_date"] for row in rows if row["id"] in ids)
    by_state = call.order("read_group", [], ["id:count"], ["state"], lazy=False)
    for group in by_state:
        assert call.order("search_count", group["__domain"]) == group["__count"]


def test_formatted_read_group_is_19s(odoo: Simulator, call: Caller) -> None:
    odoo.bulk_create(100, 1, spread_days=2)
    args: dict[str, Any] = {"groupby": ["write_date:day"], "aggregates": ["__count", "id:sum"]}
    if odoo.version < 19:
        assert call.fault("purchase.order", "formatted_read_group", [], **args).faultCode == 1
        return
    groups = call.order("formatted_read_group", [], **args)
    assert sum(group["__count"] for group in groups) == 100
    assert sum(group["id:sum"] for group in groups) == 5050
    for group in groups:
        assert len(group["write_date:day"]) == 2
        assert call.order("search_count", group["__extra_domain"]) == group["__count"]


def test_lines_are_searched_too(odoo17: Simulator) -> None:
    orders = [odoo17.create_order(lines=LINES) for _ in range(3)]
    call = Caller(odoo17)
    domain = [["order_id", "in", orders[:2]]]
    records = call.line("search_read", domain, ["order_id", "write_date"], order="id")
    assert [record["order_id"] for record in records] == [
        [1, "P00001"],
        [1, "P00001"],
        [2, "P00002"],
        [2, "P00002"],
    ]
    odoo17.write_order(1, partner_ref="X")
    assert call.line("read", [1], ["order_id"])[0]["order_id"] == [1, "P00001 (X)"]


def test_custom_fields(odoo: Simulator, call: Caller) -> None:
    odoo.add_field("purchase.order", "x_project", "char", string="Project")
    odoo.add_field("purchase.order", "x_budget", "monetary")
    odoo.add_field("purchase.order", "x_partner", "many2one", relation="res.partner")
    order = odoo.create_order(x_project="North", x_budget=10.005, x_partner=3)
    names = ["x_project", "x_budget", "x_partner"]
    assert call.order("read", [order], names) == [
        {
            "id": order,
            "x_project": "North",
            "x_budget": 10.01,
            "x_partner": [3, odoo.display_name("res.partner", 3)],
        }
    ]
    assert call.order("search", [["x_project", "ilike", "nor"]]) == [order]
    assert call.order("fields_get", ["x_project"])["x_project"]["string"] == "Project"
    domain = [["model", "=", "purchase.order"], ["name", "=", "x_project"]]
    assert call("ir.model.fields", "search_count", domain) == 1


def test_records_without_a_date_make_a_group_of_their_own(odoo: Simulator, call: Caller) -> None:
    number = odoo.create_order()
    with odoo.store.lock:
        table = odoo.store.tables["purchase.order"]
        table.set(number, {**(table.get(number) or {}), "write_date": False})
    day = {"groupby": ["write_date:day"]}
    [row] = call.order("read_group", domain=[], fields=["id:count"], lazy=False, **day)
    assert (row["write_date:day"], row["__count"]) == (False, 1)
    assert row["__range"] == {"write_date:day": False}
    if odoo.version >= 19:
        [row] = call.order("formatted_read_group", domain=[], aggregates=["__count"], **day)
        assert (row["write_date:day"], row["__count"]) == (False, 1)


def test_an_empty_database_has_no_groups(odoo17: Simulator) -> None:
    odoo17.create_order()
    odoo17.faults.empty()
    asked = {"domain": [], "fields": ["id:count"], "groupby": ["write_date:day"], "lazy": False}
    assert Caller(odoo17).order("read_group", **asked) == []


def test_a_contact_has_its_company_s_name_before_its_own(odoo17: Simulator) -> None:
    contact = odoo17.create("res.partner", {"name": "Store", "parent_id": 1})
    [record] = Caller(odoo17)("res.partner", "read", [contact], fields=["display_name"])
    assert record["display_name"] == "Comptoir du Bureau, Store"


def test_archived_records_are_left_out_unless_asked_for(odoo: Simulator, call: Caller) -> None:
    odoo.write("res.partner", [3], {"active": False})
    asked = [("id", "in", [2, 3])]
    assert call("res.partner", "search", asked) == [2]
    assert call("res.partner", "search_count", asked) == 1
    assert call("res.partner", "search", [*asked, ("active", "in", [True, False])]) == [2, 3]
    assert call("res.partner", "search", asked, context={"active_test": False}) == [2, 3]
    assert [row["id"] for row in call("res.partner", "read", [2, 3], ["name"])] == [2, 3]
