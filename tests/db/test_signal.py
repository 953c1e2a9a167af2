"""``bc_synced``: once for each applied change, after its commit, and harmless to the copy."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections

from bc_consumer.ledger import Mark
from bc_consumer.models import BC, Lane, PendingBC
from bc_consumer.signals import bc_synced
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.conftest import refresh
from tests.db.test_refresh import sql

LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35}]
pytestmark = pytest.mark.usefixtures("odoo")
Sent = list[dict[str, Any]]


@pytest.fixture
def sent() -> Iterator[Sent]:
    """What a receiver was given."""
    given: Sent = []

    def receiver(**values: Any) -> None:
        given.append(values)

    bc_synced.connect(receiver, sender=BC)
    yield given
    bc_synced.disconnect(receiver, sender=BC)


def told(sent: Sent) -> list[tuple[Any, ...]]:
    return [(one["bc"].odoo_id, one["outcome"], one["created"], one["version"]) for one in sent]


def test_each_applied_change_is_told_once(simulator: Simulator, sent: Sent) -> None:
    first, second = (simulator.create_order(lines=LINES, partner_ref="A") for _ in range(2))
    refresh(first, second)
    refresh(first)
    simulator.write_order(first, partner_ref="B")
    refresh(first, mark=Mark(cause="operator", lane=Lane.OPERATOR))
    simulator.faults.forbid([second])
    refresh(second)
    simulator.faults.forbid([])
    refresh(second)
    simulator.delete_order(first)
    refresh(first)
    assert told(sent) == [
        (first, "created", True, 1),
        (second, "created", True, 2),
        (first, "changed", False, 3),
        (second, "forbidden", False, 4),
        (second, "restored", False, 5),
        (first, "archived", False, 6),
    ]
    assert [one["cause"] for one in sent[:3]] == ["webhook", "webhook", "operator"]
    assert sent[0]["changed"] == {"lines": {"count": 1}}
    assert sent[2]["changed"]["fields"]["partner_ref"] == ["A", "B"]
    assert all(one["bc"].version == one["version"] for one in sent)


def test_a_line_is_told_as_the_journal_tells_it(simulator: Simulator, sent: Sent) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    order = simulator.order(order_id)
    assert order is not None
    line = order["order_line"][0]["id"]
    simulator.write_line(line, name="Desk, oak")
    refresh(order_id)
    assert list(sent[1]["changed"]["lines"]) == ["changed"]
    assert sent[1]["changed"]["lines"]["changed"][str(line)]["name"] == ["Desk", "Desk, oak"]
    assert [line.name for line in sent[1]["bc"].lines.all()] == ["Desk, oak"]


def test_it_is_sent_after_the_commit_and_when_nothing_is_claimed(simulator: Simulator) -> None:
    seen: list[tuple[bool, int, int]] = []

    def receiver(bc: BC, **_: Any) -> None:
        committed = BC.objects.filter(pk=bc.pk).count()
        seen.append((connection.in_atomic_block, committed, PendingBC.objects.count()))

    bc_synced.connect(receiver)
    try:
        refresh(*(simulator.create_order(lines=LINES) for _ in range(3)))
    finally:
        bc_synced.disconnect(receiver)
    assert seen == [(False, 1, 0)] * 3


def test_a_receiver_that_fails_harms_nobody(
    simulator: Simulator, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    def bad(**_: Any) -> None:
        raise ValueError("no such thing")

    def breaks_the_connection(**_: Any) -> None:
        connections["default"].cursor().execute("SELECT nothing FROM nowhere")

    bc_synced.connect(bad)
    bc_synced.connect(breaks_the_connection)
    try:
        with caplog.at_level(logging.ERROR, logger="bc_consumer.refresh.batch"):
            ids = [simulator.create_order(lines=LINES) for _ in range(2)]
            refresh(*ids)
    finally:
        bc_synced.disconnect(bad)
        bc_synced.disconnect(breaks_the_connection)
    assert differences(simulator, sql) == []
    assert not PendingBC.objects.exists()
    assert len(sent) == 2
    ours = [r.getMessage() for r in caplog.records if r.name == "bc_consumer.refresh.batch"]
    lines = [line for line in ours if "bad failed" in line]
    assert [line.partition(":")[0] for line in lines] == [f"BC {odoo_id}" for odoo_id in ids]
    assert "created" in lines[0]
    assert "no such thing" in lines[0]


def test_nothing_is_asked_of_the_database_when_nobody_listens(
    simulator: Simulator, sent: Sent, django_assert_num_queries: Any
) -> None:
    from bc_consumer.models import JournalEntry
    from bc_consumer.refresh.batch import tell_applications
    from bc_consumer.refresh.writer import Result

    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    sent.clear()
    result = Result(order_id, JournalEntry.Outcome.CHANGED, "webhook", version=1)
    with django_assert_num_queries(1):
        tell_applications([result, result])
    assert len(sent) == 2
    bc_synced.receivers, kept = [], bc_synced.receivers
    bc_synced.sender_receivers_cache.clear()
    try:
        with django_assert_num_queries(0):
            tell_applications([result])
    finally:
        bc_synced.receivers = kept
        bc_synced.sender_receivers_cache.clear()
