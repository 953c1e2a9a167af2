"""Two threads of every worker process: no order has to wait for a message, or for the scheduler.

Two, because RabbitMQ can hold the sweeping one up for a minute (that a network swallows packets is
noticed by heartbeats alone), and no order must wait for that.
"""

import logging
import threading
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connection

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.refresh.batch import work_off
from bc_consumer.workers.queue_sweeper import LOOK_SECONDS, Sweeper, leave_rabbitmq

logger = logging.getLogger(__name__)

OTHERS_SECONDS = 0.1
"""Before the next look while others have as much of the bulk lane in hand as they may."""
LONGEST_SLEEP_SECONDS = 1.0
"""How late the timer may notice a mark whose message was lost."""


class Timer(threading.Thread):
    """Works off what is due whenever it is due."""

    def __init__(self) -> None:
        super().__init__(name="timer", daemon=True)

    def run(self) -> None:
        """Run until the process stops."""
        while not process_state.stopping.is_set():
            process_state.wake.clear()
            process_state.wake.wait(_survive(self._work_off, LONGEST_SLEEP_SECONDS))
        connection.close()

    def _work_off(self) -> float:
        looked_at = work_off()
        due = ledger.seconds_until_due()
        if due == 0.0 and looked_at == 0:
            return OTHERS_SECONDS  # what is due, other threads of this process are at
        return LONGEST_SLEEP_SECONDS if due is None else min(due, LONGEST_SLEEP_SECONDS)


class Sweeping(threading.Thread):
    """Sweeps: stored events as soon as they can be taken in, the rest now and then."""

    def __init__(self) -> None:
        super().__init__(name="sweeping", daemon=True)

    def run(self) -> None:
        """Run until the process stops."""
        sweeper = Sweeper()
        while not process_state.stopping.is_set():
            process_state.stopping.wait(_survive(sweeper.round, LOOK_SECONDS))
        leave_rabbitmq()
        connection.close()


def _survive(do: Callable[[], float], after_failure: float) -> float:
    """Do it; return how long to wait then. A database that is away only makes it wait."""
    try:
        return do()
    except (DatabaseError, InterfaceError) as error:
        name = threading.current_thread().name
        logger.warning("The %s thread waits for the database: %s", name, error)
        connection.close()
    except Exception:
        name = threading.current_thread().name
        logger.exception("The %s thread met an error of our own and goes on", name)
    return after_failure
