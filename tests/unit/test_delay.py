"""From which moment the delay of a change counts."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bc_consumer.models import JournalEntry, PendingBC
from bc_consumer.odoo import Missing
from bc_consumer.refresh.change_delay import CLOCK_MARGIN, Delay, OdooClock, measure_delay
from bc_consumer.refresh.mapping import Extra, MappedLine, MappedOrder

Outcome = JournalEntry.Outcome
MARK, CHANGE = JournalEntry.DelayFrom.MARK, JournalEntry.DelayFrom.CHANGE
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def row(causes: str = "webhook", **values: Any) -> PendingBC:
    """Return a row that was first marked at noon, and has not been fetched since."""
    marked = values.pop("first_marked_at", NOON)
    defaults = {"generation": 1, "fetched_generation": 0, "owed_since": marked}
    return PendingBC(
        odoo_id=7, causes=causes, first_marked_at=marked, last_marked_at=marked,
        **{**defaults, **values},
    )  # fmt: skip


def further_look(*, shown: bool, **values: Any) -> PendingBC:
    return row(fetched_generation=1, shown_at=at(0.2) if shown else None, **values)


def order(written: datetime, **lines: datetime) -> MappedOrder:
    return MappedOrder(
        7,
        {"write_date": written},
        Extra({}),
        tuple(MappedLine(int(n[1:]), {"write_date": d}, Extra({})) for n, d in lines.items()),
        1,
    )


def changed(written: datetime, name: str = "partner_ref") -> dict[str, Any]:
    return {"fields": {name: ["A", "B"], "write_date": [at(-3600), written]}, "lines": {}}


def delay_of(
    claimed: PendingBC,
    written: datetime,
    changes: dict[str, Any] | None = None,
    *,
    applied: float,
    **others: Any,
) -> Delay | None:
    return measure_delay(
        claimed,
        others.pop("found", None) or order(written),
        others.pop("outcome", Outcome.CHANGED),
        changed(written) if changes is None else changes,
        now=at(applied),
        **others,
    )


def test_what_a_webhook_announced_counts_from_its_arrival() -> None:
    assert delay_of(row(), at(-30), applied=0.25) == Delay(0.25, MARK)


def test_of_several_webhooks_that_one_look_answers_the_first_counts() -> None:
    """The last one's change is what the write_date tells of; the first one's waited longer."""
    assert delay_of(row(generation=3, marks=3), at(50), applied=60) == Delay(60, MARK)


def test_what_a_further_look_finds_of_a_late_commit_counts_from_the_webhook() -> None:
    early = further_look(shown=False)
    assert delay_of(early, at(-1), applied=5) == Delay(5, MARK)


@pytest.mark.parametrize("shown", [True, False])
def test_what_no_webhook_announced_counts_from_the_change(shown: bool) -> None:
    found_by_look = further_look(shown=shown)
    assert delay_of(found_by_look, at(28), applied=30) == Delay(2, CHANGE)


def test_a_change_that_may_be_as_old_as_the_webhook_counts_from_the_webhook() -> None:
    """Clocks are known to two seconds: a delay must not look shorter than it was."""
    written = NOON + CLOCK_MARGIN
    assert delay_of(further_look(shown=False), written, applied=5) == Delay(5, MARK)


def test_the_latest_date_of_what_differs_counts() -> None:
    found = order(at(-3600), l1=at(20), l2=at(25), l3=at(29))
    changes = {
        "fields": {},
        "lines": {
            "changed": {"1": {"name": ["A", "B"], "write_date": [at(-9), at(20)]}},
            "added": {"2": "Lamp"},
        },
    }
    look = further_look(shown=True)
    assert delay_of(look, NOON, changes, found=found, applied=30) == Delay(5, CHANGE)


@pytest.mark.parametrize("cause", ["nightly", "command", "operator", "replay", "scrub", "force"])
def test_what_nothing_announced_has_no_delay(cause: str) -> None:
    assert delay_of(row(cause), at(-3600), applied=900) is None


def test_a_first_load_has_no_delay() -> None:
    loaded = row("command")
    assert delay_of(loaded, at(-9999), {}, outcome=Outcome.CREATED, applied=900) is None


def test_a_new_name_has_no_delay_whoever_looked() -> None:
    """Nothing moves the order's date, and no webhook comes (measured on 17, 18 and 19)."""
    renamed = {"fields": {"partner_name": ["A", "B"]}, "lines": {}}
    for claimed in (row(), further_look(shown=False), further_look(shown=True)):
        assert delay_of(claimed, NOON, renamed, applied=30) is None


