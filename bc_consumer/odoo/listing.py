"""Which orders and lines Odoo has, for the reconciliation, as cheaply as Odoo can tell.

Pages go by id alone. Pages by (write_date, id) would never end on 17 and 18, which compare
microseconds that the wire does not show, and would skip records on 19, which compares whole seconds
(measured).
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bc_consumer.core.odoo_ids import HIGHEST_ID
from bc_consumer.core.translatable import gettext as _
from bc_consumer.fields.columns import LINE_COLUMNS, ORDER_COLUMNS
from bc_consumer.odoo.datetimes import read_datetime, write_datetime
from bc_consumer.odoo.errors import OdooProtocolError
from bc_consumer.odoo.field_set import table_of
from bc_consumer.odoo.grouping import Grouping
from bc_consumer.odoo.grouping_methods import PeriodName
from bc_consumer.odoo.records import (
    Bucket,
    Listed,
    NamedOrder,
    Record,
    check_records,
    record_id,
)
from bc_consumer.odoo.scope import Scope
from bc_consumer.odoo.transports import ModelCalls
from bc_consumer.odoo.versions.odoo_14 import LoadArgument

CHUNK = 2_000  # ids a call
UNDATED = ("write_date", "=", False)

Domain = list[Any]

NAMED_AFTER: Mapping[str, tuple[str, ...]] = {
    "res.partner": ("parent_id",),  # "company, contact"
    "product.product": ("product_tmpl_id",),  # a variant has the name of its template
    "res.users": ("partner_id",),
    "res.company": ("partner_id",),
}
"""Model → the related records that its display_name is made of, besides the record itself.

Of a model that is not here, only its own records are known to make the name."""
NAMING_MODELS = tuple(
    dict.fromkeys(
        field.model
        for columns in (ORDER_COLUMNS, LINE_COLUMNS)
        for field in columns.values()
        if field.model
    )
)
"""The models whose records' names are in columns of the copy.

Renaming a partner, a product, a user or a unit changes ``display_name`` in every order that names
it, and changes no order's write_date (measured on 17, 18 and 19)."""


