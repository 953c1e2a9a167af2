"""``manage.py scheduler``: starts the work that is due at certain times."""

import logging
import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from bc_consumer.core import process_state
from bc_consumer.core.garbage_collection import collect_rarely
from bc_consumer.management.command import Exit, HelpFormatter, exit_code_table
from bc_consumer.workers.due_runs import Ticker
from bc_consumer.workers.periodic_sweep import SweeperThread

logger = logging.getLogger(__name__)

STOP_SECONDS = 3.0
"""The time a running sweep has to end; RabbitMQ returns the messages it has not acked."""


class Command(BaseCommand):
    """Runs until it is told to stop; a second scheduler does no harm."""

    help = "Sweeps, polls, and hands the nightly reconciliation to the workers when it is due."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare no options; add the exit codes to the help."""
        parser.epilog = exit_code_table(
            {
                Exit.OK: _("told to stop (Ctrl-C, SIGTERM)"),
                Exit.FAILED: _("a setting is wrong, or an unexpected internal error"),
                Exit.USAGE: _("wrong options"),
            }
        )
        parser.formatter_class = HelpFormatter

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run until SIGTERM or Ctrl-C arrives."""
        stop = threading.Event()

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            stop.set()
            process_state.stopping.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        collect_rarely()
        logger.info("scheduler: started")
        sweeper = SweeperThread()
        sweeper.start()
        Ticker().run(stop)
        sweeper.join(STOP_SECONDS)
