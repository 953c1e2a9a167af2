"""The gauges of ``/metrics``: what tables and RabbitMQ say at the moment of the question.

Counting the ledger and the copy, and asking RabbitMQ, may take longer than a scrape may: each is
done in a thread of its own, and a scrape takes what has come in time. Nothing here reads the
journal, which may have millions of rows.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models import Max, Q
from django.db.models.functions import Now
from dramatiq.common import xq_name

from bc_consumer.console.figures import copy_figures, ledger_figures
from bc_consumer.core.background_call import BackgroundCall
from bc_consumer.core.cached_value import CachedValue
from bc_consumer.core.counters import Metric
from bc_consumer.core.database_deadline import LONGEST_PAGE_SECONDS, database_deadline
from bc_consumer.ledger import circuit_breaker
from bc_consumer.messaging import announcer
from bc_consumer.messaging.publisher import FAILURES, FALLBACK_QUEUE, UNDECODABLE_QUEUE
from bc_consumer.messaging.queue_counts import QueueCount, count_messages
from bc_consumer.models import Alert, DeadLetter, Heartbeat, SyncLog, SyncState
from bc_consumer.operations import heartbeats

logger = logging.getLogger(__name__)
T = TypeVar("T")

RABBITMQ_SECONDS = 1.0
"""RabbitMQ's deadline for accepting the connection."""

