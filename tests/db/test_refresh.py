"""claim → fetch → apply → settle against the simulator: what each rule says of one process."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models import F, Min
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.ledger import LeaseLost, Mark, circuit_breaker
from bc_consumer.models import BC, BCLine, Event, JournalEntry, PendingBC, SyncState
from bc_consumer.odoo import Odoo
from bc_consumer.refresh.archive_brake import GONE
from bc_consumer.refresh.batch import work_off
from bc_consumer.refresh.mapping import map_order
from bc_consumer.refresh.writer import FetchedRow, LinesElsewhere, apply
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.conftest import refresh

pytestmark = pytest.mark.usefixtures("odoo")

LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35},
    {"name": "Chair", "product_qty": 3, "price_unit": 8.1},
]


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def line_ids(odoo: Simulator, order_id: int) -> list[int]:
    order = odoo.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


def outcomes(odoo_id: int) -> list[str]:
    entries = JournalEntry.objects.filter(odoo_id=odoo_id).order_by("id")
    return list(entries.values_list("outcome", flat=True))


def test_rule_2_the_copy_equals_odoo(simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(3)]
    refresh(*ids)
    assert differences(simulator, sql) == []
    assert not PendingBC.objects.exists()
    simulator.write_order(ids[0], partner_ref="B")
    simulator.write_line(line_ids(simulator, ids[1])[0], name="Desk, oak")
    simulator.delete_line(line_ids(simulator, ids[2])[0])
    refresh(*ids)
    assert differences(simulator, sql) == []


def test_rule_4_an_older_snapshot_never_replaces_a_newer_one(
    simulator: Simulator, odoo: Odoo
) -> None:
    order_id = simulator.create_order(lines=LINES, partner_ref="old")
    ledger.mark([order_id], Mark(cause="webhook"))
    late = uuid.uuid4()
    (claimed,) = ledger.claim(10, late).rows
    old = odoo.fetch([order_id]).orders[order_id]

    PendingBC.objects.update(claimed_until=Now() - timedelta(seconds=1))
    simulator.write_order(order_id, partner_ref="new")
    assert work_off() == 1
    assert BC.objects.get().partner_ref == "new"

    with pytest.raises(LeaseLost):
        apply(late, [FetchedRow(claimed, map_order(old))], early=False)
    assert BC.objects.get().partner_ref == "new"
    ledger.mark([order_id], Mark(cause="webhook"))
    with pytest.raises(LeaseLost):
        apply(late, [FetchedRow(claimed, map_order(old))], early=False)
    assert BC.objects.get().partner_ref == "new"


def test_rule_4_a_line_that_moved_brings_its_former_order_along(simulator: Simulator) -> None:
    source, target = (simulator.create_order(lines=LINES) for _ in range(2))
    refresh(source, target)
    line = line_ids(simulator, source)[0]
    simulator.move_line(line, target)
    refresh(target)
    assert differences(simulator, sql) == []
    entry = JournalEntry.objects.filter(odoo_id=source).latest("id")
    assert entry.causes == "moved lines"
    assert list(entry.changes["lines"]["deleted"]) == [str(line)]


def test_rule_4_a_former_order_in_another_worker_s_hands_is_waited_for(
    simulator: Simulator, odoo: Odoo
) -> None:
    source, target = (simulator.create_order(lines=LINES) for _ in range(2))
    refresh(source, target)
    simulator.move_line(line_ids(simulator, source)[0], target)
    ledger.mark([source], Mark(cause="webhook"))
    other = uuid.uuid4()
    ledger.claim(10, other)

    ledger.mark([target], Mark(cause="webhook"))
    assert work_off() == 1
    assert BCLine.objects.filter(bc__odoo_id=source).count() == 2
    waiting = PendingBC.objects.get(pk=target)
    assert (waiting.claim_token, waiting.attempts) == (None, 0)

    ledger.release(other, [source], 0.0)
    PendingBC.objects.update(due_at=Now())
    work_off()
    assert differences(simulator, sql) == []


def test_rule_4_apply_refuses_to_take_a_line_from_an_order_that_is_not_with_it(
    simulator: Simulator, odoo: Odoo
) -> None:
    source, target = (simulator.create_order(lines=LINES) for _ in range(2))
    refresh(source, target)
    simulator.move_line(line_ids(simulator, source)[0], target)
    ledger.mark([target], Mark(cause="webhook"))
    token = uuid.uuid4()
    (claimed,) = ledger.claim(10, token).rows
    snapshot = odoo.fetch([target]).orders[target]
    with pytest.raises(LinesElsewhere) as elsewhere:
        apply(token, [FetchedRow(claimed, map_order(snapshot))], early=False)
    assert elsewhere.value.ids == {source}


def test_rule_6_a_faulting_batch_is_split_and_only_the_bad_order_fails(
    simulator: Simulator, settings: LazySettings
) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(40)]
    bad = ids[17]
    simulator.faults.poison(bad, code=1, text="ValueError: cannot compute")
    ledger.mark(ids, Mark(cause="webhook"))
    work_off()
    # The others arrive with the batch that met the bad one, and none of them uses up an attempt.
    assert list(PendingBC.objects.values_list("odoo_id", "attempts")) == [(bad, 1)]
    assert differences(simulator, sql, [i for i in ids if i != bad]) == []
    PendingBC.objects.update(due_at=Now())
    refresh(bad)
    row = PendingBC.objects.get()
    assert (row.odoo_id, row.attempts) == (bad, settings.MAX_ATTEMPTS)
    assert row.failed_at is not None
    assert "cannot compute" in row.last_error
    assert outcomes(bad) == ["failed"]

    simulator.faults.clear()
    refresh(bad)
    assert differences(simulator, sql) == []
    assert not PendingBC.objects.exists()


def test_rule_6_a_suspect_does_not_spoil_the_next_batch(simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(8)]
    simulator.faults.poison(ids[0], code=1, text="ValueError: cannot compute")
    ledger.mark(ids[:1], Mark(cause="webhook"))
    work_off()
    assert PendingBC.objects.get().batch_limit == 1
    PendingBC.objects.update(due_at=Now())
    simulator.calls_clear()
    ledger.mark(ids[1:], Mark(cause="webhook"))
    work_off()
    fetches = [call for call in simulator.calls if call.method == "web_search_read"]
    # The others together, the suspect, and an order that is known to be good, to compare with.
    assert sorted(call.ids for call in fetches) == [1, 1, 7]
    assert differences(simulator, sql, ids[1:]) == []


def test_rule_6_a_value_that_does_not_fit_fails_its_order_alone(simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(3)]
    simulator.update_sql(
        "purchase.order.line",
        line_ids(simulator, ids[1])[0],
        {"date_planned": "2026-02-30 10:00:00"},
    )
    refresh(*ids)
    assert differences(simulator, sql, [ids[0], ids[2]]) == []
    row = PendingBC.objects.get()
    assert (row.odoo_id, row.error_class) == (ids[1], "MappingError")
    assert f"date_planned of order {ids[1]}, line" in row.last_error


def test_rule_6_an_order_that_the_database_refuses_fails_alone(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [simulator.create_order(lines=LINES, partner_ref=str(n)) for n in range(3)]
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX only_here ON bc_consumer_bc (partner_ref)")
    try:
        simulator.write_order(ids[2], partner_ref="0")
        refresh(*ids)
        assert sorted(BC.objects.values_list("odoo_id", flat=True)) == ids[:2]
        assert PendingBC.objects.get().error_class == "IntegrityError"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX only_here")
    refresh(ids[2])
    assert differences(simulator, sql) == []


@pytest.mark.parametrize("trouble", ["refuse", "http 503", "every call a fault", "garbage"])
def test_rule_7_odoo_s_trouble_uses_up_no_attempt(trouble: str, simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(5)]
    begin: dict[str, Callable[[], None]] = {
        "refuse": simulator.faults.refuse,
        "http 503": lambda: simulator.faults.http_status(503),
        "every call a fault": lambda: simulator.faults.fault_all(1, "OperationalError: no"),
        "garbage": simulator.faults.garbage,
    }
    begin[trouble]()
    ledger.mark(ids, Mark(cause="webhook"))
    work_off()
    assert circuit_breaker.current_outage() is not None
    assert set(PendingBC.objects.values_list("attempts", "claim_token", "failed_at")) == {
        (0, None, None)
    }
    assert work_off() == 0

    simulator.faults.clear()
    simulator.faults.accept()
    circuit_breaker.record_success()
    PendingBC.objects.update(due_at=Now())
    work_off()
    assert differences(simulator, sql) == []


def test_a_missing_right_or_a_wrong_password_fails_no_order(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    simulator.faults.deny_model("purchase.order")
    ledger.mark([order_id], Mark(cause="webhook"))
    work_off()
    row = PendingBC.objects.get()
    assert (row.attempts, row.claim_token) == (0, None)
    known = circuit_breaker.current_outage()
    assert known is not None
    assert known.refused
    assert known.pause > 30


def test_rule_10_deleted_lines_go_and_deleted_orders_are_archived_with_their_lines(
    simulator: Simulator,
) -> None:
    kept, doomed = (simulator.create_order(lines=LINES) for _ in range(2))
    refresh(kept, doomed)
    simulator.delete_line(line_ids(simulator, kept)[0])
    simulator.delete_order(doomed)
    refresh(kept)
    refresh(doomed, mark=Mark(cause="webhook", event=Event.DELETED))
    assert BCLine.objects.filter(bc__odoo_id=kept).count() == 1
    archived = BC.objects.get(odoo_id=doomed)
    assert archived.archived_at is not None
    assert archived.archived_reason == GONE
    assert archived.lines.count() == 2
    assert list(BC.objects.current()) == [BC.objects.get(odoo_id=kept)]
    assert outcomes(doomed) == ["created", "archived"]
    refresh(doomed)
    assert outcomes(doomed) == ["created", "archived"]


def test_rule_10_forbidden_is_told_apart_from_gone_and_comes_back(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    simulator.faults.forbid([order_id])
    refresh(order_id)
    bc = BC.objects.get()
    assert bc.forbidden_at is not None
    assert bc.archived_at is None
    assert not BC.objects.current().exists()
    simulator.faults.clear()
    refresh(order_id)
    assert BC.objects.current().count() == 1
    assert outcomes(order_id) == ["created", "forbidden", "restored"]


def test_rule_10_an_order_that_comes_back_is_restored(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    BC.objects.update(archived_at=Now(), archived_reason=GONE)
    refresh(order_id)
    bc = BC.objects.get()
    assert (bc.archived_at, bc.archived_reason) == (None, "")
    assert outcomes(order_id) == ["created", "restored"]


def test_rule_11_the_journal_tells_what_changed_why_and_how_late(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES, partner_ref="A")
    refresh(order_id)
    line = line_ids(simulator, order_id)[0]
    simulator.write_order(order_id, partner_ref="B")
    simulator.write_line(line, price_unit=12.5)
    ledger.mark([order_id], Mark(cause="webhook"))
    ledger.mark([order_id], Mark(cause="nightly"))
    work_off()
    entry = JournalEntry.objects.latest("id")
    assert (entry.outcome, entry.causes, entry.marks) == ("changed", "webhook,nightly", 2)
    assert entry.changes["fields"]["partner_ref"] == ["A", "B"]
    changed = entry.changes["lines"]["changed"][str(line)]
    assert [Decimal(value) for value in changed["price_unit"]] == [
        Decimal("12.35"),
        Decimal("12.5"),
    ]
    assert entry.first_marked_at is not None
    assert entry.last_marked_at is not None
    assert entry.first_marked_at <= entry.last_marked_at <= entry.at
    assert entry.delay is not None
    assert entry.delay > 0


def test_rule_11_a_look_that_finds_nothing_is_not_told(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    before = BC.objects.get().synced_at
    refresh(order_id)
    assert outcomes(order_id) == ["created"]
    after = BC.objects.get().synced_at
    assert before is not None
    assert after is not None
    assert after > before


def test_rule_11_orders_that_never_were_cost_a_line_in_the_log_and_two_calls_a_look(
    simulator: Simulator, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever knows the secret may name any ids, a thousand at once, and again and again."""
    settings.ODOO_WEBHOOK_TIMING = "early"
    settings.BATCH_SIZE = 200
    settings.EARLY_LOOKS = (0.0, 60.0)
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = 900
    known = simulator.create_order(lines=LINES)
    refresh(known)
    calls = len(simulator.calls)
    ids = range(5001, 5201)
    caplog.set_level("INFO", "bc_consumer.refresh.batch")
    ledger.mark(ids, Mark(cause="webhook", early=True))
    looks = 0
    while PendingBC.objects.exists():
        looks += work_off() > 0
        later = PendingBC.objects.aggregate(at=Min("due_at"))["at"]
        if later is not None:
            # Time passes.
            gone = later - database_now() + timedelta(milliseconds=10)
            PendingBC.objects.update(
                due_at=F("due_at") - gone, last_marked_at=F("last_marked_at") - gone
            )
    assert looks == 4  # the setting's, after 300 s, and after the longest transaction
    assert len(simulator.calls) - calls <= 2 * looks
    assert list(JournalEntry.objects.values_list("odoo_id", flat=True)) == [known]
    (told,) = (text for text in caplog.messages if "5001" in text)
    assert told.startswith("200 reported orders are neither in Odoo nor in the copy")
    assert told.endswith(f"The first: BC {list(ids[:20])}")
    assert SyncState.objects.get().scan_due_at is not None


