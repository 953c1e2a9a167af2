"""The line that ./start prints for an order that arrived."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bc_consumer.models import JournalEntry
from project.embedded.arrival_lines import describe


def entry(**values: Any) -> JournalEntry:
    given = {"odoo_id": 12, "at": datetime(2026, 3, 1, 14, 3, 5, tzinfo=UTC), "causes": "webhook"}
    return JournalEntry(**{**given, "outcome": JournalEntry.Outcome.CHANGED, **values})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fields": {"amount_total": [1, 2], "write_date": [1, 2]}}, "amount_total"),
        ({"fields": {name: [0, 1] for name in "abcde"}}, "a, b, c, 2 more"),
        ({"lines": {"count": 1}}, "1 line"),
        ({"lines": {"added": {"7": "A shelf", "8": "A lamp"}}}, "2 lines added"),
        ({"fields": {"name": ["", "P1"]}, "lines": {"deleted": {"7": ""}}}, "name, 1 line deleted"),
    ],
)
def test_changes_are_told_in_short(changes: dict[str, Any], told: str) -> None:
    line = describe(entry(changes=changes, delay=0.213), "P00012")
    assert line.startswith("14:03:05  P00012     changed")
    assert "in 0.21 s  (webhook)" in line
    assert line.endswith(f" {told}")


def test_an_entry_without_changes_or_delay_has_no_loose_ends() -> None:
    line = describe(entry(outcome=JournalEntry.Outcome.UNCONFIRMED, causes=""), "#12")
    assert line.endswith("unconfirmed")
