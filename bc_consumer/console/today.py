"""The first page: is the copy fresh, is it right, what needs somebody, and orders arriving."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseRedirect
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from bc_consumer.console import formatting
from bc_consumer.console.counts import Figures, latest_journal, read_figures
from bc_consumer.console.page import is_staff, public_page
from bc_consumer.core.translatable_field import said
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import Alert, DeadLetter, Heartbeat
from bc_consumer.operations import dead_letters, failed_orders, heartbeats

LIVE_ENTRIES = 40
CAUSES = 3
CAUSE_CHARACTERS = 160
WAITING_SECONDS = 60.0
"""An order owed for longer than this raises a notice; normally it takes well under a second."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person should know or do."""

    level: str
    """trouble or hint"""
    text: str
    url: str = ""


@public_page
def today(request: HttpRequest) -> HttpResponse:
    """Show the figures and the latest journal entries; a script refreshes the content."""
    return render(request, "bc_consumer/today.html", _context(request))


@require_safe
def today_content(request: HttpRequest) -> HttpResponse:
    """Return the refreshed content as HTML; without a login 403 instead of a login page."""
    if not settings.LIVE_PAGE_PUBLIC and not is_staff(request):
        return HttpResponseForbidden()
    response = render(request, "bc_consumer/today_content.html", _context(request))
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def icon(_request: HttpRequest) -> HttpResponse:
    """Redirect to the icon."""
    return HttpResponseRedirect(static("bc_consumer/icon.svg"))


def _context(request: HttpRequest) -> dict[str, object]:
    figures = read_figures()
    return {
        "figures": figures,
        "notices": list(_notices(figures, is_staff=is_staff(request))),
        "journal": latest_journal(LIVE_ENTRIES),
        "tell_errors": is_staff(request),
    }


def _notices(figures: Figures, *, is_staff: bool) -> Iterator[Notice]:
    """Yield what a person should know; to staff only what may name accounts or quote Odoo."""
    yield from _set_up()
    yield from _odoo_away(tell_why=is_staff)
    yield from _trouble(figures)
    if is_staff:
        if figures.ledger.failed:
            yield from _causes_of_failures()
        yield from _kept_aside()


def _set_up() -> Iterator[Notice]:
    """Report missing settings without which no order can arrive."""
    if not settings.ODOO_URL:
        yield Notice("trouble", _("No Odoo is configured: set ODOO_URL and its three companions."))
    if not settings.ODOO_WEBHOOK_SECRETS:
        yield Notice(
            "trouble",
            _("Every webhook is refused: set ODOO_WEBHOOK_SECRETS, and put a secret into Odoo."),
        )


def _odoo_away(*, tell_why: bool) -> Iterator[Notice]:
    """Report since when calls to Odoo are suspended, and why."""
    known = circuit_breaker.current_outage()
    if known is None:
        return
    if known.refused:
        text = _("Odoo has rejected our access since %(time)s: check the login and its rights.")
    else:
        text = _("Odoo has not answered since %(time)s. Nothing is lost meanwhile.")
    told = text % {"time": formatting.clock(known.since)}
    yield Notice("trouble", f"{told} {said(known.reason)}" if tell_why else told)


def _trouble(figures: Figures) -> Iterator[Notice]:
    ledger = figures.ledger
    oldest = ledger.oldest_owed_seconds
    if oldest is not None and oldest > WAITING_SECONDS:
        yield Notice(
            "trouble",
            _("An order has waited for %(age)s: can Odoo be reached, and is a worker running?")
            % {"age": formatting.duration(oldest)},
            _pending_url("owed"),
        )
        if not heartbeats.alive()[Heartbeat.Kind.WORKER]:
            yield Notice("trouble", _("No worker is running: start one."))
    if ledger.failed:
        text = ngettext(
            "%(count)s order could not be copied: see the cause and what to do.",
            "%(count)s orders could not be copied: see the cause and what to do.",
            ledger.failed,
        )
        count = formatting.number(ledger.failed)
        yield Notice("trouble", text % {"count": count}, _pending_url("failed"))
    if ledger.held:
        text = ngettext(
            "Archiving of %(count)s order is on hold: your decision is needed.",
            "Archiving of %(count)s orders is on hold: your decision is needed.",
            ledger.held,
        )
        yield Notice(
            "trouble", text % {"count": formatting.number(ledger.held)}, _pending_url("held")
        )


def _causes_of_failures() -> Iterator[Notice]:
    """Yield the most frequent causes of failure, each with a link to its orders."""
    for group in failed_orders.groups(failed_orders.failed(), CAUSES):
        error = formatting.shortened(said(group.example_error), CAUSE_CHARACTERS)
        url = f"{_pending_url('failed')}&{urlencode({'failure': group.failure})}"
        yield Notice("trouble", f"{formatting.number(group.count)} × {error}", url)


def _kept_aside() -> Iterator[Notice]:
    """Report messages that could not be read, whether in our table or still in RabbitMQ."""
    for alert in Alert.objects.filter(key=dead_letters.ALERT):
        yield Notice("trouble", said(alert.text))
    if count := DeadLetter.objects.count():
        text = ngettext(
            "%(count)s message from RabbitMQ needs your attention.",
            "%(count)s messages from RabbitMQ need your attention.",
            count,
        )
        url = reverse("admin:bc_consumer_deadletter_changelist")
        yield Notice("trouble", text % {"count": formatting.number(count)}, url)


def _pending_url(standing: str) -> str:
    return f"{reverse('admin:bc_consumer_pendingbc_changelist')}?standing={standing}"
