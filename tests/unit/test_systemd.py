"""deploy/systemd: no systemd runs these units here; they are read by it, and compared."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import or_skip
from tests.harness import ROOT
from tests.services.owned import ServiceMissingError
from tests.unit.test_compose import mebibytes
from tests.unit.test_compose import services as services  # noqa: PLC0414 (a fixture)

UNITS = ROOT / "deploy" / "systemd"
HOME = "/opt/bc-consumer/current"
INSTANCES = {"web": "bc-web@8000", "worker": "bc-worker@1"}
SAME = "# What follows is the same in all four units.\n"
SERVICES = ["migrate", "scheduler", "web", "worker"]
MOST_EXPOSED = 20
"""Of 100, as systemd counts what a service might do to the machine; without hardening it is 96."""


def unit(service: str) -> str:
    return INSTANCES.get(service, f"bc-{service}") + ".service"


def text(service: str) -> str:
    file = unit(service).replace("@8000", "@").replace("@1", "@")
    return (UNITS / file).read_text(encoding="utf-8")


def said(service: str, key: str) -> str:
    """The value of a key that a unit has once."""
    (value,) = [
        line.partition("=")[2] for line in text(service).splitlines() if line.startswith(f"{key}=")
    ]
    return value


def find_analyzer() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        raise ServiceMissingError("no systemd-analyze: install the package systemd (./test does)")
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units, with a service where they look for it."""
    home = tmp_path / "opt"
    (home / ".venv" / "bin").mkdir(parents=True)
    (home / ".venv" / "bin" / "python").symlink_to(sys.executable)
    directory = tmp_path / "units"
    directory.mkdir()
    for file in UNITS.iterdir():
        (directory / file.name).write_text(file.read_text().replace(HOME, str(home)))
    return directory


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    analyzer = or_skip(find_analyzer)
    return subprocess.run(
        [analyzer, *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_systemd_understands_every_unit(installed: Path) -> None:
    files = [unit(service) for service in SERVICES] + ["bc-consumer.target"]
    done = analyze("verify", "--man=no", *(str(installed / file) for file in files))
    # It also tells of units of this machine that it meets on its way.
    of_ours = [line for line in done.stderr.splitlines() if "bc-" in line or str(installed) in line]
    assert of_ours == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_little_to_the_machine(service: str, installed: Path) -> None:
    file = str(installed / unit(service))
    done = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager", file)
    assert done.returncode == 0, done.stdout


def test_the_target_has_the_processes_of_compose() -> None:
    target = (UNITS / "bc-consumer.target").read_text()
    (wanted,) = [line for line in target.splitlines() if line.startswith("Wants=")]
    started = set(wanted.removeprefix("Wants=").split())
    assert started == {unit("web"), "bc-web@8001.service", unit("worker"), unit("scheduler")}
    # Migrations are begun by hand, before all others.
    for service in ("web", "worker", "scheduler"):
        assert "bc-migrate.service" in said(service, "After").split()
        assert said(service, "PartOf") == said(service, "WantedBy") == "bc-consumer.target"


def test_all_units_are_hardened_in_the_same_way() -> None:
    parts = {text(service).partition(SAME)[2].partition("\n[Install]")[0] for service in SERVICES}
    assert len(parts) == 1
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "User=bc"):
        assert line in "".join(parts).splitlines()


@pytest.mark.parametrize("service", SERVICES)
def test_commands_and_limits_are_those_of_compose(
    service: str, services: dict[str, dict[str, object]]
) -> None:
    of_compose = services[service]
    command = of_compose["command"]
    assert isinstance(command, list)
    words = said(service, "ExecStart").split()
    if service == "web":  # compose names the address in the environment
        words = words[: words.index("--host")]
    assert words == [f"{HOME}/.venv/bin/python", *command[1:]]
    assert mebibytes(said(service, "MemoryMax").lower()) == mebibytes(str(of_compose["mem_limit"]))
    if service != "migrate":
        assert said(service, "TimeoutStopSec") + "s" == of_compose["stop_grace_period"]
        assert said(service, "KillMode") == "mixed", "as a container's init does"
        assert said(service, "Restart") == "always"


def test_commands_by_hand_run_as_the_services_do() -> None:
    script = (ROOT / "deploy" / "bc-manage").read_text()
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)  # noqa: S607
    assert f"{HOME}/.venv/bin/python {HOME}/manage.py" in script
    environment = [line for line in text("web").splitlines() if line.startswith("Environment=")]
    for word in ("ENV_FILE=/etc/bc-consumer/env", "DATA_DIR=/var/lib/bc-consumer"):
        assert word in script
        assert word in " ".join(environment)
    assert f"--user {said('web', 'User')} " in script
