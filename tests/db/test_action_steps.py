"""What each kind of action does, against the simulator: as the command of the same purpose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.contrib.auth.models import Group, Permission, User
from django.core import mail
from django.db import connection
from django.db.models.functions import Now
from django.utils import translation

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import verbatim
from bc_consumer.core.translatable_field import said
from bc_consumer.installation.permissions import ADMINISTRATORS
from bc_consumer.ledger import circuit_breaker
from bc_consumer.messaging.publisher import Publisher
from bc_consumer.models import (
    BC,
    Alert,
    CallSlot,
    Heartbeat,
    JournalEntry,
    OperatorAction,
    Pace,
    PendingBC,
    SyncLog,
    SyncState,
)
from bc_consumer.operations import failed_orders, heartbeats
from bc_consumer.operations.action_requests import ask
from bc_consumer.operations.action_results import messages_in
from bc_consumer.operations.run_control import ask_to_stop, unlock
from bc_consumer.reconciliation import lock
from bc_consumer.reconciliation.lock import AlreadyRunning, Lock
from bc_consumer.reconciliation.run import reconcile, reconcile_slice
from bc_consumer.reconciliation.schedule import RunRequest, due, nightly_is_due
from bc_consumer.refresh.batch import work_off
from bc_consumer.refresh.compare_order import compare
from bc_consumer.refresh.refresh_now import OrderOutcome
from bc_consumer.workers import action_runner, action_steps
from bc_consumer.workers.action_runner import ActionsThread
from odoo_simulator import Simulator
from tests.db.conftest import proven, refresh
from tests.db.copied import failed
from tests.services.waiting import wait_until
from tests.unit.site import serving_site

pytestmark = pytest.mark.usefixtures("odoo")

Kind = OperatorAction.Kind
Status = OperatorAction.Status
LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35, "product_id": 1},
    {"name": "Gift", "product_qty": 1, "price_unit": 0.0},
]


@pytest.fixture
def chief(db: None) -> User:
    made = User.objects.create(username="chief", is_staff=True)
    made.groups.add(Group.objects.get(name=ADMINISTRATORS))
    return made


@pytest.fixture
def perform(chief: User) -> Iterator[Callable[..., OperatorAction]]:
    """Ask for an action, and let a worker's thread do it; give its row."""
    thread = ActionsThread()

    def join() -> None:
        for one in list(thread._in_hand.values()):
            one.join(60)
            assert not one.is_alive()

    def do(kind: OperatorAction.Kind, **parameters: Any) -> OperatorAction:
        action = ask(kind, chief, **parameters)
        thread.run_round()
        join()
        return OperatorAction.objects.get(pk=action.pk)

    yield do
    process_state.stopping.set()
    join()
    process_state.stopping.clear()


@pytest.fixture
def ids(simulator: Simulator) -> list[int]:
    """A copy of four orders."""
    made = [simulator.create_order(lines=LINES) for _ in range(4)]
    assert reconcile(RunRequest(SyncLog.Cause.COMMAND)).status == SyncLog.Status.OK
    return made


def line_ids(simulator: Simulator, order_id: int) -> list[int]:
    order = simulator.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


