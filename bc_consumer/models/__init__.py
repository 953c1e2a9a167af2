"""All tables, one module a subject."""

from bc_consumer.models.gates import CallSlot, Pace
from bc_consumer.models.journal import AnnouncedVersion, JournalEntry, VersionCounter
from bc_consumer.models.notices import Alert, DeadLetter, Heartbeat
from bc_consumer.models.orders import BC, BCLine, BCQuerySet, CopyOrigin, OdooRecord
from bc_consumer.models.pending import Event, Lane, PendingBC
from bc_consumer.models.runs import ProvenPeriod, SyncLog, SyncState

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
    "OdooRecord",
    "Pace",
    "PendingBC",
    "ProvenPeriod",
    "SyncLog",
    "SyncState",
    "VersionCounter",
]
