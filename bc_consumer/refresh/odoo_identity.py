"""Checks that Odoo is still the database that was copied, so that no other one overwrites the copy.

An order's create_date never changes, and Odoo never uses an id twice. So a sample of the oldest and
of the newest orders, stored at the end of each good run with the create_dates that Odoo confirmed,
identifies the database by one call. The oldest and the newest are judged separately: after a backup
was restored in Odoo only the newest differ, and a smaller database has only the oldest.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F

from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import BC, CopyOrigin
from bc_consumer.odoo import Odoo, OdooFault, OdooRefused

SAMPLE = 20
"""Number of the oldest orders in the sample, and of the newest: one call reads them all."""
SPREAD = 200
"""About how many orders, spread over the whole copy, are read where none of the sample is left."""
ASK_AGAIN_SECONDS = 300.0
"""How long a process that applies orders relies on its last check. A run checks when it begins,
whatever this says."""

Moments = Mapping[int, datetime]
"""Order id → create_date."""


class AnotherDatabase(OdooRefused):
    """Odoo's orders are not those that were copied under their ids; none of them is written."""


class CreatedOtherwise(Exception):
    """Orders about to be written have another create_date than the copy's orders of the same ids.

    Either this is another database, or a backup was restored in Odoo and the ids were used again.
    """

    def __init__(self, odoo_ids: Collection[int]) -> None:
        super().__init__(
            f"BC {sorted(odoo_ids)}: the creation dates in Odoo and in the copy differ."
        )


def require_same_creation(orders: Mapping[int, tuple[object, object]]) -> None:
    """Raise CreatedOtherwise where an order's two create_dates are both known and differ.

    ``orders``: order id → (the copy's date, Odoo's date).
    """
    if differing := [
        odoo_id for odoo_id, dates in orders.items() if None not in dates and dates[0] != dates[1]
    ]:
        raise CreatedOtherwise(differing)


@dataclass(frozen=True, slots=True)
class Sample:
    """The oldest and the newest orders of the copy, each with its create_date."""

    oldest: Moments
    newest: Moments

    def ids(self) -> list[int]:
        """Return all ids, ascending."""
        return sorted(self.oldest.keys() | self.newest.keys())

    def among(self, created: Moments) -> "Sample":
        """Return the same orders with Odoo's dates, without those that Odoo did not return."""
        return Sample(_restrict(self.oldest, created), _restrict(self.newest, created))

    def confirmed_by(self, created: Moments) -> "Sample":
        """Return the sample without the orders whose date Odoo gave differently, or not at all."""
        there = self.among(created)
        return Sample(
            _keep_equal(self.oldest, there.oldest), _keep_equal(self.newest, there.newest)
        )

    def plain(self) -> dict[str, list[list[Any]]]:
        """Return the sample as JSON can hold it; ``read`` is the reverse."""
        return {
            name: [[odoo_id, moment.isoformat()] for odoo_id, moment in sorted(moments.items())]
            for name, moments in (("oldest", self.oldest), ("newest", self.newest))
        }

    @classmethod
    def read(cls, plain: Mapping[str, list[list[Any]]]) -> "Sample":
        """Return the sample that ``plain`` turned into JSON."""
        oldest, newest = (
            {int(odoo_id): datetime.fromisoformat(moment) for odoo_id, moment in plain[name]}
            for name in ("oldest", "newest")
        )
        return cls(oldest, newest)


_last_check: tuple[Odoo, float] | None = None
"""The gateway that last led to our database, and the monotonic time until which that counts."""


def require_same_database_now_and_then(odoo: Odoo, *, in_doubt: bool = False) -> None:
    """Check the database, unless this process did so by the same gateway within ASK_AGAIN_SECONDS.

    ``in_doubt``: there is a reason for doubt, so check in any case. Raises AnotherDatabase, and
    what the gateway raises.
    """
    global _last_check  # noqa: PLW0603 (one a process, as the gateway is)
    known = _last_check is not None and _last_check[0] is odoo and time.monotonic() < _last_check[1]
    if in_doubt or not known:
        require_same_database(odoo)
        _last_check = odoo, time.monotonic() + ASK_AGAIN_SECONDS


def forget() -> None:
    """Make the next ``require_same_database_now_and_then`` check in any case."""
    global _last_check  # noqa: PLW0603
    _last_check = None


def require_same_database(odoo: Odoo) -> None:
    """Ask Odoo, by one call, for the create_dates of the sample; without any order, ask nothing.

    Where the stored sample has no order, or Odoo has none of its orders any more, the copy's
    present oldest and newest orders are used; if Odoo has none of those either, orders spread over
    the whole copy. Raises AnotherDatabase, and what the gateway raises.
    """
    sample = _read_fixed_sample() or Sample({}, {})
    created = _read_creation_dates(odoo, sample.ids())
    if not created:
        sample = _sample_the_copy()
        created = _read_creation_dates(odoo, sample.ids())
    _judge(odoo, sample, created)
    if not created and sample.ids():
        _check_any_is_known(odoo)


