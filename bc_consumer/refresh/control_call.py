"""The control calls: after an error, is Odoo ill, are the fields wrong, or is it these orders?

An error of a call never tells: Odoo answers Fault 1 for anything, its own database's trouble
included (measured on Odoo 17, 18 and 19). So an order that is known to be good is read in the same
way. If it comes, the others are at fault. If none comes although Odoo works, the fields that we ask
for are, and no order is.
"""

import logging
import random
from collections.abc import Collection, Iterator

from django.db.models import Exists, OuterRef

from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import BC, JournalEntry, PendingBC
from bc_consumer.odoo import OdooError, OdooTimeout, OdooUnavailable
from bc_consumer.refresh import odoo_identity
from bc_consumer.refresh.error_policy import UnreadableOrders, is_about_orders
from bc_consumer.refresh.mapping import map_order
from bc_consumer.refresh.odoo_connection import odoo

logger = logging.getLogger(__name__)

ENOUGH = 2
"""So many orders known to be good have to fail: one may have turned bad since, unnoticed."""
LATEST_ENTRIES = 50
SAMPLE = 4
AMONG = 1000


def check_known_good(error: Exception, ids: Collection[int]) -> None:
    """Return when one of these orders must be at fault for ``error``.

    Raises OdooUnavailable where Odoo is ill, UnreadableOrders where no order can be read, and
    whatever else stops everybody.
    """
    failures: list[Exception] = []
    for odoo_id in _known_good(ids):
        try:
            if _reads(odoo_id):
                return
        except OdooTimeout as slow:
            raise OdooUnavailable(
                _("Odoo is too slow for any order: %(error)s", error=message_of(slow))
            ) from error
        except Exception as failure:
            if not is_about_orders(failure):
                raise
            failures.append(failure)
    odoo().ping()
    if len(failures) >= ENOUGH:
        raise UnreadableOrders(
            _(
                "Odoo answers, and reads no order with the fields that the copy asks for, not"
                " even orders that it read before: %(error)s. Has a module or a computed"
                " field been changed in Odoo? No order is given up meanwhile",
                error=message_of(failures[-1]),
            )
        ) from error


def probe_odoo(odoo_id: int | None) -> None:
    """Raise what is wrong while the workers leave Odoo alone; if nothing is, have one ask at once.

    By an order that waits, and not by a control call only: what is refused may be what every order
    needs, a field or the lines, and whoever waits for it would wait for ever.
    """
    try:
        if odoo_id is not None:
            odoo().fetch([odoo_id])
    except OdooError as error:
        if not is_about_orders(error):
            raise
        logger.info("BC %s: %s", odoo_id, error)
    odoo().ping()
    odoo_identity.check(odoo())
    circuit_breaker.probe_soon()


def _reads(odoo_id: int) -> bool:
    """Read and map one order; False when it is not there to be read."""
    snapshot = odoo().fetch([odoo_id]).orders.get(odoo_id)
    if snapshot is None:
        return False
    map_order(snapshot)
    return True


def _known_good(ids: Collection[int]) -> Iterator[int]:
    """Give orders that the copy holds and nobody has marked; failing those, any of Odoo's."""
    pending = PendingBC.objects.filter(odoo_id=OuterRef("odoo_id"))
    good = BC.objects.current().filter(~Exists(pending)).exclude(odoo_id__in=sorted(ids))
    latest = JournalEntry.objects.order_by("-id").values_list("odoo_id", flat=True)
    given: set[int] = set()
    for some in (
        good.filter(odoo_id__in=list(latest[:LATEST_ENTRIES])).order_by("-synced_at"),
        good.order_by("odoo_id"),
        good.order_by("-odoo_id"),
    ):
        odoo_id = some.exclude(odoo_id__in=given).values_list("odoo_id", flat=True).first()
        if odoo_id is not None:
            given.add(odoo_id)
            yield odoo_id
    if len(given) >= ENOUGH:
        return
    odoo().ping()  # or a domain that Odoo can't take would show as trouble of the next call
    blamed = set(ids) if len(ids) == 1 else set()
    others = [n for n in _any_orders() if n not in given | blamed]
    yield from random.sample(others, min(SAMPLE, len(others)))


def _any_orders() -> list[int]:
    try:
        return odoo().listing.latest_orders(AMONG)
    except Exception as error:
        if not is_about_orders(error):
            raise
        return []  # the control call itself will tell