def dump() -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, but for actions, and what calls to Odoo take turns by."""
    return {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in apps.get_app_config("bc_consumer").get_models()
        if model not in {CallSlot, Pace, OperatorAction}
    }


# --- compare -------------------------------------------------------------------------------------


def test_an_order_that_is_alike_is_told_to_be(
    perform: Callable[..., OperatorAction], ids: list[int]
) -> None:
    before = dump()
    action = perform(Kind.COMPARE, odoo_id=ids[0])
    assert (action.status, action.outcome) == (
        Status.DONE,
        f"P{ids[0]:05}: the copy equals Odoo.",
    )
    order = action.result["order"]
    assert (order["exists_in_copy"], order["exists_in_odoo"], order["changes"]) == (True, True, {})
    assert dump() == before, "a comparison writes nothing"


def test_what_differs_is_told_as_the_journal_would(
    perform: Callable[..., OperatorAction], simulator: Simulator, ids: list[int]
) -> None:
    simulator.write_order(ids[0], partner_ref="new")
    changed, deleted = line_ids(simulator, ids[0])
    simulator.write_line(changed, name="Table")
    simulator.delete_line(deleted)
    added = simulator.add_line(ids[0], name="Lamp", product_qty=1, price_unit=3)
    before = dump()
    action = perform(Kind.COMPARE, odoo_id=ids[0])
    assert action.outcome == f"P{ids[0]:05}: the copy differs from Odoo."
    changes = action.result["order"]["changes"]
    assert changes["fields"]["partner_ref"][1] == "new"
    assert changes["lines"]["changed"][str(changed)]["name"] == ["Desk", "Table"]
    assert changes["lines"]["added"] == {str(added): "Lamp"}
    assert changes["lines"]["deleted"] == {str(deleted): "Gift"}
    assert dump() == before
    refresh(ids[0])
    entry = JournalEntry.objects.filter(odoo_id=ids[0]).latest("id")
    assert entry.changes == changes, "reading it changes just that"


def test_a_line_that_moved_here_is_told_as_added(simulator: Simulator, ids: list[int]) -> None:
    moved = line_ids(simulator, ids[1])[0]
    simulator.move_line(moved, ids[0])
    assert str(moved) in compare(ids[0]).changes["lines"]["added"]


def test_where_the_order_is_missing_is_told(simulator: Simulator, ids: list[int]) -> None:
    new = simulator.create_order(lines=LINES)
    simulator.delete_order(ids[0])
    simulator.faults.forbid([ids[1]])
    found = {odoo_id: compare(odoo_id) for odoo_id in (new, ids[0], ids[1], 9999)}
    assert (found[new].exists_in_copy, found[new].exists_in_odoo) == (False, True)
    assert (found[ids[0]].exists_in_copy, found[ids[0]].exists_in_odoo) == (True, False)
    assert (found[ids[1]].exists_in_copy, found[ids[1]].exists_in_odoo) == (True, "forbidden")
    assert (found[9999].exists_in_copy, found[9999].exists_in_odoo) == (False, False)
    texts = {action_steps._comparison_told(one) for one in found.values()}
    assert len(texts) == 3 + 1


def test_odoo_away_is_the_outcome_and_no_error_of_ours(
    perform: Callable[..., OperatorAction], simulator: Simulator, ids: list[int]
) -> None:
    simulator.faults.http_status(502)
    action = perform(Kind.COMPARE, odoo_id=ids[0])
    assert action.status == Status.FAILED
    assert "HTTP 502" in action.outcome
    assert action.outcome.form is not None


# --- read again ----------------------------------------------------------------------------------


@pytest.mark.slow("waits for what a worker does")
def test_orders_are_read_again_and_each_outcome_is_told(
    perform: Callable[..., OperatorAction], simulator: Simulator, ids: list[int]
) -> None:
    simulator.write_order(ids[0], partner_ref="new")
    simulator.faults.poison(ids[1])
    action = perform(Kind.READ_AGAIN, odoo_ids=[*ids[:3], 9999])
    assert action.status == Status.DONE, action.outcome
    assert (action.done, action.total) == (4, 4)
    orders = {order["odoo_id"]: order for order in action.result["orders"]}
    assert {odoo_id: order["outcome"] for odoo_id, order in orders.items()} == {
        ids[0]: "changed", ids[1]: "failed", ids[2]: "unchanged", 9999: "unconfirmed",
    }  # fmt: skip
    assert orders[ids[0]]["changes"]["fields"]["partner_ref"] == ["", "new"]
    assert "poisoned" in str(orders[ids[1]]["error"])
    assert action.outcome == "Read from Odoo: 3, of which unchanged: 1. Failed: 1."
    assert BC.objects.get(odoo_id=ids[0]).partner_ref == "new"


@pytest.mark.parametrize(
    ("outcomes", "status", "outcome"),
    [
        (["failed"], Status.FAILED, "Read from Odoo: 0, of which unchanged: 0. Failed: 1."),
        (
            ["unchanged", "failed", "held", "changed"],
            Status.DONE,
            "Read from Odoo: 2, of which unchanged: 1. Failed: 1. Still on hold: 1.",
        ),
    ],
)
def test_what_failed_is_not_told_as_read(
    perform: Callable[..., OperatorAction],
    monkeypatch: pytest.MonkeyPatch,
    single_rows: None,
    outcomes: list[str],
    status: OperatorAction.Status,
    outcome: str,
) -> None:
    orders = [OrderOutcome(n, f"P{n}", one) for n, one in enumerate(outcomes, 1)]
    monkeypatch.setattr(action_steps, "refresh_now", lambda *_a, **_k: iter(orders))
    action = perform(Kind.READ_AGAIN, odoo_ids=[one.odoo_id for one in orders])
    assert (action.status, action.outcome) == (status, outcome)


def test_reading_again_ends_at_its_deadline_and_leaves_the_marks(
    perform: Callable[..., OperatorAction], ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadlines = dict.fromkeys(Kind, 1)
    monkeypatch.setattr(action_runner, "DEADLINES", deadlines)
    ledger.mark(ids[:1], ledger.Mark(cause="webhook"))
    token = ledger.new_token()
    PendingBC.objects.update(claim_token=token, claimed_until=Now() + timedelta(seconds=90))
    action = perform(Kind.READ_AGAIN, odoo_ids=ids[:1])
    assert action.status == Status.FAILED
    assert "took longer" in action.outcome
    assert PendingBC.objects.get(pk=ids[0]).generation == 2


# --- replay --------------------------------------------------------------------------------------


@pytest.fixture
def _worker(odoo: object) -> Iterator[None]:
    """A thread that works off what is due, as any worker's timer does."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            work_off()
            PendingBC.objects.filter(attempts__gt=0, failed_at__isnull=True).update(due_at=Now())
            done.wait(0.05)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    done.set()
    thread.join(30)


