"""XML-RPC and JSON-RPC: logs in by Odoo's service ``common``, calls methods by ``object``.

Every Odoo up to 21 has both; Odoo's documentation announces their removal in 22. JSON-RPC takes a
third of XML-RPC's bytes for the same answer (measured on 17, 18 and 19).
"""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of, verbatim
from bc_consumer.odoo import fault_errors
from bc_consumer.odoo.calls_at_once import acquire_slot
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import (
    MissingEndpoint,
    OdooInterrupted,
    OdooProtocolError,
    OdooUnavailable,
    WrongCredentials,
)
from bc_consumer.odoo.fault_errors import Fault
from bc_consumer.odoo.http import Answer, HttpSession, Request, Response
from bc_consumer.odoo.json_codec import fault_of, read_json, write_json
from bc_consumer.odoo.versions.odoo_14 import HiddenErrors
from bc_consumer.odoo.xmlrpc_codec import read_response, write_call

JSONRPC_PATH = "/jsonrpc"
NOT_FOUND = 404  # the only ``error.code`` with a meaning: others are 200 on 17 and 18, 0 on 19

Params = Callable[[], Sequence[Any]]
"""Returns a call's parameters. A function, because the password is one of them: error pages and
error trackers show the local variables of each frame."""


class Wire(Protocol):
    """Writes calls of the services in one protocol, and reads the answers."""

    @property
    def name(self) -> str:
        """The protocol, as ODOO_TRANSPORT names it."""

    def request(self, service: str, method: str, params: Params) -> Request:
        """Write a call. Raises OdooProtocolError for values that the protocol can't carry."""

    def read(self, body: bytes) -> Any:
        """Read an answer. Raises Fault, MissingEndpoint, or OdooProtocolError."""


class XmlRpc:
    """XML-RPC: ``/xmlrpc/2/common`` and ``/xmlrpc/2/object``."""

    name = "xmlrpc"

    def request(self, service: str, method: str, params: Params) -> Request:
        """Write a call. Raises OdooProtocolError for values that XML-RPC can't carry."""
        return Request(f"/xmlrpc/2/{service}", "text/xml", write_call(method, params()))

    def read(self, body: bytes) -> Any:
        """Read an answer. Raises Fault, or OdooProtocolError."""
        return read_response(body)


class JsonRpc:
    """JSON-RPC: ``/jsonrpc``, which names the service in each call."""

    name = "jsonrpc"

    def request(self, service: str, method: str, params: Params) -> Request:
        """Write a call. Raises OdooProtocolError for values that JSON can't carry."""
        body = write_json(_envelope(service, method, params()))
        return Request(JSONRPC_PATH, "application/json", body)

    def read(self, body: bytes) -> Any:
        """Read an answer. Raises Fault, MissingEndpoint, or OdooProtocolError.

        Errors are recognised by the exception's name: texts are translated, and ``error.message``
        carries the brand's name (17, 18 and 19). A method that returns nothing leaves ``result``
        out, or sends null.
        """
        answer = read_json(body)
        if not isinstance(answer, dict) or answer.get("jsonrpc") != "2.0":
            raise OdooProtocolError(_("Odoo's answer is JSON, but not JSON-RPC"))
        error = answer.get("error")
        if error is None:
            return answer.get("result")
        data = error.get("data") if isinstance(error, dict) else None
        if isinstance(data, dict):
            if error.get("code") == NOT_FOUND:
                raise MissingEndpoint(
                    _("Odoo has closed %(path)s (it answers 404)", path=JSONRPC_PATH)
                )
            fault = fault_of(data)
            if fault is not None:
                try:
                    raise fault
                finally:
                    del fault  # this frame, which the traceback holds, would hold the fault
        raise OdooProtocolError(_("Odoo's answer is an error without a name"))


def _envelope(service: str, method: str, params: Sequence[Any]) -> dict[str, Any]:
    arguments = {"service": service, "method": method, "args": list(params)}
    return {"jsonrpc": "2.0", "method": "call", "id": 1, "params": arguments}