def test_a_further_look_s_second_difference_without_a_date_has_no_delay() -> None:
    deleted = {"fields": {}, "lines": {"deleted": {"4": "A gift"}}}
    assert delay_of(further_look(shown=False), NOON, deleted, applied=1) == Delay(1, MARK)
    assert delay_of(further_look(shown=True), NOON, deleted, applied=30) is None


def test_a_deletion_counts_from_its_webhook() -> None:
    gone: dict[str, Any] = {"found": Missing.GONE, "outcome": Outcome.ARCHIVED}
    assert delay_of(row(), NOON, {}, applied=0.5, **gone) == Delay(0.5, MARK)
    assert delay_of(row("nightly"), NOON, {}, applied=0.5, **gone) is None


def test_lost_access_has_no_delay() -> None:
    lost: dict[str, Any] = {"found": Missing.FORBIDDEN, "outcome": Outcome.FORBIDDEN}
    assert delay_of(row(), NOON, {}, applied=0.5, **lost) is None


def test_what_a_poll_s_window_shows_counts_from_the_change() -> None:
    poll = row("poll")
    assert delay_of(poll, at(-40), applied=2, poll_since=at(-60)) == Delay(42, CHANGE)


def test_what_is_older_than_a_poll_s_window_has_no_delay() -> None:
    """Its digest found it: it was missed before, or the domain has become wider."""
    assert delay_of(row("poll"), at(-9999), applied=2, poll_since=at(-60)) is None


def test_a_webhook_after_another_mark_announced_only_what_is_younger_than_that() -> None:
    both = row("nightly,webhook", generation=2)
    assert delay_of(both, at(100), applied=103) == Delay(3, CHANGE)
    assert delay_of(both, at(-9999), applied=103) is None


def test_an_order_that_was_given_up_counts_from_the_webhook_that_opened_it_again() -> None:
    opened = row("webhook", owed_since=at(3600))
    assert delay_of(opened, at(3599), applied=3601) == Delay(1, MARK)


@pytest.mark.parametrize(
    "values", [{"causes": "webhook,replay"}, {"causes": "webhook", "run_generation": 1}]
)
def test_an_order_that_something_else_opened_again_has_no_delay(values: dict[str, Any]) -> None:
    opened = row(owed_since=at(3600), **values)
    assert delay_of(opened, at(-30), applied=3601) is None


def test_no_delay_is_below_zero() -> None:
    """The database's clock was set back meanwhile."""
    assert delay_of(row(), at(-30), applied=-50) == Delay(0, MARK)


def test_odoo_s_clock_is_set_right() -> None:
    poll = row("poll")
    ahead = timedelta(seconds=300)
    delay = delay_of(poll, at(-40) + ahead, applied=2, poll_since=NOON, odoo_ahead=ahead)
    assert delay == Delay(42, CHANGE)
    look = further_look(shown=True)
    assert delay_of(look, at(-30) + ahead, applied=1, odoo_ahead=ahead) == Delay(1, MARK)


@pytest.mark.parametrize(
    ("odoo_shows", "expected"),
    [(-1.0, 0.0), (-1.9, 0.0), (0.0, 0.0), (60.0, 60.0), (-60.0, -57.7)],
)
def test_clocks_that_may_agree_count_as_equal(
    odoo_shows: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``odoo_shows``: what Odoo's dates say of the fetch's beginning, in seconds from the truth."""
    monkeypatch.setattr(
        "bc_consumer.refresh.change_delay.time", SimpleNamespace(monotonic=lambda: 105.0)
    )
    clock = OdooClock(began_at=at(odoo_shows), began=100.0, seconds=0.3)
    assert clock.ahead(now=at(5)).total_seconds() == pytest.approx(expected)


def test_an_odoo_that_tells_no_time_counts_as_right() -> None:
    assert OdooClock(None, time.monotonic(), 0.1).ahead(NOON) == timedelta(0)
