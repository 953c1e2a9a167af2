"""Checks of the way from Odoo to us: its automation rules, our public address, a ping."""

from collections.abc import Iterator

from django.conf import settings
from django.utils import timezone

from bc_consumer.core.http_probe import NoAnswer, ProbeAnswer, Trouble, ask
from bc_consumer.core.translatable import Message, joined, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.doctor.findings import Check, Finding, Level, error, ok, warning
from bc_consumer.doctor.odoo_checks import ACCOUNT, ADDRESS, odoo_trouble
from bc_consumer.installation.rule_flaw_text import describe_difference
from bc_consumer.installation.rule_setup import RulesSetup, no_webhooks
from bc_consumer.odoo import (
    MissingModel,
    NoAutomation,
    NoRights,
    NoWebhookActions,
    OdooError,
    WrongCredentials,
)
from bc_consumer.odoo.wanted_rules import ComparedRule, Comparison, Flaw
from bc_consumer.operations.public_ping import (
    PingArrival,
    address_error,
    ping,
    webhook_endpoint,
)
from bc_consumer.operations.webhook_use import latest_webhook_at
from bc_consumer.refresh.odoo_connection import odoo_as_administrator

URL, PING = "webhook.url", "webhook.ping"
GRAVE = frozenset(
    {
        Flaw.MISSING,
        Flaw.INACTIVE,
        Flaw.TRIGGER,
        Flaw.CONDITION,
        Flaw.ACTION,
        Flaw.ADDRESS,
        Flaw.SENT,
    }
)


def webhook_checks(round_trip: bool) -> list[Check]:
    """Return the checks; ``round_trip`` adds a ping with each secret through the public address."""
    checks = [
        Check(URL, _("Public address"), _url),
        Check("webhook.answer", _("Webhook's address"), _answers, needs=(URL,)),
    ]
    if round_trip:
        checks.append(Check(PING, _("Round trip"), _round_trip, needs=(URL,)))
    # With an account of its own for the rules, what is wrong with the other one says nothing.
    needs = (ADDRESS, URL) if settings.ODOO_ADMIN_LOGIN else (ADDRESS, ACCOUNT, URL)
    return [*checks, Check("odoo.rules", _("Automation rules"), _rules, needs=needs)]


def _polls() -> bool:
    return bool(settings.SYNC_POLL_SECONDS > 0)


def _poll_instead() -> str:
    return _("Set SYNC_POLL_SECONDS, e.g. to 60, and run the scheduler.")


def _url() -> Iterator[Finding]:
    url: str = settings.PUBLIC_URL
    if not url:
        if _polls():
            yield Finding(Level.SKIPPED, _("PUBLIC_URL is not set: poll mode, no webhooks"))
        elif reason := no_webhooks():
            yield error(message_of(reason), _poll_instead())
        else:
            yield error(
                _("PUBLIC_URL is not set, and SYNC_POLL_SECONDS is 0: changes go unnoticed"),
                _(
                    "Set PUBLIC_URL to the address at which Odoo reaches this site, then run "
                    "odoo_rules install."
                ),
            )
        return
    if problem := address_error(url):
        yield error(
            _("PUBLIC_URL can't be used: %(error)s", error=problem),
            _("Write it as https://copy.example.com"),
        )
        return
    yield ok(webhook_endpoint())


def _answers() -> Iterator[Finding]:
    """Ask without a secret which methods there are; our webhook answers that it wants a POST."""
    endpoint = webhook_endpoint()
    try:
        answer = ask(endpoint, "OPTIONS")
        if not _wants_post(answer):  # a proxy may answer OPTIONS by itself
            answer = ask(endpoint)
    except NoAnswer as problem:
        yield unreachable(endpoint, str(problem), problem.trouble)
        return
    if answer.redirects_to:
        yield error(
            _(
                "%(url)s redirects to %(target)s: Odoo would turn its POST into a GET",
                url=endpoint,
                target=answer.redirects_to.partition("?")[0],
            ),
            _(
                "Put the address that answers without a redirect into PUBLIC_URL, then run "
                "odoo_rules install."
            ),
        )
    elif _wants_post(answer):
        yield ok(_("it answers without a redirect"))
    elif answer.status == 400:
        yield error(
            _("%(url)s answers HTTP 400", url=endpoint),
            _("Add its host name to ALLOWED_HOSTS, and restart web."),
        )
    else:
        yield error(
            _(
                "%(url)s answers HTTP %(status)d: it is not our webhook",
                url=endpoint,
                status=answer.status,
            ),
            _("Is web running? Correct PUBLIC_URL, or have the proxy pass on /odoo/webhook/."),
        )


def _wants_post(answer: ProbeAnswer) -> bool:
    return answer.status in {204, 405} and "POST" in answer.headers.get("allow", "")


