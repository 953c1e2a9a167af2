"""Measures what ``ODOO_TRANSPORT=auto`` would gain on this very Odoo, by two small reads."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from bc_consumer.core.translatable import Message
from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.client import Odoo
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.scope import Scope

ORDERS = 40
"""Newest orders that are read by either protocol."""
LONGEST_SECONDS = 5.0
"""Of one call: nobody waits long to be told this."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one protocol read the orders; ``bytes`` after decompression."""

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
            " %(auto)s does in %(auto_ms)s ms (%(auto_kb)s kB), measured just now",
            now=self.now.transport,
            orders=self.orders,
            ms=f"{1000 * self.now.seconds:.0f}",
            kb=f"{self.now.bytes / 1000:.0f}",
            auto=self.auto.transport,
            auto_ms=f"{1000 * self.auto.seconds:.0f}",
            auto_kb=f"{self.auto.bytes / 1000:.0f}",
        )


def measure_gain(settings: OdooSettings) -> TransportGain | None:
    """Read the newest orders by both; None where nothing is to be gained, or nothing to be read.

    Raises what the gateway raises.
    """
    if settings.transport == "auto":
        return None
    brief = replace(settings, timeout=min(settings.timeout, LONGEST_SECONDS))
    with closing(Odoo(brief)) as odoo, closing(Odoo(replace(brief, transport="auto"))) as by_auto:
        ids = _newest_orders(odoo, brief)
        if not ids:
            return None
        now, auto = _read(odoo, ids), _read(by_auto, ids)
    return None if now.transport == auto.transport else TransportGain(len(ids), now, auto)


def _newest_orders(odoo: Odoo, settings: OdooSettings) -> list[int]:
    scope = Scope(settings.language, tuple(settings.domain), tuple(settings.company_ids))
    found = odoo.call(
        settings.order_model,
        "search",
        [scope.order_domain()],
        {"order": "id desc", "limit": ORDERS, "context": scope.context},
    )
    return sorted(found)


def _read(odoo: Odoo, ids: Sequence[int]) -> Reading:
    odoo.fetch(ids[:1])  # asks for the fields, and lets "auto" choose
    before, began = odoo.bytes, time.perf_counter()
    odoo.fetch(ids)
    return Reading(odoo.transport, time.perf_counter() - began, odoo.bytes - before)
