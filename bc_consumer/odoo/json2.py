"""JSON-2: /json/2/<model>/<method>, of Odoo 19 and later; an API key instead of login and password.

Its read-only methods may be answered by a replica of Odoo's database, where one is configured
there (Odoo's source), and so lag behind a commit that a webhook has told.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bc_consumer.core.translatable import Message, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo import faults
from bc_consumer.odoo.errors import (
    MissingEndpoint,
    OdooError,
    OdooProtocolError,
)
from bc_consumer.odoo.http import HttpSession, Request, Response
from bc_consumer.odoo.http_status import check_status
from bc_consumer.odoo.json_text import fault_of, read_json, write_json
from bc_consumer.odoo.named_arguments import named_arguments
from bc_consumer.odoo.records import Answer, ServerVersion
from bc_consumer.odoo.settings import OdooSettings
from bc_consumer.odoo.transport import answer_of

PREFIX = "/json/2/"
VERSION_PATH = "/web/version"
FIRST_MAJOR = 19
# Those that Odoo gives to errors of calls (measured on 19). Any other is a proxy's, or trouble.
STATUSES = frozenset({401, 403, 404, 422, 500})
NOT_FOUND = "werkzeug.exceptions.NotFound"
SENDABLE = re.compile(r"[!-~]+")  # what a header's value can be


class Json2Transport:
    """The transport of Odoo 19 and later. Thread-safe; has no login, and so nothing to keep."""

    name = "json2"
    may_lag = True

    def __init__(self, settings: OdooSettings, http: HttpSession) -> None:
        self._settings = settings
        self._http = http

    def execute(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        """Call a method with its arguments by name; see ``named_arguments``."""
        named = named_arguments(method, args, kwargs)
        created = named.get("vals_list") if method == "create" else None
        if isinstance(created, Mapping):
            named["vals_list"] = [created]
        try:
            response = self._send(f"{PREFIX}{model}/{method}", named)
        except MissingEndpoint as missing:
            raise self._told_apart(missing) from None
        if response.status != 200:
            raise self._error(response, faults.Call(model, method))
        value = read_json(response.body)
        if isinstance(created, Mapping) and isinstance(value, list) and len(value) == 1:
            value = value[0]  # one record is created by XML-RPC from a dict, and told as its id
        return answer_of(value, response)

    def version(self) -> Answer:
        """Ask for the version text; needs neither account nor database."""
        try:
            response = self._http.send(Request(VERSION_PATH))
        except MissingEndpoint as missing:
            raise self._no_json2(message_of(missing)) from None
        value = read_json(response.body)
        if not isinstance(value, dict) or not isinstance(value.get("version"), str):
            raise OdooProtocolError(
                _("%(url)s does not tell Odoo's version", url=self._settings.shown_url)
            )
        return answer_of(value["version"], response)

    def close(self) -> None:
        """Close this thread's connections."""
        self._http.close()

    def _send(self, path: str, named: Mapping[str, Any]) -> Response:
        """Send one call. The headers hold the key, and so are no local variable either."""
        settings = self._settings
        if not SENDABLE.fullmatch(settings.password):
            raise faults.no_api_key(settings)
        if not SENDABLE.fullmatch(settings.database):
            raise faults.wrong_database(settings)
        return self._http.send(
            Request(
                path,
                "application/json",
                write_json(named),
                headers=(
                    f"Authorization: bearer {settings.password}",
                    f"X-Odoo-Database: {settings.database}",
                ),
                tells_errors=True,
            )
        )

    def _told_apart(self, missing: MissingEndpoint) -> OdooError:
        """Tell a database that is not there from a server without JSON-2: both are a 404 page."""
        try:
            version = ServerVersion.from_text(self.version().value)
        except OdooProtocolError:
            version = ServerVersion("unknown", 0)
        if version.major >= FIRST_MAJOR:
            return faults.wrong_database(self._settings)
        return self._no_json2(message_of(missing))

    def _no_json2(self, why: Message) -> MissingEndpoint:
        return MissingEndpoint(
            _(
                "%(url)s has no JSON-2, which Odoo has from version %(first)s on, or a"
                " proxy hides it (%(error)s). Set ODOO_TRANSPORT to auto",
                url=self._settings.shown_url,
                first=FIRST_MAJOR,
                error=why,
            )
        )

    def _error(self, response: Response, call: faults.Call) -> OdooError:
        """Make the error that an answer in JSON means, be it Odoo's or a proxy's."""
        fault = _fault_of(response, call)
        if fault is not None and response.status == 401:
            return faults.no_api_key(self._settings)
        if fault is not None:
            return faults.error_of_execute(fault, call, self._settings)
        where = f"{PREFIX}{call.model}/{call.method}"
        if _is_of_jsonrpc(response):
            return self._no_json2(_("%(path)s is answered in the form of JSON-RPC", path=where))
        check_status(response.status, response.headers, response.body, where, self._settings)
        return OdooProtocolError(_("Odoo answered HTTP %(status)s", status=response.status))


def _fault_of(response: Response, call: faults.Call) -> faults.Fault | None:
    """Make the fault that XML-RPC gives for the same mistake; None if Odoo tells none.

    JSON-2 knows unknown models and methods before it calls anything, and tells them by werkzeug's
    name (19's source).
    """
    if response.status not in STATUSES:
        return None
    try:
        told = read_json(response.body)
    except OdooProtocolError:
        return None
    if not isinstance(told, dict):
        return None
    name, message = told.get("name"), told.get("message")
    if name == NOT_FOUND and isinstance(message, str):
        if f"{call.model}.{call.method}" in message:
            return faults.Fault(faults.EXCEPTION, f"AttributeError: {message}")
        return faults.Fault(faults.USER_ERROR, message)
    return fault_of(told)


def _is_of_jsonrpc(response: Response) -> bool:
    """Tell whether an unknown path was answered so, as 14 does to whatever comes as JSON."""
    try:
        told = read_json(response.body)
    except OdooProtocolError:
        return False
    return response.status == 404 and isinstance(told, dict) and "jsonrpc" in told
