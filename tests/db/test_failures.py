"""Rule 6: one bad order harms only itself; a broken field set or a broken Odoo fails no order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import ProgrammingError
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.ledger import Mark, circuit_breaker
from bc_consumer.models import BC, Alert, JournalEntry, Lane, Pace, PendingBC
from bc_consumer.odoo import records
from bc_consumer.operations import failed_orders
from bc_consumer.refresh import batch, odoo_connection
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.test_refresh import LINES, line_ids, sql

pytestmark = pytest.mark.usefixtures("odoo")

WEBHOOK = Mark(cause="webhook")
NO_DATE = "2026-02-30 10:00:00"


@pytest.fixture
def reconnect(settings: LazySettings) -> Iterator[Callable[..., None]]:
    """Change settings of the gateway, which is made anew."""

    def change(**values: Any) -> None:
        for name, value in values.items():
            setattr(settings, name, value)
        odoo_connection.odoo.cache_clear()

    yield change
    odoo_connection.odoo.cache_clear()


def make(simulator: Simulator, count: int) -> list[int]:
    return [simulator.create_order(lines=LINES) for _ in range(count)]


def bring(*ids: int) -> None:
    ledger.mark(ids, WEBHOOK)
    work_off()


def persist(rounds: int = 12) -> None:
    """Work on as time goes by: pauses end, later attempts come."""
    for _ in range(rounds):
        Pace.objects.update(next_claim_at=Now())
        PendingBC.objects.filter(failed_at__isnull=True).update(due_at=Now())
        if not work_off():
            return


def attempts() -> set[tuple[int, bool]]:
    rows = PendingBC.objects.values_list("attempts", "failed_at")
    return {(count, failed_at is not None) for count, failed_at in rows}


def failed_rows() -> dict[int, PendingBC]:
    return {row.odoo_id: row for row in failed_orders.failed()}


def poison_some(simulator: Simulator, ids: list[int]) -> dict[int, str]:
    """Seven bad orders of three kinds; which word of the cause a person would look for."""
    for bad in (ids[3], ids[4], ids[31]):
        simulator.faults.poison(bad, text="ValueError: cannot compute the amount")
    for bad in (ids[0], ids[17]):
        (line, *_) = line_ids(simulator, bad)
        simulator.update_sql("purchase.order.line", line, {"date_planned": NO_DATE})
    simulator.faults.poison(ids[22], code=4, text="You are not allowed to access this")
    simulator.faults.forbid([ids[39]])
    words = dict.fromkeys((ids[3], ids[4], ids[31]), "cannot compute the amount")
    words |= dict.fromkeys((ids[0], ids[17]), "date_planned")
    return words | {ids[22]: "not allowed to access", ids[39]: "record rules"}


@pytest.mark.slow("plays several whole runs")
def test_rule_6_seven_bad_orders_fail_alone_and_one_replay_brings_them(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ALERT_COOL_DOWN_MINUTES = 0
    settings.ALERT_EMAILS = ["someone@example.com"]
    settings.BATCH_SIZE = 25
    ids = make(simulator, 60)
    words = poison_some(simulator, ids)
    bring(*ids)
    good = [odoo_id for odoo_id in ids if odoo_id not in words]
    # They arrive with the first look, and none of them has used up an attempt.
    assert set(BC.objects.values_list("odoo_id", flat=True)) == set(good)
    assert differences(simulator, sql, good) == []
    persist()
    failed = failed_rows()
    assert failed.keys() == words.keys()
    for odoo_id, word in words.items():
        assert word in failed[odoo_id].last_error
        assert failed[odoo_id].first_failed_at is not None
        assert failed[odoo_id].traceback
    counts = {
        group.error_class: group.count for group in failed_orders.groups(failed_orders.failed())
    }
    assert counts == {"OdooFault": 3, "MappingError": 2, "OdooAccessError": 1, "NotReadable": 1}
    subjects = [message.subject for message in mail.outbox]
    assert subjects == ["[BC] orders could not be copied"]

    simulator.faults.clear()
    for bad in (ids[0], ids[17]):
        (line, *_) = line_ids(simulator, bad)
        simulator.update_sql("purchase.order.line", line, {"date_planned": "2026-02-28 10:00:00"})
    simulator.calls_clear()
    assert failed_orders.replay(failed_orders.ids_of(failed_orders.failed())) == 7
    work_off()
    assert differences(simulator, sql) == []
    assert not PendingBC.objects.exists()
    assert len([call for call in simulator.calls if call.method == "web_search_read"]) == 1
    assert not Alert.objects.exists()
    assert [message.subject for message in mail.outbox[1:]] == ["[BC] no failed orders are left"]


@pytest.mark.parametrize("copied", [0, 10])
def test_rule_6_a_field_set_that_fails_on_every_order_fails_none(
    simulator: Simulator, settings: LazySettings, copied: int
) -> None:
    settings.ALERT_EMAILS = ["someone@example.com"]
    settings.MAX_ATTEMPTS = 1
    ids = make(simulator, 20)
    bring(*ids[:copied])
    for odoo_id in ids:
        simulator.faults.poison(odoo_id, text="ZeroDivisionError: a computed field")
    ledger.mark(ids[copied:], WEBHOOK)
    for _ in range(3):
        Pace.objects.update(next_claim_at=Now())
        work_off()
    assert attempts() == {(0, False)}
    known = circuit_breaker.current_outage()
    assert known is not None
    assert known.refused
    assert "ZeroDivisionError" in known.reason
    assert [message.subject for message in mail.outbox] == ["[BC] Odoo rejects our access"]
    assert "ZeroDivisionError" in mail.outbox[0].body

    simulator.faults.clear()
    persist()
    assert differences(simulator, sql) == []
    assert not Alert.objects.exists()


def test_rule_6_values_that_fit_of_no_order_fail_none(simulator: Simulator) -> None:
    ids = make(simulator, 6)
    bring(*ids[:3])
    for odoo_id in ids:
        for line in line_ids(simulator, odoo_id):
            simulator.update_sql("purchase.order.line", line, {"date_planned": NO_DATE})
    bring(*ids[3:])
    assert attempts() == {(0, False)}
    known = circuit_breaker.current_outage()
    assert known is not None
    assert "date_planned" in known.reason


def test_rule_6_an_order_of_which_odoo_answers_garbage_fails_alone(simulator: Simulator) -> None:
    ids = make(simulator, 9)
    (line, *_) = line_ids(simulator, ids[4])
    simulator.update_sql("purchase.order.line", line, {"price_unit": float("nan")})
    bring(*ids)
    row = PendingBC.objects.get()
    assert (row.odoo_id, row.attempts) == (ids[4], 1)
    assert "answer for this order alone" in row.last_error
    assert "nan" in row.last_error


def test_rule_6_one_order_known_to_be_good_that_has_turned_bad_stops_nobody(
    simulator: Simulator,
) -> None:
    ids = make(simulator, 12)
    bring(*ids[:6])
    # What was copied last is what one would compare with first.
    simulator.faults.poison(ids[5], text="ValueError: no")
    simulator.faults.poison(ids[8], text="ValueError: no")
    bring(*ids[6:])
    assert circuit_breaker.current_outage() is None
    assert set(PendingBC.objects.values_list("odoo_id", "attempts")) == {(ids[8], 1)}


def test_rule_6_two_bad_orders_prove_nothing_about_the_fields(simulator: Simulator) -> None:
    copied, marked = make(simulator, 2)
    bring(copied)
    simulator.faults.poison(copied, text="ValueError: no")
    simulator.faults.poison(marked, text="ValueError: no")
    bring(marked)
    assert circuit_breaker.current_outage() is None
    assert attempts() == {(1, False)}


def test_rule_7_odoo_s_own_database_restarting_fails_no_order(simulator: Simulator) -> None:
    ids = make(simulator, 30)
    bring(*ids[:5])
    simulator.faults.fault_all(1, "psycopg2.OperationalError: the database is starting up")
    ledger.mark(ids[5:], WEBHOOK)
    persist()
    assert attempts() == {(0, False)}
    simulator.faults.clear()
    persist()
    assert differences(simulator, sql) == []


@pytest.mark.parametrize("times", [1, 2, 3, 4, 5, 7])
def test_rule_7_odoo_that_fails_now_and_then_fails_no_order(
    simulator: Simulator, times: int
) -> None:
    ids = make(simulator, 16)
    bring(*ids[:3])
    ledger.mark(ids[3:], WEBHOOK)
    for _ in range(3):
        simulator.faults.fault_all(1, "OperationalError: no", times=times)
        persist(1)
    persist()
    assert not failed_orders.failed().exists()
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays whole runs")
def test_rule_6_an_order_that_takes_longer_than_the_deadline_holds_up_nobody_for_long(
    simulator: Simulator, reconnect: Callable[..., None]
) -> None:
    ids = make(simulator, 65)
    bring(ids[0])
    reconnect(ODOO_TIMEOUT_SECONDS=1.2, MAX_ATTEMPTS=2)
    slow = ids[30]
    simulator.faults.poison(slow, code=None, slow=5.0)
    ledger.mark(ids[1:], WEBHOOK)
    work_off()
    # All 64, then parts of 8, then alone: three calls that time out, however many orders.
    assert set(PendingBC.objects.values_list("odoo_id", "attempts")) == {(slow, 1)}
    assert differences(simulator, sql, [i for i in ids if i != slow]) == []
    persist()
    row = PendingBC.objects.get()
    assert (row.error_class, row.attempts) == ("OdooTimeout", 2)
    assert "ODOO_TIMEOUT_SECONDS" in row.last_error
    assert circuit_breaker.current_outage() is None


def test_rule_6_what_took_too_long_together_is_left_to_other_workers_in_smaller_parts(
    simulator: Simulator, reconnect: Callable[..., None]
) -> None:
    ids = make(simulator, 41)
    bring(ids[0])
    reconnect(ODOO_TIMEOUT_SECONDS=1.2)
    simulator.faults.poison(ids[20], code=None, slow=5.0)
    ledger.mark(ids[1:], WEBHOOK)
    work_off(turn=0.1)  # one batch
    assert set(PendingBC.objects.values_list("batch_limit", "attempts", "claim_token")) == {
        (5, 0, None)
    }
    # What is marked meanwhile is not held up by them.
    fresh = make(simulator, 3)
    ledger.mark(fresh, WEBHOOK)
    work_off(turn=0.1)
    assert differences(simulator, sql, fresh) == []


def test_rule_6_after_a_whole_deadline_the_rest_of_a_batch_is_any_worker_s(
    simulator: Simulator, reconnect: Callable[..., None]
) -> None:
    good, slow, *others = make(simulator, 5)
    bring(good)
    reconnect(ODOO_TIMEOUT_SECONDS=1.5)
    simulator.faults.poison(slow, code=None, slow=5.0)
    ledger.mark([slow, *others], WEBHOOK)
    PendingBC.objects.update(batch_limit=1)
    work_off(turn=0.1)  # one batch
    rows = PendingBC.objects.order_by("pk").values_list("pk", "attempts", "claim_token")
    assert list(rows) == [(slow, 1, None), *((odoo_id, 0, None) for odoo_id in others)]
    work_off()
    assert differences(simulator, sql, others) == []


def test_rule_7_an_odoo_too_slow_for_any_order_fails_none(
    simulator: Simulator, reconnect: Callable[..., None]
) -> None:
    ids = make(simulator, 4)
    bring(*ids[:2])
    reconnect(ODOO_TIMEOUT_SECONDS=0.4, MAX_ATTEMPTS=1)
    for odoo_id in ids:
        simulator.faults.poison(odoo_id, code=None, slow=2.0)
    bring(*ids[2:])
    assert attempts() == {(0, False)}
    known = circuit_breaker.current_outage()
    assert known is not None
    assert not known.refused


def test_rule_6_a_batch_over_the_size_cap_is_split_and_no_order_blamed(
    simulator: Simulator, reconnect: Callable[..., None]
) -> None:
    ids = make(simulator, 40)
    huge = simulator.create_order(lines=LINES, notes="<p>" + "x" * 200_000 + "</p>")
    reconnect(ODOO_MAX_RESPONSE_BYTES=70_000, MAX_ATTEMPTS=2)
    bring(*ids)
    assert not PendingBC.objects.exists()
    assert differences(simulator, sql, ids) == []
    bring(huge)
    persist()
    row = PendingBC.objects.get()
    assert (row.odoo_id, row.attempts, row.error_class) == (huge, 2, "ResponseTooLarge")
    assert "ODOO_MAX_RESPONSE_BYTES" in row.last_error


def test_rule_6_an_error_of_our_own_on_one_order_harms_only_that_one(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = make(simulator, 9)
    whole = records.build_order

    def build(record: Any, *arguments: Any, **options: Any) -> Any:
        if record["id"] == ids[4]:
            raise KeyError("something nobody thought of")
        return whole(record, *arguments, **options)

    monkeypatch.setattr("bc_consumer.odoo.orders.build_order", build)
    bring(*ids)
    row = PendingBC.objects.get()
    assert (row.odoo_id, row.attempts, row.error_class) == (ids[4], 1, "KeyError")
    assert "something nobody thought of" in row.traceback


def test_rule_6_a_database_that_does_not_fit_fails_no_order_and_is_told(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **_named: Any) -> None:
        raise ProgrammingError('column "batch_limit" does not exist')

    ids = make(simulator, 3)
    with monkeypatch.context() as patch:
        patch.setattr(batch, "apply", refuse)
        bring(*ids)
    assert attempts() == {(0, False)}
    assert "migrate" in Alert.objects.get(key="database").text
    persist()
    assert differences(simulator, sql) == []


def test_rule_6_an_error_that_nobody_foresaw_leaves_no_row_claimed(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any) -> None:
        raise AssertionError("a bug")

    ids = make(simulator, 3)
    with monkeypatch.context() as patch:
        patch.setattr(batch.Batch, "_map", stumble)
        ledger.mark(ids, WEBHOOK)
        with pytest.raises(AssertionError, match="a bug"):
            work_off()
    assert set(PendingBC.objects.values_list("claim_token", "attempts")) == {(None, 0)}


def test_rule_6_a_replay_waits_behind_what_is_more_urgent_and_reads_together(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.MAX_ATTEMPTS = 1
    ids = make(simulator, 10)
    (healthy,) = make(simulator, 1)
    bring(healthy)
    for odoo_id in ids[:5]:
        simulator.faults.poison(odoo_id, text="ValueError: no")
    bring(*ids)
    assert failed_orders.failed().count() == 5
    failed_orders.replay(failed_orders.ids_of(failed_orders.failed()))
    rows = PendingBC.objects.values_list("lane", "batch_limit", "sent_at", "attempts", "failed_at")
    assert set(rows) == {(Lane.BULK.value, 0, None, 0, None)}
    # Still bad: failed again, by one attempt, and once more in the journal.
    work_off()
    assert failed_orders.failed().count() == 5
    assert JournalEntry.objects.filter(odoo_id=ids[0], outcome="failed").count() == 2


def test_rule_6_a_replay_of_what_is_fine_meanwhile_changes_nothing(simulator: Simulator) -> None:
    (order_id,) = make(simulator, 1)
    bring(order_id)
    before = JournalEntry.objects.count()
    ledger.reopen([order_id], Mark(cause="replay", lane=Lane.BULK))
    work_off()
    assert not PendingBC.objects.exists()
    assert JournalEntry.objects.count() == before
