"""What all pages share: who may see them, what browsers may do with them, and the navigation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_POST, require_safe

from bc_consumer.console.figures import ledger_figures
from bc_consumer.console.labels import Label

# Nothing inline, nothing from other sites.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

View = Callable[..., HttpResponseBase]

READING = ("GET", "HEAD")
PAGES_OF_FORMS = {
    "bc-ask": "bc-actions",
    "bc-ask-selected": "bc-actions",
    "bc-cancel": "bc-action",
    "bc-rules-ask": "bc-rules",
    "admin:logout": "bc-today",
}
"""By the name of an address that takes a form alone: the page for whoever opens it."""


@dataclass(frozen=True, slots=True)
class Section:
    """An entry of the navigation."""

    name: str
    """The name of its URL."""
    label: Label
    pages: tuple[str, ...] = ()
    """Names of further URLs that belong to it."""


SECTIONS = (
    Section("bc-today", pgettext_lazy("navigation", "Today")),
    Section("bc-orders", pgettext_lazy("navigation", "Orders"), ("bc-order", "bc-search")),
    Section(
        "bc-failures",
        pgettext_lazy("navigation", "Failures"),
        ("bc-failure", "bc-alerts", "bc-held", "bc-letters", "bc-replay"),
    ),
    Section("bc-runs", pgettext_lazy("navigation", "Runs"), ("bc-run", "bc-actions", "bc-action")),
    Section(
        "bc-connections",
        pgettext_lazy("navigation", "Connections"),
        ("bc-rules", "bc-rules-ask"),
    ),
    Section("bc-settings", pgettext_lazy("navigation", "Settings")),
)


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """An entry as one page shows it."""

    url: str
    label: Label
    is_here: bool
    """Whether the page belongs to it."""
    count: int = 0
    """How many things there need somebody."""


def navigation(request: HttpRequest) -> list[NavigationEntry]:
    """Return the entries of the navigation; of a public page, only what everybody may see."""
    here = request.resolver_match.url_name if request.resolver_match else None
    sections = SECTIONS if is_staff(request) else SECTIONS[:1]
    return [
        NavigationEntry(
            reverse(section.name),
            section.label,
            here == section.name or here in section.pages,
            _failures() if section.name == "bc-failures" else 0,
        )
        for section in sections
    ]


def _failures() -> int:
    figures = ledger_figures()
    return figures.failed + figures.held


def page_address(request: HttpRequest) -> str:
    """Return the address of the page that a reader sees, which can be opened.

    What answers a form may stand at an address that takes forms alone.
    """
    match = request.resolver_match
    name = PAGES_OF_FORMS.get(match.view_name) if match is not None else None
    if match is None or name is None:
        return request.get_full_path()
    return reverse(name, kwargs=match.kwargs if name == "bc-action" else None)


def page_of_form(request: HttpRequest) -> str:
    """Return the address of the page that the form stands on, if it is one of ours; else ""."""
    url = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()})
    return url if ours else ""


def is_staff(request: HttpRequest) -> bool:
    """Return whether the reader is logged in and may see the pages."""
    user = getattr(request, "user", None)
    return bool(user is not None and user.is_active and user.is_staff)


def page(view: View) -> View:
    """Admit staff only, and keep the answers out of caches."""
    return require_safe(_guarded(view, public=False))


def public_page(view: View) -> View:
    """Do as ``page`` does, but admit everybody if LIVE_PAGE_PUBLIC is set."""
    return require_safe(_guarded(view, public=True))


def staff_post_only(view: View) -> View:
    """Admit POST only, by staff; the view checks the right to do what is asked.

    Whoever opens the address, e.g. from the browser's history, is led to the page it belongs to.
    """
    taken = require_POST(_guarded(view, public=False))

    @wraps(view)
    def posted(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if request.method in READING:
            return HttpResponseRedirect(page_address(request))
        return taken(request, *args, **kwargs)

    return posted


def _guarded(view: View, *, public: bool) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if not is_staff(request) and not (public and settings.LIVE_PAGE_PUBLIC):
            return _to_login(request)
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    return guarded


def _to_login(request: HttpRequest) -> HttpResponseBase:
    """Lead to the login page, and from there to a page: a form is not sent a second time."""
    back = page_address(request)
    if request.method not in READING:
        messages.warning(
            request, _("Nothing was done: you were not logged in. Log in, then press again.")
        )
        back = page_of_form(request) or back
    return redirect_to_login(back, reverse("admin:login"))
