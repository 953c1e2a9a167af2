"""Removes secrets from foreign texts: errors, tracebacks, pages, echoed requests.

Two methods are needed: known secrets are found by value, in every encoding in which they travel;
unknown ones by position: a URL's credentials, an ``Authorization`` header, ``password=…``.

Texts may be crafted by whoever calls us to cost time. Values are therefore searched as plain
strings, and the two patterns for positions never backtrack: each repetition is possessive, and no
two alternatives begin alike. They are given one piece of whole lines at a time, because no position
spans lines.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape as xml_escape

HIDDEN = "***"
SHORTEST = 8
"""Characters. Shorter values occur in texts for other reasons: "admin", "odoo", "guest"."""
LONGEST_WORD = 11
"""Up to this many lower-case letters may be a word: "postgres", "password", "changeme"."""
LONGEST = 64 * 1024
"""Characters of a text that is kept."""
LONGEST_PIECE = LONGEST * 3 // 4
"""Characters given to the first pattern at once. Its replacements lengthen a text by a third at
most, so the second pattern gets no more than 64 k either."""
ROOM_FOR_NOTE = 50
LONGEST_LOOSE_END = 16
"""Characters. A cut may leave so few of a token that it is no longer recognised as one."""
LONGEST_USER = 15
"""Characters of a user name in a URL. A longer one without a password is a token."""

NAMES = (
    r"password|passwd|passphrase|pwd|secret|token|api_?key|sessionid|session_id|csrftoken"
    r"|csrfmiddlewaretoken"
)
WORDS = (
    *NAMES.replace("api_?key", "apikey|api_key").split("|"), "authorization", "basic", "bearer"
)  # fmt: skip
"""A text that contains none of these, in lower case, holds no secret behind a name."""

AUTHORITY = re.compile(r"://(?P<authority>[^\s'\"<>/]++)")
BLANKS = r"[^\S\n]"
# A token contains a digit or a sign, so "basic authentication" stays. An unclosed quote extends to
# the end of the line.
NAMED = re.compile(
    rf"""
    (?P<before>
        (?: {NAMES} ) =
      | ["'] (?: {NAMES} ) ["'] {BLANKS}*+ : {BLANKS}*+ (?= ["'] )
      | \b authorization \b ["']?+ {BLANKS}*+ [:=,] {BLANKS}*+ ["']?+
        (?: (?: basic | bearer ) {BLANKS}++ )?+ (?! (?: basic | bearer ) \b )
      | \b (?: basic | bearer ) {BLANKS}++
        (?= [a-z]*+ [0-9+/=_.~-] ) (?= [\w+/=.~-]{{12}} )
    )
    (?P<value>
        ' (?: [^'\\\n]++ | \\[^\n] )*+ \\?+ '?+
      | " (?: [^"\\\n]++ | \\[^\n] )*+ \\?+ "?+
      | [^\s&;,'")<>\\]++
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def is_recognisable(secret: str) -> bool:
    """Return whether ``secret`` is distinctive enough to be hidden wherever it occurs in a text."""
    is_word = secret.isascii() and secret.isalpha() and secret.islower()
    return len(secret) >= SHORTEST and not (is_word and len(secret) <= LONGEST_WORD)


class Redactor:
    """Hides ``secrets``, and whatever stands in a secret's position. Thread-safe.

    Secrets that are not recognisable are hidden only in a secret's position: hiding "odoo"
    everywhere would garble every message and protect nothing.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if is_recognisable(secret) for form in _forms(secret)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._longest_form = len(self._forms[0]) if self._forms else 0

    def __call__(self, text: str, *, cut_lines: bool = True) -> str:
        """Return the text without secrets, whatever its length.

        A line of more than ``LONGEST_PIECE`` characters is cut, with a note by how many. Without
        ``cut_lines`` it stays whole, and secrets in it are hidden by value only.
        """
        return _without_places(self._without_values(text), cut_lines=cut_lines)

    def shortened(self, text: str, longest: int = LONGEST) -> str:
        """Return the text without secrets, cut to ``longest`` characters, with a note by how many.

        The beginning and the last lines are kept, and no part of a secret at the cut is left. The
        cost does not grow with the text. ``longest``: at least 100.
        """
        tail = ""
        if len(text) <= longest:
            head = self(text)
            if len(head) <= longest:
                return head
        else:
            # What is left of a secret at either end is shorter than its longest form. Whether the
            # first word follows a secret's name is unknown, so the text is used from the next line
            # on.
            over = self._longest_form
            tail = self._without_values(text[-(longest // 3) - over :])[over:]
            tail = _without_places(tail.partition("\n")[2])
            head = self._without_values(text[: longest + over])
            head = _without_places(head[: max(len(head) - over, 0)])
        tail = tail[-(longest // 2) :].partition("\n")[2] if len(tail) > longest // 2 else tail
        head = _without_loose_end(head[: longest - ROOM_FOR_NOTE - len(tail)])
        return f"{head}{_note(len(text) - len(head) - len(tail))}{tail}"

    def _without_values(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, HIDDEN)
        return text


def _without_places(text: str, *, cut_lines: bool = True) -> str:
    """Hide what stands in a secret's position."""
    if len(text) <= LONGEST_PIECE:
        return _without_places_in(text)
    return "".join(_without_places_in_pieces(text, cut_lines=cut_lines))


def _without_places_in(piece: str) -> str:
    """The same in whole lines of at most ``LONGEST_PIECE`` characters."""
    if "://" in piece:
        piece = AUTHORITY.sub(_without_credentials, piece)
    small = piece.lower()
    if any(word in small for word in WORDS):
        piece = NAMED.sub(_without_value, piece)
    return piece


def _without_credentials(found: re.Match[str]) -> str:
    # Up to the last @: a badly written password may contain one.
    login, at, host = found["authority"].rpartition("@")
    user, colon, password = login.partition(":")
    if password:
        return f"://{user}:{HIDDEN}{at}{host}"
    if colon or len(user) <= LONGEST_USER:
        return found[0]
    return f"://{HIDDEN}{at}{host}"


def _without_value(found: re.Match[str]) -> str:
    before, first = found["before"], found["value"][0]
    is_quoted = first in "'\"" and not before.endswith("=")
    return f"{before}{first}{HIDDEN}{first}" if is_quoted else f"{before}{HIDDEN}"


def _without_places_in_pieces(text: str, *, cut_lines: bool) -> Iterator[str]:
    start = 0
    while len(text) - start > LONGEST_PIECE:
        end = text.rfind("\n", start, start + LONGEST_PIECE) + 1
        if end:
            yield _without_places_in(text[start:end])
        else:
            end = text.find("\n", start)
            end = len(text) if end < 0 else end
            yield _cut(text[start:end]) if cut_lines else text[start:end]
        start = end
    yield _without_places_in(text[start:])


def _cut(line: str) -> str:
    kept = _without_loose_end(_without_places_in(line[:LONGEST_PIECE]))
    return f"{kept}{_note(len(line) - len(kept))}"


def _without_loose_end(text: str) -> str:
    """Remove what the cut may have left of a secret that is no longer recognised.

    That is a token with too few characters left, or a password whose @ is beyond the cut.
    """
    text = text[:-LONGEST_LOOSE_END]
    last = text.rfind("://")
    authority = AUTHORITY.match(text, last) if last >= 0 else None
    return text[: last + 3] if authority and authority.end() == len(text) else text


def _note(characters: int) -> str:
    return f"… ({characters} characters left out) …"


def _forms(secret: str) -> Iterator[str]:
    """Yield the encodings in which a secret may occur, the plain one included."""
    # Whatever wraps long texts, such as an error page, breaks lines at blanks.
    pieces = [piece for piece in secret.split() if is_recognisable(piece)]
    # As in a connection string of libpq, which psycopg2 builds from its parameters.
    in_dsn = secret.replace("\\", "\\\\").replace("'", "\\'")
    quoted = (quote(secret), quote(secret, safe=""), quote_plus(secret))
    for plain in dict.fromkeys((secret, *pieces, in_dsn, *in_dsn.split(), *quoted)):
        if not is_recognisable(plain):
            continue
        yield from (plain, _in_small_letters(plain))
        yield from _escaped(plain)
    yield from _base64_forms(secret.encode())


def _in_small_letters(quoted: str) -> str:
    """Return it with lower-case escapes, as some programs write them: %2f for %2F."""
    first, *others = quoted.split("%")
    return "%".join((first, *(f"{other[:2].lower()}{other[2:]}" for other in others)))


def _escaped(text: str) -> Iterator[str]:
    """Yield its forms in Python, JSON, XML and HTML, also nested: a repr on a page."""
    for written in (
        text,
        repr(text)[1:-1],
        repr(text + "'\"")[1:-4],  # with both kinds of quotes in it, ' is escaped
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text.encode())[2:-1],
    ):
        yield from (written, xml_escape(written), escape(written), xml_escape(escape(written)))


def _base64_forms(secret: bytes) -> Iterator[str]:
    """Yield the forms of the later part of ``user:secret``, one per alignment of its beginning.

    The characters at both ends also depend on their neighbours and are left out.
    """
    for offset in range(3):
        text = b64encode(b"\0" * offset + secret).decode()
        first = (0, 2, 3)[offset]
        whole = (offset + len(secret)) * 8 // 6  # characters that encode only these bytes
        text = text[first:whole]
        yield from (text, text.translate(str.maketrans("+/", "-_")))
