"""The servers that a run uses, started when first requested and ended with the run."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.services.docker import DockerPostgres, DockerRabbitMQ, engine_answers
from tests.services.postgres import ForeignPostgres, Postgres, PrivatePostgres
from tests.services.processes import is_alive
from tests.services.rabbitmq import Control, ForeignRabbitMQ, PrivateRabbitMQ, RabbitMQ
from tests.services.reaper import Reaper

STATE_FILE = Path(__file__).resolve().parents[2] / "var" / "test-services.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """What ``python -m tests.services up`` keeps running, according to its state file."""

    pid: int
    database_url: str
    rabbitmq_url: str
    control: Control

    def write(self) -> None:
        """Write the state file for later runs; it contains passwords of throw-away servers."""
        STATE_FILE.parent.mkdir(exist_ok=True)
        STATE_FILE.touch(mode=0o600)
        STATE_FILE.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls) -> Kept | None:
        """Return what is kept running; None if nothing is, or no longer."""
        try:
            stored = json.loads(STATE_FILE.read_text())
            kept = cls(**{**stored, "control": Control(**stored["control"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return kept if is_alive(kept.pid) else None


class Services:
    """The servers of one test run."""

    def __init__(self, *, ignore_kept: bool = False) -> None:
        self.reaper = Reaper()
        self.directory = Path(tempfile.mkdtemp(prefix="bc-tests-"))
        # PostgreSQL's own user must be able to reach its data directory below.
        self.directory.chmod(0o711)
        self.reaper.watch_directory(self.directory)
        self._kept = None if ignore_kept else Kept.read()
        self._closers: list[Callable[[], None]] = []
        self._postgres: Postgres | None = None
        self._rabbitmq: RabbitMQ | None = None
        self._private_rabbitmq: RabbitMQ | None = None
        self._count = 0

    @property
    def postgres(self) -> Postgres:
        """Return the server that all tests share; no test may stop or break it."""
        url = os.environ.get("TEST_DATABASE_URL") or (self._kept and self._kept.database_url)
        if self._postgres is None:
            self._postgres = ForeignPostgres(url) if url else self.start_postgres()
        return self._postgres

    @property
    def rabbitmq(self) -> RabbitMQ:
        """Return the broker that all tests share, with one virtual host each."""
        if self._rabbitmq is None:
            url = os.environ.get("TEST_RABBITMQ_URL")
            if url:
                self._rabbitmq = ForeignRabbitMQ(url)
            elif self._kept:
                self._rabbitmq = ForeignRabbitMQ(self._kept.rabbitmq_url, self._kept.control)
            else:
                self._rabbitmq = self.start_rabbitmq()
        return self._rabbitmq

    @property
    def private_rabbitmq(self) -> RabbitMQ:
        """Return a second broker that tests may stop and break if they repair it.

        It is kept for the whole run, because RabbitMQ takes seven seconds to start.
        """
        if self._private_rabbitmq is None:
            self._private_rabbitmq = self.start_rabbitmq()
        return self._private_rabbitmq

    def start_postgres(self) -> Postgres:
        """Start an instance for this run alone."""
        if engine_answers():
            container = DockerPostgres(self.reaper)
            self._closers.append(container.close)
            return container
        server = PrivatePostgres(self._new_directory("postgres"), self.reaper)
        self._closers.append(server.stop)
        return server

    def start_postgres_with_own_clock(self) -> Postgres:
        """Start one whose clock can be set: always from the installed package."""
        server = PrivatePostgres(self._new_directory("postgres"), self.reaper, own_clock=True)
        self._closers.append(server.stop)
        return server

    def start_rabbitmq(self) -> RabbitMQ:
        """Start a broker for this run alone."""
        if engine_answers():
            container = DockerRabbitMQ(self.reaper)
            self._closers.append(container.close)
            return container
        broker = PrivateRabbitMQ(self._new_directory("rabbitmq"), self.reaper)
        self._closers.append(broker.close)
        return broker

    def _new_directory(self, name: str) -> Path:
        self._count += 1
        return self.directory / f"{name}-{self._count}"

    def close(self) -> None:
        """End whatever was started; the reaper handles the rest."""
        try:
            while self._closers:
                self._closers.pop()()
        finally:
            self.reaper.close()
