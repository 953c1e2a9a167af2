"""What operators ask for: how it is asked, who may, what workers do with it, and what is kept."""

from __future__ import annotations

import io
import itertools
import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.models.functions import Now

from bc_consumer.core import process_state
from bc_consumer.core.local_time import OLDEST
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import gettext, verbatim
from bc_consumer.installation.permissions import (
    ADMINISTRATORS,
    FORMER_NAMES,
    OPERATORS,
    VIEWERS,
    make_groups,
)
from bc_consumer.ledger import new_token
from bc_consumer.models import Heartbeat, OperatorAction, SyncLog
from bc_consumer.operations import (
    action_claims,
    action_parameters,
    action_requests,
    actions_within_request,
    clock_steps,
    retention,
)
from bc_consumer.operations.action_parameters import WrongParameters
from bc_consumer.operations.action_requests import (
    TooManyActions,
    ask,
    cancel,
    may_cancel,
    reason_for_waiting,
    record_done,
    waiting_too_long,
)
from bc_consumer.operations.action_results import CUT, MOST_BYTES, make_storable, messages_in
from bc_consumer.operations.rights import may, may_see_tracebacks
from bc_consumer.workers import action_runner as worker
from bc_consumer.workers import action_steps
from bc_consumer.workers.action_runner import ActionsThread
from bc_consumer.workers.action_steps import Finished, InHand
from tests.conftest import ON_SQLITE
from tests.services.waiting import wait_until

Kind = OperatorAction.Kind
Status = OperatorAction.Status

pytestmark = pytest.mark.usefixtures("single_rows")


def user(group: str = ADMINISTRATORS, name: str = "chief") -> User:
    made, _new = User.objects.get_or_create(username=name, is_staff=True)
    made.groups.set([Group.objects.get(name=group)])
    return User.objects.get(pk=made.pk)  # without the cache of permissions


@pytest.fixture(autouse=True)
def _this_process_goes_on() -> Iterator[None]:
    process_state.stopping.clear()
    yield
    process_state.stopping.clear()


# --- asking --------------------------------------------------------------------------------------


def test_what_is_asked_for_is_kept_with_who_and_when() -> None:
    before, chief = database_now(), user()
    process_state.action_asked.clear()
    action = ask(Kind.COMPARE, chief, odoo_id="7")
    assert (action.status, action.parameters) == (Status.ASKED, {"odoo_id": 7})
    assert (action.asked_by, action.user_id) == ("chief", str(chief.pk))
    assert before <= action.asked_at <= database_now()
    assert process_state.action_asked.is_set(), "the worker of this process looks at once"


def test_the_record_outlasts_its_user() -> None:
    chief = user()
    action = ask(Kind.COMPARE, chief, odoo_id=7)
    chief.delete()
    assert OperatorAction.objects.get(pk=action.pk).asked_by == "chief"


def test_what_is_alike_and_unfinished_is_one_action() -> None:
    first = ask(Kind.READ_AGAIN, user(), odoo_ids=[3, 1, 2])
    again = ask(Kind.READ_AGAIN, user(OPERATORS, "other"), odoo_ids=["2", 1, 3, 3])
    assert again.pk == first.pk
    assert ask(Kind.READ_AGAIN, user(), odoo_ids=[1, 2]).pk != first.pk
    OperatorAction.objects.filter(pk=first.pk).update(status=Status.DONE)
    assert ask(Kind.READ_AGAIN, user(), odoo_ids=[3, 1, 2]).pk != first.pk


