"""Which processes are alive, and what they last heard: each one reports every few seconds.

It does so in a thread of its own, because one batch can occupy a worker's timer, and one poll a
scheduler, for minutes. Times are on the database's clock, so the machines' clocks need not agree.
Processes are identified by number, so their names need not be unique either.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable
from datetime import timedelta

from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models import Count, Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

import bc_consumer
from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.ledger import call_slots
from bc_consumer.models import Heartbeat, SyncState
from bc_consumer.operations import clock_steps, metric_totals

logger = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
ALIVE = timedelta(seconds=35)
"""A process not heard of for so long counts as dead; three heartbeats may fail."""
FORGET = timedelta(days=1)
"""How long the row of a dead process is kept for display."""
WEBHOOK_STEP = timedelta(seconds=1)
"""A webhook that came no later than this after the one that is noted is not worth a statement."""
STOP_SECONDS = 5.0


class HeartbeatThread(threading.Thread):
    """Beats until ``stop`` is set, then deletes its row, so that nobody takes it for dead."""

    def __init__(self, kind: Heartbeat.Kind, stop: threading.Event) -> None:
        super().__init__(name=f"heart of the {kind.value}", daemon=True)
        self._kind = kind
        self._stopped = stop
        self._host = socket.gethostname()
        self._clock = clock_steps.StepWatch()

    def run(self) -> None:
        """Beat until stopped, even while the database is away."""
        process_state.has_heartbeat.set()
        while not self._stopped.is_set():
            self._run_guarded(self._beat, metric_totals.flush)
            self._stopped.wait(EVERY_SECONDS)
        self._run_guarded(self._leave)

    def _run_guarded(self, *steps: Callable[[], None]) -> None:
        try:
            for step in steps:
                step()
        except DatabaseFailure as error:
            logger.debug("heartbeat: the database is away: %s", error)
        except Exception:
            logger.exception("heartbeat: unexpected internal error")
        finally:
            # Keeping it open would cost one more connection per process.
            connection.close()

    def _beat(self) -> None:
        clock_steps.repair_future_moments(self._clock.step())
        ours = Heartbeat.objects.filter(kind=self._kind, number=process_state.process_number())
        # If not, the database was away or its clock was set forward, and others could not beat
        # either.
        in_time = ours.filter(at__gte=Now() - ALIVE).exists()
        Heartbeat.objects.bulk_create(
            [
                Heartbeat(
                    kind=self._kind,
                    host=self._host,
                    pid=os.getpid(),
                    at=Now(),
                    number=process_state.process_number(),
                    version=bc_consumer.__version__,
                    odoo_answered_at=_moment_of(process_state.odoo_answer),
                )
            ],
            update_conflicts=True,
            unique_fields=["kind", "number"],
            update_fields=["at", "odoo_answered_at"],
        )
        _note_webhook()
        if in_time:
            late = Heartbeat.objects.filter(at__lt=Now() - ALIVE)
            _bury(late.exclude(kind=Heartbeat.Kind.WEB))
            # A server ends its web processes without a word, so nobody knows whether they died.
            late.filter(kind=Heartbeat.Kind.WEB).delete()
        Heartbeat.objects.filter(at__lt=Now() - FORGET).delete()

    def _leave(self) -> None:
        Heartbeat.objects.filter(kind=self._kind, number=process_state.process_number()).delete()


def start_web_heart() -> None:
    """Start the heart of a web process, which beats until the process ends."""
    HeartbeatThread(Heartbeat.Kind.WEB, process_state.stopping).start()


def _moment_of(event: process_state.LastTime) -> CombinedExpression | None:
    """Return when it last happened, on the database's clock; None if it has not yet."""
    ago = event.seconds_ago()
    return None if ago is None else Now() - timedelta(seconds=ago)


def _note_webhook() -> None:
    """Note the latest webhook that this process has stored, if no other has noted a later one."""
    at = _moment_of(process_state.webhook)
    if at is None:
        return
    state = SyncState.objects.filter(key=SyncState.KEY)
    older = Q(webhook_at__isnull=True) | Q(webhook_at__lt=at - WEBHOOK_STEP)
    state.filter(older).update(webhook_at=at)


def _bury(dead: QuerySet[Heartbeat]) -> None:
    """Release what dead processes had claimed, so that nobody waits for their leases."""
    for row in dead.filter(number__isnull=False):
        freed = ledger.free_claims_of(row.number or 0)
        call_slots.free_slots_of(row.number or 0)
        Heartbeat.objects.filter(pk=row.pk, number=row.number).update(number=None)
        if freed:
            logger.warning("%s has died: the %d orders it had claimed are free again", row, freed)
            process_state.wake.set()


def alive() -> dict[Heartbeat.Kind, int]:
    """Return how many processes of each kind have been heard from lately; one statement."""
    lately = Q(at__gt=Now() - ALIVE)
    counts = Heartbeat.objects.aggregate(
        **{kind.value: Count("pk", filter=lately & Q(kind=kind)) for kind in Heartbeat.Kind}
    )
    return {kind: counts[kind.value] for kind in Heartbeat.Kind}


def count_processes() -> int:
    """Return how many processes have been heard from lately; one may be worker and scheduler."""
    lately = Heartbeat.objects.filter(at__gt=Now() - ALIVE)
    return lately.values("host", "pid").distinct().count()