@pytest.mark.slow("waits for what a worker does")
@pytest.mark.usefixtures("_worker")
def test_a_cause_is_replayed_and_followed_until_all_are_through(
    perform: Callable[..., OperatorAction], simulator: Simulator, ids: list[int]
) -> None:
    for odoo_id in ids[:3]:
        simulator.faults.poison(odoo_id)
    ledger.mark(ids[:3], ledger.Mark(cause="webhook"))
    wait_until(lambda: failed_orders.failed().count() == 3, what="failures")
    (group,) = failed_orders.groups(failed_orders.failed())
    other = failed(999, failure="another cause")
    for odoo_id in ids[:2]:
        simulator.faults.cure(odoo_id)
    action = perform(Kind.REPLAY, failure=group.failure)
    assert action.status == Status.DONE, action.outcome
    assert action.outcome == "3 orders were replayed. Succeeded: 2, failed again: 1."
    assert action.result == {
        "replayed": 3, "waiting": 0, "failed": 1, "held": 0, "in_vain": 0, "through": 2,
    }  # fmt: skip
    assert (action.done, action.total) == (3, 3)
    other.refresh_from_db()
    assert other.failed_at is not None, "what has another cause stays"


@pytest.mark.usefixtures("_worker")
def test_a_selection_is_replayed(perform: Callable[..., OperatorAction], ids: list[int]) -> None:
    failed(ids[0])
    failed(ids[1])
    action = perform(Kind.REPLAY, odoo_ids=[ids[0], 12345])
    assert action.result["replayed"] == action.result["through"] == 1
    assert list(failed_orders.failed().values_list("pk", flat=True)) == [ids[1]]


def test_a_replay_that_nobody_works_off_ends_with_what_waits(
    perform: Callable[..., OperatorAction], ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_steps, "MARGIN_SECONDS", 1e6)
    failed(ids[0])
    action = perform(Kind.REPLAY, all=True)
    assert action.status == Status.DONE
    assert action.outcome.endswith("Still waiting: 1.")


def test_what_is_held_or_waits_for_a_stuck_order_is_not_told_as_through(
    perform: Callable[..., OperatorAction], ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_steps, "MARGIN_SECONDS", -1e6)  # it would wait for its deadline
    for odoo_id in ids[:3]:
        failed(odoo_id)
    failed(999, error_class="OdooFault", failure="another cause")

    def replay(replayed: list[int], _tell: object) -> int:
        count = len(replayed)
        PendingBC.objects.filter(pk=ids[0]).delete()
        PendingBC.objects.filter(pk=ids[1]).update(failed_at=None, held_reason="too many")
        PendingBC.objects.filter(pk=ids[2]).update(
            failed_at=None, error_class=ledger.WAITS_FOR_ANOTHER_ORDER
        )
        return count

    monkeypatch.setattr(failed_orders, "replay", replay)
    action = perform(Kind.REPLAY, odoo_ids=ids[:3])
    assert action.outcome == (
        "3 orders were replayed. Succeeded: 1, failed again: 0. On hold: 1. Waiting for another"
        " order that is stuck: 1."
    )


def test_a_replay_is_not_followed_while_odoo_is_away(
    perform: Callable[..., OperatorAction], ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_steps, "MARGIN_SECONDS", -1e6)
    failed(ids[0])
    circuit_breaker.record_failure(verbatim("HTTP 502"), probing=False, refused=False)
    action = perform(Kind.REPLAY, all=True)
    assert action.status == Status.DONE
    assert action.outcome.endswith("Still waiting: 1. Odoo is away: they are read once it is back.")


