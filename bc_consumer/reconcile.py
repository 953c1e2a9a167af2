"""The reconciliation: find what differs, mark it, work it off, move the watermark.

One run is one SyncLog row. It goes through its phases page by page and keeps its place in that
row, so that it can go on there: a nightly run's next slice, an interrupted first load.
"""

import logging
import time
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from bc_consumer import brake, detect, ledger, outage, process, retention
from bc_consumer.alerts import alert, over
from bc_consumer.crew import crew
from bc_consumer.database_clock import database_now
from bc_consumer.digest import Digest
from bc_consumer.lock import Lock, LockLost, ask_to_give_way
from bc_consumer.models import Lane, PendingBC, SyncLog, SyncState
from bc_consumer.odoo import (
    NAMING_MODELS,
    NoRights,
    OdooAccessError,
    OdooError,
    OdooFault,
    OdooInterrupted,
    OdooProtocolError,
    OdooRefused,
)
from bc_consumer.odoo_connection import odoo
from bc_consumer.publisher import publisher

if TYPE_CHECKING:
    from datetime import datetime

logger = logging.getLogger(__name__)
Status = SyncLog.Status
Cause = SyncLog.Cause

OUTSTANDING = 4000
"""Marks of one run that wait at the same time: the ledger stays small however much is found."""
GIVE_WAY_SECONDS = 30.0
HAND_OVER_SECONDS = 600.0
"""The next slice must come within this, or anybody may take the run over."""
POLL_PROOF = timedelta(seconds=5)
"""A poll leaves the long proof to the nightly run: it comes again too soon for that."""
WAKE_UPS = 8
"""Messages a page of bulk marks sends: each worker thread that wakes takes whole batches."""
LOOK_SECONDS = 0.2
ASK_SECONDS = 5.0
"""Between two calls by which a run finds out for itself why the workers leave Odoo alone."""
FIRST, DONE = "mapping", "done"
INTERRUPTED = "interrupted: the next run goes on"


class AlreadyRunning(Exception):
    """Another run holds the lock; ``owner`` says which."""


class Braked(Exception):
    """More orders seem gone than the brake allows; nothing was archived."""


class GaveWay(Exception):
    """This poll ends because a run waits for the lock."""


class Interrupted(Exception):
    """The process was told to stop; the run goes on where it was."""


class SliceOver(Exception):
    """This slice's time is up; the run goes on in another."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a run is asked for."""

    cause: SyncLog.Cause
    full: bool = False
    since: "datetime | None" = None
    forced: bool = False
    digest: bool = True


class Progress(Protocol):
    """Is told how a run gets on; see the management command."""

    def __call__(self, run: SyncLog, outstanding: int) -> None:
        """Show it."""


def reconcile(wish: Wish, progress: Progress | None = None) -> SyncLog:
    """Do one whole run, here and now; return its SyncLog row, ended.

    Raises AlreadyRunning when another run holds the lock, and Interrupted when the process is told
    to stop. Whatever else goes wrong ends the run as failed, refused or braked, with its error.
    """
    lock = _taken_lock(wish.cause)
    try:
        worker = _Run(lock, _begun(wish), progress)
    except BaseException:
        lock.give_back()
        raise
    return worker.finish()


def reconcile_slice(run_id: int | None) -> int | None:
    """Do one slice of a nightly run; return the run's id while it is not over.

    ``run_id`` None begins the run. Raises AlreadyRunning.
    """
    lock = Lock()
    if not lock.take(run_id):
        raise AlreadyRunning(holder())
    run = SyncLog.objects.filter(pk=run_id, status=Status.RUNNING).first() if run_id else None
    if run_id is not None and run is None:
        lock.give_back()
        return None
    run = run or _begun(Wish(Cause.NIGHTLY))
    worker = _Run(lock, run, None, seconds=settings.SYNC_SLICE_SECONDS)
    try:
        worker.finish()
    except SliceOver:
        return run.pk
    return None


def _taken_lock(cause: SyncLog.Cause) -> Lock:
    lock = Lock()
    end = time.monotonic() + (0 if cause == Cause.POLL else GIVE_WAY_SECONDS)
    while not lock.take():
        polling = SyncLog.objects.filter(status=Status.RUNNING, cause=Cause.POLL).exists()
        if not polling or time.monotonic() >= end:
            raise AlreadyRunning(holder())
        ask_to_give_way()
        if process.stopping.wait(LOOK_SECONDS):
            raise Interrupted("the process is stopping")
    return lock


