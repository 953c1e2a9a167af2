"""One Odoo read by every transport: equal rows, the same errors, and a choice that works."""

from typing import Any

import pytest

from bc_consumer.odoo import MissingProtocol, Odoo, WrongCredentials, WrongDatabase
from bc_consumer.odoo.transport_gain import measure_gain
from bc_consumer.refresh.mapping import map_order
from tests.contract.target import LINE, ORDER, Target, unique

ODD = "line one\r\nline two\ttab\x0b é 🍮 <&> \u2028 ]]> &amp; \\ \" '"
NORMAL = "line one\nline two\ttab é 🍮 <&> \u2028 ]]> &amp; \\ \" '"


def by_each(target: Target) -> dict[str, Odoo]:
    """A gateway for each transport that this Odoo and its account allow."""
    return {name: target.gateway(transport=name) for name in target.transports}


def odd_orders(target: Target, writer: Odoo) -> list[int]:
    """Orders whose texts and numbers are written, and read, in different ways."""
    lines: tuple[dict[str, Any], ...] = (
        {"name": ODD},
        {"name": " ", "price_unit": 0},
        {"name": "1/3", "price_unit": 1 / 3, "product_qty": 3.3, "discount": 33.33},
        {"name": "large", "price_unit": 123456789.125, "product_qty": 1e6},
        {"name": "negative", "price_unit": -12.35},
        {"name": "A section", "display_type": "line_section"},
        {"name": "n\no\r\nt\re", "display_type": "line_note"},
    )
    made: list[int] = []
    for values in ({}, {"partner_ref": ODD, "origin": "0"}, {target.notes: "<p>é & <b>x</b></p>"}):
        commands = [target.line(**line) for line in lines] if values else []
        row = {"partner_id": target.vendor, "order_line": commands, **values}
        made.append(writer.call(ORDER, "create", [row]))
        target.made.append(made[-1])
    return made


def test_every_transport_reads_equal_rows(target: Target) -> None:
    gateways = by_each(target)
    ids = odd_orders(target, gateways["jsonrpc"])
    rows = {
        name: [map_order(order) for _id, order in sorted(odoo.fetch(ids).orders.items())]
        for name, odoo in gateways.items()
    }
    first, *others = rows.values()
    assert [order.odoo_id for order in first] == sorted(ids)
    assert all(other == first for other in others)
    assert first[1].fields["partner_ref"] == NORMAL
    assert next(line.fields["name"] for line in first[1].lines) == NORMAL


def test_only_json_carries_control_characters(target: Target) -> None:
    gateways = by_each(target)
    [order_id] = odd_orders(target, gateways["jsonrpc"])[1:2]
    for name, odoo in gateways.items():
        read = odoo.fetch([order_id]).orders[order_id].values["partner_ref"]
        assert read == (ODD if name != "xmlrpc" else NORMAL)


def test_every_transport_lists_and_groups_alike(target: Target) -> None:
    ids = [target.create(target.line(), target.line()) for _ in range(3)]
    calls: tuple[tuple[str, str, list[Any], dict[str, Any]], ...] = (
        (ORDER, "search", [[("id", "in", ids)]], {"order": "id"}),
        (ORDER, "search_count", [[("id", "in", ids)]], {}),
        (ORDER, "search_read", [[("id", "in", ids)], ["name", "partner_id"]], {"order": "id"}),
        (ORDER, "read", [ids, ["write_date", "order_line"]], {"load": ""}),
        (LINE, "search_read", [[("order_id", "in", ids)]], {"fields": ["order_id"], "load": ""}),
        (ORDER, "fields_get", [["state"]], {"attributes": ["type", "selection"]}),
        (
            ORDER,
            "read_group",
            [[("id", "in", ids)], ["id:sum"], ["write_date:day"]],
            {"lazy": False, "context": {"tz": "UTC"}},
        ),
    )
    for model, method, args, kwargs in calls:
        answers = [odoo.call(model, method, args, kwargs) for odoo in by_each(target).values()]
        assert all(answer == answers[0] for answer in answers), method


def test_auto_finds_a_transport_that_works(target: Target) -> None:
    odoo = target.gateway(transport="auto")
    order_id = target.create(target.line())
    assert set(odoo.fetch([order_id]).orders) == {order_id}
    assert odoo.transport in target.transports
    if target.transport == "json2":
        assert odoo.transport == "json2"
    with pytest.raises(WrongCredentials):
        target.gateway(transport="auto", password=unique()).ping()
    with pytest.raises(WrongDatabase):
        target.gateway(transport="auto", database=f"db_{unique()}").ping()


def test_json_2_is_told_to_be_missing_up_to_18(target: Target) -> None:
    if target.major >= 19:
        pytest.skip("this version has it")
    with pytest.raises(MissingProtocol, match="JSON-2"):
        target.gateway(transport="json2", password="x").ping()


def test_json_2_takes_no_password(target: Target) -> None:
    if target.major < 19 or target.password == target.api_key:
        pytest.skip("needs 19, and a password that is no key")
    with pytest.raises(WrongCredentials, match="API key"):
        target.gateway(transport="json2", password=target.password).ping()


def test_a_key_works_as_a_password(target: Target) -> None:
    if not target.api_key:
        pytest.skip("no API key is known")
    for name in ("xmlrpc", "jsonrpc"):
        odoo = target.gateway(transport=name, password=target.api_key)
        assert odoo.account_login() == target.settings.login


def test_one_record_is_created_and_told_as_one(target: Target) -> None:
    assert isinstance(target.create(), int)
    assert len(target.create_together(1)) == 1


def test_what_auto_would_gain_is_measured_on_this_very_odoo(target: Target) -> None:
    odd_orders(target, target.gateway(transport="jsonrpc"))
    gain = measure_gain(target.gateway(transport="xmlrpc").settings)
    assert gain is not None
    assert gain.orders > 0
    assert gain.now.transport == "xmlrpc"
    assert gain.auto.transport in target.transports
    assert gain.auto.bytes < gain.now.bytes
    assert f"xmlrpc reads {gain.orders} orders in" in gain.text()
    assert measure_gain(target.gateway(transport="auto").settings) is None
    assert measure_gain(target.gateway(transport=gain.auto.transport).settings) is None
