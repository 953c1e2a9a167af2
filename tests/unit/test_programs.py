"""A program that is forked for a test is as one that ``exec`` has started (tests/programs.py)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import programs
from tests.program_server import PRELOADED
from tests.programs import ForkedProgram
from tests.services.processes import is_alive
from tests.services.waiting import wait_until

FACTS = """
import faulthandler, json, os, random, resource, signal, sys, threading
HANDLED_IN_C = {"SIGILL", "SIGFPE", "SIGSEGV", "SIGBUS", "SIGABRT"}  # by faulthandler
print(json.dumps({
    "arguments": sys.argv, "original": sys.orig_argv, "path": sys.path, "flags": repr(sys.flags),
    "directory": os.getcwd(), "environment": dict(os.environ), "mask": os.umask(0o22),
    "main": [repr(globals().get(name)) for name in ("__name__", "__file__", "__package__")],
    "is main": sys.modules["__main__"].__dict__ is globals(),
    "signals": {number.name: repr(signal.getsignal(number)) for number in signal.valid_signals()
                if isinstance(number, signal.Signals) and number.name not in HANDLED_IN_C},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd")[:-1]),
    "streams": [[s.name, s.mode, s.encoding, s.errors, s.newlines, s.line_buffering,
                 s.write_through, s.closed, type(s.buffer).__name__, s is getattr(sys, f"__{n}__")]
                for n, s in ((n, getattr(sys, n)) for n in ("stdin", "stdout", "stderr"))],
    "leads": [os.getpid() == os.getsid(0), os.getpid() == os.getpgrp()],
    "limits": [resource.getrlimit(kind) for kind in range(10)],
    "threads": threading.active_count(), "faults": faulthandler.is_enabled(),
    "bytecode": sys.dont_write_bytecode,
}))
"""
NEXT = "import random; print(random.random())"


def base() -> dict[str, str]:
    return {n: os.environ[n] for n in ("PATH", "HOME", *programs.LOCALE) if n in os.environ}


def write(directory: Path, text: str) -> str:
    path = directory / "program.py"
    path.write_text(text)
    return str(path)


def start(
    directory: Path, text: str, environment: dict[str, str] | None = None
) -> programs.Process:
    words = [sys.executable, write(directory, text)]
    with (directory / "said").open("wb") as output:
        process = programs.start(
            words, environment=environment or base(), stdout=output, stderr=output
        )
    assert isinstance(process, ForkedProgram)
    return process


def said(directory: Path) -> str:
    return (directory / "said").read_text()


def by_exec(words: list[str], environment: dict[str, str]) -> Any:
    done = subprocess.run(
        words, env=environment, cwd=programs.ROOT, stdin=subprocess.DEVNULL, text=True,
        capture_output=True, start_new_session=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "set_for_it", [{}, {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}], ids=["plain", "set"]
)
def test_a_forked_script_finds_what_it_would_find_by_exec(
    tmp_path: Path, set_for_it: dict[str, str]
) -> None:
    environment = base() | set_for_it | {"ONE_OF_ITS_OWN": "1"}
    words = [sys.executable, write(tmp_path, FACTS), "--option", "wörd"]
    assert programs.can_be_forked(words, environment, programs.ROOT)
    done = programs.run(words, environment=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == by_exec(words, environment)


def test_a_forked_module_finds_what_it_would_find_by_exec() -> None:
    path = programs.ROOT / "var" / f"facts_{os.getpid()}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(FACTS)
    words = [sys.executable, "-m", f"var.{path.stem}", "x"]
    try:
        done = programs.run(words, environment=base())
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == by_exec(words, base())
    finally:
        path.unlink()


def test_it_has_nothing_of_this_project_and_no_settings(tmp_path: Path) -> None:
    text = """
import sys
from django.conf import settings
from django.db import connections
ours = {"bc_consumer", "odoo_webhook", "odoo_simulator", "project", "tests"}
print(settings.configured, sorted(ours & {name.partition(".")[0] for name in sys.modules}))
"""
    start(tmp_path, text).wait(30)
    assert said(tmp_path) == "False []\n"


def test_what_is_imported_beforehand_reads_no_variable_that_a_program_may_be_given() -> None:
    text = f"""
import importlib, json, os
read = set()
class Spy(type(os.environ)):
    def __getitem__(self, name):
        read.add(name)
        return super().__getitem__(name)
os.environ.__class__ = Spy
for name in {PRELOADED!r}:
    importlib.import_module(name)
