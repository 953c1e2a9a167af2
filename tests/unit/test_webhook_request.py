"""What the webhook's body and query are understood as."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bc_consumer.core.odoo_ids import HIGHEST_ID
from bc_consumer.core.redactor import Redactor
from odoo_webhook.webhook_request import PayloadError, authorized, parse
from tests.bodies import bodies
from tests.quick import examples

ORDER = {
    "_action": "Send Webhook Notification(#477)",
    "_id": 1,
    "_model": "purchase.order",
    "id": 1,
}
LINE = {"_id": 25863, "_model": "purchase.order.line", "id": 25863, "order_id": 7}


def body(values: object) -> bytes:
    return json.dumps(values).encode()


def test_an_order_s_event_names_the_order() -> None:
    event = parse(body(ORDER), "", "purchase.order")
    assert (event.order_ids, event.deleted) == ((1,), False)
    assert json.loads(event.text) == ORDER
    assert parse(body(ORDER), "created", "purchase.order").deleted is False
    assert parse(body(ORDER), "deleted", "purchase.order").deleted is True


def test_a_line_s_event_its_deletion_included_is_a_change_of_its_order() -> None:
    for query in ("", "created", "deleted"):
        event = parse(body(LINE), query, "purchase.order")
        assert (event.order_ids, event.deleted) == ((7,), False)


def test_a_line_s_event_without_its_order_names_the_field_to_add() -> None:
    values = {key: value for key, value in LINE.items() if key != "order_id"}
    with pytest.raises(PayloadError, match=r"Order Reference \(order_id\)"):
        parse(body(values), "", "purchase.order")


def test_a_batch_names_each_order_once() -> None:
    event = parse(body({"_model": "purchase.order", "ids": [3, 1, 3]}), "", "purchase.order")
    assert event.order_ids == (1, 3)


@pytest.mark.parametrize(
    "values",
    [
        [],
        None,
        "x",
        {},
        {"_model": "res.partner", "_id": 1},
        {"_model": ["purchase.order"], "_id": 1},
        {"_model": "purchase.order"},
        {"_model": "purchase.order", "_id": "1"},
        {"_model": "purchase.order", "_id": 1.0},
        {"_model": "purchase.order", "_id": True},
        {"_model": "purchase.order", "_id": False},
        {"_model": "purchase.order", "_id": 0},
        {"_model": "purchase.order", "_id": -1},
        {"_model": "purchase.order", "_id": HIGHEST_ID + 1},
        {"_model": "purchase.order", "ids": []},
        {"_model": "purchase.order", "ids": 3},
        {"_model": "purchase.order", "ids": [1, "2"]},
        {"_model": "purchase.order", "ids": list(range(1, 1002))},
        {"_model": "purchase.order.line", "ids": [1]},
        {"_model": "purchase.order.line", "_id": 1, "order_id": False},
        {"_model": "purchase.order.line", "_id": 1, "order_id": [1, "P00001"]},
    ],
)
def test_what_names_no_order_is_an_error(values: object) -> None:
    with pytest.raises(PayloadError):
        parse(body(values), "", "purchase.order")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000]
)
def test_what_is_no_json_is_an_error(raw: bytes) -> None:
    with pytest.raises(PayloadError):
        parse(raw, "", "purchase.order")


def test_no_expression_sees_a_whole_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """What skips the blanks before and after JSON is one, where ``json.loads`` reads it."""

    def refused(*_arguments: object) -> None:
        raise AssertionError("json.loads has read it")

    monkeypatch.setattr(json.JSONDecoder, "decode", refused)
    blanks = b" \t\r\n" * 50_000
    event = parse(blanks + json.dumps(ORDER).encode() + blanks, "", "purchase.order")
    assert event.order_ids == (1,)
    for raw in (blanks, blanks + b"{", b"{}" + blanks + b"{}", b"1" * 200_000):
        with pytest.raises(PayloadError):
            parse(raw, "", "purchase.order")


def test_a_body_is_utf_8_with_its_mark_or_without() -> None:
    text = json.dumps({**ORDER, "name": "é"}, ensure_ascii=False)
    assert parse(text.encode(), "", "purchase.order").order_ids == (1,)
    assert parse(text.encode("utf-8-sig"), "", "purchase.order").order_ids == (1,)
    for codec in ("utf-16", "latin-1", "utf-32-be"):
        with pytest.raises(PayloadError, match="not JSON"):
            parse(text.encode(codec), "", "purchase.order")


def test_an_unknown_event_is_an_error() -> None:
    with pytest.raises(PayloadError, match="deleted"):
        parse(body(ORDER), "unlinked", "purchase.order")


def test_what_is_kept_of_a_body_has_no_nul() -> None:
    event = parse(body({**ORDER, "name": "a"}).replace(b'"a"', b'"a\\u0000"'), "", "purchase.order")
    assert "\0" not in event.text
    assert parse(body(ORDER), "", "purchase.order").kept == 2_048
    assert parse(body({"_model": "purchase.order", "ids": [1]}), "", "purchase.order").kept == 200


@pytest.mark.parametrize("size", range(1_900, 2_100, 7))
def test_no_part_of_a_secret_is_kept_where_a_body_is_cut(size: int) -> None:
    secret = "Zq7Xw0pLm4Tn2Rb8Zq7Xw0pLm4Tn2Rb8"
    raw = body({**ORDER, "note": f"{'x' * size}{secret}{'y' * 9_000}"})
    event = parse(raw, "", "purchase.order")
    kept = Redactor([secret]).shortened(event.text, event.kept)
    assert "Zq7" not in kept
    assert len(kept) <= event.kept


@settings(max_examples=examples(1000), deadline=None)
@given(body=bodies(), event=st.text(max_size=8) | st.sampled_from(["", "deleted"]))
def test_any_body_gives_an_event_or_an_error_that_says_why(body: bytes, event: str) -> None:
    try:
        parsed = parse(body, event, "purchase.order")
    except PayloadError:
        return
    assert parsed.order_ids
    assert all(0 < odoo_id <= HIGHEST_ID for odoo_id in parsed.order_ids)


SECRETS = ("new-secret-é-of-today", "old-secret-of-yesterday")


def basic(login: bytes) -> str:
    import base64

    return "Basic " + base64.b64encode(login).decode()


@pytest.mark.parametrize(
    "header",
    [
        basic("odoo:new-secret-é-of-today".encode()),
        basic(b"anyone:old-secret-of-yesterday"),
        "Bearer old-secret-of-yesterday",
        "bearer   new-secret-é-of-today ",
    ],
)
def test_rule_12_each_secret_is_let_in(header: str) -> None:
    assert authorized(header, SECRETS)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Bearer",
        "Bearer x",
        basic(b"old-secret-of-yesterday"),
        basic(b"odoo:"),
        basic(b"old-secret-of-yesterday:odoo"),
        "Digest old-secret-of-yesterday",
        "old-secret-of-yesterday",
    ],
)
def test_rule_12_nothing_else_is_let_in(header: str) -> None:
    assert not authorized(header, SECRETS)
    assert not authorized(header, ())
    assert not authorized(header, ("",))
