"""What pages cost the database: as many statements, however large the copy is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from bc_consumer.core import cached_value
from bench.large_copy import fill, fill_troubles
from bench.pages import Page, pages
from tests.db.conftest import forget_figures
from tests.db.copied import failed

pytestmark = pytest.mark.django_db

MOST_STATEMENTS = 14
"""Of any page but Today, session and user included, with nothing in any cache."""
MOST_OF_TODAY = 45
FILLED = ("bc", "bcline", "journalentry", "synclog", "pendingbc")


class Statements(list[str]):
    """What was asked of the database."""

    def __call__(self, execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        self.append(str(sql))
        return execute(sql, params, many, context)


@pytest.fixture
def staff(client: Client, transactional_db: None) -> Client:
    client.force_login(User.objects.create_superuser("staff", password="unused"))
    return client


def statements(client: Client, page: Page) -> list[str]:
    forget_figures()
    asked = Statements()
    with connection.execute_wrapper(asked):
        answer: Any = client.get(page.path)
        if answer.streaming:
            next(iter(answer.streaming_content))
    assert answer.status_code in (200, 302), page.path
    return asked


def costs(client: Client, orders: int) -> Iterator[tuple[Page, list[str]]]:
    """Fill a copy with so many orders, and yield each page with its statements."""
    tables = ", ".join(f"bc_consumer_{table}" for table in FILLED)
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
    fill(connection, orders, 3, 3 * orders, days=20)
    large = fill_troubles(
        connection, orders, failed=orders // 20, causes=30, held=orders // 20, polls=orders // 10
    )
    for page in pages(orders, large):
        yield page, statements(client, page)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="it is filled by PostgreSQL")
@pytest.mark.slow("it fills in a copy twice, and asks for every page")
def test_every_page_takes_as_many_statements_however_large_the_copy_is(
    single_rows: None, staff: Client, settings: LazySettings
) -> None:
    settings.PUBLIC_URL = "https://copy.example.com"
    few = {page.path: asked for page, asked in costs(staff, 1_000)}
    for page, asked in costs(staff, 3_000):
        most = MOST_OF_TODAY if page.path in ("/", "/today/") else MOST_STATEMENTS
        assert len(asked) <= most, f"{page.path}:\n" + "\n".join(asked)
        if page.path in few:  # some name an order by its number
            assert len(_rows(asked)) == len(_rows(few[page.path])), (
                f"{page.path}, once:\n" + "\n".join(few[page.path]) + "\nnow:\n" + "\n".join(asked)
            )


def _rows(asked: list[str]) -> list[str]:
    """Leave out the count of a list, which one that has a single page does not need."""
    return [sql for sql in asked if not sql.startswith("SELECT COUNT(*) FROM (")]


def test_open_tabs_share_what_they_show_and_ask_seldom_who_reads_them(
    single_rows: None, staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed(1)
    # Each question takes a second, and then time stands still.
    clock = SimpleNamespace(monotonic=itertools.count().__next__)
    monkeypatch.setattr(cached_value, "time", clock)
    staff.get("/today/")
    clock.monotonic = lambda: 0
    asked = Statements()
    with connection.execute_wrapper(asked):
        for _tab in range(10):
            assert staff.get("/today/").status_code == 200
    assert not [sql for sql in asked if "bc_consumer" in sql]
    assert len(asked) <= 2, "session and user, once in five seconds"
    # Another reader is asked for all the same.
    staff.cookies.clear()
    assert staff.get("/today/").status_code == 403
