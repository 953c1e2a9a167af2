"""Whether a web process uses the database for events, and what it does about those it missed.

One thread a process keeps the watch's connection, finds out when the database is back, and has
what may have been missed looked for; no request has to.
"""

import logging
import threading
import time

import psycopg2
from django.db import DatabaseError, InterfaceError, connection

from bc_consumer.core.database_deadline import database_deadline
from bc_consumer.messaging.database_watch import Verdict, Watch
from bc_consumer.models import PendingBC, SyncState

logger = logging.getLogger(__name__)

AWAY = (DatabaseError, InterfaceError)
PROBE_SECONDS = 0.5
PROBE_DEADLINE_SECONDS = 2.0
"""A server that goes on after a stop answers a question that is under way at once."""
HOPELESS_SECONDS = 2.0
"""Of both being away, after which requests are refused without another try."""
KEEP_WATCH_SECONDS = 20.0
"""A connection that is used less often may be dropped on the way, unnoticed."""
ASK_AGAIN_SECONDS = 10.0
"""A scan that was asked for is not asked for anew before: events are missed by the dozen."""
WARN_AGAIN_SECONDS = 60.0
STALLED_SECONDS = 1.0
"""A process that was not let run for so long may have kept requests beyond Odoo's second."""


class DatabaseGate:
    """Closed after a failure, so that only the first requests of an outage wait for it."""

    def __init__(self, watch: Watch | None) -> None:
        self.usable = True
        self.slow = False
        """When it was last closed the server answered, and was only slow."""
        self.watch = watch
        self.rounds = 0
        """How often its thread has looked."""
        self._closed_at = 0.0
        self._probed = False
        self._ask_at = self._keep_watch_at = 0.0
        self._warned_at = float("-inf")
        self._lock = threading.Lock()
        self._missed = threading.Event()
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="database-keeper", daemon=True)

    @property
    def hopeless(self) -> bool:
        """Whether it has been closed for so long that another try is not worth the wait."""
        return not self.usable and time.monotonic() - self._closed_at > HOPELESS_SECONDS

    def start(self) -> None:
        """Begin to keep it. Whatever was sent while there was no web process was missed."""
        self.missed()
        self._keeper.start()

    def close(self) -> None:
        """Stop keeping it."""
        self._closing.set()
        self._keeper.join()

    def trip(self, error: Exception, verdict: Verdict | None) -> None:
        """Close the gate, unless it is; ``verdict`` None: the server itself refused."""
        connection.close()
        with self._lock:
            was_usable, self.usable = self.usable, False
            self.slow = verdict is Verdict.SLOW
            if was_usable:
                self._closed_at = time.monotonic()
        self.missed()
        if not was_usable:
            return
        if verdict is Verdict.LOCKED:
            logger.error("The ledger is locked; events go to RabbitMQ meanwhile: %s", error)
        elif verdict is not Verdict.SLOW:
            logger.error("The database is away; events go to RabbitMQ meanwhile: %s", error)
        elif time.monotonic() - self._warned_at > WARN_AGAIN_SECONDS:
            self._warned_at = time.monotonic()
            logger.warning("The database is slow; events go to RabbitMQ for a moment: %s", error)

    def open(self) -> None:
        """Let events go to the ledger again, if they did not."""
        with self._lock:
            if self.usable:
                return
            self.usable = True
        logger.warning("The database is back; events go to the ledger again")

    @property
    def missing(self) -> bool:
        """Whether a scan is still to be asked for."""
        return self._missed.is_set()

    def ask_again(self) -> None:
        """Ask for the next scan without waiting until the last one is some time ago."""
        self._ask_at = 0.0

    def missed(self) -> None:
        """Remember that events may have been lost: their senders may never send them again."""
        self._missed.set()

    def _keep(self) -> None:
        while True:
            try:
                if not self.usable:
                    self._probe()
                self._keep_watch()
                if self.usable or self._probed:
                    self.open()
                    self._ask_for_a_scan()
            except AWAY:
                connection.close()
            except Exception:
                logger.exception("The keeper of the database met an error of our own and goes on")
            self._probed = False
            self.rounds += 1
            if self._paused():
                break
        if self.watch is not None:
            self.watch.close()
        connection.close()

    def _probe(self) -> None:
        """Take the locks that a mark takes, and change nothing."""
        with database_deadline(PROBE_DEADLINE_SECONDS):
            PendingBC.objects.filter(pk=-1).update(marks=0)
        self._probed = True

    def _keep_watch(self) -> None:
        """Have a watch, if that can be; without one, slow statements are given up sooner."""
        if self.watch is None or (time.monotonic() < self._keep_watch_at and self.watch.usable):
            return
        try:
            self.watch.keep()
        except psycopg2.Error as error:
            logger.debug("No second connection to the database: %s", error)
        else:
            self._keep_watch_at = time.monotonic() + KEEP_WATCH_SECONDS

    def _ask_for_a_scan(self) -> None:
        if time.monotonic() < self._ask_at or not self._missed.is_set():
            return
        self._missed.clear()
        try:
            with database_deadline(PROBE_DEADLINE_SECONDS):
                SyncState.request_scan()
        except AWAY:
            self._missed.set()
            raise
        self._ask_at = time.monotonic() + ASK_AGAIN_SECONDS
        logger.info("Events may have been missed: a scan of what has changed is asked for")

    def _paused(self) -> bool:
        """Wait for the next round; tell whether it was the last one."""
        began = time.monotonic()
        closing = self._closing.wait(PROBE_SECONDS)
        if time.monotonic() - began > PROBE_SECONDS + STALLED_SECONDS:
            logger.warning("This process stood still for %.1f s", time.monotonic() - began)
            self.missed()
        return closing
