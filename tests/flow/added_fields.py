"""Played by test_add_a_field.py in a scratch copy of the repository that has three more fields.

Not collected here, where there are no such columns. An order is copied from the simulator, and the
fields show with the right format; a run reads again what was copied before there were any, and
follows a renamed record.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from bc_consumer.models import BC, BCLine, JournalEntry, SyncLog
from bc_consumer.odoo import Odoo
from bc_consumer.odoo.wanted_rules import RuleSettings
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.conftest import refresh

INCOTERMS = "account.incoterms"


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def order() -> dict[str, Any]:
    return dict(BC.objects.values().get())


def line() -> dict[str, Any]:
    return dict(BCLine.objects.values().get())


@pytest.fixture
def page(client: Client) -> Any:
    client.force_login(User.objects.create_superuser("staff"))

    def read(path: str, language: str = "en") -> str:
        answer = client.get(path, headers={"Accept-Language": language})
        assert answer.status_code == 200
        return answer.content.decode()

    return read


@pytest.fixture
def incoterm(simulator: Simulator) -> int:
    return simulator.create(INCOTERMS, {"name": "FREE CARRIER"})


@pytest.fixture
def order_id(odoo: Odoo, simulator: Simulator, incoterm: int) -> int:
    desk = {"name": "Desk", "product_id": 1, "product_qty": 2, "price_unit": 3}
    return simulator.create_order(
        lines=[{**desk, "qty_to_invoice": 7.5}],
        incoterm_id=incoterm,
        incoterm_location="Antwerp",
    )


def written_long_ago(simulator: Simulator, order_id: int) -> None:
    long_ago = {"write_date": f"{timezone.now() - timedelta(days=30):%Y-%m-%d %H:%M:%S}"}
    simulator.update_sql("purchase.order", [order_id], long_ago)
    simulator.update_sql("purchase.order.line", simulator.line_ids(), long_ago)


def test_they_are_copied_and_shown(order_id: int, page: Any, simulator: Simulator) -> None:
    refresh(order_id)
    bc = order()
    assert (bc["incoterm_location"], bc["incoterm_name"]) == ("Antwerp", "FREE CARRIER")
    assert line()["qty_to_invoice"] == 7.5
    assert differences(simulator, sql) == []
    shown = page(f"/bc/{order_id}/")
    assert "<dt>Delivery place</dt><dd>Antwerp</dd>" in shown
    assert "<dt>Delivery terms</dt><dd>FREE CARRIER</dd>" in shown
    assert "<small>Packages: 7.5</small>" in shown, "a quantity, not money: 7.50"
    french = page(f"/bc/{order_id}/", "fr")
    assert "<dt>Lieu de livraison</dt><dd>Antwerp</dd>" in french
    assert "<small>Colis: 7,5</small>" in french.replace("\N{NO-BREAK SPACE}", "").replace(
        " :", ":"
    )
    admin = page(f"/admin/bc_consumer/bc/{bc['id']}/change/", "fr")
    for text in ("Lieu de livraison", "Antwerp", "Conditions de livraison", "FREE CARRIER", "7,5"):
        assert text in admin, text


def test_a_change_is_told(order_id: int, page: Any, simulator: Simulator) -> None:
    refresh(order_id)
    line_id = BCLine.objects.get().odoo_id
    simulator.write_order(order_id, incoterm_location="Ghent")
    simulator.write_line(line_id, qty_to_invoice=8)
    refresh(order_id)
    changes = JournalEntry.objects.latest("pk").changes
    assert changes["fields"]["incoterm_location"] == ["Antwerp", "Ghent"]
    assert changes["lines"]["changed"][str(line_id)]["qty_to_invoice"] == ["7.5", "8.00"]
    shown = page(f"/bc/{order_id}/")
    assert "Ghent" in shown
    assert "8.00" not in shown, "a quantity, not money"


def test_rules_watch_them() -> None:
    candidates = RuleSettings("", "", "", "purchase.order").candidates()
    assert {"incoterm_location", "incoterm_id"} <= set(candidates["purchase.order"])
    assert "qty_to_invoice" in candidates["purchase.order.line"]


def test_what_was_copied_before_is_read_again(order_id: int, simulator: Simulator) -> None:
    """The row says by its number that another table made it; its date is out of the window."""
    written_long_ago(simulator, order_id)
    reconcile(RunRequest(cause=SyncLog.Cause.COMMAND))
    assert BC.objects.get().mapping_version != 1
    empty: dict[str, Any] = {"mapping_version": 1, "incoterm_location": "", "incoterm_id": None}
    BC.objects.update(**empty)
    done = reconcile(RunRequest(cause=SyncLog.Cause.NIGHTLY))
    assert (done.bc_count, done.found_by_names, done.missed_by_webhooks) == (1, 0, 0)
    assert differences(simulator, sql) == []
    assert order()["incoterm_location"] == "Antwerp"


def test_a_renamed_record_is_followed(order_id: int, simulator: Simulator, incoterm: int) -> None:
    written_long_ago(simulator, order_id)
    reconcile(RunRequest(cause=SyncLog.Cause.COMMAND))
    assert order()["incoterm_name"] == "FREE CARRIER"
    written = simulator.order(order_id)["write_date"]  # type: ignore[index]
    simulator.rename(INCOTERMS, incoterm, "FREE CARRIER (FCA)")
    assert simulator.order(order_id)["write_date"] == written  # type: ignore[index]
    done = reconcile(RunRequest(cause=SyncLog.Cause.COMMAND))
    assert done.found_by_names == 1
    assert order()["incoterm_name"] == "FREE CARRIER (FCA)"
