"""Start: how long commands that touch no Odoo take, and ``./start`` until it serves."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.deployments import ROOT, BenchDeployment, Session
from bench.tables import Figure, Row, Table, at_most, times
from tests.services.waiting import free_port, wait_until

COMMANDS = (
    ("help",),
    ("check",),
    ("replay", "--dry-run"),
    ("odoo_rules", "--help"),
    ("sync_BcLinbc", "--help"),
)
BARE_DJANGO = """
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"])
django.setup()
from django.core.management import call_command
call_command("check")
"""
SERVES_SECONDS = 120.0


def measure(session: Session) -> Table:
    """Measure each command and each start several times."""
    rounds = session.options.rounds_of(5)
    table = Table(f"Start: {times(rounds, 'round')}, warm file cache")
    server = session.simulator(10)
    with session.deployment(server, with_broker=False) as deployment:
        bare, python = (
            Figure.of([_seconds(deployment, "-c", code) for _round in range(rounds)], "s")
            for code in (BARE_DJANGO, "pass")
        )
        for command in COMMANDS:
            seconds = [_seconds(deployment, "manage.py", *command) for _round in range(rounds)]
            measured = Figure.of(seconds, "s")
            row = Row.against(
                f"manage.py {' '.join(command)}", measured, "check of a bare Django", bare
            )
            table.rows.append(
                Row(
                    row.what,
                    measured,
                    row.baseline_name,
                    bare,
                    row.ratio,
                    at_most(0.7, "s"),
                    measured.value,
                )
            )
    table.rows.append(Row.against("check of a bare Django", bare, "python -c pass", python))
    start, note = _start_command()
    first, again = [], []
    for number in range(rounds):
        data = session.directory / f"start-{number}"
        first.append(_until_it_serves(session, start, data))
        again.append(_until_it_serves(session, start, data))
    for name, seconds in (("no data yet", first), ("with its data", again)):
        table.rows.append(Row(f"./start, {name}", Figure.of(seconds, "s"), target=at_most(5, "s")))
    table.notes += note
    return table


def _seconds(deployment: BenchDeployment, *words: str) -> float:
    run, _said = deployment.measured([sys.executable, *words])
    return run.seconds


def _start_command() -> tuple[list[str], list[str]]:
    """Return ``./start``, or what it runs in the end where it would install packages first."""
    stamp = ROOT / ".venv" / ".runtime"
    requirements = (ROOT / "requirements.txt").read_bytes()
    done = subprocess.run(["cksum"], input=requirements, capture_output=True, check=True)  # noqa: S607
    if stamp.exists() and stamp.read_bytes().strip() == done.stdout.strip():
        return ["./start"], []
    return [sys.executable, "-m", "project.embedded"], [
        "./start would install packages into .venv first: measured is what it runs after that."
    ]


def _until_it_serves(session: Session, command: list[str], data: Path) -> float:
    """Start it with the bundled simulator; return the seconds until it answers."""
    port = free_port()
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = kept | {
        "PORT": str(port),
        "DATA_DIR": str(data),
        "ENV_FILE": os.devnull,
        "LANG": "C.UTF-8",
    }
    output = data.with_suffix(".log")
    with output.open("ab") as stream:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    session.services.reaper.watch_group(process.pid)
    try:
        wait_until(lambda: _serves(process, port, output), SERVES_SECONDS, what="./start to serve")
        return time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _serves(process: subprocess.Popen[bytes], port: int, output: Path) -> bool:
    assert process.poll() is None, f"./start has ended:\n{output.read_text(errors='replace')}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()
