"""Short seeded runs of the bench. ``python -m tests.chaos`` plays longer ones.

``CHAOS_SEED`` plays another plan than the usual one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.plan import COMMITTED, EARLY, FAULTS, KILLS, MISSING, Plan, make_plan
from tests.chaos.report import report
from tests.chaos.runner import play
from tests.chaos.scene import scene
from tests.services.postgres import Postgres
from tests.services.rabbitmq import RabbitMQ
from tests.services.session import Services

SEED = int(os.environ.get("CHAOS_SEED", "1"))
PER_SECOND = 12.0
UNFAIR = {"overload"}
"""It needs two processors to itself, but these plans run beside other tests."""


@pytest.fixture
def servers(
    postgres_with_own_clock: Postgres, private_rabbitmq: RabbitMQ
) -> tuple[Postgres, RabbitMQ]:
    """Return servers that may be broken."""
    return postgres_with_own_clock, private_rabbitmq


def assert_as_promised(
    plan: Plan, servers: tuple[Postgres, RabbitMQ], services: Services, directory: Path
) -> None:
    told: list[str] = []
    with scene(plan.seed, directory, *servers, services.reaper) as everything:
        played = play(plan, everything, PER_SECOND, told.append)
        told.append(report(played, everything))
        tails = everything.deployment.log_tails(25)
    good = all(act.is_as_promised for act in played)
    assert good, "\n".join([f"seed {plan.seed}", *told, tails])


@pytest.mark.timeout(240)
def test_rule_2_whatever_breaks_the_copy_becomes_right(
    servers: tuple[Postgres, RabbitMQ], services: Services, tmp_path: Path
) -> None:
    plan = make_plan(SEED, operations=130, faults=11, kinds=set(FAULTS) - UNFAIR, timings=(EARLY,))
    assert_as_promised(plan, servers, services, tmp_path)


@pytest.mark.timeout(240)
def test_rule_3_kill_9_of_any_process_under_load_tears_and_loses_nothing(
    servers: tuple[Postgres, RabbitMQ], services: Services, tmp_path: Path
) -> None:
    plan = make_plan(SEED, operations=150, faults=7, kinds=KILLS, timings=(COMMITTED,))
    assert_as_promised(plan, servers, services, tmp_path)


@pytest.mark.timeout(240)
def test_what_nobody_could_be_told_of_is_found_by_the_scans_that_follow(
    servers: tuple[Postgres, RabbitMQ], services: Services, tmp_path: Path
) -> None:
    plan = make_plan(SEED, operations=130, faults=5, kinds=set(MISSING) - UNFAIR, timings=(EARLY,))
    assert_as_promised(plan, servers, services, tmp_path)
