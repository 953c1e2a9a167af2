"""Which workers and schedulers are alive: each process says so every few seconds.

In a thread of its own, because a worker's timer may be busy with one batch, and a scheduler with
one poll, for minutes. Machines need not agree on the time: the database's clock counts. Nor need
they have names of their own: a process is known by its number.
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
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.ledger import call_slots
from bc_consumer.models import Heartbeat
from bc_consumer.operations import clock_steps

logger = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
ALIVE = timedelta(seconds=35)
"""Who has not been heard of for so long is taken for dead: three beats may fail."""
FORGET = timedelta(days=1)
"""Until then a process that died can still be told of."""
STOP_SECONDS = 5.0


class HeartbeatThread(threading.Thread):
    """Beats until ``stop`` is set, and then takes its row away: an orderly end is no death."""

    def __init__(self, kind: Heartbeat.Kind, stop: threading.Event) -> None:
        super().__init__(name=f"heart of the {kind.value}", daemon=True)
        self._kind = kind
        self._stopped = stop
        self._host = socket.gethostname()
        self._clock = clock_steps.StepWatch()

    def run(self) -> None:
        """Beat; a database that is away is no reason to stop."""
        while not self._stopped.is_set():
            self._run_guarded(self._beat)
            self._stopped.wait(EVERY_SECONDS)
        self._run_guarded(self._leave)

    def _run_guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except DatabaseFailure as error:
            logger.debug("heartbeat: the database is away: %s", error)
        except Exception:
            logger.exception("heartbeat: an error of our own")
        finally:
            # Not kept: it would be one connection more for each process.
            connection.close()

    def _beat(self) -> None:
        clock_steps.set_right(self._clock.step())
        ours = Heartbeat.objects.filter(kind=self._kind, number=process_state.number())
        # Else the database was away, or its clock was set forward: the others had no chance either.
        in_time = ours.filter(at__gte=Now() - ALIVE).exists()
        Heartbeat.objects.bulk_create(
            [
                Heartbeat(
                    kind=self._kind,
                    host=self._host,
                    pid=os.getpid(),
                    at=Now(),
                    number=process_state.number(),
                )
            ],
            update_conflicts=True,
            unique_fields=["kind", "number"],
            update_fields=["at"],
        )
        if in_time:
            _bury(Heartbeat.objects.filter(at__lt=Now() - ALIVE))
        Heartbeat.objects.filter(at__lt=Now() - FORGET).delete()

    def _leave(self) -> None:
        Heartbeat.objects.filter(kind=self._kind, number=process_state.number()).delete()


def _bury(dead: QuerySet[Heartbeat]) -> None:
    """Give back what dead processes had in hand: nobody need wait for their leases."""
    for row in dead.filter(number__isnull=False):
        freed = ledger.free_claims_of(row.number or 0)
        call_slots.free_slots_of(row.number or 0)
        Heartbeat.objects.filter(pk=row.pk, number=row.number).update(number=None)
        if freed:
            logger.warning("%s has died: the %d orders it had in hand are free", row, freed)
            process_state.wake.set()


def alive() -> dict[Heartbeat.Kind, int]:
    """Return how many processes of each kind have been heard of lately; one statement."""
    lately = Q(at__gt=Now() - ALIVE)
    counts = Heartbeat.objects.aggregate(
        **{kind.value: Count("pk", filter=lately & Q(kind=kind)) for kind in Heartbeat.Kind}
    )
    return {kind: counts[kind.value] for kind in Heartbeat.Kind}
