"""The reconciliation: find what differs, mark it, work it off, move the watermark.

One run is one SyncLog row. It goes through its phases page by page and keeps its place in that
row, so that it can go on there: a nightly run's next slice, an interrupted first load.
"""

import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Protocol

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import Message, joined, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.ledger import circuit_breaker
from bc_consumer.messaging.publisher import publisher
from bc_consumer.models import Lane, PendingBC, SyncLog, SyncState
from bc_consumer.odoo import (
    NoRights,
    OdooAccessError,
    OdooBusy,
    OdooError,
    OdooInterrupted,
    OdooRefused,
    UnknownField,
)
from bc_consumer.operations import schema_watch
from bc_consumer.operations.alerts import alert
from bc_consumer.operations.language_watch import watch as watch_language
from bc_consumer.reconciliation import recent_changes, schedule, scrub
from bc_consumer.reconciliation.finish import (
    alert_about,
    connection_was_lost,
    forget_requested_scan,
    purge_what_is_old,
    save,
    summary,
    verdict,
    waiting_in_vain,
)
from bc_consumer.reconciliation.found_orders import Braked, Findings
from bc_consumer.reconciliation.lock import (
    AlreadyRunning,
    GaveWay,
    Interrupted,
    Lock,
    LockLost,
    SliceOver,
    ask_to_give_way,
)
from bc_consumer.reconciliation.period_digest import Digest
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.reconciliation.start import FIRST_PHASE, begin, holder
from bc_consumer.refresh import archive_brake, odoo_identity
from bc_consumer.refresh.batch import work_off
from bc_consumer.refresh.control_call import probe_odoo
from bc_consumer.refresh.odoo_connection import odoo

logger = logging.getLogger(__name__)
Status = SyncLog.Status
Cause = SyncLog.Cause

OUTSTANDING = 4000
"""Marks of one run that wait at the same time: the ledger stays small however much is found."""
GIVE_WAY_SECONDS = 30.0
POLL_PROOF = timedelta(seconds=5)
"""A poll leaves the long proof to the nightly run: it comes again too soon for that."""
WAKE_UPS = 8
"""Messages a page of bulk marks sends: each worker thread that wakes takes whole batches."""
LOOK_SECONDS = 0.2
ASK_SECONDS = 5.0
"""Between two calls by which a run finds out for itself why the workers leave Odoo alone."""


Marking = Callable[[Sequence[int], ledger.Mark], object]


class Progress(Protocol):
    """Is told how a run gets on; see the management command."""

    def __call__(self, run: SyncLog, outstanding: int) -> None:
        """Show it."""


def reconcile(request: RunRequest, progress: Progress | None = None) -> SyncLog:
    """Do one whole run, here and now; return its SyncLog row, ended.

    Raises AlreadyRunning when another run holds the lock, and Interrupted when the process is told
    to stop. Whatever else goes wrong ends the run as failed, refused or braked, with its error.
    """
    lock = _taken_lock(request.cause)
    try:
        worker = _Run(lock, begin(request), progress)
    except BaseException:
        lock.give_back()
        raise
    return worker.finish()


def reconcile_slice(run_id: int | None) -> int | None:
    """Do one slice of a nightly run; return the run's id while it is not over.

    ``run_id`` None begins the run, if one is due and none is left to go on with: a message may
    have been sent more than once, or may have waited for a worker since another night. Raises
    AlreadyRunning.
    """
    lock = _taken_lock(Cause.NIGHTLY, run_id)
    try:
        run = _run_of_slice(run_id)
        if run is None:
            logger.info("no nightly run is due, or left to go on with")
            lock.give_back()
            return None
        worker = _Run(lock, run, None, seconds=settings.SYNC_SLICE_SECONDS)
    except BaseException:
        lock.give_back()
        raise
    try:
        worker.finish()
    except SliceOver:
        return run.pk
    return None


