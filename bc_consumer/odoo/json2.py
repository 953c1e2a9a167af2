"""JSON-2: ``/json/2/<model>/<method>``, of Odoo 19 and later, with an API key in place of a login.

Where Odoo is configured with a replica of its database, the replica answers read-only methods
(Odoo's source). Such a read may lag behind the commit that a webhook announced.

JSON-2 takes named arguments only. ``OF_MODELS`` and ``OF_RECORDS`` name the positional arguments of
Odoo 19's methods; a method that is not there takes its ids, and the rest by name.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bc_consumer.core.translatable import Message, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo import fault_errors
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import (
    MissingEndpoint,
    OdooError,
    OdooProtocolError,
)
from bc_consumer.odoo.http import Answer, HttpSession, Request, Response
from bc_consumer.odoo.http_errors import check_status
from bc_consumer.odoo.json_codec import fault_of, read_json, write_json
from bc_consumer.odoo.records import ServerVersion
from bc_consumer.odoo.versions.odoo_14 import answers_in_jsonrpc

PREFIX = "/json/2/"
VERSION_PATH = "/web/version"
FIRST_MAJOR = 19
# What Odoo answers for an error of a call (measured on 19). Any other status is a proxy's.
STATUSES = frozenset({401, 403, 404, 422, 500})
NOT_FOUND = "werkzeug.exceptions.NotFound"
SENDABLE = re.compile(r"[!-~]+")  # what the value of a header may hold


OF_MODELS: Mapping[str, tuple[str, ...]] = {
    "context_get": (),
    "create": ("vals_list",),
    "fields_get": ("allfields", "attributes"),
    "formatted_read_group": ("domain", "groupby", "aggregates", "having", "offset", "limit"),
    "read_group": ("domain", "fields", "groupby", "offset", "limit", "orderby", "lazy"),
    "search": ("domain", "offset", "limit", "order"),
    "search_count": ("domain", "limit"),
    "search_read": ("domain", "fields", "offset", "limit", "order"),
    "web_search_read": ("domain", "specification", "offset", "limit", "order", "count_limit"),
}
OF_RECORDS: Mapping[str, tuple[str, ...]] = {
    "has_access": ("operation",),
    "has_group": ("group_ext_id",),
    "read": ("fields", "load"),
    "web_read": ("specification",),
    "web_save": ("vals", "specification"),
    "write": ("vals",),
}


class Json2Transport:
    """Calls methods by JSON-2. Thread-safe. There is no login, hence no state."""

    name = "json2"
    may_lag = True

    def __init__(self, settings: OdooSettings, http: HttpSession) -> None:
        self._settings = settings
        self._http = http

    def execute(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        """Call a method with its arguments by name; see ``name_arguments``."""
        named = name_arguments(method, args, kwargs)
        created = named.get("vals_list") if method == "create" else None
        if isinstance(created, Mapping):
            named["vals_list"] = [created]
        try:
            response = self._send(f"{PREFIX}{model}/{method}", named)
        except MissingEndpoint as missing:
            raise self._explain_404(missing) from None
        if response.status != 200:
            raise self._error(response, fault_errors.Call(model, method))
        value = read_json(response.body)
        if isinstance(created, Mapping) and isinstance(value, list) and len(value) == 1:
            value = value[0]  # as by XML-RPC: a single dict creates one record, and returns its id
        return response.answer(value)

    def version(self) -> Answer:
        """Ask for the version text. Needs neither account nor database."""
        try:
            response = self._http.send(Request(VERSION_PATH))
        except MissingEndpoint as missing:
            raise self._no_json2(message_of(missing)) from None
        value = read_json(response.body)
        if not isinstance(value, dict) or not isinstance(value.get("version"), str):
            raise OdooProtocolError(
                _("%(url)s does not say which version of Odoo it is", url=self._settings.shown_url)
            )
        return response.answer(value["version"])

    def close(self) -> None:
        """Close the calling thread's connection."""
        self._http.close()

    def _send(self, path: str, named: Mapping[str, Any]) -> Response:
        """Send one call. No local variable holds the headers, which contain the API key."""
        settings = self._settings
        if not SENDABLE.fullmatch(settings.password):
            raise fault_errors.no_api_key(settings)
        if not SENDABLE.fullmatch(settings.database):
            raise fault_errors.wrong_database(settings)
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

    def _explain_404(self, missing: MissingEndpoint) -> OdooError:
        """Return WrongDatabase, or MissingEndpoint for a server without JSON-2: both are a 404."""
        try:
            version = ServerVersion.from_text(self.version().value)
        except OdooProtocolError:
            version = ServerVersion("unknown", 0)
        if version.major >= FIRST_MAJOR:
            return fault_errors.wrong_database(self._settings)
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

    def _error(self, response: Response, call: fault_errors.Call) -> OdooError:
        """Return the error that an answer in JSON means, whether Odoo or a proxy sent it."""
        fault = _fault_of(response, call)
        if fault is not None and response.status == 401:
            return fault_errors.no_api_key(self._settings)
        if fault is not None:
            return fault_errors.error_of_execute(fault, call, self._settings)
        where = f"{PREFIX}{call.model}/{call.method}"
        if answers_in_jsonrpc(response):
            return self._no_json2(_("%(path)s answers in the form of JSON-RPC", path=where))
        check_status(response.status, response.headers, response.body, where, self._settings)
        return OdooProtocolError(_("Odoo answered HTTP %(status)s", status=response.status))


def _fault_of(response: Response, call: fault_errors.Call) -> fault_errors.Fault | None:
    """Return the fault that XML-RPC sends for the same error; None if the answer is not Odoo's.

    JSON-2 detects unknown models and methods before it calls anything, and names werkzeug's
    exception (19's source).
    """
    if response.status not in STATUSES:
        return None
    try:
        error = read_json(response.body)
    except OdooProtocolError:
        return None
    if not isinstance(error, dict):
        return None
    name, message = error.get("name"), error.get("message")
    if name == NOT_FOUND and isinstance(message, str):
        if f"{call.model}.{call.method}" in message:
            return fault_errors.Fault(fault_errors.EXCEPTION, f"AttributeError: {message}")
        return fault_errors.Fault(fault_errors.USER_ERROR, message)
    return fault_of(error)


def name_arguments(method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments by name; the first one of a method of records is ``ids``.

    Raises OdooProtocolError for positional arguments whose names are unknown.
    """
    names = OF_MODELS.get(method)
    if names is None:
        names = ("ids", *OF_RECORDS.get(method, ()))
    if len(args) > len(names):
        raise OdooProtocolError(
            _(
                "JSON-2 takes arguments by name, and those of %(method)s are not known: call"
                " it with named arguments after the ids",
                method=method,
            )
        )
    named = {**dict(zip(names, args, strict=False)), **kwargs}
    if isinstance(named.get("ids"), int):
        named["ids"] = [named["ids"]]
    return named
