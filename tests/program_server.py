"""Forks the programs of tests, so that each need not import Django and other packages again.

A test process starts one (tests/programs.py) and asks it for programs. It has imported packages of
others only: modules of this project read their settings while they are imported. A program that it
forks is as one that ``exec`` has started, in a session of its own, but that ``ps`` shows the
server's arguments, and that all of them hash texts alike.

It ends when the test process ends; its programs don't, as they would not otherwise.
"""

from __future__ import annotations

import array
import builtins
import contextlib
import faulthandler
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import socket
import sys
import time
import types
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

LARGEST_REQUEST = 200_000
"""Bytes; a Unix socket of this kind carries little more in one message."""

PRELOADED = (
    "certifi",
    "dj_database_url",
    "dj_email_url",
    "django.contrib.admin.apps",
    "django.contrib.admin.templatetags.admin_list",
    "django.contrib.admin.templatetags.admin_modify",
    "django.contrib.admin.templatetags.log",
    "django.contrib.auth.apps",
    "django.contrib.auth.hashers",
    "django.contrib.auth.password_validation",
    "django.contrib.auth.tokens",
    "django.contrib.auth.validators",
    "django.contrib.contenttypes.apps",
    "django.contrib.messages.apps",
    "django.contrib.messages.middleware",
    "django.contrib.sessions.apps",
    "django.contrib.sessions.middleware",
    "django.contrib.sites.shortcuts",
    "django.contrib.staticfiles.apps",
    "django.core.cache.backends.locmem",
    "django.core.management.commands.makemigrations",
    "django.core.management.commands.migrate",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.middleware.clickjacking",
    "django.middleware.common",
    "django.middleware.locale",
    "django.middleware.security",
    "django.templatetags.cache",
    "django.templatetags.l10n",
    "django.templatetags.tz",
    "django.views.csrf",
    "django.views.debug",
    "django.views.decorators.http",
    "django_dramatiq.apps",
    "django_dramatiq.middleware",
    "dotenv",
    "dramatiq.brokers.rabbitmq",
    "dramatiq.cli",
    "granian.cli",
    "orjson",
    "pika",
    "psycopg2",
    "pycurl",
    "waitress",
    "whitenoise.middleware",
    "xml.sax.saxutils",
    "xmlrpc.client",
)
"""What can be imported without Django's settings; its models can't."""


@dataclass(slots=True)
class Running:
    """A program, and the socket of the test that is told its number and its end.

    Attributes:
        test: None once the test asks no more.
    """

    pid: int
    pidfd: int
    test: socket.socket | None
    has_ended: bool = False


class Server:
    """Forks what is asked for on its socket, until that is closed."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ)
        self._running: list[Running] = []

    def serve(self) -> dict[str, Any] | None:
        """Return None once the test process has ended; in a program's process, what is asked."""
        while True:
            for key, _events in self._selector.select():
                program: Running | None = key.data
                if program is None:
                    request, descriptors = self._receive()
                    if not request:
                        return None
                    if not self._has_forked(descriptors):
                        return dict(json.loads(request))
                elif key.fd == program.pidfd:
                    self._tell_end(program)
                else:
                    self._let_go(program)

    def _receive(self) -> tuple[bytes, list[int]]:
        size = socket.CMSG_SPACE(4 * array.array("i").itemsize)
        request, control, _flags, _address = self._requests.recvmsg(LARGEST_REQUEST, size)
        descriptors = array.array("i")
        for _level, _kind, content in control:
            descriptors.frombytes(content)
        return request, list(descriptors)

    def _has_forked(self, descriptors: list[int]) -> bool:
        """Return False in the process of the new program."""
        test, *streams = descriptors
        pid = os.fork()
        if not pid:
            os.setsid()
            self._leave_behind()
            for number, descriptor in enumerate(streams):
                os.dup2(descriptor, number)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            return False
        for descriptor in streams:
            os.close(descriptor)
        program = Running(pid, os.pidfd_open(pid), socket.socket(fileno=test))
        self._running.append(program)
        self._selector.register(program.pidfd, selectors.EVENT_READ, program)
        self._selector.register(test, selectors.EVENT_READ, program)
        _tell(program, pid)
        return True

    def _leave_behind(self) -> None:
        # As objects: else they would close, later, what the program has opened by their numbers.
        self._selector.close()
        self._requests.close()
        for program in self._running:
            if program.test is not None:
                program.test.close()

    def _tell_end(self, program: Running) -> None:
        # It stays a zombie, and its number its own, until the test has heard of it.
        result = os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
        assert result is not None
        program.has_ended = True
        self._selector.unregister(program.pidfd)
        os.close(program.pidfd)
        by_itself = result.si_code == os.CLD_EXITED
        _tell(program, result.si_status if by_itself else -result.si_status)
        self._forget_if_over(program)

    def _let_go(self, program: Running) -> None:
        assert program.test is not None
        self._selector.unregister(program.test)
        program.test.close()
        program.test = None
        self._forget_if_over(program)

    def _forget_if_over(self, program: Running) -> None:
        if program.has_ended and program.test is None:
            os.waitpid(program.pid, 0)
            self._running.remove(program)