def test_of_two_who_ask_at_the_same_moment_both_get_the_one_action(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chief, first = user(), []

    def meanwhile(_user: object) -> None:
        monkeypatch.undo()
        first.append(ask(Kind.DOCTOR, chief))

    monkeypatch.setattr(action_requests, "_check_room", meanwhile)
    assert ask(Kind.DOCTOR, chief).pk == first[0].pk


def test_nobody_has_more_than_a_few_unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action_requests, "MOST_OF_ALL", 12)
    for odoo_id in range(1, action_requests.MOST_OF_ONE_USER + 1):
        ask(Kind.COMPARE, user(), odoo_id=odoo_id)
    with pytest.raises(TooManyActions, match="10 actions that you asked for"):
        ask(Kind.COMPARE, user(), odoo_id=99)
    other = user(name="other")
    for odoo_id in (101, 102):
        ask(Kind.COMPARE, other, odoo_id=odoo_id)
    with pytest.raises(TooManyActions, match="12 actions are not finished"):
        ask(Kind.COMPARE, other, odoo_id=103)
    OperatorAction.objects.update(status=Status.DONE)
    assert ask(Kind.COMPARE, other, odoo_id=103).pk


@pytest.mark.parametrize(
    ("kind", "parameters", "why"),
    [
        (Kind.COMPARE, {}, "not an order id"),
        (Kind.COMPARE, {"odoo_id": "²"}, "not an order id"),
        (Kind.COMPARE, {"odoo_id": 2**31}, "not an order id"),
        (Kind.COMPARE, {"odoo_id": True}, "not an order id"),
        (Kind.COMPARE, {"odoo_id": "9" * 5000}, "not an order id"),
        (Kind.READ_AGAIN, {"odoo_ids": ["1", "9" * 5000]}, "not an order id"),
        (Kind.READ_AGAIN, {"odoo_ids": []}, "No order is chosen"),
        (Kind.READ_AGAIN, {"odoo_ids": range(1, 5)}, "No order is chosen"),
        (Kind.READ_AGAIN, {"odoo_ids": list(range(1, 102))}, "at most 100 orders"),
        (Kind.RELEASE, {"odoo_ids": list(range(1, 1002))}, "at most 1000 orders"),
        (Kind.RELEASE, {}, "Choose orders, or all"),
        (Kind.ARCHIVE, {"all": True, "odoo_ids": [1]}, "Choose orders, or all"),
        (Kind.REPLAY, {}, "Choose orders, a cause, or all"),
        (Kind.REPLAY, {"all": True, "odoo_ids": [1]}, "Choose orders, a cause, or all"),
        (Kind.REPLAY, {"failure": "x" * 2001}, "longer than 2000"),
        (Kind.RUN, {"full": True, "since": "2024-01-01T00:00"}, "has no window"),
        (Kind.RUN, {"since": "yesterday"}, "is not a time"),
        (Kind.RUN, {"since": "2024-13-45T00:00"}, "is not a time"),
        (Kind.DRY_RUN, {"since": "2999-01-01T00:00"}, "in the future"),
        (Kind.DRY_RUN, {"until": "2024-01-01T00:00"}, "needs a beginning"),
        (Kind.DRY_RUN, {"since": "2024-02-01T00:00", "until": "2024-01-01T00:00"}, "end after"),
        (Kind.DRY_RUN, {"since": "2022-02-01T00:00", "until": "2024-01-01T00:00"}, "366 days"),
        (Kind.STOP, {"run": "all"}, "not a number"),
        (Kind.MUTE, {"alert": "brake", "hours": 2161}, "1 to 2160 hours"),
        (Kind.MUTE, {"alert": "brake", "hours": "0"}, "1 to 2160 hours"),
        (Kind.MUTE, {"hours": 8}, "No alert is chosen"),
        (Kind.ACKNOWLEDGE, {}, "No alert is chosen"),
        (Kind.DELETE_DEAD_LETTERS, {"letters": []}, "Nothing is chosen"),
    ],
)
def test_what_is_impossible_is_refused_when_it_is_asked(
    kind: OperatorAction.Kind, parameters: dict[str, Any], why: str
) -> None:
    with pytest.raises(WrongParameters, match=why):
        ask(kind, user(), **parameters)
    assert not OperatorAction.objects.exists()


def test_a_window_is_stored_with_its_offset(settings: LazySettings) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    checked = action_parameters.check(Kind.RUN, {"since": "2024-07-01T06:00"})
    assert checked == {"since": "2024-07-01T06:00:00+02:00", "full": False, "force": False}


