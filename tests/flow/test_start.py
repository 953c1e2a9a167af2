"""./start: the whole product in one process, with the simulator or with an Odoo that is set."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from odoo_simulator import Simulator
from odoo_simulator.traffic import Traffic
from tests.comparing import differences
from tests.harness import ROOT
from tests.services.processes import is_alive, tree
from tests.services.session import Services
from tests.services.waiting import free_port, wait_until

READY = "Ctrl-C stops everything"
CHANGES = int(os.environ.get("DEMO_CHANGES", "1200"))
"""The demonstration makes one a second: 3600 are an hour of it, and 1200 suffice for the brake."""
BRAKED_BY_NUMBER = 20
"""BRAKE_ARCHIVINGS by default."""


class Started:
    """One run of ./start on a data directory of its own."""

    def __init__(self, directory: Path, services: Services, **settings: str) -> None:
        self.directory = directory
        self.port = int(settings["PORT"]) if settings.get("PORT", "").isdigit() else free_port()
        self.output = directory / "output.txt"
        directory.mkdir(exist_ok=True)
        base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        own = {
            "PORT": str(self.port),
            "DATA_DIR": str(directory / "data"),
            "ENV_FILE": os.devnull,
            "LANG": "C.UTF-8",
        }
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                ["./start"],
                cwd=ROOT,
                env=base | own | settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        services.reaper.watch_group(self.process.pid)

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float = 40.0) -> None:
        def look() -> bool:
            ended = self.process.poll()
            assert ended is None or text in self.said(), f"ended with {ended}:\n{self.said()}"
            return text in self.said()

        wait_until(look, seconds, what=f"{text!r} from ./start")

    def manage(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a management command beside it."""
        own = {"DATA_DIR": str(self.directory / "data"), "ENV_FILE": os.devnull, "LANG": "C.UTF-8"}
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **own, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def get(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def count(self, what: str) -> int:
        """Count rows, e.g. of ``bc_consumer_bc``."""
        connection = sqlite3.connect(self.directory / "data" / "bc.sqlite3", timeout=20)
        try:
            return int(connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0])
        finally:
            connection.close()

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask its database; dates come as Django's connections give them."""
        with closing(
            sqlite3.connect(
                self.directory / "data" / "bc.sqlite3", 20, detect_types=sqlite3.PARSE_DECLTYPES
            )
        ) as connection:
            return list(connection.execute(query, parameters))

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send the signal and return the exit code; every process of the run must be gone."""
        members = tree(self.process.pid)
        os.kill(self.process.pid, number)
        code = self.process.wait(timeout=60)
        wait_until(lambda: not any(map(is_alive, members)), what=f"the end of {members}", every=0.1)
        return code


Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Path, services: Services) -> Iterator[Start]:
    """Start ./start; what still runs at the end is killed."""
    runs: list[Started] = []

    def make(name: str = "run", **settings: str) -> Started:
        runs.append(Started(tmp_path / name, services, **settings))
        return runs[-1]

    yield make
    for run in runs:
        if run.process.poll() is None:
            for pid in reversed(tree(run.process.pid)):
                os.kill(pid, signal.SIGKILL)
            run.process.wait()
        services.reaper.forget_group(run.process.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_orders_arrive_and_a_signal_ends_everything(start: Start, number: signal.Signals) -> None:
    run = start()
    run.wait_for(READY)
    run.wait_for("(webhook)")
    assert run.get("/healthz") == 200
    assert run.get("/") == 200
    assert run.get("/admin/login/") == 200
    assert (run.directory / "data" / "secrets").stat().st_mode & 0o777 == 0o600
    assert run.end(number) == 0
    assert "Traceback" not in run.said()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", run.port)) != 0


def test_after_kill_9_the_simulator_ends_and_the_next_start_goes_on(start: Start) -> None:
    first = start()
    first.wait_for("(webhook)")
    orders = wait_until(lambda: first.count("bc_consumer_bc"))
    password = first.said().partition("password ")[2].split()[0]
    first.end(signal.SIGKILL)

    second = start(PORT=str(first.port))
    second.wait_for(READY)
    assert f"password {password}" in second.said()
    second.wait_for("(webhook)")
    assert second.count("bc_consumer_bc") >= orders
    assert second.end() == 0


def test_a_taken_port_is_named(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = start(PORT=str(port))
        assert run.process.wait(timeout=60) == 2
    assert f"Port {port} is taken" in run.said()
    assert "Traceback" not in run.said()


def test_a_second_start_on_the_same_data_is_refused(start: Start, tmp_path: Path) -> None:
    first = start("first")
    first.wait_for(READY)
    second = start("second", DATA_DIR=str(tmp_path / "first" / "data"))
    assert second.process.wait(timeout=60) == 2
    assert f"process {first.process.pid}" in second.said()
    assert first.end() == 0


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"PORT": "eighty"}, "PORT="), ({"ODOO_TIMEOUT_SECONDS": "soon"}, "ODOO_TIMEOUT_SECONDS")],
)
def test_a_wrong_setting_is_named(start: Start, settings: dict[str, str], word: str) -> None:
    run = start(**settings)
    assert run.process.wait(timeout=60) == 2
    assert word in run.said()
    assert "Traceback" not in run.said()


def test_commands_beside_it_examine_the_simulator(start: Start) -> None:
    # As docs/quickstart.md lets others in: the simulator's webhooks must get in, too.
    run = start(HOST="0.0.0.0", ALLOWED_HOSTS="localhost,this-machine")
    run.wait_for(READY)
    run.wait_for("(webhook)")
    assert "DisallowedHost" not in run.said()
    checked = run.manage("doctor", "--webhook", "--json")
    checks = json.loads(checked.stdout)["checks"]
    # Nobody is to be mailed; that is all.
    assert [check["name"] for check in checks if check["level"] != "ok"] == ["mail"], checks
    assert run.end() == 0
    assert not (run.directory / "data" / "simulator.env").exists()
    # There is none any more. A terminal that can't show all signs is told all the same.
    told = run.manage("doctor", PYTHONIOENCODING="ascii").stdout
    assert re.search(r"\\u2717 Odoo's settings  +not set: ODOO_URL", told)


@pytest.mark.timeout(1200)
@pytest.mark.simulator(version=17, webhook_timing="early")
def test_left_alone_it_holds_fails_and_alerts_nothing_and_equals_odoo(
    start: Start, simulator: Simulator
) -> None:
    """The demonstration's changes as fast as they go, all within one hour of the brake."""
    traffic = Traffic(simulator)
    traffic.create_orders(40, 5)
    odoo: dict[str, Any] = {
        "ODOO_URL": simulator.url,
        "ODOO_DATABASE": "odoo",
        "ODOO_LOGIN": "admin",
        "ODOO_PASSWORD": "admin",
    }
    run = start(**odoo)
    run.wait_for(READY)
    odoo["PUBLIC_URL"] = f"http://127.0.0.1:{run.port}"
    assert run.manage("odoo_rules", "install", **odoo).returncode == 0
    wait_until(lambda: run.count("bc_consumer_synclog WHERE status = 'ok'"), what="the first load")
    kinds = Counter(traffic.step() for _ in range(CHANGES))
    assert kinds["delete_order"] > BRAKED_BY_NUMBER, "else the brake has nothing to look at"
    owed = "bc_consumer_pendingbc WHERE generation > fetched_generation AND failed_at IS NULL"
    wait_until(lambda: run.count(owed) == 0, 300, what="everything to be read")
    # The names of partners and products follow with a run.
    done = run.manage("sync_BcLinbc", "--json", **odoo)
    assert done.returncode == 0, done.stdout
    assert differences(simulator, run.sql) == []
    assert (
        run.sql(
            "SELECT outcome, count(*) FROM bc_consumer_journalentry"
            " WHERE outcome IN ('held', 'failed') GROUP BY outcome"
        )
        == []
    )
    assert run.sql("SELECT key, text FROM bc_consumer_alert") == []
    assert run.count("bc_consumer_pendingbc WHERE held_reason <> '' OR failed_at IS NOT NULL") == 0
    assert run.count("bc_consumer_bc WHERE archived_at IS NOT NULL") > BRAKED_BY_NUMBER
    assert run.end() == 0


