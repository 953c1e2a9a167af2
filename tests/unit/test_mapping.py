"""Values of Odoo → columns: real orders, odd values, and what can't be copied."""

import json
import math
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bc_consumer.fields.field import Field
from bc_consumer.fields.kinds import Kind
from bc_consumer.fields.table import PURCHASE_ORDER, PURCHASE_ORDER_LINE
from bc_consumer.models import BC, BCLine
from bc_consumer.odoo import OrderSnapshot
from bc_consumer.odoo.field_set import FieldSet, ModelFields, WantedFields, load_field_set
from bc_consumer.odoo.records import LineSnapshot, build_order
from bc_consumer.refresh.mapping import MappingError, map_order
from tests.unit.odoo.serving import CAPTURES

VERSIONS = (17, 18, 19)
# Columns that are the copy's own.
OWN = {"id", "odoo_id", "extra", "synced_at", "mapping_version"}
OWN |= {"archived_at", "archived_reason", "forbidden_at", "bc", "version"}


def snapshot(
    values: dict[str, Any] | None = None,
    line: dict[str, Any] | None = None,
    currency_decimals: int | None = 2,
    digits: dict[str, int] | None = None,
) -> OrderSnapshot:
    lines = (LineSnapshot(id=70, values=line or {}),)
    fields = FieldSet(
        all_present("purchase.order", PURCHASE_ORDER, {}),
        all_present("purchase.order.line", PURCHASE_ORDER_LINE, digits or {}),
    )
    return OrderSnapshot(7, values or {}, lines, fields, currency_decimals)


def all_present(model: str, table: tuple[Field, ...], digits: dict[str, int]) -> ModelFields:
    return ModelFields(
        model, tuple((field, field.odoo_names[0]) for field in table), (), digits, {}
    )


def order_value(name: str, value: Any, **options: Any) -> Any:
    return map_order(snapshot({name: value}, **options)).fields[name]


def line_value(name: str, value: Any, **options: Any) -> Any:
    return map_order(snapshot(line={name: value}, **options)).lines[0].fields[name]


def real_orders(version: int) -> list[tuple[dict[str, Any], OrderSnapshot]]:
    """Orders of a demo database as Odoo gave them, and their snapshots."""
    fields = json.loads((CAPTURES / f"{version}_fields_get.json").read_text())
    given_orders = json.loads((CAPTURES / f"{version}_demo_orders.json").read_text())
    captured = set(given_orders["purchase.order"][0])
    captured |= {"state"}.union(*(one["order_line"][0] for one in given_orders["purchase.order"]))
    # A field that came into the table since was not captured: as if this Odoo lacked it.
    field_set = load_field_set(
        WantedFields("purchase.order"),
        lambda model, names: {
            n: fields[model][n] for n in names if n in fields[model] and n in captured
        },
    )
    taxes = field_set.line.odoo_name("taxes")
    pairs = []
    for record in given_orders["purchase.order"]:
        nested = json.loads(json.dumps(record))
        nested["currency_id"]["decimal_places"] = 2
        for line in nested["order_line"]:
            line[taxes] = [{"id": tax, "display_name": f"Tax {tax}"} for tax in line[taxes]]
            line.setdefault("state", nested["state"])  # not stored in 19, so not captured
        pairs.append((record, build_order(nested, field_set)))
    return pairs


@pytest.mark.parametrize("version", VERSIONS)
def test_every_column_of_a_real_order_is_what_odoo_shows(version: int) -> None:
    pairs = real_orders(version)
    assert len(pairs) >= 12
    for record, given_snapshot in pairs:
        mapped = map_order(given_snapshot)
        assert_same(mapped.fields, record, PURCHASE_ORDER)
        by_id = {line["id"]: line for line in record["order_line"]}
        assert [line.odoo_id for line in mapped.lines] == sorted(by_id)
        for line in mapped.lines:
            own = {"state": record["state"], **by_id[line.odoo_id]}
            assert_same(line.fields, own, PURCHASE_ORDER_LINE)


