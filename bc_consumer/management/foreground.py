"""What a command needs that a person, or cron, watches: an end in good order, and a quiet log."""

import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from django.conf import settings

from bc_consumer.core import process_state

LEVELS = {"bc_consumer": logging.WARNING, "bc_consumer.operations.alerts": logging.CRITICAL}
"""The command says itself how it ended; a line an order would drown that."""


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """SIGTERM and the first Ctrl-C end the work in good order; the second Ctrl-C, at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        process_state.stopping.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def quiet(verbosity: int) -> Iterator[None]:
    """Keep lines about single orders out of the log, unless asked for (``-v 2``, LOG_LEVEL)."""
    if verbosity > 1 or settings.LOG_LEVEL != "INFO":
        yield
        return
    with at_levels(LEVELS):
        yield


@contextmanager
def at_levels(levels: Mapping[str, int]) -> Iterator[None]:
    """Give these loggers these levels for a while."""
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
