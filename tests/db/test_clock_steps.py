"""Moments further ahead than any wait: the database's clock was set back, and nothing waits."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import verbatim
from bc_consumer.ledger import Mark, call_slots, circuit_breaker, claims
from bc_consumer.ledger.call_slots import SharedCallLimits
from bc_consumer.messaging import announcer
from bc_consumer.models import (
    Alert,
    AnnouncedVersion,
    CallSlot,
    CopyOrigin,
    Heartbeat,
    Lane,
    Pace,
    PendingBC,
    SyncLog,
    SyncState,
)
from bc_consumer.operations import alerts, clock_steps
from bc_consumer.operations.heartbeats import HeartbeatThread, alive
from bc_consumer.reconciliation import schedule as plan
from bc_consumer.reconciliation.lock import Lock
from bc_consumer.reconciliation.run_record import forget_requested_scan
from tests.conftest import ON_SQLITE

pytestmark = pytest.mark.usefixtures("single_rows")

HOUR = timedelta(hours=1)
Status, Cause = SyncLog.Status, SyncLog.Cause


def ahead() -> datetime:
    return database_now() + HOUR


def set_back(odoo_id: int = 1) -> None:
    """Let all moments of a pending row lie an hour ahead, as after the clock was set back."""
    PendingBC.objects.filter(pk=odoo_id).update(
        **{name: F(name) + HOUR for name in ("first_marked_at", "last_marked_at", "due_at")}
    )


def claimed() -> list[int]:
    return [row.odoo_id for row in ledger.claim(10, ledger.new_token()).rows]


# --- the pace ------------------------------------------------------------------------------------


def test_a_turn_an_hour_ahead_is_nobody_s() -> None:
    ledger.mark([1], Mark(cause="webhook"))
    Pace.objects.update(next_claim_at=ahead())
    assert claims.seconds_to_turn() < 1
    assert claimed() == [1]


def test_a_turn_that_is_a_few_seconds_ahead_is_waited_for(settings: LazySettings) -> None:
    settings.BATCH_PACE_SECONDS = 30.0
    Pace.objects.update(next_claim_at=Now() + timedelta(seconds=25))
    assert claims.take_turn() is None
    assert claims.seconds_to_turn() > 20


def test_a_pause_that_ends_in_an_hour_has_ended() -> None:
    ledger.mark([1], Mark(cause="webhook"))
    circuit_breaker.record_failure(verbatim("away"), probing=False)
    Pace.objects.update(next_claim_at=ahead(), paused_since=ahead())
    assert ledger.seconds_until_due() == 0.0
    turn = claims.take_turn()
    assert turn is not None
    assert turn.probing
    Pace.objects.update(next_claim_at=ahead())
    known = circuit_breaker.record_failure(verbatim("away"), probing=False)
    assert known.pause <= circuit_breaker.LONGEST_PAUSE_SECONDS
    assert known.since <= database_now()


def test_a_pause_that_odoo_asked_for_is_kept() -> None:
    circuit_breaker.record_failure(verbatim("away"), probing=False, retry_after=290)
    assert claims.take_turn() is None


# --- the ledger ----------------------------------------------------------------------------------


def test_what_was_due_before_the_clock_was_set_back_is_due() -> None:
    ledger.mark([1, 2], Mark(cause="webhook"))
    set_back(1)
    assert claimed() == [2]
    clock_steps.repair_future_moments()
    row = PendingBC.objects.get(pk=1)
    assert row.due_at <= row.last_marked_at <= database_now()
    assert row.first_marked_at <= database_now()
    assert claimed() == [1]


def test_a_look_that_comes_later_comes_as_much_later_as_before(settings: LazySettings) -> None:
    ledger.mark([1, 2], Mark(cause="webhook"))
    PendingBC.objects.update(due_at=F("last_marked_at") + timedelta(seconds=60))
    set_back(1)
    clock_steps.repair_future_moments()
    for row in PendingBC.objects.all():
        assert abs(row.due_at - row.last_marked_at - timedelta(seconds=60)) < timedelta(seconds=1)


def test_a_later_attempt_of_an_order_marked_long_ago_is_made() -> None:
    ledger.mark([1], Mark(cause="webhook"))
    PendingBC.objects.update(last_marked_at=Now() - 3 * HOUR, due_at=ahead())
    clock_steps.repair_future_moments()
    assert claimed() == [1]


def test_an_owed_row_that_was_put_off_is_soon_due_again(settings: LazySettings) -> None:
    """It was marked before the step, so only the moment at which it is due lies ahead."""
    ledger.mark([1], Mark(cause="webhook"))
    earlier = Now() - timedelta(minutes=10)
    PendingBC.objects.update(
        last_marked_at=earlier, owed_since=earlier, due_at=Now() + timedelta(minutes=10)
    )
    clock_steps.repair_future_moments(timedelta(minutes=-10))
    assert claimed() == [1]


def test_no_wait_that_is_asked_for_is_shortened(settings: LazySettings) -> None:
    ledger.mark([1], Mark(cause="webhook"))
    wait = clock_steps.longest_wait()
    PendingBC.objects.update(due_at=Now() + wait, fetched_generation=F("generation"))
    due_at = PendingBC.objects.get().due_at
    clock_steps.repair_future_moments()
    assert PendingBC.objects.get().due_at == due_at


def test_a_dead_worker_s_lease_ends_and_a_living_one_s_is_not_taken(
    settings: LazySettings,
) -> None:
    ledger.mark([1], Mark(cause="webhook"))
    token = ledger.new_token()
    assert ledger.claim(10, token).rows
    PendingBC.objects.update(claimed_until=ahead())
    set_back()
    clock_steps.repair_future_moments()
    row = PendingBC.objects.get()
    longest = database_now() + timedelta(seconds=settings.LEASE_SECONDS)
    assert database_now() < (row.claimed_until or ahead()) <= longest
    assert ledger.renew(token, [1]) == {1}
    PendingBC.objects.update(claimed_until=Now() - timedelta(seconds=1))
    assert claimed() == [1]


@pytest.mark.skipif(ON_SQLITE, reason="about PostgreSQL's plans")
def test_a_look_at_a_large_ledger_reads_the_ends_of_two_indexes() -> None:
    ledger.mark(range(1, 20_001), Mark(cause="nightly", lane=Lane.BULK))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE bc_consumer_pendingbc")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        clock_steps.repair_future_moments()
    about = [query["sql"] for query in queries if "pendingbc" in query["sql"]]
    assert len(about) == 2
    with connection.cursor() as cursor:
        for statement in about:
            cursor.execute(f"EXPLAIN {statement}")
            plan_of_it = "\n".join(line for (line,) in cursor.fetchall())
            assert "Index" in plan_of_it
            assert "Seq Scan" not in plan_of_it


@pytest.mark.parametrize("minutes", [1, 10, 14])
def test_a_step_of_minutes_is_noticed_by_the_machine_s_own_clock(
    minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No moment of the ledger is further ahead than a look may be."""
    ledger.mark([1], Mark(cause="webhook"))
    step = timedelta(minutes=minutes)
    PendingBC.objects.update(
        **{name: F(name) + step for name in ("first_marked_at", "last_marked_at", "due_at")}
    )
    heart, now = HeartbeatThread(Heartbeat.Kind.WORKER, threading.Event()), database_now()
    moments = iter([now + step, now])
    monkeypatch.setattr(clock_steps, "database_now", lambda: next(moments, database_now()))
    heart._beat()
    assert claimed() == []
    heart._beat()
    assert claimed() == [1]