def test_no_window_begins_where_the_calendar_has_nothing_before() -> None:
    """A worker subtracts hours from it, and says it in other time zones."""
    checked = action_parameters.check(Kind.DRY_RUN, {"since": "0001-01-01T00:00"})
    assert datetime.fromisoformat(checked["since"]) == OLDEST


@pytest.mark.parametrize("kind", [Kind.RULES])
def test_what_takes_a_password_cannot_be_asked_of_a_worker(kind: OperatorAction.Kind) -> None:
    with pytest.raises(TypeError):
        ask(kind, user())


def test_every_kind_is_done_by_a_worker_at_once_or_within_the_request() -> None:
    asked = action_parameters.READERS.keys()
    assert asked == action_steps.STEPS.keys() | action_requests.AT_ONCE.keys()
    assert action_steps.STEPS.keys() == action_steps.DEADLINES.keys()
    lanes = list(itertools.chain(*action_steps.LANES.values()))
    assert sorted(lanes) == sorted(action_steps.STEPS)
    assert set(Kind) == asked | actions_within_request.PASSWORD_STEPS.keys()
    assert not asked & actions_within_request.PASSWORD_STEPS.keys()


def test_what_a_page_did_by_itself_is_recorded() -> None:
    text = gettext("BC %(id)s is gone", id=7)
    action = record_done(Kind.ACKNOWLEDGE, user(), {"key": "brake"}, text, {"count": 1})
    kept = OperatorAction.objects.get(pk=action.pk)
    assert (kept.status, kept.asked_by, kept.parameters) == (Status.DONE, "chief", {"key": "brake"})
    assert kept.outcome.form is not None, "it is said in the reader's language"
    assert kept.asked_at == kept.ended_at
    by_command = record_done(Kind.STOP, "root (manage.py)", {"ids": list(range(9_000))}, text)
    assert (by_command.asked_by, by_command.user_id) == ("root (manage.py)", "")
    assert by_command.parameters == {"ids": 9_000}


# --- who may -------------------------------------------------------------------------------------

OPERATORS_MAY = {
    Kind.COMPARE, Kind.READ_AGAIN, Kind.REPLAY, Kind.RELEASE, Kind.RUN, Kind.DRY_RUN,
    Kind.MARK_DIFFERENCES, Kind.DOCTOR, Kind.PING, Kind.ACKNOWLEDGE, Kind.MUTE, Kind.UNMUTE,
    Kind.IMPORT_DEAD_LETTERS,
}  # fmt: skip


@pytest.mark.parametrize("kind", Kind)
def test_viewers_may_ask_for_nothing_operators_for_some_administrators_for_all(
    kind: OperatorAction.Kind,
) -> None:
    assert not may(AnonymousUser(), kind)
    assert not may(user(VIEWERS), kind)
    assert may(user(OPERATORS), kind) == (kind in OPERATORS_MAY)
    assert may(user(ADMINISTRATORS), kind)


def test_only_administrators_force() -> None:
    assert not may(user(OPERATORS), Kind.RUN, forced=True)
    assert may(user(), Kind.RUN, forced=True)
    with pytest.raises(PermissionDenied):
        ask(Kind.RUN, user(OPERATORS), force=True)
    assert ask(Kind.RUN, user(OPERATORS)).parameters["force"] is False


def test_asking_checks_the_right_by_itself() -> None:
    with pytest.raises(PermissionDenied):
        ask(Kind.COMPARE, user(VIEWERS), odoo_id=1)
    with pytest.raises(PermissionDenied):
        ask(Kind.UNLOCK, user(OPERATORS))
    assert not OperatorAction.objects.exists()


def test_who_left_may_nothing() -> None:
    chief = user()
    User.objects.update(is_active=False)
    chief.refresh_from_db()
    assert not may(chief, Kind.COMPARE)
    assert not may_see_tracebacks(chief)


def test_viewers_see_no_tracebacks() -> None:
    seen = {
        group: may_see_tracebacks(user(group)) for group in (VIEWERS, OPERATORS, ADMINISTRATORS)
    }
    assert seen == {VIEWERS: False, OPERATORS: True, ADMINISTRATORS: True}


