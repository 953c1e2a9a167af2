"""The first page: is the copy fresh, is it right, what needs somebody, and orders arriving."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseRedirect
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe

from bc_consumer.console import charts, correctness, formatting, freshness, verdict
from bc_consumer.console.counts import latest_journal, read_figures
from bc_consumer.console.page import is_staff, public_page
from bc_consumer.console.today_sentences import answers
from bc_consumer.core.translatable_field import said
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import Alert
from bc_consumer.operations import dead_letters, failed_orders

LIVE_ENTRIES = 40
CAUSES = 3
CAUSE_CHARACTERS = 160


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
    return {
        "answers": answers(verdict.today()),
        "figures": read_figures(),
        "last_hour": freshness.shown_last_hour(),
        "delays": charts.delay_chart(freshness.delays_by_hour()),
        "nights": charts.night_chart(correctness.missed_by_night()),
        "notices": list(_causes()) if is_staff(request) else [],
        "links": is_staff(request),
        "journal": latest_journal(LIVE_ENTRIES),
        "tell_errors": is_staff(request),
    }


def _causes() -> Iterator[Notice]:
    """Yield why Odoo is away, and the most frequent causes of failure, with their orders."""
    known = circuit_breaker.current_outage()
    if known is not None:
        yield Notice("trouble", said(known.reason))
    for alert in Alert.objects.filter(key=dead_letters.ALERT):
        yield Notice("trouble", said(alert.text), reverse("bc-failures"))
    if not read_figures().ledger.failed:
        return
    for group in failed_orders.groups(failed_orders.failed(), CAUSES):
        error = formatting.shortened(said(group.example_error), CAUSE_CHARACTERS)
        url = f"{reverse('bc-failure')}?{urlencode({'cause': group.failure})}"
        yield Notice("trouble", f"{formatting.number(group.count)} × {error}", url)