@pytest.mark.slow("waits for what a worker does")
def test_what_fails_while_a_replay_is_followed_can_be_replayed_at_once(
    chief: User, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_steps, "FOLLOW_SECONDS", 0.05)
    failed(ids[0])
    first, thread = ask(Kind.REPLAY, chief, all=True), ActionsThread()
    thread.run_round()
    wait_until(
        lambda: OperatorAction.objects.get(pk=first.pk).result.get("waiting") == 1,
        what="the replay that is followed",
    )
    failed(ids[1])
    second = ask(Kind.REPLAY, chief, all=True)
    assert second.pk != first.pk
    OperatorAction.objects.filter(pk=second.pk).update(asked_at=Now() - timedelta(seconds=9))
    thread._in_hand["replays"].join(60)
    first.refresh_from_db()
    assert first.outcome.endswith("Still waiting: 1."), "it gives way, and loses no order"
    thread.run_round()
    wait_until(lambda: not failed_orders.failed().exists(), what="the second replay's marks")
    process_state.stopping.set()
    thread._in_hand["replays"].join(60)
    process_state.stopping.clear()


def test_a_large_replay_by_button_wakes_as_few_workers_as_the_command(
    perform: Callable[..., OperatorAction], ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_steps, "MARGIN_SECONDS", 1e6)
    monkeypatch.setattr(failed_orders, "AT_ONCE", 8)
    woken: list[int] = []
    monkeypatch.setattr(Publisher, "wake", lambda _self, some: woken.extend(some))
    for odoo_id in range(1000, 1040):
        failed(odoo_id)
    assert perform(Kind.REPLAY, all=True).result["replayed"] == 40
    assert len(woken) == failed_orders.WAKE_UPS


def test_a_replay_keeps_no_order_from_being_read() -> None:
    (lane,) = (kinds for kinds in action_steps.LANES.values() if Kind.REPLAY in kinds)
    assert set(lane) == {Kind.REPLAY}


# --- held orders ---------------------------------------------------------------------------------


@pytest.fixture
def held(simulator: Simulator, settings: LazySettings, ids: list[int]) -> list[int]:
    """Two orders whose archiving the brake holds."""
    settings.BRAKE_ARCHIVINGS, settings.BRAKE_SHARE = 1, 0.0
    simulator.delete_order(ids[:2])
    refresh(*ids[:2])
    assert PendingBC.objects.exclude(held_reason="").count() == 2
    return ids[:2]


def test_released_orders_are_looked_at_again_and_the_brake_decides(
    perform: Callable[..., OperatorAction], settings: LazySettings, held: list[int]
) -> None:
    action = perform(Kind.RELEASE, odoo_ids=held)
    assert action.outcome == "Read from Odoo: 0, of which unchanged: 0. Still on hold: 2."
    settings.BRAKE_ARCHIVINGS = 20
    action = perform(Kind.RELEASE, odoo_ids=held)
    assert {order["outcome"] for order in action.result["orders"]} == {"archived"}


def test_archiving_goes_past_the_brake_and_touches_no_order_that_is_not_held(
    perform: Callable[..., OperatorAction], simulator: Simulator, ids: list[int], held: list[int]
) -> None:
    simulator.delete_order(ids[2])
    action = perform(Kind.ARCHIVE, odoo_ids=[held[0], ids[2]])
    assert [order["odoo_id"] for order in action.result["orders"]] == [held[0]]
    gone = BC.objects.filter(archived_at__isnull=False)
    assert list(gone.values_list("odoo_id", flat=True)) == [held[0]]
    again = perform(Kind.ARCHIVE, odoo_ids=[held[0], ids[2]])
    assert (again.status, again.outcome) == (
        Status.REFUSED, "None of these orders is on hold any more.",
    )  # fmt: skip


def test_what_is_held_while_a_release_waits_can_be_released_by_another(
    chief: User, held: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_steps, "REFRESHED_AT_ONCE", 1)
    pks: list[int] = []

    def refreshed(some: list[int], *, check: Callable[[], None], **_options: Any) -> Iterator[Any]:
        check()
        pks.append(ask(Kind.RELEASE, chief, all=True).pk)
        yield OrderOutcome(some[0], "", "unchanged")

    monkeypatch.setattr(action_steps, "refresh_now", refreshed)
    first, thread = ask(Kind.RELEASE, chief, all=True), ActionsThread()
    thread.run_round()
    thread._in_hand["orders"].join(60)
    assert pks[0] == first.pk, "some orders are still to be released"
    assert pks[1] > first.pk


