"""Strangers with hundreds of connections: webhook and /healthz answer within 300 ms all the while.

Against the web process alone, and against the nginx that docker-compose.yml puts in front of it.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from odoo_simulator import Simulator
from tests.attacking import ATTACKS, attack
from tests.comparing import differences
from tests.conftest import or_skip
from tests.harness import Deployment
from tests.probing import RATE, probing
from tests.services.proxy import Proxy
from tests.services.session import Services

SECONDS = 8
SETTINGS = {"ODOO_WEBHOOK_TIMING": "committed", "LOG_LEVEL": "WARNING"}

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.simulator(version=17, webhook_timing="committed"),
    pytest.mark.deployment(shared=True, workers=1, scheduler=False, settings=SETTINGS),
]


@pytest.fixture
def proxy(deployment: Deployment, services: Services, tmp_path: Path) -> Iterator[Proxy]:
    directory = tmp_path / "nginx"
    directory.mkdir()
    started = or_skip(lambda: Proxy(directory, services.reaper, deployment.port))
    yield started
    started.stop()


def under_attack(name: str, deployment: Deployment, odoo: Simulator, port: int) -> None:
    ids = list(odoo.bulk_create(SECONDS * RATE // 2, 1))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(os.getpid).result()
        attacking = pool.submit(attack, name, port, SECONDS)
        with probing(deployment, ids, port) as probed:
            seen = attacking.result()
    print(f"\n{name}: {dict(seen)}; slowest {probed.slowest() * 1000:.0f} ms")
    assert probed.late() == []
    deployment.wait_until(lambda: not differences(odoo, deployment.sql, ids), what="all orders")


@pytest.mark.calm
@pytest.mark.parametrize("name", ATTACKS)
def test_web_alone(name: str, deployment: Deployment, simulator: Simulator) -> None:
    under_attack(name, deployment, simulator, deployment.port)
    assert "Traceback" not in deployment.logs()


@pytest.mark.calm
@pytest.mark.parametrize("name", ATTACKS)
def test_behind_the_proxy(
    name: str, deployment: Deployment, simulator: Simulator, proxy: Proxy
) -> None:
    under_attack(name, deployment, simulator, proxy.port)
