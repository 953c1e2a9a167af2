"""Does one run of the reconciliation: find what differs, mark it, work it off, move the watermark.

One run is one SyncLog row. The run takes the lock (``lock``), begins or resumes its row
(``run_record.begin``) and goes through its phases, page by page. It keeps its place in that row, so
that it can be resumed: a nightly run by its next slice, an interrupted first load by the next run.
A good run moves the watermark in the transaction that ends it, if the lock is still its own
(``lock``). A poll never moves it, nor does a run whose window leaves a gap to it
(``_leaves_no_gap``).

The window begins at the watermark, less SYNC_OVERLAP_SECONDS, or at the poll before, and ends at
Odoo's time when the run begins.

| phase            | what it looks at                         | what it marks                      |
| ---------------- | ---------------------------------------- | ---------------------------------- |
| failed           | orders that were given up                | all of them: one more attempt each |
| mapping          | rows made by an older mapping, or of     | all of them                        |
|                  | other fields than Odoo has now           |                                    |
| orders           | Odoo's orders written in the window; in  | those whose date differs, or that  |
|                  | a first load, all                        | were read too soon after it, and   |
|                  |                                          | not within this run                |
| lines            | Odoo's lines written in the window;      | the orders of such lines, likewise |
|                  | in a full run, none                      |                                    |
| digest of orders | counts and sums of the ids of all        | those that differ, or that only    |
|                  | orders, by month and day                 | one side has                       |
| digest of lines  | the same of all lines                    | the orders of such lines           |
| names of <model> | related records written in the window    | current orders with an older name  |
| scrub            | the orders longest unconfirmed; in a     | all of them: only content can tell |
|                  | full run, all                            |                                    |
| drain            | the ledger                               | nothing: waits until each marked   |
|                  |                                          | order has been fetched once        |

The table has the phases as rows store them: ``failed`` is ``Phase.RETRY_FAILED``. Not every run has
every phase; the docstring of each phase's method says which runs skip it. Marks go to the bulk
lane. The run's own threads (``run_drain_threads``) and all workers work them off while the phases
go on. From the orders on, each phase but the nightly scrub begins when what was found before has
been read. A full run marks in the scrub what it has not read yet.
"""

import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Protocol

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection, transaction
from django.db.models import F

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.log_context import logging_about
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import Message, joined, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.ledger import circuit_breaker
from bc_consumer.messaging.publisher import publisher
from bc_consumer.models import JournalEntry, Lane, PendingBC, SyncLog, SyncState
from bc_consumer.odoo import (
    NoRights,
    OdooAccessError,
    OdooBusy,
    OdooError,
    OdooInterrupted,
    OdooRefused,
    UnknownField,
)
from bc_consumer.operations import missing_fields
from bc_consumer.operations.alerts import alert
from bc_consumer.operations.language_watch import check_language
from bc_consumer.operations.phase_words import describe_phase
from bc_consumer.operations.run_control import describe_holder
from bc_consumer.reconciliation import schedule, scrub, suspect_orders
from bc_consumer.reconciliation.lock import (
    AlreadyRunning,
    GaveWay,
    Interrupted,
    Lock,
    LockLost,
    SliceOver,
    Stopped,
    ask_to_give_way,
)
from bc_consumer.reconciliation.period_digest import Model, PeriodComparison
from bc_consumer.reconciliation.run_findings import Braked, Findings
from bc_consumer.reconciliation.run_record import (
    alert_about,
    begin,
    connection_was_lost,
    count_for_monitoring,
    forget_requested_scan,
    purge_what_is_old,
    report_to_monitor,
    summary,
    verdict,
    waiting_in_vain,
)
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import archive_brake, odoo_identity
from bc_consumer.refresh.batch import work_off
from bc_consumer.refresh.known_good_orders import probe_odoo
from bc_consumer.refresh.odoo_connection import odoo

logger = logging.getLogger(__name__)
Status = SyncLog.Status
Cause = SyncLog.Cause
Phase = SyncLog.Phase

