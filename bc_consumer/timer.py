"""A timer in every worker process: no order has to wait for a message, or for the scheduler."""

import logging
import threading
import time

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from bc_consumer import ledger, process
from bc_consumer.refresh import work_off
from bc_consumer.sweeper import sweep

logger = logging.getLogger(__name__)

LONGEST_SLEEP_SECONDS = 1.0
"""How late the timer may notice a mark whose message was lost."""


class Timer(threading.Thread):
    """Works off what is due whenever it is due, and sweeps now and then."""

    def __init__(self) -> None:
        super().__init__(name="timer", daemon=True)
        self._next_sweep = 0.0

    def run(self) -> None:
        """Run until the process stops; a database that is away only makes it wait."""
        while not process.stopping.is_set():
            process.wake.clear()
            try:
                work_off()
                self._sweep_if_due()
                pause = self._pause()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("The timer waits for the database: %s", error)
                connection.close()
                pause = LONGEST_SLEEP_SECONDS
            except Exception:
                logger.exception("The timer met an error of our own and goes on")
                pause = LONGEST_SLEEP_SECONDS
            process.wake.wait(pause)
        connection.close()

    def _sweep_if_due(self) -> None:
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + settings.SWEEP_SECONDS
            sweep()

    def _pause(self) -> float:
        due = ledger.seconds_until_due()
        return LONGEST_SLEEP_SECONDS if due is None else min(due, LONGEST_SLEEP_SECONDS)