def _tell(program: Running, number: int) -> None:
    if program.test is not None:
        with contextlib.suppress(OSError):
            program.test.send(str(number).encode())


def become(program: dict[str, Any]) -> None:
    """Make this process what Python makes of itself before it runs the program; then run it."""
    words: list[str] = program["words"]
    environment: dict[str, str] = program["environment"]
    os.chdir(program["directory"])
    _set_environment(environment)
    _open_standard_streams(unbuffered=bool(environment.get("PYTHONUNBUFFERED")))
    if environment.get("PYTHONFAULTHANDLER"):
        faulthandler.enable()
    sys.orig_argv = words
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    words = words[1:] if words[0] == sys.executable else words
    if words[0] == "-m":
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 (a text, as Python has it)
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(words[0]).resolve().parent))
        sys.argv = words
        _run_script(str(Path(words[0]).absolute()))


def _run_script(path: str) -> None:
    # runpy.run_path would change the program's first argument, and end with another __main__.
    main = types.ModuleType("__main__")
    main.__dict__.update(
        __builtins__=builtins,
        __cached__=None,
        __file__=path,
        __loader__=SourceFileLoader("__main__", path),
    )
    sys.modules["__main__"] = main
    exec(compile(Path(path).read_bytes(), path, "exec"), main.__dict__)  # noqa: S102 (it is ours)


def _set_environment(environment: dict[str, str]) -> None:
    # In the "C" locale Python itself sets this one as it begins.
    coerced = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}
    os.environ.clear()
    os.environ.update(coerced | environment)
    time.tzset()


def _open_standard_streams(*, unbuffered: bool) -> None:
    """Open them as Python does as it begins."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        before = getattr(sys, name)
        mode = "r" if name == "stdin" else "w"
        buffering = 0 if unbuffered and mode == "w" else -1
        binary = open(number, f"{mode}b", buffering, closefd=False)  # noqa: SIM115
        vars(getattr(binary, "raw", binary))["name"] = f"<{name}>"
        stream = io.TextIOWrapper(
            binary,
            before.encoding,
            before.errors,
            "\n",
            line_buffering=not unbuffered and (name == "stderr" or binary.isatty()),
            write_through=unbuffered,
        )
        stream.mode = mode  # type: ignore[misc]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def main() -> None:
    """Serve on the socket whose descriptor is the argument."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    # Of this file, which no program has.
    del sys.path[0]
    for name in PRELOADED:
        importlib.import_module(name)
    # What all programs share is not looked through, and so not copied, by each.
    gc.collect()
    gc.freeze()
    program = Server(requests).serve()
    if program is not None:
        become(program)


if __name__ == "__main__":
    main()
