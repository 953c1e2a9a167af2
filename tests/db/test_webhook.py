"""The endpoint over Django's own stack: statuses, JSON errors, and nothing marked when refused."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bc_consumer.core import process_state
from bc_consumer.messaging import intake as intake_module
from bc_consumer.models import Event, PendingBC
from odoo_webhook import views
from tests.bodies import bodies
from tests.quick import examples

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "first-test-secret"
URL = "/odoo/webhook/"
ORDER = {"_model": "purchase.order", "_id": 5, "id": 5}


@pytest.fixture(autouse=True)
def _fresh_intake(settings: LazySettings) -> Iterator[None]:
    """A thread of this test: its connection must not outlive the test's database."""
    settings.WEBHOOK_ANSWER_SECONDS = 10
    intake_module.intake.cache_clear()
    yield
    if intake_module.intake.cache_info().currsize:
        intake_module.intake().close()
    intake_module.intake.cache_clear()


def post(body: bytes, path: str = URL, **headers: Any) -> Any:
    login = base64.b64encode(f"odoo:{SECRET}".encode()).decode()
    # Django's client leaves the type out when the body is empty; a real one sends it.
    type_ = headers.pop("content_type", "application/json")
    sent = {"HTTP_AUTHORIZATION": f"Basic {login}", "CONTENT_TYPE": type_, **headers}
    sent.setdefault("CONTENT_LENGTH", str(len(body)))
    return Client().generic("POST", path, body, content_type=type_, **sent)


def test_an_event_is_marked_and_answered_with_202() -> None:
    answer = post(json.dumps(ORDER).encode())
    assert answer.status_code == 202
    assert answer.json() == {"accepted": [5], "kept_in": "ledger"}
    row = PendingBC.objects.get()
    assert (row.odoo_id, row.causes, row.event, row.early) == (5, "webhook", Event.CHANGED, True)
    assert json.loads(row.last_payload) == ORDER


def test_when_the_last_one_was_kept_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_state, "webhook", process_state.LastTime())
    assert post(b"no event", URL).status_code == 400
    assert process_state.webhook.seconds_ago() is None
    assert post(json.dumps(ORDER).encode()).status_code == 202
    assert process_state.webhook.seconds_ago() is not None


def test_a_deletion_is_marked_as_one() -> None:
    assert post(json.dumps(ORDER).encode(), URL + "?event=deleted").status_code == 202
    assert PendingBC.objects.get().event == Event.DELETED


def test_rule_14_no_redirect_with_or_without_the_slash_or_behind_https(
    settings: LazySettings,
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    for path in ("/odoo/webhook", "/odoo/webhook/", "/odoo/webhook?event=created"):
        assert post(json.dumps(ORDER).encode(), path).status_code == 202
    assert PendingBC.objects.get().marks == 3


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, {"body": b"{"}),
        (400, {"body": b"[]"}),
        (400, {"body": b""}),
        (400, {"body": b'{"_model": "res.users", "_id": 1}'}),
        (400, {"body": b'{"_model": "purchase.order.line", "_id": 1}'}),
        (400, {"HTTP_HOST": "elsewhere.example"}),
        (401, {"HTTP_AUTHORIZATION": ""}),
        (401, {"HTTP_AUTHORIZATION": "Bearer nobody"}),
        (411, {"CONTENT_LENGTH": ""}),
        (411, {"CONTENT_LENGTH": "-1"}),
        (413, {"CONTENT_LENGTH": "9" * 5000}),
        (413, {"body": b'{"x": "' + b"x" * 300_000 + b'"}'}),
        (415, {"content_type": "text/plain"}),
        (415, {"content_type": "application/x-www-form-urlencoded"}),
    ],
)
def test_a_refusal_says_why_and_marks_nothing(status: int, request_: dict[str, Any]) -> None:
    body = request_.pop("body", json.dumps(ORDER).encode())
    answer = post(body, **request_)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/json"
    assert answer.json()["error"]
    assert not PendingBC.objects.exists()


def test_an_event_whose_length_nobody_knows_has_a_scan_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy that begins to pass bodies on in pieces would otherwise lose every event."""
    lost: list[bool] = []
    monkeypatch.setattr(views, "note_missed", lambda: lost.append(True))
    assert post(json.dumps(ORDER).encode(), CONTENT_LENGTH="").status_code == 411
    assert lost == [True]
    assert post(b"", CONTENT_LENGTH="", HTTP_AUTHORIZATION="Bearer nobody").status_code == 401
    assert lost == [True]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "PATCH"])
def test_another_method_gets_405(method: str) -> None:
    answer = Client().generic(method, URL)
    assert answer.status_code == 405
    assert answer["Allow"] == "POST"


def test_whoever_asks_for_its_methods_is_told_and_nothing_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = Client().options(URL)
    assert (answer.status_code, answer["Allow"]) == (204, "POST, OPTIONS")
    assert not [one for one in caplog.records if one.levelname == "WARNING"]


def test_a_database_away_without_rabbitmq_is_503(settings: LazySettings) -> None:
    settings.WEBHOOK_ANSWER_SECONDS = 0.5
    intake = intake_module.intake()
    intake.gate.usable = False
    intake.close()
    answer = post(json.dumps(ORDER).encode())
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert "send it again" in answer.json()["error"]
    assert not PendingBC.objects.exists()
    intake_module.intake.cache_clear()


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each event that was counted as missed."""
    lost: list[bool] = []
    monkeypatch.setattr(views, "note_missed", lambda: lost.append(True))
    return lost


@pytest.mark.parametrize(
    "request_",
    [
        {"body": b'{"x": "' + b"x" * 300_000 + b'"}'},
        {"CONTENT_LENGTH": "9" * 5000},
        {"CONTENT_LENGTH": "99", "wsgi.input": io.BytesIO(b"{")},  # it ended before
    ],
)
def test_an_event_that_can_not_be_read_is_counted_as_missed(
    request_: dict[str, Any], lost: list[bool]
) -> None:
    body = request_.pop("body", json.dumps(ORDER).encode())
    assert post(body, **request_).status_code in {400, 413}
    assert lost == [True]
    # Of a stranger's nothing is lost.
    assert post(body, HTTP_AUTHORIZATION="Bearer nobody", **request_).status_code == 401
    assert lost == [True]


@pytest.mark.parametrize("request_", [{"body": b"{"}, {"content_type": "text/plain"}, {}])
def test_what_is_no_event_is_not(request_: dict[str, Any], lost: list[bool]) -> None:
    """Odoo's rule is wrong then, as each of its events would be; the answer says how."""
    post(request_.pop("body", json.dumps(ORDER).encode()), **request_)
    assert lost == []


@pytest.mark.parametrize("function", ["parse", "accept", "mark_of"])
def test_an_error_of_ours_is_counted_as_missed(
    function: str, lost: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(views, function, broken)
    with pytest.raises(ZeroDivisionError):
        post(json.dumps(ORDER).encode())
    assert lost == [True]


@settings(
    max_examples=examples(400),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    body=bodies(),
    event=st.sampled_from(["", "?event=deleted", "?event=changed", "?event=x", "?event=%00"]),
)
def test_no_body_is_ever_answered_with_5xx(body: bytes, event: str) -> None:
    before = PendingBC.objects.count()
    answer = post(body, URL + event)
    assert answer.status_code in {202, 400, 413}
    if answer.status_code != 202:
        assert PendingBC.objects.count() == before
        assert answer.json()["error"]
    else:
        kept = PendingBC.objects.filter(pk__in=answer.json()["accepted"]).count()
        assert kept == len(answer.json()["accepted"]) > 0
