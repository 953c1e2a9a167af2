"""``manage.py odoo_rules install | status | remove``: the automation rules in Odoo."""

import getpass
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from bc_consumer.core.redacted_text import hide
from bc_consumer.installation.rule_installation import RuleInstallation, RulesRequest
from bc_consumer.installation.rule_sentences import RulesExit
from bc_consumer.management import rules_text
from bc_consumer.management.command import HelpFormatter, RedactedCommand
from bc_consumer.management.tables import width_of, wrapped
from bc_consumer.odoo.wanted_rules import Comparison


class Command(RedactedCommand):
    """Installs, compares or removes the rules by which Odoo calls the webhook."""

    help = "Installs, compares or removes the automation rules in Odoo that call the webhook."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions and their options."""
        self._parser = parser
        parser.description = rules_text.description()
        parser.epilog = rules_text.exit_codes()
        parser.formatter_class = HelpFormatter
        parser.add_argument(
            "what",
            choices=("install", "status", "remove"),
            help=_("install: create, correct, remove duplicates; status: compare only"),
        )
        parser.add_argument(
            "--url",
            default="",
            help=_("where Odoo reaches this site, instead of PUBLIC_URL: https://copy.example.com"),
        )
        parser.add_argument(
            "--rotate", action="store_true", help=_("install: change the secret, step by step")
        )
        parser.add_argument(
            "--dry-run", action="store_true", help=_("show what would be done, and do nothing")
        )
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))
        parser.add_argument(
            "--login", default="", help=_("an account with Settings rights, for this one time")
        )
        parser.add_argument(
            "--password-from-env",
            metavar="NAME",
            default="ODOO_ADMIN_PASSWORD",
            help=_("the variable that holds that account's password or API key"),
        )
        parser.add_argument(
            "--unchecked",
            action="store_true",
            help=_("install even if the address does not accept the secret from here"),
        )
        parser.add_argument(
            "--move",
            action="store_true",
            help=_("take over, or remove, rules of the same name that serve another copy"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the chosen action, and exit with the code of its result."""
        self.facts: dict[str, Any] = {}
        self._json: bool = options["json"]
        with self.at_work(options["verbosity"]):
            code = self._run(options)
        if self._json:
            self.stdout.write(json.dumps({**self.facts, "exit": int(code)}, ensure_ascii=False))
        if code:
            sys.exit(int(code))

    def _run(self, options: dict[str, Any]) -> RulesExit:
        request = RulesRequest(
            options["what"],
            account=lambda: self._account(options),
            names=("--login", "--password-from-env"),
            url=options["url"],
            rotate=options["rotate"],
            unchecked=options["unchecked"],
            move=options["move"],
            dry_run=options["dry_run"],
        )
        try:
            return RuleInstallation(request, self).run()
        except CommandError as error:
            self.facts["error"] = str(error)
            self.complain(str(error))
            return RulesExit.USAGE

    def _account(self, options: dict[str, Any]) -> tuple[str, str]:
        login: str = options["login"]
        if not login:
            return "", ""
        password = os.environ.get(options["password_from_env"], "")
        if not password and sys.stdin.isatty():
            password = getpass.getpass(_("Password of %(login)s: ") % {"login": login})
        if not password:
            raise CommandError(
                _("--login needs a password: put it into the variable %(name)s")
                % {"name": options["password_from_env"]}
            )
        hide(password)
        return login, password

    # --- output, as RuleInstallation asks for it ---

    def compared(self, comparison: Comparison) -> None:
        """Write the rules as they are in Odoo."""
        for line in rules_text.rule_lines(comparison, width_of(self.stdout)):
            self.say(line)
        if advice := rules_text.advice(comparison):
            self.say(advice)

    def say(self, text: str) -> None:
        """Write for people."""
        if not self._json:
            self.tell(text)

    def warn(self, text: str) -> None:
        """Write a warning."""
        self.facts.setdefault("warnings", []).append(text)
        if not self._json:
            self.stderr.write(self.style.WARNING(wrapped(text, self.stderr)))

    def complain(self, text: str, /) -> None:
        """Write why it was not done; with --json that stands in the object."""
        if not self._json:
            super().complain(text)

    def new_secret(self, secret: str, words: Callable[[str], str]) -> None:
        """Write a new secret."""
        self.facts["new_secret"] = secret
        self.say(words(secret))
