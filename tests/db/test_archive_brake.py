"""The brake on archivings: what it counts, what it holds, and what its alert tells."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from bc_consumer import ledger
from bc_consumer.ledger import Mark
from bc_consumer.models import BC, Alert, Event, JournalEntry, Lane, PendingBC, SyncLog
from bc_consumer.odoo.listing import Listing
from bc_consumer.reconciliation import run_findings
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.run_findings import Findings
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import archive_brake
from bc_consumer.refresh.batch import work_off
from bc_consumer.refresh.odoo_connection import odoo
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import ON_SQLITE
from tests.db.conftest import refresh
from tests.services.waiting import wait_until

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause
GOING = Mark(cause="webhook", event=Event.DELETED)
ALLOWED = 20
"""As BRAKE_ARCHIVINGS by default; the share of 2 % is less in all of these copies."""


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def run(**wish: Any) -> SyncLog:
    return reconcile(RunRequest(**{"cause": Cause.NIGHTLY, **wish}))


@pytest.fixture
def ids(simulator: Simulator) -> list[int]:
    """A copy of 80 orders."""
    made = list(simulator.bulk_create(80, 1, spread_days=10))
    run()
    return made


def held() -> list[int]:
    rows = PendingBC.objects.exclude(held_reason="").order_by("odoo_id")
    return list(rows.values_list("odoo_id", flat=True))


def archived() -> int:
    return BC.objects.filter(archived_at__isnull=False).count()


def delete(simulator: Simulator, odoo_ids: Iterable[int]) -> None:
    """Users delete these orders, each by itself, and each tells by its own webhook."""
    for odoo_id in odoo_ids:
        simulator.delete_order(odoo_id)
        ledger.mark([odoo_id], GOING)


# --- what is no matter for the brake --------------------------------------------------------------


@pytest.mark.slow("plays whole runs")
def test_orders_deleted_each_with_its_own_webhook_are_never_held(
    simulator: Simulator, ids: list[int], settings: LazySettings
) -> None:
    settings.BATCH_SIZE = 4
    delete(simulator, ids[:30])

    def work() -> None:
        try:
            while work_off():
                pass
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(1 if ON_SQLITE else 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert (held(), archived()) == ([], 30)
    assert not Alert.objects.exists()
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays whole runs")
def test_nor_do_they_count_for_others(simulator: Simulator, ids: list[int]) -> None:
    delete(simulator, ids[:30])
    refresh()
    simulator.delete_order(ids[30 : 30 + ALLOWED])
    done = run()
    assert (done.status, archived()) == (Status.OK, 30 + ALLOWED), done.error


def test_an_announced_deletion_of_which_odoo_says_outside_the_domain_is_its_matter(
    simulator: Simulator, ids: list[int], settings: LazySettings, odoo: Any
) -> None:
    settings.ODOO_DOMAIN = [["id", "=", ids[-1]]]
    from bc_consumer.refresh import odoo_connection

    odoo_connection.odoo.cache_clear()
    refresh(*ids[:30], mark=GOING)
    assert (len(held()), archived()) == (30, 0)


@pytest.mark.slow("plays whole runs")
def test_a_run_does_not_stop_at_deletions_whose_webhooks_are_still_waiting(
    simulator: Simulator, ids: list[int]
) -> None:
    delete(simulator, ids[:30])
    PendingBC.objects.update(due_at=Now() + timedelta(hours=1))
    done = run()
    assert (done.status, archived()) == (Status.OK, 30), done.error


@pytest.mark.slow("plays several whole runs")
def test_what_an_operator_forced_is_not_counted(simulator: Simulator, ids: list[int]) -> None:
    simulator.delete_order(ids[:44])
    assert run().status == Status.BRAKED
    assert run(cause=Cause.COMMAND, forced=True).status == Status.OK
    assert archived() == 44
    simulator.delete_order(ids[44])
    done = run()
    assert (done.status, held(), archived()) == (Status.OK, [], 45), done.error
    assert not Alert.objects.exists()


@pytest.mark.slow("plays whole runs")
def test_what_is_forced_while_it_is_being_looked_at_is_not_held(
    simulator: Simulator, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.delete_order(ids[:30])
    hold = ledger.hold

    def forced_before(*arguments: Any) -> Any:
        monkeypatch.setattr(ledger, "hold", hold)
        ledger.mark(ids[:30], Mark(cause=ledger.FORCE, lane=Lane.OPERATOR))
        return hold(*arguments)

    monkeypatch.setattr(ledger, "hold", forced_before)
    refresh(*ids[:30])
    assert (held(), archived()) == ([], 30)
    assert not JournalEntry.objects.filter(outcome="held").exists()


@pytest.mark.slow("plays whole runs")
def test_its_own_webhook_lets_a_held_order_go(simulator: Simulator, ids: list[int]) -> None:
    """After the commit, as 19 sends it: another event's look may have come first."""
    simulator.delete_order(ids[:30])
    refresh(*ids[:30])
    assert held() == ids[:30]
    refresh(*ids[:29], mark=GOING)
    assert (held(), archived()) == (ids[29:30], 29)


