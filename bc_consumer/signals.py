"""Signals for the application's own code in the same process; docs/applications.md has examples."""

from django.dispatch import Signal

bc_synced = Signal()
"""Sent once for each change applied to an order, after its commit, by the process that applied it.

``sender`` is the model BC, and a receiver gets:

``bc``: the order as the database has it now, which may already be newer than this change.
``created``: whether the copy had no such order before.
``outcome``: the journal's word: created, changed, archived, restored or forbidden.
``changed``: what the journal tells: ``{"fields": {name: [old, new]}, "lines": {"added": …}}``.
``cause``: who marked the order, as the journal has it: ``"webhook"``, ``"webhook,operator"`` …
``version``: the number of this change; ``bc.version`` is this one or a later one.

Receivers run one after the other in the worker's thread, so a slow one slows the copy. An error is
logged and harms nobody else. A process that is killed between commit and signal sends none: who
needs every change reads ``BC.objects.after(version)``.
"""
