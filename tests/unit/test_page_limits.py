"""Which requests wait for whom, and what a page says while the database is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest
from django.conf import LazySettings
from django.db import InterfaceError, OperationalError, ProgrammingError, connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from bc_consumer import page_limits
from bc_consumer.core import database_deadline
from bc_consumer.page_limits import PageLimitsMiddleware
from tests.services.waiting import wait_until

GET = RequestFactory().get


def limits(view: Callable[[HttpRequest], HttpResponse], threads: int = 4) -> PageLimitsMiddleware:
    made = PageLimitsMiddleware(view)
    made._busy = threading.BoundedSemaphore(page_limits.pages_at_once(threads))
    made._waiting = threading.BoundedSemaphore(threads // 2)
    return made


def test_pages_have_a_quarter_of_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_limits, "TURN_SECONDS", 0.2)
    end, entered = threading.Event(), threading.Semaphore(0)

    def view(request: HttpRequest) -> HttpResponse:
        if request.path == "/":
            entered.release()
            end.wait(30)
        return HttpResponse("answered")

    guarded = limits(view, threads=8)
    with ThreadPoolExecutor(4) as pool:
        served = [pool.submit(guarded, GET("/")) for _ in range(2)]
        assert all(entered.acquire(timeout=10) for _ in served)
        refused = guarded(GET("/static/page.css", HTTP_ACCEPT_LANGUAGE="fr"))
        assert (refused.status_code, refused["Retry-After"]) == (503, "5")
        assert b'<html lang="fr">' in refused.content
        for path in ("/odoo/webhook", "/odoo/webhook/", "/healthz", "/readyz"):
            assert guarded(GET(path)).status_code == 200, path
        end.set()
        assert {one.result().status_code for one in served} == {200}
    assert guarded(GET("/")).status_code == 200


def test_a_page_waits_for_its_turn_and_only_so_many_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_limits, "TURN_SECONDS", 30.0)
    end = threading.Event()

    def view(_request: HttpRequest) -> HttpResponse:
        end.wait(30)
        return HttpResponse("answered")

    guarded = limits(view, threads=4)
    with ThreadPoolExecutor(3) as pool:
        served = [pool.submit(guarded, GET("/")) for _ in range(3)]  # one, and two that wait
        wait_until(lambda: guarded._waiting._value == 0, 10, what="two to wait")
        assert guarded(GET("/")).status_code == 503
        end.set()
        assert {one.result().status_code for one in served} == {200}


@pytest.mark.parametrize(
    ("error", "answered"),
    [
        (OperationalError("gone"), True),
        (InterfaceError("closed"), True),
        (ProgrammingError("no such column"), False),
        (ValueError(), False),
    ],
)
def test_what_counts_as_a_database_that_is_away(
    error: Exception, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(connection, "close", lambda: closed.append(True))
    answer = limits(lambda _: HttpResponse()).process_exception(GET("/"), error)
    assert (answer is not None, bool(closed)) == (answered, answered)


@pytest.mark.parametrize(("seconds", "most"), [(7.5, 7.5), (0, inf)])
def test_a_page_s_statements_have_so_long(
    seconds: float, most: float, settings: LazySettings
) -> None:
    """0: no limit, not even that of a statement outside of any page."""
    settings.PAGE_DATABASE_SECONDS = seconds
    left: list[float] = []

    def view(_request: HttpRequest) -> HttpResponse:
        left.append(database_deadline._thread.waiting._until - time.monotonic())
        return HttpResponse()

    limits(view)(GET("/"))
    assert most - 5 < left[0] <= most or left[0] == most


def test_another_middleware_s_statement_that_was_given_up(
    monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    monkeypatch.setattr(connection, "close", lambda: None)
    broken = limits(lambda _: HttpResponse(status=500))
    assert broken(GET("/")).status_code == 500, "an error of our own stays one"
    monkeypatch.setattr(page_limits, "deadline_passed", lambda: True)
    assert broken(GET("/")).status_code == 503
