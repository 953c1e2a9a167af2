"""The answer of the first line: fresh? equal? needs me?"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from bc_consumer.console import correctness, event_silence, freshness, processes, verdict
from bc_consumer.console.event_silence import EventFlow, Flow
from bc_consumer.console.today_sentences import SENTENCES
from bc_consumer.console.verdict import FactKind, Level, Verdict, judge_copy
from bc_consumer.core.cached_value import CachedValue
from bc_consumer.core.translatable import verbatim
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import Alert, DeadLetter, Heartbeat, Pace, SyncLog, SyncState
from tests.db.copied import bc, failed, journal, pending

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_order(settings: LazySettings) -> None:
    """Let everything run, with a good run last night, and an event a minute ago."""
    settings.SYNC_NIGHTLY_AT = time(2, 30)
    settings.ODOO_URL = "https://odoo.example.com"
    settings.ODOO_WEBHOOK_SECRETS = ["a secret of sixteen characters"]
    settings.PUBLIC_URL = "https://copy.example.com"
    SyncState.objects.get_or_create(key=SyncState.KEY)
    SyncState.objects.update(webhook_at=Now() - timedelta(minutes=1), last_sync=Now())
    Pace.objects.get_or_create(pk=circuit_breaker.PACE_ID, defaults={"next_claim_at": Now()})
    for kind in Heartbeat.Kind:
        Heartbeat.objects.create(kind=kind, host="m", pid=1, at=Now(), version="1.0.0")
    run()


def run(**values: Any) -> SyncLog:
    now = timezone.now()
    defaults = {
        "cause": "nightly", "status": "ok", "phase": "done", "started_at": now, "ended_at": now,
    }  # fmt: skip
    return SyncLog.objects.create(**{**defaults, **values})


def told(found: Verdict) -> list[tuple[FactKind, Level]]:
    return [(fact.kind, fact.level) for fact in found.facts]


def test_all_in_order() -> None:
    journal(1, delay=0.2, version=1)
    found = judge_copy()
    assert told(found.fresh) == [(FactKind.UP_TO_DATE, Level.OK)]
    assert told(found.equal) == [(FactKind.FOUND_EQUAL, Level.OK)]
    assert told(found.needs_me) == [(FactKind.NOTHING, Level.OK)]
    assert {found.fresh.level, found.equal.level, found.needs_me.level} == {Level.OK}
    assert isinstance(found.fresh.facts[0].values["change_at"], datetime)
    assert found.equal.facts[0].values["differences"] == 0


def test_the_gravest_fact_comes_first_and_decides() -> None:
    pending(1, age=90)
    Heartbeat.objects.filter(kind="worker").delete()
    fresh = judge_copy().fresh
    assert told(fresh) == [
        (FactKind.NO_WORKER, Level.TROUBLE), (FactKind.WAITING, Level.ATTENTION),
    ]  # fmt: skip
    assert fresh.level is Level.TROUBLE
    assert fresh.facts[1].values["orders"] == 1


@pytest.mark.parametrize(
    ("age", "level"), [(30, Level.OK), (90, Level.ATTENTION), (900, Level.TROUBLE)]
)
def test_an_order_that_waits_is_late(age: float, level: Level) -> None:
    pending(1, age=age)
    assert judge_copy().fresh.level is level


@pytest.mark.parametrize("refused", [True, False])
def test_an_odoo_that_is_away_or_refuses(refused: bool) -> None:
    circuit_breaker.record_failure(verbatim('no login "x"'), probing=False, refused=refused)
    found = judge_copy()
    kind = FactKind.ODOO_REFUSES if refused else FactKind.ODOO_AWAY
    assert told(found.fresh) == [(kind, Level.TROUBLE)]
    needed = [(kind, Level.TROUBLE)] if refused else [(FactKind.NOTHING, Level.OK)]
    assert told(found.needs_me) == needed
    assert "login" not in str(found)


def test_a_slow_hour_needs_attention() -> None:
    for _ in range(10):
        journal(1, delay=30.0)
    fresh = judge_copy().fresh
    assert told(fresh) == [(FactKind.SLOW, Level.ATTENTION)]
    assert fresh.facts[0].values == {"p95": 30.0, "count": 10}


def test_silence_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = EventFlow(Flow.SILENT, None, 7200.0, 40.0)
    monkeypatch.setattr(verdict, "event_flow", lambda: silent)
    (fact,) = judge_copy().fresh.facts
    assert (fact.kind, fact.level) == (FactKind.SILENT, Level.TROUBLE)
    assert fact.values == {"since": None, "seconds": 7200.0, "usual_per_hour": 40.0}


def test_nothing_compared_yet_is_trouble() -> None:
    SyncLog.objects.all().delete()
    SyncState.objects.update(last_sync=None)
    kinds = {fact.kind for fact in judge_copy().equal.facts}
    assert FactKind.NEVER_COMPARED in kinds
    assert judge_copy().equal.level is Level.TROUBLE


def test_a_first_load_at_work_is_told_as_such() -> None:
    SyncLog.objects.all().delete()
    lease = timezone.now() + timedelta(minutes=1)
    SyncState.objects.update(last_sync=None, is_syncing=True, lease_until=lease)
    run(status="running", phase="orders", ended_at=None)
    bc(1)
    bc(2)
    equal = judge_copy().equal
    assert told(equal) == [(FactKind.FIRST_LOAD, Level.ATTENTION)]
    assert SENTENCES[FactKind.FIRST_LOAD](equal.facts[0].values) == (
        "The first load is in progress: 2 orders are here."
    )


def test_a_first_load_that_was_killed_is_not_told_as_at_work() -> None:
    SyncLog.objects.all().delete()
    lease = timezone.now() - timedelta(minutes=1)
    SyncState.objects.update(last_sync=None, is_syncing=True, lease_until=lease)
    run(status="running", phase="orders", ended_at=None)
    assert told(judge_copy().equal) == [(FactKind.NEVER_COMPARED, Level.TROUBLE)]


def test_what_a_first_load_read_was_no_difference() -> None:
    SyncLog.objects.all().delete()
    run(window_since=None, found_by_window=41)
    (fact,) = judge_copy().equal.facts
    assert fact.kind is FactKind.FOUND_EQUAL
    assert SENTENCES[fact.kind](fact.values).startswith(
        "Equal: the first load has read every order."
    )
    later = timezone.now() + timedelta(seconds=1)
    run(window_since=timezone.now(), found_by_window=41, started_at=later)
    correctness.correctness.forget()
    (fact,) = judge_copy().equal.facts
    assert "put 41 orders right" in SENTENCES[fact.kind](fact.values)


@pytest.mark.parametrize(
    "value",
    [correctness.correctness, freshness.present, processes.processes, verdict.attention],
)
def test_what_people_act_upon_is_seconds_old_however_long_it_took_to_find(
    value: CachedValue[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a page goes on to show in red what was mended ten minutes ago."""
    now, asked = 0.0, 0

    def ask() -> int:
        nonlocal now, asked
        now, asked = now + 1.5, asked + 1
        return asked

    monkeypatch.setattr("bc_consumer.core.cached_value.time.monotonic", lambda: now)
    monkeypatch.setattr(value, "_question", ask)
    assert value() == 1
    now += 15.5
    assert value() == 2
    value.forget()