class RpcTransport:
    """Calls models' methods by ``execute_kw``. Thread-safe.

    Logging in costs Odoo a password hash (410 ms, measured), a call with a known account id (uid)
    11 ms: so it logs in once and keeps the uid. Reads never lag: these services use Odoo's primary
    database only (17, 18 and 19).
    """

    may_lag = False

    def __init__(
        self, wire: Wire, settings: OdooSettings, http: HttpSession, stop: threading.Event
    ) -> None:
        self._wire = wire
        self._settings = settings
        self._http = http
        self._stop = stop
        self._uid: int | None = None
        self._logging_in = threading.BoundedSemaphore()
        self._logins = 0  # attempts so far
        self._last_failure = verbatim("")
        self._hidden_errors = HiddenErrors(self._exchange, wire.name, settings.shown_url)

    @property
    def name(self) -> str:
        """The protocol, as ODOO_TRANSPORT names it."""
        return self._wire.name

    def execute(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        """Call ``execute_kw``. If Odoo no longer accepts the uid, log in again, once."""
        call = fault_errors.Call(model, method)
        uid = self._known_uid()
        try:
            return self._execute(uid, call, args, kwargs)
        except WrongCredentials:
            self._forget(uid)
        return self._execute(self._known_uid(), call, args, kwargs)

    def version(self) -> Answer:
        """Ask for the version text. Needs neither account nor database."""
        response = self._send("common", "version", ())
        try:
            value = self._wire.read(response.body)
        except Fault as fault:
            raise fault_errors.error_of_common(fault, self._settings) from None
        if not isinstance(value, dict) or not isinstance(value.get("server_version"), str):
            raise OdooProtocolError(
                _("%(url)s does not say which version of Odoo it is", url=self._settings.shown_url)
            )
        return response.answer(value["server_version"])

    def close(self) -> None:
        """Close the calling thread's connections."""
        self._http.close()

    def _execute(
        self, uid: int, call: fault_errors.Call, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        response = self._send(
            "object",
            "execute_kw",
            (uid, call.model, call.method, list(args), dict(kwargs)),
        )
        try:
            return response.answer(self._wire.read(response.body))
        except Fault as fault:
            if fault_errors.is_none_result(fault):
                return response.answer(None)
            raise fault_errors.error_of_execute(fault, call, self._settings) from None

    def _known_uid(self) -> int:
        """Return the uid; one thread logs in if it is unknown, and the others wait for it."""
        uid = self._uid
        if uid is not None:
            return uid
        logins = self._logins
        # No deadline here: the call of the thread that logs in has one.
        acquire_slot(self._logging_in, self._stop, math.inf)
        try:
            if self._uid is None:
                if self._logins != logins and self._last_failure:
                    # Another thread's login has just failed: a second attempt would wait as long.
                    raise OdooUnavailable(self._last_failure)
                self._uid = self._log_in_and_note_failure()
            return self._uid
        finally:
            self._logging_in.release()

    def _log_in_and_note_failure(self) -> int:
        self._logins += 1
        self._last_failure = verbatim("")
        try:
            return self._log_in()
        except OdooInterrupted:
            raise
        except OdooUnavailable as error:
            self._last_failure = message_of(error)
            raise

    def _log_in(self) -> int:
        response = self._send("common", "authenticate", ({},))
        try:
            uid = self._wire.read(response.body)
        except Fault as fault:
            raise fault_errors.error_of_common(fault, self._settings) from None
        if uid is False:  # Odoo's answer to a wrong password is no fault (17, 18 and 19)
            raise fault_errors.wrong_credentials(self._settings)
        if type(uid) is not int or uid <= 0:
            raise OdooProtocolError(
                _("%(url)s gave no account id: is it Odoo?", url=self._settings.shown_url)
            )
        return uid

    def _forget(self, uid: int) -> None:
        with self._logging_in:
            if self._uid == uid:
                self._uid = None

    def _send(self, service: str, method: str, params: Sequence[Any]) -> Response:
        """Send one call. Raises MissingEndpoint where this protocol hides what went wrong."""
        if service == "common" and method == "version":
            return self._exchange(service, method, params)
        self._hidden_errors.refuse_if_known()
        try:
            return self._exchange(service, method, params)
        except OdooUnavailable as error:
            explained = self._hidden_errors.explain(error)
            if explained is None:
                raise
            raise explained from None

    def _exchange(self, service: str, method: str, params: Sequence[Any]) -> Response:
        """Send one call with the credentials added. No local variable holds them, nor the body."""
        return self._http.send(
            self._wire.request(service, method, lambda: self._with_credentials(method, params))
        )

    def _with_credentials(self, method: str, params: Sequence[Any]) -> tuple[Any, ...]:
        settings = self._settings
        if method == "authenticate":
            return (settings.database, settings.login, settings.password, *params)
        if method == "execute_kw":
            return (settings.database, params[0], settings.password, *params[1:])
        return tuple(params)
