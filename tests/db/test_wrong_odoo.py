"""An Odoo that is not the one we copied, or shows us less of it: nothing is lost by that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection
from django.db.models import F

from bc_consumer.models import BC, Alert, BCLine, CopyOrigin, PendingBC, SyncLog, SyncState
from bc_consumer.odoo import Odoo
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.conftest import refresh

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause


@pytest.fixture(autouse=True)
def _mailed(settings: LazySettings) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]


def run(**wish: Any) -> SyncLog:
    return reconcile(RunRequest(**{"cause": Cause.NIGHTLY, **wish}))


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def subjects() -> list[str]:
    return [str(message.subject) for message in mail.outbox]


@pytest.mark.slow("plays several whole runs")
def test_rule_10_one_mail_for_run_and_webhooks_of_an_empty_database(simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(60, 1, spread_days=10))
    run()
    simulator.faults.empty()
    refresh(*ids[:25])
    assert run().status == Status.BRAKED
    refresh(*ids[25:50])
    assert run(digest=False, cause=Cause.POLL).status == Status.OK
    assert run(cause=Cause.POLL).status == Status.BRAKED
    assert run(full=True).status == Status.BRAKED
    assert BC.objects.current().count() == 60
    assert BCLine.objects.count() == 60
    assert subjects() == ["[BC] archiving on hold"]


def test_rule_10_a_single_webhook_of_an_empty_database_archives_nothing(
    simulator: Simulator,
) -> None:
    """Far below the allowed number: that Odoo has no order at all decides."""
    ids = list(simulator.bulk_create(3, 1, spread_days=10))
    run()
    simulator.faults.empty()
    refresh(ids[0])
    assert BC.objects.current().count() == 3


@pytest.fixture
def copied_from_another(simulator: Simulator) -> list[int]:
    """A copy of orders with the simulator's ids that were made at another time, elsewhere."""
    ids = list(simulator.bulk_create(50, 1, spread_days=10))
    run()
    day = timedelta(days=1)
    BC.objects.update(create_date=F("create_date") - day, write_date=F("write_date") - day)
    BC.objects.update(name="OURS")
    CopyOrigin.objects.update(sample=None)  # as after an update: no good run has fixed one yet
    return ids


def test_rule_10_another_database_s_orders_do_not_replace_ours(
    copied_from_another: list[int], simulator: Simulator
) -> None:
    before = SyncState.objects.get().last_sync
    simulator.create_order(lines=[])
    stopped = run()
    assert stopped.status == Status.REFUSED
    assert "created at another time" in stopped.error
    assert (stopped.applied, BC.objects.count()) == (0, 50)
    assert set(BC.objects.values_list("name", flat=True)) == {"OURS"}
    assert SyncState.objects.get().last_sync == before
    assert not PendingBC.objects.exists()
    run(cause=Cause.COMMAND, full=True)
    assert subjects() == ["[BC] Odoo rejects our access"]


@pytest.mark.slow("plays several whole runs")
def test_rule_10_unless_it_is_meant(copied_from_another: list[int], simulator: Simulator) -> None:
    assert run(forced=True).status == Status.OK
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays several whole runs")
def test_rule_10_a_restored_backup_s_newest_orders_are_others_and_replace_ours_by_force(
    copied_from_another: list[int], simulator: Simulator
) -> None:
    day = timedelta(days=1)
    same = BC.objects.filter(odoo_id__lte=copied_from_another[24])
    same.update(create_date=F("create_date") + day)
    assert run().status == Status.REFUSED
    assert set(BC.objects.values_list("name", flat=True)) == {"OURS"}
    assert run(forced=True).status == Status.OK
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays several whole runs")
def test_rule_10_a_few_that_a_restored_backup_lacks_take_nobody(
    copied_from_another: list[int], simulator: Simulator
) -> None:
    day = timedelta(days=1)
    same = BC.objects.filter(odoo_id__lte=copied_from_another[-10])
    same.update(create_date=F("create_date") + day)
    assert run().status == Status.OK
    assert differences(simulator, sql) == []


def test_an_order_s_creation_is_asked_for_in_one_call(simulator: Simulator, odoo: Odoo) -> None:
    ids = list(simulator.bulk_create(50, 1, spread_days=10))
    simulator.delete_order(ids[1])
    odoo.listing.any_order()  # logs in
    simulator.calls_clear()
    created = odoo.listing.created(ids[:3])
    assert len(simulator.calls) == 1
    assert created.keys() == {ids[0], ids[2]}
    order = simulator.order(ids[0])
    assert order is not None
    assert created[ids[0]] == datetime.fromisoformat(order["create_date"]).replace(tzinfo=UTC)


@pytest.mark.slow("plays several whole runs")
def test_rule_10_half_of_the_orders_hidden_are_forbidden_and_none_is_archived(
    simulator: Simulator,
) -> None:
    ids = list(simulator.bulk_create(80, 1, spread_days=100))
    run()
    simulator.faults.forbid(ids[::2])
    done = run()
    assert (done.status, done.archived, done.gone) == (Status.OK, 0, 0), done.error
    assert BC.objects.filter(forbidden_at__isnull=False).count() == 40
    assert BC.objects.filter(archived_at__isnull=False).count() == 0
    assert run().applied == 0
    assert subjects() == ["[BC] orders that may no longer be read"]
    simulator.faults.clear()
    assert run().applied == 40
    assert differences(simulator, sql) == []
    run()
    assert not Alert.objects.exists()


@pytest.mark.slow("plays several whole runs")
def test_rule_10_hidden_ones_hide_no_deletion(simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(80, 1, spread_days=100))
    run()
    simulator.faults.forbid(ids[10:30])
    simulator.delete_order(ids[:5])
    done = run()
    assert (done.status, done.archived) == (Status.OK, 5), done.error
    assert BC.objects.filter(forbidden_at__isnull=False).count() == 20


@pytest.mark.slow("plays several whole runs")
def test_rule_10_hidden_ones_do_not_let_the_brake_off(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.BRAKE_ARCHIVINGS = 5
    ids = list(simulator.bulk_create(80, 1, spread_days=100))
    run()
    simulator.faults.forbid(ids[10:30])
    simulator.delete_order(ids[40:60])
    stopped = run()
    assert stopped.status == Status.BRAKED
    assert BC.objects.filter(archived_at__isnull=False).count() <= 5


@pytest.mark.slow("plays whole runs")
def test_an_account_that_sees_no_order_any_more_archives_and_forbids_nothing(
    simulator: Simulator,
) -> None:
    ids = list(simulator.bulk_create(60, 1, spread_days=100))
    run()
    before = SyncState.objects.get().last_sync
    simulator.faults.forbid(ids)
    assert run().status == Status.BRAKED
    assert BC.objects.current().count() == 60
    assert SyncState.objects.get().last_sync == before
    assert len(mail.outbox) == 1


@pytest.mark.slow("plays whole runs")
def test_an_account_without_the_right_is_told_of_once(simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(30, 1, spread_days=10))
    run()
    before = SyncState.objects.get().last_sync
    simulator.faults.deny_model("purchase.order")
    assert run().status == Status.REFUSED
    assert run().status == Status.REFUSED
    refresh(*ids[:5])
    assert BC.objects.current().count() == 30
    assert SyncState.objects.get().last_sync == before
    assert subjects() == ["[BC] Odoo rejects our access"]
    simulator.faults.clear()
    run()
    work_off()  # at once, for the run has seen that Odoo answers
    assert not Alert.objects.exists()
