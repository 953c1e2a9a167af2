"""What benches run against: PostgreSQL, RabbitMQ, an Odoo, and deployments of the product."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions

from bench.odoo_calls import ORDER, CallFailed, OdooCalls, connect, major_version
from bench.own_orders import own_orders
from odoo_simulator import RemoteSimulator
from tests.harness import Deployment
from tests.services.owned import OwnedProcess
from tests.services.session import Services
from tests.services.waiting import free_port

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
DAYS = 700.0
"""Over so many days the write dates of the simulator's orders spread."""
FIRST_COMMITTED = 19
"""The first version of Odoo that sends webhooks after its commit."""
API_KEY = "a-key-of-the-simulator"
EVERYWHERE = "0.0.0.0"  # noqa: S104 (a server's)
NAMES = ("ODOO_URL", "ODOO_DATABASE", "ODOO_LOGIN", "ODOO_PASSWORD")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; None means the bench's own default."""

    quick: bool = False
    orders: tuple[int, ...] = ()
    lines: int = 5
    rounds: int | None = None
    seconds: float | None = None
    transports: tuple[str, ...] = ()
    workers: int = 2
    web_processes: int = 2
    profile: bool = False

    def size(self, full: int, quick: int) -> int:
        """Return how many orders a bench with one size uses."""
        return self.orders[0] if self.orders else quick if self.quick else full

    def rounds_of(self, full: int) -> int:
        """Return how many rounds a bench measures."""
        return self.rounds or (1 if self.quick else full)

    def seconds_of(self, full: float, quick: float) -> float:
        """Return for how long a bench measures each rate."""
        return self.seconds or (quick if self.quick else full)


@dataclass(frozen=True, slots=True)
class OdooServer:
    """One Odoo and the orders in it that the benches use."""

    url: str
    database: str
    login: str
    password: str = field(repr=False)
    version: int
    timing: str
    """When it sends webhooks: "early" (before its commit) or "committed"."""
    ids: Sequence[int]
    domain: list[list[str]] = field(default_factory=list)
    remote: RemoteSimulator | None = None
    """The simulator's control; None for a real Odoo."""

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"the simulator of {self.version}" if self.remote else f"Odoo {self.version}"

    def calls(self, transport: str) -> OdooCalls:
        """Return a new connection by this protocol."""
        return connect(transport, self.url, self.database, self.login, self.secret(transport))

    def secret(self, transport: str) -> str:
        """Return the password for this protocol: JSON-2 takes API keys only."""
        return API_KEY if transport == "json2" and self.remote else self.password


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command: how long it took, its peak of resident memory, what it reported.

    ``processor_seconds``: of its own process, in all its threads, and of the system for it.
    """

    seconds: float
    processor_seconds: float
    peak_mib: float
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """The calls to Odoo that a reconciliation reports."""
        return int(self.report["odoo_calls"])

    @property
    def received_bytes(self) -> int:
        """The bytes from Odoo that a reconciliation reports."""
        return int(self.report["odoo_bytes"])


class BenchDeployment(Deployment):
    """A deployment whose commands can be measured, and which a remote Odoo can reach."""

    receiver = "127.0.0.1"
    """The name under which Odoo reaches this machine."""

    def start_web(self) -> OwnedProcess:
        """Start the web server, on all addresses if Odoo is on another machine."""
        if self.receiver == "127.0.0.1":
            return super().start_web()
        self.web = self._start("web", "manage.py", "web", "--host", EVERYWHERE)
        return self.web

    @property
    def public_url(self) -> str:
        """The site's address for Odoo."""
        return f"http://{self.receiver}:{self.port}"

    def reconcile(self, *words: str, through: Sequence[str] = ()) -> Run:
        """Run ``manage.py sync_BcLinbc`` and return what it took and reported.

        ``through``: the words before ``manage.py``, such as a profiler's, instead of Python's.
        """
        run, said = self.measured(
            [*(through or [sys.executable]), "manage.py", "sync_BcLinbc", "--json", *words]
        )
        # A profiler adds lines of its own.
        told = [line for line in said.splitlines() if line.startswith("{")]
        report = json.loads(told[-1])["run"]
        assert report["status"] == "ok", f"the run ended as {report['status']}: {report['error']}"
        return Run(run.seconds, run.processor_seconds, run.peak_mib, report)

    def measured(self, command: Sequence[str]) -> tuple[Run, str]:
        """Run a command; return its duration and peak memory, and its standard output."""
        errors = self.directory / "command-errors.log"
        began = time.perf_counter()
        with errors.open("wb") as stream:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )
            assert process.stdout is not None
            said = process.stdout.read()
            _pid, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            told = errors.read_text(errors="replace")
            raise SystemExit(f"{command}: exit code {process.returncode}\n{said}\n{told}")
        processor = usage.ru_utime + usage.ru_stime
        return Run(seconds, processor, usage.ru_maxrss / 1024), said

    @contextlib.contextmanager
    def rules(self, server: OdooServer) -> Iterator[None]:
        """Have Odoo send webhooks to this deployment meanwhile."""
        if server.remote:
            server.remote.install_rules(self.webhook_url)
        else:
            done = self.manage("odoo_rules", "install", "--url", self.public_url, check=False)
            if done.returncode:
                raise SystemExit(
                    f"The automation rules can't be installed: {done.stderr.strip()} The account "
                    "of ODOO_LOGIN needs the right Settings for burst and freshness."
                )
        try:
            yield
        finally:
            if server.remote:
                server.remote.remove_rules()
            else:
                self.manage("odoo_rules", "remove")

    def connect(self) -> psycopg2.extensions.connection:
        """Open a connection of its own to the deployment's database, in autocommit mode."""
        connection = psycopg2.connect(self.database_url)
        connection.autocommit = True
        return connection