def test_a_failed_run_is_trouble() -> None:
    run(status="refused", phase="orders", started_at=timezone.now() + timedelta(seconds=1))
    assert (FactKind.RUN_FAILED, Level.TROUBLE) in told(judge_copy().equal)


def test_a_run_that_does_not_come_needs_attention(settings: LazySettings) -> None:
    long_ago = timezone.now() - timedelta(hours=40)
    SyncLog.objects.update(started_at=long_ago, ended_at=long_ago)
    # Due four hours ago.
    settings.SYNC_NIGHTLY_AT = timezone.localtime(timezone.now() - timedelta(hours=4)).time()
    assert told(judge_copy().equal) == [(FactKind.RUN_LATE, Level.ATTENTION)]


def test_differences_that_webhooks_should_have_told_need_attention(settings: LazySettings) -> None:
    settings.ALERT_MISSED = 10
    SyncLog.objects.update(missed_by_webhooks=10, found_by_window=10)
    assert judge_copy().equal.level is Level.OK
    SyncLog.objects.update(missed_by_webhooks=11, found_by_window=11)
    correctness.correctness.forget()
    (fact,) = judge_copy().equal.facts
    assert (fact.kind, fact.values["orders"]) == (FactKind.MISSED, 11)
    settings.PUBLIC_URL, settings.SYNC_POLL_SECONDS = "", 60
    assert judge_copy().equal.level is Level.OK


