"""What is copied is configuration: order model, further fields, domain, companies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection

from bc_consumer.installation.setting_checks import check_copy, check_settings
from bc_consumer.ledger import Mark
from bc_consumer.models import (
    BC,
    Alert,
    BCLine,
    CopyOrigin,
    JournalEntry,
    PendingBC,
    ProvenPeriod,
    SyncLog,
    SyncState,
)
from bc_consumer.odoo import Odoo, OdooRefused
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import odoo_connection
from odoo_simulator import Simulator
from tests.comparing import Kind, differences
from tests.db.conftest import refresh

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause, Outcome = SyncLog.Status, SyncLog.Cause, JournalEntry.Outcome
SALE, PURCHASE = "sale.order", "purchase.order"
LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35, "product_id": 1},
    {"name": "Chair", "product_qty": 1.5, "price_unit": 7.1, "product_id": 2},
]
Choose = Callable[..., Odoo]


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


@pytest.fixture
def choose(odoo: Odoo, settings: LazySettings) -> Choose:
    """Restart this process's gateway with other settings: ``choose(DOMAIN=[…])``."""

    def restart(**changes: Any) -> Odoo:
        for name, value in changes.items():
            setattr(settings, f"ODOO_{name}", value)
        odoo_connection.odoo().close()
        odoo_connection.odoo.cache_clear()
        return odoo_connection.odoo()

    settings.ALERT_EMAILS = ["team@example.com"]
    return restart


def run(**wish: Any) -> SyncLog:
    return reconcile(RunRequest(**{"cause": Cause.COMMAND, **wish}))


def line_ids(simulator: Simulator, order_id: int) -> list[int]:
    order = simulator.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


def reason(odoo_id: int) -> str:
    return BC.objects.get(odoo_id=odoo_id).archived_reason


CUSTOM = Kind(
    SALE,
    ("tag_ids", "x_due", "x_level", "x_budget", "x_partner_id", "x_note"),
    ("x_weight", "x_ready"),
)
"""Sales with the extra fields that ``add_custom_fields`` makes."""


# --- one Odoo with everything at once -------------------------------------------------------------


@pytest.mark.slow("plays several whole runs")
@pytest.mark.parametrize(
    "version",
    [
        pytest.param(v, marks=pytest.mark.simulator(version=v, order_model=SALE))
        for v in (17, 18, 19)
    ],
)
def test_sales_with_custom_fields_two_companies_and_a_domain_equal_odoo(
    version: int, simulator: Simulator, choose: Choose
) -> None:
    company = add_custom_fields(simulator)
    third = simulator.add_company("Not copied")
    ids = sales_with_custom_fields(simulator, company)
    drafts = [simulator.create_order(lines=LINES) for _ in range(2)]
    others = [simulator.create_order(lines=LINES, company_id=third) for _ in range(2)]
    simulator.confirm([*ids, *others])
    simulator.receive(ids[0], {line_ids(simulator, ids[0])[0]: 1.0})
    choose(
        ORDER_MODEL=SALE,
        EXTRA_FIELDS=list(CUSTOM.extra),
        EXTRA_LINE_FIELDS=list(CUSTOM.line_extra),
        DOMAIN=["|", ["state", "=", "sale"], ["client_order_ref", "=like", "keep%"]],
        COMPANY_IDS=[1, company],
    )

    done = run()

    assert done.status == Status.OK, done.error
    assert differences(simulator, sql, kind=CUSTOM, exactly=ids) == []
    assert BC.objects.count() == 8
    bc = BC.objects.get(odoo_id=ids[1])
    assert (bc.partner_ref, bc.extra["x_due"], bc.extra["x_level"]) == ("C-1", "2030-02-28", "high")
    assert bc.extra["x_budget"] == "100.05"
    assert bc.extra["tag_ids"] == [{"id": 2, "name": "Trade fair"}]
    assert bc.extra["commitment_date"] == "2030-05-01T08:30:00Z"
    assert BC.objects.get(odoo_id=ids[0]).extra["x_note"] is None

    # By webhook: one leaves the domain, one the companies; drafts and others' orders never come.
    simulator.cancel(ids[1])
    simulator.write_order(ids[2], company_id=third)
    refresh(ids[1], ids[2], drafts[0], others[0])
    assert (reason(ids[1]), reason(ids[2])) == ("outside the domain", "outside the companies")
    assert not BC.objects.filter(odoo_id__in=[*drafts, *others]).exists()

    # By a run: one comes back, another leaves; a lost one too.
    simulator.write_order(ids[1], client_order_ref="keep me")
    simulator.cancel(ids[3])
    simulator.write_order(drafts[1], state="sale")
    simulator.delete_order(ids[2])
    done = run()
    assert done.status == Status.OK, done.error
    ours = [*ids[:2], *ids[4:], drafts[1]]
    assert differences(simulator, sql, kind=CUSTOM, exactly=ours) == []
    assert reason(ids[3]) == "outside the domain"
    refresh(ids[2])
    assert reason(ids[2]) == "gone from Odoo"
    quiet = run()
    assert (quiet.applied, quiet.found_by_digest, quiet.found_by_window) == (0, 0, 0)


