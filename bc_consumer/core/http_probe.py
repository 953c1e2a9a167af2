"""Sends one HTTP request to find out what answers at an address; redirects are not followed."""

import enum
import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import certifi

SECONDS = 5.0
"""Timeout for connecting, and for each wait for a part of the answer."""
LARGEST_BODY_BYTES = 64 * 1024


class Trouble(enum.Enum):
    """Why there was no answer."""

    ADDRESS = "address"
    NAME = "name"
    CONNECTION = "connection"
    SILENCE = "silence"
    CERTIFICATE = "certificate"
    TLS = "tls"
    NOT_HTTP = "not http"


class NoAnswer(Exception):
    """There was no HTTP answer: ``trouble`` classifies why, the text quotes the system's error."""

    def __init__(self, trouble: Trouble, text: str) -> None:
        super().__init__(text)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """An HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def redirects_to(self) -> str:
        """The target of a redirect, or ""."""
        return self.headers.get("location", "") if 300 <= self.status < 400 else ""


def ask(
    url: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
) -> ProbeAnswer:
    """Send one request. Raises NoAnswer if no HTTP answer comes.

    Certificates are checked against certifi's authorities, as Odoo's webhook action does.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise NoAnswer(Trouble.ADDRESS, str(error)) from None
    if parts.scheme not in {"http", "https"} or not host:
        raise NoAnswer(Trouble.ADDRESS, "it is not an address like https://host")
    connection = _connection(parts.scheme, host, port)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body or None, dict(headers or {}))
        response = connection.getresponse()
        received = response.read(LARGEST_BODY_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _no_answer(error) from None
    finally:
        connection.close()
    return ProbeAnswer(
        response.status, {name.lower(): text for name, text in response.getheaders()}, received
    )


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=SECONDS)
    context = ssl.create_default_context(cafile=certifi.where())
    return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)


def _no_answer(error: Exception) -> NoAnswer:
    if isinstance(error, ssl.SSLCertVerificationError):
        return NoAnswer(Trouble.CERTIFICATE, error.verify_message)
    if isinstance(error, ssl.SSLError):
        return NoAnswer(Trouble.TLS, error.reason or str(error))
    if isinstance(error, socket.gaierror):
        return NoAnswer(Trouble.NAME, error.strerror or str(error))
    if isinstance(error, TimeoutError):
        return NoAnswer(Trouble.SILENCE, f"no answer within {SECONDS:g} s")
    if isinstance(error, http.client.HTTPException):
        return NoAnswer(Trouble.NOT_HTTP, type(error).__name__)
    return NoAnswer(Trouble.CONNECTION, getattr(error, "strerror", None) or str(error))