def accept_database(odoo: Odoo) -> None:
    """Accept Odoo's orders, whatever they are, as those to be copied: an operator said so."""
    forget()
    sample = _sample_the_copy()
    created = _read_creation_dates(odoo, sample.ids())
    if not created:
        # Nothing in common: from now on Odoo's own latest orders identify the database.
        latest = odoo.listing.created(odoo.listing.latest_orders(SAMPLE))
        sample, created = Sample({}, latest), latest
    _store_sample(sample.among(created))


def renew_sample(odoo: Odoo) -> None:
    """Store the copy's present oldest and newest orders, as far as Odoo confirms them.

    Raises what ``require_same_database`` raises; then the stored sample stays as it was.
    """
    sample, before = _sample_the_copy(), _read_fixed_sample() or Sample({}, {})
    created = _read_creation_dates(odoo, sorted({*sample.ids(), *before.ids()}))
    _judge(odoo, before if before.among(created).ids() else sample, created)
    _store_sample(sample.confirmed_by(created))


def _read_creation_dates(odoo: Odoo, ids: Sequence[int]) -> Moments:
    if not ids:
        return {}
    try:
        return odoo.listing.created(ids)
    except OdooFault:
        odoo.ping()  # raises instead where Odoo or the settings are at fault, not this call
        raise


def _judge(odoo: Odoo, sample: Sample, created: Moments) -> None:
    """Raise AnotherDatabase unless most of the oldest, and of the newest, have the same date."""
    there = sample.among(created)
    same = sample.confirmed_by(created)
    if all(
        2 * len(equal) > len(found) or not found
        for equal, found in ((same.oldest, there.oldest), (same.newest, there.newest))
    ):
        return
    raise AnotherDatabase(
        _(
            'Database "%(database)s" at %(url)s has other orders under the ids of those that '
            "were copied: they were created at another time (%(oldest_others)s of the "
            "%(oldest)s oldest looked at, %(newest_others)s of the %(newest)s newest). None of "
            "them is written. Are ODOO_URL and ODOO_DATABASE right? If they are, because a "
            "backup was restored in Odoo or another database is to be copied from now on: "
            "manage.py sync_BcLinbc --force",
            database=odoo.settings.database,
            url=odoo.settings.shown_url,
            oldest_others=len(there.oldest) - len(same.oldest),
            oldest=len(there.oldest),
            newest_others=len(there.newest) - len(same.newest),
            newest=len(there.newest),
        )
    )


def _check_any_is_known(odoo: Odoo) -> None:
    """Raise AnotherDatabase when Odoo has orders, but none of many that the copy has.

    The oldest and the newest orders may all have been deleted. From a few orders nothing is
    concluded.
    """
    current = BC.objects.current()
    step = max(current.count() // SPREAD, 1)
    spread_orders = current.annotate(rest=F("odoo_id") % step).filter(rest=0)
    ids = list(spread_orders.order_by("odoo_id").values_list("odoo_id", flat=True)[: 2 * SPREAD])
    if len(ids) <= 2 * SAMPLE or _read_creation_dates(odoo, ids) or not odoo.listing.any_order():
        return
    raise AnotherDatabase(
        _(
            'Database "%(database)s" at %(url)s has orders, but none of those that were copied '
            "(%(count)s were looked for). None of them is written. Are ODOO_URL, ODOO_DATABASE "
            "and ODOO_DOMAIN right? If they are, because another database is to be copied from "
            "now on: manage.py sync_BcLinbc --force",
            database=odoo.settings.database,
            url=odoo.settings.shown_url,
            count=len(ids),
        )
    )


def _sample_the_copy() -> Sample:
    rows = BC.objects.current().filter(create_date__isnull=False)
    oldest, newest = (
        {
            odoo_id: moment
            for odoo_id, moment in rows.order_by(order).values_list("odoo_id", "create_date")[
                :SAMPLE
            ]
            if moment is not None
        }
        for order in ("odoo_id", "-odoo_id")
    )
    return Sample(oldest, newest)


def _read_fixed_sample() -> Sample | None:
    plain = CopyOrigin.objects.values_list("sample", flat=True).first()
    return None if plain is None else Sample.read(plain)


def _store_sample(sample: Sample) -> None:
    CopyOrigin.objects.update(sample=sample.plain())


def _restrict(moments: Moments, created: Moments) -> Moments:
    return {odoo_id: created[odoo_id] for odoo_id in moments if odoo_id in created}


def _keep_equal(moments: Moments, others: Moments) -> Moments:
    return {odoo_id: moment for odoo_id, moment in moments.items() if others.get(odoo_id) == moment}
