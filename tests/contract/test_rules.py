"""The copy's automation rules, put into Odoo, compared and taken out again."""

from collections.abc import Iterator

import pytest

from bc_consumer.odoo import NoAutomation, NoRights
from bc_consumer.odoo.automation import AutomationRules, Done
from bc_consumer.odoo.rules import RuleSettings
from tests.contract.target import ORDER, PREFIX, Target, unique

# Nobody answers there, and nobody has to: no order changes while the rules are in.
ENDPOINT = "https://contract.invalid/odoo/webhook/"


@pytest.fixture
def settings(target: Target) -> Iterator[RuleSettings]:
    """What the rules are for; none of this name is left afterwards."""
    settings = RuleSettings(ENDPOINT, "a-secret", f"{PREFIX} {unique()}", ORDER)
    rules = AutomationRules(target.odoo, settings)
    try:
        rules.inspect()
    except (NoAutomation, NoRights) as refusal:
        pytest.skip(f"no rules can be made there: {refusal}")
    yield settings
    rules.remove(rules.inspect())


def test_rules_are_installed_once_and_removed_wholly(
    target: Target, settings: RuleSettings
) -> None:
    rules = AutomationRules(target.odoo, settings)
    done = rules.install(rules.inspect())
    assert len(done.created) == 4
    there = rules.inspect()
    assert there.is_complete
    assert {one.found.id for one in there.rules if one.found is not None} == set(done.created)
    assert rules.install(there) == Done()
    rotated = RuleSettings(ENDPOINT, "another-secret", settings.name, ORDER)
    changing = AutomationRules(target.odoo, rotated)
    assert len(changing.install(changing.inspect()).updated) == 4
    assert changing.inspect().is_complete
    assert not rules.inspect().is_complete
    assert set(rules.remove(rules.inspect()).removed) == set(done.created)
    assert not rules.inspect().ours
    left = [("name", "ilike", settings.name)]
    for model in ("base.automation", "ir.actions.server"):
        assert target.call(model, "search_count", left) == 0


def test_a_rule_that_somebody_switched_off_is_switched_on_again(
    target: Target, settings: RuleSettings
) -> None:
    rules = AutomationRules(target.odoo, settings)
    first, *_ = rules.install(rules.inspect()).created
    target.call("base.automation", "write", [first], {"active": False})
    drifted = rules.inspect()
    assert not drifted.is_complete
    assert rules.install(drifted).updated == (first,)
    assert rules.inspect().is_complete
