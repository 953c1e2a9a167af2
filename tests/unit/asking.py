"""Requests as a WSGI server hands them over, for what stands in front of Django's views."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIRequest

from project.header_limits import limited

Environ = dict[str, Any]


def environ_of(body: bytes = b"", **values: str) -> Environ:
    """Return an environment; ``values`` are its keys."""
    environ: Environ = {
        "REQUEST_METHOD": "POST" if body else "GET",
        "PATH_INFO": "/",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }
    return environ | values


def answered(read: Callable[[WSGIRequest], object], environ: Environ) -> int:
    """Let ``read`` have the request unless it is refused before; return the status."""
    started: list[str] = []

    def application(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        read(WSGIRequest(environ))
        start_response("200 OK", [])
        return [b""]

    b"".join(limited(application)(environ, lambda status, _headers: started.append(status)))
    return int(started[0].split()[0])
