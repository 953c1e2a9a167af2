"""Failed orders, dead letters and alerts in the administration and on the live page."""

from urllib.parse import urlencode

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from bc_consumer.ledger import error_fingerprint
from bc_consumer.models import Alert, DeadLetter, OperatorAction, PendingBC
from bc_consumer.operations import dead_letters, failed_orders
from tests.db.copied import failed, pending
from tests.db.test_admin import staff, url, viewer  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db

BAD_PRICE, BAD_NAME = "price of order {} is no number", "name of order {} <is> odd & long"


def failed_for(odoo_id: int, text: str) -> PendingBC:
    text = text.format(odoo_id)
    return failed(
        odoo_id, last_error=text, failure=error_fingerprint.fingerprint("MappingError", text)
    )


def letter(body: bytes = b"\x00<script>") -> DeadLetter:
    now = timezone.now()
    return DeadLetter.objects.create(
        queue="bc.XQ", body=body, digest="d" * 64, why="not a message", first_at=now, last_at=now
    )


def alert(key: str, text: str) -> None:
    now = timezone.now()
    Alert.objects.create(key=key, text=text, first_at=now, last_at=now)


def test_failed_orders_are_listed_by_cause(staff: Client) -> None:  # noqa: F811
    for odoo_id in (1, 2):
        failed_for(odoo_id, BAD_PRICE)
    failed_for(3, BAD_NAME)
    page = staff.get(url(PendingBC)).content.decode()
    assert "MappingError: price of order # is no number (2)" in page
    assert "name of order # &lt;is&gt; odd &amp; long (1)" in page
    narrowed = staff.get(
        url(PendingBC),
        {"failure": error_fingerprint.fingerprint("MappingError", BAD_PRICE.format(1))},
    )
    assert {row.odoo_id for row in narrowed.context["cl"].result_list} == {1, 2}


def test_failed_orders_are_replayed_by_a_worker_and_many_only_after_their_preview(
    staff: Client,  # noqa: F811
) -> None:
    for odoo_id in range(1, 61):
        failed_for(odoo_id, BAD_PRICE)
    pending(61)
    across = {"action": "replay", "select_across": "1", "_selected_action": ["1"]}
    assert staff.post(url(PendingBC), across)["Location"] == "/failures/replay/?all=1"
    failed_for(62, BAD_NAME)
    cause = PendingBC.objects.get(pk=1).failure
    of_cause = staff.post(f"{url(PendingBC)}?{urlencode({'failure': cause})}", across)
    assert of_cause["Location"] == f"/failures/replay/?{urlencode({'failure': cause})}"
    chosen = {"action": "replay", "_selected_action": [str(n) for n in range(1, 52)]}
    assert staff.post(url(PendingBC), chosen)["Location"].count("odoo_ids=") == 51
    assert not OperatorAction.objects.exists(), "nothing is replayed before the preview was seen"
    few = {"action": "replay", "_selected_action": ["1", "2", "61"]}
    answer = staff.post(url(PendingBC), few)
    asked = OperatorAction.objects.get()
    assert answer["Location"] == f"/actions/{asked.pk}/"
    assert (asked.status, asked.parameters["odoo_ids"]) == ("asked", [1, 2])
    assert failed_orders.failed().count() == 61, "a worker marks them"


@pytest.mark.slow("makes thousands of failed orders")
def test_more_failed_orders_than_an_address_can_name_are_not_replayed_one_by_one(
    staff: Client,  # noqa: F811
) -> None:
    for odoo_id in range(1, 701):
        failed_for(odoo_id, (BAD_PRICE, BAD_NAME)[odoo_id % 2])
    failed_for(701, "another cause")
    chosen = {"action": "replay", "_selected_action": [str(n) for n in range(1, 701)]}
    page = staff.post(url(PendingBC), chosen, follow=True)
    (told,) = [str(message) for message in page.context["messages"]]
    assert told.startswith("These are too many")
    nothing = {"action": "replay", "_selected_action": [str(pending(900).pk)]}
    page = staff.post(url(PendingBC), nothing, follow=True)
    assert "None of these orders has failed." in page.content.decode()
    assert not OperatorAction.objects.exists()


def test_viewers_can_neither_replay_nor_dismiss(viewer: Client) -> None:  # noqa: F811
    failed_for(1, BAD_PRICE)
    kept = letter()
    assert b"Replay" not in viewer.get(url(PendingBC)).content
    viewer.post(url(PendingBC), {"action": "replay", "_selected_action": ["1"]})
    assert PendingBC.objects.get(pk=1).failed_at is not None
    assert viewer.get(url(DeadLetter)).status_code == 200
    viewer.post(url(DeadLetter), {"action": "dismiss", "_selected_action": [str(kept.pk)]})
    assert DeadLetter.objects.exists()
    assert viewer.post(url(DeadLetter, "delete", kept.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("language", ["en", "fr"])
def test_dead_letters_are_shown_as_they_are_and_dismissed(
    staff: Client,  # noqa: F811
    language: str,
) -> None:
    kept = letter(b"\xff\x00<script>alert(1)</script>")
    headers = {"Accept-Language": language}
    for page in (url(DeadLetter), url(DeadLetter, "change", kept.pk)):
        shown = staff.get(page, headers=headers).content.decode()
        assert "\\xff" in shown
        assert "&lt;script&gt;alert(1)" in shown
        assert "<script>alert(1)" not in shown
    staff.post(url(DeadLetter), {"action": "dismiss", "_selected_action": [str(kept.pk)]})
    assert not DeadLetter.objects.exists()


def test_alerts_are_listed(staff: Client) -> None:  # noqa: F811
    alert("odoo refuses", "no <right>")
    assert b"no &lt;right&gt;" in staff.get(url(Alert)).content
    assert staff.get(url(Alert, "change", "odoo refuses")).status_code == 200


def test_the_live_page_groups_failures_and_tells_staff_of_dead_letters(
    client: Client, settings: LazySettings
) -> None:
    settings.LIVE_PAGE_PUBLIC = True
    for odoo_id in (1, 2):
        failed_for(odoo_id, BAD_PRICE)
    failed_for(3, BAD_NAME)
    letter()
    alert(dead_letters.ALERT, "RabbitMQ holds messages")
    public = client.get("/").content.decode()
    assert "3 orders could not be copied" in public
    assert "price of order" not in public
    assert "RabbitMQ holds messages" not in public
    client.force_login(User.objects.create_user("staff", is_staff=True))
    page = client.get("/").content.decode()
    assert "2 × price of order 1 is no number" in page
    assert "cause=MappingError%3A+price+of+order+%23+is+no+number" in page
    assert "1 × name of order 3 &lt;is&gt; odd" in page
    assert "RabbitMQ holds messages" in page
    assert "1 message from RabbitMQ needs your attention." in page
