"""Each applied change gets the next version, and no reader of «everything after N» misses one."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.db import connection, transaction

from bc_consumer import ledger
from bc_consumer.ledger import Mark
from bc_consumer.models import BC, JournalEntry, PendingBC, VersionCounter
from bc_consumer.odoo import Odoo
from bc_consumer.refresh import writer
from bc_consumer.refresh.batch import work_off
from bc_consumer.refresh.mapping import map_order
from bc_consumer.refresh.writer import FetchedRow, apply
from odoo_simulator import Simulator
from tests.conftest import ON_SQLITE
from tests.db import copied
from tests.db.conftest import refresh
from tests.services.waiting import wait_until

LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35}]
pytestmark = pytest.mark.usefixtures("odoo")


def version_of(odoo_id: int) -> int:
    return BC.objects.get(odoo_id=odoo_id).version


def told(odoo_id: int) -> list[tuple[str, int | None]]:
    entries = JournalEntry.objects.filter(odoo_id=odoo_id).order_by("id")
    return list(entries.values_list("outcome", "version"))


def test_every_kind_of_change_raises_the_version(simulator: Simulator) -> None:
    first, second = (simulator.create_order(lines=LINES) for _ in range(2))
    refresh(first, second)
    assert [version_of(first), version_of(second)] == [1, 2]
    simulator.write_order(first, partner_ref="B")
    refresh(first)
    assert version_of(first) == 3
    order = simulator.order(second)
    assert order is not None
    simulator.write_line(order["order_line"][0]["id"], name="Desk, oak")
    refresh(second)
    assert version_of(second) == 4, "a line alone changed"
    simulator.delete_order(first)
    refresh(first)
    assert version_of(first) == 5
    assert told(first) == [("created", 1), ("changed", 3), ("archived", 5)]
    assert told(second) == [("created", 2), ("changed", 4)]
    assert VersionCounter.objects.get().last == 5


def test_forbidden_and_restored_raise_it_too(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    simulator.faults.forbid([order_id])
    refresh(order_id)
    assert told(order_id)[-1] == ("forbidden", 2)
    simulator.faults.forbid([])
    refresh(order_id)
    assert told(order_id)[-1] == ("restored", 3)
    assert version_of(order_id) == 3


def test_a_look_that_finds_nothing_leaves_it(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    before = BC.objects.get(odoo_id=order_id)
    refresh(order_id)
    after = BC.objects.get(odoo_id=order_id)
    assert after.version == before.version == 1
    assert after.synced_at != before.synced_at


def test_lines_that_move_raise_both_orders(simulator: Simulator) -> None:
    first, second = (simulator.create_order(lines=LINES) for _ in range(2))
    refresh(first, second)
    order = simulator.order(first)
    assert order is not None
    simulator.move_line(order["order_line"][0]["id"], second)
    refresh(second)
    assert sorted([version_of(first), version_of(second)]) == [3, 4]


def test_an_apply_that_is_rolled_back_uses_no_version(simulator: Simulator, odoo: Odoo) -> None:
    order_id = simulator.create_order(lines=LINES)
    ledger.mark([order_id], Mark(cause="webhook"))
    token = uuid.uuid4()
    rows = ledger.claim(10, token).rows
    found = map_order(odoo.fetch([order_id]).orders[order_id])
    PendingBC.objects.update(claim_token=None)
    with pytest.raises(ledger.LeaseLost):
        apply(token, [FetchedRow(rows[0], found)], early=False)
    assert VersionCounter.objects.get().last == 0
    assert not BC.objects.exists()


def test_after_is_in_the_order_of_the_changes(simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(3)]
    refresh(*ids)
    simulator.write_order(ids[0], partner_ref="B")
    simulator.delete_order(ids[1])
    refresh(ids[0])
    refresh(ids[1])
    assert [bc.odoo_id for bc in BC.objects.after(0)] == [ids[2], ids[0], ids[1]]
    assert [bc.odoo_id for bc in BC.objects.after(3)] == [ids[0], ids[1]]
    assert not BC.objects.after(5).exists()


def test_a_lost_counter_is_told(simulator: Simulator) -> None:
    VersionCounter.objects.all().delete()
    order_id = simulator.create_order(lines=LINES)
    refresh(order_id)
    row = PendingBC.objects.get()
    assert "has lost its row" in row.last_error
    assert not BC.objects.exists()


def test_orders_copied_before_there_were_versions_get_theirs(monkeypatch: Any) -> None:
    migration = import_module("bc_consumer.migrations.0007_versions_of_copied_orders")
    monkeypatch.setattr(migration, "AT_ONCE", 3)
    VersionCounter.objects.update(last=7)
    copied.bc(99, version=7)
    for odoo_id in (5, 4, 3, 2, 1, 8, 9):
        copied.bc(odoo_id)
    with connection.schema_editor() as editor:
        migration.give_versions(apps, editor)
    ordered = BC.objects.after(0).values_list("odoo_id", "version")
    assert list(ordered) == [(99, 7), (5, 8), (4, 9), (3, 10), (2, 11), (1, 12), (8, 13), (9, 14)]
    assert VersionCounter.objects.get().last == 14


# --- concurrency --------------------------------------------------------------------------------


class Reader(threading.Thread):
    """Polls «after N» as an application does, and notes every (order, version) that it saw."""

    def __init__(self) -> None:
        super().__init__(name="reader", daemon=True)
        self.seen: set[tuple[int, int]] = set()
        self.stop = threading.Event()
        self.highest = 0

    def run(self) -> None:
        try:
            last_round = False
            while not last_round:
                last_round = self.stop.is_set()
                for odoo_id, version in BC.objects.after(self.highest).values_list(
                    "odoo_id", "version"
                ):
                    self.seen.add((odoo_id, version))
                    self.highest = version
        finally:
            connection.close()


def in_threads(count: int, work: Callable[[int], None]) -> list[BaseException]:
    """Run ``work(0)`` … ``work(count - 1)`` at once; return what they raised."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except Exception as error:  # noqa: BLE001 (reported by the caller)
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "deadlocked?"
    return errors


