"""PostgreSQL and RabbitMQ for tests from a Docker engine, if one answers."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess

import psycopg2

from tests.services.owned import ServiceMissingError, random_word
from tests.services.postgres import Address, Postgres
from tests.services.rabbitmq import Control, RabbitMQ
from tests.services.reaper import Reaper
from tests.services.waiting import free_port, wait_until

POSTGRES_IMAGE = "postgres:16-alpine"
RABBITMQ_IMAGE = "rabbitmq:4.3-alpine"


def engine_answers() -> bool:
    """Return whether this user can use a Docker engine."""
    if shutil.which("docker") is None:
        return False
    try:
        return _docker("version", "--format", "{{.Server.Version}}", check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _docker(
    *arguments: str, check: bool = True, seconds: float = 300
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["docker", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if check and done.returncode:
        raise ServiceMissingError(f"docker {arguments[0]} failed: {done.stderr.strip()}")
    return done


class Container:
    """A container that is removed when it is closed, or by the reaper when the run is killed."""

    def __init__(
        self,
        reaper: Reaper,
        image: str,
        inner_port: int,
        outer_port: int,
        *options: str,
        command: tuple[str, ...] = (),
    ) -> None:
        self.name = f"bc-test-{random_word()}"
        publish = f"127.0.0.1:{outer_port}:{inner_port}"
        reaper.watch_container(self.name)
        _docker("run", "-d", "--name", self.name, "-p", publish, *options, image, *command)

    def do(self, verb: str, *options: str) -> None:
        _docker(verb, *options, self.name)

    def unpause(self) -> None:
        """Resume it; if it was not paused, nothing happens."""
        _docker("unpause", self.name, check=False)

    def close(self) -> None:
        _docker("rm", "--force", "--volumes", self.name, check=False)


class DockerPostgres(Postgres):
    """PostgreSQL in a container, with its data in memory."""

    def __init__(self, reaper: Reaper) -> None:
        super().__init__(Address("127.0.0.1", free_port(), "bc", secrets.token_hex(8)))
        self._container = Container(
            reaper,
            POSTGRES_IMAGE,
            5432,
            self.address.port,
            *("-e", "POSTGRES_USER=bc", "-e", f"POSTGRES_PASSWORD={self.address.password}"),
            command=("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"),
        )
        self._wait()

    def _wait(self) -> None:
        wait_until(self._is_ready, 90, what=f"PostgreSQL in {self._container.name}", every=0.2)

    def _is_ready(self) -> bool:
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def pause(self) -> None:
        self._container.do("pause")

    def resume(self) -> None:
        self._container.unpause()

    def stop(self) -> None:
        # The image's stop signal is SIGINT: PostgreSQL's fast shutdown, which waits for no client.
        self._container.do("stop", "--time", "5")

    def kill(self) -> None:
        self._container.do("kill")

    def start(self) -> None:
        self._container.do("start")
        self._wait()

    def close(self) -> None:
        """Remove the container."""
        self._container.close()


class DockerRabbitMQ(RabbitMQ):
    """RabbitMQ in a container."""

    def __init__(self, reaper: Reaper) -> None:
        address = Address("127.0.0.1", free_port(), "bc", secrets.token_hex(8))
        login = f"RABBITMQ_DEFAULT_PASS={address.password}"
        self._container = Container(
            reaper,
            RABBITMQ_IMAGE,
            5672,
            address.port,
            # The node's data are stored under its host name and must be found again after a
            # restart.
            *("--hostname", "broker", "-e", "RABBITMQ_DEFAULT_USER=bc", "-e", login),
        )
        command = ["docker", "exec", self._container.name, "rabbitmqctl"]
        super().__init__(address, Control(command, dict(os.environ)))
        self._wait()

    def _wait(self) -> None:
        wait_until(self.accepts, 120, what=f"RabbitMQ in {self._container.name}", every=0.3)

    def pause(self) -> None:
        self._container.do("pause")

    def resume(self) -> None:
        self._container.unpause()

    def stop(self) -> None:
        self._container.do("stop", "--time", "15")

    def kill(self) -> None:
        self._container.do("kill")

    def start(self) -> None:
        self._container.do("start")
        self._wait()

    def close(self) -> None:
        """Remove the container."""
        self._container.close()
