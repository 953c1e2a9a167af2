"""The breaker, shared by all workers through the database: rule 7."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.translatable import verbatim
from bc_consumer.ledger import Mark, circuit_breaker
from bc_consumer.models import BC, Alert, Pace, PendingBC
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.test_refresh import LINES, sql

pytestmark = pytest.mark.usefixtures("odoo")

WEBHOOK = Mark(cause="webhook")


def known() -> circuit_breaker.Outage:
    found = circuit_breaker.current_outage()
    assert found is not None
    return found


def end_pause() -> None:
    """What time does: the pause is over, and somebody may ask."""
    Pace.objects.update(next_claim_at=Now())


def begun_ago(seconds: float) -> None:
    Pace.objects.update(paused_since=Now() - timedelta(seconds=seconds))


def test_rule_7_a_pause_doubles_with_each_probe_and_not_with_each_worker() -> None:
    assert circuit_breaker.record_failure(verbatim("one"), probing=False).pause == pytest.approx(
        1, abs=0.2
    )
    for _ in range(8):
        assert (
            circuit_breaker.record_failure(verbatim("another worker's"), probing=False).pause <= 1
        )
    lengths = [
        circuit_breaker.record_failure(verbatim("probe"), probing=True).pause for _ in range(5)
    ]
    assert lengths == pytest.approx([2, 4, 8, 15, 15], abs=0.2)
    assert circuit_breaker.record_failure(verbatim("late"), probing=False).pause == pytest.approx(
        15, abs=0.2
    )


@pytest.mark.parametrize(
    ("retry_after", "pause"), [(0.0, 1), (0.5, 1), (40.0, 40), (1e9, 300), (float("inf"), 300)]
)
def test_rule_7_retry_after_is_honoured_within_reason(retry_after: float, pause: float) -> None:
    told = circuit_breaker.record_failure(verbatim("429"), probing=False, retry_after=retry_after)
    assert told.pause == pytest.approx(pause, abs=0.2)
    # It is that pause's alone: what comes after doubles from where it was.
    assert circuit_breaker.record_failure(verbatim("probe"), probing=True).pause == pytest.approx(
        2, abs=0.2
    )


def test_rule_7_a_call_that_fails_late_does_not_shorten_what_odoo_asked_for() -> None:
    circuit_breaker.record_failure(verbatim("429"), probing=False, retry_after=100.0)
    assert circuit_breaker.record_failure(verbatim("refused"), probing=False).pause > 90


def test_rule_7_during_a_pause_nobody_claims_and_after_it_one_order_is_the_probe() -> None:
    ledger.mark(range(1, 6), WEBHOOK)
    circuit_breaker.record_failure(verbatim("away"), probing=False)
    assert ledger.seconds_until_due() == pytest.approx(1, abs=0.2)
    early = ledger.claim(100, uuid.uuid4())
    assert not early.rows
    assert early.wait > 0

    end_pause()
    assert ledger.seconds_until_due() == 0.0
    probe = ledger.claim(100, uuid.uuid4())
    assert (len(probe.rows), probe.probing) == (1, True)
    other = ledger.claim(100, uuid.uuid4())
    assert not other.rows
    # A prober that is killed is waited for as long as its calls may take.
    assert other.wait == pytest.approx(65, abs=1)
    assert (ledger.seconds_until_due() or 0) > 60

    circuit_breaker.record_success()
    everything = ledger.claim(100, uuid.uuid4())
    assert (len(everything.rows), everything.probing) == (4, False)


def test_rule_7_a_probe_that_finds_nothing_to_do_leaves_the_turn_to_the_next() -> None:
    circuit_breaker.record_failure(verbatim("away"), probing=False)
    end_pause()
    assert not ledger.claim(100, uuid.uuid4()).rows
    ledger.mark([1], WEBHOOK)
    assert ledger.claim(100, uuid.uuid4()).probing


def test_rule_7_while_odoo_is_away_each_pause_costs_one_call(simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(30)]
    simulator.faults.http_status(502)
    ledger.mark(ids, WEBHOOK)
    work_off()
    for _ in range(5):
        assert work_off() == 0
        simulator.calls_clear()
        end_pause()
        assert work_off() == 1
        assert len(simulator.calls) <= 1
    assert set(PendingBC.objects.values_list("attempts", "claim_token")) == {(0, None)}

    simulator.faults.clear()
    end_pause()
    assert work_off() == 30
    assert circuit_breaker.current_outage() is None
    assert differences(simulator, sql) == []


def test_rule_7_a_lone_bad_order_as_the_probe_does_not_keep_the_others_waiting(
    simulator: Simulator,
) -> None:
    bad, *others = [simulator.create_order(lines=LINES) for _ in range(4)]
    simulator.faults.poison(bad, text="ValueError: no")
    ledger.mark([bad], WEBHOOK)
    circuit_breaker.record_failure(verbatim("away"), probing=False)
    end_pause()
    work_off()
    assert circuit_breaker.current_outage() is None
    assert PendingBC.objects.get().attempts == 1
    ledger.mark(others, WEBHOOK)
    work_off()
    assert differences(simulator, sql, others) == []


def test_rule_7_a_process_that_stops_while_it_probes_leaves_the_turn_to_another(
    simulator: Simulator,
) -> None:
    ledger.mark([simulator.create_order(lines=LINES)], WEBHOOK)
    circuit_breaker.record_failure(verbatim("away"), probing=False)
    end_pause()
    simulator.faults.latency(20)
    timer = threading.Timer(0.3, process_state.stopping.set)
    timer.start()
    try:
        work_off()
    finally:
        process_state.stopping.clear()
        timer.join()
    assert known().pause < 1
    simulator.faults.clear()
    assert work_off() == 1
    assert BC.objects.count() == 1


def test_rule_7_many_workers_that_fail_at_once_make_one_pause_and_one_probe() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("several workers take PostgreSQL")
    ledger.mark(range(1, 100), WEBHOOK)
    circuit_breaker.record_failure(verbatim("away"), probing=False)
    end_pause()
    together(8, lambda: circuit_breaker.record_failure(verbatim("away"), probing=False))
    assert known().pause <= 1
    end_pause()
    claims: list[ledger.Claim] = []
    together(8, lambda: claims.append(ledger.claim(100, uuid.uuid4())))
    assert sorted(len(claim.rows) for claim in claims) == [0] * 7 + [1]


def together(count: int, work: Callable[[], object]) -> None:
    barrier = threading.Barrier(count)

    def one() -> None:
        barrier.wait(10)
        try:
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_rule_7_a_long_outage_is_told_once_and_so_is_its_end(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ALERT_COOL_DOWN_MINUTES = 0
    settings.ALERT_EMAILS = ["someone@example.com"]
    settings.ALERT_ODOO_AWAY_SECONDS = 300
    ledger.mark([simulator.create_order(lines=LINES)], WEBHOOK)
    simulator.faults.refuse()
    work_off()
    assert not mail.outbox
    begun_ago(301)
    for _ in range(3):
        end_pause()
        work_off()
    assert [message.subject for message in mail.outbox] == ["[BC] Odoo is away"]
    assert "5 minutes" in mail.outbox[0].body

    simulator.faults.accept()
    end_pause()
    work_off()
    assert [message.subject for message in mail.outbox[1:]] == ["[BC] Odoo answers again"]
    assert not Alert.objects.exists()


def test_rule_7_a_refusal_is_told_at_once_asked_about_rarely_and_ends_by_itself(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ALERT_COOL_DOWN_MINUTES = 0
    settings.ALERT_EMAILS = ["someone@example.com"]
    ledger.mark([simulator.create_order(lines=LINES)], WEBHOOK)
    simulator.faults.deny_model("purchase.order")
    for _ in range(3):
        work_off()
        assert known().pause > 50
        end_pause()
    assert [message.subject for message in mail.outbox] == ["[BC] Odoo rejects our access"]
    simulator.faults.clear()
    work_off()
    assert circuit_breaker.current_outage() is None
    assert [message.subject for message in mail.outbox[1:]] == [
        "[BC] Odoo accepts our access again"
    ]
    assert differences(simulator, sql) == []
