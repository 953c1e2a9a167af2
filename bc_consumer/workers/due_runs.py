"""Starts the reconciliation runs that are due: the nightly run, polls and requested scans."""

import logging
import threading
import time

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models import Max

from bc_consumer.messaging.announcer import Announcer
from bc_consumer.messaging.announcer import wake as wake_announcer
from bc_consumer.messaging.publisher import FAILURES
from bc_consumer.models import Heartbeat, SyncLog
from bc_consumer.operations import metric_totals
from bc_consumer.operations.heartbeats import STOP_SECONDS, HeartbeatThread
from bc_consumer.reconciliation.lock import AlreadyRunning, Interrupted
from bc_consumer.reconciliation.run import reconcile, reconcile_slice
from bc_consumer.reconciliation.schedule import RunRequest, due
from bc_consumer.workers.actors import reconcile_nightly

logger = logging.getLogger(__name__)

SEND_AGAIN_SECONDS = 60.0
"""Delay before another message is sent for a nightly run that no worker has begun."""
HERE_AFTER_SECONDS = 5 * 60.0
"""Time after which the scheduler itself does a run that no worker takes up, without RabbitMQ."""


class Ticker:
    """Ticks until it is stopped. Any number of them may run: the database decides who begins."""

    def __init__(self) -> None:
        self._send_after = 0.0
        self._waiting: tuple[int | None, int | None] | None = None
        self._waiting_since = 0.0

    def run(self, stop: threading.Event) -> None:
        """Tick every few seconds until ``stop`` is set, with heartbeat and announcer threads."""
        heartbeat = HeartbeatThread(Heartbeat.Kind.SCHEDULER, stop)
        heartbeat.start()
        announcer = Announcer(stop)
        announcer.start()
        while not stop.is_set():
            try:
                self.tick()
            except DatabaseFailure as error:
                logger.warning("scheduler: waiting for the database: %s", error)
                connection.close()
            except Exception:
                logger.exception("The scheduler had an unexpected internal error and carries on")
            stop.wait(self._tick_seconds())
        connection.close()
        wake_announcer()
        for thread in (heartbeat, announcer):
            thread.join(STOP_SECONDS)
        metric_totals.flush_at_end()

    def tick(self) -> None:
        """Start each run that is due."""
        for request in due():
            if request.cause == SyncLog.Cause.NIGHTLY:
                self._dispatch_nightly(request.unfinished)
            else:
                self._poll(request)

    def _tick_seconds(self) -> float:
        poll = float(settings.SYNC_POLL_SECONDS)
        return min(settings.SWEEP_SECONDS, poll) if poll else float(settings.SWEEP_SECONDS)

    def _poll(self, request: RunRequest) -> None:
        try:
            reconcile(request)
        except (AlreadyRunning, Interrupted) as reason:
            logger.info("poll: %s", reason)

    def _dispatch_nightly(self, run: int | None) -> None:
        """Hand the run to the workers; do it here if none takes it up."""
        nightly = SyncLog.objects.filter(cause=SyncLog.Cause.NIGHTLY)
        waiting = (run, nightly.aggregate(latest=Max("pk"))["latest"])
        if waiting != self._waiting:
            self._waiting, self._waiting_since, self._send_after = waiting, time.monotonic(), 0.0
        if time.monotonic() - self._waiting_since > HERE_AFTER_SECONDS:
            self._run_nightly_here(run, "no worker has taken it")
        elif time.monotonic() >= self._send_after:
            self._send_to_workers(run)

    def _run_nightly_here(self, run: int | None, why: str) -> None:
        logger.warning("scheduler: running the nightly run in this process: %s", why)
        try:
            unfinished = reconcile_slice(run)
            while unfinished is not None:
                unfinished = reconcile_slice(unfinished)
        except (AlreadyRunning, Interrupted) as reason:
            logger.info("nightly run: %s", reason)

    def _send_to_workers(self, run: int | None) -> None:
        try:
            reconcile_nightly.send(run)
        except FAILURES as error:
            self._run_nightly_here(run, f"RabbitMQ is away: {error!r}")
        else:
            self._send_after = time.monotonic() + SEND_AGAIN_SECONDS
            logger.info("scheduler: the nightly run was handed to the workers")
