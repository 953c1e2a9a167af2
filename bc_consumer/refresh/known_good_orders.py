"""The control calls: after an error, is Odoo ill, are our fields wrong, or is it these orders?

The error of a call cannot tell: Odoo answers Fault 1 for anything, trouble of its own database
included (measured on Odoo 17, 18 and 19). So an order that is known to be good is read in the same
way. If it can be read, the other orders are at fault. If none can be read although Odoo works, the
fields that we ask for are at fault, and no order is.
"""

import logging
import random
from collections.abc import Collection, Iterator

from django.db.models import Exists, OuterRef

from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import BC, JournalEntry, PendingBC
from bc_consumer.odoo import OdooTimeout, OdooUnavailable
from bc_consumer.refresh import odoo_identity
from bc_consumer.refresh.error_policy import UnreadableOrders, is_about_orders
from bc_consumer.refresh.mapping import map_order
from bc_consumer.refresh.odoo_connection import odoo

logger = logging.getLogger(__name__)

ENOUGH = 2
"""Orders known to be good that have to fail before the fields are blamed: a single one may have
turned bad since, unnoticed."""
LATEST_ENTRIES = 50
"""Entries of the journal among which an order that was read lately is looked for."""
SAMPLE = 4
"""Orders drawn from Odoo's latest where the copy has too few: each may cost a whole deadline."""
AMONG = 1000
"""Odoo's latest orders from which the sample is drawn."""


def check_known_good(error: Exception, ids: Collection[int]) -> None:
    """Return normally when one of the orders ``ids`` must be at fault for ``error``.

    Raises OdooUnavailable where Odoo is ill, UnreadableOrders where no order can be read, and every
    error that stops all workers.
    """
    failures: list[Exception] = []
    for odoo_id in _known_good(ids):
        try:
            if _can_read(odoo_id):
                return
        except OdooTimeout as slow:
            raise OdooUnavailable(
                _("Odoo is too slow to read any order: %(error)s", error=message_of(slow))
            ) from error
        except Exception as failure:
            if not is_about_orders(failure):
                raise
            failures.append(failure)
    odoo().ping()
    if len(failures) >= ENOUGH:
        raise UnreadableOrders(
            _(
                "Odoo answers, but reads no order with the fields that the copy asks for, not"
                " even orders that it read before: %(error)s. Has a module or a computed"
                " field been changed in Odoo? Meanwhile no order is given up",
                error=message_of(failures[-1]),
            )
        ) from error


def probe_odoo(odoo_id: int | None) -> None:
    """Ask Odoo while the workers leave it alone; if nothing is wrong, let a worker ask at once.

    ``odoo_id``: an order that waits; it is read, because what Odoo rejects may be something that
    every order needs, a field or the lines. A control call alone would succeed, and the orders
    would wait for ever. None: only the control call. Raises what is wrong, UnreadableOrders where
    no order at all can be read.
    """
    try:
        if odoo_id is not None:
            _can_read(odoo_id)
    except Exception as error:
        if not is_about_orders(error):
            raise
        check_known_good(error, [odoo_id] if odoo_id is not None else [])
        logger.info("BC %s: %s", odoo_id, error)
    odoo().ping()
    odoo_identity.require_same_database(odoo())
    circuit_breaker.probe_soon()


def _can_read(odoo_id: int) -> bool:
    """Read and map one order; return False when Odoo does not show it."""
    snapshot = odoo().fetch([odoo_id]).orders.get(odoo_id)
    if snapshot is None:
        return False
    map_order(snapshot)
    return True


def _known_good(ids: Collection[int]) -> Iterator[int]:
    """Yield unmarked orders that the copy holds; where they are too few, any of Odoo's."""
    pending = PendingBC.objects.filter(odoo_id=OuterRef("odoo_id"))
    good = BC.objects.current().filter(~Exists(pending)).exclude(odoo_id__in=sorted(ids))
    latest = JournalEntry.objects.order_by("-id").values_list("odoo_id", flat=True)
    tried: set[int] = set()
    for candidates in (
        good.filter(odoo_id__in=list(latest[:LATEST_ENTRIES])).order_by("-synced_at"),
        good.order_by("odoo_id"),
        good.order_by("-odoo_id"),
    ):
        odoo_id = candidates.exclude(odoo_id__in=tried).values_list("odoo_id", flat=True).first()
        if odoo_id is not None:
            tried.add(odoo_id)
            yield odoo_id
    if len(tried) >= ENOUGH:
        return
    odoo().ping()  # otherwise a domain that Odoo rejects would look like a failure of the next call
    blamed = set(ids) if len(ids) == 1 else set()
    others = [i for i in _list_latest_orders() if i not in tried | blamed]
    yield from random.sample(others, min(SAMPLE, len(others)))


def _list_latest_orders() -> list[int]:
    try:
        return odoo().listing.latest_orders(AMONG)
    except Exception as error:
        if not is_about_orders(error):
            raise
        return []  # the caller's own control call finds out why
