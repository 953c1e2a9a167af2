"""The bench: which targets it judges, and how it says that an Odoo refuses it."""

from __future__ import annotations

import xmlrpc.client
from typing import Any

import pytest

from bench.changing import Change
from bench.deployments import OdooServer
from bench.freshness import KEPT_UP, reached_rate
from bench.load import ENOUGH, judged, limit
from bench.odoo_calls import LONGEST_TEXT, connect
from bench.own_orders import own_orders
from bench.tables import at_least
from tests.unit.odoo.serving import WIRES, RawServer, TinyOdoo, Wire


def server(orders: int) -> OdooServer:
    return OdooServer("http://odoo", "odoo", "admin", "admin", 18, "early", range(orders))


def test_with_few_orders_a_load_is_not_judged() -> None:
    assert judged(server(ENOUGH - 1), at_least(15)) is None
    assert limit(server(ENOUGH - 1), 1.3, 2.0) is None
    assert judged(server(ENOUGH), at_least(15)) == at_least(15)
    target = limit(server(ENOUGH), 1.3, 2.0)
    assert target is not None
    assert target.limit == 1.3


def test_the_rate_that_odoo_took_is_measured_by_its_answers() -> None:
    in_time = [Change(1, "", number / 50, number / 50 + 0.02) for number in range(100)]
    assert reached_rate(in_time) == pytest.approx(50, rel=1 - KEPT_UP)
    slow = [Change(1, "", number / 20, number / 20 + 0.8) for number in range(100)]
    assert reached_rate(slow) < KEPT_UP * 50


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_missing_rights_are_told_in_one_line_that_names_them(wire: Wire) -> None:
    text = "Traceback (most recent call last):\n" + "  File\n" * 999 + "You are not allowed to."

    def refuse(*_call: object) -> object:
        raise xmlrpc.client.Fault(4, text)

    odoo = TinyOdoo(refuse)
    with RawServer(odoo.respond) as raw:
        calls: Any = connect(wire.name, raw.url, "shop", "copy", odoo.password)
        with pytest.raises(SystemExit) as caught, own_orders(calls, 10, 1):
            pass
        (calls._transport if wire.name == "xmlrpc" else calls._poster._connection).close()
    said = str(caught.value)
    assert "purchase orders, products and contacts" in said
    assert "\n" not in said
    assert len(said) < LONGEST_TEXT + 400
    if wire.name == "xmlrpc":
        assert "You are not allowed to." in said
