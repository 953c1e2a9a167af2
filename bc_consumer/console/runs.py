"""The runs of the reconciliation: what each found, and how far the one at work is."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from bc_consumer.console import formatting
from bc_consumer.console.actions import action_of, context_of
from bc_consumer.console.csv_export import MOST_ROWS, csv_response, in_parts
from bc_consumer.console.figures import EntryWithOrder, journal_of_run
from bc_consumer.console.page import page
from bc_consumer.console.search import odoo_id_in
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable_field import said
from bc_consumer.ledger import outstanding
from bc_consumer.models import SyncLog, SyncState
from bc_consumer.operations import run_control
from bc_consumer.operations.phase_words import describe_phase

ROWS = 50
JOURNAL_ENTRIES = 100
FIGURES = (
    "found_by_window", "found_by_digest", "found_by_names", "gone", "missed_by_webhooks",
    "scrubbed", "same_date", "bc_count", "applied", "unchanged", "archived", "held",
    "error_count", "line_count", "lines_deleted", "odoo_calls", "odoo_bytes",
)  # fmt: skip
"""Columns with numbers, in the order in which a page tells them."""


@page
def runs(request: HttpRequest) -> HttpResponse:
    """Show the run at work, and those before, newest first."""
    shown = SyncLog.objects.order_by("-id")
    cause = request.GET.get("cause", "")
    if cause in SyncLog.Cause.values:
        shown = shown.filter(cause=cause)
    if (last := odoo_id_in(request.GET.get("below", ""))) is not None:
        shown = shown.filter(pk__lt=last)
    rows = list(shown.defer("traceback")[: ROWS + 1])
    following = request.GET.copy()
    if len(rows) > ROWS:
        following["below"] = str(rows[ROWS - 1].pk)
    context = {
        **_at_work(),
        "runs": rows[:ROWS],
        "interrupted": [one.pk for one in rows[:ROWS] if _is_interrupted(one)],
        "causes": SyncLog.Cause.choices,
        "cause": cause,
        "next_query": following.urlencode() if len(rows) > ROWS else "",
        **context_of(request, action_of(request)),
    }
    return render(request, "bc_consumer/runs.html", context)


def _at_work() -> dict[str, Any]:
    """Return what the buttons need to know of the lock, and of the run that has it.

    The lock of a killed run is nobody's once its lease is over, and a poll gives way to a run.
    """
    state = SyncState.objects.filter(key=SyncState.KEY).first()
    running = run_control.latest_running()
    lease_until = state.lease_until if state is not None and state.is_syncing else None
    is_held = lease_until is not None and lease_until >= database_now()
    is_poll = running is not None and running.cause == SyncLog.Cause.POLL
    goes_on = running is not None and running.cause == SyncLog.Cause.NIGHTLY
    return {
        "state": state,
        "holder": said(run_control.describe_holder()),
        "may_begin": is_poll or not is_held,
        "to_stop": running if is_held or goes_on else None,
        "is_nightly": goes_on,
    }


@page
def run(request: HttpRequest, number: int) -> HttpResponse:
    """Show everything that one run found and did; a script refreshes it while the run is at work.

    404 if there is no such run.
    """
    return render(request, "bc_consumer/run.html", _context_of(number))


@page
def run_content(request: HttpRequest, number: int) -> HttpResponse:
    """Return the content of a run's page, for the script."""
    return render(request, "bc_consumer/run_content.html", _context_of(number))


def _context_of(number: int) -> dict[str, Any]:
    found = SyncLog.objects.filter(pk=number).first()
    if found is None:
        raise Http404(_("There is no run with this number; old ones are deleted after a while."))
    journal: list[EntryWithOrder] = journal_of_run(found.pk, JOURNAL_ENTRIES)
    is_interrupted = _is_interrupted(found)
    is_running = found.status == SyncLog.Status.RUNNING and not is_interrupted
    to_read = outstanding(found.pk) if is_running else 0
    return {
        "run": found,
        "is_running": is_running,
        "interrupted": [found.pk] if is_interrupted else [],
        "phase": said(describe_phase(found.phase)),
        "outstanding": to_read,
        "known": found.bc_count + to_read,
        "seconds": ((found.ended_at or timezone.now()) - found.started_at).total_seconds(),
        "figures": [
            (formatting.field_label(SyncLog, name), value)
            for name in FIGURES
            if (value := getattr(found, name))
        ],
        "journal": journal,
        "tell_errors": True,
    }


def _is_interrupted(run: SyncLog) -> bool:
    """Return whether nobody has this run in hand although its row says that it is running."""
    return run.status == SyncLog.Status.RUNNING and not run_control.is_at_work(run)


@page
def runs_csv(_request: HttpRequest) -> StreamingHttpResponse:
    """Return all runs as a file, newest first."""
    columns = ("id", "started_at", "ended_at", "status", "cause", *FIGURES)
    header = [*(formatting.field_label(SyncLog, name) for name in columns), _("error")]
    return csv_response(_("runs"), header, _csv_rows(columns))


def _csv_rows(columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    slim = SyncLog.objects.defer("traceback")
    for part in in_parts(slim, "pk", MOST_ROWS, newest_first=True):
        for one in part:
            yield [*(getattr(one, name) for name in columns), said(one.error)]
