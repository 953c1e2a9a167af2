"""The scrub's period, in pure Python: no order gets older, whatever happens between the nights."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from bc_consumer.reconciliation.scrub import left_of_a_night

DAY = 24 * 3600.0
RECENT = DAY / 2


@dataclass
class World:
    """Orders, each with the moment of its last confirmation, and the nights that read them."""

    days: int
    chance: random.Random
    at: float = 0.0
    confirmed: dict[int, float] = field(default_factory=dict)
    gone: list[float] = field(default_factory=list)
    runs: list[tuple[float, int]] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    made: int = 0

    def create(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            self.confirmed[self.made] = self.at

    def delete(self, ids: list[int]) -> None:
        for odoo_id in ids:
            del self.confirmed[odoo_id]
            self.gone.append(self.at)

    def some(self, share: float) -> list[int]:
        return [odoo_id for odoo_id in self.confirmed if self.chance.random() < share]

    def check(self) -> None:
        """No order is older than the period, and the nights that have failed meanwhile."""
        for confirmed in self.confirmed.values():
            nights = sum(failed > confirmed for failed in self.failed)
            assert self.at - confirmed <= (self.days + nights) * DAY

    def run(self) -> int:
        """Read what a run reads, a page at a time; return how many orders that are."""
        self.check()
        began, own = self.at, 0
        done = sum(count for at, count in self.runs if at > began - RECENT)
        lately = len(self.confirmed) + sum(at > began - self.days * DAY for at in self.gone)
        while True:
            self.at += 60.0
            ages = Counter[int | None](
                math.floor((began - at) / DAY) for at in self.confirmed.values() if at < began
            )
            left = left_of_a_night(
                ages, days=self.days, done=done * (self.days > 1) + own,
                current=len(self.confirmed), lately=lately,
            )  # fmt: skip
            before = began - RECENT if self.days > 1 else began
            turn = sorted((at, i) for i, at in self.confirmed.items() if at < before)
            page = turn[: min(left, 7)] if left > 0 else []
            if not page:
                break
            for _, odoo_id in page:
                self.confirmed[odoo_id] = self.at
            own += len(page)
        self.runs.append((began, own))
        return own


@pytest.mark.parametrize("seed", range(60))
def test_no_order_gets_older_than_the_period_and_the_nights_that_failed(seed: int) -> None:
    chance = random.Random(seed)
    world = World(days=chance.choice((1, 2, 3, 5, 10)), chance=chance)
    world.create(chance.randint(1, 80))
    night, failing, deleting = 0.0, chance.choice((0.0, 0.0, 0.2)), chance.choice((0.0, 0.1, 0.5))
    for _ in range(4 * world.days + 10):
        # A few seconds earlier than a day after the one before.
        night += DAY - chance.choice((0.0, 1.0, 20.0))
        for moment in sorted(chance.uniform(0.1, 23.9) * 3600.0 for _ in range(3)):
            world.at = max(world.at, night - DAY + moment)
            for odoo_id in world.some(chance.choice((0.0, 0.1))):
                world.confirmed[odoo_id] = world.at  # by its webhook
            world.create(chance.choice((0, 0, 3)))
            if chance.random() < deleting:
                age = chance.choice((0.0, world.days / 2)) * DAY
                younger = [i for i, at in world.confirmed.items() if at > world.at - age]
                world.delete(chance.sample(younger, len(younger) // 2))
            if chance.random() < 0.1:
                world.run()  # somebody's command
        world.at = max(world.at, night)
        if chance.random() < failing:
            world.failed.append(world.at)
        else:
            world.run()


def test_a_quiet_night_has_its_share_and_no_more() -> None:
    world = World(days=10, chance=random.Random(1))
    world.create(200)
    nights = []
    for night in range(1, 31):
        world.at = night * DAY - 5.0 * night
        nights.append(world.run())
    assert nights == [20] * 30


def test_an_order_confirmed_an_hour_before_is_read_where_one_day_is_the_period() -> None:
    world = World(days=1, chance=random.Random(1))
    world.create(5)
    world.at = 3600.0
    assert world.run() == 5


def test_what_is_left_of_many_more_orders_is_read_in_time() -> None:
    world = World(days=10, chance=random.Random(1))
    world.create(100)
    for night in range(1, 10):
        world.at = night * DAY - 5.0 * night
        world.run()
    oldest = sorted(world.confirmed, key=lambda one: world.confirmed[one])[:10]
    world.delete([odoo_id for odoo_id in world.confirmed if odoo_id not in oldest])
    world.at = 10 * DAY - 50.0
    assert world.run() == 10
    world.at = 11 * DAY - 55.0
    world.check()


def test_the_share_of_a_night_is_bounded_whatever_was_missed() -> None:
    world = World(days=10, chance=random.Random(1))
    world.create(100)
    world.failed = [night * DAY for night in range(1, 40)]
    world.at = 40 * DAY
    assert [world.run(), world.run()] == [40, 0]
