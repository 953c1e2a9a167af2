"""The fastest transport that this server and these credentials allow, found out by using it."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bc_consumer.odoo.errors import (
    MissingEndpoint,
    OdooError,
    OdooInterrupted,
    OdooRefused,
)
from bc_consumer.odoo.records import Answer
from bc_consumer.odoo.transport import Transport

logger = logging.getLogger("bc_consumer.odoo")

SECONDS_UNTIL_NEXT_LOOK = 600.0
"""A proxy that is being restarted hides an endpoint for a moment, a key may be made later: without
another look that moment would count until the process ends. Where the faster one is not there at
all, a look costs one or two answers of «not found»."""


class AutoTransport:
    """Tries JSON-2, then JSON-RPC, then XML-RPC. Thread-safe; remembers which one worked.

    The first call itself is what is tried: a server that has no such endpoint, or does not take
    a password as an API key, says so before it does anything. The choice stays until Odoo
    refuses us or the endpoint is gone; then all are tried again. While it isn't the fastest, those
    before it are looked at again every ten minutes, by a call that reads nothing.
    """

    def __init__(self, json2: Transport, jsonrpc: Transport, xmlrpc: Transport) -> None:
        self._all = (json2, jsonrpc, xmlrpc)
        # Without credentials JSON-RPC is asked first: every version up to 21 answers there.
        self._for_version = (jsonrpc, json2, xmlrpc)
        self._json2 = json2
        self._chosen: Transport | None = None
        self._next_look = 0.0
        self._looking = threading.Lock()

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
        chosen = self._better()
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

    def _better(self) -> Transport | None:
        """Give the choice, after another look at the faster ones where one is due."""
        chosen = self._chosen
        if chosen is None or chosen is self._all[0] or time.monotonic() < self._next_look:
            return chosen
        if not self._looking.acquire(blocking=False):
            return chosen  # another thread looks
        try:
            self._next_look = time.monotonic() + SECONDS_UNTIL_NEXT_LOOK
            for transport in self._all[: self._all.index(chosen)]:
                if self._works(transport):
                    self._choose(transport, f"{transport.name} answers now")
                    break
        finally:
            self._looking.release()
        return self._chosen

    def _works(self, transport: Transport) -> bool:
        """Try it with a call that reads nothing: whatever goes wrong, the present choice serves."""
        try:
            transport.execute("res.users", "search", [[("id", "=", 0)]], {"limit": 1})
        except OdooInterrupted:
            raise
        except OdooError as error:
            logger.debug("Odoo still can't be asked by %s: %s", transport.name, error)
            return False
        return True

    def _first(
        self, order: Sequence[Transport], ask: Callable[[Transport], Answer], choose: bool
    ) -> Answer:
        """Ask one after the other. Raises what the last one said, or an error of another kind."""
        reasons = []
        for transport in order:
            try:
                answer = ask(transport)
            except OdooError as error:
                if transport is order[-1] or not self._leads_on(transport, error):
                    raise
                reasons.append(f"not by {transport.name}: {error}")
            else:
                if choose:
                    self._choose(transport, "; ".join(reasons) or "the fastest")
                return answer
        raise AssertionError("no transport to ask by")

    def _choose(self, transport: Transport, why: str) -> None:
        if self._chosen is not transport:
            self._chosen = transport
            self._next_look = time.monotonic() + SECONDS_UNTIL_NEXT_LOOK
            logger.info("Odoo is asked by %s from now on (%s)", transport.name, why)

    def _leads_on(self, transport: Transport, error: OdooError) -> bool:
        """Whether another transport may work. JSON-2's refusals are no last word: it takes no
        password, and tells a missing database from a hidden endpoint by a page alone."""
        if isinstance(error, MissingEndpoint):
            return True
        return transport is self._json2 and isinstance(error, OdooRefused)
