"""What each HTTP status means for the caller: the one place that knows.

By XML-RPC and JSON-RPC Odoo itself answers 200 even for faults (measured on 14, 17, 18 and 19), so
any other status comes from a proxy, a load balancer, or a wrong address; but see ``services.py``
about JSON-RPC of 14. JSON-2 has statuses of
its own: it reads the answers that tell an error of Odoo's, and leaves the others to this table.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import (
    MissingEndpoint,
    OdooError,
    OdooProtocolError,
    OdooRefused,
    OdooUnavailable,
)
from bc_consumer.odoo.settings import OdooSettings

TRY_LATER = frozenset({408, 425, 429})
REFUSED = frozenset({401, 403, 407})
MISSING = frozenset({404, 405, 410})
LOGIN_PAGES = ("/web/login", "/web/database/selector")
SERVICE_PATHS = ("/xmlrpc", "/jsonrpc", "/json/2", "/web/version")


def check_status(
    status: int, headers: Mapping[str, str], body: bytes, path: str, settings: OdooSettings
) -> None:
    """Pass a 200 that is no web page; raise the error that any other answer means."""
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
        )
    elif status in REFUSED:
        raise OdooRefused(
            _(
                "%(where)s answered HTTP %(status)s before Odoo saw the call: a proxy or"
                " firewall in front wants credentials or does not let this machine in",
                where=where,
                status=status,
            )
        )
    elif 300 <= status < 400:
        raise _redirected(headers, path, settings)
    else:
        kind = MissingEndpoint if status in MISSING else OdooProtocolError
        raise kind(
            _(
                "%(where)s answered HTTP %(status)s: ODOO_URL is wrong, or a proxy does not"
                " pass Odoo's %(path)s on",
                where=where,
                status=status,
                path=path,
            )
        )


def _redirected(headers: Mapping[str, str], path: str, settings: OdooSettings) -> OdooError:
    """Make the error for a redirect, which a call never follows."""
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
    """Tell a redirect by which Odoo lets nobody but people in: 18 has pages below /json/.

    Of another origin it is a proxy's, and names the address to use.
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
    """Where a redirect leads, as an address for ODOO_URL: no credentials, no service path."""
    parts = urlsplit(headers.get("location", ""))
    if not parts.hostname:
        return _("another address")
    path = parts.path
    for service in SERVICE_PATHS:
        path = path.partition(service)[0]
    path = path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds asked for by ``Retry-After`` (a number or a date), or None."""
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