def test_the_right_that_groups_of_customers_hold_still_has_orders_read_again() -> None:
    group = Group.objects.create(name="buyers")
    group.permissions.add(group.permissions.model.objects.get(codename="change_pendingbc"))
    one = user("buyers", "buyer")
    assert may(one, Kind.READ_AGAIN)
    assert may(one, Kind.REPLAY)
    assert not may(one, Kind.COMPARE)
    group.delete()


def test_groups_of_a_former_version_are_renamed_and_keep_their_users() -> None:
    group = Group.objects.get(name=OPERATORS)
    Group.objects.filter(pk=group.pk).update(name=FORMER_NAMES[OPERATORS])
    make_groups(apps.get_app_config("bc_consumer"))
    assert Group.objects.get(name=OPERATORS).pk == group.pk
    assert not Group.objects.filter(name__in=FORMER_NAMES.values()).exists()


# --- results -------------------------------------------------------------------------------------


def test_a_result_is_bounded_and_says_what_was_cut() -> None:
    orders = [{"odoo_id": n, "name": "x" * 900} for n in range(1000)]
    stored = make_storable({"found": 1000, "orders": orders})
    assert (stored["found"], stored[CUT]) == (1000, {"orders": 1000})
    assert stored["orders"] == orders[: len(stored["orders"])]
    assert 100 <= len(stored["orders"]) < 250
    action = record_done(Kind.DRY_RUN, user(), {}, verbatim("done"), {"orders": orders})
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT length(CAST(result AS text)) FROM {OperatorAction._meta.db_table}"
            " WHERE id = %s", [action.pk],
        )  # fmt: skip
        assert cursor.fetchone()[0] <= MOST_BYTES * 1.1


def test_a_single_enormous_order_is_cut_too() -> None:
    fields = {f"extra.x_{n}": ["old " * 5_000, "new " * 5_000] for n in range(100)}
    stored = make_storable({"order": {"odoo_id": 1, "changes": {"fields": fields}}})
    assert stored["order"]["odoo_id"] == 1
    assert stored[CUT] == {"order.changes.fields": 100}
    assert 2 <= len(stored["order"]["changes"]["fields"]) < 20


def test_results_hold_no_secrets(settings: LazySettings) -> None:
    settings.ODOO_PASSWORD = "a-secret-of-ours-42"
    text = gettext("BC %(id)s is gone", id="a-secret-of-ours-42")
    stored = str(make_storable({"text": text, "rows": [{"a": "it is a-secret-of-ours-42"}]}))
    assert "a-secret" not in stored


def test_messages_in_results_are_said_in_the_readers_language() -> None:
    text = gettext("BC %(id)s is gone", id=7)
    stored = make_storable({"checks": [{"text": text, "plain": "x"}]})
    (check,) = messages_in(stored)["checks"]
    assert (check["text"], check["plain"]) == ("BC 7 is gone", "x")
    assert check["text"].form == text.form


# --- taking, renewing, ending --------------------------------------------------------------------


def taken(kind: OperatorAction.Kind = Kind.DOCTOR) -> OperatorAction:
    action = action_claims.take([kind], new_token())
    assert action is not None
    return action


def expired_lease(action: OperatorAction) -> None:
    OperatorAction.objects.filter(pk=action.pk).update(lease_until=Now() - timedelta(seconds=1))


def test_an_action_is_taken_once_and_the_oldest_first() -> None:
    first, second = ask(Kind.COMPARE, user(), odoo_id=1), ask(Kind.COMPARE, user(), odoo_id=2)
    assert action_claims.take([Kind.RUN], new_token()) is None
    assert taken(Kind.COMPARE).pk == first.pk
    assert taken(Kind.COMPARE).pk == second.pk
    assert action_claims.take([Kind.COMPARE], new_token()) is None


