"""What all pages share: who may see them, what browsers may do with them, and the navigation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_POST, require_safe

from bc_consumer.console.counts import ledger_figures
from bc_consumer.console.labels import Label

# Nothing inline, nothing from other sites.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

View = Callable[..., HttpResponseBase]


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


def form(view: View) -> View:
    """Admit POST only, by staff; the view checks the right to do what is asked."""
    return require_POST(_guarded(view, public=False))


def _guarded(view: View, *, public: bool) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if not is_staff(request) and not (public and settings.LIVE_PAGE_PUBLIC):
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    return guarded
