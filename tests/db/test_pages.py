"""The live page and the order page: who may see them, and what they show."""

from datetime import UTC, datetime

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from bc_consumer.console import figures, freshness, processes, verdict
from bc_consumer.core.translatable import verbatim
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import Heartbeat, Pace, PendingBC
from tests.db.copied import bc, failed, journal, line, pending

pytestmark = pytest.mark.django_db

PAGES = ("/", "/bc/1/")


@pytest.fixture
def _public(settings: LazySettings) -> None:
    settings.LIVE_PAGE_PUBLIC = True


def text(client: Client, path: str, language: str = "en") -> str:
    answer = client.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_orders_are_for_staff(client: Client, path: str) -> None:
    bc(1, partner_name="Supplier 001")
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"] == f"/admin/login/?next={path}"
    client.force_login(User.objects.create_user("someone"))
    assert client.get(path).status_code == 302
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert "Supplier 001" in text(client, "/bc/1/")


def test_the_refreshed_part_is_forbidden_not_redirected(client: Client) -> None:
    assert client.get("/today/").status_code == 403
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get("/today/").status_code == 200


@pytest.mark.usefixtures("_public")
@pytest.mark.parametrize("path", PAGES)
def test_pages_are_kept_nowhere_and_run_no_foreign_code(client: Client, path: str) -> None:
    bc(1)
    answer = client.get(path)
    assert answer["Cache-Control"] == "no-store"
    assert "default-src 'none'; script-src 'self'" in answer["Content-Security-Policy"]
    assert b"style=" not in answer.content
    assert b"onclick" not in answer.content
    assert b"://" not in answer.content.replace(b"http://www.w3.org/", b"")


