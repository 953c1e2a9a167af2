"""A large replay is previewed: how many orders, of which causes, an example, how long it takes."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from bc_consumer.console.replay_preview import PREVIEW_FROM
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import OperatorAction, SyncLog
from bc_consumer.operations import replay_duration
from tests.db.copied import bc, failed, pending

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("single_rows")]
Kind, Status = OperatorAction.Kind, OperatorAction.Status
MANY = PREVIEW_FROM + 10


@pytest.fixture
def operator() -> Client:
    user = User.objects.create_user("operator", is_staff=True)
    user.groups.add(Group.objects.get(name="BC operators"))
    client = Client()
    client.force_login(user)
    return client


def fail_many(cause: str = "one", first: int = 1, count: int = MANY) -> list[int]:
    ids = list(range(first, first + count))
    for odoo_id in ids:
        failed(odoo_id, failure=cause, last_error=f"{cause} is odd")
    return ids


def replayed(count: int, seconds: float, days_ago: float = 1) -> None:
    """As if a replay of so many orders had taken so long."""
    end = database_now() - timedelta(days=days_ago)
    OperatorAction.objects.create(
        kind=Kind.REPLAY, asked_by="x", asked_at=end, started_at=end - timedelta(seconds=seconds),
        ended_at=end, status=Status.DONE, done=count, total=count, fingerprint="x",
    )  # fmt: skip


def test_a_large_group_leads_to_its_preview_and_only_then_is_replayed(operator: Client) -> None:
    fail_many()
    fail_many("two", first=500, count=3)
    bc(1, partner_name="Supplier One")
    replayed(600, 60)
    answer = operator.post("/ask/replay/", {"failure": "one", "next": "/failures/"})
    assert answer["Location"] == "/failures/replay/?failure=one"
    assert not OperatorAction.objects.filter(status=Status.ASKED).exists()
    page = operator.get(answer["Location"]).content.decode()
    for told in (f"{MANY} orders are read", "one is odd", "P00001", "Supplier One", "6.0 s",
                 "10 orders a second", f"Replay {MANY} orders"):  # fmt: skip
        assert told in page, told
    assert "two is odd" not in page
    confirmed = operator.post(
        "/ask/replay/", {"failure": "one", "previewed": "1", "next": "/failures/"}
    )
    action = OperatorAction.objects.get(status=Status.ASKED)
    assert confirmed["Location"] == f"/failures/?action={action.pk}"
    assert action.parameters["failure"] == "one"


def test_a_large_selection_and_all_failed_ones_do_too(operator: Client) -> None:
    ids = fail_many()
    fail_many("two", first=500, count=3)
    answer = operator.post("/ask/", {"kind": "replay", "odoo_ids": ids[1:]})
    page = operator.get(answer["Location"]).content.decode()
    assert f"Replay {MANY - 1} orders" in page
    assert page.count('name="odoo_ids"') == MANY - 1
    answer = operator.post("/ask/replay/", {"all": "1"})
    page = operator.get(answer["Location"]).content.decode()
    assert f"Replay {MANY + 3} orders" in page
    assert "two is odd" in page
    assert 'name="all" value="1"' in page


def test_a_cause_that_postgresql_refuses_is_one_without_what_it_refuses(operator: Client) -> None:
    ids = fail_many("a cause")
    answer = operator.post("/ask/replay/", {"failure": "a \0cause"})
    assert answer.status_code == 302
    assert f"{len(ids)} orders are read" in operator.get(answer["Location"]).content.decode()
    for odd in ("9" * 5000, "\0"):
        assert operator.post("/ask/replay/", {"odoo_ids": odd}).status_code == 302
        assert operator.post("/ask/", {"kind": "replay", "odoo_ids": [odd]}).status_code == 302


def test_a_few_are_replayed_at_once(operator: Client) -> None:
    ids = fail_many(count=PREVIEW_FROM)
    for parameters in ({"failure": "one"}, {"odoo_ids": ids}, {"all": "1"}):
        answer = operator.post("/ask/replay/", parameters)
        assert answer["Location"].startswith("/actions/")


def test_what_is_gone_meanwhile_is_said(operator: Client) -> None:
    assert "None is left" in operator.get("/failures/replay/?failure=x").content.decode()


def test_the_pace_is_the_latest_replay_s_or_else_the_latest_run_s(settings: LazySettings) -> None:
    assert replay_duration.estimate(100).seconds is None
    end = database_now() - timedelta(days=2)
    SyncLog.objects.create(
        started_at=end - timedelta(seconds=50), ended_at=end, bc_count=100, status=SyncLog.Status.OK
    )
    assert replay_duration.estimate(100).seconds == pytest.approx(50)
    replayed(5, 1)
    replayed(1000, 100, days_ago=8)
    assert replay_duration.estimate(100).seconds == pytest.approx(50), "a small one, and an old one"
    replayed(1000, 100)
    pending(900)
    known = replay_duration.estimate(99)
    assert known.ahead == 1
    assert known.seconds == pytest.approx(10)
    settings.ODOO_CALLS_PER_SECOND, settings.BATCH_SIZE = 0.5, 10
    assert replay_duration.estimate(99).per_second == pytest.approx(5)


def test_progress_tells_how_long_the_rest_takes(operator: Client) -> None:
    now = database_now()
    action = OperatorAction.objects.create(
        kind=Kind.REPLAY, asked_by="x", asked_at=now, started_at=now - timedelta(seconds=60),
        status=Status.RUNNING, done=25, total=100, fingerprint="x",
        lease_until=now + timedelta(minutes=1),
    )  # fmt: skip
    page = operator.get(f"/actions/{action.pk}/content/").content.decode()
    assert "25 of 100" in page
    assert "about 3 min" in page
    assert 'max="100"' in page


def test_the_command_tells_the_time_too() -> None:
    fail_many(count=30)
    replayed(600, 60)
    said = StringIO()
    call_command("replay", "--all", "--dry-run", stdout=said)
    assert "That takes about 3.0 s at the pace of the latest replay or run." in said.getvalue()
