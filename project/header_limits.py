"""Limits a request's address and headers before Django reads any of them.

For some headers Django 5.2 on Python 3.11 takes time quadratic in their length: 64 kB of semicolons
in ``Content-Type`` take 2 s of CPU, backslashes in a quoted cookie 6.6 s, while all other requests
of the process wait (measured). The servers accept far longer ones.
"""

from collections.abc import Callable, Iterable
from typing import Any

LONGEST_PATH = 1024
"""Bytes; ours have a hundred at most. One of the administration's URL patterns takes quadratic time
too."""
LONGEST_QUERY = 8 * 1024
LONGEST_HEADER = 8 * 1024
LONGEST = {
    "CONTENT_TYPE": 256,
    # A session, a token, a language, and 2,048 bytes of Django's messages.
    "HTTP_COOKIE": 4 * 1024,
    # Parsed like Content-Type where the language is chosen.
    "HTTP_ACCEPT": 2 * 1024,
}
"""Bytes, for headers that are parsed in more than one pass."""
LONGEST_HEADERS = 32 * 1024
"""Bytes of all headers; a browser sends about 1,000."""
UTF_8 = frozenset({"utf-8", '"utf-8"'})

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def limited(application: Application) -> Application:
    """Wrap a WSGI application, answering 400, 414, 415 or 431 to requests beyond the limits."""

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        refusal = _refusal(environ)
        if not refusal:
            return application(environ, start_response)
        body = f"{refusal}\n".encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
        ]
        start_response(refusal.partition(":")[0], headers)
        return [body]

    return answer


def _refusal(environ: dict[str, Any]) -> str:
    """Return the status line of a refusal; "" for a request that Django may read."""
    if len(environ.get("PATH_INFO", "")) > LONGEST_PATH:
        return f"414 URI Too Long: {LONGEST_PATH} bytes at most."
    if len(environ.get("QUERY_STRING", "")) > LONGEST_QUERY:
        return f"414 URI Too Long: {LONGEST_QUERY} bytes at most."
    together = 0
    for name, value in environ.items():
        if not name.startswith("HTTP_") and name != "CONTENT_TYPE":
            continue
        together += len(value)
        longest = LONGEST.get(name, LONGEST_HEADER)
        if len(value) > longest:
            header = name.removeprefix("HTTP_").replace("_", "-").title()
            return f"431 Request Header Fields Too Large: {header}, {longest} bytes at most."
    if together > LONGEST_HEADERS:
        return f"431 Request Header Fields Too Large: {LONGEST_HEADERS} bytes at most."
    if "\\" in environ.get("HTTP_COOKIE", ""):
        # Ours have none. In a quoted cookie Python 3.11 searches the rest again at each backslash.
        return "400 Bad Request: a cookie contains a backslash; delete it."
    if not _is_readable(environ.get("CONTENT_TYPE", "")):
        return "415 Unsupported Media Type: only text in UTF-8 is read here, no uploads."
    return ""


def _is_readable(content_type: str) -> bool:
    """Return whether Django will read a body of this type as UTF-8 and not as an upload.

    Otherwise it uses whichever Python codec the caller names, for a body or a query. Some of those
    take quadratic time, and some are not for text at all.
    """
    kind, *parameters = content_type.split(";")
    if kind.strip().lower().startswith("multipart/"):
        return False
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        name = name.strip().lower()
        if "*" in name:  # a continued parameter, or one with its own charset (RFC 2231)
            return False
        if name == "charset" and value.strip().lower() not in UTF_8:
            return False
    return True
