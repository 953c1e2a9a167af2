"""Reads orders with their lines: one call where Odoo can, and a second one for missing ids.

Start with ``OrderReader.fetch``.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bc_consumer.core.odoo_ids import HIGHEST_ID
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of
from bc_consumer.fields.kinds import Kind
from bc_consumer.odoo.errors import (
    NoRights,
    OdooAccessError,
    OdooFault,
    OdooRefused,
    OdooTorn,
    OdooUnavailable,
    UnknownField,
    UnknownMethod,
)
from bc_consumer.odoo.field_set import (
    ATTRIBUTES,
    FieldSet,
    ModelFields,
    WantedFields,
    load_field_set,
    table_of,
)
from bc_consumer.odoo.http import Answer
from bc_consumer.odoo.records import (
    Fetched,
    Missing,
    OrderSnapshot,
    Record,
    build_order,
    check_records,
    record_id,
)
from bc_consumer.odoo.scope import Scope
from bc_consumer.odoo.transports import ModelCalls
from bc_consumer.odoo.versions.before_17 import SeparateReads

ONE_CALL = "web_search_read"  # of module web, 17 and later; needs no further right (measured)
LOOKS = 4  # an order may appear between the read that lacked it and the look at it
FIELDS_SECONDS = 600.0  # then Odoo is asked for its fields again: it may have been upgraded
DATE_STEP = timedelta(seconds=1)  # the Date header has whole seconds

NAMED: dict[str, Any] = {"fields": {"display_name": {}}}
CURRENCY: dict[str, Any] = {"fields": {"display_name": {}, "decimal_places": {}}}


class OrderReader:
    """Reads orders of one model. Thread-safe."""

    def __init__(self, calls: ModelCalls, wanted: WantedFields, scope: Scope) -> None:
        """Raises OdooRefused for an order model that can't be copied."""
        table_of(wanted.order_model)
        self.order_model = wanted.order_model
        self._wanted = wanted
        self._scope = scope
        self._calls = calls
        self._separate_reads = SeparateReads(scope)
        self._one_call_exists = True
        self._field_set: FieldSet | None = None
        self._asked_at = 0.0  # on the monotonic clock: when Odoo was asked for its fields

    @property
    def absent_fields(self) -> tuple[str, ...]:
        """Optional fields ("model.field") that this Odoo lacks; empty before the first fetch."""
        field_set = self._field_set
        return field_set.absent if field_set else ()

    @property
    def known_fields(self) -> FieldSet | None:
        """The fields that are read; None before Odoo was asked."""
        return self._field_set

    @property
    def models(self) -> tuple[str, ...]:
        """The models that a fetch reads: the orders', and the lines' once it is known."""
        field_set = self._field_set
        return (self.order_model, field_set.line.model) if field_set else (self.order_model,)

    def field_set(self) -> FieldSet:
        """Return the fields that are read; ask Odoo if they are unknown or ten minutes old."""
        # No lock: two threads that start together ask twice, and neither waits for the other.
        field_set = self._field_set
        if field_set is None or time.monotonic() > self._asked_at + FIELDS_SECONDS:
            if self._scope.narrows:
                self.make_control_call()
            field_set = load_field_set(self._wanted, self._fields_get, self._may_read)
            self._field_set, self._asked_at = field_set, time.monotonic()
        return field_set

    def forget_fields(self) -> None:
        """Ask Odoo for its fields and methods again, at the next fetch."""
        self._field_set = None
        self._one_call_exists = True

    # --- fetching ---

    def fetch(self, ids: Sequence[int]) -> Fetched:
        """Fetch orders; see ``Odoo.fetch``.

        Repeats, up to four times, for ids that the first read lacked and a second look found, and
        for orders that share a line: the line moved between two reads. Raises OdooTorn after that.
        """
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
                " row: they are found only by id, or lines keep moving between them. They"
                " will be read again later",
                ids=f"{possible}",
                looks=LOOKS,
            )
        )

    def _read_with_known_fields(
        self, ids: Sequence[int], reads: "_Reads"
    ) -> dict[int, OrderSnapshot]:
        """Read; if a known field has disappeared, ask for the fields again and read once more."""
        try:
            return self._read(ids, reads)
        except UnknownField:
            self.forget_fields()
        return self._read(ids, reads)

    def _read(self, ids: Sequence[int], reads: "_Reads") -> dict[int, OrderSnapshot]:
        field_set = self.field_set()
        if self._one_call_exists:
            try:
                return self._read_in_one_call(ids, field_set, reads)
            except UnknownMethod as fault:
                if fault.method != ONE_CALL:
                    raise
                self._one_call_exists = False
        return self._separate_reads.fetch(ids, field_set, reads.execute)

    def _read_in_one_call(
        self, ids: Sequence[int], field_set: FieldSet, reads: "_Reads"
    ) -> dict[int, OrderSnapshot]:
        answer = reads.execute(
            self.order_model,
            ONE_CALL,
            [],
            {
                "domain": self._scope.order_domain(("id", "in", list(ids))),
                "specification": _specification(field_set),
                "order": "id",
                # One more than can come: on a full page Odoo also counts all matches.
                "limit": len(ids) + 1,
                "context": self._scope.context,
            },
        )
        value = answer.value
        found = check_records(value.get("records") if isinstance(value, dict) else value)
        return {record_id(record): build_order(record, field_set) for record in found}

    def _fields_get(self, model: str, names: Sequence[str]) -> Mapping[str, Any]:
        answer = self._calls.execute(
            model,
            "fields_get",
            [],
            {"allfields": list(names), "attributes": ATTRIBUTES, "context": self._scope.context},
        )
        value: Mapping[str, Any] = answer.value
        return value

    def _may_read(self, model: str) -> bool:
        kwargs = {"limit": 1, "context": self._scope.context}
        try:
            self._calls.execute(model, "search", [[("id", "=", 0)]], kwargs)
        except (NoRights, OdooAccessError):
            return False
        return True

    # --- ids that the search did not find ---

    def _why_missing(self, ids: Sequence[int], reads: "_Reads") -> dict[int, Missing]:
        """Find out why a search did not return these ids. Ids that exist after all are left out.

        ``read`` leaves deleted records out, and faults for the whole call if one record is
        forbidden (17, 18 and 19): then each half is asked for. It reads a stored field, because
        Odoo returns a bare id without checking that the record exists. Neither the domain nor the
        companies apply to this read.
        """
        if not ids:
            return {}
        kwargs = {"fields": ["write_date"], "context": self._scope.open_context}
        if self._scope.company_ids:
            # As a bare id: the account may not be allowed to read another company's name.
            kwargs |= {"fields": ["write_date", "company_id"], "load": ""}
        try:
            answer = reads.execute_on_records(self.order_model, "read", [list(ids)], kwargs)
        except OdooAccessError:
            if len(ids) == 1:
                return {ids[0]: Missing.FORBIDDEN}
            half = len(ids) // 2
            return self._why_missing(ids[:half], reads) | self._why_missing(ids[half:], reads)
        existing = {record_id(record): record for record in check_records(answer.value)}
        why = {number: Missing.GONE for number in ids if number not in existing}
        return why | self._why_outside(existing, reads)

    def _why_outside(self, existing: Mapping[int, Record], reads: "_Reads") -> dict[int, Missing]:
        """Return those of these existing orders that are not to be copied, and why.

        Searches for them again: an order may have been committed, or changed, since the search
        that did not return it.
        """
        if not existing or not self._scope.narrows:
            return {}
        answer = reads.execute(
            self.order_model,
            "search",
            [self._scope.order_domain(("id", "in", sorted(existing)))],
            {"context": self._scope.context},
        )
        ours = set(answer.value) if isinstance(answer.value, list) else set()
        return {
            number: Missing.OUTSIDE_COMPANIES
            if self._is_of_other_company(record)
            else Missing.OUTSIDE_DOMAIN
            for number, record in existing.items()
            if number not in ours
        }

    def _is_of_other_company(self, record: Record) -> bool:
        """Tell whether an order is outside the scope because of its company, not of the domain."""
        if not self._scope.company_ids:
            return False
        company = record.get("company_id")
        company = company[0] if isinstance(company, list) and company else company
        return not self._scope.domain or company not in self._scope.company_ids

    # --- the control call ---

    def make_control_call(self) -> None:
        """Search for no order: the cheapest call that exercises all that a read of orders needs.

        Raises OdooRefused where Odoo does not accept the configured domain or companies, and
        OdooUnavailable where it can't search at all.
        """
        try:
            self._search_nothing(self._scope)
        except OdooFault as fault:
            self._raise_cause(fault)

    def _raise_cause(self, fault: OdooFault) -> None:
        """Search without domain and companies, then with companies alone, and raise the cause."""
        scope, model = self._scope, self.order_model
        try:
            self._search_nothing(Scope(scope.language))
        except OdooFault as plain:
            raise OdooUnavailable(
                _("The problem is Odoo itself, not an order: %(error)s", error=message_of(plain))
            ) from plain
        if scope.company_ids:
            try:
                self._search_nothing(Scope(scope.language, (), scope.company_ids))
            except OdooAccessError as refusal:
                raise OdooRefused(
                    _(
                        "The account may not see all of ODOO_COMPANY_IDS %(company_ids)s"
                        " (Odoo said: %(message)s): give it these companies in Odoo, or correct"
                        " the setting",
                        company_ids=", ".join(map(str, scope.company_ids)),
                        message=refusal.message,
                    )
                ) from fault
        if scope.domain:
            raise OdooRefused(
                _(
                    "Odoo can't search %(model)s by ODOO_DOMAIN (%(message)s): correct the"
                    " setting; manage.py odoo_fields lists the fields of this Odoo",
                    model=model,
                    message=fault.message,
                )
            ) from fault
        raise OdooUnavailable(
            _(
                "Odoo can't search %(model)s just now: %(error)s",
                model=model,
                error=message_of(fault),
            )
        ) from fault

    def _search_nothing(self, scope: Scope) -> None:
        kwargs = {"limit": 1, "context": scope.context}
        self._calls.execute(
            self.order_model, "search", [scope.order_domain(("id", "=", 0))], kwargs
        )


class _Reads:
    """The calls of one fetch. ``began_at``: when the first of them began, on Odoo's clock."""

    def __init__(self, calls: ModelCalls, models: Callable[[], Sequence[str]]) -> None:
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


def _specification(field_set: FieldSet) -> dict[str, Any]:
    """Return what ``web_search_read`` has to read: orders with their lines, and related names."""
    wanted = _flat_specification(field_set.order)
    wanted[str(field_set.order.odoo_name("currency_id"))] = CURRENCY
    lines_name = str(field_set.order.odoo_name("order_line"))
    wanted[lines_name] = {"fields": _flat_specification(field_set.line)}
    return wanted


def _flat_specification(fields: ModelFields) -> dict[str, Any]:
    named = {Kind.MANY2ONE, Kind.MANY2MANY}
    return {name: NAMED if field.kind in named else {} for field, name in fields.present}


def _sharing(orders: Mapping[int, OrderSnapshot]) -> list[int]:
    """Return the orders that hold the same line: read at two moments, between which it moved."""
    owners: dict[int, list[int]] = {}
    for number, order in orders.items():
        for line in order.lines:
            owners.setdefault(line.id, []).append(number)
    return sorted({number for own in owners.values() if len(own) > 1 for number in own})
