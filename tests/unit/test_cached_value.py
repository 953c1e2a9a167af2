"""Answers may be a moment old; what asking costs is bounded."""

import threading
import time
from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from bc_consumer.core.cached_value import (
    LONGEST_SECONDS,
    SHARE,
    SMALL_SHARE,
    SMALL_SHARE_LONGEST_SECONDS,
    CachedValue,
)


class Question:
    """Counts how often it is asked, and takes as long as told, on a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.asked = 0
        self.seconds = seconds
        self.now = 1000.0
        monkeypatch.setattr("bc_consumer.core.cached_value.time.monotonic", lambda: self.now)

    def __call__(self) -> int:
        self.asked += 1
        self.now += self.seconds
        return self.asked


def test_it_is_asked_again_after_twenty_times_as_long_as_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    question = Question(monkeypatch, seconds=0.2)
    paced = CachedValue(question)
    assert [paced(), paced()] == [1, 1]
    question.now += 0.2 / SHARE - 0.01
    assert paced() == 1
    question.now += 0.02
    assert paced() == 2


def test_no_answer_is_older_than_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question(monkeypatch, seconds=30.0)
    paced = CachedValue(question)
    paced()
    question.now += LONGEST_SECONDS + 0.01
    assert paced() == 2


def test_a_question_with_a_small_share_is_asked_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty of them, in whatever processes, take one hundredth of the database's time."""
    assert 20 * SMALL_SHARE <= 0.01
    question = Question(monkeypatch, seconds=0.02)
    paced = CachedValue(question, share=SMALL_SHARE, longest=SMALL_SHARE_LONGEST_SECONDS)
    paced()
    question.now += 0.02 / SMALL_SHARE - 0.01
    assert paced() == 1
    question.now += 0.02
    assert paced() == 2


def test_errors_are_raised_and_not_kept() -> None:
    answers: Iterator[int] = iter([0, 1])
    paced = CachedValue(lambda: 1 // next(answers))
    with pytest.raises(ZeroDivisionError):
        paced()
    assert paced() == 1


def test_while_it_is_asked_again_others_get_what_is_known() -> None:
    begun, go_on = threading.Event(), threading.Event()
    answers = chain(["old"], repeat("new"))  # known for milliseconds only: asked again, maybe

    def question() -> str:
        answer = next(answers)
        if answer == "new":
            begun.set()
            assert go_on.wait(10)
        return answer

    paced = CachedValue(question)
    assert paced() == "old"
    paced._known = ("old", time.monotonic())
    thread = threading.Thread(target=paced)
    thread.start()
    assert begun.wait(10)
    assert paced() == "old"
    go_on.set()
    thread.join(10)
    assert paced() == "new"


def test_it_can_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    paced = CachedValue(Question(monkeypatch, seconds=1.0))
    paced()
    paced.forget()
    assert paced() == 2
