"""The plan of a chaos run: repeatable, complete, and spread over the run."""

from __future__ import annotations

from tests.chaos.faults import Saboteur
from tests.chaos.operations import MARGIN_SECONDS, Office
from tests.chaos.plan import (
    ALONE,
    BEYOND,
    COMMITTED,
    EARLY,
    FAULTS,
    KILLS,
    LONGEST,
    LOOKS,
    MISSING,
    OPERATIONS,
    OUTLASTING,
    make_plan,
)


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    assert make_plan(7, 300, 20) == make_plan(7, 300, 20)
    assert make_plan(7, 300, 20) != make_plan(8, 300, 20)


def test_a_plan_has_what_was_asked_for_over_both_timings() -> None:
    plan = make_plan(1, 5001, 101)
    assert [act.timing for act in plan.acts] == [EARLY, COMMITTED]
    assert sum(len(act.operations) for act in plan.acts) == 5001
    assert sum(len(act.faults) for act in plan.acts) == 101
    for act in plan.acts:
        moments = [fault.at for fault in act.faults]
        assert moments == sorted(moments)
        assert moments[0] < len(act.operations) * 0.1 < len(act.operations) * 0.9 < moments[-1]


def test_a_long_plan_has_every_kind_and_every_ending() -> None:
    plan = make_plan(1, 5000, 400)
    operations = [operation for act in plan.acts for operation in act.operations]
    assert {operation.kind for operation in operations} == set(OPERATIONS)
    assert {fault.kind for act in plan.acts for fault in act.faults} == set(FAULTS)
    assert any(operation.rolled_back for operation in operations)
    assert any(LOOKS[-2] < operation.hold < LOOKS[-1] for operation in operations)
    holds = {operation.hold for operation in operations}
    assert {OUTLASTING, BEYOND} < holds


def test_some_transactions_outlast_the_early_looks_and_some_what_is_promised() -> None:
    assert LOOKS[-1] < OUTLASTING < LONGEST - MARGIN_SECONDS < LONGEST < BEYOND


def test_what_judges_or_breaks_several_things_strikes_alone() -> None:
    assert {name for name, kind in FAULTS.items() if kind.target == ALONE} == {
        "overload",
        "page_views_without_database",
        "delete_without_servers",
    }


def test_faults_can_be_narrowed_to_some_kinds() -> None:
    plan = make_plan(3, 100, 50, kinds=KILLS, timings=(COMMITTED,))
    assert {fault.kind for act in plan.acts for fault in act.faults} == set(KILLS)


def test_each_kind_of_fault_comes_before_any_comes_twice() -> None:
    for seed in range(20):
        (act,) = make_plan(seed, 100, len(KILLS), kinds=KILLS, timings=(EARLY,)).acts
        assert sorted(fault.kind for fault in act.faults) == sorted(KILLS)


def test_groups_name_faults_that_there_are() -> None:
    assert set(KILLS) | set(MISSING) < set(FAULTS)


def test_everything_that_a_plan_names_can_be_carried_out() -> None:
    assert all(hasattr(Office, f"_{kind}") for kind in OPERATIONS)
    assert all(hasattr(Saboteur, f"_{kind}") for kind in FAULTS)
