"""Languages: which are in use, and what a call in another one comes to, by version."""

from __future__ import annotations

import pytest

from odoo_simulator import Simulator
from tests.simulator.conftest import Caller


@pytest.mark.parametrize("version", [16, 17])
def test_up_to_17_an_unknown_language_is_taken_without_a_word(version: int) -> None:
    with Simulator(version) as odoo:
        order_id = odoo.create_order()
        read = Caller(odoo).order("read", [order_id], ["partner_id"], context={"lang": "xx_XX"})
        assert read[0]["id"] == order_id


@pytest.mark.parametrize("version", [18, 19])
def test_from_18_on_an_unknown_language_is_refused(version: int) -> None:
    with Simulator(version) as odoo:
        order_id = odoo.create_order()
        context = {"lang": "xx_XX"}
        fault = Caller(odoo).fault("purchase.order", "read", [order_id], context=context)
        assert (fault.faultCode, fault.faultString) == (2, "Invalid language code: xx_XX")


@pytest.mark.parametrize("version", [16, 17, 18, 19])
def test_a_database_made_with_french_alone_still_answers_in_the_sources_language(
    version: int,
) -> None:
    with Simulator(version, languages=("fr_FR",)) as odoo:
        call = Caller(odoo)
        order_id = odoo.create_order()
        rows = call("res.lang", "search_read", [], fields=["code"])
        assert [row["code"] for row in rows] == ["fr_FR"]
        assert call("res.users", "context_get")["lang"] == "fr_FR"
        for code in ("en_US", "fr_FR"):
            assert call.order("read", [order_id], ["partner_id"], context={"lang": code})