@pytest.mark.skipif(ON_SQLITE, reason="SQLite has one writer")
def test_workers_that_take_at_the_same_moment_take_different_ones() -> None:
    chief = user()
    for odoo_id in range(1, 9):
        ask(Kind.COMPARE, chief, odoo_id=odoo_id)
    found: list[int] = []

    def take() -> None:
        try:
            while (action := action_claims.take([Kind.COMPARE], new_token())) is not None:
                found.append(action.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == len(set(found)) == 8


def test_a_dead_workers_action_is_taken_again_where_that_does_no_harm() -> None:
    ask(Kind.DOCTOR, user())
    for attempt in (1, 2):
        action = taken()
        assert action.attempts == attempt
        expired_lease(action)
        action_claims.close_abandoned()
    action.refresh_from_db()
    assert (action.status, action.outcome) == (Status.FAILED, action_claims.DIED)
    assert action.ended_at is not None


def test_a_dead_workers_run_is_not_begun_again() -> None:
    ask(Kind.RUN, user())
    action = taken(Kind.RUN)
    expired_lease(action)
    assert action_claims.close_abandoned() == 1
    action.refresh_from_db()
    assert (action.status, str(action.outcome)) == (
        Status.FAILED, "The worker that was doing it died. Ask for it again.",
    )  # fmt: skip


def test_what_was_given_to_another_worker_is_no_longer_the_firsts() -> None:
    ask(Kind.DOCTOR, user())
    late = taken()
    expired_lease(late)
    action_claims.close_abandoned()
    now = taken()
    assert late.claim_token is not None
    assert now.claim_token is not None
    assert not action_claims.tell_progress(late.claim_token, 3, 4, {"x": 1})
    assert not action_claims.end(late.claim_token, Status.DONE, verbatim("late"))
    assert action_claims.renew([late.claim_token, now.claim_token]) == {now.claim_token: ""}
    now.refresh_from_db()
    assert (now.status, now.done, now.result) == (Status.RUNNING, 0, {})


def test_what_nobody_takes_expires() -> None:
    action = ask(Kind.RUN, user())
    OperatorAction.objects.update(asked_at=Now() - timedelta(minutes=61))
    action_claims.close_abandoned()
    action.refresh_from_db()
    assert (action.status, action.outcome) == (Status.EXPIRED, action_claims.EXPIRED)


@pytest.mark.parametrize("kind", [Kind.RUN, Kind.DRY_RUN])
def test_what_is_left_to_another_worker_waits_an_hour_anew(kind: OperatorAction.Kind) -> None:
    asked_at = database_now() - timedelta(minutes=61)
    ask(kind, user())
    action = taken(kind)
    OperatorAction.objects.update(asked_at=asked_at)
    if kind == Kind.RUN:
        assert action.claim_token is not None
        assert action_claims.give_back(action.claim_token)
    else:
        expired_lease(action)
    action_claims.close_abandoned()
    action_claims.close_abandoned()
    clock_steps.repair_future_moments()
    action.refresh_from_db()
    assert (action.status, action.asked_at) == (Status.ASKED, asked_at)
    OperatorAction.objects.update(lease_until=Now() - timedelta(seconds=1))
    action_claims.close_abandoned()
    action.refresh_from_db()
    assert action.status == Status.EXPIRED


def test_a_clock_set_back_lets_nothing_wait_for_more_than_an_hour() -> None:
    ask(Kind.RUN, user())
    action = taken(Kind.RUN)
    assert action.claim_token is not None
    assert action_claims.give_back(action.claim_token)
    OperatorAction.objects.update(lease_until=Now() + timedelta(hours=5))
    clock_steps.repair_future_moments()
    action.refresh_from_db()
    assert action.lease_until is not None
    assert action.lease_until <= database_now() + action_claims.EXPIRES_AFTER


def test_a_text_holds_nothing_that_postgresql_refuses() -> None:
    assert ask(Kind.REPLAY, user(), failure="a\0b").parameters["failure"] == "ab"


def test_the_page_knows_when_nobody_takes_it_and_why() -> None:
    action = ask(Kind.DOCTOR, user())
    assert not waiting_too_long(action)
    action.asked_at -= timedelta(seconds=11)
    assert waiting_too_long(action)
    assert "No worker is running" in reason_for_waiting()
    Heartbeat.objects.create(kind=Heartbeat.Kind.WORKER, host="x", pid=1, at=Now(), number=1)
    assert "busy with other actions" in reason_for_waiting()
    action.status = Status.RUNNING
    assert not waiting_too_long(action)


def test_a_clock_set_back_leaves_no_action_to_a_dead_worker_for_hours() -> None:
    ask(Kind.DOCTOR, user())
    action = taken()
    ahead = database_now() + timedelta(hours=3)
    OperatorAction.objects.update(asked_at=ahead, lease_until=ahead)
    clock_steps.repair_future_moments()
    action.refresh_from_db()
    assert action.lease_until is not None
    assert action.lease_until <= database_now() + action_claims.LEASE
    assert action.asked_at <= database_now()


# --- the worker's thread -------------------------------------------------------------------------


class Work:
    """The thread of a worker, round by round."""

    def __init__(self) -> None:
        self.thread = ActionsThread()

    def run_round(self, *, wait: bool = True) -> None:
        """Do one round, and wait for what it has begun."""
        self.thread.run_round()
        if wait:
            self.join()

    def join(self) -> None:
        for one in list(self.thread._in_hand.values()):
            one.join(30)
            assert not one.is_alive()


@pytest.fixture
def work() -> Iterator[Work]:
    made = Work()
    yield made
    process_state.stopping.set()
    made.join()


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The doctor's step waits for the event ``go``, and tells on the way."""
    given: dict[str, Any] = {"go": threading.Event(), "begun": threading.Event()}

    def wait(action: InHand) -> Finished:
        given["begun"].set()
        while not given["go"].wait(0.02):
            action.tell(1, 2, {"so far": 1})
        action.check()
        return Finished(gettext("BC %(id)s is gone", id=7), {"x": 1})

    monkeypatch.setattr(worker, "TELL_SECONDS", 0.0)
    monkeypatch.setattr(worker, "STEPS", {**action_steps.STEPS, Kind.DOCTOR: wait})
    yield given
    given["go"].set()


def fresh(action: OperatorAction) -> OperatorAction:
    return OperatorAction.objects.get(pk=action.pk)


def until(action: OperatorAction, status: str) -> OperatorAction:
    wait_until(lambda: fresh(action).status == status, what=status)
    return fresh(action)


def test_a_worker_does_it_and_tells_on_the_way(work: Work, step: dict[str, Any]) -> None:
    action = ask(Kind.DOCTOR, user())
    work.run_round(wait=False)
    wait_until(lambda: fresh(action).result == {"so far": 1}, what="progress")
    running = fresh(action)
    assert (running.status, running.done, running.total) == (Status.RUNNING, 1, 2)
    assert running.started_at is not None
    step["go"].set()
    work.join()
    ended = fresh(action)
    assert (ended.status, ended.outcome, ended.result) == (Status.DONE, "BC 7 is gone", {"x": 1})
    assert ended.outcome.form is not None
    assert (ended.claim_token, ended.lease_until) == (None, None)
    assert ended.ended_at is not None


def test_one_of_each_lane_at_a_time_so_that_nothing_waits_for_a_long_one(
    work: Work, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor = ask(Kind.DOCTOR, user())
    ping = ask(Kind.PING, user())
    replay = ask(Kind.REPLAY, user(), all=True)
    work.run_round(wait=False)
    step["begun"].wait(10)
    assert until(replay, Status.REFUSED).outcome == "No such failed orders."
    work.run_round(wait=False)
    assert (fresh(doctor).status, fresh(ping).status) == (Status.RUNNING, Status.ASKED)


def test_leases_are_renewed_as_long_as_it_is_in_hand(work: Work, step: dict[str, Any]) -> None:
    action = ask(Kind.DOCTOR, user())
    work.run_round(wait=False)
    OperatorAction.objects.update(lease_until=Now() + timedelta(seconds=2))
    work.thread._renew_after = 0.0
    work.run_round(wait=False)
    until_ = fresh(action).lease_until
    assert until_ is not None
    assert until_ > database_now() + timedelta(seconds=20)


def test_a_deadline_ends_it(
    work: Work, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "DEADLINES", {Kind.DOCTOR: 0})
    action = ask(Kind.DOCTOR, user())
    work.run_round()
    assert (fresh(action).status, fresh(action).outcome) == (
        Status.FAILED, "It took longer than 0 minutes.",
    )  # fmt: skip


def test_what_ignores_its_deadline_is_given_up_and_writes_nothing_more(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = threading.Event(), threading.Event()

    def hang(_action: InHand) -> Finished:
        begun.set()
        go.wait(30)
        return Finished(verbatim("late"))

    monkeypatch.setattr(worker, "STEPS", {Kind.DOCTOR: hang})
    monkeypatch.setattr(worker, "DEADLINES", {Kind.DOCTOR: 0})
    monkeypatch.setattr(worker, "AFTER_DEADLINE_SECONDS", 0.0)
    action = ask(Kind.DOCTOR, user())
    work.run_round(wait=False)
    begun.wait(10)
    work.thread._renew_after = 0.0
    work.run_round(wait=False)
    assert "was given up" in until(action, Status.FAILED).outcome
    go.set()
    work.join()
    assert "was given up" in fresh(action).outcome


def test_a_worker_that_is_stopped_leaves_it_to_another(work: Work, step: dict[str, Any]) -> None:
    action = ask(Kind.DOCTOR, user())
    work.run_round(wait=False)
    step["begun"].wait(10)
    process_state.stopping.set()
    work.join()
    left = fresh(action)
    assert (left.status, left.attempts, left.claim_token) == (Status.ASKED, 0, None)


def test_what_nobody_has_begun_is_cancelled_at_once() -> None:
    action = ask(Kind.DRY_RUN, user())
    answer = cancel(action.pk, user())
    assert answer.done, answer.text
    ended = fresh(action)
    assert (ended.status, ended.outcome) == (Status.CANCELLED, "Cancelled by chief.")
    assert ended.ended_at is not None
    assert not cancel(action.pk, user()).done, "it has ended"
    assert ask(Kind.DRY_RUN, user()).pk != action.pk


def test_what_is_in_hand_is_cancelled_with_the_next_renewal(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = threading.Event(), threading.Event()

    def long(action: InHand) -> Finished:
        begun.set()
        go.wait(30)
        action.check()
        return Finished(verbatim("whole"))

    monkeypatch.setattr(worker, "STEPS", {Kind.DOCTOR: long})
    action = ask(Kind.DOCTOR, user())
    work.run_round(wait=False)
    assert begun.wait(10)
    assert cancel(action.pk, user()).done
    assert fresh(action).status == Status.RUNNING
    work.thread._renew_after = 0.0
    work.run_round(wait=False)
    go.set()
    work.join()
    ended = fresh(action)
    assert (ended.status, ended.outcome, ended.traceback) == (
        Status.CANCELLED, "Cancelled by chief.", "",
    )  # fmt: skip


def test_what_was_cancelled_is_given_to_no_other_worker() -> None:
    action = ask(Kind.DOCTOR, user())
    held = taken()
    assert cancel(action.pk, user()).done
    assert held.claim_token is not None
    assert action_claims.give_back(held.claim_token)
    assert action_claims.take([Kind.DOCTOR], new_token()) is None
    action_claims.close_abandoned()
    assert fresh(action).status == Status.CANCELLED


@pytest.mark.parametrize("kind", [Kind.COMPARE, Kind.TEST_ALERT, Kind.RULES])
def test_what_can_not_be_broken_off_promises_no_end(kind: OperatorAction.Kind) -> None:
    row = {"kind": kind, "asked_by": "chief", "asked_at": database_now(), "fingerprint": kind}
    waiting = OperatorAction.objects.create(**row)
    assert may_cancel(waiting, user())
    assert cancel(waiting.pk, user()).done, "nobody has begun it"
    begun = OperatorAction.objects.create(**row, status=Status.RUNNING)
    assert not may_cancel(begun, user())
    answer = cancel(begun.pk, user())
    assert (answer.done, answer.text) == (False, "It can't be interrupted; it ends by itself.")
    assert not fresh(begun).cancel_asked_by


def test_who_asked_may_cancel_and_administrators() -> None:
    action = ask(Kind.DRY_RUN, user(OPERATORS, "one"))
    with pytest.raises(PermissionDenied):
        cancel(action.pk, user(OPERATORS, "two"))
    assert cancel(action.pk, user(OPERATORS, "one")).done
    other = ask(Kind.DRY_RUN, user(OPERATORS, "one"))
    assert cancel(other.pk, user(ADMINISTRATORS, "three")).done
    assert fresh(other).outcome == "Cancelled by three."


def test_a_command_lists_and_cancels() -> None:
    action = ask(Kind.DRY_RUN, user())
    out = io.StringIO()
    call_command("actions", stdout=out)
    assert re.search(rf"^ *{action.pk} .*look for differences.*chief", out.getvalue(), re.MULTILINE)
    call_command("actions", "--cancel", str(action.pk), stdout=out)
    assert fresh(action).status == Status.CANCELLED
    with pytest.raises(CommandError):
        call_command("actions", "--cancel", str(action.pk))


def test_an_error_of_ours_ends_it_with_its_traceback(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_action: InHand) -> Finished:
        raise RuntimeError("nobody has foreseen this")

    monkeypatch.setattr(worker, "STEPS", {Kind.DOCTOR: fail})
    action = ask(Kind.DOCTOR, user())
    work.run_round()
    ended = fresh(action)
    assert (ended.status, ended.outcome) == (
        Status.FAILED, "RuntimeError: nobody has foreseen this",
    )  # fmt: skip
    assert "in fail" in ended.traceback


def test_the_end_is_stored_once_the_database_is_back(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [OperationalError("server closed the connection")] * 2
    end = action_claims.end

    def end_later(*args: Any, **more: Any) -> bool:
        if away:
            raise away.pop()
        return end(*args, **more)

    monkeypatch.setattr(action_claims, "end", end_later)
    monkeypatch.setattr(worker, "STEPS", {Kind.DOCTOR: lambda _action: Finished(verbatim("done"))})
    action = ask(Kind.DOCTOR, user())
    work.run_round()
    assert (fresh(action).status, away) == (Status.DONE, [])


def test_looking_for_nothing_is_one_statement(work: Work, django_assert_num_queries: Any) -> None:
    work.run_round()
    with django_assert_num_queries(1):
        work.run_round()


def test_no_run_waits_for_a_dry_run_of_hours() -> None:
    lanes = [set(kinds) for kinds in action_steps.LANES.values()]
    assert {Kind.RUN} in lanes
    assert {Kind.DRY_RUN} in lanes


# --- what is kept --------------------------------------------------------------------------------


def old(days: float, **values: Any) -> OperatorAction:
    action = record_done(Kind.PING, user(), {}, verbatim("done"), {"x": 1})
    OperatorAction.objects.filter(pk=action.pk).update(
        asked_at=Now() - timedelta(days=days), **values
    )
    return action


def test_old_actions_are_purged_and_unfinished_ones_never(settings: LazySettings) -> None:
    settings.OPERATOR_ACTION_DAYS = 30
    gone, kept = old(31), old(29)
    running = old(31, status=Status.RUNNING)
    retention.purge()
    assert set(OperatorAction.objects.values_list("pk", flat=True)) == {kept.pk, running.pk}
    assert not OperatorAction.objects.filter(pk=gone.pk).exists()


def test_the_table_has_a_limit_and_older_results_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "ACTIONS_KEPT", 5)
    monkeypatch.setattr(retention, "RESULTS_KEPT", 2)
    made = [old(0).pk for _ in range(7)]
    retention.purge()
    left = dict(OperatorAction.objects.order_by("pk").values_list("pk", "result"))
    assert list(left) == made[2:]
    assert [bool(result) for result in left.values()] == [False, False, False, True, True]
    assert not SyncLog.objects.exists()
