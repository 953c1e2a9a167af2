"""What has to happen now and then: sweeping, and whatever reconciliation is due."""

import logging
import threading
import time

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from bc_consumer.actors import reconcile_nightly
from bc_consumer.models import SyncLog
from bc_consumer.publisher import FAILURES
from bc_consumer.reconcile import AlreadyRunning, Interrupted, Wish, reconcile
from bc_consumer.schedule import Due, due
from bc_consumer.sweeper import sweep

logger = logging.getLogger(__name__)

SEND_AGAIN_SECONDS = 60.0
"""Before another message for a nightly run that no worker has begun."""


class Ticker:
    """Ticks until told to stop; any number of them do no harm."""

    def __init__(self) -> None:
        self._send_after = 0.0

    def run(self, stop: threading.Event) -> None:
        """Tick every few seconds."""
        while not stop.is_set():
            try:
                sweep()
                if (now := due()) is not None:
                    self._do(now)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("scheduler: waiting for the database: %s", error)
                connection.close()
            except Exception:
                logger.exception("scheduler: met an error of our own and goes on")
            stop.wait(self._pause())
        connection.close()

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
        if time.monotonic() < self._send_after:
            return
        try:
            reconcile_nightly.send(run)
        except FAILURES as error:
            logger.warning("scheduler: the nightly run waits for RabbitMQ: %r", error)
        else:
            self._send_after = time.monotonic() + SEND_AGAIN_SECONDS
            logger.info("scheduler: the nightly run was handed to the workers")
