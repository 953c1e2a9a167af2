"""The reconciliation's lock, and the exceptions by which a run does not begin, or stops.

The lock is one row (SyncState), taken by one statement, with a lease. A killed run loses it when
its lease ends. Between two slices the nightly run itself holds the lock: any worker may resume that
run, and no other run may begin.
"""

import logging
import threading
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from bc_consumer.core.translatable import Message
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import SyncLog, SyncState

logger = logging.getLogger(__name__)


class AlreadyRunning(Exception):
    """Another run holds the lock; the text says which."""


class Interrupted(Exception):
    """The process was told to stop, or cannot go on just now; the run can be resumed."""


class SliceOver(Exception):
    """This slice's time is up; the run goes on in another slice."""


class GaveWay(Exception):
    """This poll ends because a run waits for the lock."""


class LockLost(Exception):
    """The lease ran out and somebody else may hold the lock: this run may not write any more."""


class Lock:
    """One attempt to hold the lock: ``take()``, then always ``give_back()`` or ``hand_over()``.

    ``lease_seconds`` replaces the setting SYNC_LEASE_SECONDS. While the lock is held, a thread
    renews the lease whenever a quarter of it has passed.
    """

    def __init__(self, lease_seconds: float | None = None) -> None:
        self.owner = f"{uuid.uuid4()}"
        self.lost = threading.Event()
        self.give_way_requested = threading.Event()
        """Set when a run waits for this holder to give way; only a poll minds it."""
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
            raise LockLost(_("another run has taken the lock; nothing more is written by this one"))

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
        while not self._released.wait(self._lease.total_seconds() / 4):
            try:
                ours = self._own_row().update(lease_until=Now() + self._lease)
                if not ours:
                    self.lost.set()
                    break
                if self._own_row().filter(give_way=True).exists():
                    self.give_way_requested.set()
            except DatabaseFailure as error:
                # Not fatal: each statement that matters checks by itself that the lock is ours.
                logger.warning("The lock could not be renewed: %s", error)
                connection.close()
        connection.close()


# --- for others than the holder -----------------------------------------------------------------


def describe_holder() -> Message:
    """Return which run has the lock, as far as the SyncLog rows tell."""
    running = SyncLog.objects.filter(status=SyncLog.Status.RUNNING).order_by("-id").first()
    if running is None:
        return _("another run")
    return _(
        "run %(id)s (%(cause)s, begun at %(time)s)",
        id=running.pk,
        cause=_(running.cause),  # the causes' labels are the same words
        time=f"{timezone.localtime(running.started_at):%H:%M:%S}",
    )


def ask_to_give_way() -> None:
    """Ask whoever holds the lock to end soon; only a poll does."""
    SyncState.objects.filter(key=SyncState.KEY, is_syncing=True).update(give_way=True)


def let_scheduler_resume(run: int) -> None:
    """Let the scheduler resume this run at once: the message to its next slice was not sent."""
    waiting = SyncState.objects.filter(key=SyncState.KEY, owner=SyncState.owner_between_slices(run))
    waiting.update(lease_until=Now() + SyncState.HAND_OVER - SyncState.SLICE_LATE)


def unlock() -> str:
    """Release the lock, whoever holds it; return the holder, or "". For operators."""
    state = SyncState.objects.get(key=SyncState.KEY)
    SyncState.objects.filter(key=SyncState.KEY).update(
        is_syncing=False, owner="", lease_until=None, give_way=False
    )
    return state.owner if state.is_syncing else ""
