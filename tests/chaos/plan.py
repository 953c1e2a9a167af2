"""The plan of a run: operations in Odoo and faults, all derived from one seed. Pure.

The same seed gives the same plan, but real processes race, so the plan meets different states in
each run. An operation therefore names no order; it carries dice that are thrown when its turn
comes.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

EARLY, COMMITTED = "early", "committed"

LOOKS = (0.15, 0.5, 1.0, 2.0, 5.0)
"""The early looks of a run, in seconds: shorter than in production, so that it can outlast them."""
LONGEST = 10.0
"""Odoo's longest transaction according to a run's settings, in seconds: what is committed within it
is promised to be in the copy without any reconciliation."""
OUTLASTING = LOOKS[-1] * 1.3
"""Seconds for which a transaction is held open to commit after these looks."""
BEYOND = LONGEST * 1.3
"""The same, to violate the settings: the copy may be wrong until the nightly run."""

# The relative frequency of each operation.
OPERATIONS: Mapping[str, int] = {
    "create_order": 9,
    "write_order": 14,
    "stamp_order": 12,
    "write_line_price": 10,
    "write_line_text": 12,
    "add_line": 6,
    "add_note": 4,
    "delete_line": 6,
    "delete_order": 3,
    "merge_orders": 3,
    "move_line": 2,
    "confirm_order": 3,
    "cancel_order": 2,
    "receive_goods": 2,
    "rename_partner": 2,
    "write_in_bulk": 2,
    "write_twice_in_a_second": 6,
    "write_in_conflict": 3,
    "write_line_in_a_longer_write": 3,
    "write_while_read": 6,
    "write_in_a_long_transaction": 2,
    "delete_line_in_a_long_transaction": 1,
    "delete_order_in_a_long_transaction": 1,
}
# Operations that can be part of a transaction that is held open or rolled back.
HOLDABLE = frozenset({
    "create_order", "write_order", "stamp_order", "write_line_price", "write_line_text",
    "add_line", "add_note", "delete_line", "delete_order", "merge_orders", "move_line",
    "write_in_bulk",
})  # fmt: skip
ROLLED_BACK, HELD_SHORT, HELD_LONG, HELD_OUTLASTING, HELD_BEYOND = 0.06, 0.10, 0.03, 0.01, 0.004
"""Shares of these operations."""


ALONE = "alone"
"""The target of faults that strike while nothing else is broken."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """How often a fault occurs, how long it lasts, and its target, struck once at a time."""

    target: str
    weight: int
    shortest: float = 0.0
    longest: float = 0.0


FAULTS: Mapping[str, FaultKind] = {
    "kill_worker": FaultKind("processes", 10),
    "kill_web": FaultKind("processes", 4),
    "kill_web_child": FaultKind("processes", 4),
    "kill_scheduler": FaultKind("processes", 3),
    "restart_worker": FaultKind("processes", 6),
    "restart_web": FaultKind("processes", 2),
    "suspend_worker": FaultKind("processes", 3, 9.0, 12.0),
    "kill_broker": FaultKind("broker", 2),
    "restart_broker": FaultKind("broker", 2),
    "suspend_broker": FaultKind("broker", 3, 2.0, 6.0),
    "alarm_broker": FaultKind("broker", 3, 2.0, 6.0),
    "close_broker_connections": FaultKind("broker", 4),
    "kill_database": FaultKind("database", 4, 0.5, 2.0),
    "restart_database": FaultKind("database", 4, 0.5, 2.0),
    "suspend_database": FaultKind("database", 5, 1.0, 4.0),
    "page_views_without_database": FaultKind(ALONE, 3, 3.0, 5.0),
    "clock_back": FaultKind("database", 3),
    "clock_forward": FaultKind("database", 3),
    "odoo_refuses": FaultKind("odoo", 3, 1.0, 6.0),
    "odoo_slow": FaultKind("odoo", 4, 2.0, 8.0),
    "odoo_drips": FaultKind("odoo", 2, 2.0, 6.0),
    "odoo_busy": FaultKind("odoo", 2, 1.0, 4.0),
    "odoo_unavailable": FaultKind("odoo", 3, 1.0, 6.0),
    "odoo_garbage": FaultKind("odoo", 3, 1.0, 5.0),
    "odoo_torn": FaultKind("odoo", 3, 1.0, 5.0),
    "odoo_silent": FaultKind("odoo", 3, 2.0, 6.0),
    "odoo_faults": FaultKind("odoo", 4, 1.0, 8.0),
    "odoo_lacks_the_one_call": FaultKind("odoo", 3, 2.0, 8.0),
    "order_poisoned": FaultKind("odoo", 3, 3.0, 9.0),
    "orders_forbidden": FaultKind("odoo", 2, 2.0, 6.0),
    "webhooks_lost": FaultKind("webhooks", 4, 2.0, 6.0),
    "webhooks_doubled": FaultKind("webhooks", 5, 2.0, 8.0),
    "webhooks_reordered": FaultKind("webhooks", 6, 3.0, 8.0),
    "staging_calls": FaultKind("webhooks", 6, 1.0, 4.0),
    "overload": FaultKind(ALONE, 3, 2.0, 4.0),
    "delete_without_web": FaultKind("processes", 3),
    "delete_without_servers": FaultKind(ALONE, 3),
}
KILLS = (
    "kill_worker",
    "kill_web",
    "kill_web_child",
    "kill_scheduler",
    "kill_broker",
    "kill_database",
)

MISSING = (
    "delete_without_web",
    "delete_without_servers",
    "page_views_without_database",
    "overload",
    "clock_back",
    "clock_forward",
)
"""Faults during which events are missed, or considered missed."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that people do in Odoo, in one or several transactions.

    ``hold``: seconds between its last write and its end.
    """

    number: int
    kind: str
    dice: int
    hold: float = 0.0
    rolled_back: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong for ``seconds``, starting at operation number ``at``."""

    at: int
    kind: str
    seconds: float
    dice: int

    @property
    def target(self) -> str:
        """What it strikes."""
        return FAULTS[self.kind].target