def assert_same(columns: Any, record: dict[str, Any], table: tuple[Field, ...]) -> None:
    """Compare by rules written down here once more, plainly."""
    for field in table:
        name = next((n for n in field.odoo_names if n in record), None)
        if field.name in {"order_line", "order_id"}:
            continue
        if name is None and field.derive is not None:
            assert columns[field.name] == (record["state"] == "done")
        if name is None:
            continue
        value = record[name]
        if field.kind is Kind.MANY2ONE:
            base = field.name.removesuffix("_id")
            expected = (value["id"], value["display_name"]) if value else (None, "")
            assert (columns[f"{base}_id"], columns[f"{base}_name"]) == expected
        elif field.kind is Kind.MANY2MANY:
            assert columns[field.name] == [{"id": i, "name": f"Tax {i}"} for i in sorted(value)]
        elif field.kind is Kind.DATETIME:
            shown = columns[field.name] and columns[field.name].strftime("%Y-%m-%d %H:%M:%S")
            assert (shown or False) == value
        elif field.kind is Kind.MONEY:
            assert columns[field.name] == Decimal(f"{value:.2f}")  # Odoo: 631.8000000000001
        elif field.kind in {Kind.PRICE, Kind.QUANTITY, Kind.NUMBER}:
            assert columns[field.name] == Decimal(str(value))
        elif field.kind in {Kind.TEXT, Kind.HTML}:
            assert columns[field.name] == (value or "")
        else:
            assert columns[field.name] == value


def test_the_mapping_fills_exactly_the_columns_of_the_copy() -> None:
    mapped = map_order(snapshot())
    assert mapped.fields.keys() == {f.name for f in BC._meta.concrete_fields} - OWN
    line_columns = {f.name for f in BCLine._meta.concrete_fields} - OWN
    assert mapped.lines[0].fields.keys() == line_columns
    assert (mapped.odoo_id, mapped.lines[0].odoo_id) == (7, 70)


@pytest.mark.parametrize("empty", [False, None])
def test_empty_means_what_the_field_s_kind_says(empty: Any) -> None:
    expected = {
        Kind.TEXT: "",
        Kind.BOOLEAN: False,
        Kind.INTEGER: 0,
        Kind.MONEY: None,
        Kind.NUMBER: None,
        Kind.DATETIME: None,
        Kind.MANY2MANY: [],
    }
    for field in PURCHASE_ORDER:
        if field.kind in expected:
            assert order_value(field.name, empty) == expected[field.kind]
    for field in PURCHASE_ORDER_LINE:
        if field.kind in expected:
            assert line_value(field.name, empty) == expected[field.kind]
    fields = map_order(snapshot({"partner_id": empty})).fields
    assert (fields["partner_id"], fields["partner_name"]) == (None, "")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a\r\nb\x0bc", "a\nbc"),
        ("a\rb\r\r\nc", "a\nb\n\nc"),
        ("nul\x00 bell\x07 tab\t", "nul bell tab\t"),
        ("half \ud83d, none \ufffe\uffff", "half , none "),
        ("Crème brûlée 🍮 «42 €» \u200b\xa0", "Crème brûlée 🍮 «42 €» \u200b\xa0"),
    ],
)
def test_texts_are_the_same_whatever_protocol_brought_them(sent: str, kept: str) -> None:
    assert order_value("origin", sent) == kept
    assert line_value("name", sent) == kept
    named = {"partner_id": {"id": 3, "display_name": sent}}
    assert map_order(snapshot(named)).fields["partner_name"] == kept


@given(st.text())
def test_a_text_once_normalised_stays_as_it_is(text: str) -> None:
    once = order_value("notes", text)
    assert order_value("notes", once) == once
    once.encode("utf-8")
    assert not set(once) & {"\r", "\x00", "\x0b", "\x1f"}


@pytest.mark.parametrize(
    ("value", "decimals", "kept"),
    [
        (125.35000000000001, 2, "125.35"),
        (125.35, 2, "125.35"),
        (1.005, 2, "1.01"),  # what is shown rounds, not the binary below it
        (2.675, 2, "2.68"),
        (-1.005, 2, "-1.01"),
        (0.1 + 0.2, 2, "0.30"),
        (1234.5, 0, "1235"),
        (0.0005, 3, "0.001"),
        (-0.0, 2, "0.00"),
        (-0.001, 2, "0.00"),
        (0.1 + 0.2, None, "0.30000000000000004"),
        (1e22, 2, "10000000000000000000000.00"),
        (7, 2, "7.00"),
    ],
)
def test_money_has_the_decimals_of_the_currency(
    value: float, decimals: int | None, kept: str
) -> None:
    for mapped in (
        order_value("amount_total", value, currency_decimals=decimals),
        line_value("price_tax", value, currency_decimals=decimals),
        line_value("price_subtotal", value, currency_decimals=decimals),
    ):
        assert mapped == Decimal(kept)
        assert not mapped.is_signed() or mapped < 0


