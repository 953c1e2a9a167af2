"""The records that the gateway returns, and how they are made of what Odoo answers.

They are immutable, and their values are still as Odoo sent them: ``refresh/mapping.py`` converts
them. Whichever calls an order was read by, ``build_order`` makes the snapshot.
"""

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bc_consumer.core.odoo_ids import HIGHEST_ID
from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import OdooFault, OdooProtocolError
from bc_consumer.odoo.field_set import FieldSet, ModelFields

LONGEST_VERSION = 100  # characters kept of the version text that a server sends
MAJOR = re.compile(r"\d{1,9}")

Record = Mapping[str, Any]
"""A record as Odoo sends it: field name of this Odoo → value."""


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """Odoo's version: ``text`` as Odoo writes it ("17.0", "saas~17.2"), ``major`` as a number."""

    text: str
    major: int

    @classmethod
    def from_text(cls, text: str) -> "ServerVersion":
        """Read "17.0", "17.0-20261124", "saas~17.2+e". ``major`` is 0 where there is no number."""
        text = text[:LONGEST_VERSION]
        number = MAJOR.search(text)
        return cls(text=text, major=int(number.group()) if number else 0)


class Missing(enum.Enum):
    """Why an order that was asked for is not in the answer."""

    GONE = "gone"  # Odoo has no such order: it was deleted, or is not committed yet
    FORBIDDEN = "forbidden"  # it exists, and this account may not read it
    OUTSIDE_DOMAIN = "outside the domain"  # it exists, and does not match ODOO_DOMAIN
    OUTSIDE_COMPANIES = "outside the companies"  # its company is not in ODOO_COMPANY_IDS

    @property
    def means_archived(self) -> bool:
        """Whether the copy archives such an order. A forbidden one stays as it was."""
        return self is not Missing.FORBIDDEN


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """One line. ``values``: canonical field name (see ``fields/``) → what Odoo sent."""

    id: int
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """One order with all its lines (ascending by id), as one consistent read returned them.

    ``values``: canonical field name → what Odoo sent: False where empty, numbers, text,
    ``{"id", "display_name"}`` for a many2one, and a list of these for a many2many. A field that
    this Odoo lacks has no key. ``fields``: the fields that were read, of orders and of lines.
    ``currency_decimals``: the decimals of the order's currency, None if unknown.
    """

    id: int
    values: Mapping[str, object]
    lines: tuple[LineSnapshot, ...]
    fields: FieldSet
    currency_decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of a fetch. Each id that was asked for is in exactly one of the two mappings.

    ``began_at``: a moment on Odoo's clock, UTC, not later than the start of the first read; None
    if Odoo's answers had no ``Date`` header.
    """

    orders: Mapping[int, OrderSnapshot]
    missing: Mapping[int, Missing]
    began_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One order or line in a listing: its id and its write_date, without content.

    ``write_date``: UTC, whole seconds; None where Odoo has none (a row made by SQL).
    ``order_id``: of lines only.
    """

    id: int
    write_date: datetime | None
    order_id: int | None = None


@dataclass(frozen=True, slots=True)
class NamedOrder:
    """An order by its reference; ``company``: its company's name, "" if Odoo gave none."""

    id: int
    name: str
    company: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """The number of orders, or lines, whose write_date lies in one month or day of UTC.

    ``end`` is the first moment after the period. ``id_sum``: the exact sum of their ids; None where
    this Odoo can't compute it (use shorter periods, or compare ids).
    """

    start: datetime
    end: datetime
    count: int
    id_sum: int | None


def check_records(value: Any) -> Sequence[Record]:
    """Return Odoo's answer if it is a list of records.

    Raises OdooFault for None: XML-RPC can't carry it, and an answer that holds None anywhere is
    lost as a whole. Raises OdooProtocolError for anything else.
    """
    if value is None:
        raise OdooFault(_("Odoo's answer contains an empty value that it can't send"), code=1)
    if isinstance(value, list) and set(map(type, value)) <= {dict}:
        return value
    raise OdooProtocolError(_("Odoo gave something other than a list of records"))


def record_id(record: Record) -> int:
    """Return the record's id. Raises OdooProtocolError if it has none."""
    number = record.get("id")
    if type(number) is int and 0 < number <= HIGHEST_ID:
        return number
    raise OdooProtocolError(_("Odoo gave a record whose id is %(number)s", number=repr(number)))


def build_order(record: Record, field_set: FieldSet) -> OrderSnapshot:
    """Make a snapshot of an order's record with nested lines, currency and names.

    Raises OdooProtocolError if a field that was asked for is not in the record.
    """
    order_id = record_id(record)
    lines_name = str(field_set.order.odoo_name("order_line"))
    values = _values(record, field_set.order)
    if lines_name not in record:
        raise _left_out(lines_name, record, field_set.order)
    lines = [_build_line(line, field_set.line) for line in check_records(record[lines_name])]
    currency = record.get(str(field_set.order.odoo_name("currency_id")))
    decimals = currency.get("decimal_places") if isinstance(currency, dict) else None
    return OrderSnapshot(
        id=order_id,
        values=values,
        lines=tuple(sorted(lines, key=lambda line: line.id)),
        fields=field_set,
        currency_decimals=decimals if isinstance(decimals, int) else None,
    )


def _build_line(record: Record, fields: ModelFields) -> LineSnapshot:
    return LineSnapshot(id=record_id(record), values=_values(record, fields))


def _values(record: Record, fields: ModelFields) -> dict[str, object]:
    try:
        values: dict[str, object] = {
            name: record[odoo_name] for name, odoo_name in fields.plain_names
        }
        for name, odoo_name in fields.many2one_names:
            values[name] = _id_and_name(record[odoo_name])
        for name, odoo_name in fields.many2many_names:
            related = [_id_and_name(other) for other in check_records(record[odoo_name])]
            values[name] = sorted(related, key=record_id)
    except KeyError as absent:
        raise _left_out(absent.args[0], record, fields) from None
    for field in fields.derived:
        if field.derive is not None:
            values[field.name] = field.derive(values)
    return values


def _left_out(odoo_name: str, record: Record, fields: ModelFields) -> OdooProtocolError:
    return OdooProtocolError(
        _(
            "Odoo left %(odoo_name)s of %(model)s %(record)s out of its answer",
            odoo_name=odoo_name,
            model=fields.model,
            record=record_id(record),
        )
    )


def _id_and_name(value: Any) -> Any:
    """Return ``{"id", "display_name"}`` for a nested record or ``[id, name]``; keep False."""
    if isinstance(value, dict) and "id" in value:
        if len(value) == 2 and "display_name" in value:
            return value
        return {"id": value["id"], "display_name": value.get("display_name", False)}
    if isinstance(value, list) and len(value) == 2:
        return {"id": value[0], "display_name": value[1]}
    return value
