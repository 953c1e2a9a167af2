"""What docker-compose.yml and deploy/systemd start runs here, outside of containers and systemd.

With their commands, their environments and nothing else: migrate on an empty database, then web,
worker and scheduler, which work, and end in good order within the time that they are given. Those
of compose find the image's files alone.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import ROOT, Deployment
from tests.services.owned import OwnedProcess
from tests.services.postgres import Database, Postgres
from tests.services.session import Services

ORDERLY_SECONDS = 30
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NEEDED = (
    "SECRET_KEY", "DATABASE_URL", "RABBITMQ_URL", "RABBITMQ_QUEUE", "ODOO_URL", "ODOO_DATABASE",
    "ODOO_LOGIN", "ODOO_PASSWORD", "ODOO_WEBHOOK_SECRETS", "SYNC_NIGHTLY_AT",
)  # fmt: skip
"""What the administrator writes down, and the test's queue."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is started, and with which environment."""

    words: list[str]
    environment: dict[str, str]
    directory: Path = ROOT


Programs = Callable[[Deployment, str], Program]


def by_compose(deployment: Deployment, service: str) -> Program:
    """A service of docker-compose.yml, in the image's environment; .env is what is needed."""
    found = _compose()["services"][service]
    image = dict(re.findall(r"\b([A-Z_]+)=(\S+)", _environment_of_the_image()))
    image["PATH"] = f"{Path(sys.executable).parent}:{SYSTEM_PATH}"
    image["DATA_DIR"] = str(deployment.directory / "data")
    needed = {name: deployment.environment[name] for name in NEEDED}
    # Those two name containers.
    own = {n: v for n, v in found["environment"].items() if n not in {*NEEDED, "ALLOWED_HOSTS"}}
    if service == "web":
        assert own["PORT"] == "8000"
        own["PORT"] = str(deployment.port)
    environment = {**image, **needed, **own, "ENV_FILE": os.devnull}
    words = [sys.executable, *found["command"][1:]]
    return Program(words, environment, _files_of_the_image(deployment.directory / "app"))


def by_systemd(deployment: Deployment, service: str) -> Program:
    """A unit of deploy/systemd; all settings are in the file that it names."""
    instanced = {"web": "bc-web@.service", "worker": "bc-worker@.service"}
    unit = (ROOT / "deploy/systemd" / instanced.get(service, f"bc-{service}.service")).read_text()
    settings = deployment.directory / "env"
    settings.write_text("".join(f"{name}={deployment.environment[name]}\n" for name in NEEDED))
    instance = str(deployment.port) if service == "web" else "1"
    for here, there in (
        ("/opt/bc-consumer/current/.venv/bin/python", sys.executable),
        ("/etc/bc-consumer/env", str(settings)),
        ("/var/lib/bc-consumer", str(deployment.directory / "data")),
        ("%i", instance),
    ):
        unit = unit.replace(here, there)
    (start,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    environment = {"PATH": SYSTEM_PATH}
    for line in re.findall(r"^Environment=(.*)$", unit, re.MULTILINE):
        environment |= dict(word.split("=", 1) for word in shlex.split(line))
    return Program(shlex.split(start), environment)


def _compose() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def _files_of_the_image(directory: Path) -> Path:
    """Copy what .dockerignore lets through, and do what the Dockerfile does with it, once."""
    if directory.exists():
        return directory
    directory.mkdir()
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, target = ROOT / line[1:], directory / line[1:]
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
    text = (ROOT / "Dockerfile").read_text()
    (key, words) = re.findall(r"^RUN (SECRET_KEY=\S+) python (manage\.py .*)$", text, re.MULTILINE)[
        0
    ]
    subprocess.run(
        [sys.executable, *words.split()],
        cwd=directory,
        env=dict([key.split("=", 1)]) | {"DATA_DIR": str(directory / "data")},
        check=True,
        capture_output=True,
        timeout=60,
    )
    return directory


def _environment_of_the_image() -> str:
    last_stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    found = re.search(r"^ENV ((?:.*\\\n)*.*)$", last_stage, re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[Database]:
    database = postgres.create_database()
    yield database
    postgres.drop_database(database.name)


@pytest.mark.simulator(version=18, webhook_timing="committed")
@pytest.mark.parametrize("programs", [by_compose, by_systemd])
def test_they_work_and_end_in_good_order(
    programs: Programs,
    deploy: Deploy,
    empty_database: Database,
    simulator: Simulator,
    services: Services,
) -> None:
    deployment = deploy(database_url=empty_database.url)
    migrate = programs(deployment, "migrate")
    done = subprocess.run(
        migrate.words,
        env=migrate.environment,
        cwd=migrate.directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    running: dict[str, OwnedProcess] = {}
    for service in ("web", "worker", "scheduler"):
        program = programs(deployment, service)
        running[service] = OwnedProcess(
            program.words,
            environment=program.environment,
            log=deployment.directory / f"{service}.log",
            reaper=services.reaper,
            directory=program.directory,
        )
    try:
        deployment.wait_for_web()
        simulator.install_rules(deployment.webhook_url)
        simulator.create_order(lines=[{"name": "A desk", "product_qty": 2, "price_unit": 3}])
        deployment.wait_until(lambda: not differences(simulator, deployment.sql), 40, what="a copy")

        def alive() -> tuple[int, int]:
            status = deployment.get("/status.json").json()
            return status["workers"], status["schedulers"]

        deployment.wait_until(lambda: alive() == (1, 1), 40, what="two hearts")
        if programs is by_compose:
            _assert_healthy(deployment)
        assert deployment.get("/static/bc_consumer/page.css").status == 200
        for service, process in running.items():
            began = time.monotonic()
            process.stop(ORDERLY_SECONDS)
            assert time.monotonic() - began < ORDERLY_SECONDS, service
            assert process.exit_code() == 0, process.log.read_text()
            assert "Traceback" not in process.log.read_text()
    finally:
        for process in running.values():
            if not process.has_ended():
                process.kill()


def _assert_healthy(deployment: Deployment) -> None:
    """Ask web as compose's health check does."""
    kind, *words = _compose()["services"]["web"]["healthcheck"]["test"]
    assert kind == "CMD"
    words = [word.replace(":8000/", f":{deployment.port}/") for word in words]
    assert str(deployment.port) in words[-1]
    subprocess.run([sys.executable, *words[1:]], check=True, timeout=20)
