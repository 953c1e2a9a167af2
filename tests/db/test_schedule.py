"""What is due, and when: nightly runs, their slices, polls. The database decides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import OperationalError, connection
from django.db.models import F
from django.utils import timezone
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout
from pika.exceptions import StreamLostError

from bc_consumer.core.local_time import last_moment
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import BC, Alert, PendingBC, SyncLog, SyncState
from bc_consumer.reconciliation.lock import Lock
from bc_consumer.reconciliation.run import reconcile, reconcile_slice
from bc_consumer.reconciliation.schedule import RunRequest, due
from bc_consumer.workers import actors, due_runs
from odoo_simulator import Simulator
from tests.db.copied import pending

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause
PARIS = ZoneInfo("Europe/Paris")
NIGHTLY = RunRequest(Cause.NIGHTLY)
SCAN = RunRequest(Cause.POLL, asked_for=True)


def ago(**length: float) -> datetime:
    return database_now() - timedelta(**length)


def ended(cause: SyncLog.Cause, status: SyncLog.Status, **values: Any) -> SyncLog:
    """Return a run that began and ended a moment ago, unless values differ."""
    defaults = {
        "started_at": ago(seconds=1),
        "ended_at": ago(seconds=1),
        "phase": SyncLog.Phase.DONE,
    }
    return SyncLog.objects.create(cause=cause, status=status, **{**defaults, **values})


@pytest.fixture
def nightly_just_became_due(settings: LazySettings) -> None:
    local = timezone.localtime(ago(minutes=5))
    settings.SYNC_NIGHTLY_AT = local.time()


# --- the nightly run ----------------------------------------------------------------------------


def test_it_is_due_until_one_went_well_since_its_time(
    nightly_just_became_due: None, settings: LazySettings
) -> None:
    assert due() == [NIGHTLY]
    yesterday_s = ended(Cause.NIGHTLY, Status.OK, started_at=ago(hours=24))
    assert due() == [NIGHTLY]
    ended(Cause.COMMAND, Status.OK)
    assert due() == [NIGHTLY]
    yesterday_s.started_at = ago(seconds=30)
    yesterday_s.save()
    assert due() == []
    settings.SYNC_NIGHTLY_AT = None
    SyncLog.objects.all().delete()
    assert due() == []


def test_a_missed_night_is_caught_up(settings: LazySettings) -> None:
    # Its time was 23 hours ago, when nothing ran; the latest good run is two days old.
    settings.SYNC_NIGHTLY_AT = timezone.localtime(ago(hours=23)).time()
    ended(Cause.NIGHTLY, Status.OK, started_at=ago(hours=47), ended_at=ago(hours=46))
    assert due() == [NIGHTLY]


@pytest.mark.parametrize(
    ("status", "minutes"),
    [(Status.FAILED, 15), (Status.BRAKED, 60), (Status.REFUSED, 60)],
)
def test_what_did_not_go_well_is_tried_again_later(
    status: SyncLog.Status, minutes: int, nightly_just_became_due: None
) -> None:
    run = ended(Cause.NIGHTLY, status, ended_at=ago(minutes=minutes - 1))
    assert due() == []
    run.ended_at = ago(minutes=minutes + 1)
    run.save()
    assert due() == [NIGHTLY]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        # 02:30 does not exist that night: the moment at which it would have been.
        (datetime(2026, 3, 29, 12, tzinfo=PARIS), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        (datetime(2026, 3, 29, 1, 59, tzinfo=PARIS), datetime(2026, 3, 28, 1, 30, tzinfo=UTC)),
        # It comes twice that night: the first time is meant, and once is enough.
        (datetime(2026, 10, 25, 12, tzinfo=PARIS), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (datetime(2026, 10, 25, 1, 31, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (datetime(2026, 7, 1, 2, 30, tzinfo=PARIS), datetime(2026, 7, 1, 0, 30, tzinfo=UTC)),
        (datetime(2026, 7, 1, 2, 29, tzinfo=PARIS), datetime(2026, 6, 30, 0, 30, tzinfo=UTC)),
    ],
)
def test_its_time_is_the_project_s_also_when_the_clocks_change(
    now: datetime, expected: datetime, settings: LazySettings
) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    assert last_moment(now, time(2, 30)) == expected


def test_messages_that_came_too_often_begin_one_run(
    simulator: Simulator, nightly_just_became_due: None
) -> None:
    simulator.bulk_create(5, 1, spread_days=10)
    for _ in range(3):
        actors.reconcile_nightly.fn(None)
    assert list(SyncLog.objects.values_list("status", flat=True)) == [Status.OK]
    assert not SyncState.objects.get().is_syncing


def test_a_message_without_run_goes_on_with_the_one_that_is_left(
    simulator: Simulator, nightly_just_became_due: None
) -> None:
    left = SyncLog.objects.create(started_at=ago(minutes=1), cause=Cause.NIGHTLY, phase="drain")
    assert reconcile_slice(None) is None
    run = SyncLog.objects.get()
    assert (run.pk, run.status) == (left.pk, Status.OK)


def test_a_message_for_a_run_that_is_over_does_nothing(nightly_just_became_due: None) -> None:
    over = ended(Cause.NIGHTLY, Status.FAILED)
    assert reconcile_slice(over.pk) is None
    assert SyncLog.objects.count() == 1
    assert not SyncState.objects.get().is_syncing


# --- slices -------------------------------------------------------------------------------------


def test_a_next_slice_whose_message_was_lost_is_sent_again() -> None:
    run = SyncLog.objects.create(started_at=ago(minutes=1), cause=Cause.NIGHTLY, phase="orders")
    lock = Lock()
    assert lock.take()
    assert due() == []  # a slice is at work
    lock.hand_over(run.pk)
    assert due() == []  # its message is on its way
    SyncState.objects.update(lease_until=F("lease_until") - timedelta(minutes=2))
    assert due() == [RunRequest(Cause.NIGHTLY, unfinished=run.pk)]
    assert SyncState.objects.get().owner == SyncState.owner_between_slices(run.pk)


def test_a_run_whose_slice_was_killed_goes_on_when_its_lease_is_over() -> None:
    run = SyncLog.objects.create(started_at=ago(minutes=1), cause=Cause.NIGHTLY, phase="orders")
    lock = Lock()
    assert lock.take()
    assert due() == []
    SyncState.objects.update(lease_until=ago(seconds=1))
    assert due() == [RunRequest(Cause.NIGHTLY, unfinished=run.pk)]
    lock.give_back()


class Sent:
    """Stands for the queue: nobody reads it."""

    def __init__(self) -> None:
        self.messages: list[int | None] = []

    def send(self, run: int | None) -> None:
        self.messages.append(run)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent()
    monkeypatch.setattr(due_runs, "reconcile_nightly", sent)
    return sent


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The ticker's clock: one moment, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(
        "bc_consumer.workers.due_runs.time", SimpleNamespace(monotonic=lambda: now[0])
    )
    return now


@pytest.mark.slow("plays several whole runs")
def test_what_no_worker_takes_up_the_scheduler_does_itself(
    queue: Sent, clock: list[float], simulator: Simulator, settings: LazySettings,
    nightly_just_became_due: None,
) -> None:  # fmt: skip
    settings.SYNC_PAGE_SIZE, settings.SYNC_SLICE_SECONDS = 10, 0.001
    simulator.bulk_create(30, 1, spread_days=10)
    ticking = due_runs.Ticker()
    for _ in range(300):
        ticking.tick()
        clock[0] += 1
    assert queue.messages == [None] * 5
    assert not SyncLog.objects.exists()
    clock[0] += 1
    ticking.tick()
    assert list(SyncLog.objects.values_list("status", "bc_count")) == [(Status.OK, 30)]
    ticking.tick()
    assert SyncLog.objects.count() == 1


def test_a_run_that_is_to_be_gone_on_with_waits_for_a_worker_first(
    queue: Sent, clock: list[float], simulator: Simulator, nightly_just_became_due: None
) -> None:
    ticking = due_runs.Ticker()
    ticking.tick()
    clock[0] += 299
    run = SyncLog.objects.create(started_at=ago(minutes=1), cause=Cause.NIGHTLY, phase="drain")
    ticking.tick()
    clock[0] += 299
    ticking.tick()
    assert queue.messages == [None, run.pk, run.pk]
    clock[0] += 2
    ticking.tick()
    assert SyncLog.objects.get().status == Status.OK


@pytest.mark.slow("plays whole runs")
@pytest.mark.parametrize("error", [StreamLostError("gone"), AMQPConnectorStackTimeout("-")])
def test_without_rabbitmq_the_scheduler_does_it_itself_at_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, simulator: Simulator,
    settings: LazySettings, nightly_just_became_due: None,
) -> None:  # fmt: skip
    settings.SYNC_PAGE_SIZE, settings.SYNC_SLICE_SECONDS = 10, 0.001
    simulator.bulk_create(30, 1, spread_days=10)
    monkeypatch.setattr(actors.reconcile_nightly, "send", failing(error))
    due_runs.Ticker().tick()
    assert list(SyncLog.objects.values_list("status", "bc_count")) == [(Status.OK, 30)]


@pytest.mark.slow("plays whole runs")
def test_a_slice_that_cannot_send_the_next_one_leaves_it_to_the_scheduler(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator, settings: LazySettings,
    nightly_just_became_due: None,
) -> None:  # fmt: skip
    settings.SYNC_PAGE_SIZE, settings.SYNC_SLICE_SECONDS = 10, 0.001
    simulator.bulk_create(30, 1, spread_days=10)
    error = AMQPConnectorStackTimeout("-")
    monkeypatch.setattr(actors.reconcile_nightly, "send", failing(error))
    actors.reconcile_nightly()  # raises nothing: its message is not kept aside
    run = SyncLog.objects.get()
    assert run.status == Status.RUNNING
    assert SyncState.objects.get().owner == SyncState.owner_between_slices(run.pk)
    assert not Lock().take()  # nobody else may begin meanwhile
    due_runs.Ticker().tick()  # at once: no message is on its way
    assert SyncLog.objects.get().status == Status.OK


def test_a_slice_that_the_database_fails_keeps_no_message_aside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failure = OperationalError("server closed the connection unexpectedly")
    monkeypatch.setattr(actors, "reconcile_slice", failing(failure))
    actors.reconcile_nightly()
    assert "the scheduler will resume it: server closed the connection" in caplog.text


def test_a_slice_begins_with_a_connection_of_its_own(nightly_just_became_due: None) -> None:
    connection.ensure_connection()
    connection.connection.close()  # as after a restart of the database: Django does not know
    actors.reconcile_nightly()
    assert SyncLog.objects.get().status == Status.OK


def failing(error: Exception) -> Callable[[int | None], None]:
    def send(_run: int | None) -> None:
        raise error

    return send


def test_polls_go_on_while_the_nightly_run_waits_for_a_worker(
    queue: Sent, nightly_just_became_due: None, settings: LazySettings, simulator: Simulator
) -> None:
    settings.SYNC_POLL_SECONDS = 10
    SyncState.objects.update(last_sync=ago(hours=3))
    assert due() == [NIGHTLY, RunRequest(Cause.POLL, digest=True)]
    due_runs.Ticker().tick()
    assert queue.messages == [None]
    assert list(SyncLog.objects.values_list("cause", "status")) == [(Cause.POLL, Status.OK)]


def test_no_poll_closes_a_nightly_run_that_waits_for_its_next_slice(
    nightly_just_became_due: None, settings: LazySettings
) -> None:
    settings.SYNC_POLL_SECONDS = 10
    SyncState.objects.update(last_sync=ago(hours=3))
    run = SyncLog.objects.create(started_at=ago(minutes=1), cause=Cause.NIGHTLY, phase="orders")
    assert due() == [RunRequest(Cause.NIGHTLY, unfinished=run.pk)]


@pytest.mark.slow("plays whole runs")
@pytest.mark.parametrize("by", ["a slice", "a command"])
def test_rule_8_a_poll_gives_way_to_a_run(
    by: str, simulator: Simulator, settings: LazySettings, nightly_just_became_due: None
) -> None:
    settings.SYNC_LEASE_SECONDS = 2.0
    ids = list(simulator.bulk_create(5, 1, spread_days=10))
    reconcile(RunRequest(Cause.COMMAND))
    simulator.write_order(ids[0], partner_ref="x")
    begun, go_on = threading.Event(), threading.Event()

    def hold(model: str, method: str) -> None:
        begun.set()
        go_on.wait(0.5)

    def poll() -> None:
        reconcile(RunRequest(Cause.POLL, digest=True))
        connection.close()

    simulator.faults.between_calls(hold)
    thread = threading.Thread(target=poll)
    thread.start()
    assert begun.wait(10)
    threading.Timer(2.0, go_on.set).start()
    if by == "a slice":
        assert reconcile_slice(None) is None
    else:
        reconcile(RunRequest(Cause.COMMAND))
    thread.join()
    polled, ran = SyncLog.objects.order_by("id")[1:]
    assert (polled.cause, polled.status, polled.error) == (
        Cause.POLL, Status.PARTIAL, SyncLog.GAVE_WAY,
    )  # fmt: skip
    assert ran.status == Status.OK
    assert not PendingBC.objects.exists()


# --- polls --------------------------------------------------------------------------------------


@pytest.fixture
def polling(settings: LazySettings) -> None:
    settings.SYNC_NIGHTLY_AT = None
    settings.SYNC_POLL_SECONDS = 10
    SyncState.objects.update(last_sync=ago(hours=3))


def test_polling_begins_after_the_first_load(polling: None) -> None:
    assert due() == [RunRequest(Cause.POLL, digest=True)]
    SyncState.objects.update(last_sync=None)
    assert due() == []


def test_a_poll_comes_every_so_many_seconds_and_a_digest_every_hour(polling: None) -> None:
    first = ended(Cause.POLL, Status.OK, digest=True)
    assert due() == []
    SyncLog.objects.update(started_at=ago(seconds=11))
    assert due() == [RunRequest(Cause.POLL, digest=False)]
    SyncLog.objects.filter(pk=first.pk).update(started_at=ago(minutes=61))
    ended(Cause.POLL, Status.OK, digest=False, started_at=ago(seconds=11))
    assert due() == [RunRequest(Cause.POLL, digest=True)]
    ended(Cause.COMMAND, Status.OK, digest=True, started_at=ago(minutes=59))
    assert due() == [RunRequest(Cause.POLL, digest=False)]


def test_a_digest_that_failed_waits_and_one_that_gave_way_does_not(polling: None) -> None:
    run = ended(
        Cause.POLL, Status.BRAKED, started_at=ago(minutes=50), ended_at=ago(minutes=49),
        phase="digest of orders",
    )  # fmt: skip
    assert due() == [RunRequest(Cause.POLL, digest=False)]
    SyncLog.objects.filter(pk=run.pk).update(status=Status.FAILED)
    assert due() == [RunRequest(Cause.POLL, digest=True)]
    SyncLog.objects.filter(pk=run.pk).update(ended_at=ago(minutes=14))
    assert due() == [RunRequest(Cause.POLL, digest=False)]
    gave_way = SyncLog.GAVE_WAY
    # The second as a process of the release before stores it.
    for error in (gave_way, f"{gave_way}\x1e{gave_way.parts()}"):
        SyncLog.objects.filter(pk=run.pk).update(status=Status.PARTIAL, error=error)
        assert due() == [RunRequest(Cause.POLL, digest=True)]


def test_an_unconfirmed_event_wants_a_scan_without_poll_mode(
    polling: None, settings: LazySettings
) -> None:
    settings.SYNC_POLL_SECONDS = 0
    assert due() == []
    SyncState.request_scan()
    assert due() == [SCAN]


@pytest.mark.slow("plays whole runs")
@pytest.mark.parametrize("cause", [Cause.POLL, Cause.NIGHTLY, Cause.COMMAND])
def test_scans_go_on_until_odoo_s_longest_transaction_is_over(
    cause: SyncLog.Cause, simulator: Simulator, settings: LazySettings
) -> None:
    """Every five minutes, and last of all, one looks for what is gone, too."""
    settings.SYNC_POLL_SECONDS, settings.SYNC_NIGHTLY_AT = 0, None
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = 900
    reconcile(RunRequest(Cause.COMMAND))
    SyncLog.objects.update(started_at=ago(minutes=10))
    SyncState.request_scan()
    assert due() == [SCAN]
    reconcile(RunRequest(Cause.POLL, asked_for=True))
    assert due() == [], "every two minutes, not at each look at the clock"
    SyncLog.objects.update(started_at=ago(seconds=121))
    SyncState.objects.update(scan_due_at=ago(seconds=122))
    assert due() == [RunRequest(Cause.POLL, digest=False)]
    SyncState.objects.update(scan_due_at=ago(seconds=901))
    SyncLog.objects.update(started_at=ago(seconds=301))
    assert due() == [SCAN]
    simulator.faults.fault_all(1, "psycopg2.OperationalError: no")
    assert reconcile(RunRequest(cause)).status == Status.FAILED
    simulator.faults.clear()
    SyncLog.objects.update(started_at=ago(seconds=121))
    assert due() == [RunRequest(Cause.POLL, digest=False)]
    reconcile(RunRequest(cause, digest=False))
    assert SyncState.objects.get().scan_due_at is not None, "nobody looked for what is gone"
    SyncLog.objects.update(started_at=ago(seconds=301))
    assert due() == [SCAN]
    assert reconcile(RunRequest(cause)).status == Status.OK
    assert SyncState.objects.get().scan_due_at is None
    assert due() == []


def test_requests_that_follow_each_other_count_through_odoo_every_five_minutes_at_most(
    polling: None, settings: LazySettings
) -> None:
    settings.SYNC_POLL_SECONDS = 0
    ended(Cause.POLL, Status.OK, asked_for=True, started_at=ago(seconds=299))
    SyncState.request_scan()
    assert due() == [RunRequest(Cause.POLL, digest=False)]
    SyncLog.objects.update(started_at=ago(seconds=301))
    assert due() == [SCAN]
    # One that gave way has counted nothing.
    SyncLog.objects.update(started_at=ago(seconds=2), error=SyncLog.GAVE_WAY)
    assert due() == [SCAN]


@pytest.mark.parametrize("status", [Status.BRAKED, Status.REFUSED])
def test_a_scan_that_a_person_is_needed_for_looks_for_what_is_gone_an_hour_later(
    status: SyncLog.Status, polling: None, settings: LazySettings
) -> None:
    settings.SYNC_POLL_SECONDS = 0
    SyncState.request_scan()
    ended(Cause.POLL, status, asked_for=True, started_at=ago(minutes=59), ended_at=ago(minutes=59))
    assert due() == [RunRequest(Cause.POLL, digest=False)]
    SyncLog.objects.update(started_at=ago(minutes=61), ended_at=ago(minutes=61))
    assert due() == [SCAN]


def test_in_poll_mode_a_scan_is_no_hour_s_digest(polling: None, settings: LazySettings) -> None:
    """It leaves names and older mappings to that."""
    ended(Cause.POLL, Status.OK, started_at=ago(minutes=50))
    SyncState.request_scan()
    assert due() == [SCAN]
    ended(Cause.POLL, Status.OK, asked_for=True, started_at=ago(seconds=11))
    assert due() == [RunRequest(Cause.POLL, digest=False)]
    SyncLog.objects.filter(asked_for=False).update(started_at=ago(minutes=61))
    assert due() == [RunRequest(Cause.POLL)]


@pytest.mark.slow("plays several whole runs")
def test_a_scan_that_was_asked_for_finds_what_is_gone_and_reads_no_more_than_it_must(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = 1
    ids = list(simulator.bulk_create(40, 2, spread_days=100))
    reconcile(RunRequest(Cause.COMMAND))
    reconcile(RunRequest(Cause.POLL, digest=False))
    simulator.delete_order(ids[3])
    simulator.rename("res.partner", 3, "Renamed & Sons")
    BC.objects.update(mapping_version=0)  # as after an update of the product
    SyncState.request_scan()
    simulator.calls_clear()
    scan = reconcile(RunRequest(Cause.POLL, asked_for=True))
    assert (scan.status, scan.archived, scan.gone, scan.bc_count) == (Status.OK, 1, 1, 1)
    assert not [call for call in simulator.calls if call.model == "res.partner"]
    assert not BC.objects.filter(partner_name="Renamed & Sons").exists()
    reconcile(RunRequest(Cause.NIGHTLY))
    assert BC.objects.filter(partner_name="Renamed & Sons").exists()


@pytest.mark.slow("plays whole runs")
def test_a_scan_that_was_asked_for_holds_back_what_looks_like_a_wrong_database(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]
    settings.BRAKE_ARCHIVINGS = 5
    ids = list(simulator.bulk_create(40, 2, spread_days=100))
    reconcile(RunRequest(Cause.COMMAND))
    simulator.delete_order(ids[:20])
    SyncState.request_scan()
    assert reconcile(RunRequest(Cause.POLL, asked_for=True)).status == Status.BRAKED
    assert BC.objects.filter(archived_at__isnull=False).count() <= 5
    assert SyncState.objects.get().scan_due_at is not None
    assert [message.subject for message in mail.outbox] == ["[BC] a reconciliation was stopped"]


@pytest.mark.slow("plays whole runs")
def test_the_scan_that_ends_a_request_proves_what_came_late_under_the_same_date(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = 900
    order_id = simulator.create_order(lines=[], partner_ref="first")
    written = f"{database_now() - timedelta(minutes=1):%Y-%m-%d %H:%M:%S}"
    simulator.update_sql("purchase.order", order_id, {"write_date": written})
    reconcile(RunRequest(Cause.COMMAND))
    BC.objects.update(synced_at=F("write_date") + timedelta(seconds=8))
    SyncState.request_scan()
    reconcile(RunRequest(Cause.POLL, digest=False))
    # A second transaction of the same second, committed after that scan; its event was lost.
    simulator.update_sql("purchase.order", order_id, {"partner_ref": "second"})
    reconcile(RunRequest(Cause.POLL, digest=False))
    assert BC.objects.get().partner_ref == "first"
    scan = reconcile(RunRequest(Cause.POLL, asked_for=True))
    assert BC.objects.get().partner_ref == "second"
    asked_at = SyncState.objects.get().scan_due_at
    assert scan.window_since is not None
    assert asked_at is not None
    assert scan.window_since <= asked_at - timedelta(seconds=900)


@pytest.mark.slow("plays whole runs")
def test_a_poll_s_window_begins_at_the_poll_before(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = 60
    simulator.create_order(lines=[])
    reconcile(RunRequest(Cause.COMMAND))
    first = reconcile(RunRequest(Cause.POLL, digest=False))
    assert first.window_since is not None
    assert first.window_since < ago(hours=3)  # as the nightly run's: the overlap
    second = reconcile(RunRequest(Cause.POLL, digest=False))
    assert first.window_until is not None
    assert second.window_since == first.window_until - timedelta(seconds=60)
    digest = reconcile(RunRequest(Cause.POLL, digest=True))
    assert digest.window_since == first.window_since
    SyncState.objects.update(last_sync=database_now() + timedelta(hours=9))
    third = reconcile(RunRequest(Cause.POLL, digest=False))
    assert third.window_since is not None
    assert third.window_since > database_now()


def test_a_poll_that_did_not_end_is_not_built_upon(simulator: Simulator) -> None:
    reconcile(RunRequest(Cause.COMMAND))
    simulator.faults.fault_all(1, "psycopg2.OperationalError: no")
    assert reconcile(RunRequest(Cause.POLL, digest=False)).status == Status.FAILED
    simulator.faults.clear()
    poll = reconcile(RunRequest(Cause.POLL, digest=False))
    assert poll.window_since is not None
    assert poll.window_since < ago(hours=3)


@pytest.mark.slow("plays whole runs")
def test_polls_that_fail_are_told_once_and_not_at_the_first(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]
    reconcile(RunRequest(Cause.COMMAND))
    simulator.faults.fault_all(1, "psycopg2.OperationalError: no")
    assert reconcile(RunRequest(Cause.POLL, digest=False)).status == Status.FAILED
    assert not Alert.objects.exists()
    SyncLog.objects.update(ended_at=ago(minutes=6))
    for _ in range(3):
        reconcile(RunRequest(Cause.POLL, digest=False))
    assert [message.subject for message in mail.outbox] == ["[BC] a poll failed"]
    simulator.faults.clear()
    reconcile(RunRequest(Cause.POLL, digest=False))
    assert not Alert.objects.exists()


@pytest.mark.slow("plays whole runs")
def test_a_good_poll_takes_no_run_s_alert_back(simulator: Simulator) -> None:
    reconcile(RunRequest(Cause.COMMAND))
    for key in ("run failed", "brake"):
        Alert.objects.create(key=key, first_at=database_now(), last_at=database_now())
    assert reconcile(RunRequest(Cause.POLL, digest=False)).status == Status.OK
    assert Alert.objects.count() == 2
    assert reconcile(RunRequest(Cause.POLL, digest=True)).status == Status.OK
    assert [alert.key for alert in Alert.objects.all()] == ["run failed"]
    assert reconcile(RunRequest(Cause.NIGHTLY)).status == Status.OK
    assert not Alert.objects.exists()


def test_polls_that_found_nothing_are_purged_after_a_day(simulator: Simulator) -> None:
    for age in (1, 30):
        ended(Cause.POLL, Status.OK, ended_at=ago(hours=age))
        ended(Cause.POLL, Status.OK, ended_at=ago(hours=age), bc_count=1)
        ended(Cause.COMMAND, Status.OK, ended_at=ago(hours=age))
    reconcile(RunRequest(Cause.NIGHTLY))
    polls = SyncLog.objects.filter(cause=Cause.POLL)
    assert sorted(polls.values_list("bc_count", flat=True)) == [0, 1, 1]
    assert SyncLog.objects.count() == 6


@pytest.mark.slow("plays whole runs")
def test_a_poll_gives_no_held_order_another_try(simulator: Simulator) -> None:
    (order_id,) = simulator.bulk_create(1, 1, spread_days=10)
    reconcile(RunRequest(Cause.COMMAND))
    pending(order_id, held_reason="brake")
    reconcile(RunRequest(Cause.POLL, digest=False))
    assert PendingBC.objects.get().held_reason == "brake"
    reconcile(RunRequest(Cause.NIGHTLY))
    assert not PendingBC.objects.exists()
