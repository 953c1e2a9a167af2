"""Keeps servers running between test runs: ``python -m tests.services up | down | status``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.services.processes import is_alive
from tests.services.session import STATE_FILE, Kept, Services
from tests.services.waiting import wait_until

_ROOT = Path(__file__).resolve().parents[2]
_LOG = STATE_FILE.with_suffix(".log")


def _print_state(kept: Kept) -> None:

    print(f"# PostgreSQL {kept.database_url}")
    print(f"# RabbitMQ   {kept.rabbitmq_url}")
    print("# ./test and pytest use them by themselves until: python -m tests.services down")


def _up() -> int:
    kept = Kept.read()
    if kept is None:
        STATE_FILE.parent.mkdir(exist_ok=True)
        STATE_FILE.unlink(missing_ok=True)
        with _LOG.open("wb") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "tests.services", "hold"],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: Kept.read() or keeper.poll() is not None, 120, what="the servers")
        kept = Kept.read()
    if kept is None:
        print(f"The servers did not start:\n{_LOG.read_text()}", file=sys.stderr)
        return 1
    _print_state(kept)
    return 0


def _hold() -> int:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    services = Services(ignore_kept=True)
    try:
        broker = services.rabbitmq
        if broker.control is None:
            raise RuntimeError("TEST_RABBITMQ_URL is set: there is nothing to keep running")
        Kept(os.getpid(), services.postgres.url(), broker.url(), broker.control).write()
        ended.wait()
    finally:
        STATE_FILE.unlink(missing_ok=True)
        services.close()
    return 0


def _down() -> int:
    kept = Kept.read()
    if kept is None:
        print("No servers are kept running.")
        return 0
    os.kill(kept.pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(kept.pid), 60, what="the end of the servers")
    return 0


def _status() -> int:
    kept = Kept.read()
    if kept is None:
        print("No servers are kept running.")
        return 1
    _print_state(kept)
    return 0


def main() -> int:
    """Carry out the given subcommand."""
    actions = {"up": _up, "down": _down, "status": _status, "hold": _hold}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        print(__doc__, file=sys.stderr)
        return 2
    return actions[sys.argv[1]]()


if __name__ == "__main__":
    sys.exit(main())
