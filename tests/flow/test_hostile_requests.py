"""Requests as no honest caller sends them, against the real web server: byte for byte."""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from project.request_limits import LARGEST_FORM
from tests.harness import AS_MANY_AS_BY_DEFAULT, Deployment

pytestmark = [
    pytest.mark.simulator(version=17, webhook_timing="committed"),
    pytest.mark.deployment(
        shared=True,
        workers=0,
        scheduler=False,
        settings=AS_MANY_AS_BY_DEFAULT | {"LIVE_PAGE_PUBLIC": "1"},
    ),
]

ORDER = json.dumps({"_model": "purchase.order", "_id": 5}).encode()
PROCESSES = 2
THREADS = 64


@contextmanager
def sent(deployment: Deployment, head: str, body: bytes = b"") -> Iterator[socket.socket]:
    """Send a request, or its beginning, and keep the connection."""
    with socket.create_connection(("127.0.0.1", deployment.port), timeout=15) as connection:
        host = f"Host: 127.0.0.1:{deployment.port}\r\n"
        first, _, others = head.partition("\n")
        headers = "".join(f"{line.strip()}\r\n" for line in others.strip().splitlines() if line)
        connection.sendall(f"{first.strip()} HTTP/1.1\r\n{host}{headers}\r\n".encode() + body)
        yield connection


def status(connection: socket.socket) -> int:
    """Return the status of the answer; 0 when the server just closed."""
    try:
        answer = connection.recv(4096)
    except ConnectionResetError:
        return 0
    return int(answer.split()[1]) if answer else 0


def webhook(deployment: Deployment, headers: str) -> str:
    login = base64.b64encode(f"odoo:{deployment.secret}".encode()).decode()
    return (
        "POST /odoo/webhook/\n"
        f"Content-Type: application/json\nAuthorization: Basic {login}\n{headers}"
    )


def marked(deployment: Deployment) -> int:
    return deployment.pending()


def test_lengths_and_codings(deployment: Deployment) -> None:
    deployment.sql("DELETE FROM bc_consumer_pendingbc")  # other tests' events
    zipped = gzip.compress(b'{"_id": ' + b" " * 50_000_000 + b"5}")
    for headers, body, expected in (
        ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(ORDER), ORDER), {411}),
        (f"Content-Length: {2**40}", ORDER, {413}),
        ("Content-Length: 262145", ORDER, {413}),
        ("Content-Length: -1", ORDER, {400}),
        ("Content-Length: five", ORDER, {400}),
        ("Content-Length: 5\nContent-Length: 6", ORDER, {400}),
        (f"Content-Length: 5\nTransfer-Encoding: chunked\nX: {'x' * 99}", ORDER, {400, 411}),
        ("Content-Length: 0", b"", {400}),
        (f"Content-Length: {len(ORDER) - 1}", ORDER, {400}),
        (f"Content-Length: {len(zipped)}\nContent-Encoding: gzip", zipped, {400}),
        (f"X: {'x' * 200_000}\nContent-Length: 0", b"", {400, 431}),
    ):
        with sent(deployment, webhook(deployment, headers), body) as connection:
            assert status(connection) in expected, headers[:60]
    with sent(deployment, webhook(deployment, f"Content-Length: {len(ORDER) + 9}"), ORDER) as one:
        one.shutdown(socket.SHUT_WR)  # it ends before it is complete
        assert status(one) in {0, 400}
    assert marked(deployment) == 0
    # The server is none the worse.
    length = f"Content-Length: {len(ORDER)}"
    with sent(deployment, webhook(deployment, length), ORDER) as connection:
        assert status(connection) == 202
    assert "Traceback" not in deployment.logs()


def test_a_stranger_s_body_is_not_read(deployment: Deployment) -> None:
    head = "POST /odoo/webhook/\nContent-Type: application/json\nContent-Length: 100000"
    with sent(deployment, head, b"{") as connection:
        assert status(connection) == 401


