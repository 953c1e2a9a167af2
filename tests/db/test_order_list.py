"""The list of orders: its search, its filter, its pages, and its file for spreadsheets."""

import csv
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.utils import translation
from pytest_django import DjangoAssertNumQueries

from bc_consumer.console import csv_export, filter_names, orders
from tests.db.copied import bc, failed, journal, line

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_user("staff", is_staff=True))
    return client


@pytest.fixture(autouse=True)
def _names_are_fresh() -> None:
    for names in filter_names.ALL:
        names.forget()


def shown(client: Client, **asked: Any) -> list[str]:
    """Return the names of the orders that the list shows."""
    answer = client.get("/orders/", asked)
    assert answer.status_code == 200
    return [order.name for order, _pending in answer.context["orders"]]


def rows_of(client: Client, language: str = "en", **asked: Any) -> list[list[str]]:
    """Return the rows of the file, with its header."""
    answer = client.get("/orders.csv", asked, headers={"Accept-Language": language})
    assert answer.status_code == 200
    text = answer.getvalue().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text), delimiter=";" if language == "fr" else ","))


def test_an_order_that_is_named_is_one_step_away(staff: Client) -> None:
    bc(42, name="P00042")
    for words in ("P00042", "p00042", " P00042 ", "42", "#42"):
        assert staff.get("/search/", {"q": words})["Location"] == "/bc/42/", words


def test_an_id_that_only_the_ledger_or_the_journal_knows_is_found(staff: Client) -> None:
    failed(77)
    journal(78, "unconfirmed")
    assert staff.get("/search/", {"q": "77"})["Location"] == "/bc/77/"
    assert staff.get("/search/", {"q": "#78"})["Location"] == "/bc/78/"
    assert staff.get("/search/", {"q": "79"})["Location"] == "/orders/?words=79"


def test_a_name_of_digits_goes_before_an_id(staff: Client) -> None:
    bc(7, name="42")
    bc(42)
    assert staff.get("/search/", {"q": "42"})["Location"] == "/bc/7/"
    assert staff.get("/search/", {"q": "#42"})["Location"] == "/bc/42/"


def test_a_name_that_two_companies_use_leads_to_both(staff: Client) -> None:
    bc(1, name="P00001")
    bc(2, name="P00001")
    assert staff.get("/search/", {"q": "P00001"})["Location"] == "/orders/?words=P00001"
    assert len(shown(staff, words="P00001")) == 2


@pytest.mark.parametrize(
    "words", ["P00001", "SO-88", "so-8", "mÉtal", "metal atelier", "perceuse 18", "1"]
)
def test_words_find_name_reference_supplier_product_and_id(staff: Client, words: str) -> None:
    found = bc(1, partner_id=5, partner_name="Atelier Métal & Cie", partner_ref="SO-88")
    line(found, 11, product_id=9, product_name="Perceuse 18 V")
    other = bc(20, name="P00020", partner_id=6, partner_name="Papeterie")
    line(other, 12, product_id=8, product_name="Papier")
    assert shown(staff, words=words)[-1:] == ["P00001"]
    if words != "1":
        assert shown(staff, words=words) == ["P00001"]


def test_the_filter_narrows_by_what_an_order_has(staff: Client) -> None:
    values: dict[str, Any] = {
        "partner_id": 5,
        "partner_name": "Métal",
        "user_id": 3,
        "user_name": "Somebody",
        "company_id": 1,
        "company_name": "Here",
        "currency_id": 1,
        "currency_name": "EUR",
        "amount_total": "100.50",
        "date_order": datetime(2026, 11, 24, 22, 30, tzinfo=UTC),
    }
    bc(1, **values)
    bc(2, **values | {"partner_id": 6, "partner_name": "Papier"})
    bc(3, **values | {"user_id": 4, "user_name": "Another"})
    bc(4, **values | {"company_id": 2, "company_name": "There"})
    bc(5, **values | {"currency_id": 2, "currency_name": "USD"})
    bc(6, **values | {"amount_total": "99"})
    bc(7, **values | {"date_order": datetime(2026, 11, 25, 1, 0, tzinfo=UTC)})
    bc(8, **values | {"state": "draft"})
    bc(9, **values, archived_at=datetime(2026, 11, 25, tzinfo=UTC))
    asked = {
        "supplier": "metal",
        "buyer": 3,
        "company": 1,
        "currency": 1,
        "total_from": "100",
        "total_to": "101",
        "ordered_from": "2026-11-24",
        "ordered_to": "2026-11-24",
        "state": "purchase",
        "presence": "current",
    }
    assert shown(staff, **asked) == ["P00001"]
    for left_out, others in (
        ("supplier", 2), ("buyer", 3), ("company", 4), ("currency", 5), ("total_from", 6),
        ("ordered_to", 7), ("state", 8), ("presence", 9),
    ):  # fmt: skip
        narrowed = {name: value for name, value in asked.items() if name != left_out}
        assert shown(staff, **narrowed) == [f"P{others:05}", "P00001"], left_out


def test_a_filter_that_makes_no_sense_is_told_and_shows_nothing(staff: Client) -> None:
    bc(1)
    answer = staff.get("/orders/", {"total_from": "much", "buyer": "<script>"})
    assert answer.context["orders"] == []
    assert "Total from: Enter a number." in answer.content.decode()
    assert "<script>" not in answer.content.decode().replace("<script src", "").replace(
        '<script type="module"', ""
    )


