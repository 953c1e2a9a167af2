"""Texts that strangers choose, against real web processes: none costs more than it is long."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.harness import Deployment
from tests.services.waiting import PATIENCE_SECONDS

pytestmark = [
    pytest.mark.simulator(version=17, webhook_timing="committed"),
    pytest.mark.deployment(shared=True, workers=0, scheduler=False),
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


@pytest.mark.parametrize("inner", ["\\" * 8_150, "\\x" * 4_000, "\\054"])
def test_no_cookie_with_backslashes_is_read(deployment: Deployment, inner: str) -> None:
    """Of fewer bytes than a header may have: 8,150 cost a tenth of a second of a processor."""
    cookie = {"Cookie": f'sessionid="{inner}"'}
    for path in ("/healthz", "/odoo/webhook/", "/admin/login/", "/"):
        assert deployment.get(path, cookie).status in {400, 431}
    assert deployment.post(ORDER, headers=cookie).status in {400, 431}
    is_well(deployment)


@pytest.mark.parametrize("codec", ["punycode", "base64", "latin-1"])
def test_no_caller_chooses_a_codec(deployment: Deployment, codec: str) -> None:
    form = f"application/x-www-form-urlencoded; charset={codec}"
    upload = f"multipart/form-data; boundary=B; charset={codec}"
    part = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n%s\r\n--B--\r\n'
    for kind in (form, upload):
        assert deployment.get("/healthz?q==", {"Content-Type": kind}).status == 415
        body = part % (b"a" * 60_000)
        for path in ("/admin/login/", "/i18n/setlang/", "/nowhere/", "/odoo/webhook/"):
            assert deployment.request("POST", path, body, {"Content-Type": kind}).status == 415
    for kind in (f"application/json; charset={codec}", "multipart/form-data; boundary=B"):
        assert deployment.post(ORDER, headers={"Content-Type": kind}).status == 415
    for kind in ("application/json; charset=utf-8", 'application/json;charset="UTF-8"'):
        assert deployment.post(ORDER, headers={"Content-Type": kind}).status == 202
    assert "Traceback" not in deployment.logs()
    is_well(deployment)


@pytest.mark.parametrize("path", ["/healthz", "/admin/login/", "/nowhere/", "/odoo/webhook/"])
def test_bytes_that_are_no_text_are_no_error_of_ours(deployment: Deployment, path: str) -> None:
    """In an address, a query, a cookie, a type: as no client writes them, and as some do."""
    for odd in ("€", "é", "\x80", "\udc80", "%ff%fe", "%00", "\U0001f600"):
        raw = odd.encode("utf-8", "surrogateescape").decode("latin-1")
        headers = {"Cookie": f"a={raw}; csrftoken={raw}", "Referer": raw, "Accept": raw}
        assert deployment.get(path, headers).status in {200, 400, 404, 405}, odd
        assert deployment.get(path, {"Content-Type": f"a/{raw}"}).status in {200, 404, 405}, odd
        with raw_socket(deployment, f"{path}?q={odd}&{odd}={odd}") as status:
            assert status in {200, 400, 404, 405}, odd
        with raw_socket(deployment, f"{path}{odd}") as status:
            assert status in {200, 302, 400, 404, 405}, odd
    assert "Traceback" not in deployment.logs()
    is_well(deployment)


@contextlib.contextmanager
def raw_socket(deployment: Deployment, target: str) -> Iterator[int]:
    """Ask for a target, byte for byte; give the status, 0 where there is none."""
    with socket.create_connection(("127.0.0.1", deployment.port), timeout=15) as connection:
        head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{deployment.port}\r\n\r\n"
        connection.sendall(head.encode("utf-8", "surrogateescape"))
        answer = connection.recv(4096)
        yield int(answer.split()[1]) if answer else 0


def test_a_long_address_is_refused(deployment: Deployment) -> None:
    for path in ("/" + "a" * 20_000, "/?" + "a=b&" * 5_000):
        assert deployment.get(path).status == 414
    is_well(deployment)
