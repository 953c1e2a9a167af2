"""Which processes run, in which version, and which were lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bc_consumer.core.cached_value import ACTED_UPON_SECONDS, SMALL_SHARE, CachedValue
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import Heartbeat
from bc_consumer.operations.heartbeats import ALIVE

MOST = 500
"""Heartbeats that are read; the rows of lost processes are kept for a day."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process, as its latest heartbeat tells."""

    kind: Heartbeat.Kind
    host: str
    pid: int
    version: str
    """Empty for releases that did not report it."""
    silent_seconds: float
    """Since its latest heartbeat."""
    odoo_answered_at: datetime | None
    """None: Odoo has not answered it since it was started, or it makes no calls."""


@dataclass(frozen=True, slots=True)
class Processes:
    """All processes; by kind, and those heard of last come first."""

    running: Sequence[Process]
    lost: Sequence[Process]
    """Workers and schedulers that have not been heard from for a while, and did not shut down
    cleanly."""

    @property
    def versions(self) -> Sequence[str]:
        """The versions of those that run, ascending; more than one: an update is half done."""
        return sorted({process.version for process in self.running})

    def count(self, kind: Heartbeat.Kind) -> int:
        """Return how many processes of this kind run."""
        return sum(process.kind is kind for process in self.running)


def _processes() -> Processes:
    now = database_now()
    hearts = list(Heartbeat.objects.order_by("kind", "-at")[:MOST])
    return Processes(
        running=[_process(heart, now) for heart in hearts if now - heart.at <= ALIVE],
        lost=[_process(heart, now) for heart in hearts if now - heart.at > ALIVE],
    )


def _process(heart: Heartbeat, now: datetime) -> Process:
    return Process(
        kind=Heartbeat.Kind(heart.kind),
        host=heart.host,
        pid=heart.pid,
        version=heart.version,
        silent_seconds=max((now - heart.at).total_seconds(), 0.0),
        odoo_answered_at=heart.odoo_answered_at,
    )


processes = CachedValue(_processes, share=SMALL_SHARE, longest=ACTED_UPON_SECONDS)
