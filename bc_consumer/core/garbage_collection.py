"""How often Python looks for cycles among the objects of a process that copies orders."""

import gc

ALLOCATED = 100_000
"""Containers that are allocated, and not freed, between two looks at the youngest: Python's own 700
are a dozen orders, and a batch has hundreds, none of which is in a cycle. Looking through them took
a quarter of the processor time of a first load, and a third of that of a full comparison."""
PYTHONS_OWN = 700


def collect_rarely() -> None:
    """Look for cycles less often; call it once what the process needs is loaded.

    Does nothing where the process has been given limits of its own.
    """
    if gc.get_threshold()[0] != PYTHONS_OWN:
        return
    # What is loaded stays as long as the process: it need not be looked through again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATED, 20, 50)