DATABASE_UP = Metric(
    "bc_database_up",
    "1: the database answered all questions of this scrape in time; 0: the figures that it holds"
    " are missing.",
)
PENDING = Metric(
    "bc_pending_orders",
    "Orders in the ledger, by state; owed: still to be fetched.",
    {"state": ("owed", "watching", "failed", "held")},
)
OLDEST_OWED = Metric(
    "bc_oldest_owed_age_seconds",
    "How long the order that waits longest to be fetched has waited; 0: none waits.",
)
COPY_ORDERS = Metric(
    "bc_copy_orders",
    "Orders in the copy, by state; forbidden: the account may no longer read them.",
    {"state": ("current", "archived", "forbidden")},
)
COPY_LINES = Metric("bc_copy_lines", "Lines in the copy, those of archived orders included.")
BREAKER = Metric(
    "bc_odoo_breaker",
    "1 for the breaker's state; away: Odoo does not answer; refused: a person has to correct"
    " something.",
    {"state": ("closed", "away", "refused")},
)
OUTAGE = Metric(
    "bc_odoo_outage_seconds", "How long the breaker has been open, away or refused; 0: closed."
)
RUN_ACTIVE = Metric("bc_run_active", "1 while a reconciliation run is at work, else 0.")
LAST_RUN = Metric(
    "bc_last_run_end_timestamp_seconds",
    "When the latest run ended, by cause, as Unix time on the database's clock.",
    {"cause": tuple(SyncLog.Cause.values)},
)
LAST_GOOD_RUN = Metric(
    "bc_last_good_run_end_timestamp_seconds",
    "When the latest run that completed all its phases ended, likewise.",
    {"cause": tuple(SyncLog.Cause.values)},
)
ALIVE = Metric(
    "bc_processes_alive",
    "Processes heard from within 35 seconds.",
    {"kind": tuple(Heartbeat.Kind.values)},
)
ALERTS = Metric("bc_alerts_open", "Alerts whose cause is not known to be gone.")
DEAD_LETTERS = Metric(
    "bc_dead_letters", "Messages in the table of dead letters, which name no order."
)
UNANNOUNCED = Metric(
    "bc_unannounced_changes",
    "Applied changes that were not announced yet; missing without RABBITMQ_EXCHANGE.",
)
RABBITMQ_UP = Metric(
    "bc_rabbitmq_up",
    "1: RabbitMQ told its queues in time; 0: it did not; missing without RABBITMQ_URL.",
)
QUEUES = ("work", "fallback", "dead", "undecodable")
QUEUE_MESSAGES = Metric(
    "bc_rabbitmq_queue_messages",
    "Messages ready in a queue; fallback: events that the database could not take.",
    {"queue": QUEUES},
)
QUEUE_CONSUMERS = Metric("bc_rabbitmq_queue_consumers", "Consumers of a queue.", {"queue": QUEUES})
GAUGES = (
    DATABASE_UP, PENDING, OLDEST_OWED, COPY_ORDERS, COPY_LINES, BREAKER, OUTAGE, RUN_ACTIVE,
    LAST_RUN, LAST_GOOD_RUN, ALIVE, ALERTS, DEAD_LETTERS, UNANNOUNCED, RABBITMQ_UP, QUEUE_MESSAGES,
    QUEUE_CONSUMERS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one gauge."""

    metric: Metric
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


# --- the database's -----------------------------------------------------------------------------


def database_gauges() -> Iterator[Sample]:
    """Yield what small tables and cached counts say. Raises Django's database errors."""
    outage = circuit_breaker.current_outage()
    state = "closed" if outage is None else "refused" if outage.refused else "away"
    for each in BREAKER.labels["state"]:
        yield Sample(BREAKER, each == state, {"state": each})
    yield Sample(OUTAGE, 0.0 if outage is None else outage.seconds)
    held = SyncState.objects.filter(is_syncing=True, lease_until__gt=Now())
    yield Sample(RUN_ACTIVE, held.exists())
    for cause, ended, good in last_runs():
        if ended is not None:
            yield Sample(LAST_RUN, ended.timestamp(), {"cause": cause})
        if good is not None:
            yield Sample(LAST_GOOD_RUN, good.timestamp(), {"cause": cause})
    for kind, count in heartbeats.alive().items():
        yield Sample(ALIVE, count, {"kind": kind.value})
    yield Sample(ALERTS, Alert.objects.count())
    yield Sample(DEAD_LETTERS, DeadLetter.objects.count())
    if settings.RABBITMQ_EXCHANGE:
        yield Sample(UNANNOUNCED, announcer.waiting())


def _last_runs() -> list[tuple[str, datetime | None, datetime | None]]:
    """Return each cause with the end of its latest run, and of its latest good one."""
    good = Max("ended_at", filter=Q(status__in=SyncLog.GOOD))
    by_cause = SyncLog.objects.order_by().values("cause")
    found = by_cause.annotate(ended=Max("ended_at"), good=good)
    return list(found.values_list("cause", "ended", "good"))


last_runs = CachedValue(_last_runs)


def ask_for_counts() -> None:
    """Begin to count the ledger and the copy, so that the answers are there sooner."""
    _ledger_answer.start()
    _copy_answer.start()


def ledger_gauges(until: float) -> Iterator[Sample]:
    """Yield the ledger's size: as counted by ``until``, of ``time.monotonic()``, or the last known.

    Yields nothing before the first count has ended. A count that takes longer goes on for the next
    scrape.
    """
    figures = _counted_by(until, _ledger_answer, ledger_figures)
    if figures is None:
        return
    for state in PENDING.labels["state"]:
        yield Sample(PENDING, getattr(figures, state), {"state": state})
    yield Sample(OLDEST_OWED, figures.oldest_owed_seconds or 0.0)


def copy_gauges(until: float) -> Iterator[Sample]:
    """Yield the copy's size, as ``ledger_gauges`` does the ledger's."""
    figures = _counted_by(until, _copy_answer, copy_figures)
    if figures is None:
        return
    yield Sample(COPY_ORDERS, figures.bc_current, {"state": "current"})
    yield Sample(COPY_ORDERS, figures.bc_archived, {"state": "archived"})
    yield Sample(COPY_ORDERS, figures.bc_forbidden, {"state": "forbidden"})
    yield Sample(COPY_LINES, figures.lines)


def _counted_by(until: float, answer: BackgroundCall[T], counts: CachedValue[T]) -> T | None:
    try:
        return answer.start().result(max(until - time.monotonic(), 0.0))
    except (TimeoutError, DatabaseFailure):
        return counts.latest


def _count(counts: CachedValue[T]) -> T:
    try:
        with database_deadline(LONGEST_PAGE_SECONDS):
            return counts()
    finally:
        connection.close()


_ledger_answer = BackgroundCall(partial(_count, ledger_figures))
_copy_answer = BackgroundCall(partial(_count, copy_figures))


# --- RabbitMQ's ---------------------------------------------------------------------------------


def ask_rabbitmq() -> None:
    """Begin to ask RabbitMQ, so that its answer is there sooner."""
    if settings.RABBITMQ_URL:
        _queue_answer.start()


def rabbitmq_gauges(until: float) -> Iterator[Sample]:
    """Yield what RabbitMQ has told by ``until``, a moment of ``time.monotonic()``."""
    if not settings.RABBITMQ_URL:
        return
    try:
        found = _queue_answer.start().result(max(until - time.monotonic(), 0.0))
    except (*FAILURES, TimeoutError, ValueError) as error:
        logger.debug("metrics: RabbitMQ is away: %r", error)
        yield Sample(RABBITMQ_UP, 0)
        return
    yield Sample(RABBITMQ_UP, 1)
    for queue, count in found.items():
        yield Sample(QUEUE_MESSAGES, count.messages, {"queue": queue})
        yield Sample(QUEUE_CONSUMERS, count.consumers, {"queue": queue})


def _ask_queues() -> dict[str, QueueCount]:
    name = settings.RABBITMQ_QUEUE
    names = dict(zip(QUEUES, (name, FALLBACK_QUEUE, xq_name(name), UNDECODABLE_QUEUE), strict=True))
    found = count_messages(names.values(), RABBITMQ_SECONDS)
    return {queue: found[name] for queue, name in names.items() if name in found}


_queue_answer = BackgroundCall(_ask_queues)