@pytest.mark.usefixtures("_public")
def test_the_live_page_shows_figures_and_journal(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    line(bc(1, partner_name="<b>Supplier</b>"), 11)
    for total in range(30):
        journal(1, delay=0.25, changes={"fields": {"amount_total": [total, total + 1]}}, marks=2)
    with django_assert_max_num_queries(40):  # each is kept for a while
        page = text(client, "/")
    with django_assert_max_num_queries(9):
        text(client, "/today/")
    assert "P00001" in page
    assert "&lt;b&gt;Supplier&lt;/b&gt;" in page
    assert "Total: 29 → 30" in page
    assert "250 ms" in page
    assert "webhook × 2" in page


@pytest.mark.usefixtures("_public")
def test_the_empty_page_says_what_to_do(client: Client, settings: LazySettings) -> None:
    settings.ODOO_URL = ""
    settings.ODOO_WEBHOOK_SECRETS = []
    page = text(client, "/")
    assert "No orders yet" in page
    assert "set ODOO_URL" in page
    assert "set ODOO_WEBHOOK_SECRETS" in page
    settings.ODOO_URL = "http://127.0.0.1:1"
    settings.ODOO_WEBHOOK_SECRETS = ["a secret"]
    page = text(client, "/")
    assert "set ODOO" not in page
    assert "a secret" not in page


@pytest.mark.usefixtures("_public")
def test_the_live_page_tells_of_trouble(client: Client) -> None:
    pending(1, age=400)
    failed(2)
    failed(3)
    pending(4, held_reason="too many at once")
    page = text(client, "/", "fr")
    assert "depuis 6 min" in page
    assert "2 bons de commande n’ont pas pu être copiés" in page
    assert "1 bon de commande suspendu" in page


@pytest.mark.usefixtures("_public")
def test_the_live_page_tells_of_an_outage_and_staff_why(client: Client) -> None:
    Pace.objects.get_or_create(pk=circuit_breaker.PACE_ID, defaults={"next_claim_at": Now()})
    circuit_breaker.record_failure(verbatim("HTTP 502 <from> a proxy"), probing=False)
    assert "Odoo has not answered since" in text(client, "/")
    assert "HTTP 502" not in text(client, "/")
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert "HTTP 502 &lt;from&gt; a proxy" in text(client, "/")
    circuit_breaker.record_failure(verbatim("no right"), probing=True, refused=True)
    verdict.attention.forget()
    assert "Odoo has rejected our access since" in text(client, "/")


@pytest.mark.usefixtures("_public")
def test_the_order_page_shows_the_copy(client: Client, settings: LazySettings) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    order = bc(
        7,
        name="P00007",
        amount_total="1234.50",
        currency_name="EUR",
        date_order=datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
        notes="<p>Ring <script>alert(1)</script></p>",
        archived_at=timezone.now(),
        archived_reason="gone from Odoo",
    )
    line(order, 71, name="Desk <oak>", product_qty="2.0", price_unit="12.35")
    line(order, 72, name="Some section", display_type="line_section")
    journal(7, outcome="failed", error="no rights <here>")
    failed(7)
    client.force_login(User.objects.create_user("staff", is_staff=True))
    page = text(client, "/bc/7/", "fr")
    assert "1\xa0234,50 EUR" in page
    assert "24/11/2026 10:30" in page
    assert "Desk &lt;oak&gt;" in page
    assert "no rights &lt;here&gt;" in page
    assert "<script>alert" not in page
    assert "supprimé dans Odoo" in page
    assert "En échec depuis le" in page
    assert "2 lignes" in page


@pytest.mark.usefixtures("_public")
def test_what_odoo_said_is_for_staff_and_others_see_the_kind_of_trouble(client: Client) -> None:
    bc(7)
    bc(8)
    said = "AccessError: chief@example.com may not read /opt/odoo/addons"
    for odoo_id in (7, 8):
        journal(odoo_id, outcome="failed", error=said)
    failed(7, last_error=said, error_class="OdooFault")
    pending(8, last_error=said, error_class="OdooFault")
    pages = ("/", "/today/", "/bc/7/", "/bc/8/")
    for path in pages:
        page = text(client, path)
        assert "chief@example.com" not in page, path
        assert "OdooFault" in page or path not in {"/bc/7/", "/bc/8/"}
        assert "failed" in page
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert all("chief@example.com" in text(client, path) for path in pages)


@pytest.mark.usefixtures("_public")
@pytest.mark.parametrize("tag", ["<a ", "<!--", "</", "<![CDATA["])
def test_a_note_that_means_harm_is_shown_as_it_stands(client: Client, tag: str) -> None:
    bc(7, notes=f"before {tag * 5000}", extra={"x_note": tag * 5000})
    assert "before" in text(client, "/bc/7/")


@pytest.mark.usefixtures("_public")
def test_an_order_without_a_copy_but_with_a_pending_row_has_a_page(client: Client) -> None:
    pending(5)
    assert "does not have this order" in text(client, "/bc/5/")
    assert client.get("/bc/6/").status_code == 404


@pytest.mark.usefixtures("_public")
def test_the_language_can_be_switched(client: Client) -> None:
    assert "No orders yet" in text(client, "/")
    client.post("/i18n/setlang/", {"language": "fr", "next": "/"})
    page = text(client, "/")
    assert "Aucun bon de commande pour l’instant" in page
    assert '<html lang="fr">' in page


@pytest.mark.usefixtures("_public")
def test_an_order_that_waits_is_told_with_the_likely_reason(client: Client) -> None:
    pending(1, age=30)
    assert "Waiting to be read" not in text(client, "/")
    PendingBC.objects.all().delete()
    pending(2, age=300)
    figures.ledger_figures.forget()
    freshness.present.forget()
    page = text(client, "/")
    assert "the oldest for 5 min" in page
    assert "No worker is running" in page
    Heartbeat.objects.create(kind=Heartbeat.Kind.WORKER, host="machine", pid=1, at=Now())
    processes.processes.forget()
    page = text(client, "/")
    assert "the oldest for 5 min" in page
    assert "No worker" not in page
