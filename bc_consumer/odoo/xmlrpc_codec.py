"""XML-RPC ↔ Python values, for answers of a server that is not trusted.

The reader accepts only the elements of XML-RPC, nested no deeper than 200, and refuses every
declaration (``<!DOCTYPE``, ``<!ENTITY``). So an answer can't expand, make us read files, or take
more memory than its size allows. It builds values while expat parses, without a tree in between:
see docs/decisions/0034-xml-and-json-readers.md for what that costs.
"""

import math
import xmlrpc.client
from collections.abc import Callable, Sequence
from typing import Any
from xml.parsers import expat

from bc_consumer.core.shortening import cut_between_words
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of
from bc_consumer.odoo.errors import OdooProtocolError
from bc_consumer.odoo.fault_errors import Fault
from bc_consumer.odoo.versions.before_17 import CONTROL_CHARACTERS

PIECE = 64 * 1024  # bytes
DEEPEST = 200  # elements; an order with lines and their taxes has about 30

NO_CHARACTERS = ("\ufffe".encode(), "\uffff".encode())
"""XML forbids these two; every Odoo sends them as they are, if a text holds them (measured)."""

LARGEST_INTEGER = 2**63 - 1  # as PostgreSQL's


def _integer(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"the integer {cut_between_words(text, 40)}") from None
    if abs(value) > LARGEST_INTEGER:
        raise ValueError(f"an integer of {len(text)} digits")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:  # its message would repeat the whole text
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"the number {cut_between_words(text, 40)}")
    return value


def _boolean(text: str) -> bool:
    if text.strip() not in {"0", "1"}:
        raise ValueError(f"{cut_between_words(text, 40)} in place of 0 or 1")
    return text.strip() == "1"


SCALARS: dict[str, Callable[[str], Any]] = {
    "int": _integer,
    "i4": _integer,
    "i8": _integer,
    "double": _number,
    "string": str,
    "dateTime.iso8601": str,
    "boolean": _boolean,
    "nil": lambda _text: None,
}
VALUES = frozenset({*SCALARS, "array", "struct"})
CHILDREN: dict[str, frozenset[str]] = {
    "": frozenset({"methodResponse"}),
    "methodResponse": frozenset({"params", "fault"}),
    "params": frozenset({"param"}),
    "param": frozenset({"value"}),
    "fault": frozenset({"value"}),
    "value": VALUES,
    "array": frozenset({"data"}),
    "data": frozenset({"value"}),
    "struct": frozenset({"member"}),
    "member": frozenset({"name", "value"}),
}
NO_CHILDREN: frozenset[str] = frozenset()


def write_call(method: str, params: Sequence[Any]) -> bytes:
    """Write a call. Raises OdooProtocolError for values that XML-RPC can't carry.

    Such are None and integers beyond 2³¹−1; Odoo can't send them either (measured on 17).
    """
    text = ""
    try:
        text = xmlrpc.client.dumps(tuple(params), methodname=method, allow_none=False)
        return text.encode("utf-8")
    except (TypeError, OverflowError, UnicodeEncodeError) as error:
        problem = f"{type(error).__name__}: {error}" if not isinstance(error, UnicodeError) else ""
    # Raised outside of the handler and without ``params``: no frame may hold the password.
    del params, text
    raise OdooProtocolError(
        _(
            "XML-RPC can't carry a value of this call (%(problem)s)",
            problem=problem or _("bad text"),
        )
    )


def read_response(body: bytes) -> Any:
    """Read an answer. Raises Fault, or OdooProtocolError if it is not an XML-RPC answer.

    If expat refuses it, the characters that XML forbids are removed, and it is read once more.
    """
    try:
        return _Reader().read(body)
    except expat.ExpatError as error:
        cleaned = _remove_forbidden_characters(body)
        if len(cleaned) == len(body):
            raise OdooProtocolError(
                _("Odoo's answer is not well-formed XML: %(error)s", error=message_of(error))
            ) from None
    try:
        return _Reader().read(cleaned)
    except expat.ExpatError as error:
        raise OdooProtocolError(
            _("Odoo's answer is not well-formed XML: %(error)s", error=message_of(error))
        ) from None


