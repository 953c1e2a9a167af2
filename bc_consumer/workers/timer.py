"""The timer of each worker process, and the sweeper of each worker process and scheduler.

With them no order waits for a message, and no stored event for the scheduler. They are two threads
because RabbitMQ can block the sweeper for a minute (only heartbeats detect a network that drops
packets), and no order may wait for that.
"""

import logging
import threading
from collections.abc import Callable

from django.db import Error as DatabaseFailure
from django.db import connection

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.refresh.batch import work_off
from bc_consumer.workers.queue_sweeper import LOOK_SECONDS, Sweeper, leave_rabbitmq

logger = logging.getLogger(__name__)

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
            process_state.wake.wait(_run_guarded(self._work_off, LONGEST_SLEEP_SECONDS))
        connection.close()

    def _work_off(self) -> float:
        looks = work_off()
        due = ledger.seconds_until_due()
        if due == 0.0 and looks == 0:
            return OTHERS_SECONDS  # other threads of this process are working on it
        return LONGEST_SLEEP_SECONDS if due is None else min(due, LONGEST_SLEEP_SECONDS)


class SweeperThread(threading.Thread):
    """Moves stored events to the ledger as soon as possible, and does a full sweep periodically."""

    def __init__(self) -> None:
        super().__init__(name="sweeping", daemon=True)

    def run(self) -> None:
        """Run until the process stops."""
        sweeper = Sweeper()
        while not process_state.stopping.is_set():
            process_state.stopping.wait(_run_guarded(sweeper.round, LOOK_SECONDS))
        leave_rabbitmq()
        connection.close()


def _run_guarded(step: Callable[[], float], after_failure: float) -> float:
    """Call ``step``; return the seconds to wait that it returned, or ``after_failure``.

    Any exception is logged, so that the thread survives it.
    """
    try:
        return step()
    except DatabaseFailure as error:
        name = threading.current_thread().name
        logger.warning("The %s thread waits for the database: %s", name, error)
        connection.close()
    except Exception:
        name = threading.current_thread().name
        logger.exception("The %s thread had an unexpected internal error and carries on", name)
    return after_failure