def test_all_that_are_on_hold_are_archived_and_the_result_stays_short(
    perform: Callable[..., OperatorAction], held: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_steps, "REFRESHED_AT_ONCE", 1)
    monkeypatch.setattr(action_steps, "OUTCOMES_SHOWN", 1)
    action = perform(Kind.ARCHIVE, all=True)
    assert action.outcome == "Read from Odoo: 2, of which unchanged: 0."
    assert (action.done, action.total, len(action.result["orders"])) == (2, 2, 1)
    gone = BC.objects.filter(archived_at__isnull=False).order_by("odoo_id")
    assert list(gone.values_list("odoo_id", flat=True)) == sorted(held)


# --- runs ----------------------------------------------------------------------------------------


@pytest.mark.slow("plays several whole runs")
def test_a_run_is_the_commands_and_its_row_is_told(
    perform: Callable[..., OperatorAction], simulator: Simulator, ids: list[int]
) -> None:
    simulator.update_sql("purchase.order", ids[0], {"partner_ref": "no date tells"})
    action = perform(Kind.RUN, full=True)
    run = SyncLog.objects.latest("id")
    assert action.result == {"run": run.pk, "status": "ok"}
    assert (action.status, run.cause, run.full, run.forced) == (
        Status.DONE, SyncLog.Cause.COMMAND, True, False,
    )  # fmt: skip
    assert action.outcome.startswith("ok: ")
    assert BC.objects.get(odoo_id=ids[0]).partner_ref == "no date tells"
    since = database_now() - timedelta(days=2)
    perform(Kind.RUN, since=since, force=True)
    run = SyncLog.objects.latest("id")
    assert (run.window_since, run.forced) == (since, True)


def test_a_run_that_fails_is_a_failed_action(
    perform: Callable[..., OperatorAction], simulator: Simulator, ids: list[int]
) -> None:
    simulator.faults.http_status(502)
    action = perform(Kind.RUN)
    assert action.status == Status.FAILED
    assert action.result["status"] == "failed"
    assert "HTTP 502" in action.outcome


def test_a_run_beside_another_is_refused(
    perform: Callable[..., OperatorAction], ids: list[int]
) -> None:
    other = Lock()
    assert other.take()
    running = SyncLog.objects.create(started_at=database_now(), cause=SyncLog.Cause.NIGHTLY)
    action = perform(Kind.RUN)
    other.give_back()
    assert action.status == Status.REFUSED
    assert action.outcome.startswith(f"Another run is at work: run {running.pk} (nightly, begun at")


class AtWork:
    """A run in a thread, which goes on as long as Odoo is slow."""

    def __init__(self, simulator: Simulator, cause: SyncLog.Cause) -> None:
        simulator.bulk_create(200, 1, spread_days=10)
        simulator.faults.latency(0.3)
        self.ended: list[SyncLog] = []
        self._request = RunRequest(cause)
        self.thread = threading.Thread(target=self._work)
        self.thread.start()
        running = SyncLog.objects.filter(status=SyncLog.Status.RUNNING)
        wait_until(running.exists, what="the run to begin")
        self.run = running.get()

    def _work(self) -> None:
        try:
            self.ended.append(reconcile(self._request))
        finally:
            connection.close()


@pytest.fixture
def at_work(
    simulator: Simulator, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., AtWork]]:
    settings.SYNC_PAGE_SIZE, settings.BATCH_SIZE = 5, 5
    monkeypatch.setattr(lock, "HEAR_SECONDS", 0.1)
    begun: list[AtWork] = []

    def begin(cause: SyncLog.Cause = SyncLog.Cause.COMMAND) -> AtWork:
        begun.append(AtWork(simulator, cause))
        return begun[-1]

    yield begin
    simulator.faults.clear()
    for one in begun:
        ask_to_stop("the test's end")
        one.thread.join(60)


@pytest.mark.slow("plays several whole runs")
def test_the_run_at_work_is_stopped_and_says_by_whom(
    perform: Callable[..., OperatorAction], simulator: Simulator, at_work: Callable[..., AtWork]
) -> None:
    one = at_work()
    action = perform(Kind.STOP)
    assert action.status == Status.DONE
    assert action.result == {"run": one.run.pk}
    assert action.outcome.startswith(f"run {one.run.pk} (command, begun at")
    one.thread.join(60)
    (ended,) = one.ended
    assert (ended.status, ended.error) == (SyncLog.Status.STOPPED, "stopped by chief")
    state = SyncState.objects.get()
    assert (state.is_syncing, state.last_sync) == (False, None), "and the watermark stays"
    assert not Alert.objects.exists(), "a person did it: nobody needs to be told"
    simulator.faults.clear()
    assert reconcile(RunRequest(SyncLog.Cause.COMMAND)).status == SyncLog.Status.OK
    assert BC.objects.count() == 200