def sales_with_custom_fields(simulator: Simulator, company: int) -> list[int]:
    """Create eight sales in two companies, each custom field filled in some of them."""
    return [
        simulator.create_order(
            partner_id=2 + n % 5,
            lines=[{**line, "x_weight": 1.25 * n, "x_ready": bool(n % 2)} for line in LINES],
            company_id=(1, company)[n % 2],
            client_order_ref=f"C-{n}",
            commitment_date="2030-05-01 08:30:00",
            validity_date="2030-01-31",
            tag_ids=[(6, 0, [2, 1][: n % 3])],
            x_due="2030-02-28" if n % 2 else False,
            x_level=("low", "high")[n % 2],
            x_budget=100.05 * n,
            x_partner_id=3 + n if n % 3 else False,
            x_note=f"a note\nof order {n}" if n else False,
        )
        for n in range(8)
    ]


def add_custom_fields(simulator: Simulator) -> int:
    """Give sales fields of many types, and the Odoo a second company; return its id."""
    add = simulator.add_field
    add(SALE, "x_due", "date")
    add(SALE, "x_level", "selection", selection=[("low", "Low"), ("high", "High")])
    add(SALE, "x_budget", "monetary")
    add(SALE, "x_partner_id", "many2one", relation="res.partner")
    add(SALE, "x_note", "text")
    add("sale.order.line", "x_weight", "float", digits=(16, 3))
    add("sale.order.line", "x_ready", "boolean")
    return simulator.add_company("Succursale Ouest")


# --- the order model ------------------------------------------------------------------------------


def test_another_order_model_is_refused_while_the_copy_holds_orders(
    simulator: Simulator, choose: Choose
) -> None:
    simulator.create_order(lines=LINES)
    run()
    with pytest.raises(OdooRefused, match=r"copy holds orders of purchase\.order"):
        choose(ORDER_MODEL=SALE)
    refresh(1)
    assert PendingBC.objects.get(odoo_id=1).failed_at is None, "it is nobody's failure"
    assert "ODOO_ORDER_MODEL is sale.order" in Alert.objects.get(key="odoo refuses").text
    assert BC.objects.get().archived_at is None
    choose(ORDER_MODEL=PURCHASE)
    assert CopyOrigin.objects.get().order_model == PURCHASE


@pytest.mark.simulator(order_model=SALE)
def test_an_empty_copy_may_change_its_order_model_and_begins_anew(
    simulator: Simulator, choose: Choose
) -> None:
    run()
    assert SyncState.objects.get().last_sync is not None
    simulator.create_order(lines=LINES)
    choose(ORDER_MODEL=SALE)
    assert SyncState.objects.get().last_sync is None
    assert not ProvenPeriod.objects.exists()
    done = run()
    assert done.window_since is None
    assert differences(simulator, sql, kind=Kind(SALE)) == []


