"""Texts that strangers choose, against real web processes: none costs more than it is long."""

from __future__ import annotations

import contextlib
import http.client
from urllib.parse import quote

import pytest

from tests.harness import Deployment
from tests.services.waiting import PATIENCE_SECONDS

pytestmark = [
    pytest.mark.simulator(version=17, webhook_timing="committed"),
    pytest.mark.deployment(workers=0, scheduler=False),
]

ORDER = {"_model": "purchase.order", "_id": 5}
NEAR_MISSES = (
    "'password':'" + "\\" * 38,
    "'password':'" + "\\" * 1_000,
    "'password':'" * 80,
    "password='\\" * 90,
    "://" * 150 + "@:" * 250,
    "authorization:" * 30 + " " * 500,
    "basic " * 80 + "bearer " * 70,
    "admin/r" + "/" * 1_000,
)


def is_well(deployment: Deployment) -> None:
    """Assert that the one web process answers a health check and takes an event."""
    assert deployment.get("/healthz").seconds < PATIENCE_SECONDS
    assert deployment.post(ORDER).status == 202


def test_no_path_stops_a_web_process(deployment: Deployment) -> None:
    for text in NEAR_MISSES:
        answer = deployment.get(f"/{quote(text, safe='/')}")
        assert answer.status == 404 or (answer.status == 302 and text.startswith("admin"))
        is_well(deployment)
    # It was logged, which is where patterns see it.
    assert deployment.logs().count("Not Found: /") >= len(NEAR_MISSES) - 1
    assert "'password':'***'" in deployment.logs()


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": 'a;"' + ";" * 64_000},
        {"Cookie": 'sessionid="' + "\\" * 64_000 + '"'},
        {"Cookie": 'sessionid="' + '\\"' * 32_000 + '"'},
        {"Accept-Language": "en;q=0.5," * 7_000},
        {"X-Forwarded-For": "x" * 64_000},
        {f"X-{number}": "x" * 1_000 for number in range(64)},
    ],
    ids=lambda headers: f"{next(iter(headers))}, {len(headers)}",
)
def test_no_header_stops_a_web_process(deployment: Deployment, headers: dict[str, str]) -> None:
    """Refused before Django reads them: it takes quadratic time for some (5.2, Python 3.11)."""
    for path in ("/healthz", "/admin/login/", "/nowhere/"):
        # The server itself may have had enough of it, and just close.
        with contextlib.suppress(ConnectionError, http.client.RemoteDisconnected):
            assert deployment.get(path, headers).status == 431
    is_well(deployment)


def test_a_long_address_is_refused(deployment: Deployment) -> None:
    for path in ("/" + "a" * 20_000, "/?" + "a=b&" * 5_000):
        assert deployment.get(path).status == 414
    is_well(deployment)