@pytest.mark.parametrize(
    "path",
    [
        "/search/?q=%00P1", "/orders/?words=%00", "/orders/?supplier=%00x",
        "/orders/?ordered_to=9999-12-31", "/orders/?ordered_from=0001-01-01",
        "/orders/?total_from=1e999999", "/orders/?below=" + "9" * 400, "/orders.csv?words=%00",
        "/failures/orders/?cause=%00", "/failures.csv?cause=%00", "/runs/?below=x&cause=%00",
        "/actions/?below=-1", "/search/?q=" + "x" * 5000,
    ],
)  # fmt: skip
def test_nothing_in_an_address_breaks_a_page(staff: Client, path: str) -> None:
    bc(1)
    assert staff.get(path).status_code in {200, 302}


def test_a_page_begins_where_the_one_before_ended(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "ROWS", 2)
    for odoo_id in range(1, 6):
        bc(odoo_id, partner_ref="REF")
    seen: list[str] = []
    url = "/orders/?words=REF"
    while url:
        answer = staff.get(url)
        seen += [order.name for order, _pending in answer.context["orders"]]
        url = answer.context["next_url"]
    assert seen == ["P00005", "P00004", "P00003", "P00002", "P00001"]


def test_a_list_takes_the_same_few_statements_however_long(
    staff: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for odoo_id in range(1, 40):
        bc(odoo_id)
        failed(odoo_id)
    with django_assert_max_num_queries(14):
        assert len(shown(staff)) == 39


def test_a_file_has_what_the_list_shows_as_a_spreadsheet_reads_it(staff: Client) -> None:
    bc(1, amount_total="1234.5", currency_name="EUR", partner_name="=HYPERLINK(1)", priority="1")
    bc(2, partner_name="Other")
    header, row = rows_of(staff, words="P00001")
    told = dict(zip(header, row, strict=True))
    assert told["Supplier"] == "'=HYPERLINK(1)", "a spreadsheet would run it"
    assert (told["Total"], told["Priority"]) == ("1234.5", "urgent")
    header, row = rows_of(staff, "fr", words="P00001")
    told = dict(zip(header, row, strict=True))
    assert told["Total"].startswith("1234,5")
    assert (told["Fournisseur"], told["Devise"]) == ("'=HYPERLINK(1)", "EUR")


def test_a_file_ends_somewhere(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "MOST_ROWS", 3)
    for odoo_id in range(1, 6):
        bc(odoo_id)
    assert len(rows_of(staff)) == 1 + 3


def test_a_file_is_read_in_parts_and_has_each_order_once(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_export, "PART_ROWS", 2)
    monkeypatch.setattr(csv_export, "PIECE_CHARACTERS", 10)
    for odoo_id in range(1, 6):
        bc(odoo_id)
    assert [row[0] for row in rows_of(staff)[1:]] == ["5", "4", "3", "2", "1"]
    assert [row[0] for row in rows_of(staff, words="P0000")[1:]] == ["5", "4", "3", "2", "1"]


def pieces_of(client: Client, language: str = "en") -> Iterator[bytes]:
    answer: Any = client.get("/orders.csv", headers={"Accept-Language": language})
    return iter(answer.streaming_content)


def test_who_reads_a_file_too_slowly_gets_a_last_line_that_says_so(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_export, "PIECE_CHARACTERS", 10)
    for odoo_id in range(1, 6):
        bc(odoo_id)
    pieces = pieces_of(staff, "fr")
    assert next(pieces).startswith(csv_export.BYTE_ORDER_MARK.encode())
    assert next(pieces).startswith(b"5;P00005")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + csv_export.LONGEST_SECONDS + 1)
    (last,) = pieces
    assert last.decode().startswith("!!! ")
    assert "trop de temps" in last.decode()


def test_each_piece_of_a_file_is_in_the_language_of_the_one_who_asked(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_export, "PIECE_CHARACTERS", 10)
    for odoo_id in range(1, 4):
        bc(odoo_id, state="draft")
    pieces = pieces_of(staff, "fr")
    next(pieces)
    translation.activate("en")  # by a request that the same thread serves meanwhile
    assert all("demande de prix" in piece.decode() for piece in pieces)


def test_a_database_that_goes_away_is_told_in_the_last_line(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_export, "PIECE_CHARACTERS", 10)
    monkeypatch.setattr(csv_export, "PART_ROWS", 1)
    bc(1)
    bc(2)
    pieces = pieces_of(staff)
    next(pieces)
    next(pieces)

    def away(*_told: object) -> object:
        raise OperationalError("no answer")

    with connection.execute_wrapper(away):
        (last,) = pieces
    assert b"the database did not answer" in last


@pytest.mark.parametrize("value", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_text_begins_a_formula(value: str) -> None:
    assert csv_export._cell(value, decimal_comma=False) == f"'{value}"


def test_the_list_is_for_staff(client: Client) -> None:
    for path in ("/orders/", "/orders.csv", "/search/?q=1", "/failures/", "/runs/", "/settings/"):
        answer = client.get(path)
        assert answer.status_code == 302, path
        assert answer["Location"].startswith("/admin/login/")