def test_the_check_of_the_database_tells_of_another_order_model(
    simulator: Simulator, choose: Choose, settings: LazySettings
) -> None:
    simulator.create_order(lines=LINES)
    run()
    assert check_copy(databases=["default"]) == []
    settings.ODOO_ORDER_MODEL = SALE
    [told] = check_copy(databases=["default"])
    assert told.id == "bc.E040"
    assert check_copy(databases=None) == [], "only when the database is to be asked"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ODOO_ORDER_MODEL": "res.partner"}, "bc.E041"),
        ({"ODOO_EXTRA_FIELDS": ["x_a", "partner_ref"]}, "bc.W040"),
        ({"ODOO_EXTRA_LINE_FIELDS": ["taxes_id"]}, "bc.W040"),
    ],
)
def test_the_settings_check_tells_of_a_choice_that_is_odd(
    changes: dict[str, Any], told: str, settings: LazySettings
) -> None:
    before = {message.id for message in check_settings()}
    assert told not in before
    for name, value in changes.items():
        setattr(settings, name, value)
    assert {message.id for message in check_settings()} - before == {told}


# --- extra fields ---------------------------------------------------------------------------------


@pytest.mark.slow("plays whole runs")
def test_rule_13_a_newly_configured_field_fills_in_and_a_removed_one_goes(
    simulator: Simulator, choose: Choose
) -> None:
    simulator.add_field(PURCHASE, "x_code", "char")
    simulator.add_field("purchase.order.line", "x_size", "integer")
    ids = [simulator.create_order(lines=LINES, x_code=f"c{n}") for n in range(3)]
    run()
    assert BC.objects.get(odoo_id=ids[0]).extra == {}
    choose(EXTRA_FIELDS=["x_code"], EXTRA_LINE_FIELDS=["x_size"])
    assert run().applied == 3
    kind = Kind(PURCHASE, ("x_code",), ("x_size",))
    assert differences(simulator, sql, kind=kind) == []
    entry = JournalEntry.objects.filter(odoo_id=ids[1]).first()
    assert entry is not None
    assert entry.changes["fields"] == {"extra.x_code": [None, "c1"]}
    choose(EXTRA_FIELDS=[])
    run()
    assert differences(simulator, sql, kind=Kind(PURCHASE, (), ("x_size",))) == []


@pytest.mark.slow("plays whole runs")
def test_rule_13_an_empty_new_field_is_filled_in_and_not_told(
    simulator: Simulator, choose: Choose
) -> None:
    simulator.add_field(PURCHASE, "x_code", "char")
    simulator.add_field("purchase.order.line", "x_text", "char")
    order_id = simulator.create_order(lines=LINES)
    run()
    journalled = JournalEntry.objects.count()
    choose(EXTRA_FIELDS=["x_code"], EXTRA_LINE_FIELDS=["x_text"])
    run()
    assert BC.objects.get().extra == {"x_code": None}
    assert [line.extra for line in BCLine.objects.all()] == [{"x_text": None}] * 2
    choose(EXTRA_FIELDS=[], EXTRA_LINE_FIELDS=[])
    run()
    assert BC.objects.get(odoo_id=order_id).extra == {}
    assert [line.extra for line in BCLine.objects.all()] == [{}] * 2
    assert JournalEntry.objects.count() == journalled


