"""Fetching orders from the simulator: one call, two reads, what is missing, what has vanished."""

import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bc_consumer.odoo import (
    MissingField,
    MissingModel,
    NoRights,
    Odoo,
    OdooFault,
    OdooProtocolError,
    OdooRefused,
    OdooTorn,
    OdooUnavailable,
    ResponseTooLarge,
    UnknownField,
)
from bc_consumer.odoo.records import Missing
from odoo_simulator import Simulator
from tests.unit.odoo.serving import CAPTURES, TinyOdoo, gateway, serving

ORDER, LINE = "purchase.order", "purchase.order.line"


@pytest.fixture
def odoo(simulator: Simulator) -> Odoo:
    return gateway(simulator)


def two_lines(simulator: Simulator, **values: Any) -> int:
    lines: list[dict[str, Any]] = [
        {"name": "a", "product_qty": 2, "price_unit": 10.5},
        {"name": "b"},
    ]
    return simulator.create_order(lines=lines, **values)


def methods(simulator: Simulator) -> list[str]:
    return [call.method for call in simulator.calls]


def test_a_known_gateway_fetches_a_batch_in_one_call(simulator: Simulator, odoo: Odoo) -> None:
    ids = [two_lines(simulator) for _ in range(5)]
    odoo.fetch(ids)
    simulator.calls_clear()
    before = odoo.calls
    fetched = odoo.fetch([*reversed(ids), ids[0]])
    assert sorted(fetched.orders) == ids
    assert not fetched.missing
    assert odoo.calls == before + 1
    assert methods(simulator) == ["web_search_read"]


def test_nothing_is_asked_where_no_order_can_be(simulator: Simulator, odoo: Odoo) -> None:
    assert odoo.fetch([]).missing == {}
    fetched = odoo.fetch([0, -3, 2**31, 2**70])
    assert fetched.missing == dict.fromkeys([0, -3, 2**31, 2**70], Missing.GONE)
    assert odoo.calls == 0


def test_canonical_names_and_raw_values(each_version: Simulator) -> None:
    order_id = two_lines(each_version, notes="<p>Merci</p>")
    snapshot = gateway(each_version).fetch([order_id]).orders[order_id]
    assert snapshot.values["notes"] == "<p>Merci</p>"
    assert snapshot.values["partner_ref"] is False
    assert snapshot.values["locked"] is False
    assert "order_line" not in snapshot.values
    partner = snapshot.values["partner_id"]
    assert isinstance(partner, dict)
    assert partner.keys() == {"id", "display_name"}
    first, second = snapshot.lines
    assert first.id < second.id
    assert (first.values["name"], first.values["product_qty"]) == ("a", 2.0)
    assert "product_uom" in first.values
    assert isinstance(first.values["taxes"], list)
    assert snapshot.currency_decimals == 2
    assert snapshot.fields.line.digits["product_qty"] == 2
    assert ("price_unit" in snapshot.fields.line.digits) == (each_version.version < 19)


def test_a_lock_is_a_state_up_to_18_and_a_field_in_19(each_version: Simulator) -> None:
    order_id = two_lines(each_version)
    each_version.confirm(order_id)
    each_version.lock_order(order_id)
    snapshot = gateway(each_version).fetch([order_id]).orders[order_id]
    assert snapshot.values["locked"] is True
    assert snapshot.values["state"] == ("purchase" if each_version.version == 19 else "done")


def test_both_ways_give_equal_snapshots(each_version: Simulator) -> None:
    name = f"{each_version.version}_demo_orders.json"
    each_version.load_demo_orders(Path(CAPTURES / name))
    ids = each_version.order_ids()
    one_call = gateway(each_version).fetch(ids)
    each_version.faults.hide_method("web_search_read")
    two_reads = gateway(each_version).fetch(ids)
    assert len(one_call.orders) >= 12
    assert two_reads.orders == one_call.orders
    taxed = any(line.values["taxes"] for o in one_call.orders.values() for line in o.lines)
    assert taxed == (each_version.version != 18)  # that demo database had no taxes


def test_a_missing_method_is_remembered_until_told_to_forget(
    simulator: Simulator, odoo: Odoo
) -> None:
    order_id = two_lines(simulator)
    simulator.faults.hide_method("web_search_read")
    odoo.fetch([order_id])
    simulator.calls_clear()
    odoo.fetch([order_id])
    assert "web_search_read" not in methods(simulator)
    simulator.faults.clear()
    odoo.forget_fields()
    odoo.fetch([order_id])
    assert methods(simulator)[-1] == "web_search_read"


