"""What only Odoo 14 needs. Whoever drops Odoo 14 deletes this file and the lines that import it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import (
    MissingEndpoint,
    OdooProtocolError,
    OdooUnavailable,
    UnknownMethod,
)
from bc_consumer.odoo.http import Response
from bc_consumer.odoo.json_codec import read_json

SECONDS_OF_DISTRUST = 3600.0
"""How long a protocol that hides its errors is not used: only a person can change that."""

NO_METHOD = "no_such_method"
"""A method that the service ``common`` does not have in any version; Odoo logs one error."""

Rows = Sequence[Mapping[str, Any]]


class HiddenErrors:
    """Recognises a server that hides the errors of calls. One per transport; thread-safe.

    The JSON-RPC of Odoo 14 answers each call that fails with HTTP 500 and a page, where one
    address leads to several databases (measured; with a single database it describes the error).
    Then even a wrong password looks like an Odoo that is ill.
    """

    def __init__(
        self, exchange: Callable[[str, str, Sequence[Any]], object], protocol: str, shown_url: str
    ) -> None:
        """``exchange`` sends a call, given service, method and parameters."""
        self._exchange = exchange
        self._protocol = protocol
        self._shown_url = shown_url
        self._until = 0.0  # on the monotonic clock

    def refuse_if_known(self) -> None:
        """Raise MissingEndpoint within the hour after the server was found to hide errors."""
        if time.monotonic() < self._until:
            raise self._error()

    def explain(self, error: OdooUnavailable) -> MissingEndpoint | None:
        """Return the error to raise in place of an HTTP 500; None where that hid nothing."""
        if error.status != 500 or not self._server_hides_errors():
            return None
        self._until = time.monotonic() + SECONDS_OF_DISTRUST
        return self._error()

    def _server_hides_errors(self) -> bool:
        """Call a method that exists, which has to succeed, and one that does not."""
        self._exchange("common", "version", ())
        try:
            self._exchange("common", NO_METHOD, ())
        except OdooUnavailable as error:
            return error.status == 500
        return False

    def _error(self) -> MissingEndpoint:
        return MissingEndpoint(
            _(
                "%(url)s answers HTTP 500 to every call by %(protocol)s that fails,"
                " and does not say why: Odoo 14 does so where it has several databases. Set"
                " ODOO_TRANSPORT to xmlrpc or auto, or have this address lead to one database"
                " (Odoo's option dbfilter)",
                url=self._shown_url,
                protocol=self._protocol,
            )
        )


class LoadArgument:
    """Passes ``load=""`` to ``search_read``, unless the server has no such argument (14, measured).

    With it a many2one is a plain id: a name costs Odoo another query. Thread-safe.
    """

    def __init__(self) -> None:
        self._exists = True

    def search_read(
        self, ask: Callable[[Mapping[str, Any]], Rows], kwargs: Mapping[str, Any]
    ) -> Rows:
        """Call ``ask`` with the arguments, and with ``load`` where the server accepts it."""
        if self._exists:
            try:
                return ask({**kwargs, "load": ""})
            except UnknownMethod as error:
                if error.method != "search_read":
                    raise
                self._exists = False
        return ask(kwargs)


def answers_in_jsonrpc(response: Response) -> bool:
    """Tell whether an unknown path was answered by JSON-RPC's 404, as 14 does (measured)."""
    try:
        answer = read_json(response.body)
    except OdooProtocolError:
        return False
    return response.status == 404 and isinstance(answer, dict) and "jsonrpc" in answer
