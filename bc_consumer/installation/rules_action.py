"""The rules in Odoo from a browser: the step that ``operations/actions_within_request.py`` calls.

It goes through ``rule_installation.py``, as the command does. The account is used here, and kept
nowhere.
"""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.translatable import Message, verbatim
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable_field import said
from bc_consumer.models import OperatorAction
from bc_consumer.operations import actions_within_request
from bc_consumer.operations.actions_within_request import Account, Performed

if TYPE_CHECKING:
    from bc_consumer.odoo.wanted_rules import Comparison

Status = OperatorAction.Status
WHAT = {"status": "status", "install": "install", "rotate": "install"}
"""By what is asked for in a browser: the command's word."""


class Kept:
    """What is found and done, as the record keeps it. A new secret is not among it."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.rules: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self.error = ""
        self.shown_once = ""

    def compared(self, comparison: "Comparison") -> None:
        """Keep each rule with what differs, in words for each reader."""
        from bc_consumer.installation.rule_flaw_text import describe_difference
        from bc_consumer.installation.rule_sentences import further_told

        self.rules = [
            {
                "title": one.wanted.title,
                "id": one.found.id if one.found else None,
                "differences": [describe_difference(difference) for difference in one.differences],
            }
            for one in comparison.rules
        ]
        self.lines += further_told(comparison)

    def say(self, text: str) -> None:
        """Keep a sentence."""
        self.lines.append(text)

    def warn(self, text: str) -> None:
        """Keep a warning."""
        self.lines.append(text)

    def complain(self, text: str) -> None:
        """Keep why it was not done."""
        self.error = text

    def new_secret(self, secret: str, words: Callable[[str], str]) -> None:
        """Show the secret to the reader, and keep nothing of it."""
        self.shown_once = words(secret)


def check_or_install_rules(
    parameters: Mapping[str, Any], account: Account, stop: threading.Event
) -> Performed:
    """Look at the rules, install them, or begin to rotate their secret."""
    # Most processes never do this, so they need not load it.
    from bc_consumer.installation.rule_installation import RuleInstallation, RulesRequest
    from bc_consumer.installation.rule_sentences import RulesExit, all_right

    kept = Kept()
    what = parameters["what"]
    request = RulesRequest(
        WHAT[what],
        account=lambda: (account.login, account.password),
        names=(said(_("the login")), said(_("the password"))),
        rotate=what == "rotate",
        unchecked=bool(parameters.get("unchecked")),
        move=bool(parameters.get("move")),
        stop=stop,
    )
    code = RuleInstallation(request, kept).run()
    kept.lines = [line for line in kept.lines if line != all_right()]  # the outcome says it
    result = {"what": what, "rules": kept.rules, "lines": kept.lines, "error": kept.error}
    if code is RulesExit.YOUR_TURN:
        text = _(
            "Nothing was written to Odoo: put the new secret that was shown into the settings."
        )
        return Performed(Status.DONE, text, result, kept.shown_once)
    if code is RulesExit.OK:
        return Performed(Status.DONE, _("All is as it should be."), result)
    if code is RulesExit.DRIFT:
        text = _("The rules in Odoo are not as they should be: install them.")
        return Performed(Status.DONE, text, result)
    refused = code in {
        RulesExit.USAGE,
        RulesExit.ADDRESS,
        RulesExit.NO_WEBHOOKS,
        RulesExit.NO_MODULE,
    }
    first = redacted(kept.error.partition("\n")[0])
    return Performed(Status.REFUSED if refused else Status.FAILED, _told(first), result)


def _told(error: str) -> Message:
    return verbatim(error) if error else _("It could not be done.")


actions_within_request.PASSWORD_STEPS[OperatorAction.Kind.RULES] = check_or_install_rules
