"""Takes secrets out of texts that others wrote: errors, tracebacks, pages, echoed requests.

Two ways, since neither is enough: the secrets that are known, by their value, in every form in
which they travel; and what stands where secrets stand, whatever it is: a URL's credentials, an
``Authorization`` header, ``password=…``.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Self
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape as xml_escape

HIDDEN = "***"
SHORTEST = 8
"""Characters. A shorter value stands in texts for reasons of its own: «admin», «odoo», «guest»."""
LONGEST_WORD = 11
"""Small letters up to this many may be a word: «postgres», «password», «changeme»."""
WORD = re.compile(rf"[a-z]{{1,{LONGEST_WORD}}}")

NAMES = (
    r"password|passwd|passphrase|pwd|secret|token|api_?key|sessionid|session_id|csrftoken"
    r"|csrfmiddlewaretoken"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where secrets stand. ``words``: without any of them, in small letters, a text has none.

    What the groups ``before`` and ``after`` match is kept.
    """

    words: tuple[str, ...]
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, words: str, pattern: str) -> Self:
        return cls(tuple(words.split()), re.compile(pattern, re.IGNORECASE))


PLACES = (
    # Up to the last @ before a blank, a quote or the path: passwords hold @ when badly written.
    Place.of("://", r"(?P<before>://[^\s:/@'\"<>]*:)[^\s'\"<>/]+(?P<after>@)"),
    Place.of("://", r"(?P<before>://)[^\s:/@'\"<>]{16,}(?P<after>@)"),
    Place.of(
        "authorization",
        r"(?P<before>\bauthorization\b[\"']?\s*[:=,]\s*[\"']?(?:(?:basic|bearer)\s+)?)"
        r"(?!(?:basic|bearer)\b)[^\s\"',;)}<&\\]+(?P<after>)",
    ),
    # A token has a digit or a sign in it: «basic authentication» stays.
    Place.of(
        "basic bearer",
        r"(?P<before>\b(?:basic|bearer)\s+)(?=[a-z]*[0-9+/=_.~-])[\w+/=.~-]{12,}(?P<after>)",
    ),
    Place.of(
        NAMES.replace("|", "= ").replace("_?", "") + "= api_key=",
        rf"(?P<before>(?:{NAMES})=)(?:'[^']*'|\"[^\"]*\"|[^\s&;,'\")<>\\]+)(?P<after>)",
    ),
    Place.of(
        NAMES.replace("|", " ").replace("_?", "") + " api_key",
        rf"(?P<before>[\"'](?:{NAMES})[\"']\s*:\s*(?P<quote>[\"']))"
        r"(?:\\.|(?!(?P=quote)).)*(?P<after>(?P=quote))",
    ),
)


def is_recognisable(secret: str) -> bool:
    """Whether a text that holds ``secret`` holds it for no other reason."""
    return len(secret) >= SHORTEST and not WORD.fullmatch(secret)


class Redactor:
    """Hides ``secrets``, and what stands in a secret's place. Thread-safe.

    Secrets that are not recognisable are hidden in a secret's place only: to hide «odoo» wherever
    it stands would hide it in nothing, and blot out every message.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if is_recognisable(secret) for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._values = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        text = self._values.sub(HIDDEN, text)
        small = text.lower()
        for place in PLACES:
            if any(word in small for word in place.words):
                text = place.pattern.sub(rf"\g<before>{HIDDEN}\g<after>", text)
        return text


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
        yield from (plain, re.sub("%..", lambda found: found[0].lower(), plain))
        yield from _escaped(plain)
    yield from _base64_forms(secret.encode())


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
