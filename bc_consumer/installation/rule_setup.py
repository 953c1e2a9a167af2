"""Sets up this copy's automation rules in Odoo without losing events.

The secret goes into Odoo's rules, and the running service must already know it. So before anything
is written, a ping with this very secret has to arrive. If the address can't be reached from here at
all (Odoo may be in another network), nothing is proven and nothing is refused.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from django.conf import settings

from bc_consumer.core.background_call import BackgroundCall
from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo import NoWebhookActions, Odoo, OdooError, OdooInterrupted
from bc_consumer.odoo.automation_rules import AutomationRules, RuleChanges
from bc_consumer.odoo.wanted_rules import Comparison, Flaw, FoundAction, FoundRule, RuleSettings
from bc_consumer.odoo.webhook_url import parse_webhook_url
from bc_consumer.operations.public_ping import Ping, PingArrival, ping, webhook_endpoint
from bc_consumer.refresh.odoo_connection import odoo_as_administrator

PROVEN_WRONG = frozenset(
    {PingArrival.SECRET_REFUSED, PingArrival.REDIRECTED, PingArrival.NOT_US, PingArrival.ELSEWHERE}
)
LOOKS_AT_A_REPLICA = 5
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_GLANCES = 0.05
"""Between two looks whether time is up, while a ping is under way."""


class AddressRefused(Exception):
    """The address provably does not accept Odoo's webhooks; ``ping`` says how."""

    def __init__(self, endpoint: str, outcome: Ping) -> None:
        super().__init__(endpoint)
        self.endpoint = endpoint
        self.ping = outcome


class ServesAnother(Exception):
    """Rules of this name call another copy, which is alive at ``endpoint``."""

    def __init__(self, endpoint: str, rules: Iterable[FoundRule]) -> None:
        super().__init__(endpoint)
        self.endpoint = endpoint
        self.rules = tuple(rules)


def no_webhooks(
    login: str = "", password: str = "", *, stop: threading.Event | None = None
) -> NoWebhookActions | None:
    """Return why this Odoo can't send webhooks at all; None if it can, or can't be asked.

    Account and ``stop`` are those of ``odoo_as_administrator``. Raises OdooInterrupted where the
    caller's ``stop`` is set meanwhile.
    """
    try:
        odoo = odoo_as_administrator(login, password, stop=stop)
    except OdooError:
        return None
    try:
        RulesSetup(odoo).rules.check_webhook_actions()
    except NoWebhookActions as reason:
        return reason
    except OdooError as error:
        if stop is not None and isinstance(error, OdooInterrupted):
            raise
        return None
    finally:
        odoo.close()
    return None


@dataclass
class RulesSetup:
    """The automation rules according to the settings; ``public_url`` replaces PUBLIC_URL.

    Once ``stop`` is set no address is waited for any longer: OdooInterrupted is raised.
    """

    odoo: Odoo
    public_url: str = ""
    stop: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def settings(self) -> RuleSettings:
        """The wanted rules."""
        endpoint = webhook_endpoint(self.public_url)
        secrets: list[str] = settings.ODOO_WEBHOOK_SECRETS
        return RuleSettings(
            endpoint=parse_webhook_url(endpoint).endpoint if endpoint else "",
            secret=secrets[0] if secrets else "",
            name=settings.ODOO_RULES_NAME,
            order_model=settings.ODOO_ORDER_MODEL,
            extra_fields=tuple(settings.ODOO_EXTRA_FIELDS),
            extra_line_fields=tuple(settings.ODOO_EXTRA_LINE_FIELDS),
        )

    @cached_property
    def rules(self) -> AutomationRules:
        """Access to the rules in Odoo."""
        return AutomationRules(self.odoo, self.settings)

    def ping(self) -> Ping:
        """Ping the webhook with the secret that the rules will have."""
        return self._ping(self.settings.endpoint, self.settings.secret)

    def check_address(self) -> Ping:
        """Ping the webhook. Raises AddressRefused if the address is proven wrong."""
        outcome = self.ping()
        if outcome.arrival in PROVEN_WRONG:
            raise AddressRefused(self.settings.endpoint, outcome)
        return outcome

    def check_nobody_else(self, comparison: Comparison) -> None:
        """Check that no rules of our name serve a living copy at another address.

        Installing from a test system's copied database and settings would take the rules away from
        the production copy. Raises ServesAnother.
        """
        for endpoint, action, rules in self._elsewhere(comparison):
            if self._ping(endpoint, action.address.secret).arrival is PingArrival.ELSEWHERE:
                raise ServesAnother(endpoint, rules)

    def install(self, comparison: Comparison) -> tuple[RuleChanges, Comparison]:
        """Correct what differs, then compare again."""
        done = self.rules.install(comparison)
        return done, self._seen(lambda after: after.is_complete)

    def remove(self, comparison: Comparison) -> tuple[RuleChanges, Comparison]:
        """Remove all rules of this copy, then check whether any are left."""
        done = self.rules.remove(comparison)
        return done, self._seen(lambda after: not after.ours)

    def _seen(self, done: Callable[[Comparison], bool]) -> Comparison:
        """Compare again, repeatedly where a read may be served by a lagging replica (JSON-2)."""
        after = self.rules.inspect()
        for _look in range(LOOKS_AT_A_REPLICA):
            if done(after) or not self.odoo.may_lag:
                break
            self.stop.wait(SECONDS_BETWEEN_LOOKS)
            after = self.rules.inspect()
        return after

    def _ping(self, endpoint: str, secret: str) -> Ping:
        """Ping an address. Its server may be anybody's, and send its answer byte by byte."""
        answer = BackgroundCall(lambda: ping(endpoint, secret)).start()
        while not self.stop.is_set():
            try:
                return answer.result(SECONDS_BETWEEN_GLANCES)
            except TimeoutError:
                continue
        raise OdooInterrupted(_("Stopping: no longer waiting for the ping"))

    def _elsewhere(
        self, comparison: Comparison
    ) -> Iterator[tuple[str, FoundAction, list[FoundRule]]]:
        """Yield each other address that our rules call, with one rule's action and those rules."""
        by_endpoint: dict[str, list[FoundRule]] = {}
        for rule in comparison.ours:
            action = rule.webhook(self.settings.endpoint)
            if action is not None and not self.settings.is_called_by(action.address):
                by_endpoint.setdefault(action.address.endpoint, []).append(rule)
        for endpoint, rules in by_endpoint.items():
            action = rules[0].webhook(endpoint)
            if endpoint and action is not None:
                yield endpoint, action, rules


def carries_other_secret(comparison: Comparison) -> bool:
    """Return whether Odoo's rules carry a secret other than the first of ODOO_WEBHOOK_SECRETS."""
    return any(Flaw.SECRET in one.flaws for one in comparison.rules)
