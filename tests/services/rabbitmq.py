"""RabbitMQ for tests: a given broker, or a private node of the installed package."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pika
import pika.exceptions

from tests.services.owned import (
    OwnedProcess,
    ServiceIsForeignError,
    ServiceMissingError,
    last_lines,
    random_word,
)
from tests.services.postgres import Address
from tests.services.reaper import Reaper
from tests.services.waiting import answers, free_port, wait_until

_VHOSTS_AT_ONCE = 8
_NORMAL_WATERMARK = "0.4"
_TO_DISK = "mnesia:sync_log()"
_ALARMING_WATERMARK = "0.0000001"


@dataclass(frozen=True, slots=True)
class Control:
    """How to call ``rabbitmqctl`` for one broker."""

    command: list[str]
    environment: dict[str, str]
    directory: str = "/"

    def run(self, *arguments: str) -> str:
        """Run it and return its output. Raises RuntimeError with the output if it fails."""
        done = subprocess.run(
            [*self.command, "--quiet", *arguments],
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {arguments} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout


class RabbitMQ(ABC):
    """A broker on which this run may use its own virtual hosts."""

    def __init__(self, address: Address, control: Control | None) -> None:
        self.address = address
        self.control = control
        self._fresh_vhosts: list[str] = []

    def url(self, vhost: str = "/") -> str:
        """Return the AMQP URL of one of its virtual hosts."""
        where = self.address
        login = f"{quote(where.user, safe='')}:{quote(where.password, safe='')}"
        return f"amqp://{login}@{where.host}:{where.port}/{quote(vhost, safe='')}"

    def connect(self, vhost: str = "/") -> pika.BlockingConnection:
        """Open a connection."""
        return pika.BlockingConnection(pika.URLParameters(self.url(vhost)))

    def new_vhost(self) -> str:
        """Return the name of an empty virtual host that no other test uses.

        They are created several at a time, because one call of ``rabbitmqctl`` takes half a second.
        """
        if not self._fresh_vhosts:
            names = [f"test_{random_word()}" for _ in range(_VHOSTS_AT_ONCE)]
            self.ctl("eval", _vhosts_expression(names, self.address.user) + f", {_TO_DISK}.")
            self._fresh_vhosts = names
        return self._fresh_vhosts.pop()

    def ctl(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` and return its output."""
        if self.control is None:
            raise ServiceIsForeignError(
                f"rabbitmqctl {arguments[0]} can't be run for a RabbitMQ given by URL: leave "
                "TEST_RABBITMQ_URL out, so that the package rabbitmq-server or Docker serves"
            )
        return self.control.run(*arguments)

    def keep_what_was_declared(self) -> None:
        """Have virtual hosts and queues written to disk now.

        If RabbitMQ 3.10 was killed as soon as a new queue's first message was confirmed, it lost
        both in 8 of 64 attempts on a busy machine; after this call, or four seconds later, in none
        of 16.
        """
        self.ctl("eval", f"{_TO_DISK}.")

    def queues(self, vhost: str) -> dict[str, int]:
        """Return the number of messages per queue, ready and unacknowledged ones together."""
        printed = self.ctl("list_queues", "-p", vhost, "name", "messages", "--formatter", "json")
        return {row["name"]: int(row["messages"]) for row in json.loads(printed)}

    def consumers(self, vhost: str) -> dict[str, int]:
        """Return the number of consumers per queue."""
        printed = self.ctl("list_queues", "-p", vhost, "name", "consumers", "--formatter", "json")
        return {row["name"]: int(row["consumers"]) for row in json.loads(printed)}

    def raise_memory_alarm(self) -> None:
        """Block every publisher, as if the broker were out of memory; consumers go on."""
        self.ctl("set_vm_memory_high_watermark", _ALARMING_WATERMARK)

    def clear_memory_alarm(self) -> None:
        """Unblock publishers."""
        self.ctl("set_vm_memory_high_watermark", _NORMAL_WATERMARK)

    def close_connections(self, vhost: str) -> None:
        """Close all connections to a virtual host from the server's side."""
        self.ctl("close_all_connections", "--vhost", vhost, "a test closes them")

    @abstractmethod
    def pause(self) -> None:
        """Suspend the broker without closing anything: clients hang."""

    @abstractmethod
    def resume(self) -> None:
        """Resume a suspended broker."""

    @abstractmethod
    def stop(self) -> None:
        """Shut down; then connections are refused."""

    @abstractmethod
    def kill(self) -> None:
        """Send SIGKILL to the broker."""

    @abstractmethod
    def start(self) -> None:
        """Start again after a stop or kill, on the same port and data."""

    def restart(self) -> None:
        """Shut down and start again."""
        self.stop()
        self.start()

    def accepts(self, vhost: str = "/") -> bool:
        """Return whether a client can log in."""
        try:
            self.connect(vhost).close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True


