"""The first page: is the copy fresh, is it right, what needs somebody, and orders arriving."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseRedirect
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from bc_consumer.console import charts, correctness, formatting, freshness, verdict
from bc_consumer.console.alerts import ShownAlert, open_alerts
from bc_consumer.console.figures import (
    EntryWithOrder,
    Figures,
    copy_figures,
    delay_figures,
    latest_journal,
)
from bc_consumer.console.page import is_staff, public_page
from bc_consumer.console.today_sentences import answers
from bc_consumer.core.cached_value import CachedValue
from bc_consumer.core.translatable_field import said
from bc_consumer.operations import failed_orders

LIVE_ENTRIES = 40
CAUSES = 3
ALERTS = 5
CAUSE_CHARACTERS = 160
JOURNAL_SHARE = 0.003
"""Share of a connection's time, for each process."""
JOURNAL_SECONDS = 0.5
"""Orders that arrive are never shown later than this, however slow the machine is."""
SHARE = 0.001
"""The same for figures of which nobody sees that they are some seconds old."""
COPY_SHARE = 0.003
"""The same for the size of the copy, which is counted in large tables."""
STAFF_SECONDS = 5.0
"""How long the refreshes of a tab go on after its reader has logged out elsewhere."""
MOST_READERS = 1_000
_staff_until: dict[str, float] = {}
"""Key of a session → the moment, of ``time.monotonic()``, until which it is known to be staff's."""


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
    return render(request, "bc_consumer/today.html", _context(staff=is_staff(request)))


@require_safe
def today_content(request: HttpRequest) -> HttpResponse:
    """Return the refreshed content as HTML; without a login 403 instead of a login page."""
    staff = _was_staff_lately(request)
    if not settings.LIVE_PAGE_PUBLIC and not staff:
        return HttpResponseForbidden()
    response = render(request, "bc_consumer/today_content.html", _context(staff=staff))
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def icon(_request: HttpRequest) -> HttpResponse:
    """Redirect to the icon."""
    return HttpResponseRedirect(static("bc_consumer/icon.svg"))


@dataclass(frozen=True, slots=True)
class _Troubles:
    """The most frequent causes of failure, and the latest open alerts."""

    causes: list[failed_orders.FailureGroup]
    alerts: list[ShownAlert]


def _read_troubles() -> _Troubles:
    causes = failed_orders.groups(failed_orders.failed(), CAUSES)
    return _Troubles(causes, open_alerts()[:ALERTS])


def _read_journal() -> list[EntryWithOrder]:
    return latest_journal(LIVE_ENTRIES)


troubles = CachedValue(_read_troubles, share=SHARE)
journal = CachedValue(_read_journal, share=JOURNAL_SHARE, longest=JOURNAL_SECONDS)
copy_size = CachedValue(copy_figures, share=COPY_SHARE)
delay = CachedValue(delay_figures, share=SHARE)


def _was_staff_lately(request: HttpRequest) -> bool:
    """Do as ``is_staff``, but ask the database once in some seconds for each reader's tabs."""
    key, now = request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""), time.monotonic()
    if _staff_until.get(key, 0.0) > now:
        return True
    staff = is_staff(request)
    if staff and key:
        if len(_staff_until) >= MOST_READERS:
            _staff_until.clear()
        _staff_until[key] = now + STAFF_SECONDS
    return staff


def _context(*, staff: bool) -> dict[str, object]:
    return {
        "answers": answers(verdict.judge_copy()),
        "figures": Figures(copy_size(), freshness.present().ledger, delay()),
        "last_hour": freshness.shown_last_hour(),
        "delays": charts.delay_chart(freshness.delays_by_hour()),
        "nights": charts.night_chart(correctness.missed_by_night()),
        "notices": list(_causes()) if staff else [],
        "links": staff,
        "journal": journal(),
        "tell_errors": staff,
    }


def _alerts(alerts: Iterable[ShownAlert]) -> Iterator[Notice]:
    """Yield the open alerts; what a person takes care of, or has muted, is a hint."""
    for one in alerts:
        alert = one.alert
        known = bool(alert.acknowledged_by or one.muted_until)
        subject = said(alert.subject) or formatting.shortened(
            said(alert.text) or alert.key, CAUSE_CHARACTERS
        )
        text = _("%(subject)s, since %(since)s") % {
            "subject": subject[:1].upper() + subject[1:],
            "since": formatting.clock(alert.first_at),
        }
        if alert.count > 1:
            text += " · " + _("%(count)s times") % {"count": formatting.number(alert.count)}
        if alert.acknowledged_by:
            text += " · " + _("%(who)s takes care of it") % {"who": alert.acknowledged_by}
        if one.muted_until:
            text += " · " + _("muted until %(until)s") % {
                "until": formatting.clock(one.muted_until)
            }
        yield Notice("hint" if known else "trouble", text, reverse("bc-alerts"))


def _causes() -> Iterator[Notice]:
    """Yield why Odoo is away, and the most frequent causes of failure, with their orders."""
    outage = verdict.attention().outage
    if outage is not None:
        yield Notice("trouble", said(outage.reason))
    known = troubles()
    yield from _alerts(known.alerts)
    for group in known.causes:
        error = formatting.shortened(said(group.example_error), CAUSE_CHARACTERS)
        url = f"{reverse('bc-failure')}?{urlencode({'cause': group.failure})}"
        yield Notice("trouble", f"{formatting.number(group.count)} × {error}", url)