@dataclass(slots=True)
class LoadedCopy:
    """A deployment whose copy holds all orders of one Odoo, and the runs measured so far."""

    server: OdooServer
    deployment: BenchDeployment
    loads: list[Run]


class Session:
    """One invocation of the benches: starts what they ask for, and ends it with ``close``."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.services = Services()
        self.directory = self.services.directory
        self._stack = contextlib.ExitStack()
        self._stack.callback(self.services.close)
        self._numbers = itertools.count(1)
        self._template = ""
        self._servers: dict[tuple[object, ...], OdooServer] = {}
        self._copies: dict[tuple[str, str], LoadedCopy] = {}

    def close(self) -> None:
        """End every process and remove every order that was made."""
        self._stack.close()

    # --- Odoo ----------------------------------------------------------------------------------

    @property
    def real(self) -> bool:
        """Whether the environment names a real Odoo."""
        return bool(os.environ.get("ODOO_URL"))

    @property
    def transports(self) -> tuple[str, ...]:
        """The protocols to measure by."""
        if self.options.transports:
            return self.options.transports
        named = os.environ.get("ODOO_TRANSPORT", "auto")
        if self.real and named != "auto":
            return (named,)
        return ("jsonrpc",) if self.options.quick else ("jsonrpc", "xmlrpc")

    def odoo(self, orders: int, timing: str = "") -> OdooServer:
        """Return the real Odoo if one is named, and a simulator otherwise, with so many orders."""
        return self._real(orders) if self.real else self.simulator(orders, timing)

    def simulator(self, orders: int, timing: str = "", version: int = 17) -> OdooServer:
        """Return a simulator with so many orders, in a process of its own."""
        key = (orders, timing, version)
        if key not in self._servers:
            self._servers[key] = self._start_simulator(orders, timing, version)
        return self._servers[key]

    def _start_simulator(self, orders: int, timing: str, version: int) -> OdooServer:
        port = free_port()
        words = [
            *("--port", str(port), "--version", str(version), "--bulk", str(orders)),
            *("--lines", str(self.options.lines), "--bulk-days", str(DAYS)),
            *("--api-key", API_KEY),
        ]
        words += ["--timing", timing] if timing else []
        process = subprocess.Popen(
            [sys.executable, "-m", "odoo_simulator", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.services.reaper.watch_group(process.pid)
        self._stack.callback(_end, process)
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("the simulator of Odoo did not start")
        url = f"http://127.0.0.1:{port}"
        timing = timing or ("committed" if version >= FIRST_COMMITTED else "early")
        ids = range(1, orders + 1)
        remote = RemoteSimulator(url)
        return OdooServer(url, "odoo", "admin", "admin", version, timing, ids, remote=remote)

    def _real(self, orders: int) -> OdooServer:
        key = ("real", orders)
        if key not in self._servers:
            url, database, login, password = (os.environ[name] for name in NAMES)
            url = url.rstrip("/")
            version = major_version(url)
            try:
                odoo = connect(self.transports[0], url, database, login, password)
            except CallFailed as error:
                raise SystemExit(f"{error}: correct ODOO_LOGIN and ODOO_PASSWORD") from None
            made = self._stack.enter_context(own_orders(odoo, orders, self.options.lines))
            timing = "committed" if version >= FIRST_COMMITTED else "early"
            self._servers[key] = OdooServer(
                url, database, login, password, version, timing, made.ids, made.domain
            )
        return self._servers[key]

    # --- the product ---------------------------------------------------------------------------

    def database(self) -> str:
        """Return the URL of a new database with the product's tables."""
        postgres = self.services.postgres
        if not self._template:
            made = postgres.create_database()
            Deployment.migrate(made.url, self.directory)
            self._template = made.name
            self._stack.callback(postgres.drop_database, made.name)
        database = postgres.create_database(template=self._template)
        self._stack.callback(postgres.drop_database, database.name)
        return database.url

    def deployment(
        self,
        server: OdooServer,
        transport: str = "jsonrpc",
        *,
        with_broker: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> BenchDeployment:
        """Return a deployment with an empty copy; no process of it runs yet."""
        broker = self.services.rabbitmq if with_broker else None
        directory = self.directory / f"deployment-{next(self._numbers)}"
        directory.mkdir()
        environment = directory / "env"
        environment.touch()
        deployment = BenchDeployment(
            directory,
            self.services.reaper,
            database_url=self.database(),
            rabbitmq_url=broker.url(broker.new_vhost()) if broker else "",
            odoo_url=server.url,
            settings={
                "ENV_FILE": str(environment),
                "ODOO_DATABASE": server.database,
                "ODOO_LOGIN": server.login,
                "ODOO_PASSWORD": server.secret(transport),
                "ODOO_TRANSPORT": transport,
                "ODOO_DOMAIN": json.dumps(server.domain) if server.domain else "",
                "ODOO_RULES_NAME": server.domain[0][2] if server.domain else "bc-consumer",
                "ODOO_WEBHOOK_TIMING": server.timing,
                "WEB_PROCESSES": str(self.options.web_processes),
                "LOG_LEVEL": "INFO",
                **(settings or {}),
            },
        )
        deployment.receiver = os.environ.get("BENCH_RECEIVER_HOST", "127.0.0.1")
        if deployment.receiver != "127.0.0.1":
            deployment.environment["ALLOWED_HOSTS"] = f"127.0.0.1,{deployment.receiver}"
        deployment.environment["PUBLIC_URL"] = deployment.public_url
        self._stack.callback(deployment.close)
        return deployment

    def loaded(self, server: OdooServer, transport: str) -> LoadedCopy:
        """Return a copy that holds all of this Odoo's orders; it is loaded at the first call."""
        key = (server.url + str(server.domain), transport)
        if key not in self._copies:
            self.load(server, transport)
        return self._copies[key]

    def load(self, server: OdooServer, transport: str, through: Sequence[str] = ()) -> Run:
        """Load an empty copy from this Odoo, and keep it for the benches that need a full one."""
        deployment = self.deployment(server, transport, with_broker=False)
        run = deployment.reconcile(through=through)
        count = int(deployment.sql("SELECT count(*) FROM bc_consumer_bc")[0][0])
        assert count == len(server.ids), f"the copy has {count} orders of {len(server.ids)}"
        key = (server.url + str(server.domain), transport)
        earlier = self._copies.pop(key, None)
        if earlier is not None:
            self.services.postgres.drop_database(_name_of(earlier.deployment.database_url))
        loads = [*(earlier.loads if earlier else []), *([] if through else [run])]
        self._copies[key] = LoadedCopy(server, deployment, loads)
        return run


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(20)
    if process.stdout is not None:
        process.stdout.close()


def _name_of(database_url: str) -> str:
    return database_url.rpartition("/")[2]


__all__ = [
    "ORDER",
    "RESULTS",
    "ROOT",
    "BenchDeployment",
    "LoadedCopy",
    "OdooServer",
    "Options",
    "Run",
    "Session",
]
