"""What counts as a difference under the same date, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from bc_consumer.same_date import differs_under_same_date

DATE = ["2026-01-01", "2026-01-02"]
PARTNER = {"partner_name": ["Old", "New"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"fields": {"partner_ref": ["a", "b"]}, "lines": {}},
        {"fields": {"name": ["P1", "P2"]}, "lines": {}},
        {"fields": {"partner_id": [1, 2], "partner_name": ["A", "B"]}, "lines": {}},
        {"fields": {}, "lines": {"changed": {"7": {"price_unit": ["1", "2"]}}}},
        {"fields": {}, "lines": {"changed": {"7": {"name": ["a", "b"]}}}},
        {"fields": {"extra.x_size": ["1", "2"]}, "lines": {}},
        {"fields": {"extra.x_size": [None, "2"]}, "lines": {}},
        {"fields": {"extra.x_who": [{"id": 1, "name": "A"}, {"id": 2, "name": "A"}]}, "lines": {}},
        {"fields": {}, "lines": {"changed": {"7": {"taxes": [[], [{"id": 1, "name": "VAT"}]]}}}},
    ],
)
def test_content_counts(changes: dict[str, Any]) -> None:
    assert differs_under_same_date(changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fields": {"partner_ref": ["a", "b"], "write_date": DATE}, "lines": {}},
        {
            "fields": {"partner_ref": ["a", "b"]},
            "lines": {"changed": {"7": {"write_date": DATE}}},
        },
        {"fields": {"partner_ref": ["a", "b"]}, "lines": {"added": {"8": "Desk"}}},
        {"fields": {"partner_ref": ["a", "b"]}, "lines": {"deleted": {"8": "Desk"}}},
        {"fields": PARTNER, "lines": {"changed": {"7": {"product_name": ["A", "B"]}}}},
        {
            "fields": {"extra.x_who": [{"id": 1, "name": "A"}, {"id": 1, "name": "B"}]},
            "lines": {
                "changed": {"7": {"taxes": [[{"id": 1, "name": "A"}], [{"id": 1, "name": "B"}]]}}
            },
        },
    ],
)
def test_dates_names_and_lines_that_come_or_go_do_not(changes: dict[str, Any]) -> None:
    assert not differs_under_same_date(changes)
