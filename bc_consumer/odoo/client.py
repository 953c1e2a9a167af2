"""The gateway's front: one Odoo, as the rest of the product uses it."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.calls import Calls
from bc_consumer.odoo.domains import check_domain
from bc_consumer.odoo.errors import OdooProtocolError
from bc_consumer.odoo.field_set import ATTRIBUTES, FieldSet, Wanted
from bc_consumer.odoo.gate import Gate
from bc_consumer.odoo.http import HttpSession
from bc_consumer.odoo.listing import Listing
from bc_consumer.odoo.orders import OrderReader
from bc_consumer.odoo.records import Fetched, ServerVersion
from bc_consumer.odoo.scope import Scope, control
from bc_consumer.odoo.settings import OdooSettings
from bc_consumer.odoo.transport import Transport
from bc_consumer.odoo.transports import transport_for


class Odoo:
    """One Odoo server and database, as one account sees it. One per process; thread-safe.

    Every method that calls Odoo raises the errors of ``errors.py`` and no others. Each call ends
    within the settings' timeout, after waiting for its turn as long at most. Once ``stop`` is set,
    calls under way are broken off within a tenth of a second, and new ones refused, with
    OdooInterrupted.
    """

    def __init__(
        self,
        settings: OdooSettings,
        stop: threading.Event | None = None,
        gate: Gate | None = None,
    ) -> None:
        """Prepare; nothing is sent yet. Raises OdooRefused for an order model we don't know.

        ``gate``: what each HTTP exchange has to pass; without one, this process's own limits.
        """
        self.settings = settings
        stop = stop or threading.Event()
        self._version: ServerVersion | None = None
        self._http = HttpSession(settings, stop, gate)
        self._transport: Transport = transport_for(settings, self._http, stop)
        self._calls = Calls(self._transport, settings.login)
        self._scope = Scope(
            settings.language, check_domain(settings.domain), tuple(settings.company_ids)
        )
        wanted = Wanted(settings.order_model, settings.extra_fields, settings.extra_line_fields)
        self._orders = OrderReader(self._calls, wanted, self._scope)
        self.listing = Listing(self._calls, settings.order_model, self._scope)

    @property
    def calls(self) -> int:
        """HTTP exchanges begun so far, those to authenticate included."""
        return self._http.calls

    @property
    def bytes(self) -> int:
        """Bytes of answers received so far, after decompression."""
        return self._http.bytes

    @property
    def transport(self) -> str:
        """The protocol that calls are made by; «auto» while none has been chosen."""
        return self._transport.name

    @property
    def may_lag(self) -> bool:
        """Whether a read may see an older state than one that Odoo has committed (JSON-2)."""
        return self._transport.may_lag

    @property
    def absent_fields(self) -> tuple[str, ...]:
        """Optional fields («model.field») that this Odoo lacks; known after the first fetch."""
        return self._orders.absent_fields

    @property
    def known_fields(self) -> FieldSet | None:
        """The fields that are read, as far as Odoo was asked; the same object until it is anew."""
        return self._orders.known_fields

    def field_set(self) -> FieldSet:
        """Give the fields that are read: what this Odoo has of what is wanted, asked for lately.

        Raises MissingField, MissingModel or UnfitField where no order can be read so, and
        OdooRefused where Odoo can't take the configured domain or companies.
        """
        return self._orders.field_set()

    def fields_of(self, model: str) -> Mapping[str, Mapping[str, Any]]:
        """Give what Odoo tells of all fields of a model: name → type, label, relation, …"""
        kwargs = {"attributes": ATTRIBUTES, "context": self._scope.context}
        answer = self.call(model, "fields_get", (), kwargs)
        if not isinstance(answer, dict) or not all(isinstance(v, dict) for v in answer.values()):
            raise OdooProtocolError(
                _("Odoo's list of the fields of %(model)s is none", model=model)
            )
        return answer

    def fetch(self, ids: Sequence[int]) -> Fetched:
        """Fetch the present state of orders, each one consistent, and tell why others are missing.

        One call where Odoo has ``web_search_read`` (17 and later), plus one where ids are missing.
        Raises OdooFault if Odoo can't read the batch (split it until the bad order stands alone),
        MissingField or NoRights if no order could be read, and the rest of ``errors.py``.
        """
        return self._orders.fetch(ids)

    def version(self) -> ServerVersion:
        """Ask for the server's version; needs no credentials."""
        return ServerVersion.from_text(str(self._transport.version().value))

    def known_version(self) -> ServerVersion:
        """Give the version that the server had when it was first asked; asks once."""
        version = self._version
        if version is None:
            version = self._version = self.version()
        return version

    def server_time(self) -> datetime:
        """Give a moment on Odoo's clock that is not later than now, UTC.

        From the ``Date`` header, which has whole seconds: up to a second, and the answer's
        travelling time, early. Raises OdooProtocolError if there is no such header.
        """
        answer = self._transport.version()
        if answer.server_date is None:
            raise OdooProtocolError(
                _(
                    "%(url)s answers without a Date header, by which its clock is read: let the"
                    " proxy in front pass it on",
                    url=self.settings.shown_url,
                )
            )
        return answer.server_date - timedelta(seconds=1)

    def ping(self) -> None:
        """Make the control call: as the account, through Odoo to its database, for no order.

        It passes: Odoo works, so an error of another call is about that call. It raises
        OdooUnavailable where the same trouble would meet any order, whatever fault it shows as,
        and OdooRefused where Odoo can't take the configured domain or companies.
        """
        control(self._calls, self.settings.order_model, self._scope)

    def languages(self) -> tuple[str, ...]:
        """Give the codes of the languages in use in this Odoo, ascending."""
        rows = self.call("res.lang", "search_read", [[]], {"fields": ["code"]})
        if not isinstance(rows, list):
            raise OdooProtocolError(_("Odoo's list of %(model)s is none", model="res.lang"))
        return tuple(sorted(str(row["code"]) for row in rows))

    def account_id(self) -> int | None:
        """Give the id of the account that calls are made as; None where Odoo does not tell.

        JSON-2 goes by the API key alone, whatever login the settings name. ``context_get`` tells
        it (Odoo's source, 17 to 19).
        """
        uid = self._account("uid")
        return uid if type(uid) is int else None

    def account_language(self) -> str | None:
        """Give the code of that account's language; None where Odoo does not tell."""
        return str(self._account("lang") or "") or None

    def account_login(self) -> str | None:
        """Give that account's login, which everybody may read of their own; None if not told."""
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
        """Call any method of a model. None where the method returns nothing.

        Raises NoRights if the account may not read the model at all, OdooAccessError if only some
        records are kept from it.
        """
        return self._calls.execute(model, method, args, kwargs or {}).value

    def _account(self, name: str) -> Any:
        context = self.call("res.users", "context_get")
        return context.get(name) if isinstance(context, dict) else None

    def forget_fields(self) -> None:
        """Ask Odoo anew which fields it has, at the next fetch."""
        self._orders.forget_fields()

    def close(self) -> None:
        """Close the calling thread's connections; other threads' end with their threads."""
        self._transport.close()
