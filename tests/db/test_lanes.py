"""A load does not stand before an event: urgent rows are claimed first, and in small batches."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.ledger import Mark
from bc_consumer.ledger.claims import BESIDE_URGENT
from bc_consumer.models import BC, Lane, PendingBC
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator
from tests.services.waiting import wait_until

pytestmark = pytest.mark.usefixtures("odoo")

BULK = Mark(cause="nightly", lane=Lane.BULK)
EVENT = Mark(cause="webhook")


def claimed(limit: int = 100, *, bulk: bool = True) -> list[int]:
    claim = ledger.claim(limit, ledger.new_token(), bulk=bulk)
    return [row.odoo_id for row in claim.rows]


def test_without_events_a_bulk_batch_is_full() -> None:
    ledger.mark(range(1, 151), BULK)
    assert claimed(100) == list(range(1, 101))
    assert claimed(100) == list(range(101, 151))


def test_events_share_their_batch_with_a_few_bulk_rows() -> None:
    ledger.mark(range(1, 151), BULK)
    ledger.mark([900, 901], EVENT)
    assert claimed(100) == [*range(1, BESIDE_URGENT + 1), 900, 901]


def test_a_batch_of_events_is_never_larger_than_asked_for() -> None:
    ledger.mark(range(1, 151), BULK)
    ledger.mark(range(900, 912), EVENT)
    assert claimed(10) == list(range(900, 910))
    assert claimed(10) == [*range(1, 9), 910, 911]


def test_without_leave_for_bulk_events_alone_are_claimed() -> None:
    ledger.mark(range(1, 151), BULK)
    assert claimed(bulk=False) == []
    ledger.mark([900], EVENT)
    assert claimed(bulk=False) == [900]


def test_a_load_goes_on_under_a_stream_of_events(settings: LazySettings) -> None:
    """The pace holds small batches back; one that bulk rows filled up is not small."""
    settings.BATCH_PACE_SECONDS = 60.0
    ledger.mark(range(1, 2 * BESIDE_URGENT + 1), BULK)
    for event in (900, 901):
        ledger.mark([event], EVENT)
        assert len(claimed()) == BESIDE_URGENT + 1
    ledger.mark([902], EVENT)
    assert claimed() == [902]
    ledger.mark([903], EVENT)
    assert claimed() == []


@pytest.fixture
def others_have_all_bulk_leave() -> Iterator[None]:
    process_state.bulk_batches.acquire()
    process_state.bulk_batches.acquire()
    yield
    process_state.bulk_batches.release()
    process_state.bulk_batches.release()


def test_a_thread_stays_free_for_events_while_others_load(
    others_have_all_bulk_leave: None, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(5, 1, spread_days=10))
    ledger.mark(ids[:4], BULK)
    assert work_off() == 0
    ledger.mark(ids[4:], EVENT)
    assert work_off() == 1
    assert BC.objects.get().odoo_id == ids[4]
    assert PendingBC.objects.count() == 4


def test_leave_is_given_back_whatever_happens(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = list(simulator.bulk_create(5, 1, spread_days=10))
    ledger.mark(ids, BULK)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("in the middle")

    with monkeypatch.context() as patched:
        patched.setattr("bc_consumer.refresh.batch.Batch.run", fail)
        for _ in range(3):
            with pytest.raises(RuntimeError):
                work_off()
            PendingBC.objects.update(claim_token=None, claimed_until=None)

    def work() -> None:
        work_off()
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert BC.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_one_thread_waits_for_the_turn_and_takes_what_woke_the_others(
    simulator: Simulator, settings: LazySettings
) -> None:
    """All threads of a process once waited, and asked the database ten times a second each."""
    settings.BATCH_PACE_SECONDS = 1.0
    first, second, third = simulator.bulk_create(3, 1, spread_days=10)
    ledger.mark([first], EVENT)
    assert work_off() == 1
    ledger.mark([second], EVENT)
    looks: list[int] = []

    def work() -> None:
        looks.append(work_off())
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: process_state.turn_awaited.is_ahead, what="a thread to wait for its turn")
    ledger.mark([third], EVENT)
    with CaptureQueriesContext(connection) as queries:
        assert work_off() == 0
    assert not queries.captured_queries
    thread.join(10)
    assert looks == [2]
    assert BC.objects.count() == 3


def test_who_never_gets_the_turn_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's own threads have to hear that the run is over."""
    ledger.mark([1], EVENT)
    monkeypatch.setattr(ledger, "claim", lambda *_, **__: ledger.Claim(wait=0.05))
    ended = threading.Event()

    def work() -> None:
        work_off(turn=0.2)
        connection.close()
        ended.set()

    threading.Thread(target=work, daemon=True).start()
    try:
        assert ended.wait(10)
    finally:
        process_state.stopping.set()
        ended.wait(10)
        process_state.stopping.clear()


def test_one_round_after_the_end_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited takes its turn, and then ends, however much is due."""
    ledger.mark([1], EVENT)
    (row,) = PendingBC.objects.all()
    claims: list[ledger.Claim] = []

    def claim(*_: object, **__: object) -> ledger.Claim:
        claims.append(ledger.Claim([row]) if claims else ledger.Claim(wait=0.15))
        assert len(claims) < 5, "it goes on for ever"
        return claims[-1]

    monkeypatch.setattr(ledger, "claim", claim)
    monkeypatch.setattr("bc_consumer.refresh.batch.Batch.run", lambda _batch: None)
    assert work_off(turn=0.1) == 1
    assert len(claims) == 2
