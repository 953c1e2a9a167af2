"""Measures what ``ODOO_TRANSPORT=auto`` would gain on this very Odoo, by a few small reads."""

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from bc_consumer.core.translatable import Message
from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.client import Odoo
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import OdooError, OdooInterrupted

ORDERS = 40
"""Newest orders that are read by either protocol."""
LONGEST_SECONDS = 3.0
"""Of one call: nobody waits long to be told this."""
PATIENCE_SECONDS = 6.0
"""After so long with one protocol no other one is tried."""
FASTEST_FIRST = ("json2", "jsonrpc")
"""What "auto" tries before XML-RPC."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one protocol read the orders, when it had read them once; ``bytes`` decompressed."""

    transport: str
    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True)
class TransportGain:
    """The same orders, read by the configured protocol and by the one that "auto" would choose."""

    orders: int
    now: Reading
    auto: Reading

    def text(self) -> Message:
        """Say it in a sentence."""
        return _(
            "%(now)s reads %(orders)s orders in %(ms)s ms (%(kb)s kB). With ODOO_TRANSPORT=auto,"
            " %(auto)s does it in %(auto_ms)s ms (%(auto_kb)s kB), measured just now",
            now=self.now.transport,
            orders=self.orders,
            ms=f"{1000 * self.now.seconds:.0f}",
            kb=f"{self.now.bytes / 1000:.0f}",
            auto=self.auto.transport,
            auto_ms=f"{1000 * self.auto.seconds:.0f}",
            auto_kb=f"{self.auto.bytes / 1000:.0f}",
        )


def measure_gain(
    settings: OdooSettings, stop: threading.Event | None = None
) -> TransportGain | None:
    """Read the newest orders by both; None where nothing is to be gained, or nothing to be read.

    Also None where this Odoo takes too long. A dozen calls, of three seconds each at most; ``stop``
    breaks them off. Raises what the gateway raises by the configured protocol.
    """
    faster = [name for name in FASTEST_FIRST if settings.transport not in {name, "auto"}]
    if settings.transport in FASTEST_FIRST:
        faster = list(FASTEST_FIRST[: FASTEST_FIRST.index(settings.transport)])
    if not faster:
        return None
    # Waiting for one's turn is not what is to be measured.
    brief = replace(settings, timeout=min(settings.timeout, LONGEST_SECONDS), calls_per_second=0.0)
    until = time.monotonic() + PATIENCE_SECONDS
    with closing(Odoo(brief, stop)) as odoo:
        ids = odoo.listing.latest_orders(ORDERS)
        if not ids:
            return None
        now = _read(odoo, ids)
    for name in faster:
        if time.monotonic() > until:
            return None
        try:
            with closing(Odoo(replace(brief, transport=name), stop)) as other:
                return TransportGain(len(ids), now, _read(other, ids))
        except OdooInterrupted:
            raise
        except OdooError:
            continue  # an Odoo without this protocol, or a password that is no API key
    return None


def _read(odoo: Odoo, ids: Sequence[int]) -> Reading:
    odoo.fetch(ids)  # logs in, asks for the fields, and lets Odoo fill its caches
    before, began = odoo.bytes, time.perf_counter()
    odoo.fetch(ids)
    return Reading(odoo.transport, time.perf_counter() - began, odoo.bytes - before)
