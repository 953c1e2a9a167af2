"""``manage.py scheduler``: what has to happen now and then, whoever else is running."""

import logging
import signal
import threading
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, connection

from bc_consumer.sweeper import sweep

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Sweep every few seconds until told to stop; two schedulers do no harm."""

    help = "Brings stored events into the ledger and sends lost messages again."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run until SIGTERM or Ctrl-C."""
        stop = threading.Event()

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        logger.info("scheduler: sweeping every %g s", settings.SWEEP_SECONDS)
        while not stop.is_set():
            try:
                sweep()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("scheduler: waiting for the database: %s", error)
                connection.close()
            except Exception:
                logger.exception("scheduler: met an error of our own and goes on")
            stop.wait(settings.SWEEP_SECONDS)
