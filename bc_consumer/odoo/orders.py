"""Fetching orders with their lines: one call where Odoo can, and a look at what is missing."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.calls import Calls
from bc_consumer.odoo.errors import (
    NoRights,
    OdooAccessError,
    OdooTorn,
    UnknownField,
    UnknownMethod,
)
from bc_consumer.odoo.field_set import ATTRIBUTES, FieldSet, Wanted, load_field_set, table_of
from bc_consumer.odoo.records import Answer, Fetched, Missing, OrderSnapshot
from bc_consumer.odoo.scope import Scope, control
from bc_consumer.odoo.snapshots import Record, build_order, record_id, records, specification
from bc_consumer.odoo.two_reads import TwoReads

ONE_CALL = "web_search_read"  # of module web, 17 and later; needs no further right (measured)
LOOKS = 4  # an order may appear between the read that lacked it and the look at it
HIGHEST_ID = 2**31 - 1  # Odoo's ids are PostgreSQL integers
FIELDS_SECONDS = 600.0  # after so long, Odoo is asked anew what it has: an upgrade may be over
DATE_STEP = timedelta(seconds=1)  # the Date header has whole seconds


class OrderReader:
    """Reads orders of one model. Thread-safe."""

    def __init__(self, calls: Calls, wanted: Wanted, scope: Scope) -> None:
        table_of(wanted.order_model)  # an unknown model is told at once
        self.order_model = wanted.order_model
        self._wanted = wanted
        self._scope = scope
        self._calls = calls
        self._two_reads = TwoReads(scope)
        self._one_call_exists = True
        self._field_set: FieldSet | None = None
        self._asked_at = 0.0

    @property
    def absent_fields(self) -> tuple[str, ...]:
        """Optional fields that this Odoo lacks; empty before the first fetch."""
        field_set = self._field_set
        return field_set.absent if field_set else ()

    @property
    def known_fields(self) -> FieldSet | None:
        """The fields that are read, None before Odoo was asked."""
        return self._field_set

    def field_set(self) -> FieldSet:
        """Give the fields that are read; asks Odoo where they are not known, or not lately."""
        return self._known_field_set()

    @property
    def models(self) -> tuple[str, ...]:
        """The models that a fetch reads: the orders', and the lines' once it is known."""
        field_set = self._field_set
        return (self.order_model, field_set.line.model) if field_set else (self.order_model,)

    def forget_fields(self) -> None:
        """Ask Odoo anew what it has, at the next fetch."""
        self._field_set = None
        self._one_call_exists = True

    def fetch(self, ids: Sequence[int]) -> Fetched:
        """Fetch orders; see ``Odoo.fetch``."""
        possible = sorted({number for number in ids if 0 < number <= HIGHEST_ID})
        missing = {number: Missing.GONE for number in ids if not 0 < number <= HIGHEST_ID}
        if not possible:
            return Fetched(orders={}, missing=missing)
        reads = _Reads(self._calls, lambda: self.models)
        orders: dict[int, OrderSnapshot] = {}
        for _look in range(LOOKS):
            orders.update(self._read_with_known_fields(possible, reads))
            possible = [number for number in possible if number not in orders]
            why = self._why_missing(possible, reads)
            missing.update(why)
            possible = [number for number in possible if number not in why] or _sharing(orders)
            if not possible:
                return Fetched(orders=orders, missing=missing, began_at=reads.began_at)
            for number in possible:
                orders.pop(number, None)
        raise OdooTorn(
            _(
                "Orders %(ids)s could not be read as of one moment, %(looks)s times in a"
                " row: they are found by id alone, or lines keep moving between them. To be"
                " read again later",
                ids=f"{possible}",
                looks=LOOKS,
            )
        )

    def _read_with_known_fields(
        self, ids: Sequence[int], reads: "_Reads"
    ) -> dict[int, OrderSnapshot]:
        """Read; if a field has vanished since we asked for the list, ask for it anew, once."""
        try:
            return self._read(ids, reads)
        except UnknownField:
            self.forget_fields()
        return self._read(ids, reads)

    def _read(self, ids: Sequence[int], reads: "_Reads") -> dict[int, OrderSnapshot]:
        field_set = self._known_field_set()
        if self._one_call_exists:
            try:
                return self._read_in_one_call(ids, field_set, reads)
            except UnknownMethod as fault:
                if fault.method != ONE_CALL:
                    raise
                self._one_call_exists = False
        return self._two_reads.fetch(ids, field_set, reads.execute)

    def _read_in_one_call(
        self, ids: Sequence[int], field_set: FieldSet, reads: "_Reads"
    ) -> dict[int, OrderSnapshot]:
        answer = reads.execute(
            self.order_model,
            ONE_CALL,
            [],
            {
                "domain": self._scope.orders(("id", "in", list(ids))),
                "specification": specification(field_set),
                "order": "id",
                # One more than can come: a full page makes Odoo count once more.
                "limit": len(ids) + 1,
                "context": self._scope.context,
            },
        )
        value = answer.value
        found = records(value.get("records") if isinstance(value, dict) else value)
        return {record_id(record): build_order(record, field_set) for record in found}

    def _known_field_set(self) -> FieldSet:
        # No lock: threads that start together ask twice, and none waits for another's deadline.
        field_set = self._field_set
        if field_set is None or time.monotonic() > self._asked_at + FIELDS_SECONDS:
            if self._scope.narrows:
                control(self._calls, self.order_model, self._scope)
            field_set = load_field_set(self._wanted, self._fields_get, self._may_read)
            self._field_set, self._asked_at = field_set, time.monotonic()
        return field_set

    def _may_read(self, model: str) -> bool:
        kwargs = {"limit": 1, "context": self._scope.context}
        try:
            self._calls.execute(model, "search", [[("id", "=", 0)]], kwargs)
        except (NoRights, OdooAccessError):
            return False
        return True

    def _fields_get(self, model: str, names: Sequence[str]) -> Mapping[str, Any]:
        answer = self._calls.execute(
            model,
            "fields_get",
            [],
            {"allfields": list(names), "attributes": ATTRIBUTES, "context": self._scope.context},
        )
        value: Mapping[str, Any] = answer.value
        return value

    def _why_missing(self, ids: Sequence[int], reads: "_Reads") -> dict[int, Missing]:
        """Look at ids that a search did not find; those that are there after all are left out.

        ``read`` leaves deleted records out and faults for all of a call if one is forbidden
        (17, 18 and 19): then the halves are asked for. A stored field is read, for an id alone
        is given without a look whether there is such a record. Neither the domain nor the
        choice of companies narrows it.
        """
        if not ids:
            return {}
        kwargs = {"fields": ["write_date"], "context": self._scope.open_context}
        if self._scope.company_ids:
            # Its id alone: the name of a company that the account has not may be forbidden.
            kwargs |= {"fields": ["write_date", "company_id"], "load": ""}
        try:
            answer = reads.execute_on_records(self.order_model, "read", [list(ids)], kwargs)
        except OdooAccessError:
            if len(ids) == 1:
                return {ids[0]: Missing.FORBIDDEN}
            half = len(ids) // 2
            return self._why_missing(ids[:half], reads) | self._why_missing(ids[half:], reads)
        there = {record_id(record): record for record in records(answer.value)}
        why = {number: Missing.GONE for number in ids if number not in there}
        return why | self._why_outside(there, reads)

    def _why_outside(self, there: Mapping[int, Record], reads: "_Reads") -> dict[int, Missing]:
        """Tell which of these orders, which exist, are not to be copied, and why.

        They are searched for once more: one may have been committed, or changed, since the search
        that lacked it.
        """
        if not there or not self._scope.narrows:
            return {}
        answer = reads.execute(
            self.order_model,
            "search",
            [self._scope.orders(("id", "in", sorted(there)))],
            {"context": self._scope.context},
        )
        ours = set(answer.value) if isinstance(answer.value, list) else set()
        return {
            number: Missing.OUTSIDE_COMPANIES
            if self._is_of_other_company(record)
            else Missing.OUTSIDE_DOMAIN
            for number, record in there.items()
            if number not in ours
        }

    def _is_of_other_company(self, record: Record) -> bool:
        """Tell whether an order outside our scope is so by its company, or by the domain."""
        if not self._scope.company_ids:
            return False
        company = record.get("company_id")
        company = company[0] if isinstance(company, list) and company else company
        return not self._scope.domain or company not in self._scope.company_ids


def _sharing(orders: Mapping[int, OrderSnapshot]) -> list[int]:
    """Orders that hold one and the same line: read at two moments, between which it moved."""
    owners: dict[int, list[int]] = {}
    for number, order in orders.items():
        for line in order.lines:
            owners.setdefault(line.id, []).append(number)
    return sorted({number for own in owners.values() if len(own) > 1 for number in own})


class _Reads:
    """The calls of one fetch, and when on Odoo's clock the first of them began."""

    def __init__(self, calls: Calls, models: Callable[[], Sequence[str]]) -> None:
        self.began_at: datetime | None = None
        self._calls = calls
        self._models = models

    def execute(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        answer = self._calls.execute(model, method, args, kwargs, self._models())
        if self.began_at is None and answer.server_date is not None:
            self.began_at = answer.server_date - timedelta(seconds=answer.seconds) - DATE_STEP
        return answer

    def execute_on_records(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        """Call after another call of this fetch has shown that the model may be read."""
        return self._calls.execute(model, method, args, kwargs, needed_models=None)