def changes(simulator: Simulator, order_id: int) -> dict[str, Callable[[], object]]:
    """Writes that may fall between two reads."""
    line_id = simulator.order(order_id)["order_line"][0]["id"]  # type: ignore[index]
    return {
        "order and line": lambda: simulator.write_line(line_id, price_unit=99.0),
        "line added": lambda: simulator.add_line(order_id, name="new", price_unit=0),
        "line deleted": lambda: simulator.delete_line(line_id),
        "order deleted": lambda: simulator.delete_order(order_id),
    }


@pytest.mark.parametrize("change", ["order and line", "line added", "line deleted"])
@pytest.mark.parametrize("after", [ORDER, LINE])
def test_a_torn_read_is_read_again(simulator: Simulator, change: str, after: str) -> None:
    order_id, quiet = two_lines(simulator), two_lines(simulator)
    simulator.faults.hide_method("web_search_read")
    odoo = gateway(simulator)
    odoo.fetch([order_id])
    write = changes(simulator, order_id)[change]

    def between(model: str, method: str) -> None:
        if (model, method) == (after, "search_read"):
            simulator.faults.between_calls(None)
            write()

    simulator.faults.between_calls(between)
    torn = odoo.fetch([order_id, quiet])
    simulator.faults.clear()
    odoo.forget_fields()
    assert torn.orders == odoo.fetch([order_id, quiet]).orders


def test_a_line_that_comes_and_goes_between_the_reads_is_noticed() -> None:
    with Simulator(version=18) as simulator:
        order_id = two_lines(simulator)
        simulator.faults.hide_method("web_search_read")
        odoo = gateway(simulator)
        expected = odoo.fetch([order_id]).orders
        passing: list[int] = []

        def between(model: str, method: str) -> None:
            if (model, method) == (ORDER, "search_read") and not passing:
                passing.append(simulator.add_line(order_id, name="passing", price_unit=0))
            elif model == LINE and passing:
                simulator.faults.between_calls(None)
                simulator.delete_line(passing[0])

        simulator.faults.between_calls(between)
        simulator.calls_clear()
        fetched = odoo.fetch([order_id]).orders
        assert passing
        assert [line.id for line in fetched[order_id].lines] == [
            line.id for line in expected[order_id].lines
        ]
        assert methods(simulator).count("search_read") == 6


def test_an_order_that_never_rests_is_left_for_later(simulator: Simulator, odoo: Odoo) -> None:
    order_id = two_lines(simulator)
    simulator.faults.hide_method("web_search_read")
    odoo.fetch([order_id])
    number = iter(range(1000))

    def between(model: str, _method: str) -> None:
        if model == LINE:
            simulator.write_order(order_id, partner_ref=f"r{next(number)}")

    simulator.faults.between_calls(between)
    with pytest.raises(OdooTorn, match=r"torn"):
        odoo.fetch([order_id])


def test_gone_and_forbidden_are_told_apart(each_version: Simulator) -> None:
    ids = [two_lines(each_version) for _ in range(9)]
    each_version.delete_order(ids[3])
    each_version.faults.forbid([ids[1], ids[6], ids[7]])
    fetched = gateway(each_version).fetch([*ids, 99_999])
    assert fetched.missing == {
        ids[1]: Missing.FORBIDDEN,
        ids[3]: Missing.GONE,
        ids[6]: Missing.FORBIDDEN,
        ids[7]: Missing.FORBIDDEN,
        99_999: Missing.GONE,
    }
    assert fetched.orders.keys() | fetched.missing.keys() == {*ids, 99_999}
    assert not fetched.orders.keys() & fetched.missing.keys()


def test_a_missing_order_costs_one_more_call(simulator: Simulator, odoo: Odoo) -> None:
    there, hidden = two_lines(simulator), two_lines(simulator)
    odoo.fetch([there])
    simulator.faults.forbid([hidden])
    for ids in ([there, 99_999], [there, hidden]):
        simulator.calls_clear()
        assert len(odoo.fetch(ids).missing) == 1
        assert methods(simulator) == ["web_search_read", "read"]