def holder() -> str:
    """Say which run has the lock, as far as the runs tell."""
    running = SyncLog.objects.filter(status=Status.RUNNING).order_by("-id").first()
    if running is None:
        return _("another run")
    return _("run %(id)s (%(cause)s, begun at %(time)s)") % {
        "id": running.pk,
        "cause": running.get_cause_display(),
        "time": f"{timezone.localtime(running.started_at):%H:%M:%S}",
    }


def _begun(wish: Wish) -> SyncLog:
    """Close what a killed run left open, and open a new row; goes on with a first load."""
    left = SyncLog.objects.filter(status=Status.RUNNING)
    left.update(
        status=Status.FAILED, ended_at=Now(), error="killed: its lease ran out before it ended"
    )
    ledger.let_go(forced=wish.forced)
    state = SyncState.objects.get(key=SyncState.KEY)
    run = SyncLog(started_at=database_now(), cause=wish.cause, phase=FIRST)
    run.full, run.forced, run.digest = wish.full, wish.forced, wish.digest
    run.window_since = wish.since
    if run.window_since is None and state.last_sync is not None:
        run.window_since = state.last_sync - timedelta(seconds=settings.SYNC_OVERLAP_SECONDS)
    if state.last_sync is None and wish.since is None:
        _resume(run)
    run.save()
    return run


def _resume(run: SyncLog) -> None:
    """Go on with a first load that was interrupted: from its place, and as of its beginning."""
    last = SyncLog.objects.order_by("-id").first()
    if last is not None and last.window_since is None and last.phase == "orders":
        run.phase, run.cursor, run.window_until = last.phase, last.cursor, last.window_until
        run.notes = f"goes on with run {last.pk} after order {last.cursor}"


