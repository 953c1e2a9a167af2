"""Which automation rules the copy needs, and how those that Odoo has differ from them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bc_consumer.odoo.wanted_rules import (
    Comparison,
    FoundAction,
    FoundRule,
    RuleSettings,
    WantedRule,
    compare_rules,
    wanted_rules,
)
from bc_consumer.odoo.webhook_url import compose_webhook_url, mask_url, parse_webhook_url
from tests.unit.odoo.serving import CAPTURES

ORDER, LINE = "purchase.order", "purchase.order.line"
ENDPOINT = "https://copy.example.com/odoo/webhook/"
SETTINGS = RuleSettings(ENDPOINT, "a-secret", "bc-consumer", ORDER)


def stored(version: int) -> dict[str, set[str]]:
    """The stored fields of a real Odoo."""
    fields = json.loads((CAPTURES / f"{version}_fields_get.json").read_text())
    return {
        model: {name for name, field in fields[model].items() if field["store"]}
        for model in (ORDER, LINE)
    }


def wanted(version: int = 17, settings: RuleSettings = SETTINGS) -> tuple[WantedRule, ...]:
    return wanted_rules(settings, stored(version))


def kept(one: WantedRule, number: int, url: str = "", **changes: Any) -> FoundRule:
    """A wanted rule as Odoo would keep it, with some things changed."""
    action = FoundAction(100 + number, number, url or one.url, changes.pop("sent", one.sent))
    values: Mapping[str, Any] = {
        "name": one.name,
        "active": True,
        "model": one.model,
        "trigger": one.trigger,
        "watched": one.watched,
        "conditions": (),
        "actions": (action,),
        "action_ids": (action.id,),
    }
    return FoundRule(id=number, **{**values, **changes})


def laid_beside(*rules: FoundRule, settings: RuleSettings = SETTINGS) -> Comparison:
    actions = [action for rule in rules for action in rule.actions]
    return compare_rules(settings, wanted(settings=settings), rules, actions)


def installed() -> list[FoundRule]:
    return [kept(one, number) for number, one in enumerate(wanted(), 1)]


def flaws(comparison: Comparison) -> list[set[str]]:
    return [{flaw.value for flaw in one.flaws} for one in comparison.rules]


# --- what is wanted -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [17, 18, 19])
def test_only_stored_fields_that_this_odoo_has_are_watched(version: int) -> None:
    has = stored(version)
    for rule in wanted(version):
        assert rule.watched <= has[rule.model]
        assert bool(rule.watched) == (rule.event == "changed")
    order, _deleted, line, _line_deleted = wanted(version)
    renamed = ("note", "product_uom_id", "tax_ids") if version == 19 else ("notes", "product_uom")
    assert set(renamed) <= order.watched | line.watched
    # What users change by hand in a line without its order being touched (measured).
    assert {"name", "sequence", "date_planned", "qty_received", "price_unit"} <= line.watched


@pytest.mark.parametrize("version", [17, 18, 19])
def test_what_never_fires_or_only_follows_is_not_watched(version: int) -> None:
    for rule in wanted(version):
        assert rule.watched.isdisjoint({"write_date", "order_line", "price_subtotal", "amount_tax"})
    assert "state" not in wanted(version)[2].watched
    assert "amount_total" in wanted(version)[0].watched


def test_extra_fields_are_watched_where_they_are_stored() -> None:
    settings = RuleSettings(
        ENDPOINT, "a-secret", "bc-consumer", ORDER, ("incoterm_id", "mail_activity_x"), ("x_lot",)
    )
    has = stored(17)
    has[LINE].add("x_lot")
    order, _deleted, line, _line_deleted = wanted_rules(settings, has)
    assert "incoterm_id" in order.watched
    assert "mail_activity_x" not in order.watched
    assert "x_lot" in line.watched


def test_a_line_s_webhook_carries_its_order_and_each_address_its_event() -> None:
    rules = wanted()
    assert [(rule.model, rule.event, rule.trigger) for rule in rules] == [
        (ORDER, "changed", "on_create_or_write"),
        (ORDER, "deleted", "on_unlink"),
        (LINE, "changed", "on_create_or_write"),
        (LINE, "deleted", "on_unlink"),
    ]
    for rule in rules:
        assert rule.url.endswith(f"/odoo/webhook/?event={rule.event}&model={rule.model}")
        assert rule.sent == ({"write_date", "order_id"} if rule.model == LINE else {"write_date"})


# --- addresses ----------------------------------------------------------------------------------


@given(st.text(st.characters(min_codepoint=33, exclude_categories=["Cs"]), min_size=1))
def test_a_secret_of_any_characters_survives_the_address(secret: str) -> None:
    url = compose_webhook_url(ENDPOINT, secret, "changed", ORDER)
    parts = parse_webhook_url(url)
    assert (parts.endpoint, parts.secret) == (ENDPOINT, secret)
    assert (parts.event, parts.model) == ("changed", ORDER)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (compose_webhook_url(ENDPOINT, "hush", "changed", ORDER), None),
        ("https://token:hush@other.example.com:8443/x?a=hush&event=changed", None),
        ("https://other.example.com/x/", "https://other.example.com/x/"),
        ("https://[::1]:443/x", "https://[::1]/x/"),
        ("http://host:notaport/hush", "***"),
    ],
)
def test_rule_12_an_address_is_shown_without_what_may_be_secret(
    url: str, shown: str | None
) -> None:
    assert "hush" not in mask_url(url)
    assert shown is None or mask_url(url) == shown


def test_rule_12_no_repr_tells_the_secret() -> None:
    rules = installed()
    text = repr(
        (SETTINGS, wanted(), rules, laid_beside(*rules), parse_webhook_url(wanted()[0].url))
    )
    assert "a-secret" not in text


# --- what differs -------------------------------------------------------------------------------


def test_what_was_installed_is_complete() -> None:
    comparison = laid_beside(*installed())
    assert comparison.is_complete
    assert [one.found.id for one in comparison.rules if one.found] == [1, 2, 3, 4]
    assert comparison.others == ()


def test_what_is_missing_is_told_rule_by_rule() -> None:
    comparison = laid_beside(*installed()[1:3])
    assert flaws(comparison) == [{"missing"}, set(), set(), {"missing"}]
    assert not comparison.is_complete


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"active": False}, "inactive"),
        ({"name": "Purchase bell"}, "name"),
        ({"trigger": "on_write"}, "trigger"),
        ({"model": LINE}, "trigger"),
        ({"watched": frozenset({"state"})}, "watched fields"),
        ({"watched": frozenset()}, "watched fields"),
        ({"conditions": ("filter_domain",)}, "condition"),
        ({"actions": (), "action_ids": (99,)}, "action"),
        ({"sent": frozenset()}, "sent fields"),
        ({"url": "https://old.example.com/odoo/webhook/?event=changed"}, "address"),
        ({"url": compose_webhook_url(ENDPOINT, "a-secret", "deleted", ORDER)}, "address"),
        ({"url": "https://odoo:a-secret@copy.example.com/odoo/webhook?event=changed"}, "address"),
        ({"url": compose_webhook_url(ENDPOINT, "an-older-secret", "changed", ORDER)}, "secret"),
    ],
)
def test_each_thing_that_drifted_is_told(changes: dict[str, Any], flaw: str) -> None:
    rules = installed()
    rules[0] = kept(wanted()[0], 1, **changes)
    comparison = laid_beside(*rules)
    assert flaw in flaws(comparison)[0]
    assert flaws(comparison)[1:] == [set(), set(), set()]
    assert not comparison.is_complete


def test_a_slash_too_few_counts_as_another_address() -> None:
    rules = installed()
    rules[0] = kept(wanted()[0], 1, url=wanted()[0].url.replace("/?", "?"))
    assert flaws(laid_beside(*rules))[0] == {"address"}


def test_the_double_that_needs_most_is_the_one_to_go() -> None:
    rules = [kept(wanted()[0], 9, active=False), *installed(), kept(wanted()[0], 8)]
    comparison = laid_beside(*rules)
    assert [rule.id for rule in comparison.doubles] == [8, 9]
    assert comparison.rules[0].found is not None
    assert comparison.rules[0].found.id == 1


def test_rules_of_another_model_that_call_us_are_left_over() -> None:
    sale = WantedRule(
        "sale.order",
        "changed",
        "[bc-consumer] sale.order changed",
        compose_webhook_url(ENDPOINT, "a-secret", "changed", "sale.order"),
        frozenset({"state"}),
        frozenset({"write_date"}),
    )
    elsewhere = compose_webhook_url(
        "https://sales.example.com/odoo/webhook/", "b", "changed", "sale.order"
    )
    comparison = laid_beside(*installed(), kept(sale, 7), kept(sale, 8, url=elsewhere))
    assert [rule.id for rule in comparison.leftovers] == [7]
    assert 8 not in [rule.id for rule in comparison.ours]


def test_other_rules_are_told_of_when_they_call_us_and_never_ours() -> None:
    one = wanted()[0]
    by_hand = "https://odoo:a-secret@copy.example.com/odoo/webhook/?event=changed"
    others = [
        kept(one, 11, name="made by hand", url=by_hand),
        kept(one, 12, name="[bc-consumer] my own", url="https://chat.example.com/hook"),
        kept(one, 13, name="[bc-consumer staging] purchase.order changed", url="https://s/odoo/"),
        kept(one, 14, name="bc-consumer purchase.order changed", url="https://s/odoo/webhook/"),
    ]
    comparison = laid_beside(*installed(), *others)
    assert comparison.is_complete
    assert {rule.id for rule in comparison.ours} == {1, 2, 3, 4}
    assert [action.rule_id for action in comparison.others] == [11]


def test_a_rule_renamed_in_odoo_is_known_by_its_address() -> None:
    rules = installed()
    rules[2] = kept(wanted()[2], 3, name="Lignes de commande")
    comparison = laid_beside(*rules)
    assert flaws(comparison)[2] == {"name"}
    assert comparison.rules[2].found == rules[2]


def test_an_action_that_someone_added_is_not_taken_for_ours() -> None:
    rules = installed()
    added = FoundAction(50, 1, "https://chat.example.com/hook", frozenset())
    rules[0] = kept(wanted()[0], 1)
    rules[0] = kept(wanted()[0], 1, actions=(added, *rules[0].actions), action_ids=(50, 101))
    assert laid_beside(*rules).is_complete


def test_without_an_address_rules_are_known_by_name_alone() -> None:
    unknown = RuleSettings("", "", "bc-consumer", ORDER)
    broken = kept(wanted()[0], 21, name="someone's", url="http://host:notaport/")
    comparison = laid_beside(*installed(), broken, settings=unknown)
    assert {rule.id for rule in comparison.ours} == {1, 2, 3, 4}
    assert comparison.others == ()


@pytest.mark.parametrize("version", [17, 18, 19])
def test_the_page_about_rules_by_hand_names_the_same_fields(version: int) -> None:
    page = (Path(__file__).parents[3] / "docs" / "rules-by-hand.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith("| 17 and 18 |")]
    order, line = (set(re.findall(r"`(\w+)`", cell)) for cell in row.split("|")[2:4])
    if version == 19:
        order = order - {"notes"} | {"note", "locked"}
        line = line - {"product_uom", "taxes_id"} | {"product_uom_id", "tax_ids"}
    rules = wanted(version)
    assert order == rules[0].watched
    assert line == rules[2].watched
    for rule in rules:
        assert f"`{rule.name}`" in page
        assert f"`?{rule.url.partition('?')[2]}`" in page
