"""Odd orders: right and safe on the list, their page, in the search, the file, and behind it."""

from __future__ import annotations

import csv
import io
import time

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from bc_consumer.models import BC
from tests.db.copied import bc, journal, line

pytestmark = pytest.mark.django_db

MARKUP = '<img src=x onerror="alert(1)">"\'&<b>P7</b>'
ARABIC = "شركة التوريد للأثاث"
NOTE = "<p>" + "<b>long</b> &amp; <script>alert(2)</script> " * 2_500 + "</p>"
LINES = 500


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("staff", password="unused"))
    return client


@pytest.fixture
def odd() -> BC:
    """One order that has everything."""
    order = bc(
        7, name=MARKUP, partner_id=3, partner_name=ARABIC, partner_ref="<ref>", notes=NOTE,
        extra={"x_<odd>": "<i>extra</i>"},
    )  # fmt: skip
    for number in range(LINES):
        line(order, 1000 + number, name=f"<u>line {number}</u>", product_id=9, product_name=MARKUP)
    journal(7, changes={"fields": {"name": ["<old>", MARKUP], "notes": [NOTE, NOTE + "x"]}})
    return order


def text(client: Client, path: str, **asked: str) -> str:
    answer = client.get(path, asked)
    assert answer.status_code == 200, path
    return answer.content.decode()


def escaped(page: str) -> str:
    """Return a page after seeing that nothing of the order became markup in it."""
    for raw in ("<img src=x", "<script>alert", "<b>P7", "<u>line", "<ref>", "<i>extra", "<old>"):
        assert raw not in page, raw
    return page


def test_markup_and_arabic_are_text_everywhere(staff: Client, odd: BC) -> None:
    pages = {
        path: escaped(text(staff, path))
        for path in (
            "/", "/today/", "/orders/", "/bc/7/", "/admin/bc_consumer/bc/",
            reverse("admin:bc_consumer_bc_change", args=[odd.pk]), "/admin/bc_consumer/bcline/",
            "/admin/bc_consumer/journalentry/",
        )
    }  # fmt: skip
    for path in ("/", "/orders/", "/bc/7/", "/admin/bc_consumer/bc/"):
        assert "&lt;img src=x onerror=" in pages[path], path
        assert ARABIC in pages[path], path


@pytest.mark.parametrize("words", [MARKUP[:30], ARABIC, "التوريد", "<ref>", "<b>P7</b>"])
def test_they_are_found(staff: Client, odd: BC, words: str) -> None:
    assert f"/bc/{odd.odoo_id}/" in escaped(text(staff, "/orders/", words=words))
    assert "1 " in text(staff, "/admin/bc_consumer/bc/", q=words)
    listed = staff.get("/admin/bc_consumer/bc/", {"q": words}).context["cl"].result_list
    assert [order.odoo_id for order in listed] == [7]


def test_a_long_note_and_many_lines_are_shown_soon(staff: Client, odd: BC) -> None:
    began = time.process_time()
    page = text(staff, "/bc/7/")
    took = time.process_time() - began
    assert "500 lines" in page
    assert page.count("&lt;u&gt;line ") >= LINES
    assert len(page) < 600_000
    assert took < 5, "it takes a fifth of a second alone"
    record = text(staff, reverse("admin:bc_consumer_bc_change", args=[odd.pk]))
    assert "Show all lines" in record
    assert len(record) < 400_000


def test_the_file_has_them_as_they_are(staff: Client, odd: BC) -> None:
    content = staff.get("/orders.csv").getvalue().decode("utf-8-sig")
    header, row = list(csv.reader(io.StringIO(content)))
    told = dict(zip(header, row, strict=True))
    assert MARKUP in row, "a file is no page: the name is as in Odoo"
    assert told["Supplier"] == ARABIC


def test_an_order_without_a_name_goes_by_its_id(staff: Client) -> None:
    nameless = bc(8, name="", partner_id=3, partner_name="Supplier 3")
    journal(8)
    for path in ("/", "/orders/", "/bc/8/", "/admin/bc_consumer/bc/"):
        assert "#8" in text(staff, path), path
    assert staff.get("/search/", {"q": "#8"})["Location"] == "/bc/8/"
    assert staff.get("/search/", {"q": "8"})["Location"] == "/bc/8/"
    assert "#8" in text(staff, "/orders/", words="Supplier 3")
    assert "#8" in text(staff, reverse("admin:bc_consumer_bc_change", args=[nameless.pk]))
    content = staff.get("/orders.csv").getvalue().decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(content)))[1][:2] == ["8", ""]
