"""One of two processes that begin reconciliations at the same moments, on command.

For each line on standard input it runs ``sync_BcLinbc`` and answers with its exit code and what it
said on standard error, as one line of JSON.
"""

import io
import json
import sys

import django
from django.core.management import call_command


def run() -> tuple[int, str]:
    """Run the command as manage.py would."""
    said, code = io.StringIO(), 0
    try:
        call_command("sync_BcLinbc", stdout=io.StringIO(), stderr=said)
    except SystemExit as left:
        code = int(left.code or 0)
    return code, said.getvalue()


if __name__ == "__main__":
    django.setup()
    print("ready", flush=True)
    for _line in sys.stdin:
        print(json.dumps(run()), flush=True)
