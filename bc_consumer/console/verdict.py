"""The answer of the first line: is the copy fresh, is it equal to Odoo, and does it need me?

Each is a level with the facts that led to it. What a fact says is up to the page.
"""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings

from bc_consumer.console.correctness import Correctness, correctness
from bc_consumer.console.event_silence import EventFlow, Flow, event_flow
from bc_consumer.console.figures import copy_figures
from bc_consumer.console.freshness import Freshness, freshness
from bc_consumer.console.processes import Processes, processes
from bc_consumer.core.cached_value import ACTED_UPON_SECONDS, SMALL_SHARE, CachedValue
from bc_consumer.ledger import circuit_breaker
from bc_consumer.messaging.publisher import publisher
from bc_consumer.models import Alert, DeadLetter, Heartbeat, SyncLog
from bc_consumer.operations.webhook_use import expects_no_webhooks

WAITING_SECONDS = 60.0
"""An order that waits longer is late; normally it takes well under a second."""
WAITING_LONG_SECONDS = 600.0
LATE_SECONDS = 10.0
"""The last hour counts as slow when 5 % of its changes took longer."""
RUN_LATE = timedelta(hours=3)
"""How long after its time a nightly run may take to have completed the copy."""
COMPLETE_WITHIN = timedelta(hours=26)
"""A night and two hours: where no nightly run is configured, the copy is complete up to then."""


class Level(enum.IntEnum):
    """How much it matters; the highest of some facts is the level of all."""

    OK = 0
    ATTENTION = 1
    TROUBLE = 2


class FactKind(enum.Enum):
    """What a fact is about."""

    # fresh
    UP_TO_DATE = "up to date"
    ODOO_AWAY = "Odoo away"
    ODOO_REFUSES = "Odoo refuses"
    NO_WORKER = "no worker"
    WAITING = "waiting"
    SLOW = "slow"
    SILENT = "silent"
    RABBITMQ_AWAY = "RabbitMQ away"
    # equal
    FOUND_EQUAL = "found equal"
    FIRST_LOAD = "first load"
    NEVER_COMPARED = "never compared"
    RUN_FAILED = "run failed"
    RUN_LATE = "run late"
    DIFFERENCES = "differences"
    MISSED = "missed by webhooks"
    # needs me
    NOTHING = "nothing"
    NOT_SET_UP = "not set up"
    FAILED_ORDERS = "failed orders"
    RUN_BRAKED = "run braked"
    HELD_ORDERS = "held orders"
    DEAD_LETTERS = "dead letters"
    ALERTS = "alerts"
    VERSIONS_DIFFER = "versions differ"
    NO_SCHEDULER = "no scheduler"


