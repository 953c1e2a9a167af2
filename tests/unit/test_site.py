"""The site in a thread: what its stop leaves behind, and what it lets end."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from project.embedded.site import Site
from tests.services.waiting import answers, free_port, wait_until

BODY = b"x" * 2**20
STARTS = 30


class Application:
    """Answers at once, or when the test says so."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, _environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
        self.asked.set()
        assert self.may_answer.wait(30)
        start_response("200 OK", [("Content-Length", str(len(BODY)))])
        return [BODY]


@pytest.fixture
def application() -> Iterator[Application]:
    made = Application()
    yield made
    made.may_answer.set()


def ask(connection: http.client.HTTPConnection) -> int:
    """Return the status; the connection stays open."""
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.read() == BODY
    return answer.status


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_stop_ends_its_threads_and_closes_what_it_opened(
    application: Application, host: str
) -> None:
    threads, opened = set(threading.enumerate()), descriptors()
    for _ in range(STARTS):
        port = free_port()
        site = Site(application, host, port)
        with closing(http.client.HTTPConnection(host, port, timeout=30)) as connection:
            assert ask(connection) == 200
            site.stop()
            assert connection.sock.recv(1) == b""
    wait_until(lambda: set(threading.enumerate()) <= threads)
    assert descriptors() <= opened


def test_a_stop_lets_a_running_request_end(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("project.embedded.site.STOP_SECONDS", 30)
    application.may_answer.clear()
    port = free_port()
    site = Site(application, "127.0.0.1", port)
    statuses: list[int] = []

    def ask_once() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            statuses.append(ask(connection))

    asking, stopping = threading.Thread(target=ask_once), threading.Thread(target=site.stop)
    asking.start()
    assert application.asked.wait(30)
    stopping.start()
    wait_until(lambda: not answers(port), what="it accepts no more")
    application.may_answer.set()
    for thread in (asking, stopping):
        thread.join(30)
    assert statuses == [200]