def test_a_stop_is_for_the_run_that_was_seen(
    perform: Callable[..., OperatorAction], at_work: Callable[..., AtWork]
) -> None:
    one = at_work()
    action = perform(Kind.STOP, run=one.run.pk - 1)
    assert (action.status, action.outcome) == (Status.REFUSED, "No run is at work.")
    one.run.refresh_from_db()
    assert one.run.stop_asked_by == ""


def test_nothing_is_stopped_where_nothing_runs(
    perform: Callable[..., OperatorAction], ids: list[int]
) -> None:
    assert perform(Kind.STOP).outcome == "No run is at work."
    killed = SyncLog.objects.create(started_at=database_now(), cause=SyncLog.Cause.COMMAND)
    action = perform(Kind.STOP)
    assert action.status == Status.REFUSED
    assert f"run {killed.pk}" in action.outcome
    assert "The next run closes it" in action.outcome


def test_a_stopped_night_is_not_begun_again_before_the_next(
    settings: LazySettings, at_work: Callable[..., AtWork]
) -> None:
    settings.SYNC_NIGHTLY_AT = (database_now() - timedelta(hours=1)).time()
    one = at_work(SyncLog.Cause.NIGHTLY)
    assert ask_to_stop("chief").done
    one.thread.join(60)
    SyncLog.objects.update(ended_at=Now() - timedelta(minutes=50))
    assert not nightly_is_due(database_now())
    assert due() == []
    assert nightly_is_due(database_now() + timedelta(days=1))


