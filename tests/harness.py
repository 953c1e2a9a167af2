"""Runs a real deployment for tests: web, workers and scheduler as processes, each with its log.

with Deployment(directory, reaper, database_url=…, rabbitmq_url=…, odoo_url=…) as deployment:
    deployment.start(workers=2)
    simulator.install_rules(deployment.webhook_url)
    …
    deployment.wait_drained()
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import psycopg2
import psycopg2.extensions

from tests import programs
from tests.becoming import becomes
from tests.services.owned import OwnedProcess, last_lines
from tests.services.reaper import Reaper
from tests.services.waiting import PATIENCE_SECONDS, free_port, wait_until

ROOT = Path(__file__).resolve().parents[1]
T = TypeVar("T")

AS_MANY_AS_BY_DEFAULT = {"WEB_PROCESSES": "2"}
"""The default number of web processes; a test's own deployment has one."""

OWED = "FROM bc_consumer_pendingbc WHERE generation > fetched_generation"


@dataclass(frozen=True, slots=True)
class Answer:
    """The web process's answer, and the seconds it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.body)


def _ask(
    connection: psycopg2.extensions.connection, query: str, parameters: tuple[object, ...]
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters or None)
        return list(cursor.fetchall()) if cursor.description else []


class Deployment:
    """One deployment; its processes run the repository's code with their own settings.

    Attributes:
        environment: what every process gets; change it before starting one.
        secret: the webhook's secret.
        begins_by_manage: all begin by ``exec``, as in production, web and workers as "manage.py
            web" and "manage.py rundramatiq"; else these as the programs that they become, and all
            as tests/programs.py starts them: Django's packages are imported once for all tests.
        web, scheduler: the running process, or None.
        workers: the running worker processes; kill one by ``deployment.workers[0].kill()``.
    """

    def __init__(
        self,
        directory: Path,
        reaper: Reaper,
        *,
        database_url: str,
        rabbitmq_url: str = "",
        odoo_url: str,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.database_url = database_url
        self.port = free_port()
        self.secret = secrets.token_urlsafe(16)
        self.begins_by_manage = False
        self.web: OwnedProcess | None = None
        self.scheduler: OwnedProcess | None = None
        self.workers: list[OwnedProcess] = []
        self._reaper = reaper
        self._processes: dict[str, OwnedProcess] = {}
        self._started = 0
        self._connections: dict[tuple[int, str], psycopg2.extensions.connection] = {}
        self.environment = self._base_environment(directory, database_url) | {
            "RABBITMQ_URL": rabbitmq_url,
            # On a broker given by URL all tests may share one virtual host.
            "RABBITMQ_QUEUE": f"test_{secrets.token_hex(4)}",
            "ODOO_URL": odoo_url,
            "ODOO_DATABASE": "odoo",
            "ODOO_LOGIN": "admin",
            "ODOO_PASSWORD": "admin",
            "ODOO_WEBHOOK_SECRETS": self.secret,
            "ALERT_GROUP_SECONDS": "0",  # tests of one alert do not wait for others
            "PORT": str(self.port),
            # Each takes most of a second to start; tests about several use AS_MANY_AS_BY_DEFAULT.
            "WEB_PROCESSES": "1",
            "LOG_LEVEL": "DEBUG",
            # A reconciliation would repair what a test wants to see.
            "SYNC_NIGHTLY_AT": "never",
            **(settings or {}),
            # rundramatiq looks for the program "dramatiq" beside the interpreter.
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        }

    @staticmethod
    def _base_environment(directory: Path, database_url: str) -> dict[str, str]:
        # Passes COVERAGE_PROCESS_START and the like, but not the caller's settings.
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "HOME", "LANG", "TMPDIR"} or name.startswith("COV")
        }
        return kept | {
            "ENV_FILE": os.devnull,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "SECRET_KEY": "a key for tests alone, of more than fifty characters in all",
            "DATABASE_URL": database_url,
            "DATA_DIR": str(directory / "data"),
        }

    @classmethod
    def migrate(cls, database_url: str, directory: Path) -> None:
        """Migrate a database to the current schema."""
        environment = cls._base_environment(directory, database_url)
        words = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        done = programs.run(words, environment=environment)
        assert done.returncode == 0, f"migrate failed:\n{done.stdout}\n{done.stderr}"

    # --- processes ------------------------------------------------------------------------------

    def start(
        self, *, workers: int = 1, scheduler: bool = True, web: bool = True, by_manage: bool = False
    ) -> Self:
        """Start the whole deployment and wait until the web process answers.

        ``by_manage``: what is started, and later too, begins by ``exec``, as a command of
        manage.py, as in production.
        """
        self.begins_by_manage |= by_manage
        if web:
            self.start_web()
        for _ in range(workers):
            self.start_worker()
        if scheduler:
            self.start_scheduler()
        if web:
            self.wait_for_web()
        return self

    def start_web(self) -> OwnedProcess:
        """Start the web server as docker-compose.yml does."""
        self.web = self._start_what_becomes("web", "web", "--host", "127.0.0.1")
        return self.web

    def start_worker(self, threads: int = 4) -> OwnedProcess:
        """Start one more worker process as docker-compose.yml does."""
        options = ("--processes=1", f"--threads={threads}", "--worker-shutdown-timeout=10000")
        worker = self._start_what_becomes("worker", "rundramatiq", *options)
        self.workers.append(worker)
        return worker

    def start_embedded(self) -> OwnedProcess:
        """Start what ``./start`` runs: site and worker in one process, on SQLite, no broker."""
        self.web = self._start("embedded", "-m", "project.embedded")
        self.wait_for_web()
        return self.web

    def start_scheduler(self) -> OwnedProcess:
        """Start the scheduler, which sweeps."""
        self.scheduler = self._start("scheduler", "manage.py", "scheduler")
        return self.scheduler

    def _start_what_becomes(self, kind: str, *arguments: str) -> OwnedProcess:
        if self.begins_by_manage or self.environment.get("ENV_FILE") != os.devnull:
            return self._start(kind, "manage.py", *arguments)
        program = becomes(("manage.py", *arguments), self.environment, ROOT)
        process = self._launch(kind, program.words, program.environment(self.environment))
        program.lift_limits(process.pid)
        return process

    def _start(self, kind: str, *arguments: str) -> OwnedProcess:
        return self._launch(kind, [sys.executable, *arguments], self.environment)

    def _launch(
        self, kind: str, command: list[str], environment: Mapping[str, str]
    ) -> OwnedProcess:
        self._started += 1
        name = f"{kind}-{self._started}"
        process = OwnedProcess(
            command,
            environment=dict(environment),
            log=self.directory / f"{name}.log",
            reaper=self._reaper,
            directory=ROOT,
            by_exec=self.begins_by_manage,
        )
        self._processes[name] = process
        return process

    def died_by_themselves(self) -> dict[str, int]:
        """Return the exit codes of processes that ended although nobody here ended them."""
        codes = {name: process.died_by_itself() for name, process in self._processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def stop_workers(self, seconds: float = 15.0) -> None:
        """Send SIGTERM to all workers and wait for their end."""
        while self.workers:
            self.workers.pop().stop(seconds)

    def close(self) -> None:
        """Kill every process that has not ended. How they end gently has tests of its own."""
        for process in self._processes.values():
            if not process.has_ended():
                process.kill()
        while self._connections:
            self._connections.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- HTTP -----------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """The URL of the web process."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def webhook_url(self) -> str:
        """The URL with credentials for Odoo's rules."""
        return f"http://odoo:{self.secret}@127.0.0.1:{self.port}/odoo/webhook/"

    def wait_for_web(self, seconds: float = 2 * PATIENCE_SECONDS) -> None:
        """Wait until /healthz answers 200."""
        self.wait_until(self._is_healthy, seconds, what="the web process")

    def _is_healthy(self) -> bool:
        try:
            return self.get("/healthz").status == 200
        except OSError:
            return False

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a GET to the web process. Raises OSError if it can't be reached."""
        return self.request("GET", path, b"", dict(headers or {}))

    def post(
        self,
        payload: Any,
        *,
        event: str = "",
        path: str = "/odoo/webhook/",
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a POST to the webhook as Odoo does; ``payload`` is bytes, or encoded as JSON."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        login = b64encode(f"odoo:{self.secret if secret is None else secret}".encode()).decode()
        sent = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
        target = f"{path}?event={event}" if event else path
        return self.request("POST", target, body, sent | dict(headers or {}))

    def request(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send one request on its own connection, without following redirects."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        began = time.monotonic()
        try:
            connection.request(method, target, body or None, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        seconds = time.monotonic() - began
        return Answer(response.status, dict(response.getheaders()), content, seconds)

    # --- what the copy says ---------------------------------------------------------------------

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the deployment's database; parameters as ``%s``.

        Each thread keeps its connection: a new one costs 10 ms of processor, 50 times a second
        while a test waits for something.
        """
        if self.database_url.startswith("sqlite"):
            return self._sqlite(query, *parameters)
        key = (threading.get_ident(), self.database_url)
        if (kept := self._connections.get(key)) is not None:
            try:
                return _ask(kept, query, parameters)
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                if not kept.closed:
                    raise
        # The first question, or the server has ended the connection meanwhile.
        fresh = psycopg2.connect(self.database_url, connect_timeout=30)
        fresh.autocommit = True
        self._connections[key] = fresh
        return _ask(fresh, query, parameters)

    def _sqlite(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        path = urlsplit(self.database_url).path.removeprefix("/")
        connection = sqlite3.connect(f"/{path.lstrip('/')}", timeout=20)
        try:
            with connection:
                return connection.execute(query.replace("%s", "?"), parameters).fetchall()
        finally:
            connection.close()

    def owed(self) -> int:
        """Return how many orders are owed."""
        return int(self.sql(f"SELECT count(*) {OWED}")[0][0])

    def pending(self) -> int:
        """Return how many rows the ledger has, including those only watched."""
        return int(self.sql("SELECT count(*) FROM bc_consumer_pendingbc")[0][0])

    def wait_drained(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until no order is owed, apart from failed and held ones."""
        live = f"SELECT count(*) {OWED} AND failed_at IS NULL AND held_reason = ''"
        self.wait_until(lambda: self.sql(live)[0][0] == 0, seconds, what="the ledger to drain")

    def wait_until(
        self, predicate: Callable[[], T], seconds: float = PATIENCE_SECONDS, *, what: str = ""
    ) -> T:
        """Return the predicate's first true value; fail at once if a process died by itself."""

        def look() -> T:
            for name, code in self.died_by_themselves().items():
                log = last_lines(self._processes[name].log, 60)
                raise AssertionError(f"{name} ended with {code}:\n{log}")
            return predicate()

        return wait_until(look, seconds, what=what)

    def manage(
        self, *arguments: str, check: bool = True, seconds: float = 300.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a management command with the deployment's settings."""
        words = [sys.executable, "manage.py", *arguments]
        done = programs.run(words, environment=self.environment, seconds=seconds)
        said = f"{done.stdout}\n{done.stderr}"
        assert not check or done.returncode == 0, f"{arguments} gave {done.returncode}:\n{said}"
        return done

    def logs(self) -> str:
        """Return the output of all processes."""
        texts = [
            f"--- {name}\n{process.log.read_text(errors='replace')}"
            for name, process in self._processes.items()
        ]
        return "\n".join(texts)

    def log_tails(self, lines: int = 40) -> str:
        """Return the end of every process's log, for a failure's report."""
        return "\n".join(
            f"--- {name} ({'ended' if process.has_ended() else 'running'})\n"
            f"{last_lines(process.log, lines)}"
            for name, process in self._processes.items()
        )