def _run_of_slice(run_id: int | None) -> SyncLog | None:
    left = schedule.unfinished_nightly()
    if left is not None and run_id in {None, left.pk}:
        ledger.free_claims_of(left.pk)  # the slice before may have been killed
        return left
    if run_id is None and schedule.nightly_is_due(database_now()):
        return begin(RunRequest(Cause.NIGHTLY))
    return None


def _taken_lock(cause: SyncLog.Cause, run_id: int | None = None) -> Lock:
    lock = Lock()
    end = time.monotonic() + (0 if cause == Cause.POLL else GIVE_WAY_SECONDS)
    polled = False
    while not lock.take(run_id):
        running = set(SyncLog.objects.filter(status=Status.RUNNING).values_list("cause", flat=True))
        # A poll's row is closed a moment before its lock is free.
        polled = polled or Cause.POLL in running
        if not polled or running - {Cause.POLL} or time.monotonic() >= end:
            raise AlreadyRunning(holder())
        ask_to_give_way()
        if process_state.stopping.wait(LOOK_SECONDS):
            raise Interrupted(_("the process is stopping"))
    return lock


class _Run:
    """One run at work in this process."""

    def __init__(
        self, lock: Lock, run: SyncLog, progress: Progress | None, seconds: float | None = None
    ) -> None:
        self.lock = lock
        self.run = run
        self.progress = progress
        self.until = None if seconds is None else time.monotonic() + seconds
        self._stepped = False
        self.odoo = odoo()
        self._calls, self._bytes = self.odoo.calls, self.odoo.bytes
        self._ask_after = 0.0
        self._findings = Findings(run, self.odoo)
        self._more: Counter[str] = Counter()
        """What is still to be added to columns that the looks add to as well."""
        quick = run.cause == Cause.POLL and not run.asked_for
        longest = timedelta(seconds=settings.ODOO_LONGEST_TRANSACTION_SECONDS)
        self._proof = POLL_PROOF if quick else longest

    def finish(self) -> SyncLog:
        """Go through the phases; end the run and release the lock on every way out."""
        logger.info(
            "run %d (%s) begins or goes on: %s", self.run.pk, self.run.cause, self.run.phase
        )
        handed_over = False
        try:
            self._check_database()
            with drain_threads(self.run.pk):
                self._work()
            self._end(*self._verdict())
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
        except GaveWay:
            self._end(Status.PARTIAL, SyncLog.GAVE_WAY)
        except Braked as error:
            why = message_of(error)
            self._more["gone"] = self._findings.unarchived()
            self._end(Status.BRAKED, why)
            told = joined(
                " ", why, _("Nothing was archived by it."), archive_brake.held_orders().text()
            )
            alert(archive_brake.KEY, _("a reconciliation was stopped"), told)
        except OdooRefused as error:
            self._end_failed(Status.REFUSED, error)
        except LockLost as error:
            if self._is_overtaken():
                raise AlreadyRunning(holder()) from error
            self._end_failed(Status.FAILED, error)
        except (OdooError, DatabaseError, InterfaceError) as error:
            self._end_failed_or_cut_off(error)
        except Exception as error:
            logger.exception("run %d met an error of our own", self.run.pk)
            self._end_failed(Status.FAILED, error)
        finally:
            if not handed_over:
                self.lock.give_back()
        return self.run

    def _work(self) -> None:
        if self.run.window_until is None:
            # Odoo's own clock, before the first read: what is committed later is the next run's.
            self.run.window_until = self.odoo.server_time()
            self._begin_before(self.run.window_until)
            if self.run.cause != Cause.POLL:  # which comes too often for that
                schema_watch.look_anew(self.odoo)
                watch_language(self.odoo)
            self._keep()
        phases = self._phases()
        names = [*phases, SyncLog.DONE]
        if self.run.phase not in names:  # of a record that settings or Odoo no longer have
            self.run.phase, self.run.cursor = FIRST_PHASE, 0
        while self.run.phase != SyncLog.DONE:
            self._look_around()
            self._wait_for_room()
            next_phase = phases[self.run.phase]()
            self._stepped = True
            if next_phase == "":
                next_phase = names[names.index(self.run.phase) + 1]
                self.run.cursor = 0
            self.run.phase = next_phase
            self._keep()

    def _begin_before(self, until: datetime) -> None:
        """Let the window reach back by the overlap where Odoo's clock was set back meanwhile."""
        since = self.run.window_since
        if since is not None and since > until:
            self.run.window_since = until - timedelta(seconds=settings.SYNC_OVERLAP_SECONDS)

    def _check_database(self) -> None:
        """Stop before another database's orders replace ours, under the same ids."""
        if self.run.forced and self.run.window_until is None:
            odoo_identity.accept(self.odoo)
        odoo_identity.check(self.odoo)

    def _verdict(self) -> tuple[SyncLog.Status, Message]:
        status, why = verdict(self.run)
        if status in SyncLog.GOOD and self.run.digest:
            odoo_identity.renew(self.odoo)
        return status, why

    @property
    def proof(self) -> timedelta:
        """How long after its date an order has to have been read to be proven."""
        until = self.run.window_until or self.run.started_at
        return recent_changes.proof_by_our_clock(self._proof, self.run.started_at, until)

    def _phases(self) -> dict[str, Callable[[], str]]:
        return {
            FIRST_PHASE: self._failed_orders,
            "mapping": self._mapping,
            "orders": self._orders,
            "lines": self._lines,
            "digest of orders": self._digest_orders,
            "digest of lines": self._digest_lines,
            **{f"names of {m}": self._names(m) for m in recent_changes.naming_models(self.odoo)},
            "scrub": self._scrub,
            "drain": self._drain,
        }

    # --- phases: each does one page, and returns the phase to go on with ("": the next) --------

    def _failed_orders(self) -> str:
        """Give what was given up one more attempt; a poll comes too often for that."""
        if self.run.cause == Cause.POLL:
            return ""
        ids = ledger.failed(self.run.cursor, settings.SYNC_PAGE_SIZE)
        return self._mark_page(ids, ledger.reopen)  # together: thousands may have one cause

    def _mapping(self) -> str:
        if not self.run.digest or self.run.asked_for:
            return ""  # it looks through all of the copy, and may have all of it read again
        return self._mark_page(
            recent_changes.older_mapping(self.odoo, self.run.cursor, settings.SYNC_PAGE_SIZE)
        )

    def _mark_page(self, ids: Sequence[int], mark: Marking = ledger.mark) -> str:
        self._mark(ids, mark)
        self.run.cursor = ids[-1] if ids else 0
        return "" if len(ids) < settings.SYNC_PAGE_SIZE else self.run.phase

    def _orders(self) -> str:
        return self._page_of_orders(self.run.window_since)

    def _page_of_orders(self, since: datetime | None) -> str:
        """Mark what differs; and, where a full run goes through all, what it has not read yet."""
        read_by = self.run.started_at if self.run.full and since is None else None
        page = recent_changes.orders_page(
            self.odoo, since, self.run.cursor, self.proof, read_by=read_by
        )
        suspects = self._findings.note("found_by_window", page.differing, page.suspects)
        if read_by is not None:
            self._mark_for_scrub(suspects - page.differing)
            suspects &= page.differing
        self._mark(suspects)
        self.run.cursor = page.last_id
        return "" if page.is_last else self.run.phase

    def _lines(self) -> str:
        since = self.run.window_since
        if since is None:
            return ""  # every order was marked, and its lines come with it
        page = recent_changes.lines_page(self.odoo, since, self.run.cursor, self.proof)
        self._mark(self._findings.note("found_by_window", page.differing, page.suspects))
        self.run.cursor = page.last_id
        return "" if page.is_last else "lines"

    def _digest_orders(self) -> str:
        if not self.run.digest:
            return "drain"
        self._drain()  # what is known to differ is not to be found, and counted, once more
        return self._digest(Digest(self.odoo, "order", self._settled_before()))

    def _digest_lines(self) -> str:
        self._drain()
        return self._digest(Digest(self.odoo, "line", self._settled_before()))

    def _settled_before(self) -> datetime:
        reach = settings.SYNC_OVERLAP_SECONDS + settings.ODOO_LONGEST_TRANSACTION_SECONDS
        return (self.run.window_until or database_now()) - timedelta(seconds=reach)

    def _digest(self, digest: Digest) -> str:
        for drift in digest.drifts():
            self._stepped = self._stepped or drift.kept
            self._look_around(may_end=drift.kept)
            if not drift.orders:
                continue
            self._findings.check_brake(drift.maybe_gone)
            self._mark(self._findings.note("found_by_digest", drift.orders, drift.orders))
            self._wait_for_room(may_end=False)
        if digest.note:
            self.run.notes = joined("\n", self.run.notes, digest.note)
        return ""

    def _names(self, model: str) -> Callable[[], str]:
        def page_of_names() -> str:
            since = self.run.window_since
            if since is None or self.run.asked_for:
                return ""  # a first load has just read every name; no event tells of one
            try:
                page = recent_changes.names_page(self.odoo, model, since, self.run.cursor)
            except (NoRights, OdooAccessError, UnknownField):
                note = _(
                    "names of %(model)s are not followed: the account can't read when they changed",
                    model=model,
                )
                self.run.notes = joined("\n", self.run.notes, note)
                return ""
            self._mark(self._findings.note("found_by_names", page.differing, page.suspects))
            self.run.cursor = page.last_id
            return "" if page.is_last else self.run.phase

        return page_of_names

    def _scrub(self) -> str:
        """Look at the content of a share of the orders, or of all, whatever their dates say.

        The last one: what dates, ids or names tell has been found, and has its own cause.
        """
        if self.run.cause == Cause.POLL or self.run.window_since is None:
            return ""  # too often for that; or every order has just been looked at
        if self.run.full:
            if self.run.cursor == 0:
                self._drain()
            return self._page_of_orders(None)
        ids = scrub.next_page(self.run)
        self._mark_for_scrub(ids)
        return self.run.phase if ids else ""

    def _drain(self) -> str:
        """Wait until each order that this run marked has been fetched once."""
        while (left := ledger.outstanding(self.run.pk)) > 0:
            self._wait(left)
        return ""

    # --- helpers -------------------------------------------------------------------------------

    def _mark_for_scrub(self, odoo_ids: Collection[int]) -> None:
        self._mark(odoo_ids, cause=ledger.SCRUB)
        self.run.scrubbed += len(odoo_ids)

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

    def _wait_for_room(self, *, may_end: bool = True) -> None:
        while (left := ledger.outstanding(self.run.pk)) > OUTSTANDING:
            self._wait(left, may_end=may_end)

    def _wait(self, outstanding: int, *, may_end: bool = True) -> None:
        self._look_around(outstanding, may_end=may_end)
        if circuit_breaker.current_outage() is not None and time.monotonic() >= self._ask_after:
            marked = PendingBC.objects.filter(run=self.run.pk).order_by("batch_limit", "odoo_id")
            probe_odoo(marked.values_list("odoo_id", flat=True).first())
            self._ask_after = time.monotonic() + ASK_SECONDS
        process_state.stopping.wait(LOOK_SECONDS)

    def _look_around(self, outstanding: int | None = None, *, may_end: bool = True) -> None:
        """End here when that is asked for; ``may_end``: and a slice, when its time is up.

        A slice goes one step at least, or a run whose slices are too short would never end.
        """
        self.lock.check()
        if process_state.stopping.is_set():
            raise Interrupted(_("the process is stopping"))
        over_time = self.until is not None and time.monotonic() > self.until
        if over_time and may_end and self._stepped:
            raise SliceOver
        if self.run.cause == Cause.POLL and self.lock.wanted.is_set():
            raise GaveWay
        if self.progress is not None:
            left = ledger.outstanding(self.run.pk) if outstanding is None else outstanding
            self.progress(self.run, left)

    def _is_overtaken(self) -> bool:
        """Whether this slice came too late: another has the run now, and its row."""
        return self.until is not None and self.lock.is_anybodys()

    def _end_interrupted(self) -> None:
        """A slice's run stays open, for whoever goes on with it; any other ends here."""
        if self.until is None:
            self._end(Status.FAILED, SyncLog.INTERRUPTED)
        else:
            self._save()

    def _end_failed_or_cut_off(self, error: Exception) -> None:
        """Leave a slice's run open where nothing is wrong with it: whoever comes next goes on."""
        if self.until is not None and connection_was_lost(error):
            connection.close()
            self._save()
            raise Interrupted(_("the connection to the database was lost")) from error
        if self.until is not None and isinstance(error, OdooBusy):
            self._save()
            raise Interrupted(message_of(error)) from error
        self._end_failed(Status.FAILED, error)

    def _end_failed(self, status: SyncLog.Status, error: Exception) -> None:
        self.run.traceback = "".join(traceback.format_exception(error))
        self._end(status, joined(": ", type(error).__name__, message_of(error)))

    def _end(self, status: SyncLog.Status, error: Message) -> None:
        """Close the run; a good one moves the watermark in the same transaction."""
        run = self.run
        run.status, run.error, run.ended_at = status, error, database_now()
        good = status in {Status.OK, Status.PARTIAL} and run.phase == SyncLog.DONE
        gapless = good and (run.cause == Cause.POLL or self._reaches_back())
        moves = gapless and run.cause != Cause.POLL
        self._more["error_count"] = waiting_in_vain(run).count()
        try:
            with transaction.atomic():
                if moves and run.window_until is not None:
                    self.lock.move_watermark(run.window_until)
                if gapless:  # else what was missed may be older than the window
                    forget_requested_scan(run)
                self._save()
        except LockLost as lost:
            if self._is_overtaken():
                raise
            run.status, run.error, good = Status.FAILED, message_of(lost), False
            self._save()
        run.refresh_from_db()
        bad = logging.WARNING if run.cause == Cause.POLL else logging.ERROR
        logger.log(logging.INFO if good else bad, "run %d: %s", run.pk, summary(run))
        alert_about(run)
        went_through = run.phase == SyncLog.DONE and status != Status.FAILED
        if went_through and run.digest and not run.asked_for:
            purge_what_is_old()

    def _reaches_back(self) -> bool:
        """Whether the window left no gap to the watermark; one set by hand may."""
        since = self.run.window_since
        if since is None or self.run.full:
            return True
        last_sync = SyncState.objects.get(key=SyncState.KEY).last_sync
        overlap = timedelta(seconds=settings.SYNC_OVERLAP_SECONDS)
        return last_sync is not None and since <= last_sync - overlap

    def _keep(self) -> None:
        if not self._save():
            raise LockLost(_("the run was ended by whoever has the lock now"))

    def _save(self) -> bool:
        """Keep this process's share; False: the run has been ended, and stays as it is."""
        calls, received = self.odoo.calls, self.odoo.bytes
        more = {"odoo_calls": calls - self._calls, "odoo_bytes": received - self._bytes}
        if not save(self.run, {**more, **self._more}):
            return False
        self._calls, self._bytes = calls, received
        self._more.clear()
        return True


@contextmanager
def drain_threads(run: int) -> Iterator[None]:
    """Work off what is due beside a run's detection, so that reading and writing overlap."""
    stop = threading.Event()
    count = min(2, settings.ODOO_CONCURRENT_CALLS) if connection.vendor == "postgresql" else 1
    threads = [
        threading.Thread(target=_work_until, args=(run, stop), name=f"crew-{n}", daemon=True)
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


def _work_until(run: int, stop: threading.Event) -> None:
    while not stop.is_set() and not process_state.stopping.is_set():
        try:
            if not work_off(turn=1.0, run=run):
                stop.wait(0.05)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The run's crew waits for the database: %s", error)
            connection.close()
            stop.wait(1.0)
    connection.close()
