"""The ledger's protocol, statement by statement, on the database that the product runs on."""

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core.sql_dialect import dialect
from bc_consumer.ledger import LeaseLost, LookOutcome, Mark
from bc_consumer.models import Event, Lane, PendingBC

pytestmark = pytest.mark.usefixtures("single_rows")

WEBHOOK = Mark(cause="webhook")
EARLY = Mark(cause="webhook", early=True)
BULK = Mark(cause="nightly", lane=Lane.BULK)


def row(odoo_id: int) -> PendingBC:
    return PendingBC.objects.get(pk=odoo_id)


def claim(limit: int = 100) -> tuple[uuid.UUID, list[PendingBC]]:
    token = uuid.uuid4()
    return token, list(ledger.claim(limit, token).rows)


def test_what_falls_due_at_this_very_moment_is_due() -> None:
    ledger.mark([1], WEBHOOK)
    at_once = ExpressionWrapper(Now() + timedelta(0), DateTimeField())
    now = RawSQL(dialect().now, [], output_field=DateTimeField())
    rows = PendingBC.objects.annotate(at_once=at_once, now=now)
    assert rows.filter(at_once__lte=F("now")).exists()


def settle(token: uuid.UUID, rows: list[PendingBC], **look: Any) -> None:
    values = {"shown": True, "next_look": None, **look}
    with transaction.atomic():
        ledger.settle(token, [LookOutcome(claimed, **values) for claimed in rows])


def expire_leases() -> None:
    PendingBC.objects.update(claimed_until=Now() - timedelta(seconds=1))


def age_messages() -> None:
    """SQLite's clock has milliseconds: two marks in the same one would ask for two messages."""
    PendingBC.objects.update(sent_at=F("sent_at") - timedelta(seconds=1))


def test_a_mark_inserts_a_row_and_asks_for_one_message() -> None:
    assert sorted(ledger.mark([3, 1, 3], WEBHOOK)) == [1, 3]
    age_messages()
    assert ledger.mark([1, 3], WEBHOOK) == []
    marked = row(1)
    assert (marked.generation, marked.fetched_generation, marked.marks) == (2, 0, 2)
    assert marked.first_marked_at <= marked.last_marked_at
    assert (marked.lane, marked.causes, marked.event) == (Lane.WEBHOOK, "webhook", Event.CHANGED)


def test_a_bulk_mark_asks_for_no_message_and_a_webhook_s_mark_after_it_does() -> None:
    assert ledger.mark([1], BULK) == []
    assert row(1).sent_at is None
    assert ledger.mark([1], WEBHOOK) == [1]
    assert (row(1).lane, row(1).causes) == (Lane.WEBHOOK, "nightly,webhook")


def test_the_more_urgent_lane_and_a_deletion_stick() -> None:
    ledger.mark([1], Mark(cause="webhook", event=Event.DELETED))
    ledger.mark([1], BULK)
    assert (row(1).lane, row(1).event) == (Lane.WEBHOOK, Event.DELETED)


def test_a_payload_stays_when_a_later_mark_brings_none() -> None:
    ledger.mark([1], Mark(cause="webhook", payload='{"_id": 1, "note": "\\u0000 100 % s"}'))
    ledger.mark([1], BULK)
    assert row(1).last_payload == '{"_id": 1, "note": "\\u0000 100 % s"}'


def test_an_early_mark_is_due_at_its_first_look(settings: LazySettings) -> None:
    settings.EARLY_LOOKS = (60.0, 120.0)
    ledger.mark([1], EARLY)
    assert 59 < (row(1).due_at - row(1).last_marked_at).total_seconds() < 61
    assert claim()[1] == []
    due = ledger.seconds_until_due()
    assert due is not None
    assert 58 < due < 60.5


def test_a_mark_never_puts_off_what_is_due(settings: LazySettings) -> None:
    settings.EARLY_LOOKS = (60.0,)
    ledger.mark([1], WEBHOOK)
    ledger.mark([1], EARLY)
    assert [r.odoo_id for r in claim()[1]] == [1]


