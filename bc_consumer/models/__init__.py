"""The tables, one module per subject; Django and applications find them all here.

Every room but core, fields and odoo may import it. Start with ``orders``: BC and BCLine are the
copy. ``ledger`` is what is still to be fetched, ``journal`` what happened, ``runs`` the record of
reconciliations.
"""

from bc_consumer.models.actions import OperatorAction, permission_for
from bc_consumer.models.journal import AnnouncedVersion, JournalEntry, VersionCounter
from bc_consumer.models.ledger import Event, Lane, PendingBC
from bc_consumer.models.metrics import MetricTotal
from bc_consumer.models.monitoring import Alert, DeadLetter, Heartbeat
from bc_consumer.models.orders import BC, BCLine, BCQuerySet, CopyOrigin, OdooRecord
from bc_consumer.models.runs import ProvenPeriod, SyncLog, SyncState
from bc_consumer.models.throttle import CallSlot, Pace

__all__ = [
    "BC",
    "Alert",
    "AnnouncedVersion",
    "BCLine",
    "BCQuerySet",
    "CallSlot",
    "CopyOrigin",
    "DeadLetter",
    "Event",
    "Heartbeat",
    "JournalEntry",
    "Lane",
    "MetricTotal",
    "OdooRecord",
    "OperatorAction",
    "Pace",
    "PendingBC",
    "ProvenPeriod",
    "SyncLog",
    "SyncState",
    "VersionCounter",
    "permission_for",
]