def test_rule_11_a_change_that_never_came_of_an_order_that_there_is_is_told_as_unconfirmed(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.ODOO_WEBHOOK_TIMING = "early"
    settings.EARLY_LOOKS, settings.ODOO_LONGEST_TRANSACTION_SECONDS = (0.0,), 0.001
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    refresh(order_id, mark=Mark(cause="webhook", early=True))
    assert outcomes(order_id) == ["created", "unconfirmed"]


def test_rule_13_a_row_of_an_older_mapping_is_written_again(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    BC.objects.update(mapping_version=0)
    refresh(order_id)
    assert BC.objects.get().mapping_version > 0


def test_a_stopping_process_gives_its_claims_back_at_once(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    ledger.mark([order_id], Mark(cause="webhook"))
    simulator.faults.latency(20)
    timer = threading.Timer(0.3, process_state.stopping.set)
    timer.start()
    began = time.monotonic()
    try:
        work_off()
    finally:
        process_state.stopping.clear()
        timer.join()
    assert time.monotonic() - began < 15  # the call would take 20
    row = PendingBC.objects.get()
    assert (row.claim_token, row.attempts) == (None, 0)
    assert row.due_at <= database_now()


def test_numbers_survive_exactly_as_odoo_shows_them(simulator: Simulator) -> None:
    lines = [
        {"name": "a", "product_qty": 0.1 + 0.2, "price_unit": 125.35},
        {"name": "b", "product_qty": 1234567.89, "price_unit": 0.07},
    ]
    order_id = simulator.create_order(lines=lines)
    refresh(order_id)
    by_name = {line.name: line for line in BCLine.objects.all()}
    assert by_name["a"].product_qty == Decimal("0.3")
    assert by_name["a"].price_unit == Decimal("125.35")
    assert by_name["b"].product_qty == Decimal("1234567.89")
    assert by_name["b"].price_unit == Decimal("0.07")


@pytest.mark.simulator(version=19)
def test_a_price_of_seventeen_digits_survives_where_odoo_does_not_round(
    simulator: Simulator,
) -> None:
    order_id = simulator.create_order(
        lines=[{"name": "a", "product_qty": 3, "price_unit": 33.333333333333336}]
    )
    refresh(order_id)
    assert BCLine.objects.get().price_unit == Decimal("33.333333333333336")
    refresh(order_id)
    assert outcomes(order_id) == ["created"]


def test_a_batch_costs_few_statements_however_many_orders(
    simulator: Simulator, django_assert_max_num_queries: Any
) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(40)]
    ledger.mark(ids, Mark(cause="webhook"))
    with django_assert_max_num_queries(45):
        work_off()
    assert BC.objects.count() == 40
