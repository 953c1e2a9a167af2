"""Server processes that this run has started."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from pathlib import Path

from tests import programs
from tests.services.processes import is_alive, signal_tree, tree, wait_for_end
from tests.services.reaper import Reaper


class ServiceMissingError(RuntimeError):
    """No server is given, running or installed; the message says what to do."""


class ServiceIsForeignError(RuntimeError):
    """A test wants to stop or break a server that this run has not started."""


def random_word() -> str:
    """Return a short name not used by any earlier run."""
    return secrets.token_hex(4)


def last_lines(path: Path, count: int = 30) -> str:
    """Return the end of a log, or a note that it is missing."""
    if not path.exists():
        return f"({path} was never written)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])


class OwnedProcess:
    """A child in its own process group, logging to a file, watched by the reaper.

    ``by_exec=False``: a Python program may be forked instead, see tests/programs.py.
    """

    def __init__(
        self,
        command: list[str],
        *,
        environment: dict[str, str],
        log: Path,
        reaper: Reaper,
        directory: Path,
        gentle: signal.Signals = signal.SIGTERM,
        user: str | None = None,
        by_exec: bool = True,
    ) -> None:
        self.log = log
        self._is_being_ended = False
        self._reaper = reaper
        self._gentle = gentle
        with log.open("ab") as output:
            self._process = programs.start(
                command,
                environment=environment,
                directory=directory,
                stdout=output,
                stderr=output,
                user=user,
                by_exec=by_exec,
            )
        reaper.watch_group(self._process.pid, gentle)

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self) -> bool:
        """Return whether the process has ended, and reap it if so."""
        return self._process.poll() is not None

    def died_by_itself(self) -> int | None:
        """Return the exit code if the process ended and nobody here ended it, otherwise None."""
        return None if self._is_being_ended else self._process.poll()

    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs; -9: killed."""
        return self._process.poll()

    def terminate(self) -> None:
        """Send SIGTERM to the process itself, without waiting."""
        self._is_being_ended = True
        self._signal(self._gentle)

    def pause(self) -> None:
        """Send SIGSTOP to it and its descendants: it accepts connections but answers nothing."""
        signal_tree(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT to it and its descendants."""
        signal_tree(self.pid, signal.SIGCONT)

    def stop(self, seconds: float = 15.0) -> None:
        """End it gently, and by force if it has not ended after so many seconds."""
        self._is_being_ended = True
        members = tree(self.pid)
        self.resume()
        self._signal(self._gentle)
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self._collect(members)

    def kill(self) -> None:
        """Send SIGKILL to it and its descendants."""
        self._is_being_ended = True
        members = signal_tree(self.pid, signal.SIGKILL)
        self._process.wait(timeout=10)
        self._collect(members)

    def _signal(self, number: signal.Signals) -> None:
        if is_alive(self.pid):
            os.kill(self.pid, number)

    def _collect(self, members: list[int]) -> None:
        for member in members:
            if is_alive(member):
                signal_tree(member, signal.SIGKILL)
        wait_for_end(members, 10)
        self._reaper.forget_group(self.pid)
