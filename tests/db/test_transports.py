"""The copy made by one transport is the copy made by any other, odd texts included."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings

from bc_consumer.models import BC, BCLine
from bc_consumer.refresh import odoo_connection
from odoo_simulator import Simulator
from tests.db.conftest import refresh

KEY = "a-key-of-the-account"
TRANSPORTS = ("xmlrpc", "jsonrpc", "json2")
# When the copy looked, and in which order: not what it saw.
OUR_OWN = {"id", "bc_id", "synced_at", "created_at", "updated_at", "version"}
ODD = (
    "a\r\nb\rc\nd",
    "tab\tand\x0bvertical\x0c\x1f\x00",
    "<b>&amp;</b> ]]> 🍮 漢字",
    '"quoted" \\ back\\slash \u2028\u00a0\ufeff',
    "  spaces  ",
    "\ufffe\uffff",
    "",
)

pytestmark = [
    pytest.mark.usefixtures("odoo"),
    pytest.mark.simulator(version=19, api_keys=(KEY,)),
]


def rows(model: type[BC] | type[BCLine]) -> list[dict[str, Any]]:
    found = model._default_manager.order_by("odoo_id").values()
    return [{name: value for name, value in row.items() if name not in OUR_OWN} for row in found]


def test_every_transport_makes_equal_rows(simulator: Simulator, settings: LazySettings) -> None:
    prices = (0.1, 1 / 3, 123456789.125, -12.35, 0.0)
    ids = [
        simulator.create_order(
            partner_ref=text,
            note=f"<p>{text}</p>",
            lines=[{"name": text, "price_unit": price, "product_qty": 3.3} for price in prices],
        )
        for text in ODD
    ]
    copies = {}
    for transport in TRANSPORTS:
        settings.ODOO_TRANSPORT = transport
        settings.ODOO_PASSWORD = KEY if transport == "json2" else "admin"
        odoo_connection.odoo.cache_clear()
        BCLine.objects.all().delete()
        BC.objects.all().delete()
        refresh(*ids)
        assert odoo_connection.odoo().transport == transport
        copies[transport] = rows(BC), rows(BCLine)
    assert len(copies["xmlrpc"][0]) == len(ODD)
    assert len(copies["xmlrpc"][1]) == len(ODD) * len(prices)
    assert copies["jsonrpc"] == copies["xmlrpc"]
    assert copies["json2"] == copies["xmlrpc"]
