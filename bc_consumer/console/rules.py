"""The automation rules in Odoo from a browser: status, installation, a new secret.

``manage.py odoo_rules`` does and says the same. The password that somebody types is used within the
request, and stored nowhere (docs/decisions/0044-rules-from-a-browser.md).
"""

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from bc_consumer.console.actions import action_of, context_of
from bc_consumer.console.page import page, staff_post_only
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.translatable_field import said
from bc_consumer.models import OperatorAction
from bc_consumer.operations import actions_within_request
from bc_consumer.operations.action_requests import TooManyActions
from bc_consumer.operations.actions_within_request import Account
from bc_consumer.operations.rights import may

Kind = OperatorAction.Kind
WHAT = ("status", "install", "rotate")
LONGEST = 500
"""Characters of a login, and of a password."""


@page
def rules(request: HttpRequest) -> HttpResponse:
    """Show what became of the latest look, and the form. Odoo is not asked."""
    shown = action_of(request)
    if shown is None or shown.kind != Kind.RULES:
        shown = OperatorAction.objects.filter(kind=Kind.RULES).order_by("-pk").first()
    return render(request, "bc_consumer/rules.html", _context(request, shown))


@staff_post_only
@sensitive_post_parameters("password")
@sensitive_variables()
def ask_rules(request: HttpRequest) -> HttpResponse:
    """Do what the form asks for, with the account that was typed, and show what came of it.

    A new secret is in this answer alone, so it is not fetched by a second request.
    """
    if not may(request.user, Kind.RULES):
        raise PermissionDenied
    what = request.POST.get("what", "")
    if what not in WHAT:
        raise Http404
    account = Account(
        request.POST.get("login", "").strip()[:LONGEST],
        request.POST.get("password", "")[:LONGEST],
    )
    if bool(account.login) != bool(account.password):
        messages.error(
            request,
            _(
                "Login and password belong together: fill in both fields, or neither of them."
                " Nothing was begun."
            ),
        )
        return HttpResponseRedirect(reverse("bc-rules"))
    parameters = {
        "what": what,
        "own_account": bool(account.login),
        "unchecked": bool(request.POST.get("unchecked")),
        "move": bool(request.POST.get("move")),
    }
    try:
        done, shown_once = actions_within_request.perform(
            Kind.RULES, request.user, account, parameters
        )
    except TooManyActions as error:
        messages.error(request, said(error.args[0]))
        return HttpResponseRedirect(reverse("bc-rules"))
    if not shown_once:
        return HttpResponseRedirect(f"{reverse('bc-rules')}?action={done.pk}")
    context = {**_context(request, done), "shown_once": shown_once}
    return render(request, "bc_consumer/rules.html", context)


def _context(request: HttpRequest, shown: OperatorAction | None) -> dict[str, object]:
    return {
        "public_url": redacted(settings.PUBLIC_URL),
        "rules_name": settings.ODOO_RULES_NAME,
        "secrets": len(settings.ODOO_WEBHOOK_SECRETS),
        "odoo_url": redacted(settings.ODOO_URL),
        "admin_login": settings.ODOO_ADMIN_LOGIN,
        "seconds": int(actions_within_request.SECONDS),
        **context_of(request, shown),
    }
