"""The fastest transport that this server and these credentials allow, found out by using it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bc_consumer.odoo.errors import (
    MissingEndpoint,
    OdooError,
    OdooRefused,
)
from bc_consumer.odoo.records import Answer
from bc_consumer.odoo.transport import Transport

logger = logging.getLogger("bc_consumer.odoo")


class AutoTransport:
    """Tries JSON-2, then JSON-RPC, then XML-RPC. Thread-safe; remembers which one worked.

    The first call itself is what is tried: a server that has no such endpoint, or does not take
    a password as an API key, says so before it does anything. The choice stays until Odoo
    refuses us or the endpoint is gone; then all are tried again.
    """

    def __init__(self, json2: Transport, jsonrpc: Transport, xmlrpc: Transport) -> None:
        self._all = (json2, jsonrpc, xmlrpc)
        # Without credentials JSON-RPC is asked first: every version up to 21 answers there.
        self._for_version = (jsonrpc, json2, xmlrpc)
        self._json2 = json2
        self._chosen: Transport | None = None

    @property
    def name(self) -> str:
        """The protocol that was chosen; «auto» before the first call."""
        chosen = self._chosen
        return chosen.name if chosen else "auto"

    @property
    def may_lag(self) -> bool:
        """Whether a read may see an older state than one that Odoo has committed."""
        chosen = self._chosen
        return chosen is None or chosen.may_lag

    def execute(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        """Call by the chosen transport, or by the first one that works."""
        chosen = self._chosen
        if chosen is not None:
            try:
                return chosen.execute(model, method, args, kwargs)
            except (MissingEndpoint, OdooRefused) as error:
                logger.warning("Odoo no longer answers by %s: %s", chosen.name, error)
                self._chosen = None
        return self._first(self._all, lambda one: one.execute(model, method, args, kwargs), True)

    def version(self) -> Answer:
        """Ask for the version text; decides nothing."""
        chosen = self._chosen
        order = self._for_version if chosen is None else (chosen, *self._for_version)
        return self._first(order, lambda one: one.version(), False)

    def close(self) -> None:
        """Close this thread's connections, which all transports share."""
        self._json2.close()

    def _first(
        self, order: Sequence[Transport], ask: Callable[[Transport], Answer], choose: bool
    ) -> Answer:
        """Ask one after the other. Raises what the last one said, or an error of another kind."""
        *others, last = order
        for transport in others:
            try:
                return self._asked(transport, ask, choose)
            except OdooError as error:
                if not self._leads_on(transport, error):
                    raise
                logger.debug("Odoo can't be asked by %s: %s", transport.name, error)
        return self._asked(last, ask, choose)

    def _asked(
        self, transport: Transport, ask: Callable[[Transport], Answer], choose: bool
    ) -> Answer:
        answer = ask(transport)
        if choose and self._chosen is not transport:
            self._chosen = transport
            logger.info("Odoo is asked by %s from now on", transport.name)
        return answer

    def _leads_on(self, transport: Transport, error: OdooError) -> bool:
        """Whether another transport may work. JSON-2's refusals are no last word: it takes no
        password, and tells a missing database from a hidden endpoint by a page alone."""
        if isinstance(error, MissingEndpoint):
            return True
        return transport is self._json2 and isinstance(error, OdooRefused)
