"""Finds out why an address lacks the configured protocol, so that the error says what to correct.

A 404, or a page, may come from a proxy that restarts, from a page's path in ODOO_URL, or from an
Odoo that is too old for JSON-2. The last two are settings: one or two more calls, which need no
credentials, tell them for certain.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.calls_at_once import CallLimits
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import (
    MissingEndpoint,
    MissingProtocol,
    OdooError,
    OdooProtocolError,
    ResponseTooLarge,
    WrongAddress,
)
from bc_consumer.odoo.http import Answer, HttpSession
from bc_consumer.odoo.json2 import FIRST_MAJOR
from bc_consumer.odoo.records import ServerVersion
from bc_consumer.odoo.rpc import JsonRpc, RpcTransport
from bc_consumer.odoo.transports import Transport

T = TypeVar("T")


class ExplainingTransport:
    """Passes calls on to a transport, and explains why it has no endpoint. Thread-safe."""

    def __init__(
        self,
        transport: Transport,
        settings: OdooSettings,
        stop: threading.Event,
        call_limits: CallLimits | None,
    ) -> None:
        self._transport = transport
        self._settings = settings
        self._stop = stop
        self._call_limits = call_limits

    @property
    def name(self) -> str:
        """The protocol, as ODOO_TRANSPORT names it."""
        return self._transport.name

    @property
    def may_lag(self) -> bool:
        """Whether a read may return an older state than the one that Odoo last committed."""
        return self._transport.may_lag

    def execute(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        """Call a method of a model as the configured account."""
        return self._explained(lambda: self._transport.execute(model, method, args, kwargs))

    def version(self) -> Answer:
        """Ask for the server's version text. Needs no credentials."""
        return self._explained(self._transport.version)

    def close(self) -> None:
        """Close the calling thread's connections."""
        self._transport.close()

    def _explained(self, ask: Callable[[], T]) -> T:
        """Return the answer. Raises MissingProtocol or WrongAddress where a setting is at fault."""
        try:
            return ask()
        except ResponseTooLarge:
            raise
        except OdooProtocolError as error:
            if isinstance(error, MissingEndpoint):
                self._raise_if_json2_is_missing()
            self._raise_if_path_is_wrong()
            raise

    def _raise_if_json2_is_missing(self) -> None:
        settings = self._settings
        if settings.transport != "json2":
            return
        version = self._ask_version(settings.base_url)
        if version is not None and 0 < version.major < FIRST_MAJOR:
            raise MissingProtocol(
                _(
                    "%(url)s is Odoo %(version)s, and JSON-2 came with Odoo %(first)s: set"
                    " ODOO_TRANSPORT to auto",
                    url=settings.shown_url,
                    version=version.text,
                    first=FIRST_MAJOR,
                )
            )

    def _raise_if_path_is_wrong(self) -> None:
        settings = self._settings
        parts = urlsplit(settings.base_url)
        if not parts.path or self._ask_version(settings.base_url) is not None:
            return
        root = replace(settings, url=urlunsplit((parts.scheme, parts.netloc, "", "", "")))
        version = self._ask_version(root.base_url)
        if version is not None:
            raise WrongAddress(
                _(
                    "%(url)s is not the address of Odoo itself, which answers at %(root)s (Odoo"
                    " %(version)s): set ODOO_URL to that",
                    url=settings.shown_url,
                    root=root.shown_url,
                    version=version.text,
                )
            )

    def _ask_version(self, url: str) -> ServerVersion | None:
        """Ask by JSON-RPC, which every Odoo up to 21 has; None where no Odoo answers."""
        settings = replace(self._settings, url=url)
        http = HttpSession(settings, self._stop, self._call_limits)
        try:
            answer = RpcTransport(JsonRpc(), settings, http, self._stop).version()
            return ServerVersion.from_text(str(answer.value))
        except OdooError:
            return None  # it explains nothing; the error that led here stays
        finally:
            http.close()
