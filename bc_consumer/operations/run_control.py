"""Names the run at work, asks it to stop, and releases the lock of one that is dead.

Pages, commands and the reconciliation itself use it; ``reconciliation/lock.py`` has the holder's
side.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models.functions import Now
from django.utils import timezone

from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import Message
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import Heartbeat, SyncLog, SyncState
from bc_consumer.operations import heartbeats

LONGEST_NAME = 150
"""Characters of a user's name, as Django has it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether it was done, and a sentence about it."""

    done: bool
    text: Message
    run: int | None = None
    """The key of the run that it is about, if there is one."""


def latest_running() -> SyncLog | None:
    """Return the run whose row says that it is running; its process may have been killed."""
    return SyncLog.objects.filter(status=SyncLog.Status.RUNNING).order_by("-id").first()


def is_at_work(run: SyncLog) -> bool:
    """Return whether a process has this run in hand, or goes on with it within moments.

    A killed run's row says that it is running until the next run closes it; the lock's lease tells.
    A nightly run between two processes is gone on with as long as there are any.
    """
    running = latest_running()
    if running is None or running.pk != run.pk:
        return False
    held = SyncState.objects.filter(
        key=SyncState.KEY, is_syncing=True, lease_until__gte=database_now()
    )
    if held.exists():
        return True
    return run.cause == SyncLog.Cause.NIGHTLY and any(heartbeats.alive().values())


def describe_holder() -> Message:
    """Return which run has the lock, as far as the SyncLog rows tell."""
    running = latest_running()
    return _("another run") if running is None else describe(running)


def describe(run: SyncLog) -> Message:
    """Return a run's number, cause and start."""
    return _(
        "run %(id)s (%(cause)s, begun at %(time)s)",
        id=run.pk,
        cause=_(run.cause),  # the causes' labels are the same words
        time=f"{timezone.localtime(run.started_at):%H:%M:%S}",
    )


def ask_to_stop(who: str, run: int | None = None) -> Answer:
    """Ask the run at work to stop at its next step; ``who`` is told with the run.

    ``run``: only this one, so that nobody stops a later run than the one they saw.
    """
    running = latest_running()
    if running is None or run not in {None, running.pk}:
        return Answer(False, _("No run is at work."))
    state = SyncState.objects.get(key=SyncState.KEY)
    if not state.is_syncing or state.lease_until is None or state.lease_until < database_now():
        text = _(
            "%(run)s is not at work: its process was killed, or stopped. The next run closes it.",
            run=describe(running),
        )
        if running.cause != SyncLog.Cause.NIGHTLY:
            return Answer(False, text, running.pk)
        # Another process would resume it, and will see the request at once.
    asked = SyncLog.objects.filter(pk=running.pk, status=SyncLog.Status.RUNNING)
    if not asked.update(stop_asked_by=who[:LONGEST_NAME]):
        return Answer(False, _("No run is at work."))
    return Answer(
        True,
        _("%(run)s has been asked to stop; it does so at its next step.", run=describe(running)),
        running.pk,
    )


# --- releasing the lock -------------------------------------------------------------------------


def unlock(*, force: bool = False) -> Answer:
    """Release the lock of a run that is dead: its lease is over, or its process no longer beats.

    ``force``: whoever holds it. A run that is still at work then loses it, and ends as failed.
    """
    state = SyncState.objects.get(key=SyncState.KEY)
    if not state.is_syncing:
        return Answer(False, _("Nobody holds the lock."))
    holder, running = describe_holder(), latest_running()
    key = None if running is None else running.pk
    alive = _sign_of_life(state, database_now())
    if alive is not None and not force:
        return Answer(
            False,
            _("The lock was not released: it is held by %(who)s. %(why)s", who=holder, why=alive),
            key,
        )
    # Only of this holder: another run may have taken the lock since.
    held = SyncState.objects.filter(key=SyncState.KEY, owner=state.owner, is_syncing=True)
    if not held.update(is_syncing=False, owner="", lease_until=None, give_way=False):
        return Answer(False, _("The lock has just changed hands: look again."))
    return Answer(True, _("The lock was released. It was held by %(who)s.", who=holder), key)


def _sign_of_life(state: SyncState, now: datetime) -> Message | None:
    """Return why the holder of the lock counts as alive; None where it is dead."""
    if state.lease_until is None or state.lease_until < now:
        return None
    if state.owner.startswith(SyncState.BETWEEN_SLICES):
        return _sign_between_slices(state.lease_until, now)
    if state.owner.startswith(SyncState.OF_PROCESS):
        return _heartbeat_of(state.owner.removeprefix(SyncState.OF_PROCESS))
    return _(
        "It belongs to a command, whose lease runs until %(time)s and is renewed while the"
        " command lives: end that command, or wait.",
        time=f"{timezone.localtime(state.lease_until):%H:%M:%S}",
    )


def _sign_between_slices(lease_until: datetime, now: datetime) -> Message | None:
    """Between two slices nobody holds it but the run: is anybody there to go on with it?"""
    handed_over_at = lease_until - SyncState.HAND_OVER
    if not any(heartbeats.alive().values()):
        return None
    if handed_over_at < now - 2 * SyncState.SLICE_LATE:  # the scheduler has tried once meanwhile
        return None
    return _("It is between two slices: a worker will continue it in a moment.")


def _heartbeat_of(token: str) -> Message | None:
    try:
        number = UUID(token).int >> 64
    except ValueError:
        return None  # nobody of ours wrote this
    beats = Heartbeat.objects.filter(number=number, at__gt=Now() - heartbeats.ALIVE)
    alive = beats.first()
    if alive is None:
        return None
    return _(
        "Its process is alive: %(pid)s on %(host)s. Stop the run instead.",
        pid=alive.pid,
        host=alive.host,
    )
