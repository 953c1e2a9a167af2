"""Odoo's services ``common`` and ``object``, which XML-RPC and JSON-RPC both lead to.

They are there in every Odoo up to 21: Odoo's documentation has them go in 22.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of, verbatim
from bc_consumer.odoo import faults
from bc_consumer.odoo.errors import (
    MissingEndpoint,
    OdooInterrupted,
    OdooProtocolError,
    OdooUnavailable,
    WrongCredentials,
)
from bc_consumer.odoo.faults import Fault
from bc_consumer.odoo.gate import acquire
from bc_consumer.odoo.http import HttpSession, Request, Response
from bc_consumer.odoo.records import Answer
from bc_consumer.odoo.settings import OdooSettings
from bc_consumer.odoo.transport import answer_of

SECONDS_OF_DISTRUST = 3600.0
"""How long a protocol whose errors are hidden is left alone: that takes a person to change."""

NO_METHOD = "no_such_method"  # of the service common; Odoo logs one error about it

Params = Callable[[], Sequence[Any]]
"""A function, so that the password among them is in no local variable: error pages and trackers
show those of each frame."""


class Wire(Protocol):
    """How a call of a service is written down, and its answer read."""

    @property
    def name(self) -> str:
        """The protocol, as ODOO_TRANSPORT names it."""

    def request(self, service: str, method: str, params: Params) -> Request:
        """Write a call. Raises OdooProtocolError for values that the protocol can't carry."""

    def read(self, body: bytes) -> Any:
        """Read an answer. Raises Fault, MissingEndpoint, or OdooProtocolError."""


class ServiceTransport:
    """Calls a model's methods by ``execute_kw``. Thread-safe; keeps the account's id (uid).

    Authenticating costs Odoo a password hash (410 ms, measured), a call with a known uid 11 ms:
    so the uid is asked for once. Reads never lag: these services use Odoo's primary database
    only (17, 18 and 19).
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
        self._authenticating = threading.BoundedSemaphore()
        self._tries = 0
        self._last_failure = verbatim("")
        self._errors_hidden_until = 0.0

    @property
    def name(self) -> str:
        """The protocol, as ODOO_TRANSPORT names it."""
        return self._wire.name

    def execute(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        """Call ``execute_kw``. A uid that Odoo no longer takes is asked for once more."""
        call = faults.Call(model, method)
        uid = self._known_uid()
        try:
            return self._execute(uid, call, args, kwargs)
        except WrongCredentials:
            self._forget(uid)
        return self._execute(self._known_uid(), call, args, kwargs)

    def version(self) -> Answer:
        """Ask for the version text; needs neither account nor database."""
        response = self._send("common", "version", ())
        try:
            value = self._wire.read(response.body)
        except Fault as fault:
            raise faults.error_of_common(fault, self._settings) from None
        if not isinstance(value, dict) or not isinstance(value.get("server_version"), str):
            raise OdooProtocolError(
                _("%(url)s does not tell Odoo's version", url=self._settings.shown_url)
            )
        return answer_of(value["server_version"], response)

    def close(self) -> None:
        """Close this thread's connections."""
        self._http.close()

    def _execute(
        self, uid: int, call: faults.Call, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        response = self._send(
            "object",
            "execute_kw",
            (uid, call.model, call.method, list(args), dict(kwargs)),
        )
        try:
            return answer_of(self._wire.read(response.body), response)
        except Fault as fault:
            if faults.is_none_result(fault):
                return answer_of(None, response)
            raise faults.error_of_execute(fault, call, self._settings) from None

    def _known_uid(self) -> int:
        uid = self._uid
        if uid is not None:
            return uid
        tries = self._tries
        acquire(self._authenticating, self._stop, math.inf)  # its holder's call has a deadline
        try:
            if self._uid is None:
                if self._tries != tries and self._last_failure:
                    # Another thread has just waited for the same answer: don't wait once more.
                    raise OdooUnavailable(self._last_failure)
                self._uid = self._counted_authenticate()
            return self._uid
        finally:
            self._authenticating.release()

    def _counted_authenticate(self) -> int:
        self._tries += 1
        self._last_failure = verbatim("")
        try:
            return self._authenticate()
        except OdooInterrupted:
            raise
        except OdooUnavailable as error:
            self._last_failure = message_of(error)
            raise

    def _authenticate(self) -> int:
        response = self._send("common", "authenticate", ({},))
        try:
            uid = self._wire.read(response.body)
        except Fault as fault:
            raise faults.error_of_common(fault, self._settings) from None
        if uid is False:  # no fault: how Odoo says «wrong» (17, 18 and 19)
            raise faults.wrong_credentials(self._settings)
        if type(uid) is not int or uid <= 0:
            raise OdooProtocolError(
                _("%(url)s gave no account id: not Odoo?", url=self._settings.shown_url)
            )
        return uid

    def _forget(self, uid: int) -> None:
        with self._authenticating:
            if self._uid == uid:
                self._uid = None

    def _send(self, service: str, method: str, params: Sequence[Any]) -> Response:
        """Send one call. Raises MissingEndpoint where this protocol hides what went wrong."""
        if service == "common" and method == "version":
            return self._exchange(service, method, params)
        if time.monotonic() < self._errors_hidden_until:
            raise self._errors_are_hidden()
        try:
            return self._exchange(service, method, params)
        except OdooUnavailable as error:
            if error.status != 500 or not self._hides_errors():
                raise
            self._errors_hidden_until = time.monotonic() + SECONDS_OF_DISTRUST
            raise self._errors_are_hidden() from None

    def _hides_errors(self) -> bool:
        """Tell whether Odoo answers, and any error of a call comes as HTTP 500 with a page.

        So does the JSON-RPC of 14 where one address leads to several databases (measured; with
        one database, errors are told): not even a wrong password could be told from an ill Odoo.
        A method that no Odoo has shows it.
        """
        self._exchange("common", "version", ())
        try:
            self._exchange("common", NO_METHOD, ())
        except OdooUnavailable as error:
            return error.status == 500
        return False

    def _errors_are_hidden(self) -> MissingEndpoint:
        return MissingEndpoint(
            _(
                "%(url)s answers HTTP 500 to every call by %(protocol)s that fails,"
                " and does not say why: Odoo 14 does so where it has several databases. Set"
                " ODOO_TRANSPORT to xmlrpc or auto, or have this address lead to one database"
                " (Odoo's option dbfilter)",
                url=self._settings.shown_url,
                protocol=self.name,
            )
        )

    def _exchange(self, service: str, method: str, params: Sequence[Any]) -> Response:
        """Send one call with the credentials put in; its body is no local variable either."""
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
