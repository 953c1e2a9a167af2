"""``odoo_fields`` lists what this Odoo has, and how each field would be copied."""

import io
import json
import re
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


def test_the_tables_are_those_copied_those_that_could_be_and_those_that_can_t() -> None:
    text = told("--search", "tax")
    tables = [
        [re.split(r"  +", line.strip()) for line in t.splitlines()] for t in text.split("\n\n")
    ]
    heading = ["field", "type", "label in Odoo", "in the copy"]
    rounding = "Tax calculation rounding method"
    assert tables == [
        [
            ["Copied: 2"],
            heading,
            ["amount_tax", "monetary", "Taxes", "amount_tax"],
            ["amount_untaxed", "monetary", "Untaxed Amount", "amount_untaxed"],
        ],
        [
            ["Could be copied into extra, by naming them in ODOO_EXTRA_FIELDS: 2"],
            heading,
            ["tax_calculation_rounding_method", "selection", rounding, "a text *"],
            ["tax_country_id", "many2one (res.country)", "Tax Country", "id and name *"],
        ],
        [
            ["Can't be copied, because of their type: 1"],
            heading,
            ["tax_totals", "binary", "Tax Totals", "—"],
        ],
        [
            ["* Odoo does not store it: if only this changes, it goes unnoticed."],
            ["5 fields of purchase.order, 2 of them in the copy."],
        ],
    ]
    starts = {line.find("monetary") for line in text.splitlines() if "monetary" in line}
    assert len(starts) == 1, "columns stand below each other"


def test_on_a_terminal_no_name_is_cut_and_no_line_is_long(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    call_command("odoo_fields", stdout=out)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    shown = {line.split()[0] for line in lines if line.startswith("  ")}
    assert simulator.models["purchase.order"].fields.keys() <= shown


def test_an_odoo_that_is_away_is_told_in_a_sentence(simulator: Simulator) -> None:
    simulator.faults.refuse()
    with pytest.raises(CommandError, match="Odoo"):
        told()
