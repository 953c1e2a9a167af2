"""What is said of the rules in Odoo, in the active language. The only secret in it is a new one.

The command and the console say the same.
"""

import enum
from collections.abc import Iterator

from django.utils.translation import gettext as _

from bc_consumer.core.translatable_field import said
from bc_consumer.installation.rule_setup import AddressRefused, ServesAnother
from bc_consumer.odoo.automation_rules import RuleChanges
from bc_consumer.odoo.wanted_rules import ComparedRule, Comparison, Flaw, FoundRule
from bc_consumer.odoo.webhook_url import mask_url, parse_webhook_url
from bc_consumer.operations.public_ping import Ping, PingArrival

GOOD, WRONG, NOTE = "✓", "✗", "!"


class RulesExit(enum.IntEnum):
    """The exit codes of ``odoo_rules``; scripts rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    YOUR_TURN = 3
    ADDRESS = 4
    REFUSED = 6
    DRIFT = 7
    NO_WEBHOOKS = 8
    NO_MODULE = 9


def further_told(comparison: Comparison) -> Iterator[str]:
    """Name the address that the rules call, and what there is besides them."""
    addresses = {called_address(one) for one in comparison.rules if one.found is not None}
    if len(addresses) == 1:
        yield _("They call %(address)s") % {"address": addresses.pop()}
    for rule in comparison.doubles:
        yield _("%(mark)s rule %(rule)s is a duplicate: each change is reported twice") % {
            "mark": WRONG,
            "rule": named(rule),
        }
    for rule in comparison.leftovers:
        yield _("%(mark)s rule %(rule)s is left over and not needed") % {
            "mark": WRONG,
            "rule": named(rule),
        }
    for action in comparison.others:
        yield _(
            "%(mark)s action %(action)d (of rule %(rule)s) calls this service too, and is not "
            "ours: each change is reported twice; remove it in Odoo if nobody needs it"
        ) % {"mark": NOTE, "action": action.id, "rule": action.rule_id or "–"}


def planned_changes(comparison: Comparison) -> Iterator[str]:
    """Describe the changes that an installation would make."""
    for one in comparison.rules:
        if one.found is None or Flaw.TRIGGER in one.flaws:
            yield _("would create: %(rule)s") % {"rule": one.wanted.name}
        elif one.differences:
            yield _("would correct: rule %(rule)s") % {"rule": named(one.found)}
        if one.found is not None and Flaw.TRIGGER in one.flaws:
            yield _("would remove: rule %(rule)s") % {"rule": named(one.found)}
    yield from removals((*comparison.doubles, *comparison.leftovers))


def removals(rules: tuple[FoundRule, ...]) -> Iterator[str]:
    """Describe the changes that a removal would make."""
    for rule in rules:
        yield _("would remove: rule %(rule)s") % {"rule": named(rule)}


def done_told(done: RuleChanges) -> str:
    """Describe the changes that were made."""
    if not (done.created or done.updated or done.removed):
        return _("There was nothing to do.")
    return _("Rules created: %(created)d, corrected: %(updated)d, removed: %(removed)d.") % {
        "created": len(done.created),
        "updated": len(done.updated),
        "removed": len(done.removed),
    }


def all_right() -> str:
    """Tell that nothing has to be done."""
    return _("All is as it should be.")


def address_unknown() -> str:
    """Explain why the rules were not compared wholly."""
    return _(
        "PUBLIC_URL is not set, so it is not known whether these rules call this site, with its"
        " secret. Set it, or give --url https://…"
    )


def ping_told(endpoint: str, ping: Ping) -> str:
    """Describe the result of a ping, and the fix."""
    text = {
        PingArrival.HERE: _("%(address)s leads here, and the secret is accepted."),
        PingArrival.SECRET_REFUSED: _(
            "The service at %(address)s refuses the first of ODOO_WEBHOOK_SECRETS: restart"
            " its web process, which reads the settings when it starts. Until then Odoo's events"
            " would be refused and lost."
        ),
        PingArrival.REDIRECTED: _(
            "%(address)s redirects to %(detail)s: Odoo would turn its POST into a GET, and every"
            " event would be lost. Put the address that answers without a redirect into PUBLIC_URL."
        ),
        PingArrival.NOT_US: _(
            "%(address)s answers %(detail)s: it is not this service's webhook. Correct PUBLIC_URL,"
            " or the proxy in front (it has to pass on /odoo/webhook/ and the Authorization"
            " header); or an older version of this service runs there."
        ),
        PingArrival.ELSEWHERE: _(
            "Another copy of this software answers at %(address)s (its SECRET_KEY differs): correct"
            " PUBLIC_URL."
        ),
        PingArrival.NO_ANSWER: _(
            "%(address)s can't be reached from this machine (%(detail)s), so it was not checked"
            " whether Odoo can reach it."
        ),
    }[ping.arrival]
    return text % {"address": endpoint, "detail": ping.detail}


def address_refused(error: AddressRefused) -> str:
    """Explain why nothing was written."""
    reason = ping_told(error.endpoint, error.ping)
    return "{}\n{}".format(
        reason, _("Nothing was written to Odoo. To write anyway, add --unchecked.")
    )


def serves_another(error: ServesAnother) -> str:
    """Explain that another copy depends on these rules."""
    return _(
        "Nothing was changed: the rules %(rules)s serve another copy, which is running at"
        " %(address)s. Give this copy an ODOO_RULES_NAME of its own, so that Odoo calls both; or,"
        " if these rules are to call this copy from now on, add --move."
    ) % {"rules": ", ".join(map(named, error.rules)), "address": error.endpoint}


def rotation(secret: str) -> str:
    """List the steps of a rotation that loses no event."""
    return _(
        "Nothing has been written to Odoo yet. In this order, no event is lost:\n"
        "1. Put this new secret FIRST, and leave the present ones after it:\n"
        "       ODOO_WEBHOOK_SECRETS=%(secret)s,…\n"
        "2. Restart the web processes: now both are accepted.\n"
        "3. Run odoo_rules install: it tries the new secret, then writes it to Odoo.\n"
        "4. Remove the old secrets from ODOO_WEBHOOK_SECRETS, and restart web again."
    ) % {"secret": secret}


def no_secret(secret: str) -> str:
    """Explain how to set the first secret."""
    return _(
        "ODOO_WEBHOOK_SECRETS is empty: this service would refuse every webhook. Set it, restart"
        " web, and run this again. A new one:\n       ODOO_WEBHOOK_SECRETS=%(secret)s"
    ) % {"secret": secret}


def old_secrets_left() -> str:
    """Describe the last step of a rotation."""
    return _(
        "Odoo has the first secret now. Remove the others from ODOO_WEBHOOK_SECRETS, and restart"
        " web."
    )


def poll_mode(reason: Exception) -> str:
    """Explain how to work without webhooks."""
    return _(
        "%(reason)s. Poll instead: set SYNC_POLL_SECONDS (e.g. 60) and run the scheduler; changes"
        " then arrive within that time, and the nightly run finds the rest."
    ) % {"reason": said(reason)}


def called_address(one: ComparedRule) -> str:
    """Return the address that a rule in Odoo calls, without its secret."""
    endpoint = parse_webhook_url(one.wanted.url).endpoint
    action = None if one.found is None else one.found.webhook(endpoint)
    return "–" if action is None else mask_url(action.url).partition("?")[0]


def named(rule: FoundRule) -> str:
    """Return a rule's id and name."""
    return _('%(id)s "%(name)s"') % {"id": rule.id, "name": rule.name}