def test_a_night_between_two_slices_stops_at_its_next_one(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_NIGHTLY_AT = (database_now() - timedelta(hours=1)).time()
    settings.SYNC_SLICE_SECONDS, settings.SYNC_PAGE_SIZE = 0.01, 5
    simulator.bulk_create(50, 1, spread_days=10)
    run = reconcile_slice(None)
    assert run is not None
    assert ask_to_stop("chief").done
    assert reconcile_slice(run) is None
    ended = SyncLog.objects.get(pk=run)
    assert (ended.status, ended.error) == (SyncLog.Status.STOPPED, "stopped by chief")
    assert not SyncState.objects.get().is_syncing


def test_a_worker_that_is_stopped_has_its_run_begun_again_by_another(
    chief: User, simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_PAGE_SIZE, settings.BATCH_SIZE = 5, 5
    simulator.bulk_create(100, 1, spread_days=10)
    simulator.faults.latency(0.2)
    action = ask(Kind.RUN, chief)
    thread = ActionsThread()
    thread.run_round()
    wait_until(lambda: OperatorAction.objects.get().result.get("run"), what="the run")
    process_state.stopping.set()
    for one in thread._in_hand.values():
        one.join(30)
    action.refresh_from_db()
    assert (action.status, action.attempts) == (Status.ASKED, 0)
    assert SyncLog.objects.get().was_interrupted
    process_state.stopping.clear()


# --- the lock ------------------------------------------------------------------------------------


def hold(owner: str, *, lease: float = 60.0) -> None:
    until = database_now() + timedelta(seconds=lease)
    SyncState.objects.update(is_syncing=True, owner=owner, lease_until=until)
    SyncLog.objects.get_or_create(
        status=SyncLog.Status.RUNNING,
        defaults={"started_at": database_now(), "cause": SyncLog.Cause.NIGHTLY},
    )


def beat(number: int, *, age: float = 0.0) -> None:
    at = database_now() - timedelta(seconds=age)
    Heartbeat.objects.create(
        kind=Heartbeat.Kind.WORKER, host="machine", pid=77, at=at, number=number
    )


NUMBER = process_state.LOWEST_NUMBER + 5
OF_PROCESS = f"{SyncState.OF_PROCESS}{UUID(int=NUMBER << 64)}"


@pytest.mark.parametrize(
    ("owner", "lease", "beats", "why"),
    [
        ("somebody", 60, None, "belongs to a command"),
        (OF_PROCESS, 60, 1, "Its process is alive: 77 on machine"),
        (f"{SyncState.BETWEEN_SLICES}1", 595, 1, "between two slices"),
    ],
)
def test_the_lock_of_a_run_that_may_be_alive_is_not_released(
    perform: Callable[..., OperatorAction], owner: str, lease: float, beats: float, why: str
) -> None:
    hold(owner, lease=lease)
    if beats is not None:
        beat(NUMBER, age=beats)
    action = perform(Kind.UNLOCK)
    assert action.status == Status.REFUSED
    assert why in action.outcome
    assert SyncState.objects.get().is_syncing
    forced = perform(Kind.UNLOCK, force=True)
    assert (forced.status, forced.asked_by) == (Status.DONE, "chief")
    assert not SyncState.objects.get().is_syncing


@pytest.mark.parametrize(
    ("owner", "lease", "beats"),
    [
        ("somebody", -1, None),
        (OF_PROCESS, 60, None),
        (OF_PROCESS, 60, 40),
        (OF_PROCESS, -1, 1),
        (f"{SyncState.BETWEEN_SLICES}1", 595, None),
        (f"{SyncState.BETWEEN_SLICES}1", 420, 1),
    ],
)
def test_the_lock_of_a_dead_run_is_released(
    perform: Callable[..., OperatorAction], owner: str, lease: float, beats: float | None
) -> None:
    hold(owner, lease=lease)
    if beats is not None:
        beat(NUMBER, age=beats)
    action = perform(Kind.UNLOCK)
    assert action.status == Status.DONE, action.outcome
    assert "The lock was released. It was held by run" in action.outcome
    state = SyncState.objects.get()
    assert (state.is_syncing, state.owner, state.lease_until) == (False, "", None)


def test_a_lock_that_nobody_holds_is_left_alone(perform: Callable[..., OperatorAction]) -> None:
    action = perform(Kind.UNLOCK)
    assert (action.status, action.outcome) == (Status.REFUSED, "Nobody holds the lock.")


def test_the_owner_of_the_lock_names_the_process_where_that_has_a_heartbeat() -> None:
    stop = threading.Event()
    heart = heartbeats.HeartbeatThread(Heartbeat.Kind.WORKER, stop)
    heart.start()
    try:
        wait_until(Heartbeat.objects.exists, what="a beat")
        one = Lock()
        assert one.take()
        assert SyncState.objects.get().owner.startswith(SyncState.OF_PROCESS)
        with pytest.raises(AlreadyRunning):
            reconcile(RunRequest(SyncLog.Cause.POLL))
        assert "is alive" in unlock().text
        one.give_back()
    finally:
        stop.set()
        heart.join(10)
        process_state.has_heartbeat.clear()


# --- the dry run ---------------------------------------------------------------------------------


def test_differences_are_kept_and_can_be_had_read(
    perform: Callable[..., OperatorAction], chief: User, simulator: Simulator, ids: list[int]
) -> None:
    proven(simulator)
    simulator.write_order(ids[0], partner_ref="new")
    simulator.delete_order(ids[1])
    before = dump()
    action = perform(Kind.DRY_RUN)
    assert action.status == Status.DONE, action.outcome
    assert dump() == before, "a dry run writes nothing"
    found = {order["odoo_id"]: order for order in action.result["orders"]}
    assert found.keys() == set(ids[:2])
    ref = next(one for one in found[ids[0]]["differences"] if one["field"] == "partner_ref")
    assert (ref["kind"], ref["odoo"], ref["here"]) == ("field", "new", "")
    assert found[ids[1]]["differences"][0]["kind"] == "gone from Odoo"
    assert (action.result["differing_orders"], action.result["gone"]) == (2, 1)

    marked = ask(Kind.MARK_DIFFERENCES, chief, action=action.pk, odoo_ids=[ids[0], ids[3]])
    assert (marked.status, marked.result) == (Status.DONE, {"odoo_ids": [ids[0]]})
    row = PendingBC.objects.get()
    assert (row.odoo_id, row.causes) == (ids[0], "operator")
    refused = ask(Kind.MARK_DIFFERENCES, chief, action=action.pk, odoo_ids=[ids[3]])
    assert (refused.status, refused.outcome) == (
        Status.REFUSED, "None of these orders is among its differences.",
    )  # fmt: skip


def test_differing_orders_on_hold_are_released_by_who_may_and_else_counted(
    perform: Callable[..., OperatorAction], simulator: Simulator, held: list[int], ids: list[int]
) -> None:
    simulator.write_order(ids[2], partner_ref="new")
    proven(simulator)
    dry_run = perform(Kind.DRY_RUN)
    assert {one["odoo_id"]: one["standing"] for one in dry_run.result["orders"]} == {
        held[0]: "held", held[1]: "held", ids[2]: "",
    }  # fmt: skip
    chosen = {"action": dry_run.pk, "odoo_ids": [*held, ids[2]]}
    marker = User.objects.create(username="marker", is_staff=True)
    marker.user_permissions.add(Permission.objects.get(codename="ask_mark_differences"))
    marked = ask(Kind.MARK_DIFFERENCES, marker, **chosen)
    assert marked.result == {"odoo_ids": [ids[2]]}
    assert marked.outcome == (
        "1 order is marked, and will be read from Odoo in a moment. 2 orders are on hold: somebody"
        " has to release them first."
    )
    assert set(PendingBC.objects.exclude(held_reason="").values_list("pk", flat=True)) == set(held)
    nothing = ask(Kind.MARK_DIFFERENCES, marker, action=dry_run.pk, odoo_ids=held)
    assert nothing.status == Status.REFUSED
    releaser = User.objects.get(username="chief")
    assert ask(Kind.MARK_DIFFERENCES, releaser, **chosen).result["odoo_ids"] == sorted(
        [*held, ids[2]]
    )
    assert not PendingBC.objects.exclude(held_reason="").exists()


def test_only_the_first_orders_are_kept_and_all_are_counted(
    perform: Callable[..., OperatorAction],
    simulator: Simulator,
    ids: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(action_steps, "ORDERS_SHOWN", 2)
    monkeypatch.setattr(action_steps, "DIFFERENCES_SHOWN", 1)
    for odoo_id in ids:
        simulator.update_sql(
            "purchase.order", odoo_id, {"partner_ref": "new", "origin": "else where " * 100}
        )
    action = perform(Kind.DRY_RUN, full=True)
    assert (action.result["differing_orders"], action.result["found"]) == (4, 8)
    assert [order["odoo_id"] for order in action.result["orders"]] == ids[:2]
    assert [(order["count"], len(order["differences"])) for order in action.result["orders"]] == [
        (2, 1), (2, 1),
    ]  # fmt: skip
    values = [order["differences"][0]["odoo"] for order in action.result["orders"]]
    assert max(map(len, values)) <= action_steps.LONGEST_SHOWN + 1


def test_a_dry_run_tells_what_would_stop_a_run(
    perform: Callable[..., OperatorAction], simulator: Simulator, held: list[int]
) -> None:
    action = perform(Kind.DRY_RUN, full=True)
    reason = messages_in(action.result)["would_stop_a_run"]
    assert "BRAKE_ARCHIVINGS" in reason
    assert reason.form is not None


# --- what is wrong -------------------------------------------------------------------------------


@pytest.mark.slow("waits for what a worker does")
def test_the_doctors_findings_are_in_the_readers_language(
    perform: Callable[..., OperatorAction], ids: list[int]
) -> None:
    action = perform(Kind.DOCTOR)
    checks = {check["name"]: check for check in messages_in(action.result)["checks"]}
    assert (action.done, action.total) == (len(checks), len(checks))
    workers = checks["workers"]
    (finding,) = workers["findings"]
    assert (workers["level"], finding["level"]) == ("error", "error")
    assert "no worker is running" in finding["text"]
    with translation.override("fr"):
        assert said(checks["scheduler"]["title"]) == "Planificateur"
        assert "no worker" not in said(finding["text"])
        assert "Start one" not in said(finding["fix"])
    assert action.outcome.startswith("Errors: ")


def test_a_ping_goes_through_the_public_address(
    perform: Callable[..., OperatorAction], settings: LazySettings
) -> None:
    with serving_site() as url:
        settings.PUBLIC_URL = url
        action = perform(Kind.PING)
    assert action.outcome == "All is in order."
    ping = action.result["checks"][-1]
    texts = [one["text"]["sentence"] for one in ping["findings"]]
    assert texts == [f"a ping with secret {n} came through" for n in (1, 2)]
    settings.PUBLIC_URL = ""
    assert perform(Kind.PING).outcome.startswith("Errors: 1")


def test_a_test_alert_is_sent_by_the_channels(
    perform: Callable[..., OperatorAction], settings: LazySettings
) -> None:
    settings.ALERT_EMAILS = []
    action = perform(Kind.TEST_ALERT)
    assert (action.status, mail.outbox) == (Status.REFUSED, [])
    assert "set ALERT_EMAILS" in action.outcome
    settings.ALERT_EMAILS = ["operators@example.com"]
    action = perform(Kind.TEST_ALERT)
    assert action.status == Status.DONE
    assert action.result["channels"] == [{"name": "ALERT_EMAILS", "error": ""}]
    (message,) = mail.outbox
    assert message.subject == "[BC] test alert"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert perform(Kind.TEST_ALERT).status == Status.FAILED
