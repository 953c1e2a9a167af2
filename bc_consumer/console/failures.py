"""What needs somebody: failed orders by cause, held ones, waiting ones, alerts, odd messages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from bc_consumer import ledger
from bc_consumer.console.actions import action_of, context_of
from bc_consumer.console.alerts import MUTE_HOURS, more_alerts, open_alerts
from bc_consumer.console.csv_export import MOST_ROWS, csv_response, in_parts
from bc_consumer.console.failure_advice import Advice, advice_for
from bc_consumer.console.page import page
from bc_consumer.console.search import odoo_id_in
from bc_consumer.core.translatable_field import said
from bc_consumer.models import BC, DeadLetter, PendingBC
from bc_consumer.operations import failed_orders

CAUSES = 30
ROWS = 100
"""Orders that one page lists; a file has more."""
HELD_ROWS = 20
"""Orders on hold that the page of all failures shows; there is a page of them all."""
LONGEST_CAUSE = 4096
"""The most characters of a cause in an address."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Failed orders that share a cause, with one of them as an example."""

    group: failed_orders.FailureGroup
    advice: Advice
    example: BC | None


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """A row of the ledger with its order, which the copy may not have yet."""

    pending: PendingBC
    bc: BC | None
    advice: Advice


@page
def failures(request: HttpRequest) -> HttpResponse:
    """Show everything that needs somebody, each with what can be done."""
    causes, counts = _causes(), _counts()
    waiting = _with_orders(_waiting()[:ROWS])
    open_ones = open_alerts()
    context = {
        "causes": causes,
        "of_other_causes": max(counts["failed"] - sum(one.group.count for one in causes), 0),
        "held": _with_orders(_held().defer("traceback", "last_payload")[:HELD_ROWS]),
        "held_count": counts["held"],
        "waiting": waiting,
        "more_waiting": max(counts["waiting"] - len(waiting), 0),
        "alerts": open_ones,
        "more_alerts": more_alerts(open_ones),
        "mute_hours": MUTE_HOURS,
        "dead_letters": DeadLetter.objects.count(),
        **context_of(request, action_of(request)),
    }
    return render(request, "bc_consumer/failures.html", context)


@page
def failed_of_cause(request: HttpRequest) -> HttpResponse:
    """Show the failed orders of one cause, or all of them, a page at a time."""
    cause = _asked_cause(request)
    rows = _failed(cause)
    shown = rows.order_by("odoo_id")
    if (last := odoo_id_in(request.GET.get("above", ""))) is not None:
        shown = shown.filter(odoo_id__gt=last)
    found = list(shown.defer("traceback", "last_payload")[: ROWS + 1])
    following = request.GET.copy()
    if len(found) > ROWS:
        following["above"] = str(found[ROWS - 1].odoo_id)
    group = next(iter(failed_orders.groups(rows, 1)), None)
    context = {
        "cause": cause,
        "group": group,
        "advice": advice_for(group.error_class) if group and cause else None,
        "count": rows.count(),
        "rows": _with_orders(found[:ROWS]),
        "next_query": following.urlencode() if len(found) > ROWS else "",
        **context_of(request, action_of(request)),
    }
    return render(request, "bc_consumer/failed_of_cause.html", context)


@page
def held(request: HttpRequest) -> HttpResponse:
    """Show the orders on hold, a page at a time, with what can be done about all of them."""
    shown = _held().order_by("odoo_id")
    if (last := odoo_id_in(request.GET.get("above", ""))) is not None:
        shown = shown.filter(odoo_id__gt=last)
    found = list(shown.defer("traceback", "last_payload")[: ROWS + 1])
    following = request.GET.copy()
    if len(found) > ROWS:
        following["above"] = str(found[ROWS - 1].odoo_id)
    context = {
        "count": _held().count(),
        "rows": _with_orders(found[:ROWS]),
        "next_query": following.urlencode() if len(found) > ROWS else "",
        **context_of(request, action_of(request)),
    }
    return render(request, "bc_consumer/held.html", context)


@page
def failures_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Return failed orders as a file: those of one cause, or all."""
    rows = _failed(_asked_cause(request))
    header = (
        _("Odoo id"), pgettext("column of a list", "Order"), _("Supplier"), _("Kind of error"),
        _("Error"), _("Attempts"),
        _("First failed"), _("Given up"),
    )  # fmt: skip
    return csv_response(_("failed orders"), header, _csv_rows(rows))


def _csv_rows(rows: QuerySet[PendingBC]) -> Iterator[Sequence[Any]]:
    slim = rows.defer("traceback", "last_payload")
    for part in in_parts(slim, "odoo_id", MOST_ROWS, newest_first=False):
        yield from map(_csv_row, _with_orders(part))


def _csv_row(one: PendingOrder) -> Sequence[Any]:
    row, bc = one.pending, one.bc
    return (
        row.odoo_id, bc.name if bc else "", bc.partner_name if bc else "", row.error_class,
        said(row.last_error), row.attempts, row.first_failed_at, row.failed_at,
    )  # fmt: skip


def _asked_cause(request: HttpRequest) -> str:
    """Return the cause in the address, without the NUL that PostgreSQL refuses."""
    return request.GET.get("cause", "").replace("\0", "")[:LONGEST_CAUSE]


def _failed(cause: str) -> QuerySet[PendingBC]:
    rows = failed_orders.failed()
    return rows.filter(failure=cause) if cause else rows


def _held() -> QuerySet[PendingBC]:
    return PendingBC.objects.filter(failed_at__isnull=True).exclude(held_reason="").order_by("pk")


def _waiting() -> QuerySet[PendingBC]:
    return PendingBC.objects.filter(ledger.in_vain()).order_by("pk")


def _causes() -> list[Cause]:
    groups = failed_orders.groups(failed_orders.failed(), CAUSES)
    examples = _orders_of([group.example for group in groups])
    return [Cause(one, advice_for(one.error_class), examples.get(one.example)) for one in groups]


def _counts() -> dict[str, int]:
    """Count the failed orders, those on hold and those that wait for another one, in one go."""
    counts: dict[str, int] = PendingBC.objects.aggregate(
        failed=Count("pk", filter=Q(failed_at__isnull=False)),
        held=Count("pk", filter=Q(failed_at__isnull=True) & ~Q(held_reason="")),
        waiting=Count("pk", filter=ledger.in_vain()),
    )
    return counts


def _with_orders(rows: QuerySet[PendingBC] | Sequence[PendingBC]) -> list[PendingOrder]:
    found = list(rows)
    orders = _orders_of([row.odoo_id for row in found])
    return [
        PendingOrder(row, orders.get(row.odoo_id), advice_for(row.error_class)) for row in found
    ]


def _orders_of(ids: Sequence[int]) -> dict[int, BC]:
    orders = BC.objects.filter(odoo_id__in=ids).defer("notes", "extra")
    return {bc.odoo_id: bc for bc in orders}
