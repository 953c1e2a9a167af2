"""How to reach one Odoo, and what to copy from it: plain settings, checked when they are made."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of
from bc_consumer.odoo.domains import DomainError, check_domain
from bc_consumer.odoo.errors import OdooRefused

FIELD_NAME = re.compile(r"[a-z_][a-z0-9_]*")
MEBIBYTE = 1024 * 1024
TRANSPORTS = ("xmlrpc", "jsonrpc", "json2", "auto")


@dataclass(frozen=True, slots=True)
class OdooSettings:
    """Where Odoo is, which account to use, the limits of each call, and what to copy.

    ``password`` is the account's password or, better, an API key: Odoo accepts either.
    """

    url: str = field(repr=False)  # may hold the credentials of a proxy in front of Odoo
    database: str
    login: str
    password: str = field(repr=False)
    timeout: float = 30.0  # seconds, for the whole call, DNS and TLS included
    max_response_bytes: int = 16 * MEBIBYTE  # after decompression
    language: str = "en_US"  # of names and labels, whatever the account's own language
    ca_file: str | None = None  # PEM file of a company's own certificate authorities
    concurrent_calls: int = 4  # of this process, unless call limits are passed to Odoo()
    calls_per_second: float = 0.0  # likewise; 0: no limit
    order_model: str = "purchase.order"
    extra_fields: tuple[str, ...] = ()  # of orders, besides those of ``fields/``
    extra_line_fields: tuple[str, ...] = ()
    domain: Sequence[Any] = ()  # which orders are copied, in Odoo's notation
    transport: str = "xmlrpc"  # one of TRANSPORTS; auto: the fastest that works
    company_ids: tuple[int, ...] = ()  # whose orders; empty: of all that the account may see
    # The settings that login and password come from, for error messages.
    login_names: tuple[str, str] = ("ODOO_LOGIN", "ODOO_PASSWORD")

    def __post_init__(self) -> None:
        """Raises OdooRefused for settings that cannot be right."""
        check_fields_and_domain((*self.extra_fields, *self.extra_line_fields), self.domain)
        if not _is_address(self.url):
            raise OdooRefused(
                _(
                    "ODOO_URL must be an address like https://odoo.example.com, without the path"
                    " of a page"
                )
            )
        if self.transport not in TRANSPORTS:
            raise OdooRefused(
                _("ODOO_TRANSPORT must be one of %(transports)s", transports=", ".join(TRANSPORTS))
            )

    @property
    def base_url(self) -> str:
        """The address to which the protocols add their paths, without a final slash."""
        return self.url.split("#")[0].split("?")[0].rstrip("/")

    @property
    def url_passwords(self) -> tuple[str, ...]:
        """The password in the address, as it is written there and decoded; empty if none."""
        password = urlsplit(self.base_url).password
        return (password, unquote(password)) if password else ()

    @property
    def shown_url(self) -> str:
        """The address without credentials, for messages."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def check_fields_and_domain(extra_fields: Sequence[str], domain: object) -> None:
    """Check which orders and fields are to be copied. Raises OdooRefused."""
    for name in extra_fields:
        _check_field_name(name)
    try:
        check_domain(domain)
    except DomainError as error:
        raise OdooRefused(
            _("ODOO_DOMAIN is not a domain: %(error)s", error=message_of(error))
        ) from None


def _check_field_name(name: str) -> None:
    if "." in name:
        raise OdooRefused(
            _(
                'Extra field "%(name)s" belongs to another record: a change there does not move '
                "the order's write_date, so the copy would not notice. Create a stored related "
                "field in Odoo and name that one",
                name=name,
            )
        )
    if not FIELD_NAME.fullmatch(name):
        raise OdooRefused(
            _(
                'Extra field "%(name)s" is not the technical name of a field, like x_project',
                name=name,
            )
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        return False
