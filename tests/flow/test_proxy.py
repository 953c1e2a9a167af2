"""The nginx that docker-compose.yml puts in front of web, with its shipped configuration."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from odoo_simulator import Simulator
from tests.conftest import or_skip
from tests.harness import Deployment
from tests.services.proxy import Proxy
from tests.services.session import Services

pytestmark = [
    pytest.mark.simulator(version=17, webhook_timing="committed"),
    pytest.mark.deployment(
        shared=True,
        workers=0,
        scheduler=False,
        settings={"HTTPS": "1", "BEHIND_PROXY": "1", "LIVE_PAGE_PUBLIC": "1"},
    ),
]

ORDER = json.dumps({"_model": "purchase.order", "_id": 5}).encode()


@pytest.fixture
def proxy(deployment: Deployment, services: Services, tmp_path: Path) -> Iterator[Proxy]:
    directory = tmp_path / "nginx"
    directory.mkdir()
    started = or_skip(lambda: Proxy(directory, services.reaper, deployment.port))
    yield started
    started.stop()


def ask(
    port: int, method: str, path: str, body: bytes = b"", **headers: str
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body or None, named)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def event(deployment: Deployment, port: int, path: str = "/odoo/webhook/") -> int:
    login = base64.b64encode(f"odoo:{deployment.secret}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content_Type": "application/json"}
    return ask(port, "POST", path, ORDER, **headers).status


def test_events_pass_unredirected_with_their_secret(
    deployment: Deployment, proxy: Proxy, simulator: Simulator
) -> None:
    for path in ("/odoo/webhook/", "/odoo/webhook", "/odoo/webhook/?event=deleted"):
        assert event(deployment, proxy.port, path) == 202
    assert deployment.pending() == 1
    # Odoo's own way: a hundred at once would do.
    assert [event(deployment, proxy.port) for _ in range(150)] == [202] * 150


def test_nobody_forges_https(proxy: Proxy) -> None:
    for forged in ("http", "https"):
        answer = ask(proxy.port, "GET", "/", X_Forwarded_Proto=forged)
        assert answer.status == 301, "plain http stays plain"
        assert str(answer.getheader("Location")).startswith("https://127.0.0.1")


def test_attempts_to_log_in_are_few(proxy: Proxy) -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    tried = [ask(proxy.port, "POST", "/admin/login/", b"a=b", **form).status for _ in range(12)]
    assert tried.count(429) >= 5
    assert 429 not in tried[:5]
    assert ask(proxy.port, "GET", "/healthz").status == 200


def test_large_bodies_and_headers_do_not_reach_web(deployment: Deployment, proxy: Proxy) -> None:
    assert ask(proxy.port, "POST", "/odoo/webhook/", b"x" * 4_000_000).status == 413
    assert ask(proxy.port, "GET", "/", X_A="a" * 70_000).status == 400


def test_without_web_it_says_so_at_once_and_goes_on_by_itself(
    deployment: Deployment, proxy: Proxy
) -> None:
    assert deployment.web is not None
    deployment.web.stop(20)
    assert ask(proxy.port, "GET", "/healthz").status == 502
    deployment.start_web()
    deployment.wait_for_web()
    assert ask(proxy.port, "GET", "/healthz").status == 200
    assert event(deployment, proxy.port) == 202
