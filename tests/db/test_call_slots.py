"""The limits of calls to Odoo that all processes share; each gate here stands for a process."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.ledger import Mark, call_slots, claims
from bc_consumer.ledger.call_slots import SharedCallLimits, call_limits
from bc_consumer.models import CallSlot, Pace
from bc_consumer.odoo import OdooBusy, OdooInterrupted
from bc_consumer.odoo.calls_at_once import ProcessCallLimits

pytestmark = pytest.mark.usefixtures("single_rows")


@pytest.fixture
def _shared() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("limits are shared on PostgreSQL")


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def together(count: int, work: Callable[[], object]) -> None:
    def one() -> None:
        try:
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_on_sqlite_a_process_has_its_own_limits(stop: threading.Event) -> None:
    kind = SharedCallLimits if connection.vendor == "postgresql" else ProcessCallLimits
    assert isinstance(call_limits(stop), kind)


@pytest.mark.usefixtures("_shared")
def test_all_processes_together_make_no_more_calls_at_once(
    settings: LazySettings, stop: threading.Event
) -> None:
    settings.ODOO_CONCURRENT_CALLS = 3
    gates = [SharedCallLimits(stop) for _ in range(4)]
    inside, most, done = [0], [0], [0]
    lock = threading.Lock()

    def call() -> None:
        for number in range(3):
            with gates[number](20):
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0.01)
                with lock:
                    inside[0] -= 1
                    done[0] += 1

    together(8, call)
    assert (most, done) == ([3], [24])
    assert CallSlot.objects.count() == 3
    assert not CallSlot.objects.filter(taken_until__gt=Now()).exists()


@pytest.mark.usefixtures("_shared")
def test_a_killed_process_frees_its_slot_when_the_lease_ends(
    settings: LazySettings, stop: threading.Event
) -> None:
    settings.ODOO_CONCURRENT_CALLS = 1
    with SharedCallLimits(stop)(1):
        with pytest.raises(OdooBusy), SharedCallLimits(stop)(0.05):
            pass
        lease = CallSlot.objects.annotate(now=Now()).get()
        # As long as waiting and the call itself may take, and a little more.
        left = (lease.taken_until - lease.now).total_seconds()
        assert 30 < left < 45
        CallSlot.objects.update(taken_until=Now() - timedelta(seconds=1))
        with SharedCallLimits(stop)(20):
            taken = CallSlot.objects.get().taken_until
            assert taken > lease.now
        # Whoever was late does not free what is another's by now.
        other = SharedCallLimits(stop)(20)
        other.__enter__()
    assert CallSlot.objects.filter(taken_until__gt=Now()).exists()
    other.__exit__(None, None, None)


@pytest.mark.usefixtures("_shared")
def test_all_processes_together_begin_no_more_calls_a_second(
    settings: LazySettings, stop: threading.Event
) -> None:
    settings.ODOO_CALLS_PER_SECOND = 20.0
    ended: list[float] = []

    def call() -> None:
        with SharedCallLimits(stop)(20):
            ended.append(time.monotonic())

    started = time.monotonic()
    together(6, call)
    for number, at in enumerate(sorted(ended)):
        assert at - started > number * 0.05 * 0.9
    settings.ODOO_CALLS_PER_SECOND = 0.1
    with SharedCallLimits(stop)(20):
        pass
    with pytest.raises(OdooBusy), SharedCallLimits(stop)(1):
        pass
    assert not CallSlot.objects.filter(taken_until__gt=Now()).exists()


@pytest.mark.usefixtures("_shared")
@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_a_stop_ends_the_waiting_and_frees_the_slot(
    settings: LazySettings, stop: threading.Event, rate: float
) -> None:
    settings.ODOO_CONCURRENT_CALLS, settings.ODOO_CALLS_PER_SECOND = (2 if rate else 1), rate
    with SharedCallLimits(threading.Event())(20):
        threading.Timer(0.1, stop.set).start()
        began = time.monotonic()
        with pytest.raises(OdooInterrupted), SharedCallLimits(stop)(30):
            pass
        assert time.monotonic() - began < 15
    assert not CallSlot.objects.filter(taken_until__gt=Now()).exists()


@pytest.mark.usefixtures("_shared")
def test_a_call_costs_two_short_statements(
    stop: threading.Event, django_assert_num_queries: Any
) -> None:
    shared = SharedCallLimits(stop)
    with shared(1):
        pass
    with django_assert_num_queries(2), shared(1):
        pass


@pytest.mark.usefixtures("_shared")
def test_within_a_transaction_no_row_is_held(stop: threading.Event) -> None:
    with transaction.atomic(), SharedCallLimits(stop)(1):
        assert not CallSlot.objects.filter(taken_until__gt=Now()).exists()


@pytest.mark.usefixtures("_shared")
def test_a_database_that_is_away_leaves_the_process_s_own_limits(
    settings: LazySettings, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("server closed the connection")

    settings.ODOO_CONCURRENT_CALLS = 1
    shared = SharedCallLimits(stop)
    monkeypatch.setattr(call_slots, "_take_free_slot", away)
    with shared(1), pytest.raises(OdooBusy), shared(0.05):
        pass


def test_with_a_limit_per_second_batches_are_claimed_no_faster(settings: LazySettings) -> None:
    settings.ODOO_CALLS_PER_SECOND = 0.5
    assert claims.pace_seconds() == 2.0
    ledger.mark(range(1, 11), Mark(cause="webhook"))
    assert len(ledger.claim(5, uuid.uuid4()).rows) == 5
    # A full batch, and yet the next one waits: what is more urgent by then goes first.
    waits = ledger.claim(5, uuid.uuid4())
    assert not waits.rows
    assert 1 < waits.wait <= 2
    Pace.objects.update(next_claim_at=Now())
    assert len(ledger.claim(5, uuid.uuid4()).rows) == 5
