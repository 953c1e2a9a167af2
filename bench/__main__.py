"""Measures the product and compares it: ``python -m bench [NAME …] [--quick]``; see README.md."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.deployments import RESULTS, ROOT, Options, Session
from bench.tables import Table

NAMES = (
    "load", "compare", "night", "ingest", "burst", "freshness", "scale", "start", "memory",
    "transports", "pages",
)  # fmt: skip
ON_REAL_ODOO = ("load", "compare", "burst", "freshness", "transports")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; 1 when a target is missed or a check has failed."""
    chosen, options, output = _parsed(arguments)
    began = datetime.now(UTC)
    # However it ends: processes have to be stopped, and orders removed from a real Odoo.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    session = Session(options)
    tables: dict[str, Table] = {}
    path = output or RESULTS / f"{began:%Y-%m-%d-%H%M%S}.json"
    try:
        for name in _possible(chosen, session):
            load_before, started = os.getloadavg()[0], time.perf_counter()
            table = _bench(name)(session)
            took = time.perf_counter() - started
            table.notes.append(f"Took {took:.0f} s; load average before: {load_before:.1f}.")
            tables[name] = table
            print(f"\n{name}\n{table.text()}\n", flush=True)
            # After each bench: a long series that is interrupted has not measured in vain.
            _write(path, began, session, tables)
    finally:
        session.close()
    print(f"Written: {path}")
    return int(not all(table.is_good for table in tables.values()))


def _bench(name: str) -> Callable[[Session], Table]:
    measure: Callable[[Session], Table] = importlib.import_module(f"bench.{name}").measure
    return measure


def _possible(chosen: Sequence[str], session: Session) -> list[str]:
    """Return the chosen benches; with a real Odoo and no names, those that measure against one."""
    if session.real and not chosen:
        return list(ON_REAL_ODOO)
    return list(chosen or NAMES)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the options; docs/commands.md explains them."""
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: does it run?")
    parser.add_argument("--orders", type=int, nargs="+", default=[], help="how many, or both sizes")
    parser.add_argument("--lines", type=int, default=5, help="of each order")
    parser.add_argument("--rounds", type=int, help="the median counts")
    parser.add_argument("--seconds", type=float, help="for which each rate is measured")
    parser.add_argument(
        "--transport",
        dest="transports",
        action="append",
        default=[],
        choices=("xmlrpc", "jsonrpc", "json2"),
        help="several times for several; default: jsonrpc and xmlrpc",
    )
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--web-processes", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="load: once more under a profiler")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the result is written")
    return parser


def _parsed(arguments: Sequence[str] | None) -> tuple[list[str], Options, Path | None]:
    parser = make_parser()
    found = vars(parser.parse_args(arguments))
    names, output = found.pop("names"), found.pop("json")
    if unknown := set(names) - set(NAMES):
        parser.error(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    found |= {name: tuple(found[name]) for name in ("orders", "transports")}
    return names, Options(**found), output


def _write(path: Path, began: datetime, session: Session, tables: dict[str, Table]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "began_at": began.isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "real_odoo": session.real,
        "quick": session.options.quick,
        "benches": {name: table.as_json() for name, table in tables.items()},
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False))


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
