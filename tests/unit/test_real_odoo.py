"""The servers of ``tools/real-odoo``: no engine runs them here, so their description is checked."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = (17, 18, 19)
VARIABLE = re.compile(r"ODOO_E2E_[A-Z_]+")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "docker-compose.odoo.yml").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_is_prepared_served_and_checked(compose: dict[str, Any], version: int) -> None:
    services, database = compose["services"], f"contract{version}"
    prepare, server = services[f"prepare{version}"], services[f"odoo{version}"]
    contract = services[f"contract{version}"]
    assert prepare["image"] == server["image"] == f"odoo:{version}.0"
    assert prepare["command"][-2:] == [str(version), database]
    assert f"--database={database}" in server["command"]
    assert server["environment"] == {"HOST": "postgres", "USER": "odoo", "PASSWORD": "odoo"}
    assert contract["environment"]["ODOO_E2E_URL"] == f"http://odoo{version}:8069"
    assert contract["environment"]["ODOO_E2E_DB"] == database
    files = f"files{version}:/var/lib/odoo"  # attachments are not in the database
    assert files in prepare["volumes"]
    assert files in server["volumes"]
    profile = f"odoo{version}"
    assert all(service["profiles"] == [profile] for service in (prepare, server, contract))
    assert profile in services["postgres"]["profiles"]


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_starts_before_what_it_needs(compose: dict[str, Any], version: int) -> None:
    services = compose["services"]
    chain = {
        f"contract{version}": (f"odoo{version}", "service_healthy"),
        f"odoo{version}": (f"prepare{version}", "service_completed_successfully"),
        f"prepare{version}": ("postgres", "service_healthy"),
    }
    for name, (needed, condition) in chain.items():
        assert services[name]["depends_on"] == {needed: {"condition": condition}}
        if condition == "service_healthy":
            assert "healthcheck" in services[needed]


def test_no_version_is_left_out(compose: dict[str, Any]) -> None:
    kinds = ("prepare", "odoo", "contract")
    expected = {f"{kind}{version}" for kind in kinds for version in VERSIONS} | {"postgres"}
    assert compose["services"].keys() == expected


def test_every_file_and_volume_that_is_named_exists(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for mount in service.get("volumes", ()):
            source, target = mount.split(":")[:2]
            if not source.startswith("."):
                assert source in compose["volumes"], name
                continue
            assert (ROOT / source).is_dir(), name
            for word in service["command"]:
                if word.startswith(f"{target}/"):
                    assert (ROOT / source / word.removeprefix(f"{target}/")).is_file(), word
    assert (ROOT / "tools/odoo/contract.sh").is_file()
    assert (ROOT / "tools/odoo/api_key.py").is_file()


def test_the_suite_reads_every_variable_it_is_given(compose: dict[str, Any]) -> None:
    read: set[str] = set()
    for path in ("target.py", "receiver.py"):
        read.update(VARIABLE.findall((ROOT / "tests" / "contract" / path).read_text("utf-8")))
    given = {
        name
        for service in compose["services"].values()
        for name in service.get("environment", {})
        if name.startswith("ODOO_E2E_")
    }
    driver = (ROOT / "tools" / "odoo" / "contract.py").read_text("utf-8")
    assert given | set(VARIABLE.findall(driver)) <= read | {"ODOO_E2E_"}
    told = (ROOT / "DEVELOPERS.md").read_text("utf-8")
    assert read <= set(VARIABLE.findall(told))


def test_the_shell_s_scripts_and_odoo_s_script_can_be_read() -> None:
    for script in ("tools/real-odoo", "tools/odoo/prepare.sh", "tools/odoo/contract.sh"):
        subprocess.run(["/bin/bash", "-n", str(ROOT / script)], check=True)
    ast.parse((ROOT / "tools" / "odoo" / "api_key.py").read_text("utf-8"))


def test_another_version_is_refused_before_anything_is_started() -> None:
    for arguments in ((), ("16",), ("19; true",)):
        words = [str(ROOT / "tools" / "real-odoo"), *arguments]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "17|18|19" in done.stderr


@pytest.mark.parametrize("code", [0, 3])
def test_all_is_taken_down_and_a_failure_shows_the_servers_logs(tmp_path: Path, code: int) -> None:
    told, docker = tmp_path / "told", tmp_path / "docker"
    docker.write_text(
        f'#!/bin/sh\necho "$*" >> {told}\ncase "$*" in *" run "*) exit {code};; esac\n'
    )
    docker.chmod(0o755)
    words = [str(ROOT / "tools" / "real-odoo"), "19"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(words, env={"PATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == code
    steps = [line.partition("--profile odoo19 ")[2] for line in told.read_text().splitlines()]
    logs = ["logs --tail 60 prepare19 odoo19"] if code else []
    assert steps == ["", "run --rm contract19", *logs, "down --volumes"]


def test_without_docker_it_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "bash").symlink_to("/bin/bash")
    for name in ("dirname", "env"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    words = [str(ROOT / "tools" / "real-odoo"), "19"]
    environment = {"PATH": str(tmp_path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs Docker" in done.stderr
