"""How calls reach Odoo: what every protocol offers, which one is used, and the log of calls.

The protocols themselves are ``rpc.py`` (XML-RPC and JSON-RPC) and ``json2.py`` (JSON-2).
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.call_observer import CallObserver, NoObserver
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import (
    MissingEndpoint,
    NoRights,
    OdooAccessError,
    OdooError,
    OdooFault,
    OdooInterrupted,
    OdooRefused,
)
from bc_consumer.odoo.http import Answer, HttpSession
from bc_consumer.odoo.json2 import Json2Transport
from bc_consumer.odoo.rpc import JsonRpc, RpcTransport, Wire, XmlRpc

logger = logging.getLogger("bc_consumer.odoo")

SECONDS_UNTIL_NEXT_LOOK = 600.0
"""How often ``AutoTransport`` tries the faster protocols again.

A proxy that restarts hides an endpoint for a moment, and an API key may be created later: without
another try, that moment would count until the process ends. Where the faster protocol does not
exist, a try costs one or two answers of HTTP 404."""


class Transport(Protocol):
    """One protocol to one Odoo. Thread-safe. Raises the errors of ``errors.py`` only.

    Odoo's ``AccessError`` is raised as OdooAccessError, whether it concerns some records or the
    whole model: ``ModelCalls`` finds out which.
    """

    @property
    def name(self) -> str:
        """The protocol, as ODOO_TRANSPORT names it."""

    @property
    def may_lag(self) -> bool:
        """Whether a read may return an older state than the one that Odoo last committed."""

    def execute(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        """Call a method of a model as the configured account."""

    def version(self) -> Answer:
        """Ask for the server's version text ("17.0"). Needs no credentials."""

    def close(self) -> None:
        """Close the calling thread's connections."""


def make_transport(settings: OdooSettings, http: HttpSession, stop: threading.Event) -> Transport:
    """Return the transport that ``settings.transport`` names."""

    def rpc(wire: Wire) -> Transport:
        return RpcTransport(wire, settings, http, stop)

    def json2() -> Transport:
        return Json2Transport(settings, http)

    makers: Mapping[str, Callable[[], Transport]] = {
        "xmlrpc": lambda: rpc(XmlRpc()),
        "jsonrpc": lambda: rpc(JsonRpc()),
        "json2": json2,
        "auto": lambda: AutoTransport(json2(), rpc(JsonRpc()), rpc(XmlRpc())),
    }
    return makers[settings.transport]()


class ModelCalls:
    """Calls methods of Odoo's models by one transport, and logs each call. Thread-safe."""

    def __init__(
        self, transport: Transport, account: str, observer: CallObserver | None = None
    ) -> None:
        self._transport = transport
        self._account = account  # the login, for error messages
        self._observer = observer or NoObserver()

    def execute(
        self,
        model: str,
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        needed_models: Sequence[str] | None = (),
    ) -> Answer:
        """Call a method of a model, and log one line about it (level DEBUG).

        Raises NoRights where the account may not read a whole model: ``model`` itself, or one of
        ``needed_models``. Pass ``needed_models=None`` where an access error can only be about
        single records: it is then raised as OdooAccessError without further calls.
        """
        try:
            answer = self._transport.execute(model, method, args, kwargs)
        except OdooAccessError as error:
            self._tell_failure(model, method, error)
            if needed_models is not None:
                self._raise_if_no_rights(error, (model, *needed_models))
            raise
        except OdooError as error:
            self._tell_failure(model, method, error)
            raise
        logger.debug(
            "%s.%s: %d ids, %.0f ms, %d bytes",
            model,
            method,
            _number_of_ids(args, kwargs),
            answer.seconds * 1000,
            answer.received_bytes,
        )
        return answer

    def _raise_if_no_rights(self, error: OdooAccessError, models: Sequence[str]) -> None:
        """Search each model for nothing, and raise NoRights for the first that refuses.

        Odoo's texts are translated, so they cannot tell a forbidden record from a forbidden model.
        A search can: it leaves forbidden records out, and faults where the account may not read
        the model at all (17, 18 and 19).
        """
        for suspect in dict.fromkeys(models):
            try:
                self._transport.execute(suspect, "search", [[("id", "=", 0)]], {"limit": 1})
            except OdooAccessError as refusal:
                raise NoRights(
                    _(
                        'The account "%(account)s" may not read %(suspect)s: give it the rights'
                        " of a user of that app in Odoo (Odoo said: %(message)s)",
                        account=self._account,
                        suspect=suspect,
                        message=refusal.message,
                    ),
                    model=suspect,
                ) from error
            except OdooFault:
                continue

    def _tell_failure(self, model: str, method: str, error: OdooError) -> None:
        self._observer.call_failed(error)
        logger.debug("%s.%s failed: %s: %s", model, method, type(error).__name__, error)


