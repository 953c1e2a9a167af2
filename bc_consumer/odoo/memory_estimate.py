"""How much memory an answer would take, estimated before it is decoded.

A few bytes can become a whole object: 16 MiB of ``[],`` took 467 MiB (CPython 3.11, measured). So
the characters that begin a value are counted; and one rare character makes Python keep a text in
two or four bytes for each of its characters.

By the default limit of 16 MiB, an answer that passes takes 93 MiB at most, whatever it holds
(measured: ``tests/unit/odoo/test_memory_estimate.py``), so four calls at once stay far below
512 MiB.
"""

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import ResponseTooLarge

TIMES = 5
"""An answer and its decoded values may take this many times the longest allowed answer."""
BYTES_OF_VALUE = 96
"""Bytes counted for each sign. Measured: an empty list takes 65 bytes and has two signs, a list of
one number 97, an object of one member 193 to 257 and four signs, a short text 73 to 105 and one."""
SIGNS_OF_JSON = b",[{:"
SIGNS_OF_XML = (b"<value", b"<name")
TAGS = tuple(
    f"<{slash}{name}>".encode()
    for name in ("value", "member", "name", "string", "int", "boolean", "double", "struct")
    for slash in ("", "/")
)
"""Three quarters of an XML-RPC answer are these tags, which are not part of any value."""
CDATA = b"<!["
FOUR_BYTES = tuple(bytes([first]) for first in range(0xF0, 0xF5))
XML_ESCAPES = (b"&#",)
ESCAPED_FOUR_BYTES = (b"\\ud", b"\\uD", *XML_ESCAPES)
"""How characters beyond U+FFFF begin, in UTF-8 or escaped: with one of them in a text, Python
keeps four bytes for each of its characters."""


def check_memory(body: bytes, longest: int) -> None:
    """Raise ResponseTooLarge if decoding this answer would take too much memory.

    ``longest``: the longest allowed answer in bytes, ODOO_MAX_RESPONSE_BYTES. The limit is five
    times as much.
    """
    if memory_of(body) > TIMES * longest:
        raise ResponseTooLarge(
            _(
                "Odoo's answer of %(bytes)s bytes would take more than %(limit)s bytes of"
                " memory: ask for fewer orders at once; if a single order is that large,"
                " raise ODOO_MAX_RESPONSE_BYTES, which is a fifth of this limit",
                bytes=len(body),
                limit=TIMES * longest,
            ),
            limit=longest,
        )


def memory_of(body: bytes) -> int:
    """Return an upper bound of the bytes that an answer takes, raw and decoded together."""
    is_xml = body[:64].lstrip().startswith(b"<")
    values = sum(map(body.count, SIGNS_OF_XML)) if is_xml else _count_signs_of_json(body)
    read_from, read = _bytes_of_character(body)
    characters = len(body)
    if is_xml and read > 1 and CDATA not in body:
        characters -= sum(len(tag) * body.count(tag) for tag in TAGS)
    # The bytes as received, the whole as one text, and the values cut out of it.
    return len(body) + characters * (read_from + read) + BYTES_OF_VALUE * values


def _has(body: bytes, sign: bytes) -> bool:
    # Looking for one byte is eighty times as fast, and most answers lack it.
    return sign[:1] in body and sign in body


def _count_signs_of_json(body: bytes) -> int:
    # One pass for all four: counting each takes three times as long.
    return len(body) - len(body.translate(None, SIGNS_OF_JSON))


def _bytes_of_character(body: bytes) -> tuple[int, int]:
    """Return the bytes that a character takes in the whole text, and in the values read of it."""
    is_ascii = body.isascii()
    if not is_ascii and any(first in body for first in FOUR_BYTES):
        return 4, 4
    width = 1 if is_ascii else 2
    is_escaped = _has(body, b"\\u")
    beyond = ESCAPED_FOUR_BYTES if is_escaped else XML_ESCAPES
    if any(_has(body, first) for first in beyond):
        return width, 4
    return width, 2 if is_escaped else width
