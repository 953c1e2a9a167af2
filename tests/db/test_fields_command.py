"""``odoo_fields`` lists what this Odoo has, and how each field would be copied."""

import io
import json
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from bc_consumer.refresh import odoo_connection
from odoo_simulator import Simulator

pytestmark = pytest.mark.usefixtures("odoo")


def told(*arguments: str) -> str:
    out = io.StringIO()
    call_command("odoo_fields", *arguments, stdout=out)
    return out.getvalue()


def listed(*arguments: str) -> dict[str, dict[str, Any]]:
    answer = json.loads(told("--json", *arguments))
    return {row["name"]: row for row in answer["fields"]}


def test_every_field_of_orders_is_listed_with_its_way(
    simulator: Simulator, settings: LazySettings
) -> None:
    for name in ("x_project", "x_other"):
        simulator.add_field("purchase.order", name, "many2one", relation="res.partner")
    settings.ODOO_EXTRA_FIELDS = ["x_project"]
    odoo_connection.odoo.cache_clear()
    rows = listed()
    assert rows.keys() == simulator.models["purchase.order"].fields.keys()
    assert rows["partner_id"]["columns"] == ["partner_id", "partner_name"]
    ways = {name: rows[name]["way"] for name in ("id", "order_line", "x_project", "x_other")}
    assert ways == {
        "id": "column",
        "order_line": "column",
        "x_project": "extra",
        "x_other": "possible",
    }
    assert (rows["tax_totals"]["way"], rows["tax_totals"]["kind"]) == ("impossible", None)
    assert rows["on_time_rate"]["stored"] is False


@pytest.mark.simulator(version=19, order_model="sale.order")
def test_lines_of_sales_by_the_names_of_this_version(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ODOO_ORDER_MODEL = "sale.order"
    odoo_connection.odoo.cache_clear()
    rows = listed("--lines")
    assert rows["tax_ids"]["columns"] == ["taxes"]
    assert rows["product_uom_qty"]["columns"] == ["product_qty"]
    assert rows["qty_delivered"]["way"] == "extra"


def test_the_table_says_it_in_words_and_can_be_searched() -> None:
    text = told("--search", "reminder")
    assert "mail_reminder_confirmed" in text
    assert "possible: extra, true or false" in text
    assert "partner_id" not in text
    assert "name them in ODOO_EXTRA_FIELDS" in text
    assert "can't be copied: binary" in told("--search", "tax_totals")


def test_an_odoo_that_is_away_is_told_in_a_sentence(simulator: Simulator) -> None:
    simulator.faults.refuse()
    with pytest.raises(CommandError, match="Odoo"):
        told()
