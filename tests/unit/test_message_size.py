"""The largest message that stored events can make is one that RabbitMQ takes."""

from __future__ import annotations

import json

from bc_consumer.core.odoo_ids import HIGHEST_ID
from bc_consumer.ledger import Mark
from bc_consumer.messaging.intake import AT_ONCE, AT_ONCE_CHARACTERS, Arrival, encode, next_batch
from odoo_webhook.webhook_request import KEPT_CHARACTERS, MOST_IDS, parse

MOST_BYTES = 16 * 2**20
"""``max_message_size`` of RabbitMQ 4."""


def text_of(body: dict[str, object]) -> str:
    return parse(json.dumps(body, ensure_ascii=False).encode(), "", "purchase.order").text


def largest_message(events: list[tuple[str, list[int]]]) -> int:
    """Of those in which the intake would store these events, all of which came at once."""
    waiting = [
        Arrival([(odoo_id, Mark(cause="webhook", payload=text)) for odoo_id in ids], until=0.0)
        for text, ids in events
    ]
    size = 0
    while waiting:
        batch, waiting = next_batch(waiting)
        size = max(size, len(encode([mark for one in batch for mark in one.marks])))
    return size


def test_a_full_batch_of_the_longest_events() -> None:
    # Each of these signs takes twelve bytes in JSON.
    longest = text_of({"_model": "purchase.order", "_id": 1, "note": "😀" * KEPT_CHARACTERS})
    assert KEPT_CHARACTERS <= len(longest) < KEPT_CHARACTERS + 100, "and what was left out"
    ids = list(range(HIGHEST_ID - MOST_IDS, HIGHEST_ID))
    last = text_of({"_model": "purchase.order", "ids": ids, "note": "😀"})
    events = [(f"{longest}{number}", [HIGHEST_ID]) for number in range(AT_ONCE)]
    assert 0.7 * MOST_BYTES < largest_message([*events, (last, ids)]) < 13_000_000


def test_a_full_batch_of_as_many_events_as_fit() -> None:
    text = "😀" * (AT_ONCE_CHARACTERS // AT_ONCE - len(str(AT_ONCE)))
    events = [(f"{text}{number}", [HIGHEST_ID]) for number in range(AT_ONCE)]
    assert 0.7 * MOST_BYTES < largest_message(events) < 13_000_000
