"""Deadlines within deadlines."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from unittest.mock import MagicMock

import psycopg2
import pytest
from django.conf import LazySettings
from django.db import connection
from psycopg2 import extensions

from bc_consumer import web_process
from bc_consumer.core import database_deadline as deadline
from bc_consumer.core.database_deadline import database_deadline, deadline_passed
from tests.conftest import ON_SQLITE


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = extensions.get_wait_callback()
    yield
    deadline.install()
    extensions.set_wait_callback(before)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def given_up_after(port: int, seconds: float) -> float | None:
    """Connect in a thread of its own; return how long that took, None while it waits."""
    took: list[float] = []

    def connect() -> None:
        began = time.monotonic()
        with pytest.raises(psycopg2.OperationalError, match="before the deadline"):
            psycopg2.connect(host="127.0.0.1", port=port, user="x", dbname="x", sslmode="disable")
        took.append(time.monotonic() - began)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return took[0] if took else None


def test_outside_of_any_block_nothing_waits_without_end(silent: int) -> None:
    """Django closes old connections between two requests, and asks first whether they work."""
    deadline.install(0.2)
    took = given_up_after(silent, 10)
    assert took is not None
    assert took >= 0.2


@pytest.mark.parametrize("seconds", [0.3, None])
def test_a_block_may_last_longer_than_what_is_outside_of_any(
    silent: int, seconds: float | None
) -> None:
    deadline.install(0.0)
    waited = threading.Event()

    def connect() -> None:
        with database_deadline(seconds), pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(host="127.0.0.1", port=silent, user="x", dbname="x")
        waited.set()

    threading.Thread(target=connect, daemon=True).start()
    assert not waited.wait(0.2)
    assert waited.wait(10 if seconds else 0.5) is (seconds is not None)


@pytest.mark.parametrize(("of_pages", "outside"), [(5, deadline.LONGEST_SECONDS), (0, None)])
@pytest.mark.skipif(ON_SQLITE, reason="about PostgreSQL")
def test_a_web_process_gives_each_statement_a_deadline_unless_pages_have_none(
    of_pages: float, outside: float | None, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """«./start» has its worker in the same process, whose statements take as long as they like."""
    settings.PAGE_DATABASE_SECONDS = of_pages
    monkeypatch.setattr(web_process, "publisher", MagicMock())
    monkeypatch.setattr(web_process, "intake", MagicMock())
    monkeypatch.setattr(web_process, "metrics", MagicMock())
    monkeypatch.setattr(web_process, "heartbeats", MagicMock())
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {})
    web_process.prepare()
    assert deadline.installed()
    assert deadline._outside == outside


def left() -> float | None:
    how = getattr(deadline._thread, "waiting", None)
    return None if how is None else how._until - time.monotonic()


def test_a_block_within_a_block_has_its_own_and_gives_the_outer_one_back() -> None:
    with database_deadline(5):
        with database_deadline(50):
            assert (left() or 0) > 40
        assert 0 < (left() or 0) <= 5
    assert left() is None


@pytest.mark.parametrize("seconds", [5, None])
def test_a_block_that_waited_for_something_else_has_its_deadline_once_more(
    seconds: float | None,
) -> None:
    deadline.begin_anew()
    assert left() is None
    with database_deadline(seconds):
        if seconds:
            deadline._thread.waiting._until -= 4
        deadline.begin_anew()
        assert (left() or 0) > 4


def test_what_was_given_up_is_known_until_the_next_deadline_begins() -> None:
    with database_deadline(5):
        deadline._thread.passed = True
        assert deadline_passed()
    assert deadline_passed()
    with database_deadline(5):
        assert not deadline_passed()
