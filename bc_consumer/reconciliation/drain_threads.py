"""Threads of a run's own process that work off what is due: a run needs no other worker."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from bc_consumer.core import process_state
from bc_consumer.refresh.batch import work_off

logger = logging.getLogger(__name__)


@contextmanager
def crew(run: int) -> Iterator[None]:
    """Work off what is due beside a run's detection, so that reading and writing overlap."""
    stop = threading.Event()
    count = min(2, settings.ODOO_CONCURRENT_CALLS) if connection.vendor == "postgresql" else 1
    threads = [
        threading.Thread(target=_work_until, args=(run, stop), name=f"crew-{n}", daemon=True)
        for n in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _work_until(run: int, stop: threading.Event) -> None:
    while not stop.is_set() and not process_state.stopping.is_set():
        try:
            if not work_off(turn=1.0, run=run):
                stop.wait(0.05)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The run's crew waits for the database: %s", error)
            connection.close()
            stop.wait(1.0)
    connection.close()