def unreachable(endpoint: str, text: str, trouble: Trouble | None) -> Finding:
    """Return why our address does not answer from here, which need not be Odoo's view."""
    fixes = {
        Trouble.ADDRESS: _("Write PUBLIC_URL as https://copy.example.com"),
        Trouble.NAME: _("Correct the host's name in PUBLIC_URL, or add it to the DNS."),
        Trouble.CONNECTION: _("Is web (and the proxy in front) running? Correct PUBLIC_URL."),
        Trouble.SILENCE: _("A firewall drops the packets, or the proxy hangs."),
        Trouble.CERTIFICATE: _(
            "Odoo refuses it too, so every event is lost: install a valid certificate there, for"
            " this host and from a public authority."
        ),
        Trouble.TLS: _("Correct http:// or https:// and the port in PUBLIC_URL."),
        Trouble.NOT_HTTP: _("Something else answers there: correct the port in PUBLIC_URL."),
    }
    return error(
        _("%(url)s can't be reached from here: %(text)s", url=endpoint, text=text),
        fixes[trouble or Trouble.CONNECTION],
    )


def _round_trip() -> Iterator[Finding]:
    """Send a ping with each secret, as Odoo would; it marks nothing."""
    endpoint = webhook_endpoint()
    if not settings.ODOO_WEBHOOK_SECRETS:
        yield error(
            _("ODOO_WEBHOOK_SECRETS is empty"), _("Set it: odoo_rules install explains how.")
        )
    for number, secret in enumerate(settings.ODOO_WEBHOOK_SECRETS, 1):
        outcome = ping(endpoint, secret)
        if outcome.arrival is PingArrival.HERE:
            yield ok(_("a ping with secret %(number)d came through", number=number))
        elif outcome.arrival is PingArrival.NO_ANSWER:
            yield unreachable(endpoint, outcome.detail, outcome.trouble)
        elif outcome.arrival is PingArrival.SECRET_REFUSED:
            yield error(
                _(
                    "the running service refuses secret %(number)d of ODOO_WEBHOOK_SECRETS",
                    number=number,
                ),
                _(
                    "Restart web, which reads the settings when it starts; does the proxy pass on"
                    " the Authorization header?"
                ),
            )
        elif outcome.arrival is PingArrival.ELSEWHERE:
            yield error(
                _("another copy of this software answers there (its SECRET_KEY differs)"),
                _("Correct PUBLIC_URL; all processes of a deployment need the same SECRET_KEY."),
            )
        else:
            yield error(
                _("something else answers there: %(detail)s", detail=outcome.detail),
                _("Correct PUBLIC_URL, or have the proxy pass on /odoo/webhook/."),
            )


def _rules() -> Iterator[Finding]:
    odoo = odoo_as_administrator()
    try:
        comparison = RulesSetup(odoo).rules.inspect()
    except NoWebhookActions as problem:
        yield ok(message_of(problem)) if _polls() else error(message_of(problem), _poll_instead())
    except NoAutomation as problem:
        yield error(message_of(problem), _("Install the module base_automation in Odoo."))
    except (NoRights, MissingModel):
        yield ok(_unread())
    except WrongCredentials as problem:
        yield warning(message_of(problem), _("Correct ODOO_ADMIN_LOGIN and ODOO_ADMIN_PASSWORD."))
    except OdooError as problem:
        yield odoo_trouble(problem)
    else:
        yield from _compared(comparison)
    finally:
        odoo.close()


def _unread() -> Message:
    """Return what is known of rules that the account may not read, as it need not."""
    look = _("odoo_rules status --login admin shows them")
    latest = latest_webhook_at()
    if latest is None:
        return _(
            "the account may not read them, and does not need to; no webhook has brought a change"
            " yet (%(look)s)",
            look=look,
        )
    return _(
        "the account may not read them, and does not need to; webhooks arrive, the latest known"
        " one at %(time)s (%(look)s)",
        look=look,
        time=f"{timezone.localtime(latest):%Y-%m-%d %H:%M}",
    )


def _compared(comparison: Comparison) -> Iterator[Finding]:
    if all(one.found is None for one in comparison.rules) and _polls():
        yield ok(_("none, and none is needed: poll mode"))
        return
    fix = _("Run: manage.py odoo_rules install")
    for one in comparison.rules:
        if one.differences:
            told = joined("; ", *map(describe_difference, one.differences))
            yield (error if _is_grave(one) else warning)(
                _('"%(rule)s": %(text)s', rule=one.wanted.title, text=told), fix
            )
    for rule in comparison.doubles:
        yield warning(
            _("rule %(id)d is a duplicate: each change is reported twice", id=rule.id), fix
        )
    for rule in comparison.leftovers:
        yield warning(_("rule %(id)d calls us but is not needed", id=rule.id), fix)
    for action in comparison.others:
        yield warning(
            _(
                "another rule's action (%(id)d) calls us too: each change is reported twice",
                id=action.id,
            ),
            _("Remove it in Odoo, if nobody needs it."),
        )
    if comparison.is_complete:
        yield ok(_("all %(count)d call this address", count=len(comparison.rules)))


def _is_grave(one: ComparedRule) -> bool:
    """Return whether changes go unreported: an older secret that we still accept does no harm.

    Nor does a rule that watches too many fields; without any, it watches all of them.
    """
    if one.found is None or one.flaws & GRAVE:
        return True
    if Flaw.SECRET in one.flaws and one.found_secret not in settings.ODOO_WEBHOOK_SECRETS:
        return True
    return bool(one.found.watched and one.wanted.watched - one.found.watched)
