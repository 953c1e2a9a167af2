"""The reconciliation against the simulator: complete, locked, watermarked, and able to prove it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.ledger import Mark, circuit_breaker
from bc_consumer.models import (
    BC,
    Alert,
    BCLine,
    JournalEntry,
    Lane,
    PendingBC,
    ProvenPeriod,
    SyncLog,
    SyncState,
)
from bc_consumer.odoo import Odoo
from bc_consumer.reconciliation import suspect_orders
from bc_consumer.reconciliation.lock import AlreadyRunning, Lock, LockLost
from bc_consumer.reconciliation.run import reconcile, reconcile_slice
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import mapping
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.conftest import proven, refresh
from tests.services.waiting import wait_until

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause
LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35, "product_id": 1},
    {"name": "Gift", "product_qty": 1, "price_unit": 0.0},
]


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def run(**wish: Any) -> SyncLog:
    return reconcile(RunRequest(**{"cause": Cause.COMMAND, **wish}))


def line_ids(odoo: Simulator, order_id: int) -> list[int]:
    order = odoo.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


def watermark() -> datetime | None:
    return SyncState.objects.get().last_sync


def make_older(simulator: Simulator, order_ids: list[int], days: float) -> None:
    """As if these orders and their lines had last been written that long ago."""
    moment = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S.%f")
    for order_id in order_ids:
        simulator.update_sql(
            "purchase.order.line", line_ids(simulator, order_id), {"write_date": moment}
        )
        simulator.update_sql("purchase.order", order_id, {"write_date": moment})


@pytest.mark.slow("plays several whole runs")
def test_a_first_load_brings_everything_and_moves_the_watermark(simulator: Simulator) -> None:
    simulator.bulk_create(300, 2, spread_days=200)
    before = datetime.now(UTC)
    done = run()
    assert done.status == Status.OK, done.error
    assert (done.bc_count, done.applied, done.line_count) == (300, 300, 600)
    assert differences(simulator, sql) == []
    assert not PendingBC.objects.exists()
    last_sync = watermark()
    assert last_sync is not None
    assert before - timedelta(seconds=3) <= last_sync <= datetime.now(UTC)
    state = SyncState.objects.get()
    assert (state.is_syncing, state.owner, state.lease_until) == (False, "", None)


@pytest.mark.slow("plays several whole runs")
def test_a_quiet_night_costs_a_handful_of_calls_and_fetches_nothing(simulator: Simulator) -> None:
    simulator.bulk_create(500, 2, spread_days=400)
    run()
    run(cause=Cause.NIGHTLY)
    simulator.calls_clear()
    quiet = run(cause=Cause.NIGHTLY)
    assert (quiet.status, quiet.applied, quiet.found_by_window, quiet.found_by_digest) == (
        Status.OK, 0, 0, 0,
    )  # fmt: skip
    assert len(simulator.calls) <= 22  # one of them asks for the languages in use
    assert [call for call in simulator.calls if call.method == "web_search_read"] == []
    assert quiet.odoo_calls >= len(simulator.calls)


@pytest.mark.slow("plays several whole runs")
def test_rule_2_what_no_webhook_told_is_found(simulator: Simulator, settings: LazySettings) -> None:
    settings.PUBLIC_URL = "https://copy.example.com"
    ids = list(simulator.bulk_create(200, 3, spread_days=300))
    run()
    simulator.write_order(ids[0], partner_ref="changed")
    simulator.write_line(line_ids(simulator, ids[1])[0], name="a line alone")
    added = simulator.create_order(lines=LINES)
    simulator.delete_order(ids[2])
    for order_id in ids[3:8]:
        simulator.delete_line(line_ids(simulator, order_id)[0])
    done = run(cause=Cause.NIGHTLY)
    assert done.status == Status.OK, done.error
    assert differences(simulator, sql) == []
    assert done.gone == done.archived == 1
    assert done.missed_by_webhooks == 9
    assert done.found_by_window >= 3
    assert BC.objects.get(odoo_id=added).lines.count() == 2


@pytest.mark.slow("plays whole runs")
def test_a_line_that_goes_without_a_trace_is_found_by_the_digest(simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(3)]
    make_older(simulator, ids, days=40)
    run()
    gift = line_ids(simulator, ids[1])[1]
    before = simulator.order(ids[1])
    simulator.delete_line(gift)
    after = simulator.order(ids[1])
    assert before is not None
    assert after is not None
    if before["write_date"] != after["write_date"]:
        make_older(simulator, ids[1:2], days=40)
        BC.objects.filter(odoo_id=ids[1]).update(
            write_date=BC.objects.get(odoo_id=ids[1]).write_date
        )
    run(cause=Cause.NIGHTLY)
    assert not BCLine.objects.filter(odoo_id=gift).exists()
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays several whole runs")
def test_changes_older_than_the_window_are_found_by_the_digest(simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(100, 2, spread_days=300))
    run()
    run(cause=Cause.NIGHTLY)
    simulator.write_order(ids[5], partner_ref="unnoticed")
    make_older(simulator, ids[5:6], days=20)
    done = run(cause=Cause.NIGHTLY)
    assert done.found_by_digest >= 1
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays several whole runs")
def test_a_day_s_one_more_and_one_less_do_not_cancel_out(simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(6)]
    make_older(simulator, ids, days=90)
    run()
    run(cause=Cause.NIGHTLY)
    assert ProvenPeriod.objects.filter(model="order").exists()
    new = simulator.create_order(lines=LINES)
    simulator.delete_order(ids[2])
    make_older(simulator, [new], days=90)
    done = run(cause=Cause.NIGHTLY)
    assert done.status == Status.OK, done.error
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays several whole runs")
def test_rule_9_thousands_of_rows_in_one_second_are_paged_without_skipping(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_PAGE_SIZE = 50
    run()
    simulator.bulk_create(333, 1, spread_days=0)
    done = run(cause=Cause.NIGHTLY, digest=False)  # which would find what the window skips
    assert done.applied == 333
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays several whole runs")
def test_rule_9_an_unproven_order_is_read_again_for_what_its_second_may_hide(
    simulator: Simulator, settings: LazySettings
) -> None:
    order_id = simulator.create_order(lines=LINES, partner_ref="first")
    run()
    order = simulator.order(order_id)
    assert order is not None
    # A second write in the same second, whose webhook was lost: the date tells nothing.
    simulator.update_sql("purchase.order", order_id, {"partner_ref": "second"})
    run(cause=Cause.NIGHTLY)
    assert BC.objects.get().partner_ref == "second"
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = 0.001
    proven(simulator)
    simulator.update_sql("purchase.order", order_id, {"partner_ref": "third"})
    assert run(cause=Cause.NIGHTLY).bc_count == 0
    assert run(full=True).applied == 1
    assert BC.objects.get().partner_ref == "third"


def test_rule_9_the_order_s_own_date_proves_it_where_there_are_no_lines(
    simulator: Simulator,
) -> None:
    order_id = simulator.create_order(lines=[], partner_ref="first")
    run()
    simulator.update_sql("purchase.order", order_id, {"partner_ref": "second"})
    run(digest=False)
    assert BC.objects.get().partner_ref == "second"


@pytest.mark.slow("plays several whole runs")
def test_rule_9_an_unproven_order_is_read_once_in_a_run_and_again_by_the_next(
    simulator: Simulator,
) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(5)]
    run()
    for cause in (Cause.COMMAND, Cause.NIGHTLY):
        done = run(cause=cause)
        assert (done.bc_count, done.reread_recent) == (5, 5), "by its own date, or by a line's"
    full = run(full=True)
    assert (full.bc_count, full.reread_recent, full.scrubbed) == (5, 5, 0)
    # Hidden by the same date, after that run's read: it is the next run's.
    simulator.update_sql("purchase.order", ids[0], {"partner_ref": "second"})
    assert run(cause=Cause.NIGHTLY).applied == 1
    assert BC.objects.get(odoo_id=ids[0]).partner_ref == "second"


def test_rule_9_only_reads_that_began_within_the_run_count_for_it(
    simulator: Simulator, odoo: Odoo
) -> None:
    simulator.create_order(lines=LINES)
    run()
    read_at = BC.objects.get().synced_at
    assert read_at is not None
    proof, since = timedelta(minutes=15), read_at - timedelta(hours=1)
    moment = timedelta(microseconds=1)
    for pages in (suspect_orders.compare_orders_page, suspect_orders.compare_lines_page):
        assert pages(odoo, since, 0, proof).suspects == {1}
        assert pages(odoo, since, 0, proof, read_since=read_at + moment).suspects == {1}
        assert pages(odoo, since, 0, proof, read_since=read_at).suspects == set()
    BC.objects.update(synced_at=Now() + timedelta(hours=1))  # the clock was set back since
    for pages in (suspect_orders.compare_orders_page, suspect_orders.compare_lines_page):
        assert pages(odoo, since, 0, proof, read_since=read_at).suspects == {1}


@pytest.mark.slow("plays whole runs")
def test_what_a_run_has_marked_before_is_neither_counted_nor_read_again(
    simulator: Simulator,
) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(3)]
    make_older(simulator, ids, days=1 / 1440)  # else both writes may share a second
    run()
    for order_id in ids:
        simulator.write_order(order_id, partner_ref="changed")
        simulator.write_line(line_ids(simulator, order_id)[0], name="changed")
    done = run(cause=Cause.NIGHTLY)
    assert (done.found_by_window, done.reread_recent, done.bc_count) == (3, 0, 3)


def test_a_run_s_beginning_is_logged_in_words(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "bc_consumer.reconciliation.run"):
        done = run()
    beginning = f"run {done.pk} (command, first load) begins: looking at orders given up before"
    assert beginning in [record.getMessage() for record in caplog.records]


@pytest.mark.slow("plays several whole runs")
def test_no_change_was_missed_by_webhooks_that_never_were(
    simulator: Simulator, settings: LazySettings
) -> None:
    """Without PUBLIC_URL, rules by hand or ``odoo_rules install --url`` may still send some."""
    settings.PUBLIC_URL = ""
    ids = list(simulator.bulk_create(3, 1, spread_days=30))
    run()
    simulator.write_order(ids[0], partner_ref="x")
    assert run(cause=Cause.NIGHTLY).missed_by_webhooks == 0
    simulator.write_order(ids[1], partner_ref="y")
    refresh(ids[1])
    simulator.write_order(ids[2], partner_ref="z")
    assert run(cause=Cause.NIGHTLY).missed_by_webhooks == 1


@pytest.mark.slow("plays whole runs")
def test_rule_9_a_commit_later_than_the_run_is_in_the_next_one(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    run()
    late = simulator.begin()
    late.write_order(order_id, partner_ref="late")
    run(cause=Cause.NIGHTLY)
    assert BC.objects.get().partner_ref == ""
    late.commit()
    run(cause=Cause.NIGHTLY)
    assert BC.objects.get().partner_ref == "late"


def test_rule_9_the_window_alone_reaches_back_to_late_commits(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    make_older(simulator, [order_id], days=40)
    run()
    # Begun hours before the run's watermark, committed after it: its date is that of its beginning.
    simulator.write_order(order_id, partner_ref="late")
    make_older(simulator, [order_id], days=0.1)
    done = run(digest=False)
    assert (done.status, done.found_by_digest) == (Status.OK, 0)
    assert BC.objects.get().partner_ref == "late"


@pytest.mark.slow("plays whole runs")
def test_rule_9_the_watermark_stays_when_odoo_is_lost_on_the_way(simulator: Simulator) -> None:
    simulator.bulk_create(50, 1, spread_days=10)
    run()
    before = watermark()
    simulator.write_order(1, partner_ref="x")
    simulator.faults.hide_method("read_group")
    simulator.faults.between_calls(lambda *_: simulator.faults.fault_all(1, "OperationalError: no"))
    failed = run(cause=Cause.NIGHTLY)
    assert failed.status == Status.FAILED
    assert failed.error
    assert watermark() == before
    assert not SyncState.objects.get().is_syncing
    assert Alert.objects.filter(key="run failed").exists()

    simulator.faults.clear()
    circuit_breaker.record_success()
    PendingBC.objects.update(due_at=Now())
    assert run(cause=Cause.NIGHTLY).status == Status.OK
    assert differences(simulator, sql) == []
    assert not Alert.objects.filter(key="run failed").exists()


@pytest.mark.slow("plays whole runs")
def test_rule_9_failed_orders_do_not_hold_the_watermark_back(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.MAX_ATTEMPTS = 1
    ids = list(simulator.bulk_create(20, 1, spread_days=10))
    simulator.faults.poison(ids[3], code=1, text="ValueError: cannot compute")
    done = run()
    assert (done.status, done.error_count, done.applied) == (Status.PARTIAL, 1, 19)
    assert f"BC {ids[3]}" in done.error
    assert watermark() == done.window_until
    simulator.faults.clear()
    assert run(cause=Cause.NIGHTLY).status == Status.OK
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays whole runs")
def test_rule_13_names_follow(simulator: Simulator) -> None:
    ids = [simulator.create_order(partner_id=2, lines=LINES) for _ in range(2)]
    make_older(simulator, ids, days=30)
    run()
    simulator.rename("res.partner", 2, "Renamed & Sons")
    done = run(cause=Cause.NIGHTLY)
    assert (done.found_by_names, done.applied, done.missed_by_webhooks) == (2, 2, 0)
    assert set(BC.objects.values_list("partner_name", flat=True)) == {"Renamed & Sons"}


@pytest.mark.slow("plays several whole runs")
def test_rule_13_a_newly_mapped_field_fills_in(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.bulk_create(30, 1, spread_days=300)
    run()
    run(cause=Cause.NIGHTLY)
    BC.objects.update(mapping_version=mapping.MAPPING_VERSION - 1, origin="?")
    done = run(cause=Cause.NIGHTLY)
    assert (done.bc_count, done.found_by_names, done.missed_by_webhooks) == (30, 0, 0)
    assert differences(simulator, sql) == []
    assert not BC.objects.filter(origin="?").exists()


@pytest.mark.slow("plays whole runs")
def test_a_merge_is_right_after_the_next_run(simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(3)]
    run()
    simulator.merge(ids[1:], ids[0])
    run(cause=Cause.NIGHTLY)
    assert differences(simulator, sql) == []
    assert BC.objects.get(odoo_id=ids[0]).lines.count() == 6


def test_rule_8_a_second_run_stops_at_once(simulator: Simulator) -> None:
    lock = Lock()
    assert lock.take()
    try:
        with pytest.raises(AlreadyRunning):
            run(cause=Cause.POLL)
        with pytest.raises(AlreadyRunning):
            run()
    finally:
        lock.give_back()
    assert run().status == Status.OK


def test_rule_8_a_holder_that_comes_back_late_cannot_move_the_watermark() -> None:
    late = Lock()
    assert late.take()
    SyncState.objects.update(lease_until=Now() - timedelta(seconds=1))
    other = Lock()
    assert other.take()
    with pytest.raises(LockLost):
        late.move_watermark(datetime.now(UTC))
    late.give_back()
    assert SyncState.objects.get().owner == other.owner
    other.give_back()
    assert watermark() is None


def test_rule_8_a_lease_is_renewed_while_its_holder_lives() -> None:
    lock = Lock(lease_seconds=3)
    assert lock.take()
    until = SyncState.objects.get().lease_until
    assert until is not None
    beyond = until + timedelta(seconds=3)  # more than one renewal gives
    wait_until(lambda: SyncState.objects.filter(lease_until__gt=beyond).exists())
    assert not Lock().take()
    lock.give_back()
    other = Lock()
    assert other.take()
    other.give_back()


def test_rule_8_what_a_killed_run_left_open_is_closed_by_the_next(simulator: Simulator) -> None:
    killed = SyncLog.objects.create(
        started_at=datetime.now(UTC), cause=Cause.COMMAND, phase="lines"
    )
    done = run()
    killed.refresh_from_db()
    assert killed.status == Status.FAILED
    assert "killed" in killed.error
    assert killed.ended_at is not None
    assert done.status == Status.OK


def test_rule_8_between_slices_the_run_itself_holds_the_lock(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_SLICE_SECONDS = 0.0001
    settings.SYNC_PAGE_SIZE = 20
    simulator.bulk_create(60, 1, spread_days=10)
    run_id = reconcile_slice(None)
    assert run_id is not None
    with pytest.raises(AlreadyRunning):
        run(cause=Cause.POLL)
    settings.SYNC_SLICE_SECONDS = 0.5
    slices = 1
    while run_id is not None:
        run_id = reconcile_slice(run_id)
        slices += 1
        assert slices < 50
    assert slices > 1
    done = SyncLog.objects.get()
    assert (done.status, done.cause, done.bc_count) == (Status.OK, Cause.NIGHTLY, 60)
    assert not SyncState.objects.get().is_syncing
    assert differences(simulator, sql) == []


@pytest.mark.parametrize("overtaken", ["while it goes on", "when it has ended"])
def test_rule_8_a_slice_that_comes_back_late_leaves_the_run_to_its_successor(
    overtaken: str, simulator: Simulator, settings: LazySettings
) -> None:
    """As if its process had been stopped for longer than its lease."""
    settings.SYNC_PAGE_SIZE, settings.ALERT_EMAILS = 5, ["ops@example.com"]
    simulator.bulk_create(20, 1, spread_days=10)
    successor = Lock()
    once = threading.Lock()  # workers' calls come at the same time

    def overtake(model: str, method: str) -> None:
        started = SyncLog.objects.filter(phase="orders", cursor__gt=0).first()
        if started is not None and once.acquire(blocking=False):
            simulator.faults.between_calls(None)
            SyncState.objects.update(lease_until=Now() - timedelta(seconds=1))
            assert successor.take(started.pk)
            if overtaken == "when it has ended":
                SyncLog.objects.update(status=Status.OK, ended_at=Now())
        connection.close()

    simulator.faults.between_calls(overtake)
    with pytest.raises(AlreadyRunning):
        reconcile_slice(None)
    successor.give_back()
    wanted = Status.OK if overtaken == "when it has ended" else Status.RUNNING
    assert SyncLog.objects.get().status == wanted
    assert watermark() is None
    assert mail.outbox == []


@pytest.mark.slow("plays whole runs")
def test_an_interrupted_first_load_goes_on_where_it_was(
    simulator: Simulator, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SYNC_PAGE_SIZE = 20
    simulator.bulk_create(100, 1, spread_days=10)
    begun = SyncLog.objects.create(
        started_at=datetime.now(UTC), cause=Cause.COMMAND, phase="orders", cursor=60,
        window_until=datetime(2026, 1, 1, tzinfo=UTC), status=Status.FAILED,
    )  # fmt: skip
    ledger.mark(range(1, 61), Mark(cause="command", lane=Lane.BULK))
    done = run()
    assert done.status == Status.OK, done.error
    assert f"continues run {begun.pk}" in done.notes
    assert done.bc_count == 40
    # As of the beginning of the first attempt: what changed since then is the next run's.
    assert watermark() == datetime(2026, 1, 1, tzinfo=UTC)
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays whole runs")
def test_rule_10_an_empty_database_does_not_empty_the_copy(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]
    simulator.bulk_create(40, 1, spread_days=10)
    run()
    simulator.faults.empty()
    stopped = run(cause=Cause.NIGHTLY)
    assert stopped.status == Status.BRAKED, stopped.error
    again = run(cause=Cause.NIGHTLY)
    assert again.status == Status.BRAKED
    assert BC.objects.current().count() == 40
    assert len(mail.outbox) == 1
    assert "no order at all" in mail.outbox[0].body


@pytest.mark.slow("plays several whole runs")
def test_rule_10_nor_webhook_by_webhook(simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(40, 1, spread_days=10))
    run()
    simulator.faults.empty()
    for odoo_id in ids:
        refresh(odoo_id)
    assert BC.objects.current().count() == 40
    assert PendingBC.objects.exclude(held_reason="").count() == 40
    assert Alert.objects.get(key="brake").count > 1
    assert JournalEntry.objects.filter(outcome="held").count() == 40
    simulator.faults.clear()
    assert run(cause=Cause.NIGHTLY).status == Status.OK
    assert not PendingBC.objects.exists()


@pytest.mark.slow("plays whole runs")
def test_rule_10_the_brake_counts_and_force_overrides_it(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.BRAKE_ARCHIVINGS = 5
    ids = list(simulator.bulk_create(40, 1, spread_days=10))
    run()
    simulator.delete_order(ids[:10])
    stopped = run(cause=Cause.NIGHTLY)
    assert stopped.status == Status.BRAKED
    assert BC.objects.current().count() == 40
    forced = run(forced=True)
    assert forced.status == Status.OK, forced.error
    assert BC.objects.current().count() == 30
    assert differences(simulator, sql) == []


def test_an_account_that_may_no_longer_read_orders_archives_nothing(simulator: Simulator) -> None:
    simulator.bulk_create(30, 1, spread_days=10)
    run()
    before = watermark()
    simulator.faults.deny_model("purchase.order")
    refused = run(cause=Cause.NIGHTLY)
    assert refused.status in {Status.REFUSED, Status.FAILED}
    assert BC.objects.current().count() == 30
    assert watermark() == before


@pytest.mark.slow("plays whole runs")
def test_an_odoo_that_cannot_group_is_read_id_by_id_and_the_run_says_so(
    simulator: Simulator,
) -> None:
    ids = list(simulator.bulk_create(30, 1, spread_days=100))
    run()
    simulator.faults.hide_method("read_group")
    simulator.delete_order(ids[4])
    done = run(cause=Cause.NIGHTLY)
    assert done.status == Status.OK, done.error
    assert "cannot group" in done.notes
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays whole runs")
def test_missed_webhooks_are_told_by_mail(simulator: Simulator, settings: LazySettings) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]
    settings.ALERT_MISSED, settings.PUBLIC_URL = 3, "https://copy.example.com"
    run()
    for _ in range(5):
        simulator.create_order(lines=LINES)
    done = run(cause=Cause.NIGHTLY)
    assert done.missed_by_webhooks == 5
    assert [message.subject for message in mail.outbox] == ["[BC] 5 orders were missed by webhooks"]


@pytest.mark.slow("plays several whole runs")
def test_forbidden_orders_are_marked_as_such_and_not_archived(simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(30, 1, spread_days=100))
    run()
    simulator.faults.forbid(ids[:3])
    done = run(cause=Cause.NIGHTLY)
    assert BC.objects.filter(forbidden_at__isnull=False).count() == 3
    assert done.archived == 0
    quiet = run(cause=Cause.NIGHTLY)
    assert (quiet.applied, quiet.archived) == (0, 0)
    simulator.faults.clear()
    run(cause=Cause.NIGHTLY)
    assert BC.objects.current().count() == 30


@pytest.mark.slow("plays several whole runs")
def test_orders_keep_changing_during_a_run(simulator: Simulator, odoo: Odoo) -> None:
    ids = list(simulator.bulk_create(200, 2, spread_days=30))
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.wait(0.01):
            number += 1
            simulator.write_order(ids[number % 200], partner_ref=str(number))

    changer = threading.Thread(target=change)
    changer.start()
    try:
        assert run().status == Status.OK
        assert run(cause=Cause.NIGHTLY).status == Status.OK
    finally:
        stop.set()
        changer.join()
    assert run(cause=Cause.NIGHTLY).status == Status.OK
    assert differences(simulator, sql) == []
