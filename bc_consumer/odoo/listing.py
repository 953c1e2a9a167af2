"""What a reconciliation asks Odoo: which orders and lines there are, as cheaply as can be told.

Pages go by id alone. By (write_date, id) they would never end on 17 and 18, which compare the
microseconds that the wire doesn't show, and would skip on 19, which compares whole seconds
(measured).
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.calls import Calls
from bc_consumer.odoo.errors import OdooProtocolError, UnknownMethod
from bc_consumer.odoo.field_set import table_of
from bc_consumer.odoo.grouping import Grouping, Period
from bc_consumer.odoo.moments import read_moment, write_moment
from bc_consumer.odoo.naming import written_since
from bc_consumer.odoo.orders import HIGHEST_ID
from bc_consumer.odoo.records import Bucket, Listed
from bc_consumer.odoo.scope import Scope
from bc_consumer.odoo.snapshots import Record, record_id, records

CHUNK = 2_000  # ids a call
UNDATED = ("write_date", "=", False)

Domain = list[Any]


class Listing:
    """Lists orders of one model and their lines. Thread-safe. Each method is one call or few.

    All of them see the orders that are to be copied (``scope.py``), and raise the errors of
    ``errors.py``: NoRights where the account may not read the model at all. Moments are aware
    datetimes; ValueError for others. ``since`` is included, ``until`` is not; with fractions of
    seconds, they are widened to whole
    ones. Records without a write_date (made by SQL) are in no window.
    """

    def __init__(self, calls: Calls, order_model: str, scope: Scope) -> None:
        self.order_model = order_model
        self.line_model = table_of(order_model).line_model
        self._calls = calls
        self._scope = scope
        self._context = scope.context
        self._grouping = Grouping(calls, self._context)
        self._can_leave_names_out = True

    def orders(
        self,
        *,
        since: datetime | None,
        until: datetime | None = None,
        after_id: int,
        limit: int,
    ) -> list[Listed]:
        """List orders written in a window, with ids above ``after_id``, ascending by id.

        At most ``limit``: fewer mean that there are no more. One call.
        """
        domain = self._scope.orders(*_window(since, until))
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
        """List lines as ``orders`` lists orders, each with its order's id."""
        fields = ["write_date", "order_id"]
        domain = self._scope.lines(*_window(since, until))
        rows = self._page(self.line_model, domain, after_id, limit, fields)
        return [Listed(record_id(row), _written(row), _order_id(row)) for row in rows]

    def order_buckets(
        self, period: Period, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[Bucket]:
        """Count orders and sum their ids by month or day of write_date, ascending, UTC.

        Periods without an order are left out; a bucket's bounds are the whole period's, also
        where the window cuts into it. Orders without a write_date are in no bucket (see
        ``undated_orders``). One call; a few on an Odoo that can't average. Raises CannotGroup
        where ids have to be listed instead.
        """
        domain = self._scope.orders(*_window(since, until))
        return self._grouping.buckets(self.order_model, period, domain)

    def line_buckets(
        self, period: Period, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[Bucket]:
        """Count lines and sum their ids, by their own write_date, as ``order_buckets`` does."""
        domain = self._scope.lines(*_window(since, until))
        return self._grouping.buckets(self.line_model, period, domain)

    def undated_orders(self, *, after_id: int, limit: int) -> list[Listed]:
        """List the orders without a write_date, which are in no bucket and in no window.

        Ascending by id, with ids above ``after_id``. One call.
        """
        rows = self._page(self.order_model, self._scope.orders(UNDATED), after_id, limit, ["id"])
        return [Listed(record_id(row), None) for row in rows]

    def undated_lines(self, *, after_id: int, limit: int) -> list[Listed]:
        """List the lines without a write_date, each with its order's id."""
        fields = ["order_id"]
        rows = self._page(self.line_model, self._scope.lines(UNDATED), after_id, limit, fields)
        return [Listed(record_id(row), None, _order_id(row)) for row in rows]

    def existing(self, order_ids: Sequence[int]) -> set[int]:
        """Tell which of these orders Odoo has and shows; a call for each 2,000 of them."""
        found: set[int] = set()
        for ids in _chunks(order_ids):
            there = self._search(self._scope.orders(("id", "in", ids)))
            if not there <= set(ids):
                raise OdooProtocolError(_("Odoo was asked which orders exist, and told of others"))
            found |= there
        return found

    def created(self, order_ids: Sequence[int]) -> dict[int, datetime]:
        """Give when each of these orders was created; those that are gone or hidden are left out.

        A call for each 2,000 of them.
        """
        moments: dict[int, datetime] = {}
        for ids in _chunks(order_ids):
            domain = [("id", "in", ids)]
            for row in self._search_read(self.order_model, domain, ["create_date"]):
                if (value := row.get("create_date")) is not False:
                    moments[record_id(row)] = read_moment(value)
        return moments

    def orders_of_lines(self, line_ids: Sequence[int]) -> dict[int, int]:
        """Give the order of each of these lines; lines that are gone or hidden are left out.

        A call for each 2,000 of them.
        """
        orders: dict[int, int] = {}
        for ids in _chunks(line_ids):
            domain = self._scope.lines(("id", "in", ids))
            for row in self._search_read(self.line_model, domain, ["order_id"]):
                order_id = _order_id(row)
                if order_id is not None:
                    orders[record_id(row)] = order_id
        return orders

    def renamed(
        self, model: str, *, since: datetime, after_id: int, limit: int
    ) -> list[tuple[int, str]]:
        """List id and display_name of the records whose name may have changed since then.

        Ascending by id, at most ``limit``, archived ones too, in the settings' language.
        """
        domain = written_since(model, write_moment(since))
        rows = self._page(model, domain, after_id, limit, ["display_name"])
        return [(record_id(row), str(row.get("display_name") or "")) for row in rows]

    def any_order(self) -> bool:
        """Tell whether there is an order at all that is to be copied."""
        return bool(self._search(self._scope.orders(), limit=1))

    def count_orders(self, *, after_id: int) -> int:
        """Count the orders with ids above this one. One call."""
        domain = self._scope.orders(("id", ">", min(after_id, HIGHEST_ID)))
        kwargs = {"context": self._context}
        count = self._calls.execute(self.order_model, "search_count", [domain], kwargs).value
        if type(count) is not int or count < 0:
            raise OdooProtocolError(
                _("Odoo was asked how many orders there are, and told no number")
            )
        return count

    def latest_orders(self, limit: int) -> list[int]:
        """Give the ids of the orders made last, descending. One call."""
        options = {"order": "id desc", "limit": limit}
        return sorted(self._search(self._scope.orders(), **options), reverse=True)

    def _search(self, domain: Domain, **options: Any) -> set[int]:
        kwargs = {"order": "id", "context": self._context, **options}
        answer = self._calls.execute(self.order_model, "search", [domain], kwargs).value
        if not isinstance(answer, list) or not all(type(number) is int for number in answer):
            raise OdooProtocolError(
                _(
                    "Odoo was asked for ids of %(order_model)s, and gave none",
                    order_model=self.order_model,
                )
            )
        return set(answer)

    def _page(
        self, model: str, domain: Domain, after_id: int, limit: int, fields: Sequence[str]
    ) -> Sequence[Record]:
        if limit < 1:
            raise ValueError(f"A page has at least one record, not {limit}")  # 0 is all for Odoo
        if after_id >= HIGHEST_ID:
            return []
        domain = [("id", ">", after_id), *domain]
        rows = self._search_read(model, domain, fields, limit=limit)
        ids = [after_id, *map(record_id, rows)]
        if len(rows) > limit or any(one >= other for one, other in itertools.pairwise(ids)):
            raise OdooProtocolError(
                _(
                    "Odoo was asked for %(limit)s of %(model)s by id above %(after_id)s, and gave"
                    " others",
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
        if "order_id" in fields and self._can_leave_names_out:
            try:
                # Its id alone: a name costs Odoo another look.
                return self._records(model, {**kwargs, "load": ""})
            except UnknownMethod as error:
                if error.method != "search_read":
                    raise
                self._can_leave_names_out = False  # 14, measured: it has no such argument
        return self._records(model, kwargs)

    def _records(self, model: str, kwargs: Mapping[str, Any]) -> Sequence[Record]:
        return records(self._calls.execute(model, "search_read", [], kwargs).value)


def _window(since: datetime | None, until: datetime | None) -> Domain:
    domain: Domain = []
    if since is not None:
        domain.append(("write_date", ">=", write_moment(since)))
    if until is not None:
        # No smaller than the day's last whole second: 17 and 18 compare microseconds.
        domain.append(("write_date", "<", write_moment(until, round_up=True)))
    return domain


def _written(row: Record) -> datetime | None:
    value = row.get("write_date")
    return None if value is False else read_moment(value)


def _order_id(row: Record) -> int | None:
    """Read a line's order: an id, or [id, name] where Odoo gives names all the same."""
    value = row.get("order_id")
    if isinstance(value, list) and value:
        value = value[0]
    if value is False:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise OdooProtocolError(
        _("Odoo gave line %(row)s the order %(value)s", row=record_id(row), value=repr(value))
    )


def _chunks(ids: Sequence[int]) -> Iterator[list[int]]:
    """Sorted, each once, without those that no record can have."""
    possible = sorted({number for number in ids if 0 < number <= HIGHEST_ID})
    for first in range(0, len(possible), CHUNK):
        yield possible[first : first + CHUNK]