def _remove_forbidden_characters(body: bytes) -> bytes:
    cleaned = body.translate(None, CONTROL_CHARACTERS)
    for character in NO_CHARACTERS:
        cleaned = cleaned.replace(character, b"")
    return cleaned


class _Reader:
    """Parses one answer: keeps a stack of open elements, and one of unfinished arrays and structs.

    ``self._value`` is the value whose element closed last; the parent takes it when it closes.
    """

    def __init__(self) -> None:
        self._tags = [""]
        self._containers: list[Any] = []
        self._names: list[str | None] = []
        self._known_names: dict[str, str] = {}  # so that all records share one object for each name
        self._text: list[str] = []
        self._value: Any = None
        self._typed = False  # whether the open <value> has had a child that names its type
        self._results: list[Any] = []
        self._fault = False

    def read(self, body: bytes) -> Any:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        try:
            self._parse(parser, body)
        except (ValueError, OverflowError) as error:
            raise OdooProtocolError(
                _("Odoo's answer contains an invalid value: %(error)s", error=message_of(error))
            ) from None
        if len(self._results) != 1:
            raise OdooProtocolError(_("Odoo's answer does not contain exactly one value"))
        if self._fault:
            raise _fault_of(self._results[0])
        return self._results[0]

    def _parse(self, parser: expat.XMLParserType, body: bytes) -> None:
        """Feed expat piece by piece, and refuse a long tag: each attribute becomes an object."""
        for start in range(0, len(body), PIECE):
            parser.Parse(body[start : start + PIECE], False)
            if start - parser.CurrentByteIndex > PIECE:
                raise OdooProtocolError(
                    _("Odoo's answer has a tag of more than %(bytes)s bytes", bytes=PIECE)
                )
        parser.Parse(b"", True)

    def _refuse(self, *_declaration: object) -> None:
        raise OdooProtocolError(
            _("Odoo's answer declares a document type or entities, which Odoo never does: refused")
        )

    def _start(self, tag: str, _attributes: object) -> None:
        tags = self._tags
        if tag not in CHILDREN.get(tags[-1], NO_CHILDREN):
            raise OdooProtocolError(
                _(
                    "Odoo's answer has <%(tag)s> in <%(tags)s>: it is not XML-RPC",
                    tag=cut_between_words(tag, 40),
                    tags=tags[-1],
                )
            )
        tags.append(tag)
        if len(tags) > DEEPEST:
            raise OdooProtocolError(
                _("Odoo's answer is nested deeper than %(deepest)s elements", deepest=DEEPEST)
            )
        self._text.clear()
        if tag == "value":
            self._typed = False
        elif tag == "array":
            self._containers.append([])
        elif tag == "struct":
            self._containers.append({})
        elif tag == "member":
            self._names.append(None)
        elif tag == "fault":
            self._fault = True

    def _end(self, tag: str) -> None:
        self._tags.pop()
        read = SCALARS.get(tag)
        if read is not None:
            self._value = read("".join(self._text))
            self._typed = True
        elif tag == "value":
            self._end_value()
        elif tag == "name":
            name = "".join(self._text)
            self._names[-1] = self._known_names.setdefault(name, name)
        elif tag == "member":
            self._end_member()
        elif tag in {"array", "struct"}:
            self._value = self._containers.pop()
            self._typed = True
        self._text.clear()

    def _end_value(self) -> None:
        if not self._typed:
            self._value = "".join(self._text)  # a value without a type is a string
        parent = self._tags[-1]
        if parent == "data":
            self._containers[-1].append(self._value)
        elif parent in {"param", "fault"}:
            self._results.append(self._value)

    def _end_member(self) -> None:
        name = self._names.pop()
        if name is None:
            raise OdooProtocolError(_("Odoo's answer has a member without a name"))
        self._containers[-1][name] = self._value


def _fault_of(value: Any) -> Exception:
    if isinstance(value, dict):
        code, text = value.get("faultCode"), value.get("faultString")
        if isinstance(code, int | str) and isinstance(text, str):
            return Fault(code, text)
    return OdooProtocolError(_("Odoo's answer is a fault without code and text"))