@pytest.mark.slow("plays several whole runs")
def test_a_vanished_field_is_told_once_and_harms_nothing(
    simulator: Simulator, choose: Choose
) -> None:
    simulator.add_field(PURCHASE, "x_code", "char")
    ids = [simulator.create_order(lines=LINES, x_code=f"c{n}", origin="O") for n in range(4)]
    choose(EXTRA_FIELDS=["x_code"])
    run()
    simulator.remove_field(PURCHASE, "x_code")
    origin = simulator.models.drop(PURCHASE, "origin")
    mail.outbox.clear()

    simulator.write_order(ids[0], partner_ref="changed")
    refresh(ids[0])
    changed = BC.objects.get(odoo_id=ids[0])
    assert (changed.partner_ref, changed.extra["x_code"], changed.origin) == ("changed", "c0", "O")
    assert not PendingBC.objects.exists()
    [told] = mail.outbox
    assert told.subject == "[BC] Odoo lacks purchase.order.origin, purchase.order.x_code"
    journalled = JournalEntry.objects.count()
    quiet = run()
    assert (quiet.status, quiet.applied, quiet.missed_by_webhooks) == (Status.OK, 0, 0)
    assert JournalEntry.objects.count() == journalled, "no order is written because a field lacks"
    assert run(full=True).applied == 0
    assert len(mail.outbox) == 1

    simulator.add_field(PURCHASE, "x_code", "char")
    simulator.models.restore(PURCHASE, origin)
    simulator.update_sql(PURCHASE, ids, {"x_code": "new"})
    simulator.update_sql(PURCHASE, ids, {"write_date": "2020-01-01 00:00:00"})
    BC.objects.update(write_date="2020-01-01T00:00:00Z")
    done = run()
    assert not Alert.objects.exists()
    assert done.applied == 4, "nobody knows what became of its values meanwhile"
    assert {bc.extra["x_code"] for bc in BC.objects.all()} == {"new"}


def make_proven(simulator: Simulator) -> None:
    """As if all orders and lines had been written years ago: no window reaches them."""
    moment = "2020-01-01 00:00:00"
    simulator.update_sql(PURCHASE, simulator.order_ids(), {"write_date": moment})
    simulator.update_sql("purchase.order.line", simulator.line_ids(), {"write_date": moment})
    for model in (BC, BCLine):
        model._default_manager.update(write_date=f"{moment}+00:00")


@pytest.mark.slow("plays several whole runs")
def test_a_field_that_comes_back_or_appears_fills_in_orders_not_read_meanwhile(
    simulator: Simulator, choose: Choose
) -> None:
    ids = [simulator.create_order(lines=LINES, origin="before") for _ in range(3)]
    run()
    make_proven(simulator)
    assert run().bc_count == 0
    origin = simulator.models.drop(PURCHASE, "origin")
    assert run().bc_count == 0, "nothing is read again because a field has gone"
    simulator.models.restore(PURCHASE, origin)
    simulator.update_sql(PURCHASE, ids, {"origin": "after"})
    assert run().bc_count == 3
    assert {bc.origin for bc in BC.objects.all()} == {"after"}
    assert run().bc_count == 0


def test_a_required_field_that_vanishes_stops_all_with_one_alert(
    simulator: Simulator, choose: Choose
) -> None:
    order_id = simulator.create_order(lines=LINES)
    run()
    simulator.models.drop("purchase.order.line", "price_unit")
    mail.outbox.clear()
    for _ in range(2):
        refresh(order_id)
    assert run().status == Status.REFUSED
    assert [alert.key for alert in Alert.objects.all() if "price_unit" in alert.text]
    assert sum("price_unit" in message.body for message in mail.outbox) <= 2
    assert BC.objects.get().archived_at is None
    assert PendingBC.objects.get().failed_at is None


@pytest.mark.slow("plays whole runs")
def test_a_misspelt_field_is_told_with_what_may_be_meant(
    simulator: Simulator, choose: Choose
) -> None:
    simulator.add_field(PURCHASE, "x_project", "char")
    simulator.create_order(lines=LINES, x_project="p")
    choose(EXTRA_FIELDS=["x_projct"])
    assert run().status == Status.OK
    [told] = mail.outbox
    assert "Did you mean x_project?" in told.body
    assert BC.objects.get().extra == {}
    choose(EXTRA_FIELDS=["x_project"])
    run()
    assert BC.objects.get().extra == {"x_project": "p"}
    assert not Alert.objects.exists()


