"""Calls one step of a thread that goes on whatever happens."""

import logging
import threading
from collections.abc import Callable

from django.db import Error as DatabaseFailure
from django.db import connection

logger = logging.getLogger(__name__)


def run_guarded(step: Callable[[], float], after_failure: float) -> float:
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
