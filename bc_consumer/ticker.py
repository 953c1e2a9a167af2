"""What has to happen now and then: whatever reconciliation is due."""

import logging
import threading
import time

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from bc_consumer.actors import reconcile_nightly
from bc_consumer.alerts import alert
from bc_consumer.announcer import Announcer
from bc_consumer.announcer import wake as wake_announcer
from bc_consumer.heartbeats import STOP_SECONDS, Heart
from bc_consumer.models import Heartbeat, SyncLog
from bc_consumer.publisher import FAILURES
from bc_consumer.reconcile import AlreadyRunning, Interrupted, reconcile
from bc_consumer.run_beginning import Wish
from bc_consumer.schedule import Due, due

logger = logging.getLogger(__name__)

SEND_AGAIN_SECONDS = 60.0
"""Before another message for a nightly run that no worker has begun."""
LATE_SECONDS = 30 * 60.0
"""After which people are told that no worker has begun it."""


class Ticker:
    """Ticks until told to stop; any number of them do no harm."""

    def __init__(self) -> None:
        self._send_after = 0.0
        self._begun_sending: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Tick every few seconds."""
        heart = Heart(Heartbeat.Kind.SCHEDULER, stop)
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
        now = due()
        if now is None or now.cause != SyncLog.Cause.NIGHTLY:
            self._begun_sending = None
        if now is not None:
            self._do(now)

    def _pause(self) -> float:
        poll = float(settings.SYNC_POLL_SECONDS)
        return min(settings.SWEEP_SECONDS, poll) if poll else float(settings.SWEEP_SECONDS)

    def _do(self, due: Due) -> None:
        if due.cause == SyncLog.Cause.NIGHTLY:
            self._send(due.run)
            return
        try:
            reconcile(Wish(SyncLog.Cause.POLL, digest=due.digest))
        except (AlreadyRunning, Interrupted) as reason:
            logger.info("poll: %s", reason)

    def _send(self, run: int | None) -> None:
        self._tell_if_late()
        if time.monotonic() < self._send_after:
            return
        try:
            reconcile_nightly.send(run)
        except FAILURES as error:
            logger.warning("scheduler: the nightly run waits for RabbitMQ: %r", error)
        else:
            self._send_after = time.monotonic() + SEND_AGAIN_SECONDS
            logger.info("scheduler: the nightly run was handed to the workers")

    def _tell_if_late(self) -> None:
        if self._begun_sending is None:
            self._begun_sending = time.monotonic()
        elif time.monotonic() - self._begun_sending > LATE_SECONDS:
            alert(
                "nightly late",
                "no worker does the nightly run",
                "The nightly reconciliation is due and no worker begins or goes on with it. Are"
                " workers running, and do they use the same RABBITMQ_URL and RABBITMQ_QUEUE?",
            )
