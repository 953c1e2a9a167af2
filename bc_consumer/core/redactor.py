"""Takes secrets out of texts that others wrote: errors, tracebacks, pages, echoed requests.

Two ways, since neither is enough: the secrets that are known, by their value, in every form in
which they travel; and what stands where secrets stand, whatever it is: a URL's credentials, an
``Authorization`` header, ``password=…``.

Whoever sends us a text chooses it to cost us time. So values are looked for as plain strings, and
the two patterns for places go forward only: each of their repetitions is possessive, and no two
branches begin alike. They see one piece at a time, of whole lines, for no place reaches over the
end of a line.
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
"""Characters. A shorter value stands in texts for reasons of its own: «admin», «odoo», «guest»."""
LONGEST_WORD = 11
"""Small letters up to this many may be a word: «postgres», «password», «changeme»."""
LONGEST = 64 * 1024
"""Characters of a text that is kept."""
LONGEST_PIECE = LONGEST * 3 // 4
"""Characters that the first pattern sees at once; what hides is longer by a third at most than what
it hides, so that the second one sees no more than 64 k either."""
ROOM_FOR_NOTE = 50
LONGEST_LOOSE_END = 16
"""Characters. What looks like a token with 12 may not with fewer."""
LONGEST_USER = 15
"""Characters of a user's name in a URL. More, and no password: it is a token."""

NAMES = (
    r"password|passwd|passphrase|pwd|secret|token|api_?key|sessionid|session_id|csrftoken"
    r"|csrfmiddlewaretoken"
)
WORDS = (
    *NAMES.replace("api_?key", "apikey|api_key").split("|"), "authorization", "basic", "bearer"
)  # fmt: skip
"""Without any of them, in small letters, a text has no secret behind a name."""

AUTHORITY = re.compile(r"://(?P<authority>[^\s'\"<>/]++)")
BLANKS = r"[^\S\n]"
# A token has a digit or a sign in it: «basic authentication» stays. Quotes that are not closed
# reach to the end of the line.
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


def beginning(text: str, longest: int) -> str:
    """Return the first characters of what a redactor gets to see later, in whole words.

    A part of a secret is known to no redactor.
    """
    return text if len(text) <= longest else f"{text[:longest].rpartition(' ')[0]}…"


def is_recognisable(secret: str) -> bool:
    """Whether a text that holds ``secret`` holds it for no other reason."""
    is_word = secret.isascii() and secret.isalpha() and secret.islower()
    return len(secret) >= SHORTEST and not (is_word and len(secret) <= LONGEST_WORD)


class Redactor:
    """Hides ``secrets``, and what stands in a secret's place. Thread-safe.

    Secrets that are not recognisable are hidden in a secret's place only: to hide «odoo» wherever
    it stands would hide it in nothing, and blot out every message.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if is_recognisable(secret) for form in _forms(secret)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._longest_form = len(self._forms[0]) if self._forms else 0

    def __call__(self, text: str, *, cut_lines: bool = True) -> str:
        """Return the text without secrets, whatever its length.

        A line of more than ``LONGEST_PIECE`` characters is cut, and a note says by how many; or,
        without ``cut_lines``, keeps what is secret by its place.
        """
        return _without_places(self._without_values(text), cut_lines=cut_lines)

    def shortened(self, text: str, longest: int = LONGEST) -> str:
        """Return the text without secrets, cut to ``longest`` characters; a note says by how many.

        The beginning stays, and the last lines. Costs no more for a longer text. No part of a
        secret that the cut goes through is left. ``longest``: a hundred at least.
        """
        tail = ""
        if len(text) <= longest:
            head = self(text)
            if len(head) <= longest:
                return head
        else:
            # What is left of a secret at either end is shorter than its longest form. Whether what
            # stands first has its name before it, nobody can tell: from the next line on.
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
    """Hide what stands where secrets do."""
    if len(text) <= LONGEST_PIECE:
        return _without_places_in(text)
    return "".join(_without_places_in_pieces(text, cut_lines=cut_lines))


def _without_places_in(piece: str) -> str:
    """Hide what stands where secrets do, in whole lines of ``LONGEST_PIECE`` characters at most."""
    if "://" in piece:
        piece = AUTHORITY.sub(_without_credentials, piece)
    small = piece.lower()
    if any(word in small for word in WORDS):
        piece = NAMED.sub(_without_value, piece)
    return piece


def _without_credentials(found: re.Match[str]) -> str:
    # Up to the last @: passwords hold @ when badly written.
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
    """Leave out what the cut goes through, and so is not known for a secret.

    That is a token of whose characters too few are left, or a password whose @ is on the other
    side.
    """
    text = text[:-LONGEST_LOOSE_END]
    last = text.rfind("://")
    authority = AUTHORITY.match(text, last) if last >= 0 else None
    return text[: last + 3] if authority and authority.end() == len(text) else text


def _note(characters: int) -> str:
    return f"… ({characters} characters left out) …"


def _forms(secret: str) -> Iterator[str]:
    """Give the forms that a secret takes on its way, the plain one included."""
    # What breaks long texts into lines, such as an error page, does so at blanks.
    pieces = [piece for piece in secret.split() if is_recognisable(piece)]
    # In a connection string of libpq, which psycopg2 makes of its parameters.
    in_dsn = secret.replace("\\", "\\\\").replace("'", "\\'")
    quoted = (quote(secret), quote(secret, safe=""), quote_plus(secret))
    for plain in dict.fromkeys((secret, *pieces, in_dsn, *in_dsn.split(), *quoted)):
        if not is_recognisable(plain):
            continue
        yield from (plain, _in_small_letters(plain))
        yield from _escaped(plain)
    yield from _base64_forms(secret.encode())


def _in_small_letters(quoted: str) -> str:
    """Return it with its escapes as some write them: %2f for %2F."""
    first, *others = quoted.split("%")
    return "%".join((first, *(f"{other[:2].lower()}{other[2:]}" for other in others)))


def _escaped(text: str) -> Iterator[str]:
    """As Python, JSON, XML and HTML write it, and one in the other: a repr on a page."""
    for written in (
        text,
        repr(text)[1:-1],
        repr(text + "'\"")[1:-4],  # with both quotes in it, ' is escaped
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text.encode())[2:-1],
    ):
        yield from (written, xml_escape(written), escape(written), xml_escape(escape(written)))


def _base64_forms(secret: bytes) -> Iterator[str]:
    """As the later part of ``user:secret``: its beginning falls on one of three places.

    The characters at both ends depend on the neighbours too, and are left out.
    """
    for offset in range(3):
        text = b64encode(b"\0" * offset + secret).decode()
        first = (0, 2, 3)[offset]
        whole = (offset + len(secret)) * 8 // 6  # characters that hold nothing but these bytes
        text = text[first:whole]
        yield from (text, text.translate(str.maketrans("+/", "-_")))
