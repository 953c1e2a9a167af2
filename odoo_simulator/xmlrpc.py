"""XML-RPC encoding, byte for byte like Python's xmlrpc.client, only faster."""

from __future__ import annotations

import re
import xmlrpc.client
from collections.abc import Callable
from typing import Any

from odoo_simulator.errors import ServerError

_HEAD = "<?xml version='1.0'?>\n<methodResponse>\n"
_TAIL = "</methodResponse>\n"
# Characters that XML 1.0 cannot carry; Odoo strips them. (A carriage return is carried, and the
# reader's parser turns it into a newline.)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NEEDS_CARE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff&<>]")
_MAXIMUM = 2**31 - 1
Write = Callable[[str], Any]


def loads(body: bytes) -> tuple[str, list[Any]]:
    """Parse a method call. Raises ServerError (fault 1, as Odoo answers) for anything else."""
    try:
        params, method = xmlrpc.client.loads(body.decode("utf-8"), use_builtin_types=True)
    except Exception as error:  # noqa: BLE001 - whatever expat or the unmarshaller say
        raise ServerError(type(error).__name__, str(error)) from None
    if method is None:
        raise ServerError("ValueError", "not a method call")
    return method, list(params)


def dumps(value: Any) -> bytes:
    """Encode a response. Like Odoo, raises ServerError for None and for integers over 2³¹−1."""
    parts: list[str] = []
    _value(value, parts.append)
    body = "".join(parts)
    return f"{_HEAD}<params>\n<param>\n{body}</param>\n</params>\n{_TAIL}".encode()


def dumps_unfiltered(value: Any) -> bytes:
    """Encode a response like Odoo up to 16, which leaves control characters in (measured)."""
    try:
        return xmlrpc.client.dumps((value,), methodresponse=True).encode()
    except (TypeError, OverflowError) as error:
        raise ServerError(type(error).__name__, str(error)) from None


def fault(code: int | str, text: str) -> bytes:
    parts: list[str] = []
    _value({"faultCode": code, "faultString": text}, parts.append)
    return f"{_HEAD}<fault>\n{''.join(parts)}</fault>\n{_TAIL}".encode()


def escaped(text: str) -> str:
    if _NEEDS_CARE.search(text) is None:
        return text
    text = _CONTROL.sub("", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _value(value: Any, write: Write) -> None:
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise ServerError("TypeError", f"cannot marshal {type(value)} objects")
    writer(value, write)


def _string(value: str, write: Write) -> None:
    write(f"<value><string>{escaped(value)}</string></value>\n")


def _integer(value: int, write: Write) -> None:
    if not -_MAXIMUM - 1 <= value <= _MAXIMUM:
        raise ServerError("OverflowError", "int exceeds XML-RPC limits")
    write(f"<value><int>{value}</int></value>\n")


def _boolean(value: bool, write: Write) -> None:
    write(
        "<value><boolean>1</boolean></value>\n"
        if value
        else "<value><boolean>0</boolean></value>\n"
    )


def _double(value: float, write: Write) -> None:
    write(f"<value><double>{value!r}</double></value>\n")


def _none(_value: None, _write: Write) -> None:
    raise ServerError("TypeError", "cannot marshal None unless allow_none is enabled")


def _array(value: list[Any] | tuple[Any, ...], write: Write) -> None:
    write("<value><array><data>\n")
    writers = _WRITERS
    for item in value:
        writers[type(item)](item, write)
    write("</data></array></value>\n")


def _struct(value: dict[str, Any], write: Write) -> None:
    write("<value><struct>\n")
    writers = _WRITERS
    for name, item in value.items():
        kind = type(item)
        # One write for each of the three commonest kinds: this is the server's hottest loop.
        if kind is str:
            write(
                f"<member>\n<name>{name}</name>\n<value><string>{escaped(item)}</string></value>\n"
                "</member>\n"
            )
        elif kind is float:
            write(
                f"<member>\n<name>{name}</name>\n<value><double>{item!r}</double></value>\n</member>\n"
            )
        elif kind is bool:
            write(
                f"<member>\n<name>{name}</name>\n<value><boolean>{int(item)}</boolean></value>\n"
                "</member>\n"
            )
        else:
            write(f"<member>\n<name>{escaped(name)}</name>\n")
            writers[kind](item, write)
            write("</member>\n")
    write("</struct></value>\n")


_WRITERS: dict[type, Callable[[Any, Write], None]] = {
    str: _string,
    int: _integer,
    bool: _boolean,
    float: _double,
    type(None): _none,
    list: _array,
    tuple: _array,
    dict: _struct,
}