@pytest.mark.slow("plays whole runs")
def test_a_deletion_told_of_after_it_was_found_no_longer_counts(
    simulator: Simulator, ids: list[int]
) -> None:
    """A scan may overtake the fallback queue, or a webhook that Odoo 19 sends after its commit."""
    simulator.delete_order(ids[:ALLOWED])
    refresh(*ids[:ALLOWED], mark=Mark(cause="scan", lane=Lane.BULK))
    assert archive_brake.archived_lately() == ALLOWED
    refresh(*ids[:ALLOWED], mark=GOING)
    assert archive_brake.archived_lately() == 0
    entries = JournalEntry.objects.filter(odoo_id=ids[0]).values_list("outcome", "version")
    assert [outcome for outcome, _version in entries][:2] == ["confirmed", "archived"]
    assert entries[0][1] is None, "nothing of the order has changed"
    simulator.delete_order(ids[ALLOWED : ALLOWED + 1])
    refresh(ids[ALLOWED])
    assert (held(), archived()) == ([], ALLOWED + 1)


@pytest.mark.slow("plays whole runs")
def test_what_was_archived_before_the_clock_was_set_back_does_not_count(
    simulator: Simulator, ids: list[int]
) -> None:
    simulator.delete_order(ids[:ALLOWED])
    refresh(*ids[:ALLOWED])
    BC.objects.filter(archived_at__isnull=False).update(archived_at=Now() + timedelta(days=1))
    simulator.delete_order(ids[ALLOWED : ALLOWED + 1])
    refresh(ids[ALLOWED])
    assert (held(), archived()) == ([], ALLOWED + 1)


@pytest.mark.slow("plays whole runs")
def test_a_change_has_a_held_order_looked_at_again(
    simulator: Simulator, ids: list[int], settings: LazySettings
) -> None:
    """What was held while the settings led to another database is there after all."""
    settings.ODOO_DOMAIN = [["id", "=", ids[-1]]]
    from bc_consumer.refresh import odoo_connection

    odoo_connection.odoo.cache_clear()
    refresh(*ids[:30])
    assert held() == ids[:30]
    settings.ODOO_DOMAIN = []
    odoo_connection.odoo.cache_clear()
    simulator.write_order(ids[0], partner_ref="new")
    refresh(ids[0], mark=Mark(cause="operator", lane=Lane.OPERATOR))
    assert held() == ids[:30], "an operator's decision is --force"
    refresh(ids[0])
    assert held() == ids[1:30]
    assert BC.objects.get(odoo_id=ids[0]).partner_ref == "new"


@pytest.mark.slow("plays whole runs")
def test_one_that_is_still_gone_is_held_again_since_the_first_time(
    simulator: Simulator, ids: list[int]
) -> None:
    simulator.delete_order(ids[:30])
    refresh(*ids[:30])
    since = PendingBC.objects.get(pk=ids[0]).held_at
    refresh(ids[0])
    assert (held(), archived()) == (ids[:30], 0)
    assert PendingBC.objects.get(pk=ids[0]).held_at == since


