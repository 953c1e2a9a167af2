"""The administration speaks as the pages do: labels, numbers, dates; nothing of Django's own."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bc_consumer.console.admin_read_only import BoundedPaginator
from bc_consumer.models import (
    BC,
    Alert,
    DeadLetter,
    Heartbeat,
    JournalEntry,
    OperatorAction,
    SyncLog,
    SyncState,
)
from tests.db.copied import bc, failed, journal, line

pytestmark = pytest.mark.django_db

OURS = [model for model in admin.site._registry if model._meta.app_label == "bc_consumer"]
AT = datetime(2026, 11, 24, 9, 30, 5, tzinfo=UTC)
TRACED = "Traceback"
TRACE = f"{TRACED}\n  File"
DJANGOS = (
    "Select ", "Sélectionnez", "Django", "to view", "à afficher", "Afficher ", "icon-no",
    "icon-yes", "None", "Nov. 24", "24 novembre",
)  # fmt: skip
"""What people read in Django's administration and nowhere else here."""


@pytest.fixture
def viewer(client: Client) -> Client:
    user = User.objects.create_user("viewer", is_staff=True)
    user.groups.add(Group.objects.get(name="BC viewers"))
    client.force_login(user)
    return client


@pytest.fixture
def _one_of_each() -> None:
    order = bc(
        1, partner_id=5, amount_total="16193.1", amount_untaxed="16193.1", currency_name="EUR",
        priority="0", date_order=AT, write_date=AT,
    )  # fmt: skip
    line(order, 11, price_unit="16193.1", product_qty="2.0", product_name="Desk")
    row = failed(1, traceback=TRACE, first_marked_at=AT, marks=12345)
    row.save()
    journal(1, changes={"fields": {"amount_total": ["1.00", "12.50"]}}, delay=0.3)
    JournalEntry.objects.update(at=AT)
    SyncLog.objects.create(
        started_at=AT, cause="nightly", error="broken", traceback=TRACE, odoo_bytes=1234567
    )
    SyncState.objects.get_or_create(key=SyncState.KEY)
    Alert.objects.create(key="brake", text="on hold", first_at=AT, last_at=AT)
    DeadLetter.objects.create(
        queue="bc", body=b"x", digest="d" * 64, why="odd", first_at=AT, last_at=AT
    )
    OperatorAction.objects.create(
        kind=OperatorAction.Kind.COMPARE, asked_by="somebody", asked_at=AT, fingerprint="f",
        parameters={"odoo_id": 1}, outcome="the copy equals Odoo", traceback=TRACE,
        result={"order": 1},
    )  # fmt: skip


def page_of(client: Client, path: str, language: str) -> str:
    answer = client.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200, path
    main = answer.content.decode().partition('<div id="content"')[2]
    assert main, path
    return main


def words_of(html: str) -> str:
    """Return what a reader of a page sees."""
    visible = re.sub(r"<(script|style).*?</\1>|<input[^>]*>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", visible)).split())


def paths() -> list[str]:
    """Return every list, and every record's page."""
    found = []
    for model in OURS:
        name = f"admin:bc_consumer_{model._meta.model_name}"
        found.append(reverse(f"{name}_changelist"))
        found += [
            reverse(f"{name}_change", args=[record.pk]) for record in model._default_manager.all()
        ]
    return found


@pytest.mark.slow("loads every list and record")
@pytest.mark.usefixtures("_one_of_each")
@pytest.mark.parametrize("language", ["en", "fr"])
def test_lists_and_records_have_nothing_of_django_s_words(viewer: Client, language: str) -> None:
    assert Heartbeat not in OURS
    assert len(paths()) >= 2 * len(OURS) - 1
    for path in paths():
        html = page_of(viewer, path, language)
        words = words_of(html)
        for told in DJANGOS:
            assert told not in words, f"{path}: «{told}» in {words}"
            assert not (told.startswith("icon-") and told in html), path
        assert "16193.1" not in words, path
        assert TRACED not in words, f"{path}: a viewer sees a traceback"


@pytest.mark.usefixtures("_one_of_each")
def test_numbers_and_dates_read_as_on_the_pages(viewer: Client) -> None:
    order = reverse("admin:bc_consumer_bc_changelist")
    english, french = (words_of(page_of(viewer, order, code)) for code in ("en", "fr"))
    assert "16,193.10 EUR" in english
    assert "16\xa0193,10 EUR".replace("\xa0", " ") in french
    assert "2026-11-24 09:30" in english
    assert "24/11/2026 09:30" in french
    record = reverse("admin:bc_consumer_bc_change", args=[bc_key()])
    assert "Priority: normal" in words_of(page_of(viewer, record, "en"))
    assert "Priorité : normale" in words_of(page_of(viewer, record, "fr"))
    ledger = words_of(page_of(viewer, "/admin/bc_consumer/pendingbc/1/change/", "en"))
    assert "Signals: 12,345" in ledger
    runs = words_of(page_of(viewer, reverse("admin:bc_consumer_synclog_changelist"), "en"))
    assert "2026-11-24 09:30:05" in runs


def bc_key() -> int:
    return BC.objects.get().pk


@pytest.mark.usefixtures("_one_of_each")
def test_a_pending_row_begins_with_its_error(viewer: Client) -> None:
    words = words_of(page_of(viewer, "/admin/bc_consumer/pendingbc/1/change/", "en"))
    error = words.index("amount_total of order 7 can't be copied")
    for later in ("Queue:", "Signals:", "Generation:", "Claim:", "Read with:"):
        assert error < words.index(later), later


@pytest.mark.usefixtures("_one_of_each")
def test_who_asked_for_what_is_listed_and_nothing_of_it_changes(viewer: Client) -> None:
    listed = words_of(page_of(viewer, reverse("admin:bc_consumer_operatoraction_changelist"), "en"))
    assert "somebody" in listed
    assert "the copy equals Odoo" in listed
    action = OperatorAction.objects.get()
    url = reverse("admin:bc_consumer_operatoraction_change", args=[action.pk])
    assert '"odoo_id": 1' in words_of(page_of(viewer, url, "en"))
    assert viewer.post(url, {"asked_by": "nobody"}).status_code == 403
    assert viewer.post(reverse("admin:bc_consumer_operatoraction_add"), {}).status_code == 403
    assert OperatorAction.objects.get().asked_by == "somebody"


@pytest.mark.usefixtures("_one_of_each")
def test_operators_see_tracebacks(client: Client) -> None:
    user = User.objects.create_user("operator", is_staff=True)
    user.groups.add(Group.objects.get(name="BC operators"))
    client.force_login(user)
    assert TRACED in page_of(client, "/admin/bc_consumer/pendingbc/1/change/", "en")


def test_a_long_list_is_counted_so_far(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedPaginator, "most", 3)
    for odoo_id in range(1, 6):
        bc(odoo_id, write_date=timezone.now())
    listed = reverse("admin:bc_consumer_bc_changelist")
    assert "more than 3: search, or use the filter" in words_of(page_of(viewer, listed, "en"))
    assert "5" not in words_of(page_of(viewer, f"{listed}?q=P00004", "en")).split("1 order")[1][:3]