class ForeignRabbitMQ(RabbitMQ):
    """A broker that this run has not started: used, but never stopped.

    If ``TEST_RABBITMQ_URL`` names it, all tests share that URL's virtual host (each deployment's
    queues have their own names); if ``python -m tests.services up`` keeps it running, it can be
    controlled too.
    """

    def __init__(self, url: str, control: Control | None = None) -> None:
        super().__init__(Address.from_url(url, default_port=5672), control)
        self._vhost = unquote(urlsplit(url).path.removeprefix("/")) or "/"

    def new_vhost(self) -> str:
        return super().new_vhost() if self.control else self._vhost

    def _refuse(self) -> None:
        raise ServiceIsForeignError(
            "this RabbitMQ was not started by this run; a test that stops or breaks one has to use "
            "the fixture private_rabbitmq"
        )

    pause = resume = stop = kill = start = _refuse


def _vhosts_expression(names: list[str], user: str) -> str:
    listed = ", ".join(f'<<"{name}">>' for name in names)
    return (
        f'lists:foreach(fun(V) -> rabbit_vhost:add(V, <<"{user}">>), '
        f'rabbit_auth_backend_internal:set_permissions(<<"{user}">>, V, '
        f'<<".*">>, <<".*">>, <<".*">>, <<"{user}">>) end, [{listed}])'
    )


class PrivateRabbitMQ(RabbitMQ):
    """A node of the installed package with its own ports, name, data, cookie and port mapper.

    It shares nothing with a system node but the program's files. Debian's wrapper in /usr/sbin is
    avoided, because it insists on the system's directories and user.
    """

    def __init__(self, directory: Path, reaper: Reaper) -> None:
        self._directory = directory
        self._reaper = reaper
        self._binaries = find_binaries()
        self._mapper_port = free_port()
        address = Address("127.0.0.1", free_port(), "bc", secrets.token_hex(8))
        self._environment = self._make_environment(address.port)
        command = [str(self._binaries / "rabbitmqctl")]
        super().__init__(address, Control(command, self._environment, str(directory)))
        self._node: OwnedProcess | None = None
        self._write_files()
        self._mapper = self._start_mapper()
        self.start()

    @property
    def log(self) -> Path:
        return self._directory / "output.log"

    def start(self) -> None:
        self._node = OwnedProcess(
            [str(self._binaries / "rabbitmq-server")],
            environment=self._environment,
            log=self.log,
            reaper=self._reaper,
            directory=self._directory,
        )
        wait_until(self._is_ready, 60, what=f"RabbitMQ on port {self.address.port}", every=0.1)

    def pause(self) -> None:
        self._owned().pause()

    def resume(self) -> None:
        self._owned().resume()

    def stop(self) -> None:
        self._owned().stop()

    def kill(self) -> None:
        self._owned().kill()

    def close(self) -> None:
        """End the node and its port mapper."""
        # Nothing on a test's node is worth an orderly shutdown of several seconds.
        self.kill()
        self._mapper.stop()

    def _owned(self) -> OwnedProcess:
        assert self._node is not None, "this RabbitMQ was never started"
        return self._node

    def _is_ready(self) -> bool:
        if self._owned().has_ended():
            raise ServiceMissingError(f"RabbitMQ ended at once:\n{last_lines(self.log)}")
        return answers(self.address.port) and self.accepts()

    def _start_mapper(self) -> OwnedProcess:
        mapper = shutil.which("epmd")
        if mapper is None:
            raise ServiceMissingError("Erlang's epmd is not on the PATH: install erlang-base")
        process = OwnedProcess(
            [mapper, "-port", str(self._mapper_port)],
            environment=self._environment,
            log=self._directory / "epmd.log",
            reaper=self._reaper,
            directory=self._directory,
        )
        wait_until(lambda: answers(self._mapper_port), 10, what="Erlang's port mapper")
        return process

    def _write_files(self) -> None:
        self._directory.mkdir(mode=0o700)
        cookie = self._directory / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        (self._directory / "enabled_plugins").write_text("[].\n")
        (self._directory / "rabbitmq-env.conf").write_text("")
        (self._directory / "rabbitmq.conf").write_text(
            f"default_user = {self.address.user}\n"
            f"default_pass = {self.address.password}\n"
            "loopback_users = none\n"
            "disk_free_limit.absolute = 10MB\n"
        )

    def _make_environment(self, port: int) -> dict[str, str]:
        here = self._directory
        return {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "LC_ALL": "C.UTF-8",
            "HOME": str(here),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": str(here / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(here / "feature_flags"),
            "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_PID_FILE": str(here / "node.pid"),
            # Erlang's schedulers spin while idle by default, which takes CPU from the tests on a
            # small machine.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+sbwt none +sbwtdcpu none +sbwtdio none"
                " -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }


def find_binaries() -> Path:
    """Return the directory of the real ``rabbitmq-server`` and ``rabbitmqctl``.

    Raises:
        ServiceMissingError: RabbitMQ is not installed.
    """
    candidates = [Path("/usr/lib/rabbitmq/bin"), Path("/opt/rabbitmq/sbin")]
    candidates += sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))
    for directory in candidates:
        if (directory / "rabbitmq-server").exists() and (directory / "rabbitmqctl").exists():
            return directory
    raise ServiceMissingError(
        "no RabbitMQ: install the package rabbitmq-server (./test does) or start Docker"
    )
