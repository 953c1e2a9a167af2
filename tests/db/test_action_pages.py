"""The pages' buttons and outcomes: what they offer to whom, and what they say of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Group, Permission, User
from django.db.models.functions import Now
from django.test import Client

from bc_consumer import actors  # noqa: F401 - declares the queue that a mark is announced on
from bc_consumer.console import freshness, latest_ping, processes
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import gettext, verbatim
from bc_consumer.installation.permissions import ADMINISTRATORS, OPERATORS
from bc_consumer.models import BC, Heartbeat, OperatorAction, SyncLog, SyncState
from bc_consumer.operations import action_claims
from bc_consumer.operations.action_requests import ask, record_done, waiting_too_long
from bc_consumer.operations.action_results import make_storable
from bc_consumer.operations.public_ping import Ping, PingArrival
from tests.db.copied import bc, failed, journal, pending

Kind = OperatorAction.Kind
Status = OperatorAction.Status

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("single_rows")]


def log_in(client: Client, group: str = ADMINISTRATORS) -> Client:
    user = User.objects.create_user(group, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return client


def text(client: Client, path: str, language: str = "en") -> str:
    answer = client.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200
    return answer.content.decode()


def done(kind: OperatorAction.Kind = Kind.DOCTOR, outcome: str = "told to operators") -> int:
    return record_done(kind, "chief", {}, verbatim(outcome)).pk


# --- who sees what -------------------------------------------------------------------------------


def test_outcomes_are_for_staff_also_on_a_public_page(
    client: Client, settings: LazySettings
) -> None:
    settings.LIVE_PAGE_PUBLIC = True
    bc(1)
    path = f"/bc/1/?action={done()}"
    assert "told to operators" not in text(client, path)
    assert "told to operators" in text(log_in(client), path)


# --- the run at work -----------------------------------------------------------------------------


def run_at_work(cause: SyncLog.Cause, *, lease: float = 60.0) -> SyncLog:
    SyncState.objects.update(
        is_syncing=True, owner="somebody", lease_until=Now() + timedelta(seconds=lease)
    )
    return SyncLog.objects.create(started_at=database_now(), cause=cause)


def test_a_stop_is_for_the_run_that_the_page_showed(client: Client) -> None:
    running = run_at_work(SyncLog.Cause.NIGHTLY)
    page = text(log_in(client), "/runs/")
    assert f'<input type="hidden" name="run" value="{running.pk}">' in page
    assert f"run {running.pk} (nightly, begun at" in page
    SyncLog.objects.filter(pk=running.pk).update(status=SyncLog.Status.OK)
    later = run_at_work(SyncLog.Cause.COMMAND)
    client.post("/ask/stop/", {"run": running.pk})
    later.refresh_from_db()
    assert later.stop_asked_by == ""


def test_after_a_killed_run_another_one_can_be_begun(client: Client) -> None:
    run_at_work(SyncLog.Cause.NIGHTLY, lease=-1)
    page = text(log_in(client, OPERATORS), "/runs/")
    assert "Run now" in page
    assert "Look for differences" in page


@pytest.mark.parametrize("cause", [SyncLog.Cause.COMMAND, SyncLog.Cause.NIGHTLY])
def test_the_page_of_a_killed_run_says_so_and_is_not_refreshed(
    client: Client, cause: SyncLog.Cause
) -> None:
    running = run_at_work(cause)
    log_in(client)
    assert "unfinished" in text(client, f"/runs/{running.pk}/")
    SyncState.objects.update(lease_until=Now() - timedelta(seconds=1))
    page = text(client, f"/runs/{running.pk}/")
    assert "its process was killed or stopped" in page
    assert 'class="badge warn">interrupted' in page
    assert " unfinished" not in page, "the script would look again each second"
    assert 'class="badge warn">interrupted' in text(client, "/runs/")
    if cause == SyncLog.Cause.NIGHTLY:
        beat(Heartbeat.Kind.WORKER)
        assert " unfinished" in text(client, f"/runs/{running.pk}/"), "a worker goes on with it"


def test_a_poll_keeps_nobody_from_beginning_a_run(client: Client) -> None:
    run_at_work(SyncLog.Cause.POLL)
    assert "Run now" in text(log_in(client, OPERATORS), "/runs/")


def test_beside_a_run_a_dry_run_is_offered_and_the_run_is_named(client: Client) -> None:
    running = run_at_work(SyncLog.Cause.COMMAND)
    page = text(log_in(client, OPERATORS), "/runs/")
    assert "Run now" not in page
    assert f"At work: run {running.pk} (command, begun at" in page
    assert "Look for differences" in page


# --- what the administration does is recorded, and may be done by whom the page lets -------------


def select(client: Client, action: str, *ids: int, model: str = "pendingbc") -> None:
    answer = client.post(
        f"/admin/bc_consumer/{model}/", {"action": action, "_selected_action": list(ids)}
    )
    assert answer.status_code == 302


def recorded() -> list[tuple[str, str, dict[str, object]]]:
    rows = OperatorAction.objects.order_by("pk")
    return [(one.kind, one.asked_by, one.parameters) for one in rows]


def test_what_the_administration_has_read_or_replayed_is_recorded(client: Client) -> None:
    failed(1)
    failed(2)
    bc(3)
    log_in(client, OPERATORS)
    select(client, "replay", 1, 2)
    select(client, "read_again", BC.objects.get().pk, model="bc")
    replay = {"odoo_ids": [1, 2], "failure": "", "all": False}
    assert recorded() == [
        ("replay", OPERATORS, replay),
        ("read_again", OPERATORS, {"odoo_ids": [3]}),
    ]


def test_reading_again_in_the_administration_takes_its_own_right(client: Client) -> None:
    pending(1)
    bc(2)
    user = User.objects.create_user("reader", is_staff=True)
    names = ("view_pendingbc", "view_bc", "ask_read_again")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    page = text(client, "/admin/bc_consumer/pendingbc/")
    assert 'value="read_again"' in page
    assert 'value="replay"' not in page


def test_the_address_of_the_monitor_of_failures_is_secret(
    client: Client, settings: LazySettings
) -> None:
    settings.HEARTBEAT_FAIL_URL = "/T0ken/fail"
    page = text(log_in(client), "/settings/")
    assert "<code>HEARTBEAT_FAIL_URL</code></th><td>set; not shown" in page


# --- what an outcome says ------------------------------------------------------------------------


def comparison(**order: object) -> int:
    """Record a comparison that found an order on both sides, without a differing field."""
    facts = {"exists_in_copy": True, "exists_in_odoo": True, "changes": {}, "outcome": ""}
    facts |= {"archived_reason": "", "forbidden_in_copy": False}
    return record_done(Kind.COMPARE, "chief", {}, verbatim("x"), {"order": facts | order}).pk


def test_a_comparison_tells_what_differs_beside_fields(client: Client) -> None:
    log_in(client)
    page = text(client, f"/actions/{comparison()}/")
    assert "No field and no line differs." in page
    page = text(client, f"/actions/{comparison(outcome='restored', archived_reason='deleted')}/")
    assert "No field and no line differs." not in page
    assert "The copy has it as archived:" in page
    page = text(client, f"/actions/{comparison(outcome='x', forbidden_in_copy=True)}/")
    assert "The copy has it as kept from our account." in page


# --- what the pages say of runs ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "is_equal"),
    [
        ({"odoo_calls": 12, "odoo_bytes": 9000, "bc_count": 3}, True),
        ({"found_by_window": 1}, False),
        ({"held": 1}, False),
        ({"error_count": 1}, False),
        ({"status": "stopped"}, False),
        ({"status": "failed"}, False),
        ({"status": "running"}, False),
    ],
)
def test_only_a_good_run_without_a_difference_says_so(
    client: Client, values: dict[str, Any], is_equal: bool
) -> None:
    one = SyncLog.objects.create(started_at=database_now(), **({"status": "ok"} | values))
    page = text(log_in(client), f"/runs/{one.pk}/")
    assert ("It found no difference." in page) == is_equal


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("failed", "the next one compares anew"),
        ("refused", "the next one ends the same way until somebody corrects it"),
        ("braked", "the next one is held up too until somebody decides"),
    ],
)
def test_the_first_page_says_what_the_next_run_does(client: Client, status: str, said: str) -> None:
    now = database_now()
    SyncLog.objects.create(started_at=now, ended_at=now, status=status, phase="orders")
    page = text(log_in(client), "/")
    assert said in page
    assert "goes on from there" not in page


def test_the_delay_on_the_first_page_is_that_of_webhooks(client: Client) -> None:
    for _ in range(3):
        journal(1, delay=0.25)
        journal(1, delay=50.0, delay_from="change")
    page = text(log_in(client), "/")
    assert "Delay, last hour" in page
    assert re.search(r"<dt>Delay, last hour</dt><dd>250 ms</dd>", page)
    assert "median of webhooks; 95 % within 250 ms" in page
    assert "without a webhook: 50 s" in page


# --- connections ---------------------------------------------------------------------------------


def beat(kind: str, **values: Any) -> None:
    Heartbeat.objects.create(kind=kind, host="m", pid=1, at=Now(), version="1", **values)


@pytest.fixture
def _no_ping() -> Iterator[None]:
    latest_ping.forget()
    yield
    latest_ping.forget()


@pytest.mark.usefixtures("_no_ping")
def test_connections_say_when_odoo_answered_and_not_more(
    client: Client, settings: LazySettings
) -> None:
    settings.ODOO_URL = "https://odoo.example.com"
    log_in(client)
    beat("web")
    page = text(client, "/connections/")
    assert "not known: no process that runs has called it" in page
    assert "No worker is running: start one." in page
    beat("worker", odoo_answered_at=Now() - timedelta(seconds=30))
    for one in (freshness.present, processes.processes):
        one.forget()
    page = text(client, "/connections/")
    assert re.search(r"answered 3\d s ago", page)
    assert "No worker is running: start one." not in page
    settings.ODOO_URL = ""
    assert not re.search(r"answered 3\d s ago", text(client, "/connections/"))


@pytest.mark.usefixtures("_no_ping")
def test_connections_tell_of_webhooks(client: Client, settings: LazySettings) -> None:
    settings.ODOO_WEBHOOK_SECRETS, settings.PUBLIC_URL = ["a secret"], ""
    settings.WORKING_HOURS = None
    SyncState.objects.update(webhook_at=Now() - timedelta(seconds=90))
    page = text(log_in(client), "/connections/")
    assert re.search(r"The latest came (1 min|9\d s)", page)
    assert "PUBLIC_URL is not set" in page
    latest_ping._known._known = latest_ping.RoundTrip(Ping(PingArrival.HERE), 0.012), monotonic()
    latest_ping._known._asked_at = monotonic()
    settings.PUBLIC_URL = "https://copy.example.com"
    assert "came back in 12 ms" in text(client, "/connections/")
    failed_one = Ping(PingArrival.NO_ANSWER, "connection refused")
    latest_ping._known._known = latest_ping.RoundTrip(failed_one, 0.012), monotonic()
    assert "connection refused" in text(client, "/connections/")


# --- addresses that take forms alone, and sessions that have ended -------------------------------


@pytest.mark.parametrize(
    ("path", "typed", "back"),
    [
        ("/ask/read_again/", {"next": "/bc/1/?below=3"}, "/bc/1/?below=3"),
        ("/ask/", {"kind": "replay", "next": "https://elsewhere.example.com/"}, "/actions/"),
        ("/ask/doctor/", {}, "/actions/"),
        ("/actions/7/cancel/", {}, "/actions/7/"),
        ("/connections/rules/ask/", {"what": "install"}, "/connections/rules/"),
    ],
)
def test_a_button_pressed_after_the_session_s_end_leads_back_to_its_page(
    path: str, typed: dict[str, str], back: str, client: Client
) -> None:
    answer = client.post(path, typed)
    assert answer.status_code == 302
    assert answer["Location"] == f"/admin/login/?{urlencode({'next': back}, safe='/')}"
    page = client.get(answer["Location"], headers={"Accept-Language": "en"}).content.decode()
    assert "Nothing was done: you were not logged in. Log in, then press again." in page
    assert not OperatorAction.objects.exists()


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/ask/replay/", "/actions/"),
        ("/ask/", "/actions/"),
        ("/actions/7/cancel/", "/actions/7/"),
        ("/connections/rules/ask/", "/connections/rules/"),
    ],
)
def test_an_address_that_takes_a_form_leads_to_a_page_where_somebody_opens_it(
    path: str, page: str, client: Client
) -> None:
    for one in (client, log_in(client)):
        answer = one.get(path)
        assert (answer.status_code, answer["Location"]) == (302, page)
    assert client.put(path, b"a=b", "application/x-www-form-urlencoded").status_code == 405
    assert not OperatorAction.objects.exists()


def test_after_a_log_out_the_header_leads_to_addresses_that_are_pages(client: Client) -> None:
    page = log_in(client).post("/admin/logout/").content.decode()
    assert 'name="next" value="/"' in page
    assert 'href="/admin/login/?next=/"' in page


# --- an order that the copy has never seen -------------------------------------------------------


def test_staff_may_look_for_an_order_that_only_odoo_has(
    client: Client, settings: LazySettings
) -> None:
    settings.LIVE_PAGE_PUBLIC = True
    assert client.get("/bc/77/").status_code == 404
    log_in(client)
    assert client.get("/search/?q=%2377")["Location"] == "/bc/77/"
    page = text(client, "/bc/77/")
    assert "The copy has no order with this number." in page
    assert "Compare with Odoo now" in page
    assert "Read from Odoo again now" in page
    for impossible in (0, 2**31, 2**63):
        assert client.get(f"/bc/{impossible}/").status_code == 404
    assert client.get(f"/search/?q=%23{2**31}")["Location"].startswith("/orders/")


# --- waiting, parts, questions -------------------------------------------------------------------


def test_an_action_that_waits_says_why(client: Client) -> None:
    log_in(client)
    action = ask(Kind.DOCTOR, User.objects.get())
    OperatorAction.objects.update(asked_at=Now() - timedelta(seconds=60))
    assert "No worker is running: start one." in text(client, f"/actions/{action.pk}/")
    beat("worker")
    page = text(client, f"/actions/{action.pk}/")
    assert "The workers are busy with other actions; this one follows." in page
    assert "is one running?" not in page
    OperatorAction.objects.update(asked_at=Now() - timedelta(hours=2))
    action_claims.close_abandoned()
    page = text(client, f"/actions/{action.pk}/")
    assert "It did not begin within an hour." in page
    assert "Is one running?" not in page


def test_what_was_given_back_waits_from_then_on() -> None:
    action = ask(Kind.DOCTOR, User.objects.create_superuser("chief"))
    OperatorAction.objects.update(
        asked_at=Now() - timedelta(minutes=20), lease_until=Now() + action_claims.EXPIRES_AFTER
    )
    action.refresh_from_db()
    assert not waiting_too_long(action)


def test_a_result_of_which_a_part_is_kept_says_so(client: Client) -> None:
    orders = [
        {"odoo_id": n, "name": f"P{n}", "outcome": "failed", "error": "x" * 3000, "changes": {}}
        for n in range(1, 101)
    ]
    action = record_done(Kind.READ_AGAIN, "chief", {}, verbatim("x"), {"orders": orders})
    path = f"/actions/{action.pk}/"
    assert "Only a part is kept: 50 of 100." in text(log_in(client), path)
    assert "Seule une partie est conservée : 50 sur 100." in text(client, path, "fr")
    action = record_done(Kind.DOCTOR, "chief", {}, verbatim("x"), {"checks": []})
    assert "Only a part is kept" not in text(client, f"/actions/{action.pk}/")
    fields = {f"x_{n}": ["", "x" * 9000] for n in range(30)}
    one = comparison(outcome="changed", changes={"fields": fields})
    assert "Only a part is kept: 15 of 30." in text(client, f"/actions/{one}/")


def dry_run_found(*differences: dict[str, Any]) -> int:
    """As if a dry run had found this of one order."""
    now = database_now()
    order = {
        "odoo_id": 7, "name": "P00007", "pending": False, "standing": "",
        "count": len(differences), "differences": [{"line_id": None, **one} for one in differences],
    }  # fmt: skip
    return OperatorAction.objects.create(
        kind=Kind.DRY_RUN, asked_by="chief", asked_at=now, fingerprint="d", status=Status.DONE,
        result=make_storable({"orders": [order], "differing_orders": 1, "found": len(differences)}),
    ).pk  # fmt: skip


def test_two_moments_of_one_minute_are_seen_to_differ(client: Client) -> None:
    early = datetime(2024, 7, 1, 6, 0, 5, tzinfo=UTC)
    late = early.replace(second=40, microsecond=120)
    number = dry_run_found(
        {"kind": "field", "field": "write_date", "here": early, "odoo": late},
    )
    page = text(log_in(client), f"/actions/{number}/")
    assert re.search(r":00:05</td>\s*<td>[^<]*:00:40</td>", page)


def test_differences_are_told_in_the_language_of_the_reader(client: Client) -> None:
    error = gettext("Cancelled by %(who)s.", who="chief")
    number = dry_run_found(
        {"kind": "not compared", "field": "", "here": None, "odoo": error},
        {"kind": "gone from Odoo", "field": "", "here": "P00007", "odoo": "gone"},
        {"kind": "not to be copied", "field": "", "here": "P7", "odoo": "outside the companies"},
    )
    log_in(client)
    english = text(client, f"/actions/{number}/")
    assert "Cancelled by chief." in english
    assert "of a company that is not copied" in english
    page = text(client, f"/actions/{number}/", "fr")
    for told in ("Cancelled by", ">gone<", "outside the companies"):
        assert told not in page, told
    for told in ("Annulé", "supprimé dans Odoo", "d’une société"):
        assert told in page, told


def test_archiving_many_orders_asks_first(client: Client) -> None:
    pending(1, held_reason="too many at once", held_at=database_now())
    page = text(log_in(client), "/failures/")
    summary = page.index("Archive the selected orders</summary>")
    assert page.index('name="kind" value="archive"') > summary
    assert "Yes: Archive the selected orders" in page


def test_the_file_of_orders_is_named_after_them(client: Client) -> None:
    answer = log_in(client).get("/orders.csv", headers={"Accept-Language": "en"})
    assert 'filename="orders' in answer["Content-Disposition"]


def test_an_action_is_cancelled_on_its_page(client: Client) -> None:
    log_in(client, OPERATORS)
    action = ask(Kind.DRY_RUN, User.objects.get())
    path = f"/actions/{action.pk}/"
    assert f'action="{path}cancel/"' in text(client, path)
    answer = client.post(f"{path}cancel/")
    assert (answer.status_code, answer["Location"]) == (302, path)
    page = text(client, path)
    assert "Cancelled by BC operators." in page
    assert f'action="{path}cancel/"' not in page
    assert client.post("/actions/999/cancel/").status_code == 404
    another = ask(Kind.DOCTOR, User.objects.create_superuser("chief"))
    assert "cancel/" not in text(client, f"/actions/{another.pk}/")
    assert client.post(f"/actions/{another.pk}/cancel/").status_code == 403
