"""The rules in Odoo from a browser: what an administrator sees, does, and leaves behind."""

from __future__ import annotations

import logging
import re
import socket
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.contrib.auth.models import Group
from django.contrib.auth.models import User as Staff
from django.test import Client
from psycopg2 import extensions

from bc_consumer.core import database_deadline, http_probe, process_state
from bc_consumer.core.redacted_text import current_redactor
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import OperatorAction
from bc_consumer.operations import action_claims, action_requests, actions_within_request
from bc_consumer.redaction import RedactingFormatter
from odoo_simulator import Simulator
from odoo_simulator.rpc_services import User
from tests.conftest import ON_SQLITE
from tests.unit.site import serving_site

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("single_rows")]
Kind, Status = OperatorAction.Kind, OperatorAction.Status
PASSWORD = "Zq7-typed-by-an-administrator"
PAGE, ASK = "/connections/rules/", "/connections/rules/ask/"


@pytest.fixture
def odoo(settings: LazySettings) -> Iterator[Simulator]:
    """An Odoo whose administrator has another password than the copy's account."""
    process_state.stopping.clear()
    with Simulator(18) as started, serving_site() as url:
        settings.ODOO_URL, settings.PUBLIC_URL = started.url, url
        started.service.users[9] = User(9, "boss", PASSWORD)
        yield started


@pytest.fixture
def chief() -> Client:
    return log_in("BC administrators")


