"""What ``queue_counts`` counted a moment ago, queue by queue, for pages."""

from dataclasses import dataclass

from django.conf import settings
from dramatiq.common import xq_name

from bc_consumer.core.background_cache import BackgroundCache
from bc_consumer.messaging.publisher import FAILURES, FALLBACK_QUEUE, UNDECODABLE_QUEUE
from bc_consumer.messaging.queue_counts import QueueCount, count_messages

DEADLINE_SECONDS = 1.0
"""For connecting; and the longest that a page waits for the whole answer."""
EVERY_SECONDS = 5.0
"""An answer is at most this old. Asking takes RabbitMQ a connection and one request per queue."""


@dataclass(frozen=True, slots=True)
class NamedQueueCount:
    """One queue. A queue that nobody has declared yet is empty, and has no consumers."""

    name: str
    messages: int
    """Those that wait; messages in a consumer's hands are not among them."""
    consumers: int


@dataclass(frozen=True, slots=True)
class AllQueueCounts:
    """All of our queues, or what kept RabbitMQ from answering."""

    reachable: bool
    wake_ups: NamedQueueCount | None = None
    """Order ids on their way to the workers."""
    stored_events: NamedQueueCount | None = None
    """Events that the database could not take; workers and schedulers move them to the ledger."""
    undecodable: NamedQueueCount | None = None
    """Messages that are no stored events, and wait for a person."""
    dead_letters: NamedQueueCount | None = None
    """Messages that no worker could process; RabbitMQ drops them after a week."""


def _read() -> AllQueueCounts:
    dead = xq_name(settings.RABBITMQ_QUEUE)
    names = (settings.RABBITMQ_QUEUE, FALLBACK_QUEUE, UNDECODABLE_QUEUE, dead)
    try:
        counts = count_messages(names, DEADLINE_SECONDS)
    except FAILURES:
        return AllQueueCounts(False)
    return AllQueueCounts(True, *(_named(name, counts.get(name)) for name in names))


def _named(name: str, count: QueueCount | None) -> NamedQueueCount:
    return (
        NamedQueueCount(name, 0, 0)
        if count is None
        else NamedQueueCount(name, count.messages, count.consumers)
    )


_known = BackgroundCache(_read, every=EVERY_SECONDS, wait=DEADLINE_SECONDS)


def cached_queue_counts() -> AllQueueCounts | None:
    """Return the queues as they were a moment ago; None where ids travel in memory.

    Takes ``DEADLINE_SECONDS`` at most. While RabbitMQ keeps us waiting it counts as unreachable.
    """
    if not settings.RABBITMQ_URL:
        return None
    known = _known()
    if known is None or known.seconds_old > EVERY_SECONDS + DEADLINE_SECONDS:
        return AllQueueCounts(False)
    return known.answer


def forget() -> None:
    """Have RabbitMQ asked again at the next call."""
    _known.forget()