@pytest.mark.parametrize("step", [-HOUR, HOUR, -timedelta(seconds=30), timedelta(seconds=30)])
def test_a_step_has_scans_asked_for(step: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set forward, looks have ended early; set back, a scan's beginning tells nothing."""
    heart, now = HeartbeatThread(Heartbeat.Kind.WORKER, threading.Event()), database_now()
    moments = iter([now, now, now + step])
    monkeypatch.setattr(clock_steps, "database_now", lambda: next(moments, database_now()))
    heart._beat()
    SyncState.objects.update(scan_due_at=None)
    heart._clock.step()
    heart._beat()
    assert SyncState.objects.get().scan_due_at is not None


def test_a_clock_that_goes_on_is_no_step() -> None:
    clock = clock_steps.StepWatch()
    assert [clock.step() for _ in range(3)] == [timedelta(0)] * 3


def test_a_scan_that_began_before_the_clock_was_set_back_answers_no_request(
    settings: LazySettings,
) -> None:
    SyncState.request_scan()
    run = SyncLog(started_at=ahead(), cause=Cause.POLL, digest=True)
    forget_requested_scan(run)
    assert SyncState.objects.get().scan_due_at is not None


def test_all_moments_of_a_row_are_set_right() -> None:
    ledger.mark([1], Mark(cause="webhook"))
    past = dict.fromkeys(clock_steps.PAST, ahead())
    PendingBC.objects.update(**past, due_at=ahead())
    clock_steps.repair_future_moments(-HOUR)
    row = PendingBC.objects.get()
    assert all(getattr(row, name) <= database_now() for name in clock_steps.PAST)


def test_a_moment_at_the_end_of_time_is_set_right() -> None:
    ledger.mark([1], Mark(cause="webhook"))
    end = datetime(9999, 12, 30, tzinfo=UTC)
    PendingBC.objects.update(last_marked_at=end, owed_since=end)
    clock_steps.repair_future_moments()
    assert claimed() == [1]


def test_what_is_copied_since_tomorrow_is_copied_since_now() -> None:
    """Else each night would read the whole copy anew until then."""
    CopyOrigin.objects.update_or_create(pk=1, defaults={"fields_changed_at": ahead()})
    clock_steps.repair_future_moments(-HOUR)
    assert (CopyOrigin.objects.get().fields_changed_at or ahead()) <= database_now()


def test_a_heart_bears_an_error_of_our_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise OverflowError("date value out of range")

    heart = HeartbeatThread(Heartbeat.Kind.WORKER, threading.Event())
    monkeypatch.setattr(clock_steps, "repair_future_moments", broken)
    heart._run_guarded(heart._beat)
    assert "date value out of range" in caplog.text


# --- leases of one row ---------------------------------------------------------------------------


def test_a_dead_run_s_lock_ends(settings: LazySettings) -> None:
    SyncState.objects.update(is_syncing=True, owner="a dead run", lease_until=ahead())
    clock_steps.repair_future_moments()
    lease_until = SyncState.objects.get().lease_until
    assert lease_until is not None
    assert database_now() < lease_until
    assert lease_until <= database_now() + timedelta(seconds=settings.SYNC_LEASE_SECONDS)


def test_a_run_that_is_handed_over_keeps_its_time() -> None:
    until = database_now() + SyncState.HAND_OVER
    SyncState.objects.update(
        is_syncing=True, owner=SyncState.owner_between_slices(7), lease_until=until
    )
    clock_steps.repair_future_moments()
    assert SyncState.objects.get().lease_until == until
    SyncState.objects.update(lease_until=ahead())
    clock_steps.repair_future_moments()
    assert (SyncState.objects.get().lease_until or ahead()) < until


def test_a_living_run_renews_its_shortened_lease() -> None:
    lock = Lock()
    assert lock.take()
    SyncState.objects.update(lease_until=ahead())
    clock_steps.repair_future_moments()
    assert not Lock().take()
    lock.give_back()


def test_a_scan_that_was_asked_for_is_not_asked_for_again_and_again() -> None:
    SyncState.objects.update(scan_due_at=ahead())
    clock_steps.repair_future_moments()
    assert (SyncState.objects.get().scan_due_at or ahead()) <= database_now()


def test_the_announcer_s_lease_ends() -> None:
    AnnouncedVersion.objects.create(
        pk=announcer.ROW_ID, version=7, token=uuid.uuid4(), leased_until=ahead()
    )
    assert announcer._take_lease(uuid.uuid4()) == 7
    assert announcer._take_lease(uuid.uuid4()) is None


@pytest.mark.skipif(ON_SQLITE, reason="there is one process on SQLite")
def test_a_call_s_slot_and_its_moment_do_not_wait_for_an_hour(settings: LazySettings) -> None:
    settings.ODOO_CONCURRENT_CALLS = 1
    settings.ODOO_CALLS_PER_SECOND = 100.0
    CallSlot.objects.update_or_create(pk=1, defaults={"taken_until": ahead(), "owner": 1})
    Pace.objects.update(next_call_at=ahead())
    with SharedCallLimits(threading.Event())(0.5):
        slot = CallSlot.objects.get(pk=1)
        assert slot.owner == process_state.process_number()
        assert database_now() < slot.taken_until < database_now() + HOUR / 2
    assert (Pace.objects.get().next_call_at or ahead()) < database_now() + HOUR / 2
    # A moment that somebody has reserved is kept.
    CallSlot.objects.update(taken_until=Now() - HOUR)
    Pace.objects.update(next_call_at=Now() + timedelta(seconds=0.2))
    assert 0.0 < call_slots._take_moment(threading.TIMEOUT_MAX) <= 0.2


# --- who is alive, what is due, what is told -----------------------------------------------------


def test_a_dead_process_is_not_alive_for_an_hour_more() -> None:
    Heartbeat.objects.create(kind="worker", host="m", pid=1, number=1 << 62, at=ahead())
    HeartbeatThread(Heartbeat.Kind.SCHEDULER, threading.Event())._beat()
    row = Heartbeat.objects.get(kind="worker")
    assert row.at <= database_now()
    assert row.number is not None, "it may be alive, and late"
    assert alive()[Heartbeat.Kind.WORKER] == 1


def test_the_last_webhook_did_not_come_in_an_hour() -> None:
    SyncState.objects.update(webhook_at=ahead())
    clock_steps.repair_future_moments()
    last = SyncState.objects.get().webhook_at
    assert last is not None
    assert last <= database_now()


def test_a_clock_set_forward_is_no_sign_of_deaths() -> None:
    heart = HeartbeatThread(Heartbeat.Kind.SCHEDULER, threading.Event())
    heart._beat()
    Heartbeat.objects.create(kind="worker", host="m", pid=1, number=1 << 62, at=Now())
    Heartbeat.objects.update(at=F("at") - HOUR)
    heart._beat()
    assert Heartbeat.objects.get(kind="worker").number is not None
    heart._beat()
    assert Heartbeat.objects.get(kind="worker").number is None


def ran(cause: SyncLog.Cause, status: SyncLog.Status = Status.OK, **values: object) -> None:
    moment = ahead()
    SyncLog.objects.create(
        cause=cause,
        status=status,
        phase=SyncLog.Phase.DONE,
        started_at=moment,
        ended_at=moment,
        **values,
    )


@pytest.fixture
def by_the_hour(settings: LazySettings) -> Callable[[], list[plan.RunRequest]]:
    settings.SYNC_POLL_SECONDS = 10
    settings.SYNC_NIGHTLY_AT = None
    SyncState.objects.update(last_sync=Now())
    return plan.due


def test_polls_go_on(by_the_hour: Callable[[], list[plan.RunRequest]]) -> None:
    ran(Cause.POLL, digest=False)
    SyncLog.objects.create(
        cause=Cause.COMMAND, status=Status.OK, phase=SyncLog.Phase.DONE,
        started_at=Now() - HOUR / 2, ended_at=Now() - HOUR / 2,
    )  # fmt: skip
    assert by_the_hour() == [plan.RunRequest(Cause.POLL, digest=False)]


def test_so_do_digests_and_what_had_failed(
    by_the_hour: Callable[[], list[plan.RunRequest]],
) -> None:
    ran(Cause.POLL)
    assert by_the_hour() == [plan.RunRequest(Cause.POLL)]
    ran(Cause.POLL, Status.FAILED)
    assert by_the_hour() == [plan.RunRequest(Cause.POLL)]


def test_a_night_that_lies_ahead_does_not_count(settings: LazySettings) -> None:
    settings.SYNC_POLL_SECONDS = 0
    settings.SYNC_NIGHTLY_AT = timezone.localtime(database_now()).time()
    ran(Cause.NIGHTLY)
    assert [one.cause for one in plan.due()] == [Cause.NIGHTLY]


def test_people_are_told_again(settings: LazySettings) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]
    alerts.alert("key", verbatim("subject"), verbatim("text"))
    later = ahead() + 24 * HOUR * 365
    Alert.objects.update(mailed_at=later, sent={"ALERT_EMAILS": later.timestamp()})
    alerts.alert("key", verbatim("subject"), verbatim("text"))
    assert len(mail.outbox) == 2
    mailed_at = Alert.objects.get().mailed_at
    assert mailed_at is not None
    assert mailed_at <= database_now()
