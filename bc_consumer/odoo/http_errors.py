"""Failed HTTP exchanges → the errors of ``errors.py``: by libcurl's numbers, and by HTTP status.

By XML-RPC and JSON-RPC Odoo itself answers 200 even for faults (measured), so any other status
comes from a proxy, a load balancer, or a wrong address. JSON-2 uses statuses itself: ``json2.py``
reads the answers that describe an error of Odoo's, and leaves the others to this table.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import pycurl

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import (
    MissingEndpoint,
    OdooError,
    OdooProtocolError,
    OdooRefused,
    OdooTimeout,
    OdooUnavailable,
)

CERTIFICATE = frozenset(
    {
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_SSL_INVALIDCERTSTATUS,
    }
)
ADDRESS = frozenset({pycurl.E_URL_MALFORMAT, pycurl.E_UNSUPPORTED_PROTOCOL})
BROKEN_OFF = frozenset(
    {pycurl.E_GOT_NOTHING, pycurl.E_PARTIAL_FILE, pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR}
)
GARBAGE = frozenset({pycurl.E_BAD_CONTENT_ENCODING, pycurl.E_FTP_WEIRD_SERVER_REPLY})
NOT_HTTP = "HTTP/0.9"  # libcurl's name for an answer without a status line
NOT_TLS = "wrong version number"  # OpenSSL's words for an answer that is not encrypted

TRY_LATER = frozenset({408, 425, 429})
REFUSED = frozenset({401, 403, 407})
MISSING = frozenset({404, 405, 410})
LOGIN_PAGES = ("/web/login", "/web/database/selector")
SERVICE_PATHS = ("/xmlrpc", "/jsonrpc", "/json/2", "/web/version")


def error_of_curl(number: int, text: str, settings: OdooSettings) -> OdooError:
    """Return the error for an exchange without an answer. An unknown number means "try later".

    ``text`` is libcurl's, which names no credentials.
    """
    where = settings.shown_url
    if number == pycurl.E_OPERATION_TIMEDOUT:
        return OdooTimeout(
            _(
                "Odoo at %(where)s did not answer within %(timeout)s s: %(text)s",
                where=where,
                timeout=f"{settings.timeout:g}",
                text=text,
            )
        )
    if number in CERTIFICATE:
        return OdooRefused(
            _(
                "The TLS certificate of %(where)s was not accepted: %(text)s. Correct the"
                " host's name in ODOO_URL, renew the certificate, or set ODOO_CA_FILE to your own"
                " authority's file",
                where=where,
                text=text,
            )
        )
    if number == pycurl.E_SSL_CONNECT_ERROR and NOT_TLS in text:
        return OdooRefused(
            _("%(where)s does not speak TLS on this port: try http:// in ODOO_URL", where=where)
        )
    if number in GARBAGE or NOT_HTTP in text:
        return OdooProtocolError(
            _(
                "%(where)s did not answer in HTTP: %(text)s. Check ODOO_URL's port",
                where=where,
                text=text,
            )
        )
    if number in ADDRESS:
        return OdooRefused(
            _("ODOO_URL is not a usable address (%(where)s): %(text)s", where=where, text=text)
        )
    return OdooUnavailable(
        _("Odoo at %(where)s can't be reached: %(text)s", where=where, text=text),
        may_be_the_call=number in BROKEN_OFF,
    )


def check_status(
    status: int, headers: Mapping[str, str], body: bytes, path: str, settings: OdooSettings
) -> None:
    """Return for a 200 that is not a web page. Raises the error that any other answer means."""
    where = settings.shown_url
    if status == 200:
        if _is_page(headers, body):
            raise OdooProtocolError(
                _(
                    "%(where)s answered with a web page: ODOO_URL is not the address of Odoo"
                    " itself, or a proxy answers in its place",
                    where=where,
                )
            )
    elif status in TRY_LATER or status >= 500:
        raise OdooUnavailable(
            _(
                "%(where)s answered HTTP %(status)s: Odoo is overloaded, restarting or behind"
                " a proxy that can't reach it",
                where=where,
                status=status,
            ),
            retry_after=_retry_after(headers),
            status=status,
            may_be_the_call=status >= 500 and _retry_after(headers) is None,
        )
    elif status in REFUSED:
        raise OdooRefused(
            _(
                "%(where)s answered HTTP %(status)s before Odoo saw the call: a proxy or"
                " firewall in front of it asks for credentials or blocks this machine",
                where=where,
                status=status,
            )
        )
    elif 300 <= status < 400:
        raise _redirect_error(headers, path, settings)
    else:
        kind = MissingEndpoint if status in MISSING else OdooProtocolError
        raise kind(
            _(
                "%(where)s answered HTTP %(status)s: ODOO_URL is wrong, or a proxy does not"
                " pass on Odoo's %(path)s",
                where=where,
                status=status,
                path=path,
            )
        )


def _redirect_error(headers: Mapping[str, str], path: str, settings: OdooSettings) -> OdooError:
    """Return the error for a redirect; calls never follow one."""
    where = settings.shown_url
    if _is_login_page(headers, path, settings):
        return MissingEndpoint(
            _(
                "%(where)s sends calls of %(path)s to Odoo's login page: this Odoo has no"
                " such service",
                where=where,
                path=path,
            )
        )
    return OdooRefused(
        _(
            "%(where)s redirects to %(target)s: put that address into ODOO_URL",
            where=where,
            target=_target(headers),
        )
    )


def _is_page(headers: Mapping[str, str], body: bytes) -> bool:
    start = body[:64].lstrip().lower()
    return "html" in headers.get("content-type", "") or start.startswith((b"<!doctype", b"<html"))


def _is_login_page(headers: Mapping[str, str], path: str, settings: OdooSettings) -> bool:
    """Tell whether a redirect leads to Odoo's login page: 18 has pages below /json/.

    A redirect to another origin is a proxy's, and names the address to use.
    """
    asked = urlsplit(settings.base_url + path)
    target = urlsplit(urljoin(asked.geturl(), headers.get("location", "")))
    same = (target.scheme, target.hostname, target.port) == (
        asked.scheme,
        asked.hostname,
        asked.port,
    )
    return same and target.path.endswith(LOGIN_PAGES)


def _target(headers: Mapping[str, str]) -> str:
    """Return a redirect's target as a value for ODOO_URL: no credentials, no service path."""
    parts = urlsplit(headers.get("location", ""))
    if not parts.hostname:
        return _("another address")
    path = parts.path
    for service in SERVICE_PATHS:
        path = path.partition(service)[0]
    path = path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, as a number or a date; None if none."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
