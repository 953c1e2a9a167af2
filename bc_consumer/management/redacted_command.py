"""The base of our commands: what they print holds no secret, and may be read in part."""

import io
import os
import sys
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand

from bc_consumer.core.redaction import RedactingStream


class RedactedCommand(BaseCommand):
    """Hides secrets in all that a command writes to ``self.stdout`` and ``self.stderr``."""

    def __init__(
        self, stdout: TextIO | None = None, stderr: TextIO | None = None, **options: Any
    ) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A terminal that can't show a sign must not end the command; stderr is so by itself.
            sys.stdout.reconfigure(errors="backslashreplace")
        super().__init__(_hiding(stdout or sys.stdout), _hiding(stderr or sys.stderr), **options)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run it; a caller may give it other streams."""
        given = {name: options[name] for name in ("stdout", "stderr") if options.get(name)}
        options |= {name: _hiding(stream) for name, stream in given.items()}
        try:
            try:
                result: str | None = super().execute(*args, **options)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:  # whoever read has seen enough: ``| head``
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        return result


def _hiding(stream: TextIO) -> TextIO:
    return cast("TextIO", RedactingStream(stream))
