"""What operators ask for in a browser, and the pages that follow what becomes of it.

``operations/action_requests.py`` writes a request down, a worker does it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from bc_consumer.console.action_outcome import parts_kept, shown_result
from bc_consumer.console.page import is_staff, page, page_of_form, staff_post_only
from bc_consumer.console.replay_preview import preview_of
from bc_consumer.console.search import odoo_id_in
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable_field import said
from bc_consumer.models import OperatorAction
from bc_consumer.operations import action_requests
from bc_consumer.operations.action_parameters import READERS, WrongParameters
from bc_consumer.operations.rights import may, may_see_tracebacks

ROWS = 50
LISTS = frozenset({"odoo_ids", "letters"})
"""Parameters of which a form may send several values."""


@staff_post_only
def ask(request: HttpRequest, kind: str = "") -> HttpResponse:
    """Write down what a form asks for, and go back to its page, which shows the outcome.

    A list of selected orders names the kind by the button that was pressed.
    """
    kind = kind or request.POST.get("kind", "")
    if kind not in OperatorAction.Kind.values or OperatorAction.Kind(kind) not in READERS:
        raise Http404
    wanted = OperatorAction.Kind(kind)
    parameters = _parameters(request, wanted)
    if not may(request.user, wanted, forced=bool(parameters.get("force"))):
        raise PermissionDenied
    if preview := preview_of(request, wanted, parameters):
        return HttpResponseRedirect(preview)
    try:
        asked = action_requests.ask(wanted, request.user, **parameters)
    except (WrongParameters, action_requests.TooManyActions) as error:
        messages.error(request, said(error.args[0]))
        return HttpResponseRedirect(page_of_form(request) or reverse("bc-actions"))
    return HttpResponseRedirect(_page_with(request, asked))


def _parameters(request: HttpRequest, kind: OperatorAction.Kind) -> dict[str, Any]:
    return {
        name: request.POST.getlist(name) if name in LISTS else request.POST.get(name, "")
        for name in READERS[kind]
        if name in request.POST
    }


def _page_with(request: HttpRequest, asked: OperatorAction) -> str:
    """Return the page that shows the outcome: that of the form, or else the action's own."""
    path, _mark, query = page_of_form(request).partition("?")
    if not path:
        return reverse("bc-action", args=[asked.pk])
    kept = [pair for pair in query.split("&") if pair and not pair.startswith("action=")]
    return f"{path}?{'&'.join([*kept, urlencode({'action': asked.pk})])}"


def action_of(request: HttpRequest) -> OperatorAction | None:
    """Return the action whose outcome a page is asked to show, if there is one.

    None for readers of a public page: outcomes are for staff.
    """
    if not is_staff(request):
        return None
    number = odoo_id_in(request.GET.get("action", ""))
    return None if number is None else OperatorAction.objects.filter(pk=number).first()


@page
def actions(request: HttpRequest) -> HttpResponse:
    """Show who asked for what, and what became of it, newest first."""
    shown = OperatorAction.objects.order_by("-id").defer("result", "traceback")
    if (last := odoo_id_in(request.GET.get("below", ""))) is not None:
        shown = shown.filter(pk__lt=last)
    rows = list(shown[: ROWS + 1])
    following = f"below={rows[ROWS - 1].pk}" if len(rows) > ROWS else ""
    return render(
        request, "bc_consumer/actions.html", {"actions": rows[:ROWS], "next_query": following}
    )


@page
def action(request: HttpRequest, number: int) -> HttpResponse:
    """Show one action with its outcome. 404 if there is none with this number."""
    return render(request, "bc_consumer/action.html", context_of(request, _found(number)))


@page
def action_content(request: HttpRequest, number: int) -> HttpResponse:
    """Return the part of a page that tells what became of an action; a script asks for it."""
    context = context_of(request, _found(number))
    return render(request, "bc_consumer/action_content.html", context)


@staff_post_only
def cancel(request: HttpRequest, number: int) -> HttpResponse:
    """Cancel an action, and go back to its page. 404 if there is none with this number."""
    answer = action_requests.cancel(_found(number).pk, request.user)
    tell = messages.success if answer.done else messages.error
    tell(request, said(answer.text))
    return HttpResponseRedirect(reverse("bc-action", args=[number]))


def context_of(request: HttpRequest, found: OperatorAction | None) -> Mapping[str, Any]:
    """Return what a page needs to tell of an action."""
    if found is None:
        return {"action": None}
    return {
        "action": found,
        "why_waiting": said(action_requests.reason_for_waiting())
        if action_requests.waiting_too_long(found)
        else "",
        "result": shown_result(found),
        "seconds_left": _seconds_left(found),
        "parts_kept": parts_kept(found.result),
        "may_cancel": action_requests.may_cancel(found, request.user),
        "tell_traceback": may_see_tracebacks(request.user),
    }


def _seconds_left(action: OperatorAction) -> float | None:
    """Return how long the rest will take at the pace so far; None where that says nothing."""
    if not (action.is_unfinished and action.total and action.done and action.started_at):
        return None
    seconds = (database_now() - action.started_at).total_seconds()
    return seconds * max(action.total - action.done, 0) / action.done


def _found(number: int) -> OperatorAction:
    found = OperatorAction.objects.filter(pk=number).first()
    if found is None:
        raise Http404(_("There is no such action; old ones are deleted after a while."))
    return found
