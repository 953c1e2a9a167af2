"""A server that does not answer holds up no page, and costs one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from bc_consumer.core.background_cache import BackgroundCache
from tests.services.waiting import wait_until


class Server:
    """Answers when it is told to, with the number of the question."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = threading.Event()

    def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        assert self.may_answer.wait(30)
        return number


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.may_answer.set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that lets time pass."""
    passed, monotonic = [0.0], time.monotonic
    monkeypatch.setattr(
        "bc_consumer.core.background_cache.time.monotonic", lambda: monotonic() + passed[0]
    )

    def later(seconds: float) -> None:
        passed[0] += seconds

    return later


def test_an_answer_is_kept_for_its_time(server: Server, clock: Callable[[float], None]) -> None:
    server.may_answer.set()
    value = BackgroundCache(server, every=60.0, wait=30.0)
    first = value()
    assert first is not None
    assert first.answer == 1
    clock(50)
    again = value()
    assert again is not None
    assert (again.answer, again.seconds_old > 49) == (1, True)
    clock(20)
    fresh = value()
    assert fresh is not None
    assert fresh.answer == 2


def test_nobody_waits_longer_than_told(server: Server, clock: Callable[[float], None]) -> None:
    value = BackgroundCache(server, every=60.0, wait=0.05)
    assert value() is None
    clock(1)
    # The time to wait counts from the question, not from each caller.
    assert value() is None
    server.may_answer.set()
    wait_until(lambda: value() is not None, what="the answer")
    server.may_answer.clear()
    clock(100)
    old = value()
    assert old is not None
    assert (old.answer, old.seconds_old > 99) == (1, True)


def test_while_a_question_is_open_no_other_is_asked(
    server: Server, clock: Callable[[float], None]
) -> None:
    value = BackgroundCache(server, every=1.0, wait=0.0)
    for _ in range(5):
        value()
        clock(10)
    wait_until(lambda: server.asked, what="the question")
    assert server.asked == 1


def test_an_error_is_logged_and_the_former_answer_stays(
    clock: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([1])
    value = BackgroundCache(lambda: next(answers), every=1.0, wait=30.0)
    value()
    clock(2)
    known = value()
    assert known is not None
    assert known.answer == 1
    assert "a call to another server failed" in caplog.text


def test_it_can_be_forgotten(server: Server) -> None:
    server.may_answer.set()
    value = BackgroundCache(server, every=60.0, wait=30.0)
    value()
    value.forget()
    known = value()
    assert known is not None
    assert known.answer == 2