@pytest.mark.simulator(version=16)
def test_an_odoo_without_webhooks_is_polled(start: Start, simulator: Simulator) -> None:
    odoo: dict[str, Any] = {
        "ODOO_URL": simulator.url,
        "ODOO_DATABASE": "odoo",
        "ODOO_LOGIN": "admin",
        "ODOO_PASSWORD": "admin",
        "SYNC_POLL_SECONDS": "1",
    }
    simulator.create_order(lines=[{"name": "A shelf", "product_qty": 2}])
    run = start(**odoo)
    run.wait_for(READY)
    assert "Odoo is asked every 1 s" in run.said()
    assert "odoo_rules" not in run.said()
    first_load = "bc_consumer_synclog WHERE status = 'ok'"
    wait_until(lambda: run.count(first_load), 30, what="the first load")
    order = simulator.create_order(lines=[{"name": "A desk", "product_qty": 2}])
    arrived = f"bc_consumer_bc WHERE odoo_id = {order}"
    wait_until(lambda: run.count(arrived), 30, what="the order")
    checked = run.manage("doctor", "--json", **odoo)
    checks = json.loads(checked.stdout)["checks"]
    # Nobody is to be mailed; that is all.
    levels = {check["name"]: check["level"] for check in checks}
    assert {name for name, level in levels.items() if level in {"warning", "error"}} == {"mail"}
    assert run.end() == 0


def test_a_real_odoo_is_used_when_it_is_set(start: Start, simulator: Simulator) -> None:
    odoo: dict[str, Any] = {
        "ODOO_URL": simulator.url,
        "ODOO_DATABASE": "odoo",
        "ODOO_LOGIN": "admin",
        "ODOO_PASSWORD": "admin",
    }
    run = start(**odoo)
    run.wait_for(READY)
    assert "bundled simulator" not in run.said()
    assert f"PUBLIC_URL=http://THIS-MACHINE:{run.port}" in run.said()
    assert "odoo_rules install --login admin --password-from-env ADMIN" in run.said()
    assert not (run.directory / "data" / "simulator.sqlite3").exists()
    # The secret is the one that ./start has made; commands beside it know it.
    odoo["PUBLIC_URL"] = f"http://127.0.0.1:{run.port}"
    assert run.manage("odoo_rules", "install", **odoo).returncode == 0
    checked = run.manage("doctor", "--webhook", "--json", **odoo)
    checks = {check["name"]: check["level"] for check in json.loads(checked.stdout)["checks"]}
    for name in ("webhook.ping", "odoo.rules", "workers", "scheduler"):
        assert checks[name] == "ok", checked.stdout
    order = simulator.create_order(lines=[{"name": "A shelf", "product_qty": 2}])
    wait_until(lambda: run.count(f"bc_consumer_bc WHERE odoo_id = {order}"), what="the order")
    assert run.end() == 0
