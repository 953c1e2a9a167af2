"""This copy's automation rules in Odoo, from the settings; never so that events get lost.

The secret goes into Odoo's rules, the service that runs has to know it already: so before anything
is written, a ping with this very secret has to arrive. Where the address can't be reached from
here at all (Odoo may be in another network), nothing can be told, and nothing is refused.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from django.conf import settings

from bc_consumer.installation.webhook_address import Arrival, Ping, ping, webhook_endpoint
from bc_consumer.odoo import NoWebhookActions, Odoo, OdooError
from bc_consumer.odoo.automation_rules import AutomationRules, RuleChanges
from bc_consumer.odoo.wanted_rules import Comparison, Flaw, FoundAction, FoundRule, RuleSettings
from bc_consumer.odoo.webhook_url import parse_webhook_url
from bc_consumer.refresh.odoo_connection import odoo_as_administrator

PROVEN_WRONG = frozenset(
    {Arrival.SECRET_REFUSED, Arrival.REDIRECTED, Arrival.NOT_US, Arrival.ELSEWHERE}
)
LOOKS_AT_A_REPLICA = 5
SECONDS_BETWEEN_LOOKS = 1.0


class AddressRefused(Exception):
    """The address is proven not to take Odoo's webhooks; ``ping`` says how."""

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


def no_webhooks() -> NoWebhookActions | None:
    """Say why this Odoo sends no webhooks whatever is set up; None too where it can't be asked."""
    try:
        odoo = odoo_as_administrator()
    except OdooError:
        return None
    try:
        RulesSetup(odoo).rules.check_webhook_actions()
    except NoWebhookActions as reason:
        return reason
    except OdooError:
        return None
    finally:
        odoo.close()
    return None


@dataclass
class RulesSetup:
    """The rules as the settings want them; ``public_url`` replaces PUBLIC_URL."""

    odoo: Odoo
    public_url: str = ""

    @cached_property
    def settings(self) -> RuleSettings:
        """What the rules are to be."""
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
        """Try the address with the secret that the rules are to have."""
        return ping(self.settings.endpoint, self.settings.secret)

    def check_address(self) -> Ping:
        """Try the address. Raises AddressRefused where it is proven wrong."""
        outcome = self.ping()
        if outcome.arrival in PROVEN_WRONG:
            raise AddressRefused(self.settings.endpoint, outcome)
        return outcome

    def check_nobody_else(self, comparison: Comparison) -> None:
        """Look whether rules of our name serve a copy that lives at another address.

        A database copied for a test, with its settings: installing there would take the rules away
        from the copy that works. Raises ServesAnother.
        """
        for endpoint, action, rules in self._elsewhere(comparison):
            if ping(endpoint, action.address.secret).arrival is Arrival.ELSEWHERE:
                raise ServesAnother(endpoint, rules)

    def install(self, comparison: Comparison) -> tuple[RuleChanges, Comparison]:
        """Put right what differs, and compare again."""
        done = self.rules.install(comparison)
        return done, self._seen(lambda after: after.is_complete)

    def remove(self, comparison: Comparison) -> tuple[RuleChanges, Comparison]:
        """Remove all rules of this copy, and look whether any is left."""
        done = self.rules.remove(comparison)
        return done, self._seen(lambda after: not after.ours)

    def _seen(self, done: Callable[[Comparison], bool]) -> Comparison:
        """Compare again; some more times where a read may see an older state (JSON-2)."""
        after = self.rules.inspect()
        for _look in range(LOOKS_AT_A_REPLICA):
            if done(after) or not self.odoo.may_lag:
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
            after = self.rules.inspect()
        return after

    def _elsewhere(
        self, comparison: Comparison
    ) -> Iterator[tuple[str, FoundAction, list[FoundRule]]]:
        """Yield the other addresses that rules of ours call, one rule's action, and the rules."""
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
    """Whether Odoo's rules have another secret than the first of ODOO_WEBHOOK_SECRETS."""
    return any(Flaw.SECRET in one.flaws for one in comparison.rules)