END_LINE = "run %d (%s): %s"
INTERNAL_ERROR_LINE = "run %d failed with an unexpected internal error"
"""Log lines whose cause a command tells in its result."""
OUTSTANDING = 4000
"""Orders that one run has marked and that are not fetched yet, at most: so the ledger stays small
however much is found."""
GIVE_WAY_SECONDS = 30.0
"""How long a run waits for a poll to give way before it raises AlreadyRunning."""
POLL_PROOF = timedelta(seconds=5)
"""How long after its write_date an order has to have been read to be proven, for a poll. Polls come
too often to wait for Odoo's longest transaction; the nightly run does."""
WAKE_UPS = 8
"""Messages sent for one page of bulk marks: each worker thread that wakes takes whole batches."""
WAIT_SECONDS = 0.2
"""Between two looks at the ledger, or at the lock, while the run waits, at most."""
LONGER_WAIT_SECONDS = 0.6
"""The same while at least MANY orders are outstanding: looking counts them."""
MANY = 1_500
PROBE_SECONDS = 5.0
"""Between two calls by which a run itself finds out why the workers leave Odoo alone."""
MOST_ERRORS = 5
"""Unexpected errors in a row after which one of the run's own threads ends, and the run with it."""
OWN_COLUMNS = (
    "status", "ended_at", "window_until", "phase", "cursor", "found_by_window", "found_by_digest",
    "found_by_names", "reread_recent", "reread_failed", "reread_mapping", "scrubbed", "notes",
    "error", "traceback",
)  # fmt: skip
"""Columns that only the process carrying out a run writes. To the other figures each look at an
order adds its share."""
NEXT = ""
"""What the method of a phase returns when the phase is over: the next one of the table follows."""

Marking = Callable[[Sequence[int], ledger.Mark], object]
"""A function of the ledger that marks ids."""


class Progress(Protocol):
    """Is called with the run's progress; the management command shows it."""

    def __call__(self, run: SyncLog, outstanding: int) -> None:
        """Show the run, and how many of its marks are outstanding."""


def reconcile(request: RunRequest, progress: Progress | None = None) -> SyncLog:
    """Do one whole run here and now; return its SyncLog row, ended.

    Raises AlreadyRunning when another run holds the lock, and Interrupted when the process is told
    to stop. Any other error ends the run as failed, refused or braked, and is recorded in its row.
    """
    lock = _take_lock(request.cause)
    try:
        runner = _Runner(lock, begin(request), progress)
    except BaseException:
        lock.give_back()
        raise
    return runner.execute()


def reconcile_slice(run_id: int | None) -> int | None:
    """Do one slice of a nightly run; return the run's key while it is not over, else None.

    ``run_id`` None begins a run if one is due, and resumes one that is unfinished. It does nothing
    if neither is the case: a message may have been sent twice, or have waited for a worker since
    another night. Raises AlreadyRunning, and Interrupted.
    """
    lock = _take_lock(Cause.NIGHTLY, run_id)
    try:
        run = _begin_or_resume_slice(run_id)
        if run is None:
            logger.info("no nightly run is due, and none is left to resume")
            lock.give_back()
            return None
        runner = _Runner(lock, run, None, seconds=settings.SYNC_SLICE_SECONDS)
    except BaseException:
        lock.give_back()
        raise
    try:
        runner.execute()
    except SliceOver:
        return run.pk
    return None


def _begin_or_resume_slice(run_id: int | None) -> SyncLog | None:
    """Return the run that this slice belongs to; None where there is nothing to do."""
    unfinished = schedule.unfinished_nightly()
    if unfinished is not None and run_id in {None, unfinished.pk}:
        ledger.free_claims_of(unfinished.pk)  # the last slice may have been killed
        return unfinished
    if run_id is None and schedule.nightly_is_due(database_now()):
        return begin(RunRequest(Cause.NIGHTLY))
    return None


def _take_lock(cause: SyncLog.Cause, run_id: int | None = None) -> Lock:
    """Take the lock; if a poll holds it, ask it to give way, and wait. A poll itself does not wait.

    Raises AlreadyRunning, and Interrupted when the process is told to stop.
    """
    lock = Lock()
    end = time.monotonic() + (0 if cause == Cause.POLL else GIVE_WAY_SECONDS)
    poll_was_running = False
    while not lock.take(run_id):
        running = set(SyncLog.objects.filter(status=Status.RUNNING).values_list("cause", flat=True))
        # A poll closes its row a moment before it releases the lock.
        poll_was_running = poll_was_running or Cause.POLL in running
        if not poll_was_running or running - {Cause.POLL} or time.monotonic() >= end:
            raise AlreadyRunning(describe_holder())
        ask_to_give_way()
        if process_state.stopping.wait(WAIT_SECONDS):
            raise Interrupted(_("the process is stopping"))
    return lock


