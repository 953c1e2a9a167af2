"""Bodies that name a thousand orders, many at once: they refuse nobody, and hold nobody up."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bc_consumer.ledger import Mark
from bc_consumer.messaging.intake import encode
from odoo_simulator import Simulator
from odoo_webhook.webhook_request import MOST_IDS
from tests.burst import Answered, burst, stream
from tests.conftest import Deploy
from tests.flow.test_fallback_queue import depth, put
from tests.flow.test_outages import forget_scan, scan_due
from tests.flow.test_slow_database import SLEEPS, TABLE
from tests.harness import AS_MANY_AS_BY_DEFAULT, Deployment
from tests.services.gate import Gate

pytestmark = [
    pytest.mark.alone,
    pytest.mark.simulator(version=17, webhook_timing="committed"),
]

SETTINGS = AS_MANY_AS_BY_DEFAULT | {"ODOO_WEBHOOK_TIMING": "committed", "LOG_LEVEL": "INFO"}
A_SECOND = 80


def webhook(odoo_id: int) -> dict[str, object]:
    return {"_model": "purchase.order", "_id": odoo_id}


def body(number: int) -> dict[str, object]:
    """One of several that name a thousand orders, each others than the rest."""
    return {"_model": "purchase.order", "ids": ids_of(number)}


def ids_of(number: int) -> list[int]:
    first = 100_000 + number * MOST_IDS
    return list(range(first, first + MOST_IDS))


def kept_in(answers: list[Answered]) -> Counter[str]:
    return Counter((answer.body or {}).get("kept_in", str(answer.status)) for answer in answers)


def told(what: str, answers: list[Answered]) -> None:
    times = sorted(answer.seconds * 1000 for answer in answers)
    print(f"\n{what}: {dict(kept_in(answers))}, ms {times[len(times) // 2]:.0f}, {times[-1]:.0f}")


@contextmanager
def webhooks_meanwhile(deployment: Deployment, ids: list[int]) -> Iterator[list[Answered]]:
    """Send them one after the other; their answers are there at the end."""
    answers: list[Answered] = []

    def send() -> None:
        payloads = [webhook(odoo_id) for odoo_id in ids]
        answers.extend(stream(deployment.webhook_url, payloads, A_SECOND).answers)

    sending = threading.Thread(target=send)
    sending.start()
    yield answers
    sending.join()


def test_rule_1_twenty_bodies_of_a_thousand_ids_at_once(
    deploy: Deploy, simulator: Simulator
) -> None:
    deployment = deploy(settings=SETTINGS).start(workers=0, scheduler=False)
    burst(deployment.webhook_url, [webhook(odoo_id) for odoo_id in range(1, 31)])
    with webhooks_meanwhile(deployment, list(range(1, 2 * A_SECOND))) as meanwhile:
        answers = burst(deployment.webhook_url, [body(number) for number in range(20)])
    told("twenty bodies", answers)
    told("webhooks meanwhile", meanwhile)
    assert kept_in(meanwhile) == {"ledger": len(meanwhile)}
    # Two idle processors take all of them in within half a second; what busy ones have no time for
    # is kept all the same.
    kept = kept_in(answers)
    assert set(kept) <= {"ledger", "queue"}
    assert kept["ledger"]
    marked = deployment.sql(f"SELECT count(*) FROM {TABLE} WHERE odoo_id >= 100000")[0][0]
    assert marked >= kept["ledger"] * MOST_IDS


def test_rule_1_a_hundred_of_them_come_from_the_fallback_queue_meanwhile(
    deploy: Deploy, simulator: Simulator
) -> None:
    """They name orders that the sweeper marks, and wait for one statement of its at most."""
    deployment = deploy(settings=SETTINGS).start(workers=0, scheduler=False)
    mark = Mark(cause="webhook")
    put(deployment, [encode([(i, mark) for i in ids_of(number)]) for number in range(100)])
    deployment.start_scheduler()
    deployment.wait_until(lambda: depth(deployment) < 100, what="the first events to be taken")
    marked = f"SELECT count(*) FROM {TABLE}"
    # Rows are locked by ascending ids: these first, and until the statement is over.
    with webhooks_meanwhile(deployment, ids_of(0)[: 4 * A_SECOND]) as answers:
        deployment.wait_until(
            lambda: deployment.sql(marked) == [(100 * MOST_IDS,)], 60, what="the stored events"
        )
    told("webhooks meanwhile", answers)
    assert kept_in(answers) == {"ledger": len(answers)}


def test_who_has_waited_long_does_not_decide_for_those_who_come_later(
    deploy: Deploy, simulator: Simulator, gate_to_rabbitmq: Gate, vhost_url: str
) -> None:
    """Each mark takes nearly half a second, and nobody else can take the events."""
    gate_to_rabbitmq.refuse()
    deployment = deploy(settings=SETTINGS, rabbitmq_url=gate_to_rabbitmq.rewrite(vhost_url))
    deployment.start(workers=0, scheduler=False)
    assert kept_in(burst(deployment.webhook_url, [webhook(1)])) == {"ledger": 1}
    forget_scan(deployment)
    deployment.sql(SLEEPS.format(seconds=0.45, table=TABLE))
    # A process's first statement is over after 0.45 s, and that of the others after 0.9 s: the
    # eldest have left by then. Whoever came after 0.1 s is still there.
    ids = list(range(2, 35))
    answers = stream(deployment.webhook_url, [webhook(odoo_id) for odoo_id in ids], 100).answers
    told("one after the other", answers)
    in_time = answers[27:]
    assert kept_in(in_time) == {"ledger": len(in_time)}
    late = [answer for answer in answers if answer.status == 503]
    assert late, "each is answered by its own deadline"
    deployment.wait_until(
        lambda: deployment.sql(f"SELECT count(*) FROM {TABLE}") == [(1 + len(ids),)],
        what="the orders of those who were refused, too",
    )
    deployment.wait_until(lambda: scan_due(deployment), what="a scan to be due")