print(json.dumps(sorted(read)))
"""
    done = subprocess.run(
        [sys.executable, "-c", text], env=base(), capture_output=True, text=True, check=True
    )
    # Django asks whether it has settings; sysconfig asks where a user's packages would be.
    known = {"DJANGO_SETTINGS_MODULE", "HOME", "_PYTHON_PROJECT_BASE", "_PYTHON_SYSCONFIGDATA_NAME"}
    read = set(json.loads(done.stdout)) - known - set(programs.LOCALE)
    assert [name for name in read if not name.startswith(programs.COUNTS_AT_THE_BEGINNING)] == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 0),
        ("import sys; sys.exit(3)", 3),
        ("raise ValueError('so')", 1),
        ("import os; os._exit(5)", 5),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.abort()", -6),
    ],
)
def test_its_exit_code_is_told(tmp_path: Path, text: str, code: int) -> None:
    process = start(tmp_path, text)
    assert process.wait(30) == code
    assert process.poll() == code
    assert ("ValueError: so" in said(tmp_path)) is (code == 1)


def test_it_runs_until_it_is_signalled_and_takes_signals_as_by_exec(tmp_path: Path) -> None:
    # In what a script runs beside other commands, as ./test does, SIGINT is ignored at first.
    text = (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n    print('begun')\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('stopped')"
    )
    process = start(tmp_path, text, {**base(), "PYTHONUNBUFFERED": "1"})
    # Until it has begun, it may not have its own way with signals yet.
    wait_until(lambda: said(tmp_path) == "begun\n")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(30) == 0
    assert said(tmp_path) == "begun\nstopped\n"
    process = start(tmp_path, text)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM


def test_its_number_is_nobody_elses_until_the_test_has_looked(tmp_path: Path) -> None:
    process = start(tmp_path, "")
    wait_until(lambda: not is_alive(process.pid))
    os.kill(process.pid, 0)  # Still there, as a zombie.
    assert process.poll() == 0
    wait_until(lambda: not Path(f"/proc/{process.pid}").exists())


def test_dice_differ_from_program_to_program(tmp_path: Path) -> None:
    thrown = set()
    for _ in range(3):
        start(tmp_path, NEXT).wait(30)
        thrown.add(said(tmp_path))
    assert len(thrown) == 3


@pytest.mark.parametrize("name", ["LD_PRELOAD", "COVERAGE_PROCESS_START", "PYTHONPATH", "LC_ALL"])
def test_what_counts_as_a_program_begins_has_it_started_by_exec(name: str) -> None:
    words = [sys.executable, "manage.py"]
    assert programs.can_be_forked(words, base(), programs.ROOT)
    assert not programs.can_be_forked(words, {**base(), name: "x"}, programs.ROOT)


@pytest.mark.parametrize(
    "words",
    [
        ["/bin/sh"],
        [sys.executable],
        [sys.executable, "-c", ""],
        [sys.executable, "-I", "manage.py"],
        ["/usr/bin/python3", "manage.py"],
        [str(Path(sys.executable).with_name("activate"))],
    ],
)
def test_programs_of_others_are_started_by_exec(words: list[str]) -> None:
    assert not programs.can_be_forked(words, base(), programs.ROOT)


def test_elsewhere_programs_are_started_by_exec(tmp_path: Path) -> None:
    assert not programs.can_be_forked([sys.executable, "manage.py"], base(), tmp_path)


@pytest.mark.parametrize("name", ["dramatiq", "granian"])
def test_programs_of_the_virtual_environment_are_forked(name: str) -> None:
    words = [str(Path(sys.executable).with_name(name)), "--help"]
    assert programs.can_be_forked(words, base(), programs.ROOT)
    done = programs.run(words, environment=base())
    assert done.returncode == 0, done.stderr
    assert name in done.stdout


def test_the_server_ends_when_the_test_process_is_killed_and_its_programs_go_on(
    tmp_path: Path,
) -> None:
    write(tmp_path, "import time; time.sleep(60)")
    text = f"""
import os, sys, time
from tests import programs
with open(os.devnull, "wb") as output:
    process = programs.start([sys.executable, {str(tmp_path / "program.py")!r}],
                             environment=dict(os.environ), stdout=output, stderr=output)
with open(f"/proc/{{process.pid}}/stat") as stat:
    print(process.pid, stat.read().rpartition(")")[2].split()[1], flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", text], env=base(), cwd=programs.ROOT, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        program, server = map(int, run.stdout.readline().split())
        run.kill()
    wait_until(lambda: not is_alive(server), what="the end of the server")
    assert is_alive(program)
    os.kill(program, signal.SIGKILL)
    wait_until(lambda: not is_alive(program))