def test_what_lacks_is_told_again_only_when_a_run_looks(
    simulator: Simulator, choose: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = simulator.create_order(lines=LINES)
    choose(EXTRA_FIELDS=["x_code"])
    monkeypatch.setattr("bc_consumer.odoo.orders.FIELDS_SECONDS", -1.0)
    for number in range(3):
        simulator.write_order(order_id, origin=str(number))
        refresh(order_id)
    assert Alert.objects.get(key="fields lack: purchase.order.x_code").count == 1
    run()
    assert Alert.objects.get(key="fields lack: purchase.order.x_code").count == 2
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("name", ["message_ids", "tax_totals"])
def test_a_field_that_cannot_be_copied_is_refused_by_name(
    name: str, simulator: Simulator, choose: Choose
) -> None:
    simulator.create_order(lines=LINES)
    choose(EXTRA_FIELDS=[name])
    done = run()
    assert done.status == Status.REFUSED
    assert f"purchase.order.{name} is of type" in done.error


@pytest.mark.slow("plays several whole runs")
def test_rule_13_names_in_extra_fields_follow_their_records(
    simulator: Simulator, choose: Choose
) -> None:
    simulator.add_field(PURCHASE, "x__team", "many2one", relation="crm.team")
    simulator.add_field(PURCHASE, "x_tags", "many2many", relation="crm.tag")
    simulator.add_field("purchase.order.line", "x_partner", "many2one", relation="res.partner")
    line = {**LINES[0], "x_partner": 5}
    order_id = simulator.create_order(lines=[line], x__team=1, x_tags=[(6, 0, [2, 1])])
    simulator.create_order(lines=LINES)
    choose(EXTRA_FIELDS=["x__team", "x_tags"], EXTRA_LINE_FIELDS=["x_partner"])
    run()
    make_proven(simulator)
    for model, record, name in (
        ("crm.team", 1, "Team"), ("crm.tag", 2, "Fair"), ("res.partner", 5, "Partner"),
    ):  # fmt: skip
        simulator.rename(model, record, name)
        done = run()
        assert (done.found_by_names, done.applied) == (1, 1), f"{model}: {done.notes}"
    bc = BC.objects.get(odoo_id=order_id)
    assert bc.extra == {
        "x__team": {"id": 1, "name": "Team"},
        "x_tags": [{"id": 1, "name": "Urgent"}, {"id": 2, "name": "Fair"}],
    }
    assert bc.lines.get().extra == {"x_partner": {"id": 5, "name": "Partner"}}


# --- domain and companies -------------------------------------------------------------------------


@pytest.mark.slow("plays several whole runs")
def test_rule_10_a_domain_narrowed_by_mistake_is_braked_and_on_purpose_forced(
    simulator: Simulator, choose: Choose, settings: LazySettings
) -> None:
    settings.BRAKE_ARCHIVINGS = 2
    ids = [simulator.create_order(lines=LINES) for _ in range(10)]
    run()
    simulator.confirm(ids[:4])
    choose(DOMAIN=[["state", "=", "purchase"]])
    assert run().status == Status.BRAKED
    assert BC.objects.current().count() == 10
    refresh(*ids[4:])
    assert BC.objects.current().count() == 10, "webhooks are counted too"
    assert run(forced=True).status == Status.OK
    assert differences(simulator, sql, exactly=ids[:4]) == []
    assert {bc.archived_reason for bc in BC.objects.filter(odoo_id__in=ids[4:])} == {
        "outside the domain"
    }
    choose(DOMAIN=[])
    run()
    assert differences(simulator, sql) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"DOMAIN": [["x_nothing", "=", 1]]}, "can't search purchase.order by ODOO_DOMAIN"),
        ({"COMPANY_IDS": [1, 77]}, "may not see all of ODOO_COMPANY_IDS 1, 77"),
    ],
)
def test_a_choice_that_odoo_cannot_take_stops_all_and_fails_no_order(
    changes: dict[str, Any], told: str, simulator: Simulator, choose: Choose
) -> None:
    order_id = simulator.create_order(lines=LINES)
    run()
    choose(**changes)
    refresh(order_id)
    assert PendingBC.objects.get().failed_at is None
    assert told in Alert.objects.get(key="odoo refuses").text
    assert run().status == Status.REFUSED
    assert BC.objects.get().archived_at is None


