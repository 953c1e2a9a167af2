"""Whatever makes one order fail is explained to operators."""

import pytest

from bc_consumer import ledger
from bc_consumer.console.failure_advice import BY_ERROR_CLASS, UNKNOWN, advice_for
from bc_consumer.refresh.error_policy import ABOUT_ORDERS, POLICY

FAILS_ALONE = [error.__name__ for error, reaction in POLICY.items() if reaction in ABOUT_ORDERS]


@pytest.mark.parametrize("error_class", FAILS_ALONE)
def test_each_error_that_makes_an_order_fail_has_its_advice(error_class: str) -> None:
    if error_class == "CannotGroup":
        pytest.skip("only counts of many orders raise it")
    assert advice_for(error_class) is not UNKNOWN


def test_no_advice_is_for_an_error_that_does_not_exist() -> None:
    known = {error.__name__ for error in POLICY} | {ledger.WAITS_FOR_ANOTHER_ORDER}
    assert BY_ERROR_CLASS.keys() <= known


def test_an_unforeseen_error_has_advice_too() -> None:
    assert advice_for("ZeroDivisionError") is UNKNOWN
