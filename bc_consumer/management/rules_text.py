"""How ``odoo_rules`` lays out what ``installation/rule_sentences.py`` says, and its help."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from bc_consumer.core.translatable_field import said
from bc_consumer.installation.rule_flaw_text import describe_difference
from bc_consumer.installation.rule_sentences import (
    GOOD,
    WRONG,
    RulesExit,
    called_address,
    further_told,
)
from bc_consumer.management.command import exit_code_table
from bc_consumer.management.tables import aligned
from bc_consumer.odoo.wanted_rules import ComparedRule, Comparison


def description() -> str:
    """Describe the purpose of the command."""
    return _(
        "Sets up the automation rules by which Odoo (17 and later) reports changes to this copy:\n"
        "four rules, for orders and lines, changed and deleted. It needs an account with the\n"
        "right Administration / Settings."
    )


def exit_codes() -> str:
    """Return the table of exit codes."""
    return exit_code_table(
        {
            RulesExit.OK: _("done; with status: all is as it should be"),
            RulesExit.FAILED: _("Odoo is away, or there was an error"),
            RulesExit.USAGE: _("wrong options, or a setting is missing"),
            RulesExit.YOUR_TURN: _(
                "nothing was written: a secret has to be put into the settings first"
            ),
            RulesExit.ADDRESS: _("nothing was written: the address refuses Odoo's webhooks"),
            RulesExit.REFUSED: _("Odoo rejects our access: credentials, rights, database"),
            RulesExit.DRIFT: _("status: the rules are not as they should be"),
            RulesExit.NO_WEBHOOKS: _("this Odoo is too old to send webhooks: use poll mode"),
            RulesExit.NO_MODULE: _("the module base_automation is not installed in Odoo"),
        }
    )


def rule_lines(comparison: Comparison, width: int | None = None) -> Iterator[str]:
    """Describe the rules in Odoo, one line each; ``width``: the longest line."""
    addresses = {called_address(one) for one in comparison.rules if one.found is not None}
    rows = [_row(one) for one in comparison.rules]
    for one, line in zip(comparison.rules, aligned(rows, width=width), strict=True):
        yield line
        yield from (
            f"    {said(describe_difference(difference))}" for difference in one.differences
        )
        if len(addresses) > 1 and one.found is not None:
            yield f"    → {called_address(one)}"
    yield from further_told(comparison)


def _row(one: ComparedRule) -> tuple[str, str]:
    mark = f"{WRONG if one.differences else GOOD} {one.wanted.title}"
    return mark, "–" if one.found is None else _("rule %(id)d") % {"id": one.found.id}


def advice(comparison: Comparison) -> str:
    """Name the command that repairs the rules; "" when they are complete."""
    if comparison.is_complete:
        return ""
    return _("Run: manage.py odoo_rules install")
