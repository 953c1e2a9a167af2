"""Says which setting can't be read, in place of a traceback: nothing runs without settings."""

import io
import json
import sys
from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

from bc_consumer.core.redaction import redacted

EXIT = 2
"""As for a wrong argument; ``doctor`` counts it as an error."""
FIX = "Correct it in .env or in the environment; docs/settings.md explains it."


def tell(arguments: Sequence[str], error: ImproperlyConfigured) -> int:
    """Print it as the command that was called prints such a thing; return the exit code.

    In English: which language is wanted is a setting, too.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for a terminal without such signs
    text = redacted(str(error))
    if arguments[:1] != ["doctor"]:
        print(f"A setting is wrong: {text}\n{FIX}", file=sys.stderr)
    elif "--json" in arguments:
        finding = {"level": "error", "text": text, "fix": FIX}
        check = {"name": "settings", "title": "Settings", "level": "error", "findings": [finding]}
        print(json.dumps({"exit": EXIT, "checks": [check]}, ensure_ascii=True))
    else:
        print(f"✗ Settings: {text}\n    → {FIX}\nNothing else can be looked at before.")
    return EXIT
