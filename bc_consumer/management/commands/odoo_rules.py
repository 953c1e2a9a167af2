"""``manage.py odoo_rules install | status | remove``: the automation rules in Odoo."""

import getpass
import json
import os
import secrets
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from bc_consumer.core.translatable_field import said
from bc_consumer.installation.rule_setup import (
    AddressRefused,
    RulesSetup,
    ServesAnother,
    carries_other_secret,
    no_webhooks,
)
from bc_consumer.management import rules_text
from bc_consumer.management.command import HelpFormatter, RedactedCommand
from bc_consumer.management.rules_text import Exit
from bc_consumer.management.tables import width_of, wrapped
from bc_consumer.odoo import NoAutomation, NoWebhookActions, OdooError, OdooRefused
from bc_consumer.odoo.automation_rules import RuleChanges
from bc_consumer.odoo.wanted_rules import Comparison
from bc_consumer.odoo.webhook_url import mask_url
from bc_consumer.operations.public_address import PingArrival, address_error
from bc_consumer.refresh.odoo_connection import odoo_as_administrator

SECRET_BYTES = 24


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
            help=_("install: create, correct, remove doubles; status: compare only"),
        )
        parser.add_argument(
            "--url",
            default="",
            help=_(
                "where Odoo reaches this site, in place of PUBLIC_URL: https://copy.example.com"
            ),
        )
        parser.add_argument(
            "--rotate", action="store_true", help=_("install: change the secret, step by step")
        )
        parser.add_argument(
            "--dry-run", action="store_true", help=_("say what would be done, and do nothing")
        )
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))
        parser.add_argument(
            "--login", default="", help=_("an account with Settings rights, for this time only")
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
            help=_("install although the address does not take the secret from here"),
        )
        parser.add_argument(
            "--move",
            action="store_true",
            help=_("take over, or remove, rules of the same name that serve another copy"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the chosen action, and exit with the code of its result."""
        self._facts: dict[str, Any] = {}
        self._json: bool = options["json"]
        with self.at_work(options["verbosity"]):
            code = self._run_guarded(options)
        if self._json:
            self.stdout.write(json.dumps({**self._facts, "exit": int(code)}, ensure_ascii=False))
        if code:
            sys.exit(int(code))

    def _run_guarded(self, options: dict[str, Any]) -> Exit:
        """Turn each expected error into a sentence and an exit code."""
        try:
            return self._run(options)
        except CommandError as error:
            return self._fail(Exit.USAGE, str(error))
        except AddressRefused as error:
            return self._fail(Exit.ADDRESS, rules_text.address_refused(error))
        except ServesAnother as error:
            return self._fail(Exit.ADDRESS, rules_text.serves_another(error))
        except NoWebhookActions as error:
            return self._fail(Exit.NO_WEBHOOKS, rules_text.poll_mode(error))
        except NoAutomation as error:
            return self._fail(Exit.NO_MODULE, said(error))
        except OdooRefused as error:
            return self._fail(Exit.REFUSED, said(error))
        except OdooError as error:
            return self._fail(Exit.FAILED, said(error))

    def _run(self, options: dict[str, Any]) -> Exit:
        what = options["what"]
        public_url = options["url"] or settings.PUBLIC_URL
        if what == "install" or (what == "status" and public_url):
            self._check_settings(public_url)
        if what == "install" and not settings.ODOO_WEBHOOK_SECRETS:
            self._refuse_too_old()
            return self._new_secret(rules_text.no_secret)
        odoo = odoo_as_administrator(*self._account(options))
        try:
            setup = RulesSetup(odoo, public_url)
            comparison = setup.rules.inspect()
            self._facts["odoo"] = odoo.settings.shown_url
            if what == "status":
                return self._status(comparison, is_address_known=bool(public_url))
            if what == "remove":
                return self._remove(setup, comparison, options)
            return self._install(setup, comparison, options)
        finally:
            odoo.close()

    def _check_settings(self, public_url: str) -> None:
        if not public_url:
            self._refuse_too_old()
            raise CommandError(
                _("Where does Odoo reach this site? Set PUBLIC_URL, or give --url https://…")
            )
        if error := address_error(public_url):
            raise CommandError(
                _("PUBLIC_URL (or --url) can't be used: %(error)s") % {"error": said(error)}
            )

    def _refuse_too_old(self) -> None:
        """Raise NoWebhookActions for an Odoo without webhooks, before asking for their settings."""
        if reason := no_webhooks():
            raise reason

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
        return login, password

    # --- the three actions ---

    def _status(self, comparison: Comparison, *, is_address_known: bool) -> Exit:
        self._tell(comparison)
        if not is_address_known:
            self._facts["complete"] = False
            return self._fail(Exit.USAGE, rules_text.address_unknown())
        if not comparison.is_complete:
            return Exit.DRIFT
        self._say(rules_text.all_right())
        return Exit.OK

    def _install(self, setup: RulesSetup, comparison: Comparison, options: dict[str, Any]) -> Exit:
        if options["rotate"] and not carries_other_secret(comparison):
            return self._new_secret(rules_text.rotation)
        if comparison.is_complete:
            return self._finish(RuleChanges(), comparison)
        if not options["unchecked"]:
            outcome = setup.check_address()
            if outcome.arrival is PingArrival.NO_ANSWER:
                self._warn(rules_text.ping_told(setup.settings.endpoint, outcome))
        if not options["move"]:
            setup.check_nobody_else(comparison)
        if options["dry_run"]:
            return self._print_plan(list(rules_text.plan(comparison)))
        rotated = carries_other_secret(comparison)
        code = self._finish(*setup.install(comparison))
        if code is Exit.OK and rotated and len(settings.ODOO_WEBHOOK_SECRETS) > 1:
            self._say(rules_text.old_secrets_left())
        return code

    def _remove(self, setup: RulesSetup, comparison: Comparison, options: dict[str, Any]) -> Exit:
        if not options["move"]:
            setup.check_nobody_else(comparison)
        if options["dry_run"]:
            return self._print_plan(list(rules_text.removals(comparison.ours)))
        done, after = setup.remove(comparison)
        self._facts["removed"] = list(done.removed)
        self._say(rules_text.done_told(done))
        if after.ours:
            return self._fail(Exit.FAILED, _("Some rules are still there: run this again."))
        return Exit.OK

    def _finish(self, done: RuleChanges, after: Comparison) -> Exit:
        self._facts |= {
            "created": list(done.created),
            "updated": list(done.updated),
            "removed": list(done.removed),
        }
        self._tell(after)
        self._say(rules_text.done_told(done))
        if after.is_complete:
            return Exit.OK
        return self._fail(
            Exit.FAILED, _("Odoo did not keep it all: see above, and run status again.")
        )

    def _print_plan(self, steps: list[str]) -> Exit:
        self._facts["plan"] = steps
        for step in steps or [rules_text.done_told(RuleChanges())]:
            self._say(step)
        return Exit.OK

    def _new_secret(self, words: Any) -> Exit:
        secret = secrets.token_urlsafe(SECRET_BYTES)
        self._facts["new_secret"] = secret
        self._say(words(secret))
        return Exit.YOUR_TURN

    # --- output ---

    def _tell(self, comparison: Comparison) -> None:
        self._facts |= facts(comparison)
        for line in rules_text.told(comparison, width_of(self.stdout)):
            self._say(line)
        if advice := rules_text.advice(comparison):
            self._say(advice)

    def _say(self, text: str) -> None:
        if not self._json:
            self.tell(text)

    def _warn(self, text: str) -> None:
        self._facts.setdefault("warnings", []).append(text)
        if not self._json:
            self.stderr.write(self.style.WARNING(wrapped(text, self.stderr)))

    def _fail(self, code: Exit, text: str) -> Exit:
        for secret in settings.ODOO_WEBHOOK_SECRETS:
            text = text.replace(secret, "***")
        self._facts["error"] = text
        if not self._json:
            self.complain(text)
        return code


def facts(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values, without secrets."""
    return {
        "complete": comparison.is_complete,
        "rules": [
            {
                "model": one.wanted.model,
                "event": one.wanted.event,
                "id": one.found.id if one.found else None,
                "differences": [
                    {"what": difference.flaw.value, "detail": difference.detail}
                    for difference in one.differences
                ],
            }
            for one in comparison.rules
        ],
        "doubles": [rule.id for rule in comparison.doubles],
        "leftovers": [rule.id for rule in comparison.leftovers],
        "others": [
            {"action": action.id, "rule": action.rule_id, "url": mask_url(action.url)}
            for action in comparison.others
        ],
    }
