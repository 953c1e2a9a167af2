"""What the commands share: output without secrets, arguments, exit codes, an orderly end."""

import argparse
import enum
import getpass
import io
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType
from typing import Any, TextIO, cast

from django.conf import settings
from django.core.management.base import BaseCommand, DjangoHelpFormatter, OutputWrapper
from django.utils import timezone
from django.utils.translation import gettext as _

from bc_consumer.core import process_state
from bc_consumer.core.local_time import OLDEST, parse_moment
from bc_consumer.core.odoo_ids import parse_id
from bc_consumer.core.redacted_text import RedactingStream
from bc_consumer.installation.setting_checks import quick_checks
from bc_consumer.management.odoo_silence_notice import silence_is_told
from bc_consumer.management.status_line import StatusLine, log_above
from bc_consumer.management.tables import wrapped

AGO = re.compile(r"(\d{1,5})([mhdw])")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
QUIET_LEVELS = {"bc_consumer": logging.WARNING, "bc_consumer.operations.alerts": logging.CRITICAL}
"""The command reports its own result; one log line for each order would hide it."""


# --- the base class -----------------------------------------------------------------------------


class RedactedCommand(BaseCommand):
    """Hides secrets in everything that a command writes to ``self.stdout`` and ``self.stderr``."""

    _line: StatusLine | None = None

    def __init__(
        self, stdout: TextIO | None = None, stderr: TextIO | None = None, **options: Any
    ) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A sign that the terminal lacks must not end the command; stderr escapes it anyway.
            sys.stdout.reconfigure(errors="backslashreplace")
        super().__init__(_hiding(stdout or sys.stdout), _hiding(stderr or sys.stderr), **options)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; it ends quietly when its reader (``| head``) has gone."""
        given = {name: options[name] for name in ("stdout", "stderr") if options.get(name)}
        options |= {name: _hiding(stream) for name, stream in given.items()}
        try:
            try:
                result: str | None = super().execute(*args, **options)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        return result

    @contextmanager
    def at_work(self, verbosity: int) -> Iterator[StatusLine]:
        """Show what a person wants to see while the command works; return its status line.

        That is: no log line for each order (``quiet``), none that the result will repeat, and a
        silent Odoo before its deadline.
        """
        stderr = stream_of(self.stderr)
        line = StatusLine(stderr)
        with (
            quiet(verbosity),
            log_above(line, whole=shows_all(verbosity)),
            self._output_above(line),
            silence_is_told(line, stderr),
        ):
            self._line = line
            try:
                yield line
            finally:
                self._line = None
                line.clear()

    @contextmanager
    def _output_above(self, line: StatusLine) -> Iterator[None]:
        """Let what the command writes appear above its status line, too."""
        before = [(wrapper, stream_of(wrapper)) for wrapper in (self.stdout, self.stderr)]
        for wrapper, stream in before:
            vars(wrapper)["_out"] = line.above(stream)
        try:
            yield
        finally:
            for wrapper, stream in before:
                vars(wrapper)["_out"] = stream

    def tell(self, text: str, indent: str = "") -> None:
        """Write for people; the long lines of a terminal go on with ``indent``."""
        self._clear_line()
        self.stdout.write(wrapped(text, self.stdout, indent))

    def complain(self, text: str) -> None:
        """Write an error, or what somebody has to decide, for people."""
        self._clear_line()
        self.stderr.write(wrapped(text, self.stderr))

    def _clear_line(self) -> None:
        """Remove what the status line said of the time before this result."""
        if self._line is not None:
            self._line.clear()

    def check(self, *args: Any, **options: Any) -> None:
        """Run the system checks, without what would make every command a second slower.

        The commands that start web, workers and scheduler, ``check`` and ``doctor`` do that, too.
        """
        with quick_checks():
            super().check(*args, **options)

    def is_confirmed(self, question: str) -> bool:
        """Ask the person at the terminal; return whether the answer is yes."""
        self.stderr.write(question + " ", ending="")
        self.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes", _("y"), _("yes")}


def caller_name() -> str:
    """Return who is told as the one who ran this command: the account of the system."""
    try:
        return f"{getpass.getuser()} (manage.py)"
    except (ImportError, KeyError, OSError):  # a user of a container that has no name
        return "manage.py"


def stream_of(wrapper: OutputWrapper) -> TextIO:
    """Return the stream inside Django's wrapper, which adds newlines and colours."""
    stream: TextIO = vars(wrapper)["_out"]
    return stream


def _hiding(stream: TextIO) -> TextIO:
    return cast("TextIO", RedactingStream(stream))


# --- exit codes ---------------------------------------------------------------------------------


class Exit(enum.IntEnum):
    """The exit codes of commands that work on orders, and of processes; scripts rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    LOCKED = 4
    BRAKED = 5
    REFUSED = 6
    DRIFT = 7
    INTERRUPTED = 130


def exit_code_table(meanings: Mapping[enum.IntEnum, str]) -> str:
    """Return the table of exit codes that ends a command's help."""
    rows = [f"  {int(code):>3}  {meaning}" for code, meaning in meanings.items()]
    return "\n".join([_("Exit codes:"), *rows])


# --- arguments ----------------------------------------------------------------------------------


class HelpFormatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of a description and of the table of exit codes."""


def parse_order(text: str) -> int | str:
    """Read an order's id in Odoo («12», or «#12» as our output writes it), else its reference.

    ``order_lookup.find_orders`` finds the id to a reference. Raises ArgumentTypeError for a number
    that is no id, and for a text that names nothing.
    """
    number = text.strip().removeprefix("#")
    if (odoo_id := parse_id(number)) is not None:
        return odoo_id
    if number.isdecimal() or not number or text.startswith("#"):
        raise argparse.ArgumentTypeError(_('"%(text)s" is not an order id') % {"text": text})
    return text.strip()


def parse_since(text: str) -> datetime:
    """Read «2d», «36h», «2026-11-24» or «2026-11-24T06:00»; TIME_ZONE applies without an offset.

    Raises ArgumentTypeError, which shows how to write a moment, for any other text and for a moment
    in the future.
    """
    now = timezone.now()
    if ago := AGO.fullmatch(text.strip()):
        return max(now - timedelta(**{UNITS[ago[2]]: int(ago[1])}), OLDEST)
    moment = parse_moment(text)
    if moment is None:
        raise argparse.ArgumentTypeError(
            _('"%(text)s" is not a time: write 2d, 36h, 2026-11-24 or 2026-11-24T06:00')
            % {"text": text}
        )
    if moment > now:
        raise argparse.ArgumentTypeError(
            _('"%(text)s" is in the future: nothing can have changed since') % {"text": text}
        )
    return moment


# --- signals and logs ---------------------------------------------------------------------------


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """SIGTERM and the first Ctrl-C stop the work in an orderly way; a second Ctrl-C, at once."""
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
    """Keep log lines about single orders back, unless ``-v 2`` or LOG_LEVEL asks for them."""
    if shows_all(verbosity):
        yield
        return
    configured = logging.getLevelNamesMapping()[settings.LOG_LEVEL]
    with at_levels({name: max(level, configured) for name, level in QUIET_LEVELS.items()}):
        yield


def shows_all(verbosity: int) -> bool:
    """Return whether ``-v 2`` or LOG_LEVEL asks for every log line."""
    return verbosity > 1 or settings.LOG_LEVEL == "DEBUG"


@contextmanager
def at_levels(levels: Mapping[str, int]) -> Iterator[None]:
    """Set the levels of these loggers, and restore them at the end."""
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
