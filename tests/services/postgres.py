"""PostgreSQL for tests: a given server, or a private instance of the installed package."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from tests.services.owned import (
    OwnedProcess,
    ServiceIsForeignError,
    ServiceMissingError,
    last_lines,
    random_word,
)
from tests.services.reaper import Reaper
from tests.services.waiting import free_port, wait_until

# Test data need not survive the machine but must survive kill -9 of the server, so commits still
# reach the operating system before they are acknowledged.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "lc_messages": "C",
    "log_lock_waits": "on",
    "listen_addresses": "127.0.0.1",
}


@dataclass(frozen=True, slots=True)
class Database:
    """One database: its name and the URL for an application."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address and credentials."""

    host: str
    port: int
    user: str
    password: str

    @classmethod
    def from_url(cls, url: str, default_port: int) -> Address:
        parts = urlsplit(url)
        return cls(
            parts.hostname or "127.0.0.1",
            parts.port or default_port,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )


class Postgres(ABC):
    """A server on which this run may create databases."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases."""
        where = self.address
        login = f"{quote(where.user, safe='')}:{quote(where.password, safe='')}"
        return f"postgresql://{login}@{where.host}:{where.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg2.extensions.connection:
        """Open an autocommit connection."""
        where = self.address
        connection = psycopg2.connect(
            host=where.host,
            port=where.port,
            user=where.user,
            password=where.password,
            dbname=database,
            connect_timeout=5,
        )
        connection.autocommit = True
        return connection

    def create_database(self, *, template: str = "template1", name: str = "") -> Database:
        """Create a database, empty or as a copy of one that nobody is connected to."""
        name = name or f"test_{random_word()}"
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return Database(name, self.url(name))

    def drop_database(self, name: str) -> None:
        """Drop a database even if clients are connected."""
        self._execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def _execute(self, statement: sql.Composable) -> None:
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    @abstractmethod
    def pause(self) -> None:
        """Suspend the server without closing anything: clients hang."""

    @abstractmethod
    def resume(self) -> None:
        """Resume a suspended server."""

    @abstractmethod
    def stop(self) -> None:
        """Shut down at once, whether clients are connected or not; then connections are refused."""

    @abstractmethod
    def kill(self) -> None:
        """Send SIGKILL to the server and its children."""

    @abstractmethod
    def start(self) -> None:
        """Start again after a stop or kill, on the same port and data."""

    def step_clock(self, seconds: float) -> None:
        """Set the server's clock forward, or back if negative, between two statements."""
        raise ServiceMissingError("only a server with a clock of its own has one to set")

    def restart(self) -> None:
        """Shut down and start again."""
        self.stop()
        self.start()


class ForeignPostgres(Postgres):
    """The server given by ``TEST_DATABASE_URL``: used, but never stopped."""

    def __init__(self, url: str) -> None:
        super().__init__(Address.from_url(url, default_port=5432))

    def _refuse(self) -> None:
        raise ServiceIsForeignError(
            "this PostgreSQL was given by URL; a test that stops or breaks one has to use the "
            "fixture private_postgres"
        )

    pause = resume = stop = kill = start = _refuse


class PrivatePostgres(Postgres):
    """An instance of the installed package with its own port and data directory."""

    def __init__(self, directory: Path, reaper: Reaper, *, own_clock: bool = False) -> None:
        super().__init__(Address("127.0.0.1", free_port(), "bc", secrets.token_hex(8)))
        self._directory = directory
        self._clock = OwnClock(directory.with_suffix(".clock")) if own_clock else None
        self._reaper = reaper
        self._binaries = find_binaries()
        self._user = _unprivileged_user()
        self._process: OwnedProcess | None = None
        self._initialise()
        self.start()

    @property
    def log(self) -> Path:
        return self._directory.parent / f"{self._directory.name}.log"

    def start(self) -> None:
        settings = _SETTINGS | {
            "port": str(self.address.port),
            "unix_socket_directories": str(self._directory),
        }
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._process = OwnedProcess(
            [str(self._binaries / "postgres"), "-D", str(self._directory), *arguments],
            environment=_environment() | (self._clock.environment if self._clock else {}),
            log=self.log,
            reaper=self._reaper,
            directory=self._directory,
            # SIGQUIT is PostgreSQL's immediate shutdown; SIGTERM would wait for all clients.
            gentle=signal.SIGQUIT,
            user=self._user,
        )
        wait_until(self._is_ready, 30, what=f"PostgreSQL on port {self.address.port}")

    def pause(self) -> None:
        self._owned().pause()

    def resume(self) -> None:
        self._owned().resume()

    def stop(self) -> None:
        self._owned().stop()

    def kill(self) -> None:
        self._owned().kill()

    def step_clock(self, seconds: float) -> None:
        if self._clock is None:
            super().step_clock(seconds)
        else:
            self._clock.step(seconds)

    def _owned(self) -> OwnedProcess:
        assert self._process is not None, "this PostgreSQL was never started"
        return self._process

    def _is_ready(self) -> bool:
        if self._owned().has_ended():
            raise ServiceMissingError(f"PostgreSQL ended at once:\n{last_lines(self.log)}")
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def _initialise(self) -> None:
        self._directory.mkdir(mode=0o700)
        password = self._directory.parent / f"{self._directory.name}.password"
        password.write_text(self.address.password)
        if self._user:
            shutil.chown(self._directory, self._user, self._user)
            shutil.chown(password, self._user, self._user)
        options = ["--auth=password", f"--pwfile={password}", "--encoding=UTF8", "--no-locale"]
        command = [str(self._binaries / "initdb"), *options, "--no-sync", "--username=bc"]
        done = subprocess.run(
            [*command, "-D", str(self._directory)],
            env=_environment(),
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
        )
        password.unlink()
        if done.returncode:
            raise ServiceMissingError(f"initdb failed:\n{done.stdout}\n{done.stderr}")


class OwnClock:
    """A clock for one server's processes, by libfaketime, that can be set while they run."""

    def __init__(self, file: Path) -> None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        if not found:
            raise ServiceMissingError("no libfaketime: install the package faketime (./test does)")
        self._file = file
        self._offset = 0.0
        self.step(0.0)
        self.environment = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            # Monotonic time, which measures durations, and file dates stay real.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def step(self, seconds: float) -> None:
        """Set it forward, or back."""
        self._offset += seconds
        # Replaced atomically: every process reads this file whenever it asks for the time.
        written = self._file.with_suffix(".new")
        written.write_text(f"{self._offset:+.3f}s\n")
        written.chmod(0o644)
        written.replace(self._file)


def find_binaries() -> Path:
    """Return the directory of ``initdb`` and ``postgres``, of the newest installed version.

    Raises:
        ServiceMissingError: PostgreSQL is not installed.
    """
    candidates = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0,
    )
    on_path = shutil.which("initdb")
    if on_path:
        candidates.insert(0, Path(on_path).resolve().parent)
    for directory in reversed(candidates):
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    raise ServiceMissingError(
        "no PostgreSQL: install the package postgresql (./test does), start Docker, or set "
        "TEST_DATABASE_URL to a server where databases may be created"
    )


def _unprivileged_user() -> str | None:
    """Return the user to run the server as: PostgreSQL refuses to be started by root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise ServiceMissingError("PostgreSQL does not run as root and there is no user postgres")


def _environment() -> dict[str, str]:
    # PGDATA, PGPORT and the like from the caller's shell would lead to a system instance.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TZ") if name in os.environ}
    return kept | {"LC_ALL": "C"}
