"""What counts as a difference under the same date, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings

from bc_consumer.refresh.same_date_changes import differs_under_same_date, is_date_proven

DATE = ["2026-01-01", "2026-01-02"]
TAX = {"id": 1, "name": "A"}
PARTNER = {"partner_name": ["Old", "New"]}
NOW = datetime(2026, 3, 1, tzinfo=UTC)


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
        {"fields": PARTNER, "lines": {"changed": {"7": {"product_name": ["A", "B"]}}}},
        {"fields": {"extra.x_who": [{"id": 1, "name": "A"}, {"id": 1, "name": "B"}]}, "lines": {}},
        {"fields": {}, "lines": {"changed": {"7": {"taxes": [[TAX], [{**TAX, "name": "B"}]]}}}},
        {"fields": {"partner_ref": ["a", "b"]}, "lines": {"added": {"8": "Desk"}}},
        {"fields": {}, "lines": {"added": {"8": "Desk"}}},
        {"fields": {}, "lines": {"deleted": {"8": "Desk"}}},
    ],
)
def test_content_names_and_lines_count(changes: dict[str, Any]) -> None:
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
        {"fields": {}, "lines": {"added": {"8": "Desk"}, "changed": {"7": {"write_date": DATE}}}},
        {"fields": {"write_date": DATE}, "lines": {"deleted": {"8": "Desk"}}},
        {"fields": {}, "lines": {}},
    ],
)
def test_what_comes_with_a_date_does_not(changes: dict[str, Any]) -> None:
    assert not differs_under_same_date(changes)


@pytest.mark.parametrize(
    ("read_at", "dates", "proven"),
    [
        (None, [], False),
        (NOW, [], True),
        (NOW, [NOW - timedelta(hours=1), None], True),
        (NOW, [NOW - timedelta(hours=1), NOW - timedelta(minutes=1)], False),
        (NOW + timedelta(hours=2), [NOW - timedelta(hours=1)], False),
    ],
)
def test_a_read_proves_what_no_transaction_can_still_have_changed(
    settings: LazySettings, read_at: datetime | None, dates: list[datetime | None], proven: bool
) -> None:
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = 900
    assert is_date_proven(read_at, dates, NOW) is proven
