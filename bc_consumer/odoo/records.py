"""What the gateway hands out: plain immutable records, values still as Odoo sent them."""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bc_consumer.odoo.field_set import FieldSet

LONGEST_VERSION = 100  # characters of what a server says of itself
MAJOR = re.compile(r"\d{1,9}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of Odoo, decoded.

    ``seconds``: how long the exchange took. ``server_date``: Odoo's clock (or its proxy's) when it
    answered, whole seconds, UTC; None if the answer had no ``Date`` header.
    """

    value: Any
    received_bytes: int
    seconds: float
    server_date: datetime | None


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """Odoo's version: ``text`` as Odoo writes it («17.0», «saas~17.2»), ``major`` as a number."""

    text: str
    major: int

    @classmethod
    def from_text(cls, text: str) -> "ServerVersion":
        """Read «17.0», «17.0-20261124», «saas~17.2+e»; major is 0 where no number is found."""
        text = text[:LONGEST_VERSION]
        number = MAJOR.search(text)
        return cls(text=text, major=int(number.group()) if number else 0)


class Missing(enum.Enum):
    """Why an order that was asked for is not in the answer."""

    GONE = "gone"  # Odoo has no such order: deleted, or not committed yet
    FORBIDDEN = "forbidden"  # Odoo has it, and this account may not read it
    OUTSIDE_DOMAIN = "outside the domain"  # Odoo has it, and it is none of those to be copied
    OUTSIDE_COMPANIES = "outside the companies"  # it belongs to a company that is not configured

    @property
    def means_archived(self) -> bool:
        """Whether the copy archives such an order: it is not ours, as far as anybody can tell."""
        return self is not Missing.FORBIDDEN


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """One line. ``values``: canonical field name (see ``fields/``) → what Odoo sent."""

    id: int
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """One order with all its lines (by id), as one consistent read saw them.

    ``values``: canonical field name → what Odoo sent: False where empty, numbers, text,
    ``{"id", "display_name"}`` for a many2one and a list of such for a many2many. A field that this
    Odoo lacks has no key. ``fields``: what there was to read, in orders and in lines.
    ``currency_decimals``: decimals of the order's currency, None if unknown.
    """

    id: int
    values: Mapping[str, object]
    lines: tuple[LineSnapshot, ...]
    fields: FieldSet
    currency_decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """The outcome of a fetch: each id asked for is in exactly one of the two.

    ``began_at``: a moment on Odoo's clock not later than the beginning of the reads, UTC; None
    if Odoo's answers carried no date.
    """

    orders: Mapping[int, OrderSnapshot]
    missing: Mapping[int, Missing]
    began_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One order or line, as a listing shows it: no content, one write_date.

    ``write_date``: UTC, whole seconds; None where Odoo has none (a row made by SQL).
    ``order_id``: of lines only.
    """

    id: int
    write_date: datetime | None
    order_id: int | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """Orders, or lines, whose write_date lies in one month or day of UTC.

    ``end`` is the first moment after it. ``id_sum``: the sum of their ids, exact; None where this
    Odoo can't tell it (split the period, or compare ids).
    """

    start: datetime
    end: datetime
    count: int
    id_sum: int | None
