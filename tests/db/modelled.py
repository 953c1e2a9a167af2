"""A model of Odoo's orders for tests of the ledger: committed versions, and who holds which lines.

A version of an order is a number, higher than any before it, and a set of lines; a copy of it bears
the number in the order and in each of its lines, so that any mixture shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bc_consumer.models import BC, PendingBC
from bc_consumer.odoo import Missing
from bc_consumer.refresh.mapping import Extra, MappedLine, MappedOrder
from bc_consumer.refresh.writer import FetchedRow

NO_EXTRA = Extra({}, frozenset())


@dataclass(frozen=True, slots=True)
class Version:
    """What one commit made of an order."""

    number: int
    lines: frozenset[int]


State = Version | None
"""None: there is no such order, not yet or no more."""


class ModelledOdoo:
    """The committed state, and every state that ever was one."""

    def __init__(self) -> None:
        self.committed: dict[int, State] = {}
        self.history: dict[tuple[int, int], Version] = {}
        self._numbers = itertools.count(1)
        self._lines = itertools.count(1)

    def written(self, old: State) -> Version:
        """Return a new version with the same lines, and one more now and then."""
        number = next(self._numbers)
        lines: frozenset[int] = frozenset() if old is None else old.lines
        if len(lines) < 2 or number % 5 == 0:
            lines |= {next(self._lines)}
        return Version(number, lines)

    def moved(self, source: Version, target: Version) -> tuple[Version, Version]:
        """Return new versions of both after a line went from one to the other."""
        line = min(source.lines)
        left = Version(next(self._numbers), source.lines - {line})
        return left, Version(next(self._numbers), target.lines | {line})

    def commit(self, changes: Mapping[int, State]) -> None:
        """Make changes visible, all at once."""
        self.committed = {**self.committed, **changes}
        for odoo_id, state in changes.items():
            if state is not None:
                self.history[odoo_id, state.number] = state

    def snapshot(self, odoo_ids: Collection[int]) -> dict[int, State]:
        """Return what one read gives."""
        committed = self.committed
        return {odoo_id: committed.get(odoo_id) for odoo_id in odoo_ids}


def seen(claimed: PendingBC, state: State) -> FetchedRow:
    """Return what a fetch of this state tells ``apply``."""
    if state is None:
        return FetchedRow(claimed, Missing.GONE)
    name = str(state.number)
    lines = tuple(MappedLine(line, {"name": name}, NO_EXTRA) for line in sorted(state.lines))
    order = MappedOrder(claimed.odoo_id, {"partner_ref": name}, NO_EXTRA, lines, mapping_version=1)
    return FetchedRow(claimed, order)


@dataclass(frozen=True, slots=True)
class Copied:
    """One order of the copy."""

    version: Version
    archived: bool
    names: frozenset[str]
    """The numbers that its lines bear."""


def copied() -> dict[int, Copied]:
    """Read the copy by one statement, hence as of one moment."""
    lines: dict[int, set[tuple[int, str]]] = {}
    heads: dict[int, tuple[int, bool]] = {}
    rows = BC.objects.values_list(
        "odoo_id", "partner_ref", "archived_at", "lines__odoo_id", "lines__name"
    )
    for odoo_id, ref, archived_at, line, name in rows:
        heads[odoo_id] = int(ref), archived_at is not None
        if line is not None:
            lines.setdefault(odoo_id, set()).add((line, name))
    return {
        odoo_id: Copied(
            Version(number, frozenset(line for line, _ in lines.get(odoo_id, ()))),
            archived,
            frozenset(name for _, name in lines.get(odoo_id, ())),
        )
        for odoo_id, (number, archived) in heads.items()
    }


class Watch:
    """Tells what must never be seen in the copy, whoever looks and whenever."""

    def __init__(self, odoo: ModelledOdoo) -> None:
        self.odoo = odoo
        self._newest: dict[int, int] = {}
        self._archived: set[int] = set()

    def look(self) -> dict[int, Copied]:
        """Look once, by one statement.

        Raises AssertionError when an order is torn, went backwards, or came back from the dead.
        """
        now = copied()
        for odoo_id, one in now.items():
            number = one.version.number
            assert number >= self._newest.get(odoo_id, 0), f"BC {odoo_id} went back to {number}"
            self._newest[odoo_id] = number
            if one.archived:
                self._archived.add(odoo_id)
                continue
            assert odoo_id not in self._archived, f"BC {odoo_id} came back from the dead"
            assert one.names <= {str(number)}, f"BC {odoo_id} {number} has lines of {one.names}"
            there_was = self.odoo.history[odoo_id, number]
            assert one.version == there_was, f"BC {odoo_id}: {one.version}, never {there_was}"
        return now


def differing(committed: Mapping[int, State], copy: Mapping[int, Copied]) -> set[int]:
    """Return the orders that the copy does not have as Odoo has them."""
    differ = set()
    for odoo_id, state in committed.items():
        one = copy.get(odoo_id)
        if state is None:
            if one is not None and not one.archived:
                differ.add(odoo_id)
        elif one is None or one.archived or one.version != state:
            differ.add(odoo_id)
    return differ
