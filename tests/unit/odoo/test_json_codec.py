"""JSON of a server that need not be trusted, and the errors told in it."""

import json
from typing import Any

import pytest

from bc_consumer.odoo import OdooProtocolError
from bc_consumer.odoo.json_codec import fault_of, read_json, write_json


def test_values_come_as_they_were_sent() -> None:
    value = {"id": 1, "text": "a\r\nb\x0bc é 🍮", "none": None, "empty": False, "sum": 2**40}
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(b"[-1.5, 0.1, 9007199254740993, 1e3]") == [-1.5, 0.1, 9007199254740993, 1000.0]
    assert read_json(b"-9223372036854775807") == -(2**63) + 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b'{"a": 1',
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b"[-1e999]",
        b"[" + b"9" * 5_000 + b"]",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'"\xff"',
        b'{"a": 1} {"b": 2}',
        "[1]".encode("utf-16"),
        b"\xef\xbb\xbf[1]",
    ],
)
def test_what_is_no_answer_of_odoo_is_refused(body: bytes) -> None:
    with pytest.raises(OdooProtocolError, match="not JSON"):
        read_json(body)


@pytest.mark.parametrize("value", [object(), float("nan"), float("inf"), {1, 2}, "\ud800"])
def test_what_cannot_be_written_is_told(value: Any) -> None:
    with pytest.raises(OdooProtocolError, match="can't carry"):
        write_json({"domain": [["id", "=", value]]})


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("odoo.exceptions.AccessDenied", 3, "a message"),
        ("odoo.exceptions.AccessError", 4, "a message"),
        ("odoo.exceptions.MissingError", 2, "a message"),
        ("odoo.exceptions.UserError", 2, "a message"),
        ("odoo.exceptions.ValidationError", 2, "a message"),
        ("builtins.ValueError", 1, "Traceback …\nValueError: a message"),
        ("psycopg2.errors.DiskFull", 1, "Traceback …\nValueError: a message"),
    ],
)
def test_errors_are_known_by_their_names(name: str, code: int, text: str) -> None:
    debug = "Traceback …\nValueError: a message"
    fault = fault_of({"name": name, "message": "a message", "debug": debug})
    assert fault is not None
    assert (fault.code, fault.text) == (code, text)


def test_an_error_without_a_traceback_names_its_kind() -> None:
    fault = fault_of({"name": "builtins.ValueError", "message": "Invalid field 'x' on 'y'"})
    assert fault is not None
    assert fault.text == "ValueError: Invalid field 'x' on 'y'"


@pytest.mark.parametrize("error", [{}, {"name": "x"}, {"message": "x"}, {"name": 1, "message": 2}])
def test_what_is_no_error_of_odoo_is_none(error: dict[str, Any]) -> None:
    assert fault_of(error) is None


def test_a_number_beyond_64_bits_is_no_whole_number_any_more() -> None:
    """So nothing takes it for an id or a count: those have to be whole."""
    assert read_json(b"[18446744073709551616]") == [float(2**64)]
    assert isinstance(read_json(b"[18446744073709551616]")[0], float)


def test_half_a_character_outside_of_the_basic_plane_is_read() -> None:
    """A strict reader refuses what Odoo sends of such a text, and the whole batch with it."""
    assert read_json(b'["a\\ud83d", 1.5]') == ["a\ud83d", 1.5]