class _Run:
    """One run at work in this process."""

    def __init__(
        self, lock: Lock, run: SyncLog, progress: Progress | None, seconds: float | None = None
    ) -> None:
        self.lock = lock
        self.run = run
        self.progress = progress
        self.until = None if seconds is None else time.monotonic() + seconds
        self.odoo = odoo()
        self._calls, self._bytes = self.odoo.calls, self.odoo.bytes
        self._ask_after = 0.0
        poll = run.cause == Cause.POLL
        longest = timedelta(seconds=settings.ODOO_LONGEST_TRANSACTION_SECONDS)
        self.proof = POLL_PROOF if poll else longest
        self.phases: dict[str, Callable[[], str]] = {
            FIRST: self._mapping,
            "orders": self._orders,
            "lines": self._lines,
            "digest of orders": self._digest_orders,
            "digest of lines": self._digest_lines,
            **{f"names of {model}": self._names(model) for model in NAMING_MODELS},
            "drain": self._drain,
        }

    def finish(self) -> SyncLog:
        """Go through the phases; end the run and release the lock on every way out."""
        logger.info(
            "run %d (%s) begins or goes on: %s", self.run.pk, self.run.cause, self.run.phase
        )
        handed_over = False
        try:
            with crew():
                self._work()
            self._end(*self._verdict())
        except SliceOver:
            self._save()
            handed_over = True
            self.lock.hand_over(self.run.pk, HAND_OVER_SECONDS)
            raise
        except (Interrupted, KeyboardInterrupt, OdooInterrupted) as reason:
            self._interrupted()
            if isinstance(reason, OdooInterrupted):
                raise Interrupted(str(reason)) from reason
            raise
        except GaveWay:
            self._end(Status.PARTIAL, "gave way to a run")
        except Braked as error:
            self._end(Status.BRAKED, str(error))
            alert("brake", "a reconciliation was stopped", f"{error} Nothing was archived by it.")
        except OdooRefused as error:
            self._failed(Status.REFUSED, error)
        except (OdooError, LockLost, DatabaseError, InterfaceError) as error:
            self._failed(Status.FAILED, error)
        except Exception as error:
            logger.exception("run %d met an error of our own", self.run.pk)
            self._failed(Status.FAILED, error)
        finally:
            if not handed_over:
                self.lock.give_back()
        return self.run

    def _work(self) -> None:
        if self.run.window_until is None:
            # Odoo's own clock, before the first read: what is committed later is the next run's.
            self.run.window_until = self.odoo.server_time()
            self._save()
        names = [*self.phases, DONE]
        while self.run.phase != DONE:
            self._look_around()
            next_phase = self.phases[self.run.phase]()
            if next_phase == "":
                next_phase = names[names.index(self.run.phase) + 1]
                self.run.cursor = 0
            self.run.phase = next_phase
            self._save()

    # --- phases: each does one page, and returns the phase to go on with ("": the next) --------

    def _mapping(self) -> str:
        ids = detect.older_mapping(self.odoo, self.run.cursor, settings.SYNC_PAGE_SIZE)
        self._mark(ids)
        self.run.cursor = ids[-1] if ids else 0
        return "" if len(ids) < settings.SYNC_PAGE_SIZE else FIRST

    def _orders(self) -> str:
        since = None if self.run.full else self.run.window_since
        page = detect.orders_page(self.odoo, since, self.run.cursor, self.proof, full=self.run.full)
        self.run.found_by_window += len(page.differing)
        self._mark(page.suspects)
        self.run.cursor = page.last_id
        return "" if page.is_last else "orders"

    def _lines(self) -> str:
        since = self.run.window_since
        if since is None or self.run.full:
            return ""  # every order was marked, and its lines come with it
        page = detect.lines_page(self.odoo, since, self.run.cursor, self.proof)
        self.run.found_by_window += len(page.differing)
        self._mark(page.suspects)
        self.run.cursor = page.last_id
        return "" if page.is_last else "lines"

    def _digest_orders(self) -> str:
        if not self.run.digest:
            return "drain"
        self._drain()
        return self._digest(Digest(self.odoo, "order", self._settled_before()))

    def _digest_lines(self) -> str:
        return self._digest(Digest(self.odoo, "line", self._settled_before()))

    def _settled_before(self) -> "datetime":
        reach = settings.SYNC_OVERLAP_SECONDS + settings.ODOO_LONGEST_TRANSACTION_SECONDS
        return (self.run.window_until or database_now()) - timedelta(seconds=reach)

    def _digest(self, digest: Digest) -> str:
        for drift in digest.drifts():
            self._look_around()
            gone = drift.maybe_gone - self.odoo.listing.existing(sorted(drift.maybe_gone))
            self._check_brake(len(gone))
            self.run.gone += len(gone)
            self.run.found_by_digest += len(drift.orders)
            self._mark(drift.orders)
        if digest.note:
            self.run.notes = "\n".join(filter(None, [self.run.notes, digest.note]))
        return ""

    def _check_brake(self, gone: int) -> None:
        if not gone or self.run.forced:
            return
        reason = brake.reason_to_hold(self.run.gone + gone, self.odoo.listing.any_order)
        if reason:
            raise Braked(reason)

    def _names(self, model: str) -> Callable[[], str]:
        def page_of_names() -> str:
            since = self.run.window_since
            if since is None:
                return ""  # a first load has just read every name
            try:
                page = detect.names_page(self.odoo, model, since, self.run.cursor)
            except (NoRights, OdooAccessError):
                note = f"names of {model} are not followed: the account may not read them"
                self.run.notes = "\n".join(filter(None, [self.run.notes, note]))
                return ""
            self.run.found_by_names += len(page.differing)
            self._mark(page.suspects)
            self.run.cursor = page.last_id
            return "" if page.is_last else self.run.phase

        return page_of_names

    def _drain(self) -> str:
        """Wait until each order that this run marked has been fetched once."""
        while (left := ledger.outstanding(self.run.pk)) > 0:
            self._wait(left)
        return ""

    # --- helpers -------------------------------------------------------------------------------

    def _mark(self, odoo_ids: Collection[int]) -> None:
        if not odoo_ids:
            return
        lane = Lane.OPERATOR if self.run.forced else Lane.BULK
        cause = ledger.FORCE if self.run.forced else self.run.cause
        ids = sorted(odoo_ids)
        ledger.mark(ids, ledger.Mark(cause=cause, lane=lane, run=self.run.pk))
        publisher().wake(ids[:: max(len(ids) // WAKE_UPS, 1)])
        process.wake.set()
        while (left := ledger.outstanding(self.run.pk)) > OUTSTANDING:
            self._wait(left)

    def _wait(self, outstanding: int) -> None:
        self._look_around(outstanding)
        if outage.current() is not None and time.monotonic() >= self._ask_after:
            self._ask_odoo()
            self._ask_after = time.monotonic() + ASK_SECONDS
            outage.probe_soon()
        process.stopping.wait(LOOK_SECONDS)

    def _ask_odoo(self) -> None:
        """Raise what is wrong when the workers leave Odoo alone.

        Not by a control call only: what is refused may be what every order needs, a field or the
        lines, and then the run would wait for ever.
        """
        first = PendingBC.objects.filter(run=self.run.pk).order_by("suspect", "odoo_id").first()
        try:
            if first is not None:
                self.odoo.fetch([first.odoo_id])
        except (OdooFault, OdooProtocolError) as error:
            logger.info("BC %d: %s", first.odoo_id if first else 0, error)
        self.odoo.ping()

    def _look_around(self, outstanding: int | None = None) -> None:
        self.lock.check()
        if process.stopping.is_set():
            raise Interrupted("the process is stopping")
        if self.until is not None and time.monotonic() > self.until:
            raise SliceOver
        if self.run.cause == Cause.POLL and self.lock.wanted.is_set():
            raise GaveWay
        if self.progress is not None:
            left = ledger.outstanding(self.run.pk) if outstanding is None else outstanding
            self.progress(self.run, left)

    def _verdict(self) -> tuple[SyncLog.Status, str]:
        rows = PendingBC.objects.filter(run=self.run.pk)
        held = rows.exclude(held_reason="")
        if held.exists():
            return Status.BRAKED, f"{held.count()} orders held: {held[0].held_reason}"
        failed = rows.filter(failed_at__isnull=False)
        self.run.error_count = failed.count()
        if self.run.error_count:
            first = failed.order_by("odoo_id")[0]
            return Status.PARTIAL, f"BC {first.odoo_id}: {first.last_error}"
        return Status.OK, ""

    def _interrupted(self) -> None:
        """A slice's run stays open, for whoever goes on with it; any other ends here."""
        if self.until is None:
            self._end(Status.FAILED, INTERRUPTED)
        else:
            self._save()

    def _failed(self, status: SyncLog.Status, error: Exception) -> None:
        self.run.traceback = "".join(traceback.format_exception(error))
        self._end(status, f"{type(error).__name__}: {error}")

    def _end(self, status: SyncLog.Status, error: str) -> None:
        """Close the run; a good one moves the watermark in the same transaction."""
        run = self.run
        run.status, run.error, run.ended_at = status, error, database_now()
        good = status in {Status.OK, Status.PARTIAL} and run.phase == DONE
        moves = good and run.cause != Cause.POLL and self._reaches_back()
        try:
            with transaction.atomic():
                if moves and run.window_until is not None:
                    self.lock.move_watermark(run.window_until)
                self._save()
        except LockLost as lost:
            run.status, run.error, good = Status.FAILED, str(lost), False
            self._save()
        run.refresh_from_db()
        logger.log(logging.INFO if good else logging.ERROR, "run %d: %s", run.pk, summary(run))
        _tell(run)
        if good and run.cause == Cause.NIGHTLY:
            retention.purge()

    def _reaches_back(self) -> bool:
        """Whether the window left no gap to the watermark; one set by hand may."""
        since = self.run.window_since
        if since is None or self.run.full:
            return True
        last_sync = SyncState.objects.get(key=SyncState.KEY).last_sync
        overlap = timedelta(seconds=settings.SYNC_OVERLAP_SECONDS)
        return last_sync is not None and since <= last_sync - overlap

    def _save(self) -> None:
        """Keep this process's share; the workers add theirs to other columns of the row."""
        run, calls, received = self.run, self.odoo.calls, self.odoo.bytes
        run.save(update_fields=OWN_COLUMNS)
        SyncLog.objects.filter(pk=run.pk).update(
            odoo_calls=F("odoo_calls") + calls - self._calls,
            odoo_bytes=F("odoo_bytes") + received - self._bytes,
        )
        self._calls, self._bytes = calls, received


OWN_COLUMNS = (
    "status", "ended_at", "window_until", "phase", "cursor", "found_by_window", "found_by_digest",
    "found_by_names", "gone", "error_count", "notes", "error", "traceback",
)  # fmt: skip


def summary(run: SyncLog) -> str:
    """Say in one line how a run ended and what it did."""
    line = (
        f"{run.status}: {run.bc_count} BC looked at, {run.applied} applied,"
        f" {run.archived} archived, {run.error_count} failed, {run.line_count} lines written,"
        f" {run.lines_deleted} deleted,"
        f" {run.missed_by_webhooks} missed by webhooks, {run.odoo_calls} calls to Odoo"
    )
    return f"{line}. {run.error}" if run.error else line


def _tell(run: SyncLog) -> None:
    """Alert people to what needs them; take back what is over."""
    if run.error == INTERRUPTED:
        return  # whoever did it knows
    if run.status in {Status.FAILED, Status.REFUSED}:
        alert("run failed", f"a reconciliation {run.status}", summary(run))
    elif run.status in {Status.OK, Status.PARTIAL}:
        over("run failed")
        if run.status == Status.OK and not PendingBC.objects.exclude(held_reason="").exists():
            over("brake")
    if run.cause == Cause.NIGHTLY and run.window_since is not None:
        if run.missed_by_webhooks > settings.ALERT_MISSED:
            alert(
                "missed by webhooks",
                f"{run.missed_by_webhooks} orders were missed by webhooks",
                f"{summary(run)} Are the automation rules in Odoo active, and complete?",
            )
        else:
            over("missed by webhooks")
