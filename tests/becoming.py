"""What ``manage.py web`` and ``manage.py rundramatiq`` become: granian, and the program dramatiq.

Each of the two loads Django, checks the settings, and gives its place to a program that loads
Django again. A run of all tests starts hundreds of them: so each command is asked once what it
becomes, and the others begin there. ``python -m tests.becoming manage.py web`` asks one.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests import programs

DECIDES = ("DATABASE_CONN_MAX_AGE", "HOST", "WEB_PROCESSES")
"""Variables that the commands look at, but for the port."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program with its arguments, and what it is given.

    Attributes:
        set: variables that the command has set.
        unset: those that it has taken away.
        open_files: how many files it may have open.
    """

    words: list[str]
    set: dict[str, str]
    unset: list[str]
    open_files: tuple[int, int]

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the program, where the command had the given one."""
        return {n: v for n, v in {**given, **self.set}.items() if n not in self.unset}

    def lift_limits(self, pid: int) -> None:
        """Let the process have as many open files as the command would have let it have."""
        resource.prlimit(pid, resource.RLIMIT_NOFILE, self.open_files)


_told: dict[tuple[str, ...], Program] = {}


def becomes(arguments: Sequence[str], environment: Mapping[str, str], directory: Path) -> Program:
    """Return what this command of manage.py becomes; it is asked only once."""
    port = environment["PORT"]
    key = (*arguments, *(environment.get(name, "") for name in DECIDES))
    if key not in _told:
        words = [sys.executable, "-m", __name__, *arguments]
        done = programs.run(words, environment=environment, directory=directory, seconds=60)
        assert done.returncode == 0, f"{arguments} became nothing: {done.stdout}\n{done.stderr}"
        words, after, open_files = json.loads(done.stdout.splitlines()[-1])
        _told[key] = Program(
            ["{port}" if word == port else word for word in words],
            {name: value for name, value in after.items() if environment.get(name) != value},
            [name for name in environment if name not in after],
            (open_files[0], open_files[1]),
        )
    told = _told[key]
    words = [port if word == "{port}" else word for word in told.words]
    return Program(words, told.set, told.unset, told.open_files)


def _tell(program: str, words: Sequence[str]) -> NoReturn:
    """Stand in for ``os.execv``: print what would become of this process, and end it."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    print(json.dumps([[program, *words[1:]], dict(os.environ), limits]), flush=True)
    os._exit(0)


def main() -> None:
    """Run a command up to where it gives its place to another program."""
    os.execv = os.execvp = _tell  # type: ignore[assignment]
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.exit(f"{sys.argv} did not become another program")


if __name__ == "__main__":
    main()