def test_a_claim_takes_due_rows_by_lane_and_each_once() -> None:
    ledger.mark([1], BULK)
    ledger.mark([2], Mark(cause="replay", lane=Lane.OPERATOR))
    ledger.mark([3], WEBHOOK)
    assert [r.odoo_id for r in claim(1)[1]] == [3]
    assert [r.odoo_id for r in claim(1)[1]] == [2]
    assert [r.odoo_id for r in claim()[1]] == [1]
    assert claim()[1] == []
    assert row(3).sent_at is None


def test_a_claim_s_rows_come_back_when_its_lease_is_over() -> None:
    ledger.mark([1], WEBHOOK)
    first, _ = claim()
    expire_leases()
    second, rows = claim()
    assert [r.odoo_id for r in rows] == [1]
    assert ledger.renew(first, [1]) == set()
    assert ledger.renew(second, [1]) == {1}


def test_a_late_worker_can_neither_settle_nor_fail_nor_release() -> None:
    ledger.mark([1], WEBHOOK)
    late, stale = claim()
    expire_leases()
    token, _ = claim()
    with pytest.raises(LeaseLost) as lost:
        settle(late, stale)
    assert lost.value.ids == {1}
    with pytest.raises(LeaseLost):
        ledger.fail(late, stale[0], ValueError("x"))
    ledger.release(late, [1], 0.0)
    assert row(1).claim_token == token


def test_settling_an_unmoved_row_ends_it() -> None:
    ledger.mark([1, 2], WEBHOOK)
    token, rows = claim()
    settle(token, rows)
    assert not PendingBC.objects.exists()


def test_a_row_marked_while_it_was_fetched_is_due_again_at_once() -> None:
    ledger.mark([1], WEBHOOK)
    token, rows = claim()
    ledger.mark([1], WEBHOOK)
    settle(token, rows)
    kept = row(1)
    assert (kept.generation, kept.fetched_generation, kept.marks) == (2, 1, 1)
    assert kept.claim_token is None
    assert kept.first_marked_at >= ledger.claimed_at(rows[0])
    assert [r.odoo_id for r in claim()[1]] == [1]


def test_a_watched_row_waits_for_its_next_look_and_a_new_mark_begins_anew(
    settings: LazySettings,
) -> None:
    settings.EARLY_LOOKS = (0.0, 60.0)
    ledger.mark([1], EARLY)
    token, rows = claim()
    settle(token, rows, next_look=60.0)
    watched = row(1)
    assert watched.generation == watched.fetched_generation
    assert watched.shown_at is not None
    assert watched.due_at == watched.last_marked_at + timedelta(seconds=60)
    assert claim()[1] == []
    assert ledger.mark([1], EARLY) == [1]
    again = row(1)
    assert (again.marks, again.shown_at) == (1, None)
    assert again.first_marked_at == again.last_marked_at


def test_released_rows_keep_their_attempts_and_wait() -> None:
    ledger.mark([1], WEBHOOK)
    token, _ = claim()
    ledger.release(token, [1], 60.0)
    released = row(1)
    assert (released.attempts, released.claim_token) == (0, None)
    due = ledger.seconds_until_due()
    assert due is not None
    assert due > 58


def test_a_row_fails_after_its_attempts_and_a_new_mark_reopens_it_with_one(
    settings: LazySettings,
) -> None:
    settings.MAX_ATTEMPTS = 2
    ledger.mark([1], WEBHOOK)
    token, (claimed,) = claim()
    assert not ledger.fail(token, claimed, ValueError("unreadable"))
    assert row(1).batch_limit == 1
    PendingBC.objects.update(due_at=Now())
    token, (claimed,) = claim()
    assert ledger.fail(token, claimed, ValueError("unreadable"))
    failed = row(1)
    assert (failed.error_class, failed.last_error) == ("ValueError", "unreadable")
    assert "ValueError: unreadable" in failed.traceback
    assert failed.first_failed_at is not None
    assert failed.failed_at is not None
    assert failed.first_failed_at < failed.failed_at
    PendingBC.objects.update(due_at=Now())
    assert claim()[1] == []
    assert ledger.seconds_until_due() is None

    ledger.mark([1], WEBHOOK)
    reopened = row(1)
    assert (reopened.failed_at, reopened.attempts) == (None, 1)
    token, (claimed,) = claim()
    assert ledger.fail(token, claimed, ValueError("unreadable"))