@pytest.mark.slow("plays whole runs")
def test_a_run_waits_a_moment_for_the_webhooks_of_what_is_gone(
    simulator: Simulator, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.delete_order(ids[:30])
    asked = Listing.any_order

    def webhooks_come(listing: Listing) -> bool:
        ledger.mark(ids[:30], GOING)
        return asked(listing)

    monkeypatch.setattr(Listing, "any_order", webhooks_come)
    monkeypatch.setattr(run_findings, "WEBHOOK_SECONDS", 60.0)
    done = run()
    assert (done.status, archived()) == (Status.OK, 30), done.error


# --- what is --------------------------------------------------------------------------------------


@pytest.mark.slow("plays several whole runs")
def test_another_database_in_which_all_are_gone_archives_no_more_than_allowed(
    simulator: Simulator, ids: list[int], settings: LazySettings
) -> None:
    settings.BATCH_SIZE = 6
    simulator.delete_order(ids)
    simulator.create_order(lines=[])
    refresh(*ids)
    assert (archived(), len(held())) == (18, 62), "three batches of six"
    assert run().status == Status.REFUSED, "none of the others is there either"
    assert archived() == 18


@pytest.mark.skipif(ON_SQLITE, reason="SQLite has one writer at a time")
def test_batches_that_are_applied_at_the_same_time_count_together(
    simulator: Simulator, ids: list[int], settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BATCH_SIZE = 15
    simulator.delete_order(ids[:30])
    ledger.mark(ids[:30], Mark(cause="webhook"))
    settle, first_is_in = ledger.settle, threading.Event()

    def slow_settle(*arguments: Any) -> None:
        settle(*arguments)
        monkeypatch.setattr(ledger, "settle", settle)
        first_is_in.set()
        wait_until(second_waits, what="the other batch to wait for this one's commit")

    def second_waits() -> bool:
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        return bool(sql(waits)[0][0]) or not second.is_alive()

    def work() -> None:
        try:
            work_off()
        finally:
            connection.close()

    monkeypatch.setattr(ledger, "settle", slow_settle)
    first, second = threading.Thread(target=work), threading.Thread(target=work)
    first.start()
    assert first_is_in.wait(60)
    second.start()
    for worker in (first, second):
        worker.join(60)
    assert (archived(), len(held())) == (15, 15)


@pytest.mark.skipif(ON_SQLITE, reason="SQLite has one writer at a time")
def test_ordinary_work_takes_no_lock_of_the_brake(
    simulator: Simulator, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither do deletions that were announced."""
    delete(simulator, ids[:5])
    simulator.write_order(ids[5:10], partner_ref="new")
    ledger.mark(ids[5:10], Mark(cause="webhook"))
    asked: list[object] = []
    monkeypatch.setattr(archive_brake, "hold_if_too_many", lambda *given: asked.append(given))
    assert work_off() == 10
    assert asked == []
    assert archived() == 5


@pytest.mark.slow("plays whole runs")
def test_an_order_that_is_archived_while_the_run_asks_is_counted_once(
    simulator: Simulator, ids: list[int], settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gone, or as archived lately: a run's own threads archive while it looks for more."""
    settings.BRAKE_ARCHIVINGS, settings.BRAKE_SHARE = 2, 0.0
    simulator.delete_order(ids[:2])
    any_order = Listing.any_order

    def meanwhile(listing: Listing) -> bool:
        monkeypatch.setattr(Listing, "any_order", any_order)
        refresh(ids[0])
        assert archived() == 1
        return any_order(listing)

    findings = Findings(SyncLog.objects.latest("pk"), odoo())
    monkeypatch.setattr(Listing, "any_order", meanwhile)
    findings.check_brake(set(ids[:2]))
    assert findings.unarchived() == 1


# --- its alert ------------------------------------------------------------------------------------


def alert() -> Alert:
    return Alert.objects.get(key="brake")


@pytest.mark.slow("plays whole runs")
def test_its_alert_tells_what_is_held_now(
    simulator: Simulator, ids: list[int], settings: LazySettings
) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]
    simulator.delete_order(ids[:50])
    refresh(*ids[:25])
    assert "25 orders have been on hold" in alert().text
    assert f"BC {ids[0]}, {ids[1]}, " in alert().text
    since = PendingBC.objects.order_by("held_at")[0].held_at
    assert since is not None
    assert f"since {since:%Y-%m-%d %H:%M}" in alert().text
    refresh(*ids[25:50])
    assert "50 orders have been on hold" in alert().text, "more came"
    ledger.release_held(forced=True, odoo_ids=ids[:49])
    refresh()
    assert "1 order has been on hold" in alert().text, "some were let go"
    assert f"BC {ids[49]}" in alert().text
    ledger.release_held(forced=True)
    refresh()
    assert not Alert.objects.exists(), "none is held any more"
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    ("subject", "over"),
    [
        ("archivings held back", True),  # as the release before worded it
        (f"{archive_brake.STOPPED}", False),
        (f"{archive_brake.STOPPED}\x1e{archive_brake.STOPPED.parts()}", False),  # and stored it
    ],
)
def test_its_alert_is_known_whoever_worded_or_stored_it(
    single_rows: None, subject: str, over: bool
) -> None:
    now = timezone.now()
    Alert.objects.create(key="brake", subject=subject, text="", first_at=now, last_at=now)
    archive_brake.update_alert(more=False)
    assert Alert.objects.exists() is not over


@pytest.mark.slow("plays whole runs")
def test_since_when_outlasts_the_nights_that_look_again(
    simulator: Simulator, ids: list[int], settings: LazySettings
) -> None:
    settings.BRAKE_ARCHIVINGS, settings.BRAKE_SHARE = 2, 0.0
    simulator.delete_order(ids[:10])
    refresh(*ids[:10])
    PendingBC.objects.update(held_at=F("held_at") - timedelta(days=3))
    before = set(PendingBC.objects.values_list("odoo_id", "held_at"))
    assert run().status == Status.BRAKED
    assert set(PendingBC.objects.values_list("odoo_id", "held_at")) == before
    assert "10 orders have been on hold" in alert().text


@pytest.mark.slow("plays whole runs")
def test_an_order_that_is_there_after_all_is_let_go_by_the_next_run_and_told(
    simulator: Simulator, ids: list[int]
) -> None:
    simulator.faults.empty()
    refresh(*ids[:3])
    assert "3 orders have been on hold" in alert().text
    simulator.faults.clear()
    assert run().status == Status.OK
    assert not PendingBC.objects.exists()
    assert not Alert.objects.exists()
