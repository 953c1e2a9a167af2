"""Ordinary webhooks are answered on the event loop, as by the view; all others are left to it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from bc_consumer.messaging import intake as storing
from bc_consumer.messaging.intake import IntakeUnavailable
from bc_consumer.models import PendingBC
from odoo_webhook import fast_path, views
from odoo_webhook.fast_path import FastPath, Reply
from tests.unit.test_site_server import Fields, Scope

pytestmark = pytest.mark.usefixtures("single_rows")

SECRET = "s" * 40
ORDINARY = {
    "host": "localhost", "content-type": "application/json", "authorization": f"Bearer {SECRET}",
}  # fmt: skip
BODY = json.dumps({"_model": "purchase.order", "_id": 7, "name": "P00007"}).encode()


@pytest.fixture(autouse=True)
def _secret(settings: LazySettings) -> None:
    settings.ODOO_WEBHOOK_SECRETS = (SECRET,)
    settings.ALLOWED_HOSTS = ["localhost", "testserver"]


@pytest.fixture(autouse=True)
def _own_intake() -> Any:
    storing.intake.cache_clear()
    yield
    if storing.intake.cache_info().currsize:
        storing.intake().close()
    storing.intake.cache_clear()


def take_in(
    body: bytes = BODY,
    *,
    method: str = "POST",
    path: str = "/odoo/webhook/",
    query: str = "",
    scheme: str = "http",
    **other: str,
) -> Reply | None:
    headers = ORDINARY | {name.replace("_", "-"): value for name, value in other.items()}
    scope = Scope(method, path, Fields(*headers.items()), query, scheme=scheme)
    return asyncio.run(FastPath("/odoo/webhook").take_in(scope, body, time.monotonic()))


@pytest.mark.parametrize("query", ["", "event=changed", "event=created", "event=deleted"])
def test_the_reply_and_the_row_are_those_of_the_view(query: str) -> None:
    reply = take_in(query=query)
    assert reply is not None
    columns = [
        field.attname
        for field in PendingBC._meta.concrete_fields
        if not field.attname.endswith(("_at", "_since"))
    ]
    [here] = PendingBC.objects.values(*columns)
    PendingBC.objects.all().delete()
    answer = Client().post(
        f"/odoo/webhook/?{query}",
        BODY,
        content_type="application/json",
        headers={"authorization": f"Bearer {SECRET}"},
    )
    assert (reply.status, json.loads(reply.body)) == (answer.status_code, answer.json())
    assert reply.status == 202
    assert [here] == list(PendingBC.objects.values(*columns))


@pytest.mark.parametrize(
    "odd",
    [
        {"method": "PUT"},
        {"path": "/odoo/webhook//"},
        {"query": "event=ping"},
        {"query": "event=other"},
        {"query": "event=changed&x=1"},
        {"content_type": "application/json; charset=utf-8"},
        {"content_type": "text/plain"},
        {"host": "elsewhere.example.com"},
        {"host": ""},
        {"host": f"localhost:{'0' * 300}"},
        {"cookie": "a=b"},
        {"body": b""},
        {"body": b"not JSON"},
        {"body": b'{"_model": "purchase.order", "_id": false}'},
        {"body": b'{"_model": "res.partner", "_id": 7}'},
        {"body": b'{"_model": "purchase.order", "ids": [7, 8]}'},
        {"body": BODY + b" " * fast_path.LONGEST_BODY},
    ],
    ids=str,
)
def test_what_is_not_ordinary_is_left_to_the_view(odd: dict[str, Any]) -> None:
    assert take_in(**odd) is None
    assert not PendingBC.objects.exists()


def test_where_https_is_needed_the_proxy_has_to_have_said_so(settings: LazySettings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert take_in() is None
    assert take_in(x_forwarded_proto="http") is None
    assert take_in(x_forwarded_proto="https") is not None
    assert take_in(scheme="https") is not None
    assert take_in(scheme="https", x_forwarded_proto="http") is None, "as Django has it"
    settings.SECURE_PROXY_SSL_HEADER = None
    assert take_in(x_forwarded_proto="https") is None


def test_with_too_many_waiting_a_webhook_waits_for_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fast_path, "MOST_AT_ONCE", 0)
    assert take_in() is None


def test_an_event_that_nothing_keeps_is_refused_as_by_the_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail_on_loop(*_arguments: object, **_named: object) -> str:
        raise IntakeUnavailable

    def fail(*_arguments: object, **_named: object) -> str:
        raise IntakeUnavailable

    monkeypatch.setattr(fast_path, "accept_on_loop", fail_on_loop)
    monkeypatch.setattr(views, "accept", fail)
    reply = take_in()
    answer = Client().post(
        "/odoo/webhook/",
        BODY,
        content_type="application/json",
        headers={"authorization": f"Bearer {SECRET}"},
    )
    assert reply is not None
    assert (reply.status, json.loads(reply.body)) == (answer.status_code, answer.json())
    assert dict(reply.headers)["retry-after"] == answer.headers["Retry-After"]


def test_a_late_answer_is_given_up_on_the_loop_as_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    settings.WEBHOOK_ANSWER_SECONDS = 0.2
    monkeypatch.setattr(storing.Intake, "put", lambda _self, _arrival: None)
    missed: list[int] = []
    monkeypatch.setattr(storing.intake().gate, "note_missed", lambda: missed.append(1))
    reply = take_in()
    assert reply is not None
    assert reply.status == 503
    assert missed, "a scan looks for it"