def test_what_failed_hopelessly_is_looked_at_again_when_it_was_marked_meanwhile() -> None:
    ledger.mark([1], WEBHOOK)
    token, (claimed,) = claim()
    ledger.mark([1], WEBHOOK)
    assert not ledger.fail(token, claimed, ValueError("unreadable"), hopeless=True)
    assert row(1).failed_at is None
    token, (claimed,) = claim()
    assert ledger.fail(token, claimed, ValueError("unreadable"), hopeless=True)
    assert row(1).failed_at is not None


def test_held_rows_are_not_claimed() -> None:
    ledger.mark([1], WEBHOOK)
    PendingBC.objects.update(held_reason="brake")
    assert claim()[1] == []
    assert ledger.seconds_until_due() is None


def test_claim_also_marks_and_takes_rows_unless_another_worker_has_them() -> None:
    ledger.mark([1], WEBHOOK)
    claim()
    token = uuid.uuid4()
    assert [r.odoo_id for r in ledger.claim_also([1, 2], "moved lines", token)] == [2]
    assert row(2).causes == "moved lines"
    assert row(1).generation == 2


def test_a_batch_that_is_not_full_holds_the_next_claim_back(settings: LazySettings) -> None:
    settings.BATCH_PACE_SECONDS = 60.0
    ledger.mark([1, 2, 3], WEBHOOK)
    assert [len(claim(1)[1]), len(claim(1)[1])] == [1, 1]
    assert len(claim(100)[1]) == 1
    ledger.mark([4], WEBHOOK)
    held_back = ledger.claim(100, uuid.uuid4())
    assert not held_back.rows
    assert 55 < held_back.wait <= 60


def test_unsent_finds_due_rows_whose_message_went_missing_and_marks_them_sent() -> None:
    ledger.mark([1, 2, 3], WEBHOOK)
    ledger.mark([4], BULK)
    PendingBC.objects.filter(pk__in=[2, 4]).update(
        sent_at=Now() - timedelta(seconds=60), due_at=F("due_at") - timedelta(seconds=60)
    )
    assert ledger.take_overdue(30.0, 10) == [2, 4]
    assert ledger.take_overdue(30.0, 10) == []


def run_together(count: int, work: Callable[[int], object]) -> list[BaseException]:
    """Run ``work(0)`` … at the same moment in threads of their own; return what they raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            start.wait(10)
            work(number)
        except Exception as error:  # noqa: BLE001 (a test must see whatever it was)
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def test_marks_of_the_same_orders_in_any_order_do_not_deadlock() -> None:
    ids = list(range(1, 200))

    def work(number: int) -> None:
        for _ in range(10):
            ledger.mark(ids if number % 2 else reversed(ids), WEBHOOK)

    assert run_together(4, work) == []
    assert set(PendingBC.objects.values_list("generation", flat=True)) == {40}


def test_concurrent_claims_share_the_rows_without_overlap() -> None:
    ledger.mark(range(1, 201), WEBHOOK)
    taken: list[int] = []

    def work(_number: int) -> None:
        for _ in range(20):
            taken.extend(r.odoo_id for r in claim(5)[1])

    assert run_together(4, work) == []
    rest = [r.odoo_id for r in claim(1000)[1]]
    assert sorted(taken + rest) == list(range(1, 201))


def test_an_event_s_order_does_not_wait_for_late_looks_at_others() -> None:
    """Fifteen minutes after a bulk change thousands of them are due at once."""
    ledger.mark(range(1, 31), EARLY)
    PendingBC.objects.update(due_at=Now())
    token, rows = claim(30)
    with transaction.atomic():
        ledger.settle(
            token, [LookOutcome(row, shown=True, next_look=0.0, late=True) for row in rows]
        )
    ledger.mark([99], WEBHOOK)
    rows = claim(10)[1]
    assert 99 in [row.odoo_id for row in rows]
    # A mark makes one of them an event's order again.
    ledger.mark([5], WEBHOOK)
    assert (row(5).lane, row(6).lane) == (Lane.WEBHOOK, Lane.BULK)
