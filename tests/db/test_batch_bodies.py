"""«Up to 1,000 ids in one body»: what is sent and stored does not grow with ids times body."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Length
from django.test.utils import CaptureQueriesContext

from bc_consumer import ledger
from bc_consumer.core.redacted_text import redacted
from bc_consumer.ledger import Mark
from bc_consumer.messaging import intake
from bc_consumer.models import PendingBC
from odoo_webhook.webhook_request import MOST_IDS, parse

pytestmark = pytest.mark.django_db(transaction=True)

IDS = list(range(100_000, 100_000 + MOST_IDS))
BODY = json.dumps({"_model": "purchase.order", "ids": IDS}).encode()
LONG = "x" * 9_000


def statements(marks: list[tuple[int, Mark]]) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        ledger.mark_all(marks)
    return [query["sql"] for query in captured.captured_queries]


def test_a_body_of_a_thousand_ids_is_no_more_work_than_the_ids() -> None:
    event = parse(BODY, "", "purchase.order")
    bare = statements([(odoo_id, Mark(cause="webhook")) for odoo_id in event.order_ids])
    PendingBC.objects.all().delete()
    mark = Mark(cause="webhook", payload=redacted(event.text, event.kept))
    told = statements([(odoo_id, mark) for odoo_id in event.order_ids])
    assert len(told) == len(bare) == 1
    assert len(told[0]) - len(bare[0]) < 10_000
    rows = PendingBC.objects.filter(last_payload__startswith='{"_model": "purchase.order"')
    assert rows.count() == MOST_IDS
    assert rows.aggregate(stored=Sum(Length("last_payload")))["stored"] <= 200 * MOST_IDS


def test_a_payload_that_many_orders_share_is_sent_once_and_kept_for_each() -> None:
    mark = Mark(cause="webhook", payload=LONG)
    other = Mark(cause="webhook", payload="é\"\\'{}[1]")
    marks = [*((odoo_id, mark) for odoo_id in IDS[:100]), (1, other), (2, Mark(cause="run"))]
    (statement,) = statements(marks)
    assert statement.count(LONG) == 1
    kept = dict(PendingBC.objects.values_list("odoo_id", "last_payload"))
    assert kept == {**dict.fromkeys(IDS[:100], LONG), 1: other.payload, 2: ""}


def test_the_fallback_queue_s_message_holds_the_payload_once() -> None:
    mark = Mark(cause="webhook", payload=LONG)
    message = intake.encode([(odoo_id, mark) for odoo_id in IDS])
    assert message.count(LONG.encode()) == 1
    assert intake.decode(message) == [(odoo_id, mark) for odoo_id in IDS]
