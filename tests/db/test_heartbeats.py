"""Which processes are alive."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client

import bc_consumer
from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.ledger import Mark
from bc_consumer.models import CallSlot, Heartbeat, PendingBC, SyncState
from bc_consumer.operations.heartbeats import (
    ALIVE,
    FORGET,
    HeartbeatThread,
    alive,
    start_web_heart,
)
from tests.services.waiting import wait_until

WORKER, SCHEDULER, WEB = Heartbeat.Kind.WORKER, Heartbeat.Kind.SCHEDULER, Heartbeat.Kind.WEB


def heard(kind: Heartbeat.Kind, pid: int, ago: timedelta = timedelta(0)) -> None:
    Heartbeat.objects.create(kind=kind, host="machine", pid=pid, at=Now() - ago)


@pytest.mark.django_db
def test_only_those_heard_of_lately_count() -> None:
    heard(WORKER, 1)
    heard(WORKER, 2, ALIVE - timedelta(seconds=5))
    heard(WORKER, 3, ALIVE + timedelta(seconds=5))
    assert alive() == {WORKER: 2, SCHEDULER: 0, WEB: 0}


@pytest.mark.django_db
def test_the_status_tells_them(client: Client) -> None:
    heard(WORKER, 1)
    heard(WORKER, 2)
    heard(SCHEDULER, 3)
    body = json.loads(client.get("/status.json").content)
    assert (body["workers"], body["schedulers"]) == (2, 1)


@pytest.mark.django_db(transaction=True)
def test_a_process_is_alive_until_it_ends_in_good_order() -> None:
    heard(SCHEDULER, 1, FORGET + timedelta(minutes=1))
    heard(SCHEDULER, 2, FORGET - timedelta(minutes=1))
    stop = threading.Event()
    hearts = [HeartbeatThread(kind, stop) for kind in (WORKER, SCHEDULER)]
    for heart in hearts:
        heart.start()
    wait_until(lambda: alive() == {WORKER: 1, SCHEDULER: 1, WEB: 0}, what="both hearts to beat")
    row = Heartbeat.objects.get(kind=WORKER)
    assert (row.host, row.pid) == (socket.gethostname(), os.getpid())
    # What is a day old is forgotten, what is a little younger can still be told of.
    assert set(Heartbeat.objects.filter(kind=SCHEDULER).values_list("pid", flat=True)) == {
        2,
        os.getpid(),
    }
    stop.set()
    for heart in hearts:
        heart.join(5)
    assert alive() == {WORKER: 0, SCHEDULER: 0, WEB: 0}


@pytest.mark.django_db(transaction=True)
def test_a_second_beat_only_moves_the_time() -> None:
    heart = HeartbeatThread(WORKER, threading.Event())
    heart._run_guarded(heart._beat)
    Heartbeat.objects.update(at=Now() - timedelta(minutes=10))
    assert alive()[WORKER] == 0
    heart._run_guarded(heart._beat)
    assert alive()[WORKER] == 1
    assert Heartbeat.objects.count() == 1


@pytest.fixture
def claimed(single_rows: None) -> Iterator[None]:
    """Orders 1 and 2 in the hands of this process, and a call."""
    ledger.mark([1, 2], Mark(cause="webhook"))
    assert len(ledger.claim(10, ledger.new_token()).rows) == 2
    later = Now() + timedelta(minutes=1)
    CallSlot.objects.create(pk=1, taken_until=later, owner=process_state.process_number())
    yield
    process_state.wake.clear()


def in_hand() -> int:
    """Return how many orders somebody has in hand, and slots for calls."""
    slots = CallSlot.objects.filter(taken_until__gt=Now()).count()
    return PendingBC.objects.exclude(claim_token=None).count() + slots


def dead(number: int, pid: int = 1) -> None:
    heard(WORKER, pid, ALIVE + timedelta(seconds=1))
    Heartbeat.objects.filter(pid=pid).update(number=number)


@pytest.mark.django_db(transaction=True)
def test_what_a_dead_process_had_in_hand_is_free_as_soon_as_that_is_noticed(claimed: None) -> None:
    dead(process_state.process_number())
    heart = HeartbeatThread(SCHEDULER, threading.Event())
    heart._beat()
    # The first beat after a time without: the others may be as late as this one.
    assert in_hand() == 3
    heart._beat()
    assert in_hand() == 0
    assert ledger.seconds_until_due() == 0.0
    assert process_state.wake.is_set()
    assert not Heartbeat.objects.filter(pid=1).exclude(number=None).exists()


@pytest.mark.django_db(transaction=True)
def test_what_a_living_process_has_in_hand_stays_its_own(claimed: None) -> None:
    dead(process_state.process_number() ^ 1)
    heard(WORKER, 2, ALIVE - timedelta(seconds=5))
    Heartbeat.objects.filter(pid=2).update(number=process_state.process_number())
    heart = HeartbeatThread(WORKER, threading.Event())
    heart._beat()
    heart._beat()
    assert in_hand() == 3


@pytest.mark.django_db(transaction=True)
def test_another_process_of_the_same_machine_and_id_is_no_sign_of_a_death(
    claimed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two containers with one fixed host name show the same of both."""
    first = process_state.process_number()
    HeartbeatThread(WORKER, threading.Event())._beat()
    with monkeypatch.context() as patch:
        patch.setitem(process_state._numbers, os.getpid(), first ^ 1)
        other = HeartbeatThread(WORKER, threading.Event())
        other._beat()
        other._beat()
        assert alive()[WORKER] == 2
        assert in_hand() == 3
        # Its predecessor in the same container, killed, is known by what it misses.
        Heartbeat.objects.filter(number=first).update(at=Now() - ALIVE - timedelta(seconds=1))
        other._beat()
    assert in_hand() == 0
    assert alive()[WORKER] == 1


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_does_not_end_a_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    heart = HeartbeatThread(WORKER, threading.Event())
    with monkeypatch.context() as patch:
        patch.setattr(Heartbeat._meta, "db_table", "no_such_table")
        heart._run_guarded(heart._beat)
    heart._run_guarded(heart._beat)
    assert alive()[WORKER] == 1


