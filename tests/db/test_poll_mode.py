"""A copy that polls, of an Odoo 16, which has no webhooks: what it reads, and what it tells."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection

from bc_consumer.models import BC, Alert, BCLine, SyncLog
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator
from tests.comparing import differences

Cause = SyncLog.Cause
LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35}]

pytestmark = [pytest.mark.usefixtures("odoo"), pytest.mark.simulator(version=16)]


@pytest.fixture(autouse=True)
def polling(settings: LazySettings) -> None:
    settings.SYNC_POLL_SECONDS, settings.PUBLIC_URL = 60, ""
    settings.ALERT_EMAILS, settings.ALERT_MISSED = ["ops@example.com"], 3


def run(cause: Cause) -> SyncLog:
    done = reconcile(RunRequest(cause=cause))
    assert done.status == SyncLog.Status.OK, done.error
    return done


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def test_what_a_night_finds_is_not_held_against_webhooks(simulator: Simulator) -> None:
    run(Cause.COMMAND)
    for _ in range(5):
        simulator.create_order(lines=LINES)
    assert run(Cause.NIGHTLY).applied == 5
    assert mail.outbox == []
    assert not Alert.objects.exists()
    assert differences(simulator, sql) == []


def test_an_order_with_characters_that_xml_forbids_is_read(simulator: Simulator) -> None:
    order_id = simulator.create_order(partner_ref="a\x0bb", lines=[{**LINES[0], "name": "c\x1fd"}])
    simulator.rename("res.partner", 2, "Ve\x0bndor")
    run(Cause.COMMAND)
    assert BC.objects.get(odoo_id=order_id).partner_ref == "ab"
    assert BCLine.objects.get(bc__odoo_id=order_id).name == "cd"
    assert set(BC.objects.values_list("partner_name", flat=True)) >= {"Vendor"}
