"""How much memory an answer may come to, told before anything of it is decoded.

A few bytes become a whole object: 16 MiB of ``[],`` took 467 MiB (CPython 3.11, measured). So the
signs that begin a value are counted, which is one pass over the bytes for each; and a text with one
rare character takes two or four bytes for each of its others.

What passes takes 93 MiB at most by the default of 16 MiB, however it is made (measured:
``tests/unit/odoo/test_memory.py``), so that four calls at once stay far below 512 MiB.
"""

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import ResponseTooLarge

TIMES = 5
"""So many times the longest answer may its values take, with the text that they are read from."""
BYTES_OF_VALUE = 96
"""For each sign. Measured: an empty list takes 65 bytes and two signs, a list of one number 97, an
object of one member 193 to 257 and four signs, a short text 73 to 105 and one sign."""
SIGNS_OF_JSON = (b",", b"[", b"{", b":")
SIGNS_OF_XML = (b"<value", b"<name")
TAGS = tuple(
    f"<{slash}{name}>".encode()
    for name in ("value", "member", "name", "string", "int", "boolean", "double", "struct")
    for slash in ("", "/")
)
"""Three quarters of XML-RPC are these, and none of them is a character of a value."""
CDATA = b"<!["
FOUR_BYTES = tuple(bytes([first]) for first in range(0xF0, 0xF5))
ESCAPED_FOUR_BYTES = (b"\\ud", b"\\uD", b"&#")
"""How characters begin, in UTF-8 or escaped, for which Python keeps a text in four bytes each."""


def check_weight(body: bytes, longest: int) -> None:
    """Pass an answer that can be decoded. Raises ResponseTooLarge.

    ``longest``: bytes of an answer, ODOO_MAX_RESPONSE_BYTES.
    """
    if weight_of(body) > TIMES * longest:
        raise ResponseTooLarge(
            _(
                "Odoo's answer of %(bytes)s bytes would take more than %(limit)s bytes of"
                " memory: ask for fewer orders at once; if a single order is that large,"
                " raise ODOO_MAX_RESPONSE_BYTES (a fifth of this)",
                bytes=len(body),
                limit=TIMES * longest,
            ),
            limit=longest,
        )


def weight_of(body: bytes) -> int:
    """Return an upper bound of the bytes that decoding takes, the answer's own included."""
    is_xml = body[:64].lstrip().startswith(b"<")
    values = sum(map(body.count, SIGNS_OF_XML if is_xml else SIGNS_OF_JSON))
    read_from, read = _bytes_of_character(body)
    characters = len(body)
    if is_xml and read > 1 and CDATA not in body:
        characters -= sum(len(tag) * body.count(tag) for tag in TAGS)
    # As it came, as one text, and once more as the values cut out of it.
    return len(body) + characters * (read_from + read) + BYTES_OF_VALUE * values


def _bytes_of_character(body: bytes) -> tuple[int, int]:
    """Tell how much memory a character takes in the text as it came, and in what is read of it."""
    if any(first in body for first in FOUR_BYTES):
        return 4, 4
    width = 1 if body.isascii() else 2
    if any(first in body for first in ESCAPED_FOUR_BYTES):
        return width, 4
    return width, 2 if b"\\u" in body else width
