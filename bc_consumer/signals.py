"""Signals for application code in the same process; docs/applications.md has examples."""

from django.dispatch import Signal

__all__ = ["bc_synced"]

bc_synced = Signal()
"""Sent once for each change applied to an order, after its commit, by the process that applied it.

``sender`` is the model BC. A receiver gets:

``bc``: the order as it is in the database now, which may already be newer than this change.
``created``: whether the copy did not have the order before.
``outcome``: as in the journal: created, changed, archived, restored or forbidden.
``changed``: as in the journal: ``{"fields": {name: [old, new]}, "lines": {"added": …}}``.
``cause``: what marked the order, as in the journal: ``"webhook"``, ``"webhook,operator"`` …
``version``: the number of this change; ``bc.version`` is this one or a later one.

Receivers run one after the other in the worker's thread, so a slow one slows the copy. An error in
one is logged and affects no other. A process killed between commit and signal sends none; to get
every change, read ``BC.objects.after(version)``.
"""
