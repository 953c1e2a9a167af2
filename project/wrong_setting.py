"""Reports an unreadable setting instead of a traceback."""

import io
import json
import sys
from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

from bc_consumer.core.redacted_text import redacted

EXIT = 2
"""The exit code for a wrong argument; ``doctor`` uses it for errors."""
FIX = "Correct it in .env or in the environment; docs/settings.md explains it."


def report(arguments: Sequence[str], error: ImproperlyConfigured) -> int:
    """Print the error in the format of the command that was called; return the exit code.

    The text is English, because the language is a setting, too.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the terminal may lack some characters
    text = redacted(str(error))
    if arguments[:1] != ["doctor"]:
        print(f"A setting is wrong: {text}\n{FIX}", file=sys.stderr)
    elif "--json" in arguments:
        finding = {"level": "error", "text": text, "fix": FIX}
        check = {"name": "settings", "title": "Settings", "level": "error", "findings": [finding]}
        print(json.dumps({"exit": EXIT, "checks": [check]}, ensure_ascii=True))
    else:
        print(f"✗ Settings: {text}\n    → {FIX}\nFix this first; the other checks were skipped.")
    return EXIT
