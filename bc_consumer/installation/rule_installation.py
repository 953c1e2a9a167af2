"""One look at the rules in Odoo, or one installation of them, for whoever shows it.

``manage.py odoo_rules`` and the console's page go through this, so that both do and say the same.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from django.conf import settings
from django.utils.translation import gettext as _

from bc_consumer.core import process_state
from bc_consumer.core.translatable_field import said
from bc_consumer.installation import rule_sentences
from bc_consumer.installation.rule_sentences import RulesExit
from bc_consumer.installation.rule_setup import (
    AddressRefused,
    RulesSetup,
    ServesAnother,
    carries_other_secret,
    no_webhooks,
)
from bc_consumer.odoo import NoAutomation, NoWebhookActions, OdooError, OdooRefused
from bc_consumer.odoo.automation_rules import RuleChanges
from bc_consumer.odoo.wanted_rules import Comparison
from bc_consumer.odoo.webhook_url import mask_url
from bc_consumer.operations.public_ping import PingArrival, address_error
from bc_consumer.refresh.odoo_connection import odoo_as_administrator

SECRET_BYTES = 24
Account = tuple[str, str]
"""Login and password; two empty ones are the settings' account."""


@dataclass(frozen=True, slots=True)
class RulesRequest:
    """What is to be done with the rules."""

    what: str
    """status, install or remove"""
    account: Callable[[], Account]
    """Is called before Odoo is asked for the first time: a command may ask for a password."""
    names: tuple[str, str]
    """What the error messages call the account's login and password."""
    url: str = ""
    """Where Odoo reaches this site, in place of PUBLIC_URL."""
    rotate: bool = False
    unchecked: bool = False
    move: bool = False
    dry_run: bool = False
    stop: threading.Event | None = None
    """Once it is set, calls to Odoo end, and no address is waited for."""


class Teller(Protocol):
    """Who shows what is found and done."""

    facts: dict[str, Any]
    """The same for programs."""

    def compared(self, comparison: Comparison) -> None:
        """Show the rules as they are in Odoo."""

    def say(self, text: str) -> None:
        """Show a sentence."""

    def warn(self, text: str) -> None:
        """Show a sentence that somebody should think about."""

    def complain(self, text: str) -> None:
        """Show why it was not done."""

    def new_secret(self, secret: str, words: Callable[[str], str]) -> None:
        """Show a new secret, which stands nowhere else, with what to do with it."""


class NotSetUp(Exception):
    """A setting is missing or wrong; the text says which."""


