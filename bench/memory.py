"""Does a run's memory stay flat? Peak memory of reconciliations over few and over many orders.

    .venv/bin/python -m bench.memory                      10,000 against 200,000 orders
    .venv/bin/python -m bench.memory --orders 1000 20000  other sizes
    .venv/bin/python -m bench.memory --sqlite             SQLite instead of PostgreSQL

Each run is a process of its own, as an operator starts it: ``manage.py sync_BcLinbc``. Its peak is
what the kernel says of the ended process (ru_maxrss). Odoo is the simulator, in another process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness import Deployment
from tests.services.session import Services
from tests.services.waiting import free_port

ROOT = Path(__file__).resolve().parents[1]
GOAL = 1.2
"""The largest run's peak, divided by the smallest one's: at most that."""
RUNS = (("first load", ()), ("next night", ()), ("every order (--full)", ("--full",)))


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of the command."""

    peak_mib: float
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when the goal is missed."""
    options = _parser().parse_args(arguments)
    services = Services()
    try:
        measured = {orders: _measure(orders, options, services) for orders in options.orders}
    finally:
        services.close()
    return _report(measured, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench.memory", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--orders", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--lines", type=int, default=5, help="of each order")
    parser.add_argument("--days", type=float, default=700.0, help="over which orders spread")
    parser.add_argument("--sqlite", action="store_true", help="instead of PostgreSQL")
    parser.add_argument(
        "--skip-full", action="store_true", help="leave the run that reads every order out"
    )
    return parser


def _measure(orders: int, options: argparse.Namespace, services: Services) -> list[Measured]:
    runs = RUNS[:-1] if options.skip_full else RUNS
    with _simulator(orders, options) as odoo_url, tempfile.TemporaryDirectory() as directory:
        database = None if options.sqlite else services.postgres.create_database()
        url = database.url if database else f"sqlite:///{directory}/copy.sqlite3"
        Deployment.migrate(url, Path(directory))
        deployment = Deployment(
            Path(directory), services.reaper, database_url=url, odoo_url=odoo_url,
            settings={"LOG_LEVEL": "INFO"},
        )  # fmt: skip
        try:
            return [_run(f"{orders:,} orders, {name}", words, deployment) for name, words in runs]
        finally:
            if database:
                services.postgres.drop_database(database.name)


@contextmanager
def _simulator(orders: int, options: argparse.Namespace) -> Iterator[str]:
    port = str(free_port())
    words = ["--port", port, "--bulk", str(orders), "--lines", str(options.lines)]
    process = subprocess.Popen(
        [sys.executable, "-m", "odoo_simulator", *words, "--bulk-days", str(options.days)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("the simulator of Odoo did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _run(name: str, words: Sequence[str], deployment: Deployment) -> Measured:
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "sync_BcLinbc", *words],
        cwd=ROOT, env=deployment.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    said = process.stdout.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{name}: exit code {process.returncode}\n{said}")
    measured = Measured(usage.ru_maxrss / 1024, time.monotonic() - began)
    print(f"{name}: {measured.peak_mib:.0f} MiB, {measured.seconds:.0f} s", flush=True)
    return measured


def _report(measured: dict[int, list[Measured]], options: argparse.Namespace) -> int:
    few, many = min(measured), max(measured)
    missed = False
    where = "SQLite" if options.sqlite else "PostgreSQL"
    print(f"\n{where}, {options.lines} lines an order. Peak of {many:,} against {few:,} orders:")
    for (name, _words), small, large in zip(RUNS, measured[few], measured[many], strict=False):
        ratio = large.peak_mib / small.peak_mib
        missed = missed or ratio > GOAL
        print(f"  {name:22} {small.peak_mib:4.0f} → {large.peak_mib:4.0f} MiB: {ratio:.2f}")
    print(f"The goal is {GOAL:.2f}{': missed' if missed else ''}.")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
