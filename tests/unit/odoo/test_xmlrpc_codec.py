"""Reading answers: everything Odoo sends, nothing that could harm."""

import contextlib
import tracemalloc
import xmlrpc.client
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bc_consumer.odoo.errors import OdooProtocolError
from bc_consumer.odoo.fault_errors import Fault
from bc_consumer.odoo.xmlrpc_codec import read_response, write_call
from tests.unit.odoo.serving import captured

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]))
SCALAR = (
    st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT.filter(lambda text: "\ufffe" not in text and "\uffff" not in text)
)
VALUES = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_", min_size=1), inner),
    max_leaves=20,
)


def marshalled(value: Any) -> bytes:
    return xmlrpc.client.dumps((value,), methodresponse=True).encode()


def response(inner: str) -> bytes:
    return f"<?xml version='1.0'?><methodResponse>{inner}</methodResponse>".encode()


def one(value: str) -> bytes:
    return response(f"<params><param><value>{value}</value></param></params>")


@given(VALUES)
def test_any_value_comes_back_as_it_was_sent(value: Any) -> None:
    assert read_response(marshalled(value)) == value


@given(VALUES)
def test_calls_are_what_the_standard_library_reads(value: Any) -> None:
    params, method = xmlrpc.client.loads(write_call("execute_kw", ("db", value)))
    assert (params, method) == (("db", value), "execute_kw")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_is_a_protocol_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(OdooProtocolError):
        read_response(data)


@given(st.data())
def test_a_damaged_answer_is_a_protocol_error_or_a_value(data: st.DataObject) -> None:
    body = captured("17_14_web_read_nested.txt")
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 50)))
    damaged = body[:start] + data.draw(st.binary(max_size=10)) + body[end:]
    with contextlib.suppress(OdooProtocolError, Fault):
        read_response(damaged)  # anything else it raises fails this test


@pytest.mark.parametrize(
    "name",
    [
        "17_05_read_order.txt",
        "17_15_web_search_read_nested.txt",
        "19_15_web_search_read_nested.txt",
    ],
)
def test_captured_answers_read_as_the_standard_library_reads_them(name: str) -> None:
    body = captured(name)
    assert read_response(body) == xmlrpc.client.loads(body)[0][0]


def test_a_fault_has_code_and_text() -> None:
    with pytest.raises(Fault) as caught:
        read_response(captured("17_04_execute_wrong_password_fault.txt"))
    assert (caught.value.code, caught.value.text) == (3, "Access Denied")


def test_values_without_a_type_are_texts() -> None:
    assert read_response(one("plain")) == "plain"
    assert read_response(one("")) == ""
    assert read_response(one("<nil/>")) is None
    assert read_response(one("<array><data></data></array>")) == []


BOMB = "<!DOCTYPE x [<!ENTITY a 'lol'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
FILE = "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"


@pytest.mark.parametrize("declaration", [BOMB, FILE, "<!DOCTYPE methodResponse>"])
def test_declarations_are_refused(declaration: str) -> None:
    body = f"<?xml version='1.0'?>{declaration}".encode() + one("&a;")[21:]
    with pytest.raises(OdooProtocolError, match="refused"):
        read_response(body)


def test_a_declaration_in_another_encoding_is_refused_too() -> None:
    text = f"<?xml version='1.0' encoding='utf-16'?>{BOMB}" + one("&b;")[21:].decode()
    with pytest.raises(OdooProtocolError):
        read_response(text.encode("utf-16"))


def test_depth_is_limited() -> None:
    deep = "<array><data><value>" * 1000 + "1" + "</value></data></array>" * 1000
    with pytest.raises(OdooProtocolError, match="deeper"):
        read_response(one(deep))


def test_memory_stays_in_proportion_to_the_answer() -> None:
    body = one("<array><data>" + "<value/>" * 200_000 + "</data></array>")
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _peak = tracemalloc.get_traced_memory()
        assert len(read_response(body)) == 200_000
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 4 * len(body)


@pytest.mark.parametrize(
    "body",
    [
        one("<int>twelve</int>"),
        one("<int>9223372036854775808</int>"),
        one("<i8>" + "9" * 5_000 + "</i8>"),
        one("<double>nan</double>"),
        one("<double>-inf</double>"),
        one("<double>1e999</double>"),
        one("<boolean>2</boolean>"),
        one("<money>1</money>"),
        one("<struct><member><value>1</value></member></struct>"),
        response("<params></params>"),
        response("<fault><value>broken</value></fault>"),
        response("<fault><value><struct></struct></value></fault>"),
        b"<a><b/></a>",
        b"",
    ],
)
def test_what_is_no_answer_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(OdooProtocolError):
        read_response(body)


def test_characters_that_xml_forbids_do_not_spoil_an_answer() -> None:
    """Odoo 16 sends all of these (measured); later ones the last two alone."""
    body = one("<string>a\x00\x01\x08\x0b\x0c\x0e\x1fb\tc\r\nd\x7f\ufffee\uffff\u2028\x85</string>")
    assert read_response(body) == "ab\tc\nd\x7fe\u2028\x85"


def test_a_declaration_is_refused_with_such_characters_in_it_too() -> None:
    with pytest.raises(OdooProtocolError):
        read_response(b"<!DOC\x0bTYPE x [<!ENTITY a 'b'>]>" + one("<string>&a;</string>"))


@pytest.mark.parametrize("value", [None, 2**31, -(2**31) - 1, object(), "\ud800"])
def test_what_xmlrpc_cannot_carry_is_told_before_it_is_sent(value: Any) -> None:
    with pytest.raises(OdooProtocolError, match="can't carry"):
        write_call("execute_kw", ("db", "password", [value]))
