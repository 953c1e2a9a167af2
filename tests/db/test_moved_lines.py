"""Lines that move between orders while one of those orders is in trouble, or in other hands."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.ledger import Mark
from bc_consumer.models import JournalEntry, PendingBC, SyncLog
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh.batch import work_off
from bc_consumer.refresh.refresh_now import refresh_now
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.conftest import refresh

pytestmark = pytest.mark.usefixtures("odoo")

LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35},
    {"name": "Chair", "product_qty": 3, "price_unit": 8.1},
]


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def first_line(odoo: Simulator, order_id: int) -> int:
    order = odoo.order(order_id)
    assert order is not None
    return int(order["order_line"][0]["id"])


def test_rule_6_an_order_whose_line_came_from_a_broken_one_waits_and_fails_nothing(
    simulator: Simulator, settings: LazySettings
) -> None:
    source, target = (simulator.create_order(lines=LINES) for _ in range(2))
    refresh(source, target)
    simulator.move_line(first_line(simulator, source), target)
    simulator.faults.poison(source)
    simulator.calls_clear()
    ledger.mark([target], Mark(cause="webhook"))
    work_off()
    assert len(simulator.calls) < 20
    waiting = PendingBC.objects.get(pk=target)
    assert (waiting.claim_token, waiting.attempts) == (None, 0)
    broken = PendingBC.objects.get(pk=source)
    assert (broken.claim_token, broken.attempts) == (None, 1)
    assert waiting.due_at > broken.due_at

    simulator.faults.clear()
    refresh(source, target)
    assert differences(simulator, sql) == []
    assert not PendingBC.objects.exists()


def test_rule_6_a_failed_order_is_not_tried_again_and_again_for_another_one_s_sake(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.MAX_ATTEMPTS = 1
    source, target = (simulator.create_order(lines=LINES) for _ in range(2))
    refresh(source, target)
    simulator.faults.poison(source)
    refresh(source)
    simulator.move_line(first_line(simulator, source), target)
    told = JournalEntry.objects.filter(outcome="failed").count()
    simulator.calls_clear()
    ledger.mark([target], Mark(cause="webhook"))
    for _ in range(5):
        PendingBC.objects.update(due_at=Now())
        work_off()
    assert len(simulator.calls) <= 10
    assert JournalEntry.objects.filter(outcome="failed").count() == told
    assert PendingBC.objects.get(pk=target).attempts == 0

    simulator.faults.clear()
    refresh(source, target)
    assert differences(simulator, sql) == []


def test_rule_6_the_others_of_a_batch_don_t_wait_for_a_broken_order_nor_are_they_read_alone(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.MAX_ATTEMPTS = 1
    source, *targets = [simulator.create_order(lines=LINES) for _ in range(3)]
    others = [simulator.create_order(lines=LINES) for _ in range(20)]
    giver, taker = others[:2]
    refresh(source, *targets, *others)
    simulator.faults.poison(source)
    refresh(source)
    for target in targets:
        simulator.move_line(first_line(simulator, source), target)
    simulator.move_line(first_line(simulator, giver), taker)
    for order in others:
        simulator.write_order(order, partner_ref="changed")
    simulator.calls_clear()
    ledger.mark([*targets, *others[1:]], Mark(cause="webhook"))
    work_off()
    assert len(simulator.calls) <= 4
    rows = PendingBC.objects.exclude(pk=source)
    assert set(rows.values_list("odoo_id", "attempts")) == {(target, 0) for target in targets}

    simulator.faults.clear()
    refresh(source, *targets)
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays several whole runs")
@pytest.mark.timeout(30)
def test_rule_6_a_run_ends_although_an_order_s_lines_hang_on_one_that_was_given_up(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.MAX_ATTEMPTS = 1
    source, target = (simulator.create_order(lines=LINES) for _ in range(2))
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    simulator.move_line(first_line(simulator, source), target)
    simulator.faults.poison(source)
    done = reconcile(RunRequest(SyncLog.Cause.COMMAND))
    assert (done.status, done.error_count) == (SyncLog.Status.PARTIAL, 2)
    (told,) = refresh_now([target])
    assert told.outcome == "failed"
    assert f"BC [{source}]" in told.error

    simulator.faults.clear()
    assert reconcile(RunRequest(SyncLog.Cause.COMMAND)).status == SyncLog.Status.OK
    assert differences(simulator, sql) == []
    assert not PendingBC.objects.exists()


def test_rule_4_an_order_brought_along_in_vain_is_given_back_at_once(
    simulator: Simulator,
) -> None:
    free, taken, target = (simulator.create_order(lines=LINES) for _ in range(3))
    refresh(free, taken, target)
    for source in (free, taken):
        simulator.move_line(first_line(simulator, source), target)
    ledger.mark([taken], Mark(cause="webhook"))
    ledger.claim(10, uuid.uuid4())
    ledger.mark([target], Mark(cause="webhook"))
    work_off()
    claimed = PendingBC.objects.exclude(claim_token=None).values_list("odoo_id", flat=True)
    assert list(claimed) == [taken]