def test_quantities_and_prices_have_the_decimals_of_their_field() -> None:
    for name in ("product_qty", "qty_received", "qty_invoiced", "price_unit", "discount"):
        assert line_value(name, 1.23456, digits={name: 3}) == Decimal("1.235")
        assert line_value(name, 1.23456, digits={}) == Decimal("1.23456")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_without_decimals_to_round_to_comes_back_as_the_same_double(x: float) -> None:
    mapped = line_value("price_unit", x)
    assert float(mapped) == x


@given(st.floats(-1e12, 1e12), st.integers(0, 6))
def test_rounding_is_half_up_and_done_once(x: float, decimals: int) -> None:
    mapped = order_value("amount_total", x, currency_decimals=decimals)
    with localcontext(prec=60):
        exact = Decimal(repr(x))
        assert abs(mapped - exact) <= Decimal(5).scaleb(-decimals - 1)
        assert mapped == exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    # Read again from a copy that stores doubles, it is the same.
    assume(abs(x) < 1e9)
    assert order_value("amount_total", float(mapped), currency_decimals=decimals) == mapped


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001
def test_any_moment_comes_back(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    padded = moment.strftime("%m-%d %H:%M:%S")
    for year in (f"{moment.year:04d}", str(moment.year)):
        assert order_value("date_order", f"{year}-{padded}") == moment


def test_a_moment_may_carry_microseconds() -> None:
    expected = datetime(2026, 11, 24, 2, 33, 1, 126_600, tzinfo=UTC)
    assert order_value("write_date", "2026-11-24 02:33:01.1266") == expected


def test_taxes_are_sorted_by_id() -> None:
    sent = [{"id": 9, "display_name": "5.5 %"}, {"id": 2, "display_name": False}]
    assert line_value("taxes", sent) == [{"id": 2, "name": ""}, {"id": 9, "name": "5.5 %"}]


def test_an_unknown_selection_value_is_kept() -> None:
    assert order_value("state", "x_waiting_for_rain") == "x_waiting_for_rain"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("name", 5, "a text"),
        ("name", True, "a text"),
        ("locked", "yes", "true or false"),
        ("amount_total", "12.5", "a number"),
        ("amount_total", True, "a number"),
        ("amount_total", math.nan, "finite"),
        ("amount_tax", math.inf, "finite"),
        ("date_order", "24/11/2026", "a date"),
        ("date_order", "2026-02-30 00:00:00", "calendar"),
        ("date_order", "0000-01-01 00:00:00", "calendar"),
        ("date_order", 5, "a date"),
        ("partner_id", 5, "a related record"),
        ("partner_id", {"id": 0}, "a related record"),
        ("partner_id", {"id": 2**63, "display_name": "x"}, "a related record"),
        ("partner_id", {"id": 5, "display_name": 7}, "a text"),
    ],
)
def test_what_does_not_fit_is_named(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(MappingError, match=rf"{name} of order 7 can't be copied: .*{wanted}") as e:
        map_order(snapshot({name: value}))
    assert (e.value.order_id, e.value.line_id, e.value.field) == (7, None, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sequence", 2**63),
        ("sequence", 1.5),
        ("sequence", True),
        ("price_unit", math.nan),
        ("product_qty", "1"),
        ("taxes", "none"),
        ("taxes", [5]),
        ("taxes", [{"display_name": "x"}]),
        ("product_id", [1, "x"]),
    ],
)
def test_what_does_not_fit_in_a_line_names_the_line(name: str, value: Any) -> None:
    with pytest.raises(MappingError, match=f"{name} of order 7, line 70 can't be copied") as e:
        map_order(snapshot(line={name: value}))
    assert (e.value.line_id, e.value.field) == (70, name)


ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
NAMES = [field.name for field in PURCHASE_ORDER]
LINE_NAMES = [field.name for field in PURCHASE_ORDER_LINE]