class RuleInstallation:
    """Does what one request asks for."""

    def __init__(self, request: RulesRequest, teller: Teller) -> None:
        self._request = request
        self._teller = teller

    def run(self) -> RulesExit:
        """Do it; return how it ended. Each expected error is told, and becomes an exit code."""
        try:
            return self._run()
        except NotSetUp as error:
            return self._fail(RulesExit.USAGE, str(error))
        except AddressRefused as error:
            return self._fail(RulesExit.ADDRESS, rule_sentences.address_refused(error))
        except ServesAnother as error:
            return self._fail(RulesExit.ADDRESS, rule_sentences.serves_another(error))
        except NoWebhookActions as error:
            return self._fail(RulesExit.NO_WEBHOOKS, rule_sentences.poll_mode(error))
        except NoAutomation as error:
            return self._fail(RulesExit.NO_MODULE, said(error))
        except OdooRefused as error:
            return self._fail(RulesExit.REFUSED, said(error))
        except OdooError as error:
            return self._fail(RulesExit.FAILED, said(error))

    def _run(self) -> RulesExit:
        what = self._request.what
        public_url = self._request.url or settings.PUBLIC_URL
        if what == "install" or (what == "status" and public_url):
            self._check_settings(public_url)
        if what == "install" and not settings.ODOO_WEBHOOK_SECRETS:
            self._refuse_too_old()
            return self._new_secret(rule_sentences.no_secret)
        odoo = odoo_as_administrator(
            *self._account, names=self._request.names, stop=self._request.stop
        )
        try:
            setup = RulesSetup(odoo, public_url, self._request.stop or process_state.stopping)
            comparison = setup.rules.inspect()
            self._teller.facts["odoo"] = odoo.settings.shown_url
            if what == "status":
                return self._status(comparison, is_address_known=bool(public_url))
            if what == "remove":
                return self._remove(setup, comparison)
            return self._install(setup, comparison)
        finally:
            odoo.close()

    def _check_settings(self, public_url: str) -> None:
        if not public_url:
            self._refuse_too_old()
            raise NotSetUp(
                _("Where does Odoo reach this site? Set PUBLIC_URL, or give --url https://…")
            )
        if error := address_error(public_url):
            raise NotSetUp(
                _("PUBLIC_URL (or --url) can't be used: %(error)s") % {"error": said(error)}
            )

    def _refuse_too_old(self) -> None:
        """Raise NoWebhookActions for an Odoo without webhooks, before asking for their settings."""
        if reason := no_webhooks(*self._account, stop=self._request.stop):
            raise reason

    @cached_property
    def _account(self) -> Account:
        return self._request.account()

    # --- the three actions ---

    def _status(self, comparison: Comparison, *, is_address_known: bool) -> RulesExit:
        self._tell(comparison)
        if not is_address_known:
            self._teller.facts["complete"] = False
            return self._fail(RulesExit.USAGE, rule_sentences.address_unknown())
        if not comparison.is_complete:
            return RulesExit.DRIFT
        self._teller.say(rule_sentences.all_right())
        return RulesExit.OK

    def _install(self, setup: RulesSetup, comparison: Comparison) -> RulesExit:
        if self._request.rotate and not carries_other_secret(comparison):
            return self._new_secret(rule_sentences.rotation)
        if comparison.is_complete:
            return self._finish(RuleChanges(), comparison)
        if not self._request.unchecked:
            outcome = setup.check_address()
            if outcome.arrival is PingArrival.NO_ANSWER:
                self._teller.warn(rule_sentences.ping_told(setup.settings.endpoint, outcome))
        if not self._request.move:
            setup.check_nobody_else(comparison)
        if self._request.dry_run:
            return self._print_plan(list(rule_sentences.planned_changes(comparison)))
        rotated = carries_other_secret(comparison)
        code = self._finish(*setup.install(comparison))
        if code is RulesExit.OK and rotated and len(settings.ODOO_WEBHOOK_SECRETS) > 1:
            self._teller.say(rule_sentences.old_secrets_left())
        return code

    def _remove(self, setup: RulesSetup, comparison: Comparison) -> RulesExit:
        if not self._request.move:
            setup.check_nobody_else(comparison)
        if self._request.dry_run:
            return self._print_plan(list(rule_sentences.removals(comparison.ours)))
        done, after = setup.remove(comparison)
        self._teller.facts["removed"] = list(done.removed)
        self._teller.say(rule_sentences.done_told(done))
        if after.ours:
            return self._fail(RulesExit.FAILED, _("Some rules are still there: run this again."))
        return RulesExit.OK

    def _finish(self, done: RuleChanges, after: Comparison) -> RulesExit:
        self._teller.facts |= {
            "created": list(done.created),
            "updated": list(done.updated),
            "removed": list(done.removed),
        }
        self._tell(after)
        self._teller.say(rule_sentences.done_told(done))
        if after.is_complete:
            return RulesExit.OK
        return self._fail(
            RulesExit.FAILED, _("Odoo did not keep everything: see above, and run status again.")
        )

    def _print_plan(self, steps: list[str]) -> RulesExit:
        self._teller.facts["plan"] = steps
        for step in steps or [rule_sentences.done_told(RuleChanges())]:
            self._teller.say(step)
        return RulesExit.OK

    def _new_secret(self, words: Callable[[str], str]) -> RulesExit:
        self._teller.new_secret(secrets.token_urlsafe(SECRET_BYTES), words)
        return RulesExit.YOUR_TURN

    # --- output ---

    def _tell(self, comparison: Comparison) -> None:
        self._teller.facts |= facts(comparison)
        self._teller.compared(comparison)

    def _fail(self, code: RulesExit, text: str) -> RulesExit:
        for secret in settings.ODOO_WEBHOOK_SECRETS:
            text = text.replace(secret, "***")
        self._teller.facts["error"] = text
        self._teller.complain(text)
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
