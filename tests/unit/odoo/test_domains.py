"""Domains as configuration: what is none is told, and what is one is moved to the lines."""

from typing import Any

import pytest

from bc_consumer.odoo import OdooRefused, OdooSettings
from bc_consumer.odoo.domains import DomainError, check_domain, move_to_lines
from odoo_simulator import Simulator


@pytest.mark.parametrize(
    "domain",
    [
        [],
        [["state", "!=", "cancel"]],
        ["|", ["company_id", "in", [1, 2]], "&", ["x_a", "=", True], ["x_b", ">=", 1.5]],
        ["!", ["partner_id", "child_of", 7], ["tag_ids.name", "ilike", "fair"]],
        ["!", "!", ["name", "=like", "P%"]],
        [["order_line", "any", [["product_id", "=", 1]]]],
        [("state", "IN", ("draft", "sent"))],
    ],
)
def test_what_odoo_takes_is_taken(domain: list[Any]) -> None:
    check_domain(domain)


def test_it_is_sent_as_odoo_writes_it() -> None:
    given: list[Any] = [("state", "IN", ("draft", None)), ["date_order", "=", None]]
    assert check_domain(given) == (
        ("state", "in", ["draft", False]),
        ("date_order", "=", False),
    )


@pytest.mark.parametrize(
    ("domain", "told"),
    [
        ({}, "is not a list"),
        ("state", "is not a list"),
        ([["state", "="]], "not a term of three parts"),
        (["state", "=", "draft"], "'state' is not a term"),
        ([["state", "is", "draft"]], "'is' in .* is not an operator"),
        ([["state", "in", "draft"]], "takes a list"),
        ([["state", "=", ["draft"]]], "takes one value"),
        ([["State", "=", "draft"]], "not the name of a field"),
        ([[1, "=", 1]], "1 in .* is not the name of a field"),
        ([["state", "=", {"a": 1}]], "not a text, a number"),
        (["|", ["state", "=", "draft"]], "1 more"),
        (["&", "|", ["a", "=", 1]], "2 more"),
        (["!"], "1 more"),
        ([["order_line", "any", [["product_id"]]]], "three parts"),
    ],
)
def test_what_is_no_domain_is_told_why(domain: Any, told: str) -> None:
    with pytest.raises(DomainError, match=told):
        check_domain(domain)


def test_a_wrong_domain_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(OdooRefused, match="ODOO_DOMAIN is not a domain"):
        OdooSettings("https://odoo.example.com", "d", "l", "p", domain=["|"])


@pytest.mark.parametrize(
    ("name", "told"), [("partner_id.vat", "belongs to another record"), ("x-y", "technical name")]
)
def test_a_field_name_that_can_be_none_is_refused(name: str, told: str) -> None:
    with pytest.raises(OdooRefused, match=told):
        OdooSettings("https://odoo.example.com", "d", "l", "p", extra_line_fields=(name,))


def test_terms_lead_through_the_order_to_its_lines() -> None:
    domain = check_domain(["|", ["id", ">", 5], "!", ["partner_id.name", "ilike", "a"]])
    assert move_to_lines(domain) == (
        "|",
        ("order_id.id", ">", 5),
        "!",
        ("order_id.partner_id.name", "ilike", "a"),
    )


DOMAINS: list[list[Any]] = [
    [["state", "=", "purchase"]],
    [["state", "!=", "purchase"], ["partner_id", "in", [2, 3]]],
    ["|", ["partner_id", "=", 4], "&", ["state", "=", "purchase"], ["id", ">", 3]],
    ["!", "|", ["origin", "=", False], ["partner_id", "child_of", 2]],
    ["!", ["origin", "ilike", "b"]],
]


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_domain_of_lines_finds_the_lines_of_the_domain_s_orders(
    domain: list[Any], simulator: Simulator
) -> None:
    for number in range(12):
        simulator.create_order(
            partner_id=2 + number % 4,
            origin=(False, "A", "B")[number % 3],
            lines=[{"product_id": 1}] * (1 + number % 2),
        )
    simulator.confirm([1, 4, 7, 8])
    orders = simulator.reader.search("purchase.order", check_domain(domain))
    assert 0 < len(orders) < 12, "a domain that tells nothing apart tests nothing"
    lines = simulator.reader.search("purchase.order.line", move_to_lines(check_domain(domain)))
    expected = [line["id"] for i in orders for line in (simulator.order(i) or {})["order_line"]]
    assert sorted(lines) == sorted(expected)