def test_a_company_taken_from_the_account_stops_all_and_forbids_nothing(
    simulator: Simulator, choose: Choose
) -> None:
    company = simulator.add_company("Succursale")
    order_id = simulator.create_order(lines=LINES, company_id=company)
    choose(COMPANY_IDS=[1, company])
    run()
    assert BC.objects.get().company_name == "Succursale"
    simulator.set_companies(2, [1])
    refresh(order_id)
    assert BC.objects.current().count() == 1
    assert "ODOO_COMPANY_IDS" in Alert.objects.get(key="odoo refuses").text


def test_of_another_company_s_account_an_order_is_forbidden_not_outside(
    simulator: Simulator, choose: Choose
) -> None:
    company = simulator.add_company("Succursale")
    simulator.add_user("copy", "secret", [1])
    order_id = simulator.create_order(lines=LINES)
    choose(LOGIN="copy", PASSWORD="secret", COMPANY_IDS=[1])
    run()
    simulator.write_order(order_id, company_id=company)
    refresh(order_id)
    bc = BC.objects.get()
    assert bc.forbidden_at is not None
    assert bc.archived_at is None


def test_another_company_s_orders_that_the_account_may_not_see_are_no_failures(
    simulator: Simulator, choose: Choose
) -> None:
    company = simulator.add_company("Succursale")
    simulator.add_user("copy", "secret", [1])
    ours = simulator.create_order(lines=LINES)
    theirs = simulator.create_order(lines=LINES, company_id=company)
    choose(LOGIN="copy", PASSWORD="secret", COMPANY_IDS=[1])
    refresh(ours, theirs)
    assert [bc.odoo_id for bc in BC.objects.all()] == [ours]
    assert not PendingBC.objects.exists()
    assert not Alert.objects.exists()
    assert not JournalEntry.objects.filter(odoo_id=theirs).exists()

    # Without a choice of companies it may be any right that is missing: a person has to know.
    choose(COMPANY_IDS=[])
    refresh(theirs)
    assert PendingBC.objects.get().error_class == "NotReadable"
    assert "ODOO_COMPANY_IDS" in PendingBC.objects.get().last_error


def test_an_early_webhook_outside_the_domain_is_looked_at_and_leaves_nothing(
    simulator: Simulator, choose: Choose, settings: LazySettings
) -> None:
    settings.ODOO_WEBHOOK_TIMING = "early"
    settings.EARLY_LOOKS = (0.0, 0.01)
    order_id = simulator.create_order(lines=LINES)
    choose(DOMAIN=[["state", "=", "purchase"]])
    refresh(order_id, mark=Mark(cause="webhook", early=True))
    assert not BC.objects.exists()
    assert not JournalEntry.objects.exists(), "nothing was to be confirmed"
    assert SyncState.objects.get().scan_due_at is None


def test_lines_of_orders_outside_the_domain_are_neither_listed_nor_counted(
    simulator: Simulator, choose: Choose
) -> None:
    inside, outside = (simulator.create_order(lines=LINES, origin=o) for o in ("in", "out"))
    gateway = choose(DOMAIN=["|", ["origin", "=", "in"], "!", ["partner_id.name", "ilike", "Bois"]])
    listing = gateway.listing
    lines = [row.id for row in listing.lines(since=None, after_id=0, limit=50)]
    assert lines == sorted(line_ids(simulator, inside))
    [bucket] = listing.line_buckets("month")
    assert (bucket.count, bucket.id_sum) == (2, sum(lines))
    assert listing.existing([inside, outside]) == {inside}
    run()
    assert BCLine.objects.count() == 2
