"""The reconciliation's lock: one row, taken by one statement, with a lease.

A run that is killed loses the lock when its lease ends. While a nightly run is between two slices,
the run itself holds it, so that any worker may go on with it and nobody else may begin.
"""

import logging
import threading
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import SyncState

logger = logging.getLogger(__name__)


class LockLost(Exception):
    """The lease ran out and somebody else may hold the lock; this run may change nothing more."""


class Lock:
    """One attempt to hold the lock. ``take()``, then ``give_back()`` on every way out."""

    def __init__(self, lease_seconds: float | None = None) -> None:
        self.owner = f"{uuid.uuid4()}"
        self.lost = threading.Event()
        self.wanted = threading.Event()
        """Set when a run waits for this holder, a poll, to give way."""
        self._lease = timedelta(seconds=lease_seconds or settings.SYNC_LEASE_SECONDS)
        self._ended = threading.Event()
        self._renewer: threading.Thread | None = None

    def take(self, run: int | None = None) -> bool:
        """Take the lock if it is free, its lease is over, or ``run`` holds it between slices."""
        free = Q(is_syncing=False) | Q(lease_until__lt=Now())
        if run is not None:
            free |= Q(owner=SyncState.owner_between_slices(run))
        taken = SyncState.objects.filter(free, key=SyncState.KEY).update(
            is_syncing=True, owner=self.owner, lease_until=Now() + self._lease, give_way=False
        )
        if taken:
            self._renewer = threading.Thread(target=self._renew, name="lock-renewer", daemon=True)
            self._renewer.start()
        return bool(taken)

    def check(self) -> None:
        """Raise LockLost when the lease could not be renewed in time."""
        if self.lost.is_set():
            raise LockLost(_("another run has taken the lock; nothing more is written by this one"))

    def give_back(self) -> None:
        """Release the lock if it is still ours."""
        self._stop_renewing()
        self._mine().update(is_syncing=False, owner="", lease_until=None, give_way=False)

    def hand_over(self, run: int) -> None:
        """Leave the lock to the run's next slice."""
        self._stop_renewing()
        self._mine().update(
            owner=SyncState.owner_between_slices(run), lease_until=Now() + SyncState.HAND_OVER
        )

    def move_watermark(self, last_sync: datetime) -> None:
        """Set the watermark; raises LockLost when the lock is no longer ours (the fence)."""
        if not self._mine().update(last_sync=last_sync):
            raise LockLost(_("the lock was lost; the watermark stays"))

    def is_anybodys(self) -> bool:
        """Whether somebody holds the lock, by a lease that is not over."""
        held = SyncState.objects.filter(key=SyncState.KEY, is_syncing=True)
        return held.filter(lease_until__gte=Now()).exists()

    def _mine(self) -> QuerySet[SyncState]:
        return SyncState.objects.filter(key=SyncState.KEY, owner=self.owner, is_syncing=True)

    def _stop_renewing(self) -> None:
        self._ended.set()
        if self._renewer is not None:
            self._renewer.join()

    def _renew(self) -> None:
        while not self._ended.wait(self._lease.total_seconds() / 4):
            try:
                ours = self._mine().update(lease_until=Now() + self._lease)
                if not ours:
                    self.lost.set()
                    break
                if self._mine().filter(give_way=True).exists():
                    self.wanted.set()
            except (DatabaseError, InterfaceError) as error:
                # The fence in every statement that matters decides; this is only a warning.
                logger.warning("The lock could not be renewed: %s", error)
                connection.close()
        connection.close()


def no_slice_will_come(run: int) -> None:
    """Let the scheduler go on with this run at once: nobody could be told of its next slice."""
    waiting = SyncState.objects.filter(key=SyncState.KEY, owner=SyncState.owner_between_slices(run))
    waiting.update(lease_until=Now() + SyncState.HAND_OVER - SyncState.SLICE_LATE)


def ask_to_give_way() -> None:
    """Ask the holder, should it be a poll, to end soon."""
    SyncState.objects.filter(key=SyncState.KEY, is_syncing=True).update(give_way=True)


def unlock() -> str:
    """Release the lock whoever holds it; return who held it, or "". For operators."""
    state = SyncState.objects.get(key=SyncState.KEY)
    SyncState.objects.filter(key=SyncState.KEY).update(
        is_syncing=False, owner="", lease_until=None, give_way=False
    )
    return state.owner if state.is_syncing else ""


"""Why a reconciliation does not begin, or stops before its end, and nothing has failed."""


class AlreadyRunning(Exception):
    """Another run holds the lock; the text says which."""


class GaveWay(Exception):
    """This poll ends because a run waits for the lock."""


class Interrupted(Exception):
    """The process was told to stop, or can't go on just now; the run goes on where it was."""


class SliceOver(Exception):
    """This slice's time is up; the run goes on in another."""
