"""A webhook after the commit, and reads that a replica of Odoo's database may answer (JSON-2)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db.models import F

from bc_consumer import ledger
from bc_consumer.ledger import Mark
from bc_consumer.models import BC, JournalEntry, PendingBC
from bc_consumer.odoo import Odoo
from bc_consumer.refresh import odoo_connection
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator

KEY = "a-key-of-the-account"

pytestmark = [
    pytest.mark.usefixtures("odoo"),
    pytest.mark.simulator(version=19, webhook_timing="committed", api_keys=(KEY,)),
]


@pytest.fixture
def json2(odoo: Odoo, settings: LazySettings) -> None:
    """Read by JSON-2 from now on."""
    settings.ODOO_TRANSPORT, settings.ODOO_PASSWORD = "json2", KEY
    odoo_connection.odoo.cache_clear()


def look(odoo_id: int, cause: str = "webhook") -> None:
    ledger.mark([odoo_id], Mark(cause=cause))
    work_off()


@pytest.mark.usefixtures("json2")
def test_rule_5_a_read_by_json_2_is_confirmed_by_one_more(simulator: Simulator) -> None:
    order_id = simulator.create_order(partner_ref="as the replica has it")
    look(order_id)
    row = PendingBC.objects.get()
    assert row.generation == row.fetched_generation  # nothing is owed: it is watched
    assert 4 < (row.due_at - row.last_marked_at).total_seconds() < 6
    simulator.write_order(order_id, partner_ref="as the webhook meant it")
    assert work_off() == 0
    later = {name: F(name) - timedelta(seconds=5) for name in ("due_at", "last_marked_at")}
    PendingBC.objects.update(**later)
    assert work_off() == 1
    assert BC.objects.get().partner_ref == "as the webhook meant it"
    assert not PendingBC.objects.exists()


@pytest.mark.usefixtures("json2")
def test_rule_5_a_change_that_the_copy_had_already_is_not_called_unconfirmed(
    simulator: Simulator,
) -> None:
    order_id = simulator.create_order()
    look(order_id, cause="run")
    assert not PendingBC.objects.exists()  # a run knows from Odoo itself
    look(order_id)
    PendingBC.objects.update(last_marked_at=F("last_marked_at") - timedelta(seconds=6))
    PendingBC.objects.update(due_at=F("last_marked_at"))
    assert work_off() == 1
    assert not PendingBC.objects.exists()
    assert JournalEntry.objects.count() == 1


@pytest.mark.parametrize("transport", ["xmlrpc", "jsonrpc"])
def test_other_transports_read_what_is_committed(
    simulator: Simulator, settings: LazySettings, transport: str
) -> None:
    settings.ODOO_TRANSPORT = transport
    odoo_connection.odoo.cache_clear()
    look(simulator.create_order())
    assert not PendingBC.objects.exists()
