"""Starts Python programs for tests: forked where that is the same, by ``exec`` elsewhere.

Half of what a short program of Django's costs is importing packages; tests start a thousand. So one
process that has imported them (tests/program_server.py) forks the programs of each test process.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from tests.program_server import LARGEST_REQUEST
from tests.services.processes import is_alive

ROOT = Path(__file__).resolve().parents[1]

LOCALE = ("LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LANG")
SET_FOR_ITSELF = frozenset({"PYTHONUNBUFFERED", "PYTHONFAULTHANDLER", "PYTHONDONTWRITEBYTECODE"})
"""Python's variables that the server heeds for each program."""
COUNTS_AT_THE_BEGINNING = ("LD_", "COV", "PYTHON", "PY_", "MALLOC_", "OPENSSL_", "dramatiq_")
"""How variables begin that count as a program begins, or as the server's packages are imported.

A program that is given one is started by ``exec``."""


TOLD_SECONDS = 10.0
"""Within which the server tells of a program's end, on a machine however busy."""


class Process(Protocol):
    """What a test may ask of a program; ``subprocess.Popen`` is one."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Return the exit code, minus the signal that ended it, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the same once it has ended. Raises subprocess.TimeoutExpired after the timeout."""


class ForkedProgram:
    """A program that the server has forked."""

    def __init__(self, words: Sequence[str], told: socket.socket) -> None:
        self.args = list(words)
        self._told: socket.socket | None = told
        self._lock = threading.Lock()
        self._code: int | None = None
        try:
            self.pid = _number(told)
        except BaseException:
            told.close()
            raise

    def poll(self) -> int | None:
        """Return the exit code, minus the signal that ended it, or None while it runs."""
        code = self._look(0.0)
        if code is None and not is_alive(self.pid):
            # It is a zombie already, and the server just about to tell.
            code = self._look(TOLD_SECONDS)
        return code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired after so many seconds."""
        code = self._look(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def _look(self, seconds: float | None) -> int | None:
        told = self._told
        if told is not None and _is_readable(told, seconds):
            with self._lock:
                if self._told is not None:
                    self._code = _number(self._told)
                    # The server waits for this before it lets the number go to another process.
                    self._told.close()
                    self._told = None
        return self._code


def _is_readable(told: socket.socket, seconds: float | None) -> bool:
    try:
        poller = select.poll()
        poller.register(told, select.POLLIN)
        return bool(poller.poll(None if seconds is None else 1000 * seconds))
    except ValueError:
        return True  # Another thread has just closed it.


def _number(told: socket.socket) -> int:
    text = told.recv(16)
    if not text:
        raise RuntimeError("the server of programs has ended: tests/program_server.py")
    return int(text)


class _Server:
    """This process's end of its server; started with the first program."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: socket.socket | None = None

    def fork(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        streams: Sequence[int],
    ) -> ForkedProgram:
        """Start a program with these three standard streams."""
        request = {"words": words, "environment": environment, "directory": str(directory)}
        told, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            numbers = array.array("i", [theirs.fileno(), *streams])
            text = json.dumps(request).encode()
            assert len(text) < LARGEST_REQUEST, "more than a request can carry"
            control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)]
            self._started().sendmsg([text], control)
        return ForkedProgram(words, told)

    def _started(self) -> socket.socket:
        with self._lock:
            if self._requests is None:
                self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with theirs:
                    process = subprocess.Popen(
                        [sys.executable, "tests/program_server.py", str(theirs.fileno())],
                        cwd=ROOT,
                        env={n: v for n, v in os.environ.items() if _is_plain(n)},
                        pass_fds=[theirs.fileno()],
                        stdin=subprocess.DEVNULL,
                        start_new_session=True,
                    )
                atexit.register(self._end, process)
            return self._requests

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        assert self._requests is not None
        self._requests.close()
        process.wait(10)


def _is_plain(variable: str) -> bool:
    return not variable.startswith((*COUNTS_AT_THE_BEGINNING, "DJANGO_"))


_server = _Server()


def can_be_forked(words: Sequence[str], environment: Mapping[str, str], directory: Path) -> bool:
    """Return whether a program would be the same if it were forked by the server."""
    return (
        directory.samefile(ROOT)
        and _is_of_this_python(words)
        and all(environment.get(name) == os.environ.get(name) for name in LOCALE)
        and not any(
            name.startswith(COUNTS_AT_THE_BEGINNING) and name not in SET_FOR_ITSELF
            for name in environment
        )
    )


def _is_of_this_python(words: Sequence[str]) -> bool:
    if words[0] == sys.executable:
        # Other options than "-m" change how Python begins.
        return len(words) > 1 and (words[1] == "-m" or not words[1].startswith("-"))
    script = Path(words[0])
    if script.parent != Path(sys.executable).parent:
        return False
    with script.open("rb") as file:
        first = file.readline().decode(errors="replace").strip()
    python = Path(first.removeprefix("#!"))
    return first.startswith("#!") and python.exists() and python.samefile(sys.executable)


def start(
    words: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path = ROOT,
    stdout: IO[bytes],
    stderr: IO[bytes],
    user: str | None = None,
    by_exec: bool = False,
) -> Process:
    """Start a program in a session of its own, without input.

    Args:
        user: as whom, if not as this one; then by ``exec``.
        by_exec: as in production, for tests of how a program begins.
    """
    if by_exec or user or not can_be_forked(words, environment, directory):
        return subprocess.Popen(
            words,
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
    with Path(os.devnull).open("rb") as nothing:
        streams = [file.fileno() for file in (nothing, stdout, stderr)]
        return _server.fork(words, environment, directory, streams)


def run(
    words: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path = ROOT,
    seconds: float = 300.0,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. Raises subprocess.TimeoutExpired once it had to kill it."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = start(
            words, environment=environment, directory=directory, stdout=stdout, stderr=stderr
        )
        try:
            code = process.wait(seconds)
        except BaseException:
            os.kill(process.pid, 9)
            process.wait(10)
            raise
        said = [_all_of(file) for file in (stdout, stderr)]
        return subprocess.CompletedProcess(list(words), code, *said)


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    # As text=True has it: newlines of all kinds are one.
    return file.read().decode().replace("\r\n", "\n").replace("\r", "\n")
