"""The guard against another database's orders under our ids: every run, and every worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import (
    BC,
    Alert,
    BCLine,
    CopyOrigin,
    JournalEntry,
    PendingBC,
    SyncLog,
    SyncState,
)
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import odoo_connection, odoo_identity, refresh_now
from bc_consumer.refresh.batch import work_off
from bc_consumer.refresh.odoo_identity import AnotherDatabase
from odoo_simulator import Simulator
from tests.comparing import differences

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause
Lead = Callable[[Simulator], None]


@pytest.fixture(autouse=True)
def _mailed(settings: LazySettings) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]


@pytest.fixture
def copied(simulator: Simulator) -> list[int]:
    """Fifty orders, copied by a good run."""
    ids = list(simulator.bulk_create(50, 1, spread_days=10))
    assert run(cause=Cause.COMMAND).status == Status.OK
    return ids


@pytest.fixture
def other() -> Iterator[Simulator]:
    """Another database with orders under the same ids, the newest few of them written lately."""
    with Simulator(version=17, webhook_timing="committed") as started:
        started.bulk_create(70, 1, spread_days=300)
        for order_id in range(1, 11):
            started.write_order(order_id, partner_ref="another's")
        yield started


@pytest.fixture
def lead_to(settings: LazySettings) -> Lead:
    """Let the settings lead to this Odoo, as from the next start of every process."""

    def lead(odoo: Simulator) -> None:
        odoo_connection.odoo().close()
        settings.ODOO_URL = odoo.url
        odoo_connection.odoo.cache_clear()
        SyncLog.objects.update(started_at=F("started_at") - timedelta(hours=2))

    return lead


def run(**wish: Any) -> SyncLog:
    return reconcile(RunRequest(**{"cause": Cause.NIGHTLY, **wish}))


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def copy() -> list[tuple[Any, ...]]:
    columns = ("odoo_id", "create_date", "write_date", "partner_ref", "archived_at", "version")
    return [*BC.objects.order_by("odoo_id").values_list(*columns)]


def subjects() -> list[str]:
    return [str(message.subject) for message in mail.outbox]


POLL, SCAN = RunRequest(Cause.POLL, digest=False), RunRequest(Cause.POLL, asked_for=True)


@pytest.mark.parametrize(
    "wish",
    [
        POLL,
        SCAN,
        RunRequest(Cause.POLL),
        RunRequest(Cause.NIGHTLY),
        RunRequest(Cause.COMMAND, full=True),
    ],
    ids=["poll", "scan", "poll with digest", "nightly", "full"],
)
def test_rule_10_no_run_brings_another_database_s_orders(
    wish: RunRequest, copied: list[int], other: Simulator, lead_to: Lead
) -> None:
    before = copy()
    SyncState.request_scan()
    lead_to(other)
    done = reconcile(wish)
    assert done.status == Status.REFUSED
    assert "created at another time (20 of the 20 oldest looked at, 20 of the 20 new" in done.error
    assert copy() == before
    assert not PendingBC.objects.exists()
    assert subjects() == ["[BC] Odoo rejects our access"]


@pytest.mark.slow("plays whole runs")
def test_rule_10_after_runs_against_another_database_the_next_one_is_as_watchful(
    copied: list[int], simulator: Simulator, other: Simulator, lead_to: Lead
) -> None:
    before, sample = copy(), CopyOrigin.objects.get().sample
    lead_to(other)
    for wish in (POLL, SCAN, RunRequest(Cause.NIGHTLY)):
        assert reconcile(wish).status == Status.REFUSED
    assert (copy(), CopyOrigin.objects.get().sample) == (before, sample)
    assert subjects() == ["[BC] Odoo rejects our access"]
    lead_to(simulator)
    simulator.write_order(copied[7], partner_ref="ours")
    assert run().status == Status.OK
    assert differences(simulator, sql) == []
    assert not Alert.objects.exists()


@pytest.mark.slow("plays whole runs")
def test_rule_10_no_worker_brings_another_database_s_orders(
    copied: list[int],
    simulator: Simulator,
    other: Simulator,
    lead_to: Lead,
    settings: LazySettings,
) -> None:
    settings.ALERT_COOL_DOWN_MINUTES = 0
    before = copy()
    lead_to(other)
    named = [*copied[:8], 60]  # the last one is new to the copy
    ledger.mark(named, ledger.Mark(cause="webhook"))
    work_off()
    assert copy() == before
    row = PendingBC.objects.order_by("odoo_id")[0]
    assert (row.attempts, row.failed_at, row.claim_token) == (0, None, None)
    paused = circuit_breaker.current_outage()
    assert paused is not None
    assert paused.refused
    # The probe a minute later finds the same: it is still one alert.
    for _ in range(2):
        circuit_breaker.probe_soon()
        work_off()
    assert PendingBC.objects.count() == len(named)
    assert not JournalEntry.objects.exclude(causes="command").exists()
    assert subjects() == ["[BC] Odoo rejects our access"]

    simulator.write_order(copied[3], partner_ref="ours")
    lead_to(simulator)
    circuit_breaker.probe_soon()
    while work_off():
        PendingBC.objects.update(due_at=Now())
    assert differences(simulator, sql) == []
    assert subjects() == ["[BC] Odoo rejects our access", "[BC] Odoo accepts our access again"]


def test_rule_10_an_order_that_faults_there_is_no_failure(
    copied: list[int], other: Simulator, lead_to: Lead
) -> None:
    lead_to(other)
    other.faults.poison(copied[0])
    ledger.mark(copied[:1], ledger.Mark(cause="webhook"))
    work_off()
    assert PendingBC.objects.get().attempts == 0
    assert subjects() == ["[BC] Odoo rejects our access"]


@pytest.mark.slow("plays several whole runs")
@pytest.mark.parametrize("forced", [False, True])
def test_rule_10_nor_does_an_operator_who_names_single_orders(
    forced: bool, copied: list[int], other: Simulator, lead_to: Lead
) -> None:
    before = copy()
    lead_to(other)
    with pytest.raises(AnotherDatabase, match="sync_BcLinbc --force"):
        list(refresh_now.refresh_now(copied[:2], forced=forced))
    assert copy() == before


def replaced(simulator: Simulator, ids: list[int]) -> None:
    """As if these were other orders, made at another time, behind the same address."""
    for order_id in ids:
        values = {"create_date": "2019-01-01 00:00:00", "partner_ref": "another's"}
        simulator.update_sql("purchase.order", order_id, values)


def test_rule_10_a_database_exchanged_behind_a_running_worker_is_noticed_by_its_orders(
    copied: list[int], simulator: Simulator
) -> None:
    ledger.mark(copied[:1], ledger.Mark(cause="webhook"))
    work_off()
    before = copy()
    replaced(simulator, copied)
    simulator.calls_clear()
    ledger.mark(copied[1:9], ledger.Mark(cause="webhook"))
    work_off()
    assert copy() == before
    assert subjects() == ["[BC] Odoo rejects our access"]


@pytest.mark.slow("plays whole runs")
def test_rule_10_a_worker_asks_again_after_an_outage_and_now_and_then(
    copied: list[int], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> int:
        asking = [c for c in simulator.calls if c.method == "search_read" and c.records == 40]
        simulator.calls_clear()
        return len(asking)

    def change(order_id: int) -> int:
        ledger.mark([order_id], ledger.Mark(cause="webhook"))
        work_off()
        return asked()

    asked()
    assert [change(order_id) for order_id in copied[:3]] == [0, 0, 0], "the run's crew has asked"
    monkeypatch.setattr(odoo_identity, "ASK_AGAIN_SECONDS", -1.0)
    odoo_identity.forget()
    assert [change(order_id) for order_id in copied[:2]] == [1, 1]
    monkeypatch.undo()
    change(copied[0])
    assert change(copied[0]) == 0
    simulator.faults.fault_all(1, "psycopg2.OperationalError: no")
    change(copied[0])
    simulator.faults.clear()
    circuit_breaker.probe_soon()
    work_off()
    assert asked() == 1


def test_rule_10_oldest_and_newest_are_judged_apart(
    copied: list[int], simulator: Simulator
) -> None:
    replaced(simulator, copied[:10])  # ten of forty: half of the oldest
    assert run().status == Status.REFUSED
    assert BC.objects.filter(partner_ref="another's").count() == 0


def test_rule_10_also_when_few_of_them_are_left(
    copied: list[int], simulator: Simulator, settings: LazySettings
) -> None:
    settings.BRAKE_ARCHIVINGS = 100
    simulator.delete_order([*copied[:19], *copied[-18:]])
    replaced(simulator, [copied[19]])
    stopped = run()
    assert stopped.status == Status.REFUSED
    assert "1 of the 1 oldest looked at, 0 of the 2 newest" in stopped.error
    assert BC.objects.filter(archived_at__isnull=False).count() == 0


@pytest.mark.slow("plays whole runs")
def test_rule_10_orders_that_are_gone_tell_nothing(
    copied: list[int], simulator: Simulator, settings: LazySettings
) -> None:
    settings.BRAKE_ARCHIVINGS = 100
    simulator.delete_order([*copied[:20], *copied[-20:]])
    done = run()
    assert (done.status, done.archived) == (Status.OK, 40)
    sample = CopyOrigin.objects.get().sample
    assert sample is not None
    assert [odoo_id for odoo_id, _ in sample["oldest"]] == copied[20:30]


@pytest.fixture
def elsewhere() -> Iterator[Simulator]:
    """Another database, whose orders have other ids than ours."""
    with Simulator(version=17, webhook_timing="committed") as started:
        started.bulk_create(200, 1, spread_days=300)
        started.delete_order(range(1, 101))
        yield started


@pytest.mark.parametrize(
    "wish", [POLL, SCAN, RunRequest(Cause.NIGHTLY)], ids=["poll", "scan", "nightly"]
)
def test_rule_10_a_database_with_none_of_our_ids_is_another_one(
    wish: RunRequest, copied: list[int], elsewhere: Simulator, lead_to: Lead
) -> None:
    before = copy()
    SyncState.request_scan()
    lead_to(elsewhere)
    elsewhere.write_order(150, partner_ref="another's")
    done = reconcile(wish)
    assert done.status == Status.REFUSED
    assert "none of those that were copied" in done.error
    assert copy() == before


@pytest.mark.slow("plays several whole runs")
def test_with_force_it_is_copied_from_now_on(
    copied: list[int], elsewhere: Simulator, simulator: Simulator, lead_to: Lead
) -> None:
    lead_to(elsewhere)
    assert run(cause=Cause.COMMAND, forced=True).status == Status.OK
    assert differences(elsewhere, sql) == []
    assert run().status == Status.OK
    lead_to(simulator)
    simulator.write_order(copied[0], partner_ref="the former one's")
    assert run().status == Status.REFUSED


@pytest.mark.parametrize("wish", [POLL, RunRequest(Cause.NIGHTLY)], ids=["poll", "nightly"])
def test_rule_10_a_sample_of_no_order_does_not_switch_the_guard_off(
    wish: RunRequest, simulator: Simulator, other: Simulator, lead_to: Lead
) -> None:
    """It was fixed by the first run, on an Odoo that had no order yet."""
    assert run().status == Status.OK
    assert CopyOrigin.objects.get().sample == {"oldest": [], "newest": []}
    ids = list(simulator.bulk_create(50, 1, spread_days=10))
    ledger.mark(ids, ledger.Mark(cause="webhook"))
    work_off()
    before = copy()
    lead_to(other)
    odoo_identity.forget()
    assert reconcile(wish).status == Status.REFUSED
    ledger.mark(ids[:5], ledger.Mark(cause="webhook"))
    work_off()
    assert copy() == before


def test_an_id_given_again_after_a_backup_is_taken_over_and_its_lines_too(
    copied: list[int], simulator: Simulator
) -> None:
    replaced(simulator, copied[-3:])
    ledger.mark(copied[-3:], ledger.Mark(cause="webhook"))
    work_off()
    assert differences(simulator, sql) == []
    assert BC.objects.filter(partner_ref="another's").count() == 3
    assert not Alert.objects.exists()


@pytest.mark.slow("plays several whole runs")
def test_with_force_another_database_is_copied_from_now_on(
    copied: list[int], other: Simulator, simulator: Simulator, lead_to: Lead,
    settings: LazySettings,
) -> None:  # fmt: skip
    lead_to(other)
    assert run().status == Status.REFUSED
    assert run(cause=Cause.COMMAND, forced=True).status == Status.OK
    assert differences(other, sql) == []
    assert BCLine.objects.count() == 70
    assert not Alert.objects.exists()
    for wish in (POLL, SCAN, RunRequest(Cause.NIGHTLY)):
        assert reconcile(wish).status == Status.OK
    lead_to(simulator)
    assert run().status == Status.REFUSED


@pytest.mark.slow("plays several whole runs")
def test_the_sample_is_what_odoo_confirmed_not_what_a_hand_wrote_here(
    copied: list[int], simulator: Simulator
) -> None:
    BC.objects.filter(odoo_id=copied[0]).update(create_date=F("create_date") - timedelta(days=9))
    assert run().status == Status.OK
    sample = CopyOrigin.objects.get().sample
    assert sample is not None
    assert copied[0] not in [odoo_id for odoo_id, _ in sample["oldest"]]
    assert run(full=True).status == Status.OK
    assert differences(simulator, sql) == []


def test_an_empty_copy_asks_nothing(simulator: Simulator) -> None:
    odoo_identity.require_same_database(odoo_connection.odoo())
    assert simulator.calls == []