def slow_form(deployment: Deployment) -> str:
    cookie = re.search(r"csrftoken=([^;]+)", str(deployment.get("/admin/login/").headers))
    assert cookie is not None
    return (
        f"POST /admin/login/\nCookie: csrftoken={cookie[1]}\nContent-Length: 1000\n"
        "Content-Type: application/x-www-form-urlencoded"
    )


@pytest.mark.calm
@pytest.mark.parametrize("kind", ["headers", "forms", "events"])
def test_slow_requests_stop_nobody_else(deployment: Deployment, kind: str) -> None:
    """More of them than there are threads: headers that don't end, and bodies that don't come.

    «events» are of somebody who knows the secret.
    """
    head = slow_form(deployment)
    with ExitStack() as stack:
        slow = []
        for _ in range(PROCESSES * THREADS + 10):
            if kind == "headers":
                unended = socket.create_connection(("127.0.0.1", deployment.port), timeout=15)
                unended.sendall(b"POST /odoo/webhook/ HTTP/1.1\r\nHost: x\r\n")
                slow.append(stack.enter_context(unended))
            elif kind == "forms":
                slow.append(stack.enter_context(sent(deployment, head, b"csrf")))
            else:
                length = webhook(deployment, f"Content-Length: {len(ORDER)}")
                slow.append(stack.enter_context(sent(deployment, length, ORDER[:5])))
        for _ in range(5):
            answer = deployment.post({"_model": "purchase.order", "_id": 5})
            assert answer.status == 202
            assert answer.seconds < 0.3
            assert deployment.get("/healthz").status == 200
            assert deployment.get("/").status == 200
        # Each is given up in time, and told so.
        expected = {"headers": {0, 408}, "forms": {408, 503}, "events": {408}}[kind]
        assert {status(connection) for connection in slow} <= expected
    # They are gone: forms are read again.
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert deployment.request("POST", "/admin/login/", b"a=b", form).status == 403


def test_a_large_form_is_refused_before_it_is_read(deployment: Deployment) -> None:
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        head = f"POST /admin/login/\nContent-Type: {kind}\nContent-Length: 3000000"
        with sent(deployment, head, b"a=") as connection:
            assert status(connection) == 413


def test_a_form_is_no_larger_than_ours(deployment: Deployment) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("/admin/login/", "/i18n/setlang/"):
        body = b"a=" + b"x" * LARGEST_FORM
        assert deployment.request("POST", path, body[:LARGEST_FORM], form).status == 403  # no token
        assert deployment.request("POST", path, body, form).status == 413


def broken_off(deployment: Deployment, head: str) -> None:
    with sent(deployment, f"{head}\nContent-Length: {len(ORDER)}", ORDER[:5]):
        pass


def late(deployment: Deployment, head: str) -> None:
    with sent(deployment, f"{head}\nContent-Length: {len(ORDER)}", ORDER[:5]) as connection:
        assert status(connection) in {401, 408}


def too_large(deployment: Deployment, head: str) -> None:
    with sent(deployment, f"{head}\nContent-Length: 300000", ORDER) as connection:
        assert status(connection) in {401, 413}


ASKED = "requested a scan of recent changes"
ASK_AGAIN_SECONDS = 10


@pytest.mark.deployment(workers=0, scheduler=False)
def test_an_event_that_does_not_come_whole_has_a_scan_asked_for(deployment: Deployment) -> None:
    """Its sender may never send it again; of what strangers send nothing is lost."""

    def asked() -> int:
        return deployment.logs().count(ASKED)

    ways: tuple[Callable[[Deployment, str], None], ...] = (broken_off, late, too_large)
    deployment.wait_until(lambda: asked() == 1, what="the scan of web's start")
    for way in ways:
        way(deployment, "POST /odoo/webhook/\nContent-Type: application/json")
    threading.Event().wait(ASK_AGAIN_SECONDS + 2)
    assert asked() == 1, "nothing of strangers"
    for number, way in enumerate(ways):
        way(deployment, webhook(deployment, ""))
        deployment.wait_until(
            lambda wanted=number + 2: asked() >= wanted,  # type: ignore[misc]
            2 * ASK_AGAIN_SECONDS,
            what=f"the scan after {way.__name__}",
        )
    assert marked(deployment) == 0
