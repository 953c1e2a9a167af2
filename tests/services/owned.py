"""A server process that this run has started, and what all such processes have in common."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from pathlib import Path

from tests.services.processes import is_alive, signal_tree, tree, wait_for_end
from tests.services.reaper import Reaper


class ServiceMissingError(RuntimeError):
    """A server is neither named, nor running, nor installed; the message says what to do."""


class ServiceIsForeignError(RuntimeError):
    """A test wants to stop or break a server that this run has not started."""


def random_word() -> str:
    """Return a short name that no earlier run has used."""
    return secrets.token_hex(4)


def last_lines(path: Path, count: int = 30) -> str:
    """Return the end of a log, or a word about its absence."""
    if not path.exists():
        return f"({path} was never written)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])


class OwnedProcess:
    """A child in a process group of its own, logging into a file, watched by the reaper."""

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
    ) -> None:
        self.log = log
        self._is_being_ended = False
        self._reaper = reaper
        self._gentle = gentle
        with log.open("ab") as output:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=[] if user else None,
            )
        reaper.watch_group(self._process.pid, gentle)

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self) -> bool:
        """Tell whether the process is gone, and collect it if so."""
        return self._process.poll() is not None

    def died_by_itself(self) -> int | None:
        """Return the exit code of a process that nobody here has ended, or None."""
        return None if self._is_being_ended else self._process.poll()

    def exit_code(self) -> int | None:
        """Return how it ended, or None while it runs; -9: killed."""
        return self._process.poll()

    def terminate(self) -> None:
        """SIGTERM to the process alone, without waiting."""
        self._is_being_ended = True
        self._signal(self._gentle)

    def pause(self) -> None:
        """SIGSTOP to it and to all its descendants: it accepts connections and answers nothing."""
        signal_tree(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT to it and to all its descendants."""
        signal_tree(self.pid, signal.SIGCONT)

    def stop(self, seconds: float = 15.0) -> None:
        """End it gently, and hard if it has not ended after these seconds."""
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
        """SIGKILL to it and to all its descendants."""
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
