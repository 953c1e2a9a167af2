"""The timer of each worker process: with it no order waits for a message."""

import threading

from django.db import connection

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.refresh.batch import work_off
from bc_consumer.workers.guarded_step import run_guarded

OTHERS_SECONDS = 0.1
"""Delay before the next look while other threads are working on as many bulk batches as allowed."""
LONGEST_SLEEP_SECONDS = 1.0
"""Longest time until the timer finds a mark whose message was lost."""


class Timer(threading.Thread):
    """Works off due orders as soon as they are due, with or without a message."""

    def __init__(self) -> None:
        super().__init__(name="timer", daemon=True)

    def run(self) -> None:
        """Run until the process stops."""
        while not process_state.stopping.is_set():
            process_state.wake.clear()
            process_state.wake.wait(run_guarded(self._work_off, LONGEST_SLEEP_SECONDS))
        connection.close()

    def _work_off(self) -> float:
        looks = work_off()
        due = ledger.seconds_until_due()
        if due == 0.0 and looks == 0:
            return OTHERS_SECONDS  # other threads of this process are working on it
        return LONGEST_SLEEP_SECONDS if due is None else min(due, LONGEST_SLEEP_SECONDS)
