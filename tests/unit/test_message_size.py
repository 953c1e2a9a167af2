"""The largest message that stored events can make is one that RabbitMQ takes."""

from __future__ import annotations

import json

from bc_consumer.intake import AT_ONCE, encode
from bc_consumer.ledger import Mark
from odoo_webhook.payload import KEPT_CHARACTERS, LARGEST_ID, MOST_IDS, parse

MOST_BYTES = 16 * 2**20
"""``max_message_size`` of RabbitMQ 4."""


def text_of(body: dict[str, object]) -> str:
    return parse(json.dumps(body, ensure_ascii=False).encode(), "", "purchase.order").text


def test_a_full_batch_of_the_longest_events() -> None:
    # Each of these signs takes twelve bytes in JSON.
    longest = text_of({"_model": "purchase.order", "_id": 1, "note": "😀" * KEPT_CHARACTERS})
    assert KEPT_CHARACTERS <= len(longest) < KEPT_CHARACTERS + 100, "and what was left out"
    ids = list(range(LARGEST_ID - MOST_IDS, LARGEST_ID))
    last = text_of({"_model": "purchase.order", "ids": ids, "note": "😀"})
    marks = [(LARGEST_ID, Mark(cause=f"webhook {n}", payload=longest)) for n in range(AT_ONCE)]
    marks += [(odoo_id, Mark(cause="webhook", payload=last)) for odoo_id in ids]
    assert len(encode(marks)) < 0.8 * MOST_BYTES