class _Runner:
    """Carries out one run, or one slice of it, in this process."""

    def __init__(
        self, lock: Lock, run: SyncLog, progress: Progress | None, seconds: float | None = None
    ) -> None:
        self.lock = lock
        self.run = run
        self.progress = progress
        self.slice_ends_at = None if seconds is None else time.monotonic() + seconds
        self._has_progressed = False
        self.odoo = odoo()
        self._saved_calls, self._saved_bytes = self.odoo.calls, self.odoo.bytes
        self._probe_after = 0.0
        self._lost: list[Exception] = []
        """What ended one of the run's own threads."""
        self._batch_ended = threading.Event()
        """Set by the run's own threads after each batch."""
        self._findings = Findings(run, self.odoo)
        self._increments: Counter[str] = Counter()
        """What this process still has to add to columns that the looks at orders add to as well."""
        plain_poll = run.cause == Cause.POLL and not run.asked_for
        longest = timedelta(seconds=settings.ODOO_LONGEST_TRANSACTION_SECONDS)
        self._proof = POLL_PROOF if plain_poll else longest

    def execute(self) -> SyncLog:
        """Go through the phases; end the run and release the lock, whatever happens."""
        with logging_about(run=self.run.pk, cause=self.run.cause):
            return self._execute()

    def _execute(self) -> SyncLog:
        logger.info(
            "run %d (%s) %s: %s",
            self.run.pk,
            self.run.kind,
            "begins" if self.run.window_until is None else "resumes",
            describe_phase(self.run.phase),
        )
        handed_over = False
        self.lock.listen_for(self.run)
        try:
            # Before Odoo is asked, which may hang: who waits for the run sees that it has begun.
            self._show_progress(0)
            self._check_identity()
            with run_drain_threads(self.run.pk, self._lost, self._batch_ended):
                self._go_through_phases()
            self._end(*self._judge())
        except SliceOver:
            self._save()
            handed_over = True
            self.lock.hand_over(self.run.pk)
            raise
        except (Interrupted, KeyboardInterrupt, OdooInterrupted) as reason:
            self._end_interrupted()
            if isinstance(reason, OdooInterrupted):
                raise Interrupted(message_of(reason)) from reason
            raise
        except (Stopped, GaveWay) as asked:
            self._end_as_asked(asked)
        except Braked as error:
            why = message_of(error)
            self._increments["gone"] = self._findings.unarchived()
            self._end(Status.BRAKED, why)
            text = joined(" ", why, _("It archived nothing."), archive_brake.held_orders().text())
            alert(archive_brake.KEY, archive_brake.STOPPED, text)
        except OdooRefused as error:
            self._end_failed(Status.REFUSED, error)
        except LockLost as error:
            if self._is_overtaken():
                raise AlreadyRunning(describe_holder()) from error
            self._end_failed(Status.FAILED, error)
        except (OdooError, DatabaseFailure) as error:
            self._end_failed_or_cut_off(error)
        except Exception as error:
            logger.exception(INTERNAL_ERROR_LINE, self.run.pk)
            self._end_failed(Status.FAILED, error)
        finally:
            if not handed_over:
                self.lock.give_back()
        return self.run

    def _check_identity(self) -> None:
        """Raise before orders of another database overwrite ours under the same ids."""
        if self.run.forced and self.run.window_until is None:
            odoo_identity.accept_database(self.odoo)
        odoo_identity.require_same_database(self.odoo)

    def _go_through_phases(self) -> None:
        if self.run.window_until is None:
            # By Odoo's clock, before the first read: what is committed later is the next run's.
            self.run.window_until = self.odoo.server_time()
            self._widen_window(self.run.window_until)
            if self.run.cause != Cause.POLL:  # polls come too often for that
                missing_fields.recheck_fields(self.odoo)
                check_language(self.odoo)
            self._save_or_stop()
        phases = self._phases()
        names = [*phases, Phase.DONE]
        if self.run.phase not in names:  # names of a model that the fields no longer refer to
            self.run.phase, self.run.cursor = Phase.RETRY_FAILED, 0
        while self.run.phase != Phase.DONE:
            self._stop_if_asked()
            self._wait_for_room()
            next_phase = phases[self.run.phase]()
            self._has_progressed = True
            if next_phase == NEXT:
                next_phase = names[names.index(self.run.phase) + 1]
                self.run.cursor = 0
            self.run.phase = next_phase
            self._save_or_stop()

    def _widen_window(self, until: datetime) -> None:
        """Let the window reach back by the overlap if Odoo's clock was set back meanwhile."""
        since = self.run.window_since
        if since is not None and since > until:
            self.run.window_since = until - timedelta(seconds=settings.SYNC_OVERLAP_SECONDS)

    def _phases(self) -> dict[str, Callable[[], str]]:
        """Return each phase's method, in the order of the module's table."""
        return {
            Phase.RETRY_FAILED: self._retry_failed,
            Phase.MAPPING: self._mark_older_mapping,
            Phase.ORDERS: self._compare_orders,
            Phase.LINES: self._compare_lines,
            Phase.DIGEST_OF_ORDERS: self._digest_orders,
            Phase.DIGEST_OF_LINES: self._digest_lines,
            **{
                f"{Phase.NAMES_OF}{m}": self._compare_names(m)
                for m in suspect_orders.naming_models(self.odoo)
            },
            Phase.SCRUB: self._scrub,
            Phase.DRAIN: self._drain,
        }

    # --- phases: each does one page, and returns the phase to go on with ---------------------

    def _retry_failed(self) -> str:
        """Give orders that were given up one more attempt. Polls come too often for this."""
        if self.run.cause == Cause.POLL:
            return NEXT
        ids = ledger.failed(self.run.cursor, settings.SYNC_PAGE_SIZE)
        self.run.reread_failed += len(ids)
        return self._mark_page(ids, ledger.reopen)  # read in batches: thousands may have one cause

    def _mark_older_mapping(self) -> str:
        """Have rows read again that a different mapping made.

        Runs without a digest skip it, and scans that an event asked for.
        """
        if not self.run.digest or self.run.asked_for:
            return NEXT  # it scans the whole copy, and may have all of it read again
        ids = suspect_orders.older_mapping(self.odoo, self.run.cursor, settings.SYNC_PAGE_SIZE)
        self.run.reread_mapping += len(ids)
        return self._mark_page(ids)

    def _mark_page(self, ids: Sequence[int], mark: Marking = ledger.mark) -> str:
        self._mark(ids, mark)
        self.run.cursor = ids[-1] if ids else 0
        return NEXT if len(ids) < settings.SYNC_PAGE_SIZE else self.run.phase

    def _compare_orders(self) -> str:
        """Compare the orders written in the window. Every run does this."""
        self._finish_reading()
        began = self.run.started_at
        page = suspect_orders.compare_orders_page(
            self.odoo, self.run.window_since, self.run.cursor, self.proof, read_since=began
        )
        return self._mark_page_of_window(page)

    def _compare_every_order(self) -> str:
        """Mark the orders that a full run has not read yet, whatever their dates say."""
        self._finish_reading()
        began = self.run.started_at
        page = suspect_orders.compare_orders_page(
            self.odoo, None, self.run.cursor, self.proof, read_since=began, every=True
        )
        suspects = self._findings.count_and_filter("found_by_window", page.differing, page.suspects)
        self._mark_for_scrub(suspects - page.differing)
        self._mark(suspects & page.differing)
        self.run.cursor = page.last_id
        return NEXT if page.is_last else self.run.phase

    def _mark_page_of_window(self, page: suspect_orders.Page) -> str:
        """Mark what differs on a page of the window, and what is not proven yet."""
        suspects = self._findings.count_and_filter("found_by_window", page.differing, page.suspects)
        self._findings.count("reread_recent", suspects - page.differing)
        self._mark(suspects)
        self.run.cursor = page.last_id
        return NEXT if page.is_last else self.run.phase

    def _compare_lines(self) -> str:
        """Compare the lines written in the window. A first load and a full run skip this."""
        since = self.run.window_since
        if since is None or self.run.full:
            return NEXT  # every order is read, and lines come with their order
        self._finish_reading()
        began = self.run.started_at
        page = suspect_orders.compare_lines_page(
            self.odoo, since, self.run.cursor, self.proof, read_since=began
        )
        return self._mark_page_of_window(page)

    def _digest_orders(self) -> str:
        """Compare the figures of all orders, however old.

        Runs without a digest go on with the drain, past all the phases between.
        """
        if not self.run.digest:
            return Phase.DRAIN
        self._finish_reading()
        return self._digest("order")

    def _digest_lines(self) -> str:
        """Compare the figures of all lines, however old."""
        self._finish_reading()
        return self._digest("line")

    def _digest(self, model: Model) -> str:
        comparison = PeriodComparison(
            self.odoo,
            model,
            self._settled_before(),
            read_since=self.run.started_at,
            all_follow=self.run.full and self.run.window_since is not None,
        )
        for page in comparison.pages():
            self._has_progressed = self._has_progressed or page.stored
            self._stop_if_asked(may_end=page.stored)
            if not page.orders:
                continue
            self._findings.check_brake(page.maybe_gone)
            self._mark(self._findings.count_and_filter("found_by_digest", page.orders, page.orders))
            self._wait_for_room(may_end=False)
        if comparison.note:
            self.run.notes = joined("\n", self.run.notes, comparison.note)
        return NEXT

    def _settled_before(self) -> datetime:
        """Return the moment before which every write_date has been committed in Odoo."""
        reach = settings.SYNC_OVERLAP_SECONDS + settings.ODOO_LONGEST_TRANSACTION_SECONDS
        return (self.run.window_until or database_now()) - timedelta(seconds=reach)

    def _compare_names(self, model: str) -> Callable[[], str]:
        """Return the phase that looks for renamed records of one model.

        A first load skips it, and so does a scan that an event asked for.
        """

        def compare_page() -> str:
            since = self.run.window_since
            if since is None or self.run.asked_for:
                return NEXT  # a first load has just read every name; no event announces one
            self._finish_reading()
            try:
                page = suspect_orders.find_renamed_page(self.odoo, model, since, self.run.cursor)
            except (NoRights, OdooAccessError, UnknownField):
                note = _(
                    "names of %(model)s are not followed: the account can't read when they changed",
                    model=model,
                )
                self.run.notes = joined("\n", self.run.notes, note)
                return NEXT
            self._mark(
                self._findings.count_and_filter("found_by_names", page.differing, page.suspects)
            )
            self.run.cursor = page.last_id
            return NEXT if page.is_last else self.run.phase

        return compare_page

    def _scrub(self) -> str:
        """Have a share of the orders read again, or all in a full run, whatever their dates say.

        It comes last, because what dates, ids or names can show has then been found under its own
        cause. Polls and a first load skip it.
        """
        if self.run.cause == Cause.POLL or self.run.window_since is None:
            return NEXT
        if self.run.full:
            return self._compare_every_order()
        ids = scrub.next_page(self.run)
        self._mark_for_scrub(ids)
        return self.run.phase if ids else NEXT

    def _finish_reading(self) -> None:
        """Before a phase begins, wait until what the phases before it found has been read.

        So it is not found, counted and read again.
        """
        if self.run.cursor == 0:
            self._drain()

    def _drain(self) -> str:
        """Wait until each order that this run marked has been fetched once."""
        while (left := ledger.outstanding(self.run.pk)) > 0:
            self._wait(left)
        return NEXT

    @property
    def proof(self) -> timedelta:
        """How long after its date, by our clock, an order has to have been read to be proven."""
        until = self.run.window_until or self.run.started_at
        return suspect_orders.proof_by_our_clock(self._proof, self.run.started_at, until)

    # --- mark, and wait ------------------------------------------------------------------------

    def _mark(
        self, odoo_ids: Collection[int], mark: Marking = ledger.mark, cause: str = ""
    ) -> None:
        if not odoo_ids:
            return
        cause = cause or (ledger.FORCE if self.run.forced else self.run.cause)
        ids = sorted(odoo_ids)
        mark(ids, ledger.Mark(cause=cause, lane=Lane.BULK, run=self.run.pk))
        publisher().wake(ids[:: max(len(ids) // WAKE_UPS, 1)])
        process_state.wake.set()

    def _mark_for_scrub(self, odoo_ids: Collection[int]) -> None:
        self._mark(odoo_ids, cause=ledger.SCRUB)
        self.run.scrubbed += len(odoo_ids)

    def _wait_for_room(self, *, may_end: bool = True) -> None:
        while (left := ledger.outstanding(self.run.pk)) > OUTSTANDING:
            self._wait(left, may_end=may_end)

    def _wait(self, outstanding: int, *, may_end: bool = True) -> None:
        self._stop_if_asked(outstanding, may_end=may_end)
        if self._lost:
            raise self._lost[0]
        if circuit_breaker.current_outage() is not None and time.monotonic() >= self._probe_after:
            marked = PendingBC.objects.filter(run=self.run.pk).order_by("batch_limit", "odoo_id")
            probe_odoo(marked.values_list("odoo_id", flat=True).first())
            self._probe_after = time.monotonic() + PROBE_SECONDS
        if outstanding < MANY:
            self._batch_ended.wait(WAIT_SECONDS)
            self._batch_ended.clear()
        else:
            process_state.stopping.wait(LONGER_WAIT_SECONDS)

    def _stop_if_asked(self, outstanding: int | None = None, *, may_end: bool = True) -> None:
        """Raise if the run has to stop here; otherwise report its progress.

        ``may_end``: a slice may end here when its time is up. It takes at least one step, because
        otherwise a run whose slices are too short would never end.
        """
        self.lock.check()
        if process_state.stopping.is_set():
            raise Interrupted(_("the process is stopping"))
        if self.lock.stopped_by:
            raise Stopped(self.lock.stopped_by)
        over_time = self.slice_ends_at is not None and time.monotonic() > self.slice_ends_at
        if over_time and may_end and self._has_progressed:
            raise SliceOver
        if self.run.cause == Cause.POLL and self.lock.give_way_requested.is_set():
            raise GaveWay
        self._show_progress(outstanding)

    def _show_progress(self, outstanding: int | None) -> None:
        if self.progress is not None:
            left = ledger.outstanding(self.run.pk) if outstanding is None else outstanding
            self.progress(self.run, left)

    # --- the end -------------------------------------------------------------------------------

    def _judge(self) -> tuple[SyncLog.Status, Message]:
        if self.run.full:
            self.run.found_by_window += self._count_found_by_dates_of_lines()
        status, why = verdict(self.run)
        if status in SyncLog.GOOD and self.run.digest:
            odoo_identity.renew_sample(self.odoo)
        return status, why

    def _count_found_by_dates_of_lines(self) -> int:
        """Count the orders that a full run read only to compare them, and whose dates had moved.

        The window's orders showed no difference, so it was a line's date.
        """
        changed = JournalEntry.objects.filter(
            run=self.run.pk, outcome=JournalEntry.Outcome.CHANGED, causes=ledger.SCRUB
        )
        run = SyncLog.objects.filter(pk=self.run.pk)
        same_date = run.values_list("same_date", flat=True).get()
        return int(max(changed.values("odoo_id").distinct().count() - same_date, 0))

    def _end(self, status: SyncLog.Status, error: Message) -> None:
        """Close the run; a good one moves the watermark in the same transaction."""
        run = self.run
        run.status, run.error, run.ended_at = status, error, database_now()
        good = status in {Status.OK, Status.PARTIAL} and run.phase == Phase.DONE
        gapless = good and (run.cause == Cause.POLL or self._leaves_no_gap())
        moves_watermark = gapless and run.cause != Cause.POLL
        self._increments["error_count"] = waiting_in_vain(run).count()
        try:
            with transaction.atomic():
                if moves_watermark and run.window_until is not None:
                    self.lock.move_watermark(run.window_until)
                if gapless:  # otherwise what was missed may be older than the window
                    forget_requested_scan(run)
                ended = self._save()
        except LockLost as lost:
            if self._is_overtaken():
                raise
            run.status, run.error, good = Status.FAILED, message_of(lost), False
            ended = self._save()
        run.refresh_from_db()
        if ended:
            count_for_monitoring(run)
        harmless = run.cause == Cause.POLL or status == Status.STOPPED
        bad_level = logging.WARNING if harmless else logging.ERROR
        level = logging.INFO if good else bad_level
        logger.log(level, END_LINE, run.pk, run.kind, summary(run))
        alert_about(run)
        report_to_monitor(run)
        went_through = run.phase == Phase.DONE and status != Status.FAILED
        if went_through and run.digest and not run.asked_for:
            purge_what_is_old()

    def _leaves_no_gap(self) -> bool:
        """Return whether the window reaches back to the watermark; one set by hand may not."""
        since = self.run.window_since
        if since is None or self.run.full:
            return True
        last_sync = SyncState.objects.get(key=SyncState.KEY).last_sync
        overlap = timedelta(seconds=settings.SYNC_OVERLAP_SECONDS)
        return last_sync is not None and since <= last_sync - overlap

    def _end_as_asked(self, asked: Stopped | GaveWay) -> None:
        if isinstance(asked, Stopped):
            self._end(Status.STOPPED, _("stopped by %(who)s", who=str(asked)))
        else:
            self._end(Status.PARTIAL, SyncLog.GAVE_WAY)

    def _end_failed(self, status: SyncLog.Status, error: Exception) -> None:
        self.run.traceback = "".join(traceback.format_exception(error))
        self._end(status, joined(": ", type(error).__name__, message_of(error)))

    def _end_failed_or_cut_off(self, error: Exception) -> None:
        """End the run as failed; a slice's run stays open where the run itself is not at fault.

        That is so when the connection to our database was lost, or no slot was free for a call to
        Odoo.
        """
        if self.slice_ends_at is not None and connection_was_lost(error):
            connection.close()
            self._save()
            raise Interrupted(_("the connection to the database was lost")) from error
        if self.slice_ends_at is not None and isinstance(error, OdooBusy):
            self._save()
            raise Interrupted(message_of(error)) from error
        self._end_failed(Status.FAILED, error)

    def _end_interrupted(self) -> None:
        """End the run; a slice's run stays open, for whoever resumes it."""
        if self.slice_ends_at is None:
            self._end(Status.FAILED, SyncLog.INTERRUPTED)
        else:
            self._save()

    def _is_overtaken(self) -> bool:
        """Return whether this slice came too late, and another one now has the run and its row."""
        return self.slice_ends_at is not None and self.lock.is_held()

    def _save_or_stop(self) -> None:
        """Save the run's place; raise LockLost if somebody else has ended the run."""
        if not self._save():
            raise LockLost(_("the run was ended by whoever has the lock now"))

    def _save(self) -> bool:
        """Save this process's share of the row; return False if somebody else has ended the run.

        Then the row stays as it is.
        """
        calls, received = self.odoo.calls, self.odoo.bytes
        increments = {
            "odoo_calls": calls - self._saved_calls,
            "odoo_bytes": received - self._saved_bytes,
        }
        if not save_row(self.run, {**increments, **self._increments}):
            return False
        self._saved_calls, self._saved_bytes = calls, received
        self._increments.clear()
        return True


def save_row(run: SyncLog, more: Mapping[str, int]) -> bool:
    """Save a run's own columns, and add ``more`` to others; return False where it is not running.

    Somebody else has then ended it, while this process had lost the lock, and its row stays as it
    is.
    """
    run.notes, run.error = redacted(run.notes), redacted(run.error)
    run.traceback = redacted(run.traceback)
    columns = {name: getattr(run, name) for name in OWN_COLUMNS}
    increments = {name: F(name) + count for name, count in more.items()}
    running = SyncLog.objects.filter(pk=run.pk, status=Status.RUNNING)
    return running.update(**columns, **increments) > 0


# --- the run's own threads ----------------------------------------------------------------------


@contextmanager
def run_drain_threads(
    run: int, lost: list[Exception], batch_ended: threading.Event
) -> Iterator[None]:
    """Work off due rows beside the run's phases, so that reading and writing overlap.

    ``lost`` gets the error of a thread that ended by errors which nobody foresaw. ``batch_ended``
    is set after each batch.
    """
    stop = threading.Event()
    count = min(2, settings.ODOO_CONCURRENT_CALLS) if connection.vendor == "postgresql" else 1
    threads = [
        threading.Thread(
            target=_work_until, args=(run, stop, lost, batch_ended), name=f"drain-{n}", daemon=True
        )
        for n in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _work_until(
    run: int, stop: threading.Event, lost: list[Exception], batch_ended: threading.Event
) -> None:
    """Work off until told to stop, or until MOST_ERRORS unexpected errors came in a row.

    The last of these is then added to ``lost``.
    """
    errors = 0
    with logging_about(run=run):
        while not stop.is_set() and not process_state.stopping.is_set():
            try:
                if work_off(turn=1.0, run=run):
                    batch_ended.set()
                else:
                    stop.wait(0.05)
                errors = 0
            except DatabaseFailure as error:
                logger.warning("The run's own threads wait for the database: %s", error)
                connection.close()
                stop.wait(1.0)
            except Exception as error:
                logger.exception("One of the run's own threads had an unexpected internal error")
                errors += 1
                if errors == MOST_ERRORS:
                    lost.append(error)
                    break
                stop.wait(1.0)
    connection.close()
