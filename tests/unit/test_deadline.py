"""Deadlines within deadlines."""

from __future__ import annotations

import time

from bc_consumer import deadline
from bc_consumer.deadline import database_deadline, deadline_passed


def left() -> float | None:
    how = getattr(deadline._thread, "waiting", None)
    return None if how is None else how._until - time.monotonic()


def test_a_block_within_a_block_has_its_own_and_gives_the_outer_one_back() -> None:
    with database_deadline(5):
        with database_deadline(50):
            assert (left() or 0) > 40
        assert 0 < (left() or 0) <= 5
    assert left() is None


def test_what_was_given_up_is_known_until_the_next_deadline_begins() -> None:
    with database_deadline(5):
        deadline._thread.passed = True
        assert deadline_passed()
    assert deadline_passed()
    with database_deadline(5):
        assert not deadline_passed()
