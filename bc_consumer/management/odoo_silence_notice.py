"""Tells whoever waits at a command that Odoo is silent, long before its deadline is over."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from django.utils import translation
from django.utils.translation import gettext as _

from bc_consumer.console.formatting import number
from bc_consumer.management.status_line import StatusLine
from bc_consumer.odoo import CALLS, Silence

SILENT_SECONDS = 4.5
"""Silence is reported after at most five seconds."""
LOOK_SECONDS = 0.25
PAUSE_SECONDS = 60.0
"""Between two lines in a log: an Odoo that takes long for each answer is told of once a minute."""


@contextmanager
def silence_is_told(line: StatusLine, out: TextIO) -> Iterator[None]:
    """Tell of a silent Odoo meanwhile: in the status line of a terminal, else by a line to ``out``.

    The status line counts on, and is free again when Odoo answers.
    """
    over = threading.Event()
    language = translation.get_language()
    watch = threading.Thread(
        target=_watch, args=(line, out, over, language), name="silence", daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _watch(line: StatusLine, out: TextIO, over: threading.Event, language: str) -> None:
    told_at, was_silent = -math.inf, False
    with translation.override(language):
        while not over.wait(LOOK_SECONDS):
            silence = CALLS.silence()
            is_silent = silence is not None and silence.seconds >= SILENT_SECONDS
            if silence is None or not is_silent:
                if was_silent:
                    line.notice("")
            elif line.is_on_terminal:
                line.notice(silence_line(silence))
            elif not was_silent and time.monotonic() >= told_at + PAUSE_SECONDS:
                told_at = time.monotonic()
                out.write(silence_line(silence) + "\n")
                out.flush()
            was_silent = is_silent
    line.notice("")


def silence_line(silence: Silence) -> str:
    """Describe a silence in one line."""
    return _(
        "Odoo has not answered for %(seconds)s s; waiting up to %(timeout)s s"
        " (ODOO_TIMEOUT_SECONDS) …"
    ) % {"seconds": number(math.ceil(silence.seconds)), "timeout": f"{silence.timeout:g}"}
