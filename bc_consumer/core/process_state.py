"""What the threads of one process share: that it is stopping, and that there is work."""

import os
import secrets
import threading

LOWEST_NUMBER = 1 << 62
"""Of a process: above any run's key."""

_numbers: dict[int, int] = {}


def number() -> int:
    """Return this process's own number: from LOWEST_NUMBER on, and fit for a BIGINT column.

    By process id, for a fork has its parent's memory. What is claimed by a process that died is
    known by it.
    """
    return _numbers.setdefault(os.getpid(), LOWEST_NUMBER | secrets.randbits(62))


stopping = threading.Event()
"""Set once, when the process was told to end: claims are released, calls to Odoo are cut short."""

bulk_batches = threading.BoundedSemaphore(2)
"""Batches of the bulk lane that a process has in hand at a time: more would only share its one
processor, and an event's order would find no thread, or wait for theirs."""

wake = threading.Event()
"""Set when a row became due or will be soon: the timer looks at the ledger again."""
