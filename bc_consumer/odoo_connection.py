"""The one connection to Odoo of this process, made from Django's settings."""

from functools import cache

from django.conf import settings

from bc_consumer import process
from bc_consumer.odoo import Odoo, OdooSettings

FIRST_COMMITTED_MAJOR = 19
"""From this version on Odoo sends webhooks after its commit (measured on 17, 18, 19)."""


@cache
def odoo() -> Odoo:
    """Return this process's gateway; made at the first use, shared by all threads."""
    return Odoo(
        OdooSettings(
            url=settings.ODOO_URL,
            database=settings.ODOO_DATABASE,
            login=settings.ODOO_LOGIN,
            password=settings.ODOO_PASSWORD,
            timeout=settings.ODOO_TIMEOUT_SECONDS,
            max_response_bytes=settings.ODOO_MAX_RESPONSE_BYTES,
            language=settings.ODOO_LANGUAGE,
            ca_file=settings.ODOO_CA_FILE or None,
            concurrent_calls=settings.ODOO_CONCURRENT_CALLS,
        ),
        stop=process.stopping,
    )


def sends_early() -> bool:
    """Whether this Odoo's webhooks come before its commit; asks its version for ``auto``."""
    if settings.ODOO_WEBHOOK_TIMING == "auto":
        return odoo().version().major < FIRST_COMMITTED_MAJOR
    return bool(settings.ODOO_WEBHOOK_TIMING == "early")
