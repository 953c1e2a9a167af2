"""The sweeper with a real RabbitMQ: what it takes from the fallback queue is never lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import dramatiq
import pytest
from django.conf import LazySettings
from django.db import OperationalError

from bc_consumer import ledger
from bc_consumer.ledger import Mark
from bc_consumer.messaging import intake
from bc_consumer.messaging.broker import Broker, publish
from bc_consumer.messaging.publisher import FALLBACK_QUEUE
from bc_consumer.models import Lane, PendingBC
from bc_consumer.workers.periodic_sweep import sweep
from tests.services.waiting import wait_until

pytestmark = pytest.mark.usefixtures("single_rows")


@pytest.fixture
def broker(vhost_url: str, settings: LazySettings) -> Iterator[Broker]:
    """A real RabbitMQ for this process, with two stored events."""
    before = dramatiq.get_broker()
    broker = Broker(url=vhost_url, middleware=[])
    dramatiq.set_broker(broker)
    broker.ensure_plain_queue(FALLBACK_QUEUE)
    # In the bulk lane, which asks for no message: only the sweeper uses this broker.
    mark = Mark(cause="webhook", lane=Lane.BULK)
    for odoo_id in (7, 8):
        publish(broker.channel, FALLBACK_QUEUE, intake.encode([(odoo_id, mark)]))
    yield broker
    dramatiq.set_broker(before)
    broker.close()


def stored(broker: Broker) -> int:
    queue = broker.channel.queue_declare(FALLBACK_QUEUE, passive=True).method
    return int(queue.message_count)


@pytest.mark.slow("plays several whole runs")
def test_rule_1_stored_events_stay_in_their_queue_until_their_marks_are_committed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_all = ledger.mark_all

    def lost_on_the_way(marks: Iterable[tuple[int, Mark]]) -> list[int]:
        marks = list(marks)
        if marks:
            raise OperationalError("server closed the connection unexpectedly")
        return mark_all(marks)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "mark_all", lost_on_the_way)
        with pytest.raises(OperationalError):
            sweep()
    wait_until(lambda: stored(broker) == 2, what="the events back in their queue")
    sweep()
    assert set(PendingBC.objects.values_list("pk", flat=True)) == {7, 8}
    assert stored(broker) == 0


def test_one_statement_takes_so_many_marks_however_few_messages_hold_them(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It locks its rows, and webhooks for these orders wait for it."""
    mark = Mark(cause="webhook", lane=Lane.BULK)
    sizes = [1000, 1000, 1000, intake.AT_ONCE + 1, 500]
    for number, size in enumerate(sizes, 1):
        ids = range(number * 100_000, number * 100_000 + size)
        body = intake.encode([(odoo_id, mark) for odoo_id in ids])
        publish(broker.channel, FALLBACK_QUEUE, body)
    statements: list[int] = []
    mark_all = ledger.mark_all

    def noted(marks: Iterable[tuple[int, Mark]]) -> list[int]:
        marks = list(marks)
        statements.append(len(marks))
        return mark_all(marks)

    monkeypatch.setattr(ledger, "mark_all", noted)
    sweep()
    assert stored(broker) == 0
    assert PendingBC.objects.count() == 2 + sum(sizes)
    assert [size for size in statements if size > intake.AT_ONCE] == [intake.AT_ONCE + 1]
    assert sum(statements) == 2 + sum(sizes)
