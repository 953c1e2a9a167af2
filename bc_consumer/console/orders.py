"""The list of orders, its search, and its export."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from bc_consumer.console import column_layout, formatting, search
from bc_consumer.console.csv_export import MOST_ROWS, csv_response, in_parts
from bc_consumer.console.order_filter import OrderFilter
from bc_consumer.console.page import page
from bc_consumer.models import BC, PendingBC

ROWS = 50
COUNTED = 1_000
"""Counting ends there: "more than 1,000" is all that a reader wants to know."""


@page
def orders(request: HttpRequest) -> HttpResponse:
    """Show the orders that a filter lets through, newest first, a page at a time."""
    order_filter = OrderFilter(request.GET)
    found = order_filter.orders()
    shown = _after(found, request)
    rows = list(shown.defer("notes", "extra")[: ROWS + 1])
    is_all = shown is found and len(rows) <= ROWS
    context = {
        "filter": order_filter,
        "orders": _with_pending(rows[:ROWS]),
        "count": len(rows) if is_all else _count(found),
        "counted": COUNTED,
        "next_url": _next_url(request, rows[ROWS - 1]) if len(rows) > ROWS else "",
        "export_url": f"{reverse('bc-orders-csv')}?{_asked(request)}",
    }
    return render(request, "bc_consumer/orders.html", context)


@page
def find(request: HttpRequest) -> HttpResponse:
    """Go to the one order that was named, or to the list of those that may be meant."""
    words = search.readable(request.GET.get("q", ""))
    if words and (odoo_id := search.only_order(words)) is not None:
        return HttpResponseRedirect(reverse("bc-order", args=[odoo_id]))
    return HttpResponseRedirect(f"{reverse('bc-orders')}?{urlencode({'words': words})}")


@page
def orders_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Return the filtered orders as a file, with every column that an order's page shows."""
    columns = [
        "odoo_id",
        "name",
        "state",
        *column_layout.order_page(),
        *column_layout.ADMIN_AMOUNTS[:4],
    ]
    columns = list(dict.fromkeys(columns))
    header = [formatting.field_label(BC, name) for name in columns]
    found = OrderFilter(request.GET).orders().only("odoo_id", *columns)
    return csv_response(_("orders"), header, _rows(found, columns))


def _rows(found: QuerySet[BC], columns: Sequence[str]) -> Iterator[list[Any]]:
    for part in in_parts(found, "odoo_id", MOST_ROWS, newest_first=True):
        for bc in part:
            values = ((name, getattr(bc, name)) for name in columns)
            yield [
                value if _is_plain(value) else formatting.show(BC, name, value)
                for name, value in values
            ]


def _is_plain(value: Any) -> bool:
    """Whether a spreadsheet reads the value itself, so that it can be sorted and summed up."""
    return value in (None, "") or not isinstance(value, (str, list, bool))


def _count(found: QuerySet[BC]) -> int:
    """Count up to ``COUNTED`` and one more. Without an order, so that no row is sorted for it."""
    return found.order_by()[: COUNTED + 1].count()


def _with_pending(rows: Sequence[BC]) -> list[tuple[BC, PendingBC | None]]:
    """Return each order with its row in the ledger, if it has one."""
    pending = PendingBC.objects.filter(odoo_id__in=[bc.odoo_id for bc in rows])
    by_id = {row.odoo_id: row for row in pending.defer("traceback", "last_payload")}
    return [(bc, by_id.get(bc.odoo_id)) for bc in rows]


def _after(found: QuerySet[BC], request: HttpRequest) -> QuerySet[BC]:
    """Begin below the order at which the page before ended: no page costs more than the first."""
    last = search.odoo_id_in(request.GET.get("below", ""))
    return found if last is None else found.filter(odoo_id__lt=last)


def _next_url(request: HttpRequest, last: BC) -> str:
    asked = request.GET.copy()
    asked["below"] = str(last.odoo_id)
    return f"{reverse('bc-orders')}?{asked.urlencode()}"


def _asked(request: HttpRequest) -> str:
    asked = request.GET.copy()
    asked.pop("below", None)
    return asked.urlencode()
