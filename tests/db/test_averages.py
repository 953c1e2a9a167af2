"""An average as Odoo's PostgreSQL gives it, times the count, is the sum to the last digit."""

import random
from datetime import UTC, datetime

import pytest
from django.db import connection

from bc_consumer.odoo.grouping import LARGEST_EXACT, sum_by_average
from bc_consumer.odoo.grouping_methods import Group

HIGHEST_ID = 2**31 - 1


def sampled(seed: int) -> tuple[int, int, float]:
    """Count, sum and average of ids spread as a sum just below the limit may have them."""
    dice = random.Random(seed)
    count = dice.randrange(1, 20_000)
    low = dice.choice([1, 1_000, HIGHEST_ID - 10 * count])
    step = dice.randrange(1, 10)
    with connection.cursor() as cursor:
        # PostgreSQL averages integers as a numeric, which Odoo's connection reads as a double.
        cursor.execute(
            "SELECT count(id), sum(id), avg(id) FROM (SELECT (%s + n * %s)::int4 AS id"
            " FROM generate_series(0, %s) AS n) AS ids",
            [low, step, count - 1],
        )
        counted, total, average = cursor.fetchone()
    return counted, int(total), float(average)


@pytest.mark.django_db
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL's avg() is meant")
@pytest.mark.parametrize("seed", range(40))
def test_count_times_average_is_the_sum(seed: int) -> None:
    count, total, average = sampled(seed)
    assert total <= LARGEST_EXACT
    assert sum_by_average(Group(datetime(2026, 1, 1, tzinfo=UTC), count, average)) == total


@pytest.mark.django_db
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL's avg() is meant")
def test_the_largest_sum_of_all() -> None:
    count = LARGEST_EXACT // HIGHEST_ID
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(id), avg(id) FROM (SELECT (%s - n)::int4 AS id"
            " FROM generate_series(1, %s) AS n) AS ids",
            [HIGHEST_ID, count],
        )
        total, average = cursor.fetchone()
    assert LARGEST_EXACT * 0.99 < total <= LARGEST_EXACT
    group = Group(datetime(2026, 1, 1, tzinfo=UTC), count, float(average))
    assert sum_by_average(group) == total
