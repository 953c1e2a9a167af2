"""How late a change is applied: the moment that its delay is counted from, as far as it is known.

| who announced the change                      | its delay is counted from                       |
| --------------------------------------------- | ----------------------------------------------- |
| a webhook                                     | the webhook's arrival; of several that one look |
|                                               | answers, the first one                          |
| nobody, and a further look at a webhook's     | the ``write_date`` in Odoo of the order, or of  |
| order found it, or a poll's window            | a line that differs, if that is later           |
| nobody: a first load, the nightly run, a new  | nothing: it has no delay. When it was done is   |
| mapping, a new name, a replay, an operator …  | not known, or long ago                          |

What is assumed of clocks: arrivals are on the database's clock, and ``write_date`` is on Odoo's
database's. That one is taken to agree with the clock of Odoo's ``Date`` headers, as the watermark
does, which is read with each fetch (:class:`OdooClock`). A ``write_date`` is the start of Odoo's
transaction, cut to a whole second (measured on 17, 18 and 19): a delay that is counted from it is
too long by up to a second and by the transaction's duration, and never too short. An event that
RabbitMQ kept while the database was away arrives when the ledger takes it in.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bc_consumer.models import BC, BCLine, JournalEntry, PendingBC
from bc_consumer.models.ledger import WEBHOOK, has_cause
from bc_consumer.odoo import Missing
from bc_consumer.refresh.mapping import MappedOrder

Outcome = JournalEntry.Outcome
DelayFrom = JournalEntry.DelayFrom

DATE_UNCERTAINTY = timedelta(seconds=2)
"""How much later than ``Fetched.began_at`` a fetch may have begun, beside the time it took: the
``Date`` header has whole seconds, and ``began_at`` is a second early to be safe."""
CLOCK_MARGIN = timedelta(seconds=2)
"""By how much a change must be younger than a webhook to count as not announced by it: Odoo's clock
is known no better."""
NAMES = frozenset(
    column.removesuffix("_id") + "_name"
    for model in (BC, BCLine)
    for column in (field.name for field in model._meta.concrete_fields)
    if column.endswith("_id")
)
"""The columns that hold a related record's name: nothing announces that it was renamed."""


@dataclass(frozen=True, slots=True)
class Delay:
    """How late a change was applied."""

    seconds: float
    """Never below 0."""
    counted_from: JournalEntry.DelayFrom


@dataclass(frozen=True, slots=True)
class OdooClock:
    """What one fetch showed of Odoo's clock."""

    began_at: datetime | None
    """``Fetched.began_at``."""
    began: float
    """When the fetch began, as of ``time.monotonic()``."""
    seconds: float
    """How long it took."""

    def ahead(self, now: datetime) -> timedelta:
        """Return by how much Odoo's clock is ahead of the database's; negative if it is behind.

        It is the least difference that explains the answer's date: zero for clocks that may agree,
        and where Odoo's answers have no date. ``now``: the database's time.
        """
        if self.began_at is None:
            return timedelta(0)
        least = self.began_at - (now - timedelta(seconds=time.monotonic() - self.began))
        most = least + DATE_UNCERTAINTY + timedelta(seconds=self.seconds)
        return max(least, min(most, timedelta(0)))


def measure_delay(
    claimed: PendingBC,
    found: MappedOrder | Missing,
    outcome: JournalEntry.Outcome,
    changes: Mapping[str, Any],
    *,
    now: datetime,
    odoo_ahead: timedelta = timedelta(0),
    poll_since: datetime | None = None,
) -> Delay | None:
    """Return the delay of this change, which is applied ``now``; None if it has none.

    ``outcome`` and ``changes``: what the journal tells of it. ``odoo_ahead``: see ``OdooClock``.
    ``poll_since``: the beginning of the window, on Odoo's clock, of the poll that marked the order;
    None if none did. What is older was missed before, and is no poll's delay.
    """
    written_at = _latest_write(found, outcome, changes)
    in_window = poll_since is not None and written_at is not None and written_at >= poll_since
    changed_at = None if written_at is None else written_at - odoo_ahead
    start = _counted_from(
        claimed, changed_at, in_window=in_window, is_written=_is_written(outcome, changes)
    )
    if start is None:
        return None
    moment, counted_from = start
    return Delay(max((now - moment).total_seconds(), 0.0), counted_from)


def _counted_from(
    claimed: PendingBC, changed_at: datetime | None, *, in_window: bool, is_written: bool
) -> tuple[datetime, JournalEntry.DelayFrom] | None:
    """Return the moment, on the database's clock, and what it is the moment of."""
    announced_at = _announced_at(claimed)
    if announced_at is None:
        came_meanwhile = has_cause(claimed.causes, WEBHOOK) and _is_after(
            changed_at, claimed.first_marked_at
        )
        if changed_at is not None and (in_window or came_meanwhile):
            return changed_at, DelayFrom.CHANGE
        return None
    is_first_look = claimed.generation > claimed.fetched_generation
    if changed_at is not None and not is_first_look:
        if _is_after(changed_at, announced_at + CLOCK_MARGIN):
            return changed_at, DelayFrom.CHANGE
        return announced_at, DelayFrom.MARK
    # Without a date a further look can't tell a second difference from what was announced.
    if is_written and (is_first_look or claimed.shown_at is None):
        return announced_at, DelayFrom.MARK
    return None


def _announced_at(claimed: PendingBC) -> datetime | None:
    """Return when the first webhook came that this look answers; None if none did, or not first.

    An order that was given up or held waits for a person, and that is not counted: if a webhook
    opened it again, its arrival counts, and if something else did, nothing does.
    """
    if claimed.causes.split(",")[0] != WEBHOOK:
        return None
    opened_at = claimed.owed_since
    if opened_at is None or opened_at <= claimed.first_marked_at:
        return claimed.first_marked_at
    by_run = (
        claimed.run_generation is not None and claimed.run_generation > claimed.fetched_generation
    )
    return None if by_run or claimed.causes != WEBHOOK else opened_at


def _is_after(changed_at: datetime | None, moment: datetime) -> bool:
    return changed_at is not None and changed_at > moment


def _is_written(outcome: JournalEntry.Outcome, changes: Mapping[str, Any]) -> bool:
    """Return whether something was written in Odoo, which a webhook can have announced."""
    if outcome in {Outcome.CREATED, Outcome.ARCHIVED}:
        return True
    lines = changes.get("lines", {})
    if lines.keys() & {"added", "deleted"}:
        return True
    changed = [changes.get("fields", {}), *lines.get("changed", {}).values()]
    return any(fields.keys() - NAMES for fields in changed)


def _latest_write(
    found: MappedOrder | Missing, outcome: JournalEntry.Outcome, changes: Mapping[str, Any]
) -> datetime | None:
    """Return the latest ``write_date`` of what differs; None where no date has moved."""
    if not isinstance(found, MappedOrder):
        return None
    dates = _dates_of(found) if outcome is Outcome.CREATED else _moved_dates(found, changes)
    return max((date for date in dates if isinstance(date, datetime)), default=None)


def _dates_of(order: MappedOrder) -> Iterator[object]:
    yield order.fields.get("write_date")
    for line in order.lines:
        yield line.fields.get("write_date")


def _moved_dates(order: MappedOrder, changes: Mapping[str, Any]) -> Iterator[object]:
    lines = changes.get("lines", {})
    for fields in (changes.get("fields", {}), *lines.get("changed", {}).values()):
        if "write_date" in fields:
            yield fields["write_date"][1]
    added = lines.get("added", {})
    for line in order.lines:
        if str(line.odoo_id) in added:
            yield line.fields.get("write_date")
