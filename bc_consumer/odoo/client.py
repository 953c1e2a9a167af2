"""The front of the gateway: one Odoo, as the rest of the product uses it.

Start with ``Odoo.fetch``, and go on in ``orders.py``; how a call then reaches Odoo is in
``transports.py``, ``rpc.py``, ``xmlrpc_codec.py`` and ``http.py``, in this order.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.call_observer import CallObserver
from bc_consumer.odoo.calls_at_once import CallLimits
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.domains import check_domain
from bc_consumer.odoo.errors import OdooProtocolError
from bc_consumer.odoo.field_set import ATTRIBUTES, FieldSet, WantedFields
from bc_consumer.odoo.http import HttpSession
from bc_consumer.odoo.listing import Listing
from bc_consumer.odoo.orders import OrderReader
from bc_consumer.odoo.records import Fetched, ServerVersion
from bc_consumer.odoo.scope import Scope
from bc_consumer.odoo.transports import ModelCalls, Transport, make_transport
from bc_consumer.odoo.wrong_address import ExplainingTransport


class Odoo:
    """One Odoo server and database, as one account sees them. One per process; thread-safe.

    Every method that calls Odoo raises the errors of ``errors.py`` and no others. Each call ends
    within ``settings.timeout`` seconds, after waiting for its turn for as long at most. Once
    ``stop`` is set, running calls are broken off within a tenth of a second and new ones are
    refused, with OdooInterrupted.
    """

    def __init__(
        self,
        settings: OdooSettings,
        stop: threading.Event | None = None,
        call_limits: CallLimits | None = None,
        observer: CallObserver | None = None,
    ) -> None:
        """Sends nothing yet. Raises OdooRefused for an order model that can't be copied.

        ``call_limits``: what each HTTP exchange waits for; by default the limits of this process.
        ``observer``: who is told of exchanges and failures.
        """
        self.settings = settings
        stop = stop or threading.Event()
        self._version: ServerVersion | None = None
        self._http = HttpSession(settings, stop, call_limits, observer)
        self._transport: Transport = ExplainingTransport(
            make_transport(settings, self._http, stop), settings, stop, call_limits
        )
        self._calls = ModelCalls(self._transport, settings.login, observer)
        self._scope = Scope(
            settings.language, check_domain(settings.domain), tuple(settings.company_ids)
        )
        wanted = WantedFields(
            settings.order_model, settings.extra_fields, settings.extra_line_fields
        )
        self._orders = OrderReader(self._calls, wanted, self._scope)
        self.listing = Listing(self._calls, settings.order_model, self._scope)

    @property
    def calls(self) -> int:
        """The number of HTTP exchanges begun so far, logins included."""
        return self._http.calls

    @property
    def bytes(self) -> int:
        """The bytes of answers received so far, after decompression."""
        return self._http.bytes

    @property
    def transport(self) -> str:
        """The protocol in use; "auto" while none has been chosen."""
        return self._transport.name

    @property
    def may_lag(self) -> bool:
        """Whether a read may return an older state than the last commit (JSON-2)."""
        return self._transport.may_lag

    @property
    def absent_fields(self) -> tuple[str, ...]:
        """Optional fields ("model.field") that this Odoo lacks; empty before the first fetch."""
        return self._orders.absent_fields

    @property
    def known_fields(self) -> FieldSet | None:
        """The fields that are read, None before the first fetch. The same object until Odoo is
        asked again."""
        return self._orders.known_fields

    def field_set(self) -> FieldSet:
        """Return the fields that are read: those of the wanted ones that this Odoo has.

        Asks Odoo if the answer is more than ten minutes old. Raises MissingField, MissingModel or
        UnfitField where no order can be read like this, and OdooRefused where Odoo does not accept
        the configured domain or companies.
        """
        return self._orders.field_set()

    def fields_of(self, model: str) -> Mapping[str, Mapping[str, Any]]:
        """Return all fields of a model: name → type, label, relation, … (``fields_get``)."""
        kwargs = {"attributes": ATTRIBUTES, "context": self._scope.context}
        answer = self.call(model, "fields_get", (), kwargs)
        if not isinstance(answer, dict) or not all(isinstance(v, dict) for v in answer.values()):
            raise OdooProtocolError(
                _("Odoo did not return a valid list of the fields of %(model)s", model=model)
            )
        return answer

    def fetch(self, ids: Sequence[int]) -> Fetched:
        """Fetch the present state of orders, each one consistent, and why others are missing.

        One call where Odoo has ``web_search_read`` (17 and later), and a second one if ids are
        missing. Raises OdooFault if Odoo can't read the batch (split it until the bad order is
        alone), MissingField or NoRights if no order could be read, and the rest of ``errors.py``.
        """
        return self._orders.fetch(ids)

    def version(self) -> ServerVersion:
        """Ask for the server's version. Needs no credentials."""
        return ServerVersion.from_text(str(self._transport.version().value))

    def known_version(self) -> ServerVersion:
        """Return the server's version as it was at the first call of this method."""
        version = self._version
        if version is None:
            version = self._version = self.version()
        return version

    def server_time(self) -> datetime:
        """Return a moment on Odoo's clock, UTC, that is not later than now.

        It is the answer's ``Date`` header (whole seconds) less a second: early by up to two
        seconds and the answer's travelling time. Raises OdooProtocolError without such a header.
        """
        answer = self._transport.version()
        if answer.server_date is None:
            raise OdooProtocolError(
                _(
                    "%(url)s answers without the Date header that tells its clock: have the proxy"
                    " in front of it pass that header on",
                    url=self.settings.shown_url,
                )
            )
        return answer.server_date - timedelta(seconds=1)

    def ping(self) -> None:
        """Make the control call: as the account, through Odoo to its database, about no order.

        If it succeeds, Odoo works, so an error of another call is about that call. Raises
        OdooUnavailable where any order would meet the same trouble, whatever fault it shows as,
        and OdooRefused where Odoo does not accept the configured domain or companies.
        """
        self._orders.make_control_call()

    def languages(self) -> tuple[str, ...]:
        """Return the codes of the languages that are active in this Odoo, sorted."""
        rows = self.call("res.lang", "search_read", [[]], {"fields": ["code"]})
        if not isinstance(rows, list):
            raise OdooProtocolError(
                _("Odoo did not return a valid list of %(model)s", model="res.lang")
            )
        return tuple(sorted(str(row["code"]) for row in rows))

    def account_id(self) -> int | None:
        """Return the id of the account that makes the calls; None where Odoo does not tell.

        JSON-2 goes by the API key alone, whatever login the settings name. ``context_get`` returns
        the account (Odoo's source, 17 to 19).
        """
        uid = self._account("uid")
        return uid if type(uid) is int else None

    def account_language(self) -> str | None:
        """Return the code of that account's language; None where Odoo does not tell."""
        return str(self._account("lang") or "") or None

    def account_login(self) -> str | None:
        """Return that account's login, which every account may read; None if Odoo doesn't tell."""
        uid = self.account_id()
        if uid is None:
            return None
        rows = self.call("res.users", "read", [[uid]], {"fields": ["login"]})
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
            return None
        return str(rows[0].get("login") or "") or None

    def call(
        self,
        model: str,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call any method of a model, and return its result; None where it returns nothing.

        Raises NoRights if the account may not read the model at all, OdooAccessError if it may
        not read some of the records.
        """
        return self._calls.execute(model, method, args, kwargs or {}).value

    def _account(self, name: str) -> Any:
        context = self.call("res.users", "context_get")
        return context.get(name) if isinstance(context, dict) else None

    def forget_fields(self) -> None:
        """Ask Odoo for its fields again, at the next fetch."""
        self._orders.forget_fields()

    def close(self) -> None:
        """Close the calling thread's connections; those of other threads end with them."""
        self._transport.close()
