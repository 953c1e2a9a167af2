"""A field that the table calls unreported is kept, and a change of it is no change of the order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bc_consumer.fields.field import Field, Table
from bc_consumer.fields.table import TABLES
from bc_consumer.models import BC, BCLine, JournalEntry
from bc_consumer.odoo import Odoo
from odoo_simulator import Simulator
from tests.db.conftest import refresh

ORDER = "purchase.order"


def unreported(fields: tuple[Field, ...], name: str) -> tuple[Field, ...]:
    return tuple(replace(one, reported=False) if one.name == name else one for one in fields)


@pytest.fixture
def order_id(odoo: Odoo, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> int:
    table = TABLES[ORDER]
    changed = Table(
        unreported(table.order, "origin"), table.line_model, unreported(table.line, "sequence")
    )
    monkeypatch.setitem(TABLES, ORDER, changed)
    order_id = simulator.create_order(lines=[{"name": "Desk", "product_id": 1, "product_qty": 1}])
    refresh(order_id)
    return order_id


def test_a_change_of_it_alone_is_kept_and_not_told(order_id: int, simulator: Simulator) -> None:
    before = BC.objects.get().version
    simulator.update_sql(ORDER, [order_id], {"origin": "S7"})
    simulator.update_sql(f"{ORDER}.line", simulator.line_ids(), {"sequence": 99})
    refresh(order_id)
    bc = BC.objects.get()
    assert (bc.origin, BCLine.objects.get().sequence, bc.version) == ("S7", 99, before)
    assert JournalEntry.objects.count() == 1


def test_with_another_change_it_is_left_out_of_what_is_told(
    order_id: int, simulator: Simulator
) -> None:
    simulator.update_sql(ORDER, [order_id], {"origin": "S7", "partner_ref": "R"})
    refresh(order_id)
    assert BC.objects.get().origin == "S7"
    assert JournalEntry.objects.latest("pk").changes["fields"] == {"partner_ref": ["", "R"]}
