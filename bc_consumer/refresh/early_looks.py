"""When to look again at an order whose webhook may have come before Odoo's commit.

Odoo 17 and 18 send webhooks inside the transaction, before its commit (measured): the first look
may find the old state. The looks are a fixed list of seconds after the last mark, of which the last
is Odoo's longest transaction: whatever a webhook told of has been committed by then, or never is.
"""

from collections.abc import Sequence

BETWEEN = 300.0
"""A look between those of the setting and the last one, in seconds."""
CONFIRMING_LOOKS = (5.0,)
"""Seconds after a webhook that comes after the commit, where reads may be answered by a replica of
Odoo's database that lags behind it (JSON-2)."""


def early_looks(soon: Sequence[float], longest_transaction: float) -> tuple[float, ...]:
    """Return all looks at an order that was marked early; ``soon``: those of EARLY_LOOKS."""
    if longest_transaction <= soon[-1]:
        return tuple(soon)
    between = (BETWEEN,) if soon[-1] < BETWEEN < longest_transaction else ()
    return (*soon, *between, longest_transaction)


def next_look(looks: Sequence[float], elapsed: float, shown: bool) -> float | None:
    """Return the next look, in seconds after the last mark, or None when the list is over.

    ``elapsed`` is how long after the last mark the present look began: looks that should have
    been taken by now count as taken, so a worker that was away catches up with one. Once a
    difference has ``shown``, every second look is left out, never the last: what showed may have
    been another transaction's.
    """
    left = [look for look in looks if look > elapsed]
    if shown:
        left = left[-1::-2][::-1]
    return left[0] if left else None
