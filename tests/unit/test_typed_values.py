"""What people type: an id, a moment. Commands and the console read both alike."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.conf import LazySettings

from bc_consumer.core.local_time import OLDEST, parse_moment
from bc_consumer.core.odoo_ids import HIGHEST_ID, parse_id


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7), (" 007 ", 7), (str(HIGHEST_ID), HIGHEST_ID), (str(HIGHEST_ID + 1), None),
        ("0", None), ("-7", None), ("+7", None), ("7.0", None), ("1_000", None), ("#7", None),
        ("P00007", None), ("٧", None), ("²", None), ("", None), ("9" * 5000, None),
    ],
)  # fmt: skip
def test_an_id(text: str, number: int | None) -> None:
    assert parse_id(text) == number


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-24", datetime(2026, 1, 23, 23, tzinfo=UTC)),
        (" 2026-07-24T06:00 ", datetime(2026, 7, 24, 4, tzinfo=UTC)),
        ("2026-07-24T06:00+00:00", datetime(2026, 7, 24, 6, tzinfo=UTC)),
        ("2026-07-24 06:00:30Z", datetime(2026, 7, 24, 6, 0, 30, tzinfo=UTC)),
        ("0001-01-01", OLDEST),
        ("0001-01-01T00:00+14:00", OLDEST),
        ("2026-02-30", None),
        ("2026-13-45T00:00", None),
        ("yesterday", None),
        ("2d", None),
        ("", None),
    ],
)
def test_a_moment(settings: LazySettings, text: str, moment: datetime | None) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    assert parse_moment(text) == moment