class Listing:
    """Lists orders of one model and their lines. Thread-safe. Each method makes one call or few.

    Each method sees only the orders to copy (``scope.py``), and raises the errors of ``errors.py``;
    NoRights where the account may not read the model at all. Datetimes are aware; a naive one
    raises ValueError. A window includes ``since`` and excludes ``until``; fractions of seconds
    widen it to whole seconds. Records without a write_date (made by SQL) are in no window.
    """

    def __init__(self, calls: ModelCalls, order_model: str, scope: Scope) -> None:
        self.order_model = order_model
        self.line_model = table_of(order_model).line_model
        self._calls = calls
        self._scope = scope
        self._context = scope.context
        self._grouping = Grouping(calls, self._context)
        self._load_argument = LoadArgument()

    def orders(
        self,
        *,
        since: datetime | None,
        until: datetime | None = None,
        after_id: int,
        limit: int,
    ) -> list[Listed]:
        """List the orders written in a window, with ids above ``after_id``, ascending by id.

        Returns at most ``limit`` orders; fewer mean that there are no more. One call.
        """
        domain = self._scope.order_domain(*_window(since, until))
        rows = self._page(self.order_model, domain, after_id, limit, ["write_date"])
        return [Listed(record_id(row), _written(row)) for row in rows]

    def lines(
        self,
        *,
        since: datetime | None,
        until: datetime | None = None,
        after_id: int,
        limit: int,
    ) -> list[Listed]:
        """List lines as ``orders`` does orders, each with its order's id. One call."""
        fields = ["write_date", "order_id"]
        domain = self._scope.line_domain(*_window(since, until))
        rows = self._page(self.line_model, domain, after_id, limit, fields)
        return [Listed(record_id(row), _written(row), _order_id(row)) for row in rows]

    def order_buckets(
        self, period: PeriodName, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[Bucket]:
        """Count orders and sum their ids by month or day of write_date, ascending, UTC.

        Leaves out periods without an order. A bucket has the bounds of the whole period, even
        where the window covers only a part of it. Orders without a write_date are in no bucket
        (see ``undated_orders``). One call; a few on an Odoo that can't average. Raises CannotGroup
        where this Odoo can't group, and ids have to be listed instead.
        """
        domain = self._scope.order_domain(*_window(since, until))
        return self._grouping.buckets(self.order_model, period, domain)

    def line_buckets(
        self, period: PeriodName, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[Bucket]:
        """Count lines and sum their ids, by their own write_date, as ``order_buckets`` does."""
        domain = self._scope.line_domain(*_window(since, until))
        return self._grouping.buckets(self.line_model, period, domain)

    def undated_orders(self, *, after_id: int, limit: int) -> list[Listed]:
        """List the orders without a write_date, which are in no bucket and in no window.

        With ids above ``after_id``, ascending by id, at most ``limit``. One call.
        """
        rows = self._page(
            self.order_model, self._scope.order_domain(UNDATED), after_id, limit, ["id"]
        )
        return [Listed(record_id(row), None) for row in rows]

    def undated_lines(self, *, after_id: int, limit: int) -> list[Listed]:
        """List the lines without a write_date, each with its order's id. One call."""
        fields = ["order_id"]
        rows = self._page(
            self.line_model, self._scope.line_domain(UNDATED), after_id, limit, fields
        )
        return [Listed(record_id(row), None, _order_id(row)) for row in rows]

    def existing(self, order_ids: Sequence[int]) -> set[int]:
        """Return which of these orders exist and are visible. One call for each 2,000 ids."""
        found: set[int] = set()
        for ids in _chunks(order_ids):
            there = self._search(self._scope.order_domain(("id", "in", ids)))
            if not there <= set(ids):
                raise OdooProtocolError(_("Odoo was asked which orders exist, and returned others"))
            found |= there
        return found

    def created(self, order_ids: Sequence[int]) -> dict[int, datetime]:
        """Return when each of these orders was created, UTC; leaves out deleted and hidden ones.

        One call for each 2,000 ids.
        """
        moments: dict[int, datetime] = {}
        for ids in _chunks(order_ids):
            domain = [("id", "in", ids)]
            for row in self._search_read(self.order_model, domain, ["create_date"]):
                if (value := row.get("create_date")) is not False:
                    moments[record_id(row)] = read_datetime(value)
        return moments

    def renamed(
        self, model: str, *, since: datetime, after_id: int, limit: int
    ) -> list[tuple[int, str]]:
        """List (id, display_name) of the records whose name may have changed since then.

        In ODOO_LANGUAGE, archived records included; ascending by id, at most ``limit``. One call.
        """
        domain = _renamed_since(model, write_datetime(since))
        rows = self._page(model, domain, after_id, limit, ["display_name"])
        return [(record_id(row), str(row.get("display_name") or "")) for row in rows]

    def any_order(self) -> bool:
        """Tell whether there is any order to copy. One call."""
        return bool(self._search(self._scope.order_domain(), limit=1))

    def count_orders(self, *, after_id: int) -> int:
        """Count the orders with ids above this one. One call."""
        domain = self._scope.order_domain(("id", ">", min(after_id, HIGHEST_ID)))
        kwargs = {"context": self._context}
        count = self._calls.execute(self.order_model, "search_count", [domain], kwargs).value
        if type(count) is not int or count < 0:
            raise OdooProtocolError(
                _("Odoo was asked how many orders there are, and returned no number")
            )
        return count

    def latest_orders(self, limit: int) -> list[int]:
        """Return the ids of the newest orders, descending. One call."""
        options = {"order": "id desc", "limit": limit}
        return sorted(self._search(self._scope.order_domain(), **options), reverse=True)

    def named(self, name: str, *, limit: int) -> list[NamedOrder]:
        """List the orders whose reference is this one, ascending by id, at most ``limit``.

        Several companies may use the same references. One call.
        """
        domain = self._scope.order_domain(("name", "=", name))
        fields = ["name", "company_id"]
        rows = self._search_read(self.order_model, domain, fields, limit=limit)
        return [
            NamedOrder(record_id(row), str(row.get("name") or ""), _company(row)) for row in rows
        ]

    def _search(self, domain: Domain, **options: Any) -> set[int]:
        kwargs = {"order": "id", "context": self._context, **options}
        answer = self._calls.execute(self.order_model, "search", [domain], kwargs).value
        if not isinstance(answer, list) or not all(type(number) is int for number in answer):
            raise OdooProtocolError(
                _(
                    "Odoo returned something other than ids of %(order_model)s",
                    order_model=self.order_model,
                )
            )
        return set(answer)

    def _page(
        self, model: str, domain: Domain, after_id: int, limit: int, fields: Sequence[str]
    ) -> Sequence[Record]:
        if limit < 1:
            raise ValueError(f"A page has at least one record, not {limit}")  # Odoo: 0 is no limit
        if after_id >= HIGHEST_ID:
            return []
        domain = [("id", ">", after_id), *domain]
        rows = self._search_read(model, domain, fields, limit=limit)
        ids = [after_id, *map(record_id, rows)]
        if len(rows) > limit or any(one >= other for one, other in itertools.pairwise(ids)):
            raise OdooProtocolError(
                _(
                    "Odoo was asked for %(limit)s of %(model)s with ids above %(after_id)s, and"
                    " returned others",
                    limit=limit,
                    model=model,
                    after_id=after_id,
                )
            )
        return rows

    def _search_read(
        self, model: str, domain: Domain, fields: Sequence[str], **options: Any
    ) -> Sequence[Record]:
        kwargs: Mapping[str, Any] = {
            "domain": domain,
            "fields": list(fields),
            "order": "id",
            "context": self._context,
            **options,
        }

        def ask(kwargs: Mapping[str, Any]) -> Sequence[Record]:
            return check_records(self._calls.execute(model, "search_read", [], kwargs).value)

        return self._load_argument.search_read(ask, kwargs) if "order_id" in fields else ask(kwargs)


def _window(since: datetime | None, until: datetime | None) -> Domain:
    domain: Domain = []
    if since is not None:
        domain.append(("write_date", ">=", write_datetime(since)))
    if until is not None:
        # Rounded up, so as not to lose the last fraction of a second: 17 and 18 compare
        # microseconds.
        domain.append(("write_date", "<", write_datetime(until, round_up=True)))
    return domain


def _written(row: Record) -> datetime | None:
    value = row.get("write_date")
    return None if value is False else read_datetime(value)


def _order_id(row: Record) -> int | None:
    """Return the id of a line's order, which Odoo sends as an id, ``[id, name]``, or False."""
    value = row.get("order_id")
    if isinstance(value, list) and value:
        value = value[0]
    if value is False:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise OdooProtocolError(
        _("Odoo gave %(value)s as the order of line %(row)s", row=record_id(row), value=repr(value))
    )


def _company(row: Record) -> str:
    """Return the name of an order's company, which Odoo sends as ``[id, name]`` or False."""
    value = row.get("company_id")
    return str(value[1]) if isinstance(value, list) and len(value) == 2 else ""


def _renamed_since(model: str, since: str) -> list[object]:
    """Return the domain of the records that may have another display_name since a moment."""
    dates = ["write_date", *(f"{name}.write_date" for name in NAMED_AFTER.get(model, ()))]
    return [*["|"] * (len(dates) - 1), *((date, ">=", since) for date in dates)]


def _chunks(ids: Sequence[int]) -> Iterator[list[int]]:
    """Yield up to 2,000 ids at a time, sorted, each id once, without ids that can't exist."""
    possible = sorted({number for number in ids if 0 < number <= HIGHEST_ID})
    for first in range(0, len(possible), CHUNK):
        yield possible[first : first + CHUNK]