def test_an_order_committed_between_the_looks_is_fetched(simulator: Simulator, odoo: Odoo) -> None:
    first = two_lines(simulator)
    odoo.fetch([first])

    def between(_model: str, method: str) -> None:
        if method == "web_search_read":
            simulator.faults.between_calls(None)
            assert two_lines(simulator) == first + 1

    simulator.faults.between_calls(between)
    fetched = odoo.fetch([first, first + 1])
    assert sorted(fetched.orders) == [first, first + 1]
    assert not fetched.missing


@pytest.mark.parametrize("one_call", [True, False])
def test_no_line_is_given_in_two_orders(
    simulator: Simulator, odoo: Odoo, *, one_call: bool
) -> None:
    source = two_lines(simulator)
    if not one_call:
        simulator.faults.hide_method("web_search_read")
    moved = odoo.fetch([source]).orders[source].lines[0].id
    reads = iter(range(100))

    def between(_model: str, method: str) -> None:
        # After the last read of the first round, and before the look at what is missing.
        if "search_read" in method and next(reads) == (0 if one_call else 2):
            simulator.faults.between_calls(None)
            simulator.move_line(moved, simulator.create_order())

    simulator.faults.between_calls(between)
    orders = odoo.fetch([source, source + 1]).orders
    assert moved not in {line.id for line in orders[source].lines}
    assert moved in {line.id for line in orders[source + 1].lines}


def test_an_order_found_by_id_alone_is_never_called_missing() -> None:
    field_names = {**dict.fromkeys([ORDER, LINE])}

    def execute(model: str, method: str, _args: list[Any], kwargs: dict[str, Any]) -> Any:
        if method == "fields_get":
            assert model in field_names
            relation = {"relation": LINE}
            return {name: {"type": "char", **relation} for name in kwargs["allfields"]}
        if method == "web_search_read":
            return {"length": 0, "records": []}
        return [{"id": 5, "write_date": "2026-11-24 00:00:00"}]

    tiny = TinyOdoo(execute)
    with (
        serving(tiny.respond) as (_server, odoo),
        pytest.raises(OdooTorn, match=r"\[5\]"),
    ):
        odoo.fetch([5])


@pytest.mark.parametrize(
    ("model", "field", "shown"),
    [(ORDER, "partner_ref", "purchase.order.partner_ref"), (LINE, "discount", f"{LINE}.discount")],
)
def test_an_optional_field_that_is_absent_is_left_out_and_reported(
    simulator: Simulator, odoo: Odoo, model: str, field: str, shown: str
) -> None:
    order_id = two_lines(simulator)
    simulator.faults.drop_field(model, field)
    snapshot = odoo.fetch([order_id]).orders[order_id]
    assert odoo.absent_fields == (shown,)
    assert field not in snapshot.values
    assert all(field not in line.values for line in snapshot.lines)


@pytest.mark.parametrize("one_call", [True, False])
def test_a_field_that_vanishes_while_we_run_is_dropped(
    simulator: Simulator, odoo: Odoo, *, one_call: bool
) -> None:
    order_id = two_lines(simulator)
    if not one_call:
        simulator.faults.hide_method("web_search_read")
    assert "origin" in odoo.fetch([order_id]).orders[order_id].values
    assert not odoo.absent_fields
    simulator.faults.drop_field(ORDER, "origin")
    assert "origin" not in odoo.fetch([order_id]).orders[order_id].values
    assert odoo.absent_fields == ("purchase.order.origin",)


def test_a_required_field_that_vanishes_is_for_a_person(simulator: Simulator, odoo: Odoo) -> None:
    order_id = two_lines(simulator)
    odoo.fetch([order_id])
    simulator.faults.drop_field(LINE, "price_unit")
    with pytest.raises(MissingField, match="price_unit") as caught:
        odoo.fetch([order_id])
    assert (caught.value.model, caught.value.fields) == (LINE, ("price_unit",))


def test_an_unknown_field_that_is_none_of_ours_stays_a_fault(
    simulator: Simulator, odoo: Odoo
) -> None:
    with pytest.raises(UnknownField) as caught:
        odoo.call(ORDER, "search", [[("x_nope", "=", 1)]])
    assert caught.value.field == "x_nope"


