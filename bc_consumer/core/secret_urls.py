"""URLs that are secrets as a whole: addresses of chats, of push services, of a heartbeat monitor.

Which part of such a URL is the token depends on the service: a user, a password, a segment of the
path, a value of the query, or what stands where other URLs have their host. Whatever is neither the
scheme nor a host's name is therefore taken for secret.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,29}", re.IGNORECASE)
HOST_NAME = re.compile(
    r"\A(?: (?: [a-z0-9_-]++ \. )++ [a-z]{2,24} | localhost | [0-9.]++ | \[ [0-9a-f:.]++ \] )\Z",
    re.VERBOSE,
)
"""In small letters: a token that contains dots mostly has capitals or ends in a digit."""
BETWEEN_SECRETS = re.compile(r"[/?#&=;,]+")
AFTER_AUTHORITY = re.compile(r"[/?#]")
LONGEST_HOST_SHOWN = 12
LONGEST_TOKEN_SHOWN = 4
"""Characters. Of a short token at most a third is shown."""


def secret_parts(url: str) -> Iterator[str]:
    """Yield each part of the URL that may be secret, as written and decoded, and the URL itself."""
    _scheme, separator, rest = url.partition("://")
    if not separator:
        yield url
        return
    yield from (url, rest)
    login, host, path = _split(rest)
    pieces = [*login.split(":", 1), *BETWEEN_SECRETS.split(path)]
    if not HOST_NAME.match(_without_port(host)):
        pieces += [host, *host.split(":")]
    for piece in filter(None, (*pieces, login, path.strip("/"))):
        yield from dict.fromkeys((piece, unquote(piece)))


def shown(url: str) -> str:
    """Return the scheme and the beginning of the host, which tells one URL from another."""
    scheme, separator, rest = url.partition("://")
    if not separator or not SCHEME.fullmatch(scheme):
        return "…"
    host = _without_port(_split(rest)[1])
    is_name = HOST_NAME.match(host)
    longest = LONGEST_HOST_SHOWN if is_name else min(LONGEST_TOKEN_SHOWN, len(host) // 3)
    return f"{scheme}://{host[:longest]}{'…' if len(host) > longest else ''}"


def _split(rest: str) -> tuple[str, str, str]:
    """Split what follows the scheme into login, host with port, and the rest."""
    authority = AFTER_AUTHORITY.split(rest, maxsplit=1)[0]
    login, _at, host = authority.rpartition("@")
    return login, host, rest[len(authority) :]


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
