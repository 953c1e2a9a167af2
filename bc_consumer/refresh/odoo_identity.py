"""Whether Odoo still is the database that was copied; nothing of another one replaces ours.

When an order was created never changes, and Odoo gives no id twice. So some of the oldest orders
and some of the newest, fixed at the end of each good run with the dates that Odoo confirmed then,
tell the database again, by one call. The two are judged apart: after a backup was restored in Odoo
the newest alone are others, and a smaller database has the oldest alone.
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
"""Of the oldest, and of the newest orders."""
SPREAD = 200
"""Orders of the whole copy, about, where none of the sample is left."""
ASK_AGAIN_SECONDS = 300.0
"""A process that applies orders asks again after so long; each run asks when it begins."""

Moments = Mapping[int, datetime]


class AnotherDatabase(OdooRefused):
    """Odoo's orders are not those that were copied under their ids: nothing of them is written."""


class CreatedOtherwise(Exception):
    """Orders about to be written were created at another time than the copy's of the same ids.

    Either this is another database, or a backup was restored and their ids were given again.
    """

    def __init__(self, odoo_ids: Collection[int]) -> None:
        super().__init__(
            f"BC {sorted(odoo_ids)} were created at another time than the copy's of these ids."
        )


def compare_creation(orders: Mapping[int, tuple[object, object]]) -> None:
    """Raise CreatedOtherwise where an order's two dates are known and differ."""
    if others := [i for i, dates in orders.items() if None not in dates and dates[0] != dates[1]]:
        raise CreatedOtherwise(others)


@dataclass(frozen=True, slots=True)
class Sample:
    """Orders by id, and when each was created."""

    oldest: Moments
    newest: Moments

    def ids(self) -> list[int]:
        """Give all of them, ascending."""
        return sorted(self.oldest.keys() | self.newest.keys())

    def among(self, created: Moments) -> "Sample":
        """Give these orders with the dates that Odoo tells, as far as it tells them."""
        return Sample(_of(self.oldest, created), _of(self.newest, created))

    def confirmed_by(self, created: Moments) -> "Sample":
        """Leave out what Odoo tells otherwise, or not at all."""
        there = self.among(created)
        return Sample(_equal(self.oldest, there.oldest), _equal(self.newest, there.newest))

    def plain(self) -> dict[str, list[list[Any]]]:
        """Give it as JSON has it."""
        return {
            name: [[odoo_id, moment.isoformat()] for odoo_id, moment in sorted(moments.items())]
            for name, moments in (("oldest", self.oldest), ("newest", self.newest))
        }

    @classmethod
    def read(cls, plain: Mapping[str, list[list[Any]]]) -> "Sample":
        """Read what ``plain`` gave."""
        oldest, newest = (
            {int(odoo_id): datetime.fromisoformat(moment) for odoo_id, moment in plain[name]}
            for name in ("oldest", "newest")
        )
        return cls(oldest, newest)


_asked: tuple[Odoo, float] | None = None
"""The gateway that was last found to lead to our database, and until when that holds."""


def ensure(odoo: Odoo, *, again: bool = False) -> None:
    """Ask unless this process did so within minutes, by the same gateway.

    ``again``: whenever there is a reason to doubt. Raises AnotherDatabase, and what the gateway
    raises.
    """
    global _asked  # noqa: PLW0603 (one a process, as the gateway is)
    known = _asked is not None and _asked[0] is odoo and time.monotonic() < _asked[1]
    if again or not known:
        check(odoo)
        _asked = odoo, time.monotonic() + ASK_AGAIN_SECONDS


def forget() -> None:
    """Ask at the next occasion."""
    global _asked  # noqa: PLW0603
    _asked = None


def check(odoo: Odoo) -> None:
    """Ask Odoo when the sample's orders were created, by one call; none where there is no order.

    A sample that was fixed when there was no order yet, or of whose orders Odoo has none any more,
    tells nothing: the copy's own orders are asked for then, and the whole copy's, if none of those
    is there either. Raises AnotherDatabase, and what the gateway raises.
    """
    sample = _read_fixed_sample() or Sample({}, {})
    created = _read_creation_dates(odoo, sample.ids())
    if not created:
        sample = _of_the_copy()
        created = _read_creation_dates(odoo, sample.ids())
    _judge(odoo, sample, created)
    if not created and sample.ids():
        _look_for_any(odoo)


def accept(odoo: Odoo) -> None:
    """Take Odoo's orders, whatever they are, for those to be copied: an operator says so."""
    forget()
    sample = _of_the_copy()
    created = _read_creation_dates(odoo, sample.ids())
    if not created:
        # Nothing in common: the database is known by its own latest orders from now on.
        latest = odoo.listing.created(odoo.listing.latest_orders(SAMPLE))
        sample, created = Sample({}, latest), latest
    _store_sample(sample.among(created))


def renew(odoo: Odoo) -> None:
    """Fix the copy's oldest and newest orders of now, as far as Odoo confirms them.

    Raises as ``check`` does; then the sample stays as it was.
    """
    sample, before = _of_the_copy(), _read_fixed_sample() or Sample({}, {})
    created = _read_creation_dates(odoo, sorted({*sample.ids(), *before.ids()}))
    _judge(odoo, before if before.among(created).ids() else sample, created)
    _store_sample(sample.confirmed_by(created))


def _read_creation_dates(odoo: Odoo, ids: Sequence[int]) -> Moments:
    if not ids:
        return {}
    try:
        return odoo.listing.created(ids)
    except OdooFault:
        odoo.ping()  # which tells a fault of Odoo, or of the settings, from one of this call
        raise


def _judge(odoo: Odoo, sample: Sample, created: Moments) -> None:
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
            "%(oldest)s oldest looked at, %(newest_others)s of the %(newest)s newest). Nothing "
            "of them is written. Are ODOO_URL and ODOO_DATABASE right? If they are, because a "
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


def _look_for_any(odoo: Odoo) -> None:
    """Raise AnotherDatabase when Odoo has orders, and none of many that the copy has.

    The oldest and the newest may all have been deleted; of a few orders nothing is concluded.
    """
    current = BC.objects.current()
    step = max(current.count() // SPREAD, 1)
    spread = current.annotate(rest=F("odoo_id") % step).filter(rest=0)
    ids = list(spread.order_by("odoo_id").values_list("odoo_id", flat=True)[: 2 * SPREAD])
    if len(ids) <= 2 * SAMPLE or _read_creation_dates(odoo, ids) or not odoo.listing.any_order():
        return
    raise AnotherDatabase(
        _(
            'Database "%(database)s" at %(url)s has orders, and none of those that were copied '
            "(%(count)s looked for). Nothing of them is written. Are ODOO_URL, ODOO_DATABASE "
            "and ODOO_DOMAIN right? If they are, because another database is to be copied from "
            "now on: manage.py sync_BcLinbc --force",
            database=odoo.settings.database,
            url=odoo.settings.shown_url,
            count=len(ids),
        )
    )


def _of_the_copy() -> Sample:
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


def _of(moments: Moments, created: Moments) -> Moments:
    return {odoo_id: created[odoo_id] for odoo_id in moments if odoo_id in created}


def _equal(moments: Moments, others: Moments) -> Moments:
    return {odoo_id: one for odoo_id, one in moments.items() if others.get(odoo_id) == one}
