"""What needs somebody: the failures, those of one cause, their file, and an order's trouble."""

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Group, User
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from bc_consumer import ledger
from bc_consumer.console import failures
from bc_consumer.models import BC, Alert, DeadLetter, OperatorAction, SyncLog, SyncState
from tests.db.copied import bc, failed, journal, pending

pytestmark = pytest.mark.django_db

NOT_A_NUMBER = "MappingError amount_total of order # can't be copied"


def log_in(client: Client, group: str = "BC operators") -> Client:
    user = User.objects.create_user(group, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return client


def text(client: Client, path: str, language: str = "en") -> str:
    answer = client.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_good_morning_says_so(client: Client) -> None:
    assert "Nothing needs you" in text(log_in(client), "/failures/")


def test_causes_come_with_meaning_advice_example_and_button(client: Client) -> None:
    bc(1, partner_name="<b>Supplier</b>")
    for odoo_id in (1, 2, 3):
        failed(odoo_id, failure=NOT_A_NUMBER)
    failed(4, failure="NotReadable", error_class="NotReadable", last_error="kept from us")
    page = text(log_in(client), "/failures/")
    assert page.index("A value that doesn&#x27;t fit") < page.index("Not readable with our account")
    assert "Correct the value in Odoo" in page
    assert "&lt;b&gt;Supplier&lt;/b&gt;" in page
    assert page.count("Replay these orders") == 2


def test_what_the_lists_do_not_show_is_counted_and_can_be_reached(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "CAUSES", 2)
    monkeypatch.setattr(failures, "ROWS", 2)
    for odoo_id in range(1, 6):
        failed(odoo_id, failure=f"cause {odoo_id}")
    for odoo_id in range(10, 15):
        pending(odoo_id, error_class=ledger.WAITS_FOR_ANOTHER_ORDER)
    page = text(log_in(client), "/failures/")
    assert "and 3 more orders, of other causes" in page
    assert '<a class="button" href="/failures/orders/">All failed orders</a>' in page
    assert "and 3 more orders</p>" in page
    monkeypatch.undo()
    whole = text(client, "/failures/")
    assert "more orders" not in whole


def test_ids_in_forms_and_addresses_have_no_thousands_separators(
    client: Client, settings: LazySettings
) -> None:
    """A project of one's own may separate thousands, and no form would be understood."""
    settings.USE_THOUSAND_SEPARATOR = True
    log_in(client, "BC administrators")
    bc(12345)
    journal(12345)
    failed(12345, failure=NOT_A_NUMBER)
    pending(12346, held_reason="too many at once", held_at=timezone.now())
    run = SyncLog.objects.create(pk=12347, started_at=timezone.now())
    SyncState.objects.update_or_create(
        key=SyncState.KEY,
        defaults={"is_syncing": True, "owner": "x", "lease_until": Now() + timedelta(minutes=1)},
    )
    paths = ("/failures/", "/failures/orders/", "/failures/held/", "/bc/12345/", "/runs/", "/")
    pages = {path: text(client, path) for path in paths}
    for path, page in pages.items():
        separated = re.findall(r' (?:value|href|id|data-[\w-]+)="[^"]*\d,\d\d\d[^"]*"', page)
        assert not separated, path
    assert 'name="odoo_ids" value="12345"' in pages["/failures/orders/"]
    assert 'name="odoo_id" value="12345"' in pages["/bc/12345/"]
    assert f'name="run" value="{run.pk}"' in pages["/runs/"]
    assert "#12346" in pages["/failures/held/"]
    history = client.get(f"/admin/bc_consumer/bc/{BC.objects.get().pk}/change/").content.decode()
    assert not re.search(r'="[^"]*12,345', history)


def test_only_a_press_of_a_button_asks_for_anything_of_a_list(client: Client) -> None:
    """The key Enter presses a form's first button, which here is one that does nothing."""
    pending(1, held_reason="too many at once", held_at=timezone.now())
    failed(2, failure=NOT_A_NUMBER)
    log_in(client, "BC administrators")
    DeadLetter.objects.create(
        queue="bc", body=b"x", why="odd", digest="d", first_at=Now(), last_at=Now()
    )
    for path in ("/failures/held/", "/failures/orders/", "/failures/messages/"):
        forms = re.findall(
            r"<form(?:(?!</form>).)*checkbox.*?</form>", text(client, path), re.DOTALL
        )
        assert len(forms) == 1, path
        buttons = re.findall(r"<button[^>]*>", forms[0])
        assert buttons[0] == '<button hidden formmethod="dialog">', path
        assert len(buttons) > 1, path


def test_a_viewer_sees_the_causes_and_no_button(client: Client) -> None:
    failed(1, failure=NOT_A_NUMBER)
    pending(2, held_reason="too many at once", held_at=timezone.now())
    viewer = log_in(client, "BC viewers")
    for path in ("/failures/", "/failures/orders/", "/bc/1/", "/bc/2/", "/runs/", "/connections/"):
        page = text(viewer, path)
        assert "<button" in page, "those of the header"
        assert 'action="/ask/' not in page.replace('action="/ask/"', ""), path
        assert 'name="kind"' not in page, path


def test_held_and_waiting_orders_and_alerts_stand_there_too(client: Client) -> None:
    pending(5, held_reason="too many at once", held_at=timezone.now())
    failed(6)
    pending(
        7, error_class=ledger.WAITS_FOR_ANOTHER_ORDER, last_error="its line 9 is another order's"
    )
    now = timezone.now()
    Alert.objects.create(key="x", subject="Odoo is away", first_at=now, last_at=now)
    page = text(log_in(client), "/failures/")
    assert "too many at once" in page
    assert "Odoo is away" in page
    assert "Release: look at the selected orders again" in page
    assert "Archive the selected orders" not in page, "an administrator's"


def test_orders_on_hold_have_pages_and_are_released_or_archived_all_at_once(
    client: Client,
) -> None:
    for odoo_id in range(1, 251):
        pending(odoo_id, held_reason="too many at once", held_at=timezone.now())
    administrator = log_in(client, "BC administrators")
    assert 'href="/failures/held/"' in text(administrator, "/failures/")
    seen: list[int] = []
    path = "/failures/held/"
    while path:
        answer = administrator.get(path)
        seen += [one.pending.odoo_id for one in answer.context["rows"]]
        following = answer.context["next_query"]
        path = f"/failures/held/?{following}" if following else ""
    assert seen == list(range(1, 251))
    page = text(administrator, "/failures/held/", "fr")
    assert "Tout libérer" in page
    assert "Tout archiver" in page
    for kind in ("release", "archive"):
        answer = administrator.post(f"/ask/{kind}/", {"all": "1", "next": "/failures/held/"})
        assert answer["Location"].startswith("/failures/held/?action=")
    asked = OperatorAction.objects.values_list("kind", "parameters")
    assert list(asked.order_by("kind")) == [
        ("archive", {"odoo_ids": [], "all": True}),
        ("release", {"odoo_ids": [], "all": True}),
    ]


def test_an_operator_can_release_all_and_archive_none(client: Client) -> None:
    pending(5, held_reason="too many at once", held_at=timezone.now())
    page = text(log_in(client), "/failures/held/")
    assert "Release all" in page
    assert "Archive all" not in page
    assert client.post("/ask/archive/", {"all": "1"}).status_code == 403


def test_one_cause_has_its_orders_a_page_at_a_time(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for odoo_id in range(1, 251):
        failed(odoo_id, failure="one")
    failed(999, failure="two")
    operator = log_in(client)
    seen: list[int] = []
    query = "cause=one"
    while query:
        with django_assert_max_num_queries(16):
            answer = operator.get(f"/failures/orders/?{query}")
        seen += [one.pending.odoo_id for one in answer.context["rows"]]
        query = answer.context["next_query"]
    assert seen == list(range(1, 251))


def test_the_file_has_each_failed_order_with_its_error(client: Client) -> None:
    bc(2, partner_name="Supplier 002")
    for odoo_id in range(1, 120):
        failed(odoo_id, failure="one")
    answer = log_in(client).get("/failures.csv?cause=one")
    rows = list(csv.reader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert len(rows) == 1 + 119
    assert rows[2][:4] == ["2", "P00002", "Supplier 002", "MappingError"]


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ({"failed_at": timezone.now(), "error_class": "MappingError", "last_error": "odd"}, "odd"),
        ({"held_reason": "too many at once"}, "On hold:"),
        (
            {"error_class": ledger.WAITS_FOR_ANOTHER_ORDER, "last_error": "waits for #9"},
            "Mend the other order",
        ),
        ({"generation": 2, "fetched_generation": 1}, "To be read from Odoo"),
        ({"generation": 1, "fetched_generation": 1}, "looked at again at"),
    ],
)
def test_an_order_tells_its_trouble_first(
    client: Client, trouble: dict[str, Any], told: str
) -> None:
    bc(1)
    pending(1, **trouble)
    page = text(log_in(client), "/bc/1/")
    assert told in page
    assert page.index(told) < page.index('id="about"')