@pytest.mark.parametrize("model", [ORDER, LINE])
def test_a_right_that_is_missing_as_a_whole_is_for_a_person(
    simulator: Simulator, odoo: Odoo, model: str
) -> None:
    order_id = two_lines(simulator)
    simulator.faults.hide_method("web_search_read")
    odoo.fetch([order_id])
    simulator.faults.deny_model(model)
    with pytest.raises(NoRights, match=rf'"admin" may not read {model}:') as caught:
        odoo.fetch([order_id])
    assert caught.value.model == model
    if model == ORDER:
        with pytest.raises(NoRights):
            odoo.ping()


def test_a_poisoned_order_faults_its_batch_and_the_control_call_passes(
    simulator: Simulator, odoo: Odoo
) -> None:
    good, bad = two_lines(simulator), two_lines(simulator)
    simulator.faults.poison(bad, code=1, text="ZeroDivisionError: float division by zero")
    with pytest.raises(OdooFault, match="ZeroDivisionError") as caught:
        odoo.fetch([good, bad])
    assert (caught.value.code, caught.value.model) == (1, ORDER)
    odoo.ping()
    assert list(odoo.fetch([good]).orders) == [good]


def test_the_control_call_calls_any_fault_trouble(simulator: Simulator, odoo: Odoo) -> None:
    odoo.ping()
    simulator.faults.fault_all(1, "psycopg2.OperationalError: Connection refused")
    with pytest.raises(OdooUnavailable, match="not an order"):
        odoo.ping()
    with pytest.raises(OdooFault):
        odoo.call(ORDER, "search", [[]])


def test_a_field_list_that_cannot_be_had_is_nobody_s_fault(simulator: Simulator) -> None:
    odoo = gateway(simulator)
    order_id = two_lines(simulator)
    odoo.ping()
    simulator.faults.fault_all(1, "psycopg2.OperationalError: Connection refused")
    with pytest.raises(OdooUnavailable, match="just now"):
        odoo.fetch([order_id])


def test_an_odoo_without_the_app_is_for_a_person() -> None:
    def execute(*_call: Any) -> Any:
        raise xmlrpc.client.Fault(2, "Object purchase.order doesn't exist")

    with (
        serving(TinyOdoo(execute).respond) as (_server, odoo),
        pytest.raises(MissingModel, match="install its app"),
    ):
        odoo.fetch([1])


def test_an_order_model_we_do_not_know_is_refused_at_once(simulator: Simulator) -> None:
    with pytest.raises(OdooRefused, match=r"stock\.picking"):
        gateway(simulator, order_model="stock.picking")


@pytest.mark.parametrize("answer", [[], 5, {"records": 7}, {"records": [{"id": 1}]}, {}])
def test_an_answer_of_another_shape_is_a_protocol_error(answer: Any) -> None:
    def execute(_model: str, method: str, _args: list[Any], kwargs: dict[str, Any]) -> Any:
        if method == "fields_get":
            return {name: {"type": "char", "relation": LINE} for name in kwargs["allfields"]}
        return answer if method == "web_search_read" else []

    with serving(TinyOdoo(execute).respond) as (_server, odoo):
        if answer == []:
            assert odoo.fetch([1]).missing == {1: Missing.GONE}
        else:
            with pytest.raises((OdooProtocolError, OdooFault)):
                odoo.fetch([1])


def test_a_batch_over_the_size_cap_says_so(simulator: Simulator) -> None:
    ids = [two_lines(simulator) for _ in range(30)]
    odoo = gateway(simulator, max_response_bytes=60_000)
    with pytest.raises(ResponseTooLarge):
        odoo.fetch(ids)
    assert odoo.fetch(ids[:2]).orders.keys() == set(ids[:2])


def test_the_beginning_of_a_fetch_is_told_on_odoo_s_clock(simulator: Simulator, odoo: Odoo) -> None:
    order_id = two_lines(simulator)
    simulator.faults.clock(-3600)
    before = simulator.clock()
    began_at = odoo.fetch([order_id]).began_at
    assert began_at is not None
    assert -3 < (began_at - before).total_seconds() <= 0.1


def test_the_language_is_the_settings_own() -> None:
    def execute(_model: str, method: str, _args: list[Any], kwargs: dict[str, Any]) -> Any:
        assert kwargs["context"]["lang"] == "fr_FR"
        if method == "fields_get":
            return {name: {"type": "char", "relation": LINE} for name in kwargs["allfields"]}
        return {"records": []} if method == "web_search_read" else []

    tiny = TinyOdoo(execute)
    with serving(tiny.respond, language="fr_FR") as (_server, odoo):
        odoo.fetch([1])
    assert len(tiny.calls) == 4
