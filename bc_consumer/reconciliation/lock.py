"""The reconciliation's lock, and the exceptions by which a run does not begin, or stops.

The lock is one row (SyncState), taken by one statement, with a lease. A killed run loses it when
its lease ends. Between two slices the nightly run itself holds the lock: any worker may resume that
run, and no other run may begin.

What operators may do to it is in ``operations/run_control.py``.
"""

import logging
import threading
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import SyncLog, SyncState

logger = logging.getLogger(__name__)

HEAR_SECONDS = 1.0
"""Between two looks at whether the holder is asked to stop, or to give way."""


class AlreadyRunning(Exception):
    """Another run holds the lock; the text says which."""


class Interrupted(Exception):
    """The process was told to stop, or cannot go on just now; the run can be resumed."""


class SliceOver(Exception):
    """This slice's time is up; the run goes on in another slice."""


class GaveWay(Exception):
    """This poll ends because a run waits for the lock."""


class Stopped(Exception):
    """An operator has asked this run to stop; the text is who."""


class LockLost(Exception):
    """The lease ran out and somebody else may hold the lock: this run may not write any more."""


class Lock:
    """One attempt to hold the lock: ``take()``, then always ``give_back()`` or ``hand_over()``.

    ``lease_seconds`` replaces the setting SYNC_LEASE_SECONDS. While the lock is held, a thread
    renews the lease whenever a quarter of it has passed, and hears what the holder is asked.
    """

    def __init__(self, lease_seconds: float | None = None) -> None:
        # It names the process, whose heartbeat then tells whether the holder lives.
        prefix = SyncState.OF_PROCESS if process_state.has_heartbeat.is_set() else ""
        self.owner = f"{prefix}{ledger.new_token()}"
        self.lost = threading.Event()
        self.give_way_requested = threading.Event()
        """Set when a run waits for this holder to give way; only a poll minds it."""
        self.stopped_by = ""
        """Who has asked the run that is at work to stop; "" while nobody has."""
        self._run: int | None = None
        self._lease = timedelta(seconds=lease_seconds or settings.SYNC_LEASE_SECONDS)
        self._released = threading.Event()
        self._renewer: threading.Thread | None = None

    def take(self, run: int | None = None) -> bool:
        """Take the lock, and return True, if it is free or its lease is over.

        ``run``: take it too if this run holds it between two slices.
        """
        free = Q(is_syncing=False) | Q(lease_until__lt=Now())
        if run is not None:
            free |= Q(owner=SyncState.owner_between_slices(run))
        taken = SyncState.objects.filter(free, key=SyncState.KEY).update(
            is_syncing=True, owner=self.owner, lease_until=Now() + self._lease, give_way=False
        )
        if taken:
            self._renewer = threading.Thread(
                target=self._keep_renewing, name="lock-renewer", daemon=True
            )
            self._renewer.start()
        return bool(taken)

    def check(self) -> None:
        """Raise LockLost when the renewing thread has found that the lock is no longer ours."""
        if self.lost.is_set():
            raise LockLost(_("another run has taken the lock; this one writes nothing more"))

    def listen_for(self, run: SyncLog) -> None:
        """Hear from now on when this run, which the holder does, is asked to stop."""
        self._run, self.stopped_by = run.pk, run.stop_asked_by

    def give_back(self) -> None:
        """Release the lock if it is still ours."""
        self._stop_renewing()
        self._own_row().update(is_syncing=False, owner="", lease_until=None, give_way=False)

    def hand_over(self, run: int) -> None:
        """Leave the lock to the run's next slice."""
        self._stop_renewing()
        self._own_row().update(
            owner=SyncState.owner_between_slices(run), lease_until=Now() + SyncState.HAND_OVER
        )

    def move_watermark(self, last_sync: datetime) -> None:
        """Set the watermark; raises LockLost when the lock is no longer ours (the fence)."""
        if not self._own_row().update(last_sync=last_sync):
            raise LockLost(_("the lock was lost; the watermark stays"))

    def is_held(self) -> bool:
        """Return whether anybody holds the lock, by a lease that is not over."""
        held = SyncState.objects.filter(key=SyncState.KEY, is_syncing=True)
        return held.filter(lease_until__gte=Now()).exists()

    def _own_row(self) -> QuerySet[SyncState]:
        return SyncState.objects.filter(key=SyncState.KEY, owner=self.owner, is_syncing=True)

    def _stop_renewing(self) -> None:
        self._released.set()
        if self._renewer is not None:
            self._renewer.join()

    def _keep_renewing(self) -> None:
        quarter = self._lease.total_seconds() / 4
        renew_at = time.monotonic() + quarter
        while not self._released.wait(min(quarter, HEAR_SECONDS)):
            try:
                if time.monotonic() >= renew_at:
                    if not self._own_row().update(lease_until=Now() + self._lease):
                        self.lost.set()
                        break
                    renew_at = time.monotonic() + quarter
                self._hear()
            except DatabaseFailure as error:
                # Not fatal: each statement that matters checks by itself that the lock is ours.
                logger.warning("The lock of the run could not be renewed: %s", error)
                connection.close()
        connection.close()

    def _hear(self) -> None:
        if self._own_row().filter(give_way=True).exists():
            self.give_way_requested.set()
        if self._run is None:
            return
        asked = SyncLog.objects.filter(pk=self._run).exclude(stop_asked_by="")
        self.stopped_by = asked.values_list("stop_asked_by", flat=True).first() or self.stopped_by


# --- for others than the holder -----------------------------------------------------------------


def ask_to_give_way() -> None:
    """Ask whoever holds the lock to end soon; only a poll does."""
    SyncState.objects.filter(key=SyncState.KEY, is_syncing=True).update(give_way=True)


def let_scheduler_resume(run: int) -> None:
    """Let the scheduler resume this run at once: the message to its next slice was not sent."""
    waiting = SyncState.objects.filter(key=SyncState.KEY, owner=SyncState.owner_between_slices(run))
    waiting.update(lease_until=Now() + SyncState.HAND_OVER - SyncState.SLICE_LATE)
