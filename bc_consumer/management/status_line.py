"""What a terminal shows while a command works: log lines above a status line that is redrawn.

A terminal is read by a person, to whom the command tells its result at the end. So a log line that
would only tell the cause of that result beforehand is left out there: each cause is told once.
Files and pipes get every line, and so does a terminal with ``-v 2``.
"""

import io
import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from bc_consumer.reconciliation.run import END_LINE, INTERNAL_ERROR_LINE
from bc_consumer.refresh.batch import AWAY_LINE, FAILED_LINE, HELD_LINE, SPLIT_LINE

CLEAR_LINE = "\r\x1b[K"
TOLD_IN_THE_RESULT = frozenset(
    {END_LINE, INTERNAL_ERROR_LINE, AWAY_LINE, FAILED_LINE, HELD_LINE, SPLIT_LINE}
)
"""Templates of the log lines whose cause the result tells."""
CHATTY = "pika"
"""Where RabbitMQ is away, its driver writes many lines, and our own log says it in one."""


class StatusLine:
    """The last line of a terminal. Thread-safe. Elsewhere it shows nothing.

    It has a progress, and a notice, which takes the progress's place while there is one.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.is_on_terminal = out.isatty()
        self._lock = threading.RLock()
        self._progress = self._notice = self._drawn = ""

    @property
    def columns(self) -> int:
        """The terminal's width at this moment."""
        return shutil.get_terminal_size().columns

    def show(self, progress: str) -> None:
        """Show the progress; "" removes it."""
        with self._lock:
            self._progress = progress
            self._draw()

    def notice(self, text: str) -> None:
        """Show a notice in its place; "" removes it."""
        with self._lock:
            self._notice = text
            self._draw()

    def clear(self) -> None:
        """Remove both, and free the line for the next writer."""
        with self._lock:
            self._progress = self._notice = ""
            self._draw()

    def write_above(self, stream: TextIO, text: str) -> int:
        """Write whole lines to a stream of the same terminal, and draw the line again below."""
        with self._lock:
            self._erase()
            written = stream.write(text)
            stream.flush()
            if text.endswith("\n"):
                self._draw()
        return written

    def above(self, stream: TextIO) -> TextIO:
        """Return a stream whose lines appear above this one, if it leads to a terminal."""
        if not self.is_on_terminal or not stream.isatty():
            return stream
        return cast("TextIO", _Above(self, stream))

    def _draw(self) -> None:
        if not self.is_on_terminal:
            return
        text = (self._notice or self._progress)[: self.columns - 1]
        if text != self._drawn:
            self._out.write(CLEAR_LINE + text)
            self._out.flush()
        self._drawn = text

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(CLEAR_LINE)
            self._out.flush()
            self._drawn = ""


class _Above(io.TextIOBase):
    """A stream that makes room for what it writes."""

    def __init__(self, line: StatusLine, stream: TextIO) -> None:
        self._line = line
        self._stream = stream

    def write(self, text: str) -> int:
        return self._line.write_above(self._stream, text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return True


@contextmanager
def log_above(line: StatusLine, *, whole: bool = False) -> Iterator[None]:
    """Show log lines above the status line; ``whole``: those, too, that the result will tell."""
    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and _is_terminal(handler.stream)
    ]
    before = [(handler, handler.stream) for handler in handlers]
    for handler in handlers:
        handler.setStream(line.above(handler.stream))
        if not whole:
            handler.addFilter(is_news)
    try:
        yield
    finally:
        for handler, stream in before:
            handler.removeFilter(is_news)
            handler.setStream(stream)


def _is_terminal(stream: Any) -> bool:
    """Return whether a handler's stream leads to a terminal; that of a file may not be open yet."""
    return bool(getattr(stream, "isatty", bool)())


def is_news(record: logging.LogRecord) -> bool:
    """Return whether this line says what the command's result does not."""
    return record.msg not in TOLD_IN_THE_RESULT and record.name.partition(".")[0] != CHATTY