def log_in(group: str) -> Client:
    user = Staff.objects.create_user(group, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def work(client: Client, what: str, language: str = "en", **more: str) -> str:
    """Send the form, and return the page that shows what came of it."""
    typed = {"what": what, "login": "boss", "password": PASSWORD, **more}
    answer = client.post(ASK, typed, follow=True, headers={"Accept-Language": language})
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    return answer.content.decode()


def stored() -> str:
    """Return every row of every table: ours, sessions, users, the administration's log."""
    return "\n".join(
        str(list(model._base_manager.values()))
        for model in apps.get_models(include_auto_created=True)
    )


def test_status_install_and_status_again(chief: Client, odoo: Simulator) -> None:
    page = work(chief, "status")
    assert "it is missing in Odoo" in page
    assert "The rules in Odoo are not as they should be" in page
    assert not odoo.store.tables["base.automation"].rows
    page = work(chief, "install")
    assert "Rules created: 4, corrected: 0, removed: 0." in page
    assert "All is as it should be." in page
    assert len(odoo.store.tables["base.automation"].rows) == 4
    assert "Règles dans Odoo" in work(chief, "status", "fr")
    recorded = OperatorAction.objects.order_by("pk")
    assert [one.parameters["what"] for one in recorded] == ["status", "install", "status"]
    assert {one.asked_by for one in recorded} == {"BC administrators"}
    assert {one.status for one in recorded} == {Status.DONE}
    assert len(chief.get(PAGE).context["result"]["rules"]) == 4, "the latest look stays there"


def test_a_new_secret_is_shown_once_and_stored_nowhere(
    chief: Client, odoo: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    work(chief, "install")
    page = work(chief, "rotate")
    found = re.search(r"ODOO_WEBHOOK_SECRETS=([\w-]{20,})", page)
    assert found is not None
    assert "Restart the web processes" in page
    assert f'name="next" value="{PAGE}"' in page, "what the header's buttons lead to is a page"
    assert f'value="{ASK}"' not in page
    assert found[1] not in stored() + caplog.text
    assert found[1] not in chief.get(PAGE).content.decode()
    assert OperatorAction.objects.latest("pk").status == Status.DONE


@pytest.mark.parametrize("what", ["status", "install", "rotate"])
@pytest.mark.parametrize("fault", ["none", "refused", "echo", "internal"])
def test_the_password_is_stored_and_logged_nowhere(
    what: str,
    fault: str,
    chief: Client,
    odoo: Simulator,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.handler.setFormatter(RedactingFormatter("%(levelname)s %(name)s %(message)s"))
    if fault == "refused":
        odoo.service.users[9] = User(9, "boss", "another")
    elif fault == "echo":
        odoo.faults.echo()
        odoo.faults.http_status(502)
    elif fault == "internal":

        def break_down(*_: object) -> None:
            raise RuntimeError(f"password: {PASSWORD}, and {PASSWORD} again")

        monkeypatch.setitem(actions_within_request.PASSWORD_STEPS, Kind.RULES, break_down)
    page = work(chief, what)
    odoo.faults.clear()
    assert PASSWORD not in page
    assert PASSWORD not in stored()
    assert PASSWORD not in caplog.text
    assert PASSWORD not in str(dict(chief.session))
    action = OperatorAction.objects.get()
    expected = Status.DONE if fault == "none" else Status.FAILED
    assert action.status == expected, action.outcome
    assert PASSWORD in current_redactor()(f"{PASSWORD} x"), "this process has forgotten it"


def test_who_may_not_is_refused_before_odoo_is_asked(odoo: Simulator) -> None:
    for group in ("BC viewers", "BC operators"):
        client = log_in(group)
        page = client.get(PAGE).content.decode()
        assert 'name="password"' not in page
        answer = client.post(ASK, {"what": "install", "login": "boss", "password": PASSWORD})
        assert answer.status_code == 403
    assert not odoo.calls
    assert not OperatorAction.objects.exists()


def test_the_form_is_guarded(chief: Client, odoo: Simulator) -> None:
    page = chief.get(PAGE).content.decode()
    assert re.search(r'<input id="password"[^>]*type="password"[^>]*autocomplete="off"', page)
    assert 'autocomplete="off">' in page[page.index('<form class="card"') :]
    assert chief.get(ASK).status_code == 302
    assert chief.post(ASK, {"what": "remove"}).status_code == 404
    assert chief.post("/ask/rules/", {"what": "install"}).status_code == 404, "no worker does it"
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = chief.cookies
    assert strict.post(ASK, {"what": "status", "password": PASSWORD}).status_code == 403
    assert not odoo.calls


@pytest.mark.parametrize("left_out", ["login", "password"])
def test_a_login_and_its_password_are_refused_one_without_the_other(
    left_out: str, chief: Client, odoo: Simulator
) -> None:
    page = work(chief, "install", **{left_out: ""})
    assert "belong together" in page
    assert PASSWORD not in page
    assert not odoo.calls
    assert not OperatorAction.objects.exists()


def test_one_at_a_time_and_a_dead_one_does_not_stay(chief: Client, odoo: Simulator) -> None:
    user = Staff.objects.get()
    later = database_now() + timedelta(seconds=50)
    token = uuid.uuid4()
    other = action_requests.begin(Kind.RULES, user, {"what": "install"}, token, later)
    assert "Somebody else is doing this just now" in work(chief, "status")
    assert OperatorAction.objects.count() == 1
    OperatorAction.objects.update(lease_until=database_now() - timedelta(seconds=1))
    assert "it is missing in Odoo" in work(chief, "status")
    other.refresh_from_db()
    assert (other.status, other.outcome) == (Status.FAILED, action_claims.DIED)


def test_an_odoo_that_hangs_ends_with_the_deadline(
    chief: Client, odoo: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions_within_request, "SECONDS", 0.5)
    odoo.faults.latency(20)
    page = work(chief, "status")
    odoo.faults.clear()
    assert "Odoo did not finish within" in page
    assert OperatorAction.objects.get().status == Status.FAILED


def test_an_address_that_says_nothing_is_not_waited_for_either(
    chief: Client, odoo: Simulator, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions_within_request, "SECONDS", 0.5)
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.PUBLIC_URL = f"http://127.0.0.1:{silent.getsockname()[1]}"
        page = work(chief, "install")
    assert "Odoo did not finish within" in page
    assert time.monotonic() - began < http_probe.SECONDS - 1
    assert not odoo.store.tables["base.automation"].rows


def test_before_the_settings_are_asked_for_the_typed_account_looks(
    chief: Client, settings: LazySettings
) -> None:
    process_state.stopping.clear()
    settings.PUBLIC_URL, settings.ODOO_PASSWORD = "", "wrong"
    with Simulator(16) as old:
        settings.ODOO_URL = old.url
        old.service.users[9] = User(9, "boss", PASSWORD)
        page = work(chief, "install")
    assert "SYNC_POLL_SECONDS" in page
    assert "Where does Odoo reach this site?" not in page


def test_nor_is_an_odoo_that_hangs_waited_for_there(
    chief: Client, odoo: Simulator, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions_within_request, "SECONDS", 0.5)
    settings.PUBLIC_URL = ""
    odoo.faults.latency(8)
    began = time.monotonic()
    page = work(chief, "install")
    odoo.faults.clear()
    assert "Odoo did not finish within" in page
    assert time.monotonic() - began < 5


@pytest.fixture
def _deadlines() -> Iterator[None]:
    """Statements have deadlines, as in a web process."""
    before = extensions.get_wait_callback()
    database_deadline.install()
    yield
    extensions.set_wait_callback(before)


@pytest.mark.skipif(ON_SQLITE, reason="about PostgreSQL")
@pytest.mark.usefixtures("_deadlines")
def test_an_odoo_slower_than_the_page_s_deadline_costs_neither_outcome_nor_secret(
    chief: Client, odoo: Simulator, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(chief, "install")
    settings.PAGE_DATABASE_SECONDS = 1.0
    step = actions_within_request.PASSWORD_STEPS[Kind.RULES]

    def slow(*given: Any) -> actions_within_request.Performed:
        time.sleep(1.2)
        return step(*given)

    monkeypatch.setitem(actions_within_request.PASSWORD_STEPS, Kind.RULES, slow)
    assert "ODOO_WEBHOOK_SECRETS=" in work(chief, "rotate")
    assert OperatorAction.objects.latest("pk").status == Status.DONE


def test_an_address_that_would_lose_events_is_refused_here_too(
    chief: Client, odoo: Simulator, settings: LazySettings
) -> None:
    settings.PUBLIC_URL = odoo.url  # it answers, and is not our webhook
    page = work(chief, "install")
    assert "is not this service" in page
    assert "Nothing was written to Odoo" in page
    assert OperatorAction.objects.get().status == Status.REFUSED
    assert not odoo.store.tables["base.automation"].rows