@given(
    st.dictionaries(st.sampled_from(NAMES), ANY | st.dictionaries(st.just("id"), ANY)),
    st.dictionaries(st.sampled_from(LINE_NAMES), ANY | st.lists(ANY, max_size=2)),
)
def test_any_values_are_mapped_or_named(values: dict[str, Any], line: dict[str, Any]) -> None:
    given_snapshot = snapshot(values, line)
    try:
        mapped = map_order(given_snapshot)
    except MappingError as error:
        where = line if error.line_id else values
        assert error.field in where  # noqa: PT017
    else:
        assert map_order(given_snapshot) == mapped


# --- fields without a column ----------------------------------------------------------------------


def extra_value(kind: Kind, value: Any, decimals: int | None = None) -> Any:
    field = Field("x_field", kind, ("x_field",), extra=True)
    digits = {} if decimals is None else {"x_field": decimals}
    fields = FieldSet(
        ModelFields("purchase.order", ((field, "x_field"),), (), digits, {}),
        ModelFields("purchase.order.line", (), (), {}, {}),
    )
    given_snapshot = OrderSnapshot(7, {"x_field": value}, (), fields, 2)
    mapped = map_order(given_snapshot)
    assert mapped.fields == {}
    kept = mapped.extra.values["x_field"]
    assert json.loads(json.dumps(kept)) == kept, "it must come back from the database unchanged"
    return kept


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (Kind.TEXT, "a\r\nb\x0b", "a\nb"),
        (Kind.BOOLEAN, False, False),
        (Kind.INTEGER, 0, 0),
        (Kind.MONEY, 12.5, "12.50"),
        (Kind.MONEY, 0.1 + 0.2, "0.30"),
        (Kind.NUMBER, 1.25, "1.25"),
        (Kind.NUMBER, 1e22, "10000000000000000000000"),
        (Kind.NUMBER, -0.0, "0.0"),
        (Kind.DATE, "2026-02-28", "2026-02-28"),
        (Kind.DATE, "26-02-28", "0026-02-28"),
        (Kind.DATETIME, "2026-11-24 01:50:34", "2026-11-24T01:50:34Z"),
        (Kind.MANY2ONE, {"id": 3, "display_name": "A\r\nB"}, {"id": 3, "name": "A\nB"}),
        (
            Kind.MANY2MANY,
            [{"id": 9, "display_name": "Z"}, {"id": 2, "display_name": "A"}],
            [{"id": 2, "name": "A"}, {"id": 9, "name": "Z"}],
        ),
    ],
)
def test_extra_fields_have_the_form_of_their_type(kind: Kind, value: Any, kept: Any) -> None:
    assert extra_value(kind, value) == kept


@pytest.mark.parametrize(
    "kind",
    [Kind.TEXT, Kind.MONEY, Kind.NUMBER, Kind.DATE, Kind.DATETIME, Kind.MANY2ONE],
)
def test_what_is_empty_is_null_in_extra(kind: Kind) -> None:
    assert extra_value(kind, False) is None


def test_an_empty_text_and_none_at_all_are_the_same_in_extra() -> None:
    assert extra_value(Kind.TEXT, "") is extra_value(Kind.TEXT, False) is None
    assert extra_value(Kind.MANY2MANY, False) == []


def test_extra_numbers_have_the_field_s_digits() -> None:
    assert extra_value(Kind.NUMBER, 0.125, decimals=2) == "0.13"


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Kind.DATE, "2026-02-30"), (Kind.DATE, "yesterday"), (Kind.DATE, 7), (Kind.NUMBER, "1")],
)
def test_an_extra_value_that_does_not_fit_names_its_field(kind: Kind, value: Any) -> None:
    with pytest.raises(MappingError, match="x_field of order 7"):
        extra_value(kind, value)


def test_what_odoo_lacks_is_left_out_and_the_copy_keeps_what_it_had() -> None:
    lacking = Field("x_gone", Kind.TEXT, ("x_gone",), extra=True)
    table = tuple(field for field in PURCHASE_ORDER if field.name != "origin")
    absent = (lacking, *(field for field in PURCHASE_ORDER if field.name == "origin"))
    present = all_present("purchase.order", table, {}).present
    fields = FieldSet(
        ModelFields("purchase.order", present, absent, {}, {}),
        all_present("purchase.order.line", PURCHASE_ORDER_LINE, {}),
    )
    mapped = map_order(OrderSnapshot(7, {}, (), fields, 2))
    assert "origin" not in mapped.fields
    assert "name" in mapped.fields
    assert mapped.extra.over({"x_gone": "kept", "x_removed": 1}) == {"x_gone": "kept"}
