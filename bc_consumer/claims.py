"""What a claim on rows of the ledger came to, what one look at one came to, and its loss."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bc_consumer.models import PendingBC


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim came to."""

    rows: Sequence[PendingBC] = ()
    wait: float = 0.0
    """Seconds after which to claim again, when it was not time for it."""
    probing: bool = False
    """Odoo failed before. Whoever got this claim has to tell ``outage`` how it went."""


class LeaseLost(Exception):
    """Rows of this claim are no longer ours: another worker has, or had, them. Nothing is written.

    ``ids`` are the rows that were lost.
    """

    def __init__(self, ids: Collection[int]) -> None:
        self.ids = frozenset(ids)
        super().__init__(f"The claim on BC {sorted(self.ids)} ran out; another worker has them.")


@dataclass(frozen=True, slots=True)
class Look:
    """The outcome of one fetch of one claimed row, for :func:`settle`."""

    claimed: PendingBC
    shown: bool
    """A difference was applied."""
    next_look: float | None
    """Seconds after the last mark at which to look again; None: the row is done."""
    late: bool = False
    """That look is one that no event's order shall wait for."""
