"""JSON ↔ Python values, for answers of a server that is not trusted; and errors written in JSON.

JSON-RPC and JSON-2 describe an error by the same members: ``name`` (the exception's class),
``message``, ``arguments``, ``debug`` (a traceback). Names are code, the same in every language;
messages are translated (measured on 17, 18 and 19).
"""

import json
from collections.abc import Mapping
from typing import Any

import orjson

from bc_consumer.core.shortening import cut_between_words
from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import OdooProtocolError
from bc_consumer.odoo.fault_errors import (
    ACCESS_DENIED,
    ACCESS_ERROR,
    EXCEPTION,
    USER_ERROR,
    Fault,
)

EXCEPTIONS_OF_ODOO = "odoo.exceptions."
CODES: Mapping[str, int] = {
    "odoo.exceptions.AccessDenied": ACCESS_DENIED,
    "odoo.exceptions.AccessError": ACCESS_ERROR,
}
BLANKS = " \t\r\n"
HIGHEST_INTEGER = 2**63 - 1  # PostgreSQL's largest, where Odoo's numbers come from


def write_json(value: Any) -> bytes:
    """Write a call. Raises OdooProtocolError for values that JSON can't carry."""
    text = ""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8")
    except (TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}" if not isinstance(error, UnicodeError) else ""
    # Raised outside of the handler and without ``value``: no frame may hold the password.
    del value, text
    raise OdooProtocolError(
        _("JSON can't carry a value of this call (%(problem)s)", problem=problem or _("bad text"))
    )


def read_json(body: bytes) -> Any:
    """Read an answer. Raises OdooProtocolError if it is not JSON.

    Also for NaN and infinities, and for nesting too deep. Integers beyond 64 bits become floats,
    which no id and no whole number may be; those beyond PostgreSQL's are for the mapping to refuse.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _read_leniently(body)


def _read_leniently(body: bytes) -> Any:
    """Read what a strict reader refuses: half a character outside of the basic plane, as "\\ud83d".

    Odoo sends what users have pasted, and the mapping drops it.
    """
    try:
        text = body.decode("utf-8").strip(BLANKS)
        value, end = _DECODER.raw_decode(text)
        if end == len(text):
            return value
        problem = f"something follows its end at character {end}"
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError as error:
        problem = str(error)
    raise OdooProtocolError(_("Odoo's answer is not JSON: %(problem)s", problem=problem))


def fault_of(error: Mapping[str, Any]) -> Fault | None:
    """Return the fault that XML-RPC sends for the same error; None if this describes no error.

    An exception that is not one of Odoo's own classes becomes a traceback, whose last line is the
    error.
    """
    name, message = error.get("name"), error.get("message")
    if not isinstance(name, str) or not isinstance(message, str):
        return None
    if name.startswith(EXCEPTIONS_OF_ODOO):
        return Fault(CODES.get(name, USER_ERROR), message)
    debug = error.get("debug")
    if isinstance(debug, str) and debug.strip():
        return Fault(EXCEPTION, debug)
    return Fault(EXCEPTION, f"{name.removeprefix('builtins.')}: {message}")


def _integer(text: str) -> int:
    value = int(text)
    if abs(value) > HIGHEST_INTEGER:
        raise ValueError(f"an integer of {len(text)} digits")
    return value


def _number(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise ValueError(f"the number {cut_between_words(text, 40)} is too large")
    return value


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_constant)
