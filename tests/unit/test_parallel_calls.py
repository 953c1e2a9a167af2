"""Several calls at once, with one deadline for all."""

from __future__ import annotations

import threading

from bc_consumer.core.log_context import current_facts, logging_about
from bc_consumer.core.parallel_calls import call_all


def test_each_call_s_error_is_its_own() -> None:
    def fail() -> None:
        raise LookupError("gone")

    errors = call_all({"good": lambda: 7, "bad": fail}, 5)
    assert errors["good"] is None
    assert isinstance(errors["bad"], LookupError)
    assert call_all({}, 5) == {}


def test_they_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3)
    names = ("one", "two", "three")
    assert not any(call_all({name: lambda: meeting.wait(5) for name in names}, 10).values())


def test_one_that_does_not_return_is_left_alone_and_not_started_again_meanwhile() -> None:
    go_on, begun = threading.Event(), []

    def hang() -> None:
        begun.append(threading.current_thread())
        go_on.wait(30)

    for _ in range(3):
        errors = call_all({"hangs": hang, "good": lambda: None}, 0.05)
        assert isinstance(errors["hangs"], TimeoutError)
        assert errors["good"] is None
    assert len(begun) == 1
    assert begun[0].daemon, "a process that ends does not wait for it"
    go_on.set()
    begun[0].join(5)
    assert call_all({"hangs": hang}, 5) == {"hangs": None}


def test_log_lines_of_the_calls_are_about_the_same_work() -> None:
    seen: list[object] = []
    with logging_about(order=7):
        call_all({"one": lambda: seen.append(current_facts())}, 5)
    assert seen == [{"order": 7}]
