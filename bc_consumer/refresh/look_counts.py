"""Counts looks at orders, and the delays of their changes, for a monitoring system.

A look is counted once it is committed.
"""

from collections.abc import Sequence

from bc_consumer.core.counters import OTHER, totals
from bc_consumer.models import JournalEntry
from bc_consumer.models.ledger import has_cause
from bc_consumer.models.metrics import (
    COPY_DELAY,
    DELAY_CAUSES,
    REFRESHES,
    RETRIED,
    UNCHANGED,
    UNKNOWN,
)
from bc_consumer.refresh.writer import Result


def count_looks(results: Sequence[Result]) -> None:
    """Count these looks, and the delays of the changes among them."""
    for result in results:
        without_entry = UNKNOWN if result.unknown else UNCHANGED
        outcome = without_entry if result.outcome is None else result.outcome.value
        totals.add(REFRESHES, outcome=outcome)
        if result.delay is not None:
            totals.observe(COPY_DELAY, result.delay.seconds, cause=delay_cause(result.causes))


def count_held(orders: int) -> None:
    """Count orders whose archiving was held back."""
    totals.add(REFRESHES, orders, outcome=JournalEntry.Outcome.HELD.value)


def count_failure(*, given_up: bool) -> None:
    """Count one failed attempt at an order."""
    totals.add(REFRESHES, outcome=JournalEntry.Outcome.FAILED.value if given_up else RETRIED)


def delay_cause(causes: str) -> str:
    """Return the one cause, of those that a row has, under which its delay is counted."""
    return next((cause for cause in DELAY_CAUSES if has_cause(causes, cause)), OTHER)
