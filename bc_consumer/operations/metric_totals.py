"""Adds what processes have counted to the totals in the database, every few seconds.

A worker and a scheduler do it with each heartbeat, a web process and ``sync_BcLinbc`` in a thread
of their own; each of them once more at its orderly end. A killed process loses what it counted
since. Counts that could not be stored are kept, and stored later.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error as DatabaseFailure
from django.db import connection

from bc_consumer.core.counters import totals
from bc_consumer.models import MetricTotal

logger = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
"""Between two flushes of such a thread; workers flush with each heartbeat, as often."""
END_SECONDS = 2.0
"""How long the end of a process waits for the last flush."""


def flush() -> None:
    """Add what this process has counted to the totals, by one statement; none if it is nothing.

    Raises Django's database errors; the counts then wait for the next call. If the connection
    breaks just when the database has committed, that flush is added a second time.
    """
    amounts = totals.take()
    if not amounts:
        return
    table = MetricTotal._meta.db_table
    # In one order, so that no two processes wait for each other's rows.
    rows = sorted(amounts.items())
    statement = f"""
        INSERT INTO {table} (series, value) VALUES {", ".join(["(%s, %s)"] * len(rows))}
        ON CONFLICT (series) DO UPDATE SET value = {table}.value + excluded.value"""
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, [part for row in rows for part in row])
    except BaseException:
        totals.give_back(amounts)
        raise


def flush_guarded() -> None:
    """Do the same; a failure is only logged."""
    try:
        flush()
    except DatabaseFailure as error:
        logger.debug("metrics: the counts wait for the database: %s", error)
    except Exception:
        logger.exception("metrics: unexpected internal error")


def flush_at_end(seconds: float = END_SECONDS) -> None:
    """Store what is left at the end of a process; wait ``seconds`` at most, whatever is down."""
    thread = FlushThread()
    thread.start()
    thread.close(seconds)


@contextmanager
def flushing() -> Iterator[None]:
    """Flush every few seconds during the block, and at its end."""
    thread = FlushThread()
    thread.start()
    try:
        yield
    finally:
        thread.close()


class FlushThread(threading.Thread):
    """Flushes every few seconds until :meth:`close`, and once more then."""

    def __init__(self) -> None:
        super().__init__(name="metrics", daemon=True)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Flush until told to stop, even while the database is away."""
        while not self._stopped.wait(EVERY_SECONDS):
            self._flush()
        self._flush()

    def close(self, seconds: float = END_SECONDS) -> None:
        """Flush once more and end; wait ``seconds`` at most for that."""
        self._stopped.set()
        self.join(seconds)

    def _flush(self) -> None:
        flush_guarded()
        # Keeping it open would cost one more connection per process.
        connection.close()