@pytest.mark.django_db(transaction=True)
def test_a_heart_tells_its_version_and_when_odoo_last_answered(
    single_rows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_state, "odoo_answer", process_state.LastTime())
    heart = HeartbeatThread(WORKER, threading.Event())
    heart._beat()
    row = Heartbeat.objects.get()
    assert (row.version, row.odoo_answered_at) == (bc_consumer.__version__, None)
    process_state.odoo_answer.note()
    heart._beat()
    row = Heartbeat.objects.get()
    assert row.odoo_answered_at is not None
    assert row.at - timedelta(seconds=5) < row.odoo_answered_at <= row.at


@pytest.mark.django_db(transaction=True)
def test_the_last_webhook_is_known_to_all_and_outlasts_its_process(
    single_rows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_state, "webhook", process_state.LastTime())
    heart = HeartbeatThread(WEB, threading.Event())
    heart._beat()
    assert SyncState.objects.get().webhook_at is None
    process_state.webhook.note()
    heart._beat()
    first = SyncState.objects.get().webhook_at
    assert first is not None
    heart._beat()
    heart._leave()
    assert SyncState.objects.get().webhook_at == first
    # Another process has stored a later one: an older one takes nothing back.
    SyncState.objects.update(webhook_at=Now())
    later = SyncState.objects.get().webhook_at
    heart._beat()
    assert SyncState.objects.get().webhook_at == later
    SyncState.objects.update(webhook_at=first - timedelta(minutes=5))
    heart._beat()
    known = SyncState.objects.get().webhook_at
    assert known is not None
    assert abs(known - first) < timedelta(seconds=1)


@pytest.mark.django_db(transaction=True)
def test_a_web_process_has_a_heart_as_long_as_it_runs(
    single_rows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_state, "stopping", threading.Event())
    start_web_heart()
    wait_until(lambda: alive()[WEB] == 1, what="its first beat")
    process_state.stopping.set()
    wait_until(lambda: alive()[WEB] == 0, what="its end")


@pytest.mark.django_db(transaction=True)
def test_a_web_process_that_is_gone_is_forgotten_at_once(single_rows: None) -> None:
    """Its server ends it without a word: nobody can tell that from a death."""
    heard(WEB, 1, ALIVE + timedelta(seconds=1))
    heard(WORKER, 2, ALIVE + timedelta(seconds=1))
    heart = HeartbeatThread(SCHEDULER, threading.Event())
    heart._beat()
    heart._beat()
    kinds = Heartbeat.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == [WORKER, SCHEDULER]
