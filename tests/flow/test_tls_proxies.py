"""nginx and Caddy with TLS in front of web, with the configurations that deploy/ ships for them.

One of their two web services is away in all tests, as it is while it is replaced. nginx finds that
out with each request, and asks the other one; Caddy with the first.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest

from odoo_simulator import Simulator
from tests.certificates import self_signed
from tests.conftest import or_skip
from tests.harness import Deployment
from tests.services.proxy import TlsCaddy, TlsNginx
from tests.services.session import Services
from tests.services.waiting import free_port, wait_until

pytestmark = [
    pytest.mark.simulator(version=17, webhook_timing="committed"),
    pytest.mark.deployment(
        shared=True,
        workers=0,
        scheduler=False,
        settings={"HTTPS": "1", "BEHIND_PROXY": "1", "METRICS_TOKEN": "a-token-of-this-test"},
    ),
]

FIGURES = ("/status.json", "/metrics", "/readyz")


class Answer:
    """A proxy's answer; the connection is closed."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.msg
        self.text = response.read().decode(errors="replace")


class Front:
    """A running proxy, asked by http and by https."""

    def __init__(self, proxy: TlsNginx | TlsCaddy, certificate: Path) -> None:
        self.proxy = proxy
        self._context = ssl.create_default_context(cafile=certificate / "own.pem")

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        tls: bool = True,
        caller: str = "127.0.0.1",
        **headers: str,
    ) -> Answer:
        port = self.proxy.tls_port if tls else self.proxy.port
        source = (caller, 0)
        connection: http.client.HTTPConnection
        if tls:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=20, context=self._context, source_address=source
            )
        else:
            connection = http.client.HTTPConnection(
                "127.0.0.1", port, timeout=20, source_address=source
            )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body or None, named)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def tell(self, secret: str, odoo_id: int, path: str = "/odoo/webhook/", **kind: bool) -> int:
        """Send an event as Odoo does; return the status."""
        login = base64.b64encode(f"odoo:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content_Type": "application/json"}
        body = json.dumps({"_model": "purchase.order", "_id": odoo_id}).encode()
        return self.ask("POST", path, body, tls=kind.get("tls", True), **headers).status


@pytest.fixture(params=[TlsNginx, TlsCaddy])
def front(
    request: pytest.FixtureRequest, deployment: Deployment, services: Services, tmp_path: Path
) -> Iterator[Front]:
    certificate = self_signed(tmp_path / "certificate")
    directory = tmp_path / "proxy"
    directory.mkdir()
    webs = (free_port(), deployment.port)
    started = or_skip(lambda: request.param(directory, services.reaper, webs, certificate))
    front = Front(started, certificate)
    wait_until(lambda: front.ask("GET", "/healthz").status == 200, 20, what="the web service")
    yield front
    started.stop()


def test_events_come_in_by_https_and_are_redirected_nowhere(
    front: Front, deployment: Deployment, simulator: Simulator
) -> None:
    marked = "SELECT count(*) FROM bc_consumer_pendingbc WHERE odoo_id = %s"
    told = [
        (101, "/odoo/webhook/", True),
        (102, "/odoo/webhook", True),
        (103, "/odoo/webhook/?event=deleted", True),
        (104, "/odoo/webhook/", False),
        (105, "/odoo/webhook", False),
    ]
    for odoo_id, path, tls in told:
        deployment.sql("DELETE FROM bc_consumer_pendingbc WHERE odoo_id = %s", odoo_id)
        assert front.tell(deployment.secret, odoo_id, path, tls=tls) == 202, (path, tls)
        assert deployment.sql(marked, odoo_id) == [(1,)]
    assert front.tell("another-secret", 106) == 401
    assert [front.tell(deployment.secret, 101) for _ in range(50)] == [202] * 50


def test_browsers_get_to_https_and_are_told_to_stay_there(front: Front) -> None:
    for forged in ("http", "https"):
        plain = front.ask("GET", "/today/", tls=False, X_Forwarded_Proto=forged)
        assert plain.status == 301, "plain http stays plain, whatever the caller says"
        assert str(plain.headers["Location"]).startswith("https://127.0.0.1")
    for forged in ("http", "https"):
        page = front.ask("GET", "/admin/login/", X_Forwarded_Proto=forged)
        assert page.status == 200
        stay = page.headers.get_all("Strict-Transport-Security")
        assert stay is not None
        assert len(stay) == 1, "sent by web, and not once more by the proxy"
        assert "max-age=3600" in stay[0]


def test_a_login_is_no_forgery(front: Front) -> None:
    page = front.ask("GET", "/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None
    cookie = next(iter(SimpleCookie(page.headers["Set-Cookie"]).values()))
    form = {"csrfmiddlewaretoken": token[1], "username": "nobody", "password": "wrong"}
    site = f"https://127.0.0.1:{front.proxy.tls_port}"
    answer = front.ask(
        "POST",
        "/admin/login/",
        urlencode(form).encode(),
        Content_Type="application/x-www-form-urlencoded",
        Cookie=f"{cookie.key}={cookie.value}",
        Origin=site,
        Referer=f"{site}/admin/login/",
    )
    assert answer.status == 200, "403: Django did not believe that the form came by https"
    assert "errornote" in answer.text


def test_figures_are_for_the_inside(front: Front) -> None:
    token = "Bearer a-token-of-this-test"
    for path in FIGURES:
        assert front.ask("GET", path, Authorization=token).status == 200, path
        outside = front.ask("GET", path, Authorization=token, caller="127.0.0.2")
        assert outside.status == 403, path
        assert "owed" not in outside.text
    assert front.ask("GET", "/healthz", caller="127.0.0.2").status == 200


def test_a_body_has_its_limit_and_nobody_else_pays_for_it(
    front: Front, deployment: Deployment
) -> None:
    for secret, status in ((deployment.secret, 413), ("a stranger's", 401)):
        login = base64.b64encode(f"odoo:{secret}".encode()).decode()
        for _ in range(4):
            told = front.ask(
                "POST",
                "/odoo/webhook/",
                b"x" * 3_500_000,
                Authorization=f"Basic {login}",
                Content_Type="application/json",
            )
            # Caddy hands a body on while it comes, and web has answered and closed before its end.
            early = {502} if isinstance(front.proxy, TlsCaddy) else set()
            assert told.status in {413, status} | early
        assert front.tell(deployment.secret, 101) == 202
