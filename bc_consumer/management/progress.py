"""Shows the progress of a run: a bar on a terminal, a line every few seconds in a log.

docs/decisions/0035-libraries-weighed.md says why no library draws the bar.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TextIO

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bc_consumer.console.formatting import duration, number
from bc_consumer.core.translatable_field import said
from bc_consumer.management.status_line import StatusLine
from bc_consumer.models import SyncLog
from bc_consumer.operations.phase_words import describe_phase
from bc_consumer.reconciliation.dry_run import DryRun

Phase = SyncLog.Phase

BAR_SECONDS, LINE_SECONDS = 0.25, 5.0
"""The interval between two updates."""
RATE_SECONDS = 15.0
"""The rate is an average over this many seconds."""
CELLS = 24
WIDE = 100
"""Columns of a terminal that has room for all cells and for the text behind them."""
PHASES_OF_A_FIRST_LOAD: dict[str, str | Promise] = {
    Phase.ORDERS: gettext_lazy("listing the orders"),
    Phase.DRAIN: gettext_lazy("reading the orders"),
}


@dataclass(frozen=True, slots=True)
class ProgressState:
    """The state of a run: how many orders, or reads of orders, are done and known."""

    phase: str
    done: int
    known: int | None = None
    """None while the number is unknown."""
    final: bool = False
    """``known`` no longer grows, so the remaining time can be estimated."""
    reads: bool = False
    """The figures count reads, of which an order may need several."""
    failed: int = 0
    first_load: bool = False


class Display(Protocol):
    """Shows the state of a run."""

    seconds: float
    """The interval between two updates."""

    def show(self, standing: ProgressState) -> None:
        """Show this state."""

    def close(self) -> None:
        """Free the line for the next writer."""


class _Rate:
    """Orders a second, over the last ``RATE_SECONDS``."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def add(self, done: int) -> float:
        now = time.monotonic()
        self._points.append((now, done))
        while len(self._points) > 2 and self._points[1][0] < now - RATE_SECONDS:
            self._points.popleft()
        began, first = self._points[0]
        return (done - first) / (now - began) if now > began else 0.0


class Bar:
    """Draws the state in the status line of a terminal."""

    seconds = BAR_SECONDS

    def __init__(self, line: StatusLine) -> None:
        self._line = line
        self._rate = _Rate()

    def show(self, standing: ProgressState) -> None:
        """Draw the bar."""
        text = progress_line(standing, self._rate.add(standing.done))
        if standing.final and standing.known:
            cells = CELLS if self._line.columns >= WIDE else CELLS // 2
            full = min(cells * standing.done // standing.known, cells)
            text = f"{'█' * full}{'░' * (cells - full)} {text}"
        self._line.show(text)

    def close(self) -> None:
        """Remove the bar."""
        self._line.show("")


class Lines:
    """Writes a plain line for each update, for logs."""

    seconds = LINE_SECONDS

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rate = _Rate()

    def show(self, standing: ProgressState) -> None:
        """Write one line."""
        self._out.write(progress_line(standing, self._rate.add(standing.done)) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Do nothing: the lines stay."""


def display(line: StatusLine, out: TextIO) -> Display:
    """Return the display that suits a terminal with this status line, or else this stream."""
    return Bar(line) if line.is_on_terminal else Lines(out)


def progress_line(standing: ProgressState, rate: float) -> str:
    """Describe the state of a run in one line."""
    known = standing.known
    text = _reads_text(standing) if standing.reads else _orders_text(standing)
    parts = [text % {"done": number(standing.done), "known": number(known)}]
    if rate > 0:
        parts.append(_("%(rate)s/s") % {"rate": number(round(rate))})
        if standing.final and known is not None and known > standing.done:
            parts.append(_("%(time)s left") % {"time": duration((known - standing.done) / rate)})
    if standing.failed:
        parts.append(_("%(count)s failed") % {"count": number(standing.failed)})
    phase = phase_label(standing.phase)
    if standing.first_load:
        phase = str(PHASES_OF_A_FIRST_LOAD.get(standing.phase, phase))
        parts.insert(0, _("first load"))
    return " · ".join([*parts, phase])


def _orders_text(standing: ProgressState) -> str:
    if standing.known is None:
        return _("%(done)s orders")
    if standing.final:
        return _("%(done)s of %(known)s orders")
    return _("%(done)s of %(known)s orders known so far")


def _reads_text(standing: ProgressState) -> str:
    if standing.known is None:
        return _("%(done)s reads of orders")
    if standing.final:
        return _("%(done)s of %(known)s reads of orders")
    return _("%(done)s of %(known)s reads of orders known so far")


def phase_label(phase: str) -> str:
    """Return the name of a phase in the active language."""
    return said(describe_phase(phase))


class RunProgress:
    """Shows the progress of a reconciliation; ``reconcile`` takes it.

    ``count`` asks Odoo how many orders have an id above the given one; it returns None when Odoo
    does not answer. It is called once, and only by a run that reads every order.
    """

    def __init__(self, display: Display, count: Callable[[int], int | None]) -> None:
        self._display = display
        self._count = count
        self._first: int | None = None
        """The run reads the orders above this id."""
        self._total: int | None = None
        self._next = time.monotonic() + display.seconds

    def __call__(self, run: SyncLog, outstanding: int) -> None:
        """Show the progress, unless the last update is recent."""
        if self._first is None:
            self._first = run.cursor if run.phase == Phase.ORDERS else 0
        if time.monotonic() < self._next:
            return
        if self._total is None and (run.full or run.is_first_load):
            self._total = self._count(self._first)
        self._next = time.monotonic() + self._display.seconds
        # Workers update the row; the copy in this process is older.
        row = SyncLog.objects.values_list("bc_count", "error_count")
        done, failed = row.get(pk=run.pk)
        standing = ProgressState(
            run.phase,
            done,
            max(done + outstanding, self._total or 0),
            final=self._total is not None or run.phase == Phase.DRAIN,
            reads=True,
            failed=failed,
            first_load=run.is_first_load,
        )
        self._display.show(standing)


class ScanProgress:
    """Shows the progress of a dry run; ``DryRun`` takes it. ``total``: all orders, if known."""

    def __init__(self, display: Display, total: int | None = None) -> None:
        self._display = display
        self._total = total
        self._next = time.monotonic() + display.seconds

    def __call__(self, scan: DryRun) -> None:
        """Show the progress, unless the last update is recent."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._display.seconds
        final = self._total is not None
        self._display.show(ProgressState(scan.phase, scan.compared, self._total, final))
