"""libcurl's error numbers → our errors. Anything unknown is «try later»."""

import pycurl

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import (
    OdooError,
    OdooProtocolError,
    OdooRefused,
    OdooTimeout,
    OdooUnavailable,
)
from bc_consumer.odoo.settings import OdooSettings

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
GARBAGE = frozenset({pycurl.E_BAD_CONTENT_ENCODING, pycurl.E_FTP_WEIRD_SERVER_REPLY})
NOT_HTTP = "HTTP/0.9"  # how libcurl calls an answer without a status line
NOT_TLS = "wrong version number"  # how OpenSSL calls an answer in clear


def error_of(number: int, text: str, settings: OdooSettings) -> OdooError:
    """Make the error for a failed exchange. ``text`` is libcurl's, which names no credentials."""
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
                " host's name in ODOO_URL, renew the certificate, or name your own"
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
            _("ODOO_URL is no usable address (%(where)s): %(text)s", where=where, text=text)
        )
    return OdooUnavailable(
        _("Odoo at %(where)s can't be reached: %(text)s", where=where, text=text)
    )