@pytest.mark.skipif(ON_SQLITE, reason="SQLite has one writer")
def test_a_reader_that_goes_on_from_n_misses_no_change(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.BATCH_SIZE = 4
    ids = [simulator.create_order(lines=LINES) for _ in range(48)]
    reader = Reader()
    reader.start()

    def worker(number: int) -> None:
        own = ids[number::6]
        for turn in range(6):
            for odoo_id in own:
                simulator.write_order(odoo_id, partner_ref=f"{number}.{turn}")
            ledger.mark(own, Mark(cause="webhook"))
            work_off(turn=2.0)

    try:
        errors = in_threads(6, worker)
        while work_off():
            pass
    finally:
        reader.stop.set()
        reader.join(30)
    assert errors == []
    assert PendingBC.objects.count() == 0
    final = set(BC.objects.values_list("odoo_id", "version"))
    assert len(final) == 48
    assert final - reader.seen == set(), "the reader went past these before they showed"
    told = JournalEntry.objects.filter(version__isnull=False).order_by("version")
    numbers = list(told.values_list("version", flat=True))
    assert numbers == list(range(1, len(numbers) + 1)), "each number once, without a gap"


@pytest.mark.skipif(ON_SQLITE, reason="SQLite has one writer")
def test_the_next_number_waits_for_the_commit_of_the_one_before() -> None:
    for odoo_id in (1, 2):
        copied.bc(odoo_id)
    first_has_number, second_done = threading.Event(), threading.Event()
    may_commit = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            with transaction.atomic():
                assert writer.number_versions([1]) == {1: 1}
                first_has_number.set()
                assert may_commit.wait(60)
        else:
            assert first_has_number.wait(60)
            with transaction.atomic():
                assert writer.number_versions([2]) == {2: 2}
            second_done.set()

    caught: list[BaseException] = []
    threads = threading.Thread(target=lambda: caught.extend(in_threads(2, work)), daemon=True)
    threads.start()
    assert first_has_number.wait(60)
    wait_until(lambda: waiting_for_a_lock() == 1, what="the second to wait")
    assert list(BC.objects.after(0)) == []
    assert not second_done.is_set()
    may_commit.set()
    threads.join(30)
    assert caught == []
    assert list(BC.objects.after(0).values_list("odoo_id", "version")) == [(1, 1), (2, 2)]


def waiting_for_a_lock() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.skipif(ON_SQLITE, reason="SQLite has one writer")
def test_a_mark_does_not_wait_for_the_counter() -> None:
    copied.bc(1)
    copied.pending(1)
    has_number, may_commit = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        with transaction.atomic():
            writer.number_versions([1])
            has_number.set()
            assert may_commit.wait(60)

    holder = threading.Thread(target=lambda: in_threads(1, hold), daemon=True)
    holder.start()
    assert has_number.wait(60)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '5s'")
            ledger.mark([1, 2], Mark(cause="webhook"))  # raises where it has to wait that long
    finally:
        may_commit.set()
        holder.join(30)
    assert PendingBC.objects.get(odoo_id=1).generation == 2