def _number_of_ids(args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Count the ids that a call names, as its first argument or as ``id in […]`` of a domain."""
    first = args[0] if args else kwargs.get("domain", ())
    if isinstance(first, list | tuple) and first:
        if isinstance(first[0], int):
            return len(first)
        if isinstance(first[0], list | tuple) and list(first[0][:2]) == ["id", "in"]:
            return len(first[0][2])
    return 0


class AutoTransport:
    """Uses the fastest protocol that works: JSON-2, else JSON-RPC, else XML-RPC. Thread-safe.

    It tries them with the first call itself: a server without the endpoint, or one that does not
    accept the password as an API key, says so before it does anything. It keeps its choice until
    Odoo refuses us or the endpoint disappears, and then tries all of them again. While a faster
    protocol than the chosen one exists, it tries that one every ten minutes with a call that reads
    nothing.
    """

    def __init__(self, json2: Transport, jsonrpc: Transport, xmlrpc: Transport) -> None:
        self._all = (json2, jsonrpc, xmlrpc)
        # Without credentials JSON-RPC comes first: every version up to 21 answers there.
        self._for_version = (jsonrpc, json2, xmlrpc)
        self._json2 = json2
        self._chosen: Transport | None = None
        self._next_look = 0.0  # on the monotonic clock
        self._looking = threading.Lock()

    @property
    def name(self) -> str:
        """The chosen protocol; "auto" before the first call."""
        chosen = self._chosen
        return chosen.name if chosen else "auto"

    @property
    def may_lag(self) -> bool:
        """Whether a read may return an older state than the one that Odoo last committed."""
        chosen = self._chosen
        return chosen is None or chosen.may_lag

    def execute(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        """Call by the chosen protocol, or by the first one that works."""
        chosen = self._choice_after_look()
        if chosen is not None:
            try:
                return chosen.execute(model, method, args, kwargs)
            except (MissingEndpoint, OdooRefused) as error:
                logger.warning("Odoo no longer answers over %s: %s", chosen.name, error)
                self._chosen = None
        return self._try_in_turn(
            self._all, lambda one: one.execute(model, method, args, kwargs), choose=True
        )

    def version(self) -> Answer:
        """Ask for the version text. Does not choose a protocol."""
        chosen = self._chosen
        order = self._for_version if chosen is None else (chosen, *self._for_version)
        return self._try_in_turn(order, lambda one: one.version(), choose=False)

    def close(self) -> None:
        """Close the calling thread's connections, which all protocols share."""
        self._json2.close()

    def _choice_after_look(self) -> Transport | None:
        """Try the faster protocols if that is due, and return the choice; None before the first."""
        chosen = self._chosen
        if chosen is None or chosen is self._all[0] or time.monotonic() < self._next_look:
            return chosen
        if not self._looking.acquire(blocking=False):
            return chosen  # another thread is looking
        try:
            self._next_look = time.monotonic() + SECONDS_UNTIL_NEXT_LOOK
            for transport in self._all[: self._all.index(chosen)]:
                if self._works(transport):
                    self._choose(transport, f"{transport.name} works now")
                    break
        finally:
            self._looking.release()
        return self._chosen

    def _works(self, transport: Transport) -> bool:
        """Make a call that reads nothing. An error only means that the choice stays as it is."""
        try:
            transport.execute("res.users", "search", [[("id", "=", 0)]], {"limit": 1})
        except OdooInterrupted:
            raise
        except OdooError as error:
            logger.debug("Odoo still can't be called over %s: %s", transport.name, error)
            return False
        return True

    def _try_in_turn(
        self, order: Sequence[Transport], ask: Callable[[Transport], Answer], *, choose: bool
    ) -> Answer:
        """Return the first answer. Raises the last protocol's error, or one no other can help."""
        reasons = []
        for transport in order:
            try:
                answer = ask(transport)
            except OdooError as error:
                if transport is order[-1] or not self._another_may_work(transport, error):
                    raise
                reasons.append(f"not over {transport.name}: {error}")
            else:
                if choose:
                    self._choose(transport, "; ".join(reasons) or "the fastest")
                return answer
        raise AssertionError("there is no transport to call Odoo by")

    def _choose(self, transport: Transport, why: str) -> None:
        if self._chosen is not transport:
            self._chosen = transport
            self._next_look = time.monotonic() + SECONDS_UNTIL_NEXT_LOOK
            logger.info("Odoo is called over %s from now on (%s)", transport.name, why)

    def _another_may_work(self, transport: Transport, error: OdooError) -> bool:
        """Tell whether another protocol may succeed where this one failed.

        JSON-2 refuses passwords, and answers a wrong database like a missing endpoint: after its
        refusals the others are tried too.
        """
        if isinstance(error, MissingEndpoint):
            return True
        return transport is self._json2 and isinstance(error, OdooRefused)