@pytest.mark.parametrize("column", ["same_date", "error_count", "held"])
def test_differences_that_a_run_can_t_put_right_or_nothing_told_of(column: str) -> None:
    SyncLog.objects.update(**{column: 2})
    assert told(judge_copy().equal) == [(FactKind.DIFFERENCES, Level.ATTENTION)]


def test_what_needs_a_person() -> None:
    failed(1)
    pending(2, held_reason="too many at once")
    Alert.objects.create(key="x", text="y", first_at=Now(), last_at=Now())
    DeadLetter.objects.create(
        queue="q", body=b"", digest="d", why="w", first_at=Now(), last_at=Now()
    )
    Heartbeat.objects.filter(kind="web").update(version="0.9.0")
    found = {fact.kind: fact.values for fact in judge_copy().needs_me.facts}
    assert found == {
        FactKind.FAILED_ORDERS: {"count": 1},
        FactKind.HELD_ORDERS: {"count": 1},
        FactKind.DEAD_LETTERS: {"count": 1},
        FactKind.ALERTS: {"count": 1},
        FactKind.VERSIONS_DIFFER: {"versions": ["0.9.0", "1.0.0"]},
    }


def test_an_alert_that_somebody_takes_care_of_needs_nobody_else() -> None:
    Alert.objects.create(
        key="x", text="y", first_at=Now(), last_at=Now(), acknowledged_at=Now(),
        acknowledged_by="chief",
    )  # fmt: skip
    assert told(judge_copy().needs_me) == [(FactKind.NOTHING, Level.OK)]


def test_a_run_that_the_brake_held_up_needs_a_person() -> None:
    run(status="braked", phase="orders", started_at=timezone.now() + timedelta(seconds=1))
    assert told(judge_copy().needs_me) == [(FactKind.RUN_BRAKED, Level.ATTENTION)]


def test_missing_settings_and_a_missing_scheduler_need_a_person(settings: LazySettings) -> None:
    settings.ODOO_URL, settings.ODOO_WEBHOOK_SECRETS = "", []
    Heartbeat.objects.filter(kind="scheduler").delete()
    assert told(judge_copy().needs_me) == [
        (FactKind.NOT_SET_UP, Level.TROUBLE),
        (FactKind.NOT_SET_UP, Level.TROUBLE),
        (FactKind.NO_SCHEDULER, Level.TROUBLE),
    ]
    settings.ODOO_URL, settings.SYNC_POLL_SECONDS = "https://odoo.example.com", 60
    assert FactKind.NOT_SET_UP not in {fact.kind for fact in judge_copy().needs_me.facts}


def test_ten_tabs_cost_as_much_as_one(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Each is asked again only when its last answer cost less than its share of the time since."""
    for one in (freshness.present, freshness.last_hour):
        one.forget()
    with django_assert_num_queries(20):
        judge_copy()
    values: list[CachedValue[Any]] = [
        freshness.present, freshness.last_hour, correctness.correctness, event_silence.event_flow,
        processes.processes, verdict.attention,
    ]  # fmt: skip
    for value in values:
        assert value._known is not None
        value._known = (value._known[0], value._known[1] + 60)
    with django_assert_num_queries(0):
        for _tab in range(10):
            judge_copy()
