"""What happens to an order between a claim and its end must not be forgotten."""

from __future__ import annotations

import uuid

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.ledger import LookOutcome, Mark
from bc_consumer.models import BC, Event, PendingBC
from bc_consumer.odoo import Missing, Odoo
from bc_consumer.refresh.mapping import map_order
from bc_consumer.refresh.writer import FetchedRow, apply
from odoo_simulator import Simulator

pytestmark = pytest.mark.usefixtures("single_rows")

EARLY = Mark(cause="webhook", early=True)


def test_rule_2_a_mark_during_the_last_attempt_keeps_the_row_open(settings: LazySettings) -> None:
    settings.MAX_ATTEMPTS = 1
    ledger.mark([1], Mark(cause="webhook"))
    token = uuid.uuid4()
    (claimed,) = ledger.claim(10, token).rows
    ledger.mark([1], Mark(cause="webhook"))
    ledger.fail(token, claimed, ValueError("unreadable"))
    assert PendingBC.objects.get().failed_at is None
    token = uuid.uuid4()
    (claimed,) = ledger.claim(10, token).rows
    ledger.fail(token, claimed, ValueError("unreadable"))
    assert PendingBC.objects.get().failed_at is not None


def test_a_mark_while_a_watched_order_is_looked_at_begins_the_count_anew(
    settings: LazySettings,
) -> None:
    settings.EARLY_LOOKS = (0.0, 60.0)
    ledger.mark([1, 1, 1], EARLY)
    for marks in (0, 2):
        PendingBC.objects.update(due_at=Now())
        token = uuid.uuid4()
        (claimed,) = ledger.claim(10, token).rows
        for _ in range(marks):
            ledger.mark([1], EARLY)
        with transaction.atomic():
            ledger.settle(token, [LookOutcome(claimed, shown=False, next_look=60.0)])
    row = PendingBC.objects.get()
    assert (row.marks, row.generation - row.fetched_generation) == (2, 2)


def test_rule_5_a_false_deletion_does_not_end_the_looks_at_an_order_that_is_not_there_yet(
    simulator: Simulator, odoo: Odoo, settings: LazySettings
) -> None:
    """Another Odoo that still calls us says that an id is deleted which this one is creating."""
    settings.EARLY_LOOKS = (0.0, 60.0)
    with simulator.transaction() as creation:
        order_id = creation.create_order(lines=[{"name": "Desk", "price_unit": 12.35}])
        ledger.mark([order_id], EARLY)
        ledger.mark([order_id], Mark(cause="webhook", event=Event.DELETED, early=True))
        token = uuid.uuid4()
        (claimed,) = ledger.claim(10, token).rows
        assert dict(odoo.fetch([order_id]).missing) == {order_id: Missing.GONE}
        apply(token, [FetchedRow(claimed, Missing.GONE)], early=True)
    assert PendingBC.objects.get().due_at > claimed.due_at
    PendingBC.objects.update(due_at=Now())
    (claimed,) = ledger.claim(10, token).rows
    apply(
        token, [FetchedRow(claimed, map_order(odoo.fetch([order_id]).orders[order_id]))], early=True
    )
    assert BC.objects.current().get().odoo_id == order_id
