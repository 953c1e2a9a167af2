"""How long a replay will take, from how long the latest work of that kind took."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet

from bc_consumer import ledger
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import OperatorAction, PendingBC, SyncLog

FEWEST = 20
"""Orders of the work that tells the pace: a few orders take as long as starting does."""
RECENT = timedelta(days=7)
LOOKED_AT = 20
"""Of the latest replays, or runs, so many are looked at."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of the time that so many orders will take."""

    ahead: int
    """Orders that wait already; a replay is behind them."""
    per_second: float | None
    """Orders read and applied in a second; None where nothing of this size was read lately."""
    seconds: float | None
    is_odoo_away: bool
    """Whether nothing is read at present."""


def estimate(count: int) -> Estimate:
    """Return how long a replay of so many orders will take, at the pace of the latest one."""
    ahead = PendingBC.objects.filter(ledger.owed()).count()
    rate = _latest_replay() or _latest_run()
    if rate is not None and settings.ODOO_CALLS_PER_SECOND:
        rate = min(rate, settings.ODOO_CALLS_PER_SECOND * settings.BATCH_SIZE)
    return Estimate(
        ahead,
        rate,
        None if rate is None else (ahead + count) / rate,
        circuit_breaker.current_outage() is not None,
    )


def _latest_replay() -> float | None:
    done = OperatorAction.objects.filter(
        kind=OperatorAction.Kind.REPLAY,
        status=OperatorAction.Status.DONE,
        total__gte=FEWEST,
        ended_at__gte=database_now() - RECENT,
        started_at__isnull=False,
    )
    return _rate(done.order_by("-pk"), "done")


def _latest_run() -> float | None:
    good = SyncLog.objects.filter(
        status__in=SyncLog.GOOD, bc_count__gte=FEWEST, ended_at__gte=database_now() - RECENT
    )
    return _rate(good.order_by("-pk"), "bc_count")


def _rate(rows: QuerySet[OperatorAction] | QuerySet[SyncLog], column: str) -> float | None:
    """Return how many a second the latest of these rows had done."""
    for count, started, ended in rows.values_list(column, "started_at", "ended_at")[:LOOKED_AT]:
        seconds = (ended - started).total_seconds()
        if count >= FEWEST and seconds > 0:
            return float(count / seconds)
    return None
