"""Fields without a column, and sales, on the pages and in the administration."""

from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from bc_consumer.console import formatting
from bc_consumer.models import BC, BCLine, CopyOrigin
from tests.db.copied import bc, journal, line

pytestmark = pytest.mark.django_db

EXTRA = {
    "x_project": {"id": 7, "name": "Tower <b>"},
    "x_tags": [{"id": 1, "name": "Urgent"}, {"id": 2, "name": "Fair"}],
    "x_due": "2030-02-28",
    "x_seen": "2030-01-01T08:30:00Z",
    "x_cost": "12.50",
    "x_ready": True,
    "x_empty": None,
    "x_html": "<p>A &amp; B</p>",
}


@pytest.fixture
def client(client: Client, settings: LazySettings) -> Client:
    settings.TIME_ZONE = "UTC"
    settings.ODOO_EXTRA_LINE_FIELDS = ["x_weight"]
    client.force_login(User.objects.create_superuser("staff"))
    labels = {"order": {"x_project": "Project"}, "line": {"x_weight": "Weight (kg)"}}
    CopyOrigin.objects.create(order_model="purchase.order", labels=labels)
    return client


def text(client: Client, path: str) -> str:
    answer = client.get(path, headers={"Accept-Language": "en"})
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_order_s_page_shows_them_by_their_labels_in_odoo(client: Client) -> None:
    order = bc(1, extra=EXTRA)
    line(order, 10, extra={"x_weight": "3.000", "x_other": "not named by the settings"})
    changes = {"fields": {"extra.x_project": [None, {"id": 7, "name": "Tower"}]}}
    journal(1, changes=changes)
    page = text(client, "/bc/1/")
    assert "<dt>Project</dt><dd>Tower &lt;b&gt;</dd>" in page
    assert "<dt>X_tags</dt><dd>Urgent, Fair</dd>" in page
    assert "<dd>2030-01-01 08:30</dd>" in page
    assert "<dd>A &amp; B</dd>" in page
    assert "<dt>X_ready</dt><dd>yes</dd>" in page
    assert "X_empty" not in page
    assert "<small>Weight (kg): 3.000</small>" in page
    assert "not named by the settings" not in page
    assert "Project" in page[page.index("What happened") :]


def test_the_administration_shows_them_too(client: Client) -> None:
    order = bc(1, extra=EXTRA)
    page = text(client, f"/admin/bc_consumer/bc/{order.pk}/change/")
    assert "Project: Tower &lt;b&gt;<br>" in page
    assert "X_cost: 12.50<br>X_due: 2030-02-28<br>" in page


def test_sales_are_called_what_they_are(client: Client, settings: LazySettings) -> None:
    settings.ODOO_ORDER_MODEL = "sale.order"
    columns: list[Any] = [*BC._meta.concrete_fields, *BCLine._meta.concrete_fields]
    names = {column: column.verbose_name for column in columns}
    apps.get_app_config("bc_consumer")._name_columns()  # type: ignore[attr-defined]
    try:
        extra = {"delivery_status": "full"}
        order = bc(1, state="draft", invoice_status="to invoice", extra=extra)
        line(order, 10, product_qty=3, extra={"qty_delivered": "2.00"})
        page = text(client, "/bc/1/")
        for shown in ("Customer", "Salesperson", "quotation", "to be invoiced", "fully delivered"):
            assert shown in page
        for hidden in ("Supplier<", "Buyer", "Receipt status", "Priority", "Received"):
            assert hidden not in page
        assert '<td class="number">2</td>' in page
        assert "quotation" in text(client, "/admin/bc_consumer/bc/")
        assert "Customer" in text(client, "/admin/bc_consumer/bc/")
    finally:
        for column, name in names.items():
            column.verbose_name = name
    assert formatting.field_label(BCLine, "extra.x_new") == "X_new"
