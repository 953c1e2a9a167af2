"""XML-RPC ↔ Python values, for answers of a server that we need not trust.

The reader accepts exactly the elements of XML-RPC, nested no deeper than Odoo ever does, and
refuses any declaration (``<!DOCTYPE``, ``<!ENTITY``), so that an answer can neither expand, nor
read files, nor grow in memory beyond what its size allows. It builds values while expat parses,
without a tree in between, in about the time that ``xmlrpc.client`` takes.
"""

import math
import xmlrpc.client
from collections.abc import Callable, Sequence
from typing import Any
from xml.parsers import expat

from bc_consumer.core.redactor import beginning
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of
from bc_consumer.odoo.errors import OdooProtocolError
from bc_consumer.odoo.faults import Fault

PIECE = 64 * 1024  # bytes
DEEPEST = 200  # elements; an order with lines and their taxes takes about 30

# Text may hold these, which XML forbids and Odoo sends as they are: control characters up to 16
# (measured), U+FFFE and U+FFFF always.
CONTROL_CHARACTERS = bytes({*range(0x20)} - {0x09, 0x0A, 0x0D})
NO_CHARACTERS = ("\ufffe".encode(), "\uffff".encode())

LARGEST_INTEGER = 2**63 - 1  # as PostgreSQL's


def _integer(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"the integer {beginning(text, 40)}") from None
    if abs(value) > LARGEST_INTEGER:
        raise ValueError(f"an integer of {len(text)} digits")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:  # its own words repeat all of the text
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"the number {beginning(text, 40)}")
    return value


def _boolean(text: str) -> bool:
    if text.strip() not in {"0", "1"}:
        raise ValueError(f"{beginning(text, 40)} in place of 0 or 1")
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
    """Marshal a call. Raises OdooProtocolError for what XML-RPC can't carry.

    None and integers beyond 2³¹−1 are such values (measured on 17: Odoo can't send them either).
    """
    text = ""
    try:
        text = xmlrpc.client.dumps(tuple(params), methodname=method, allow_none=False)
        return text.encode("utf-8")
    except (TypeError, OverflowError, UnicodeEncodeError) as error:
        problem = f"{type(error).__name__}: {error}" if not isinstance(error, UnicodeError) else ""
    # Outside of the handler and without ``params``: the password must not be in any frame.
    del params, text
    raise OdooProtocolError(
        _(
            "XML-RPC can't carry a value of this call (%(problem)s)",
            problem=problem or _("bad text"),
        )
    )


def read_response(body: bytes) -> Any:
    """Unmarshal an answer. Raises Fault, or OdooProtocolError if it is no XML-RPC answer."""
    try:
        return _Reader().read(body)
    except expat.ExpatError as error:
        fit = _fit(body)
        if len(fit) == len(body):
            raise OdooProtocolError(
                _("Odoo's answer is not well-formed XML: %(error)s", error=message_of(error))
            ) from None
    try:
        return _Reader().read(fit)
    except expat.ExpatError as error:
        raise OdooProtocolError(
            _("Odoo's answer is not well-formed XML: %(error)s", error=message_of(error))
        ) from None


def _fit(body: bytes) -> bytes:
    fit = body.translate(None, CONTROL_CHARACTERS)
    for character in NO_CHARACTERS:
        fit = fit.replace(character, b"")
    return fit


class _Reader:
    """One answer's parse: a stack of open elements, and one of the arrays and structs being filled.

    ``self._value`` is the value that closed last; its parent takes it when it closes itself.
    """

    def __init__(self) -> None:
        self._tags = [""]
        self._containers: list[Any] = []
        self._names: list[str | None] = []
        self._known_names: dict[str, str] = {}  # one object a name, not one a record
        self._text: list[str] = []
        self._value: Any = None
        self._typed = False  # the open <value> has seen its type
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
                _("Odoo's answer holds a bad value: %(error)s", error=message_of(error))
            ) from None
        if len(self._results) != 1:
            raise OdooProtocolError(_("Odoo's answer holds no single value"))
        if self._fault:
            raise _fault_of(self._results[0])
        return self._results[0]

    def _parse(self, parser: expat.XMLParserType, body: bytes) -> None:
        """Feed it piece by piece: of a tag with many attributes expat would make objects."""
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
                    "Odoo's answer has <%(tag)s> in <%(tags)s>: no XML-RPC",
                    tag=beginning(tag, 40),
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
