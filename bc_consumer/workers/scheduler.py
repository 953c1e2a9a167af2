"""What has to happen now and then: whatever reconciliation is due."""

import logging
import threading
import time

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Max

from bc_consumer.messaging.change_publisher import Announcer
from bc_consumer.messaging.change_publisher import wake as wake_announcer
from bc_consumer.messaging.publisher import FAILURES
from bc_consumer.models import Heartbeat, SyncLog
from bc_consumer.operations.heartbeats import STOP_SECONDS, HeartbeatThread
from bc_consumer.reconciliation.lock import AlreadyRunning, Interrupted
from bc_consumer.reconciliation.run import reconcile, reconcile_slice
from bc_consumer.reconciliation.schedule import RunRequest, due
from bc_consumer.workers.actors import reconcile_nightly

logger = logging.getLogger(__name__)

SEND_AGAIN_SECONDS = 60.0
"""Before another message for a nightly run that no worker has begun."""
HERE_AFTER_SECONDS = 5 * 60.0
"""After which the scheduler does itself what no worker takes up: that needs no RabbitMQ either."""


class Ticker:
    """Ticks until told to stop; any number of them do no harm."""

    def __init__(self) -> None:
        self._send_after = 0.0
        self._waiting: tuple[int | None, int | None] | None = None
        self._waiting_since = 0.0

    def run(self, stop: threading.Event) -> None:
        """Tick every few seconds."""
        heart = HeartbeatThread(Heartbeat.Kind.SCHEDULER, stop)
        heart.start()
        announcer = Announcer(stop)
        announcer.start()
        while not stop.is_set():
            try:
                self.tick()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("scheduler: waiting for the database: %s", error)
                connection.close()
            except Exception:
                logger.exception("scheduler: met an error of our own and goes on")
            stop.wait(self._pause())
        connection.close()
        wake_announcer()
        for thread in (heart, announcer):
            thread.join(STOP_SECONDS)

    def tick(self) -> None:
        """Do what is due."""
        for request in due():
            if request.cause == SyncLog.Cause.NIGHTLY:
                self._see_to_nightly(request.unfinished)
            else:
                self._poll(request)

    def _pause(self) -> float:
        poll = float(settings.SYNC_POLL_SECONDS)
        return min(settings.SWEEP_SECONDS, poll) if poll else float(settings.SWEEP_SECONDS)

    def _poll(self, request: RunRequest) -> None:
        try:
            reconcile(request)
        except (AlreadyRunning, Interrupted) as reason:
            logger.info("poll: %s", reason)

    def _see_to_nightly(self, run: int | None) -> None:
        """Hand it to the workers; when that is in vain, do it here."""
        nightly = SyncLog.objects.filter(cause=SyncLog.Cause.NIGHTLY)
        waiting = (run, nightly.aggregate(latest=Max("pk"))["latest"])
        if waiting != self._waiting:
            self._waiting, self._waiting_since, self._send_after = waiting, time.monotonic(), 0.0
        if time.monotonic() - self._waiting_since > HERE_AFTER_SECONDS:
            self._do_here(run, "no worker takes it up")
        elif time.monotonic() >= self._send_after:
            self._send(run)

    def _do_here(self, run: int | None, why: str) -> None:
        logger.warning("scheduler: the nightly run is done here: %s", why)
        try:
            unfinished = reconcile_slice(run)
            while unfinished is not None:
                unfinished = reconcile_slice(unfinished)
        except (AlreadyRunning, Interrupted) as reason:
            logger.info("nightly run: %s", reason)

    def _send(self, run: int | None) -> None:
        try:
            reconcile_nightly.send(run)
        except FAILURES as error:
            self._do_here(run, f"RabbitMQ is away: {error!r}")
        else:
            self._send_after = time.monotonic() + SEND_AGAIN_SECONDS
            logger.info("scheduler: the nightly run was handed to the workers")
