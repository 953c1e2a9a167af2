"""How long a request's address and headers may be, told before Django reads any of them.

Django 5.2 on Python 3.11 takes time in proportion to the square of their length for some: 64 kB of
semicolons in ``Content-Type`` cost 2 s of a processor, of backslashes in a quoted cookie 6.6 s,
with all other requests of the process waiting (measured). The servers let far more through.
"""

from collections.abc import Callable, Iterable
from typing import Any

LONGEST_PATH = 1024
"""Bytes; ours have a hundred at most. The administration has an address whose expression takes time
in proportion to the square, too."""
LONGEST_QUERY = 8 * 1024
LONGEST_HEADER = 8 * 1024
LONGEST_HEADERS = 32 * 1024
"""All of them; a browser sends about 1,000."""

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def limited(application: Application) -> Application:
    """Return the WSGI application, with answers 414 and 431 in front of it."""

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if len(environ.get("PATH_INFO", "")) > LONGEST_PATH:
            return _refused(start_response, "414 URI Too Long", LONGEST_PATH)
        if len(environ.get("QUERY_STRING", "")) > LONGEST_QUERY:
            return _refused(start_response, "414 URI Too Long", LONGEST_QUERY)
        lengths = [len(value) for name, value in environ.items() if _is_header(name)]
        if max(lengths, default=0) > LONGEST_HEADER or sum(lengths) > LONGEST_HEADERS:
            return _refused(start_response, "431 Request Header Fields Too Large", LONGEST_HEADER)
        return application(environ, start_response)

    return answer


def _is_header(name: str) -> bool:
    return name.startswith("HTTP_") or name == "CONTENT_TYPE"


def _refused(start_response: StartResponse, status: str, longest: int) -> Iterable[bytes]:
    body = f"{status}: {longest} bytes at most.\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, headers)
    return [body]
