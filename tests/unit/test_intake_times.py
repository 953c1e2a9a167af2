"""How the intake shares the time to answer between ledger and RabbitMQ, as its docstring says."""

from __future__ import annotations

import pytest

from bc_consumer.messaging.intake import TimeShares, share_time

NOW, ANSWER = 1000.0, 0.8


def shares(*ends: float) -> TimeShares:
    return share_time([NOW + end for end in ends], NOW, ANSWER)


@pytest.mark.parametrize(
    ("ends", "ledger"),
    [
        ((0.8,), 0.6),
        ((0.15, 0.8), 0.102),
        ((0.05, 0.8), 0.6),
        ((0.005, 0.8), 0.6),
        ((-3.0,), 0.6),
        ((), 0.6),
    ],
    ids=["new", "had to wait", "late", "too late to count", "long past", "all have given up"],
)
def test_the_ledger_leaves_time_for_rabbitmq(ends: tuple[float, ...], ledger: float) -> None:
    found = shares(*ends)
    assert found.ledger == pytest.approx(NOW + ledger)
    assert found.last == pytest.approx(NOW + ANSWER)


def test_a_database_that_is_away_gets_little_time() -> None:
    found = shares(0.7, 0.8)
    assert found.away == pytest.approx(NOW + 0.7 - ANSWER + 0.22)
    assert found.away_but_answering == pytest.approx(NOW + 0.22)


def test_with_less_than_that_to_answer_the_database_gets_no_more() -> None:
    found = share_time([NOW + 0.1], NOW, 0.1)
    assert found.away == found.away_but_answering == pytest.approx(NOW + 0.1)
