"""The administration: everything can be seen, nothing edited; some may read again."""

import pytest
from django.conf import LazySettings
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from bc_consumer import actors  # noqa: F401 - declares the queue that a mark is announced on
from bc_consumer.console.order import odoo_url
from bc_consumer.models import (
    BC,
    BCLine,
    JournalEntry,
    Lane,
    PendingBC,
    SyncLog,
    SyncState,
)
from tests.db.copied import bc, failed, journal, line, pending

pytestmark = pytest.mark.django_db

MODELS = (BC, BCLine, PendingBC, JournalEntry, SyncState, SyncLog)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("staff", password="unused"))
    return client


@pytest.fixture
def viewer(client: Client) -> Client:
    """Someone who may view everything of ours and change nothing."""
    user = User.objects.create_user("viewer", is_staff=True)
    views = Permission.objects.filter(
        content_type__app_label="bc_consumer", codename__startswith="view_"
    )
    user.user_permissions.set(views)
    client.force_login(user)
    return client


def url(model: type, page: str = "changelist", *args: object) -> str:
    return reverse(f"admin:bc_consumer_{model.__name__.lower()}_{page}", args=args)


def one_of_each() -> None:
    order = bc(1, amount_total="12.50", company_id=1, company_name="Company A")
    line(order, 11)
    failed(1, last_payload='{"_id": 1}')
    journal(1, changes={"fields": {"amount_total": ["1.00", "12.50"]}}, delay=0.3)
    SyncLog.objects.create(started_at=timezone.now(), error="Traceback <x>")
    SyncState.objects.get_or_create(key=SyncState.KEY)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_everything_can_be_seen_and_nothing_changed(
    staff: Client, model: type[BC], language: str
) -> None:
    one_of_each()
    headers = {"Accept-Language": language}
    record = model.objects.get()
    assert staff.get(url(model), headers=headers).status_code == 200
    page = staff.get(url(model, "change", record.pk), headers=headers)
    assert page.status_code == 200
    assert b'name="_save"' not in page.content
    assert staff.post(url(model, "change", record.pk), {"name": "x"}).status_code == 403
    assert staff.get(url(model, "add")).status_code == 403
    assert staff.post(url(model, "delete", record.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", [BC, BCLine, PendingBC, JournalEntry])
def test_lists_cost_the_same_however_long(
    staff: Client, model: type[BC], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for odoo_id in range(1, 31):
        line(bc(odoo_id), odoo_id)
        failed(odoo_id)
        journal(odoo_id)
    with django_assert_max_num_queries(8):
        staff.get(url(model))


def test_an_order_with_many_lines_costs_few_statements(
    staff: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    order = bc(1)
    for number in range(40):
        line(order, 100 + number)
        journal(1)
    with django_assert_max_num_queries(12):
        staff.get(url(BC, "change", order.pk))


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("P00002", [2]), ("supplier 002", [2]), ("REF-2", [2]), ("2", [3, 2]), ("#3", [3]),
        ("12", [12, 3]), ("#12", [12]), ("99999999999999999999", []), ("no such", []),
    ],
)  # fmt: skip
def test_orders_are_found(staff: Client, term: str, found: list[int]) -> None:
    bc(2, name="P-two P00002", partner_id=7, partner_name="Supplier 002", partner_ref="REF-2")
    bc(3, name="third", partner_ref="order 12")
    bc(12, name="twelfth")
    page = staff.get(url(BC), {"q": term})
    assert [row.odoo_id for row in page.context["cl"].result_list] == found


@pytest.mark.parametrize(
    ("model", "query", "found"),
    [
        (BC, "presence=current", [1]),
        (BC, "presence=archived", [2]),
        (BC, "presence=forbidden", [3]),
        (BC, "state=draft", [2]),
        (BC, "company=5", [3]),
        (PendingBC, "standing=owed", [1]),
        (PendingBC, "standing=watching", [2]),
        (PendingBC, "standing=failed", [3]),
        (PendingBC, "standing=held", [4]),
        (PendingBC, "error=MappingError", [3]),
        (PendingBC, "q=3", [3]),
        (PendingBC, "q=not a number", [3]),
        (JournalEntry, "q=2", [2]),
        (JournalEntry, "q=two", []),
        (JournalEntry, "outcome__exact=archived", [2]),
    ],
)
def test_lists_are_narrowed(staff: Client, model: type[BC], query: str, found: list[int]) -> None:
    bc(1, company_id=4, company_name="Company A")
    bc(2, archived_at=timezone.now(), state="draft")
    bc(3, forbidden_at=timezone.now(), company_id=5, company_name="Company B")
    pending(1)
    pending(2, generation=2, fetched_generation=2)
    failed(3)
    pending(4, held_reason="too many at once")
    journal(1)
    journal(2, outcome="archived")
    page = staff.get(f"{url(model)}?{query}")
    assert [row.odoo_id for row in page.context["cl"].result_list] == found


def test_errors_are_readable_and_escaped(staff: Client) -> None:
    failed(1)
    page = staff.get(url(PendingBC, "change", 1)).content.decode()
    assert '<pre tabindex="0">Traceback\n  File &quot;&lt;odd&gt;&quot;</pre>' in page
    assert "amount_total of order 7 can&#x27;t be copied" in page
    filters = staff.get(url(PendingBC)).content.decode()
    assert "MappingError (1)" in filters


def test_orders_are_read_again_through_the_ledger(staff: Client) -> None:
    failed(1)
    pending(2, held_reason="too many at once")
    data = {"action": "read_again", "_selected_action": ["1", "2"]}
    page = staff.post(url(PendingBC), data, follow=True)
    told = [str(message) for message in page.context["messages"]]
    assert told == [
        "2 orders will be read from Odoo again.",
        (
            "1 of them is on hold; reading it again does not release it: run manage.py"
            " sync_BcLinbc --force."
        ),
    ]
    row = PendingBC.objects.get(pk=1)
    assert (row.failed_at, row.lane) == (None, Lane.OPERATOR)
    assert "operator" in row.causes
    bc(3)
    data = {"action": "read_again", "_selected_action": [str(BC.objects.get(odoo_id=3).pk)]}
    staff.post(url(BC), data)
    row = PendingBC.objects.get(pk=3)
    assert (row.causes, row.lane) == ("operator", Lane.OPERATOR)


def test_viewers_see_and_read_nothing_again(viewer: Client) -> None:
    failed(1)
    bc(1)
    page = viewer.get(url(PendingBC))
    assert page.status_code == 200
    assert b"read_again" not in page.content
    data = {"action": "read_again", "_selected_action": ["1"]}
    viewer.post(url(PendingBC), data)
    assert PendingBC.objects.get(pk=1).failed_at is not None


def test_others_see_nothing(client: Client) -> None:
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get(url(BC)).status_code == 403


def test_the_link_into_odoo_has_no_credentials(staff: Client, settings: LazySettings) -> None:
    settings.ODOO_URL = "https://someone:secret@odoo.example:8069/base/"
    assert odoo_url(7) == (
        "https://odoo.example:8069/base/web#id=7&model=purchase.order&view_type=form"
    )
    order = bc(7)
    page = staff.get(url(BC, "change", order.pk)).content.decode()
    assert "https://odoo.example:8069/base/web#id=7" in page
    assert "secret" not in page
    settings.ODOO_URL = ""
    assert odoo_url(7) == ""


def test_the_unused_task_list_is_gone(staff: Client) -> None:
    assert "django_dramatiq" not in {model._meta.app_label for model in admin.site._registry}