@dataclass(frozen=True, slots=True)
class Act:
    """A part of the run with one timing of Odoo's webhooks and a verdict at its end."""

    timing: str
    operations: tuple[Operation, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run."""

    seed: int
    acts: tuple[Act, ...]


def make_plan(
    seed: int,
    operations: int,
    faults: int,
    *,
    kinds: Collection[str] = tuple(FAULTS),
    timings: Collection[str] = (EARLY, COMMITTED),
) -> Plan:
    """Return the plan for this seed: operations and faults spread over one act per timing."""
    dice = random.Random(seed)
    acts = []
    for number, timing in enumerate(timings):
        count = _share(operations, number, len(timings))
        acts.append(
            Act(
                timing,
                tuple(_operation(dice, turn) for turn in range(count)),
                _faults(dice, _share(faults, number, len(timings)), count, kinds),
            )
        )
    return Plan(seed, tuple(acts))


def _share(whole: int, number: int, parts: int) -> int:
    return whole * (number + 1) // parts - whole * number // parts


def _operation(dice: random.Random, number: int) -> Operation:
    kind = dice.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
    own = dice.getrandbits(32)
    ending, length = dice.random(), dice.random()
    if kind not in HOLDABLE:
        return Operation(number, kind, own)
    return Operation(
        number, kind, own, _hold(length, dice.random()), rolled_back=ending < ROLLED_BACK
    )


def _hold(which: float, how_long: float) -> float:
    shares = (
        (HELD_BEYOND, BEYOND),
        (HELD_OUTLASTING, OUTLASTING),
        (HELD_LONG, LOOKS[-1] * (0.2 + 0.5 * how_long)),
        (HELD_SHORT, how_long),
    )
    for share, seconds in shares:
        if which < share:
            return seconds
        which -= share
    return 0.0


def _faults(
    dice: random.Random, count: int, operations: int, kinds: Collection[str]
) -> tuple[Fault, ...]:
    """Spread faults over the act; each kind occurs once before any occurs twice, then by weight."""
    found = []
    for number, name in enumerate(_names(dice, count, kinds)):
        kind = FAULTS[name]
        at = int((number + dice.random()) * operations / count)
        seconds = dice.uniform(kind.shortest, kind.longest)
        found.append(Fault(at, name, round(seconds, 2), dice.getrandbits(32)))
    return tuple(found)


def _names(dice: random.Random, count: int, kinds: Collection[str]) -> list[str]:
    weights = {name: kind.weight for name, kind in FAULTS.items() if name in kinds}
    new = dict(weights)
    names = []
    for _ in range(count):
        left = new or weights
        names.append(dice.choices(list(left), list(left.values()))[0])
        new.pop(names[-1], None)
    dice.shuffle(names)
    return names
