"""docker-compose.yml: no engine runs it here, so what it says is checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.documents import pages

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
    assert mounted == {"./deploy/nginx.conf", "./deploy/site.conf"}
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
