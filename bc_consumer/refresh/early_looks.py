"""When to look again at an order whose webhook may have come before Odoo's commit.

Odoo 17 and 18 send webhooks inside the transaction, before its commit (measured): the first look
may find the old state. The looks are a fixed list of seconds after the last mark. The last one is
Odoo's longest transaction: by then whatever a webhook announced has been committed, or never will
be.
"""

from collections.abc import Sequence

BETWEEN = 300.0
"""Seconds after the last mark: one more look between those of EARLY_LOOKS and the last one."""
CONFIRMING_LOOKS = (5.0,)
"""Seconds after the last mark, where webhooks come after the commit, but a replica of Odoo's
database that lags behind may answer reads (JSON-2)."""


def early_looks(soon: Sequence[float], longest_transaction: float) -> tuple[float, ...]:
    """Return all looks at an order that was marked early, ascending.

    All are seconds after the last mark. ``soon``: the setting EARLY_LOOKS; ``longest_transaction``:
    Odoo's, in seconds.
    """
    if longest_transaction <= soon[-1]:
        return tuple(soon)
    in_between = (BETWEEN,) if soon[-1] < BETWEEN < longest_transaction else ()
    return (*soon, *in_between, longest_transaction)


def next_look(looks: Sequence[float], elapsed: float, shown: bool) -> float | None:
    """Return the next look, in seconds after the last mark; None when the list is over.

    ``elapsed``: seconds from the last mark to the beginning of the present look. Looks that should
    have been taken by now count as taken, so that a worker that was away catches up with one. Once
    a difference has ``shown``, every second look is skipped, never the last: the difference may
    have come from another transaction.
    """
    left = [look for look in looks if look > elapsed]
    if shown:
        left = left[-1::-2][::-1]
    return left[0] if left else None
