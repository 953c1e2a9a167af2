"""A child process that outlives a killed test run just long enough to clean up after it.

A run reports whatever it starts (servers, workers, directories) to the reaper. A run that ends
normally has stopped everything itself; if it is killed, the pipe to the reaper breaks, and the
reaper ends what is left. The kernel's parent-death signal is no substitute: it is lost if a shell
script forks the real server, as RabbitMQ's does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_GRACE_SECONDS = 3.0


class Reaper:
    """The run's end of the pipe to the reaper process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def watch_group(self, group: int, gentle: signal.Signals = signal.SIGTERM) -> None:
        """End this process group, gently at first, if the run is killed."""
        self._say(f"group {group} {int(gentle)}")

    def forget_group(self, group: int) -> None:
        """Forget a group that the run has ended itself: its number may soon be another's."""
        self._say(f"forget {group}")

    def watch_container(self, name: str) -> None:
        """Have Docker remove this container at the end of the run, however it ends."""
        self._say(f"container {name}")

    def watch_directory(self, path: Path) -> None:
        """Remove this directory at the end of the run, however it ends."""
        self._say(f"directory {path}")

    def close(self) -> None:
        """Let the reaper clean up now, and wait for it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(timeout=30)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def _group_is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _end_groups(groups: dict[int, int]) -> None:
    for group, gentle in groups.items():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGCONT)
            os.killpg(group, gentle)
    deadline = time.monotonic() + _GRACE_SECONDS
    while any(map(_group_is_alive, groups)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: dict[int, int] = {}
    containers: list[str] = []
    directories: list[str] = []
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "group":
            number, gentle = rest.split()
            groups[int(number)] = int(gentle)
        elif word == "forget":
            groups.pop(int(rest), None)
        elif word == "container":
            containers.append(rest)
        elif word == "directory":
            directories.append(rest)
    _end_groups(groups)
    if containers:
        command = ["docker", "rm", "--force", "--volumes", *containers]
        subprocess.run(command, capture_output=True, check=False)
    for path in directories:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    _main()
