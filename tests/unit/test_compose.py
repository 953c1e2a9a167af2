"""docker-compose.yml: no engine runs it here, so what it says is checked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import or_skip
from tests.documents import pages
from tests.services.owned import ServiceMissingError

ROOT = Path(__file__).resolve().parents[2]
OWN = {"migrate", "web", "worker", "scheduler"}
MEBIBYTES = {"m": 1, "g": 1024}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    found = content["services"]
    assert isinstance(found, dict)
    return found


def mebibytes(limit: str) -> int:
    return int(limit[:-1]) * MEBIBYTES[limit[-1]]


def test_every_service_has_a_memory_limit_and_the_documents_tell_it(
    services: dict[str, Any],
) -> None:
    documents = "\n".join(pages().values())
    told = dict(re.findall(r"^\| (\w+) \| \d+ \| [^|]*\| (\d+[mg]) \|", documents, re.MULTILINE))
    limits = {name: service.get("mem_limit") for name, service in services.items()}
    assert set(limits) == OWN | {"postgres", "rabbitmq", "proxy"}
    assert {name: limits[name] for name in limits if name != "migrate"} == told


def test_rabbitmq_holds_publishers_up_before_it_reaches_its_limit(
    services: dict[str, Any],
) -> None:
    text = (ROOT / "deploy" / "rabbitmq.conf").read_text()
    watermark = re.search(r"^vm_memory_high_watermark.absolute = (\d+)MiB$", text, re.MULTILINE)
    assert watermark is not None
    assert int(watermark[1]) <= 0.8 * mebibytes(services["rabbitmq"]["mem_limit"])


def test_rabbitmq_is_one_that_is_still_made(services: dict[str, Any]) -> None:
    version = re.fullmatch(
        r"rabbitmq:\$\{RABBITMQ_VERSION:-(\d+)\.\d+\}-alpine", services["rabbitmq"]["image"]
    )
    assert version is not None
    assert int(version[1]) >= 4
    assert services["rabbitmq"]["hostname"], "its data lie under its host's name"


def test_only_the_proxy_is_published_and_it_waits_for_web(services: dict[str, Any]) -> None:
    published = {name for name, service in services.items() if service.get("ports")}
    assert published == {"proxy"}
    assert services["proxy"]["depends_on"] == {"web": {"condition": "service_healthy"}}
    mounted = {volume.split(":")[0] for volume in services["proxy"]["volumes"]}
    parts = ("nginx.conf", "site.conf", "nginx/zones.conf", "nginx/server.conf")
    assert mounted == {f"./deploy/{part}" for part in parts}
    site = (ROOT / "deploy" / "site.conf").read_text()
    listening = services["proxy"]["ports"][0].rpartition(":")[2]
    assert f"listen {listening} " in site
    assert f"set $web web:{services['web']['environment']['PORT']};" in site


def test_every_mounted_file_is_there(services: dict[str, Any]) -> None:
    for service in services.values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).is_file(), volume
                assert volume.endswith(":ro")


@pytest.mark.parametrize("name", ["proxy", *sorted(OWN)])
def test_what_faces_others_may_do_little(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def find_compose() -> list[str]:
    """Return the program that reads such files; it needs no engine for that."""
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)  # noqa: S607
        if asked.returncode == 0:
            return ["docker", "compose"]
    if found := shutil.which("docker-compose"):
        return [found]
    raise ServiceMissingError("no docker compose: install the package docker-compose (./test does)")


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.odoo.yml"])
def test_compose_itself_understands_it(name: str, tmp_path: Path) -> None:
    command = or_skip(find_compose)
    text = (ROOT / name).read_text(encoding="utf-8")
    if len(command) == 1 and _is_of_2021(command):
        # Its schema has not got the project's name yet.
        text = re.sub(r"^name: .*\n", "", text, flags=re.MULTILINE)
    (tmp_path / name).write_text(text)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    needed = ("POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "ALLOWED_HOSTS")
    (tmp_path / ".env").write_text("".join(f"{variable}=a1\n" for variable in needed))
    done = subprocess.run(
        [*command, "-f", name, "config"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    written = yaml.safe_load(text)["services"]
    assert {service: read[service].get("command") for service in OWN if service in read} == {
        service: written[service].get("command") for service in OWN if service in written
    }


def _is_of_2021(command: list[str]) -> bool:
    done = subprocess.run([*command, "version"], capture_output=True, text=True, check=True)
    return " 1." in done.stdout