@dataclass(frozen=True, slots=True)
class Fact:
    """One reason; ``values`` are its numbers and moments, by name."""

    kind: FactKind
    level: Level
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer; the gravest facts come first, and there is always one."""

    facts: Sequence[Fact]

    @property
    def level(self) -> Level:
        """The level of the gravest fact."""
        return max(fact.level for fact in self.facts)


@dataclass(frozen=True, slots=True)
class Today:
    """The three answers."""

    fresh: Verdict
    equal: Verdict
    needs_me: Verdict


@dataclass(frozen=True, slots=True)
class Attention:
    """What waits for a person, beside failed and held orders; and an outage of Odoo."""

    alerts: int
    """Those that nobody takes care of yet."""
    dead_letters: int
    outage: circuit_breaker.Outage | None


def _attention() -> Attention:
    return Attention(
        Alert.objects.filter(acknowledged_at=None).count(),
        DeadLetter.objects.count(),
        circuit_breaker.current_outage(),
    )


attention = CachedValue(_attention, share=SMALL_SHARE, longest=ACTED_UPON_SECONDS)


def judge_copy() -> Today:
    """Return the three answers, from figures that are seconds old."""
    fresh, equal, running, waiting = freshness(), correctness(), processes(), attention()
    return Today(
        fresh=_verdict(_about_freshness(fresh, running, waiting, event_flow()), _up_to_date(fresh)),
        equal=_verdict(_about_correctness(equal), _found_equal(equal)),
        needs_me=_verdict(
            _about_needs(fresh, equal, running, waiting), Fact(FactKind.NOTHING, Level.OK)
        ),
    )


def _verdict(facts: Iterator[Fact], otherwise: Fact) -> Verdict:
    return Verdict(sorted(facts, key=lambda fact: -fact.level) or [otherwise])


# --- fresh? -------------------------------------------------------------------------------------


def _about_freshness(
    fresh: Freshness, running: Processes, waiting: Attention, events: EventFlow
) -> Iterator[Fact]:
    outage = waiting.outage
    if outage is not None:
        kind = FactKind.ODOO_REFUSES if outage.refused else FactKind.ODOO_AWAY
        yield Fact(kind, Level.TROUBLE, {"since": outage.since, "seconds": outage.seconds})
    if not running.count(Heartbeat.Kind.WORKER):
        yield Fact(FactKind.NO_WORKER, Level.TROUBLE)
    age = fresh.ledger.oldest_owed_seconds
    if age is not None and age > WAITING_SECONDS:
        level = Level.TROUBLE if age > WAITING_LONG_SECONDS else Level.ATTENTION
        yield Fact(FactKind.WAITING, level, {"seconds": age, "orders": fresh.ledger.owed})
    # What polls find is as late as they are apart, and what further looks find no webhook told of.
    delays = fresh.last_hour.webhooks
    if delays.p95 is not None and delays.p95 > LATE_SECONDS:
        yield Fact(FactKind.SLOW, Level.ATTENTION, {"p95": delays.p95, "count": delays.count})
    if events.flow is Flow.SILENT:
        values = {
            "since": events.last_event_at,
            "seconds": events.silent_seconds,
            "usual_per_hour": events.usual_per_hour,
        }
        yield Fact(FactKind.SILENT, Level.TROUBLE, values)
    if settings.RABBITMQ_URL and publisher().away:
        # As this process's open connection knows; the pages' own question may take a second.
        yield Fact(FactKind.RABBITMQ_AWAY, Level.ATTENTION)


def _up_to_date(fresh: Freshness) -> Fact:
    values = {"change_at": fresh.signs.change_at, "owed": fresh.ledger.owed}
    return Fact(FactKind.UP_TO_DATE, Level.OK, values)


# --- equal? -------------------------------------------------------------------------------------


def _about_correctness(equal: Correctness) -> Iterator[Fact]:
    completed, unfinished = equal.completed, equal.unfinished
    if unfinished is not None:
        values: dict[str, object] = {"run": unfinished.key, "at": unfinished.ended_at}
        yield Fact(FactKind.RUN_FAILED, Level.TROUBLE, values | {"status": unfinished.status})
    if completed is None:
        at_work = equal.at_work
        if at_work is None:
            yield Fact(FactKind.NEVER_COMPARED, Level.TROUBLE)
        else:
            values = {"run": at_work.key, "orders": copy_figures().bc_current}
            yield Fact(FactKind.FIRST_LOAD, Level.ATTENTION, values)
        return
    if _is_late(equal):
        values = {"complete_up_to": equal.complete_up_to}
        yield Fact(FactKind.RUN_LATE, Level.ATTENTION, values)
    told: dict[str, object] = {"run": completed.key, "at": completed.ended_at}
    if completed.missed_by_webhooks > settings.ALERT_MISSED and not expects_no_webhooks():
        yield Fact(
            FactKind.MISSED, Level.ATTENTION, told | {"orders": completed.missed_by_webhooks}
        )
    if completed.same_date or completed.failed or completed.held:
        remaining = completed.failed + completed.held
        values = {"orders": completed.differences, "remaining": remaining}
        yield Fact(FactKind.DIFFERENCES, Level.ATTENTION, told | values)


def _is_late(equal: Correctness) -> bool:
    due: datetime | None = equal.next.nightly_at
    if due is not None:
        return equal.at_work is None and equal.now - due > RUN_LATE
    up_to = equal.complete_up_to
    return up_to is None or equal.now - up_to > COMPLETE_WITHIN


def _found_equal(equal: Correctness) -> Fact:
    completed = equal.completed
    values: dict[str, object] = {"complete_up_to": equal.complete_up_to}
    if completed is not None:
        values |= {
            "at": completed.ended_at,
            "differences": completed.differences,
            "is_first_load": completed.is_first_load,
        }
    return Fact(FactKind.FOUND_EQUAL, Level.OK, values)


# --- needs me? ----------------------------------------------------------------------------------


def _about_needs(
    fresh: Freshness, equal: Correctness, running: Processes, waiting: Attention
) -> Iterator[Fact]:
    if not settings.ODOO_URL:
        yield Fact(FactKind.NOT_SET_UP, Level.TROUBLE, {"setting": "ODOO_URL"})
    if not settings.ODOO_WEBHOOK_SECRETS and not settings.SYNC_POLL_SECONDS:
        yield Fact(FactKind.NOT_SET_UP, Level.TROUBLE, {"setting": "ODOO_WEBHOOK_SECRETS"})
    if not running.count(Heartbeat.Kind.SCHEDULER):
        yield Fact(FactKind.NO_SCHEDULER, Level.TROUBLE)
    if waiting.outage is not None and waiting.outage.refused:
        yield Fact(FactKind.ODOO_REFUSES, Level.TROUBLE, {"since": waiting.outage.since})
    unfinished = equal.unfinished
    if unfinished is not None and unfinished.status == SyncLog.Status.BRAKED:
        values = {"run": unfinished.key, "at": unfinished.ended_at}
        yield Fact(FactKind.RUN_BRAKED, Level.ATTENTION, values)
    counts = {
        FactKind.FAILED_ORDERS: fresh.ledger.failed,
        FactKind.HELD_ORDERS: fresh.ledger.held,
        FactKind.DEAD_LETTERS: waiting.dead_letters,
        FactKind.ALERTS: waiting.alerts,
    }
    for kind, count in counts.items():
        if count:
            yield Fact(kind, Level.ATTENTION, {"count": count})
    if len(running.versions) > 1:
        yield Fact(FactKind.VERSIONS_DIFFER, Level.ATTENTION, {"versions": running.versions})
