"""The dry run: it finds each kind of difference, tells no other, and writes nothing."""

from __future__ import annotations

import io
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.db.models import F
from django.utils import translation

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.odoo_ids import IdSet
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import Message
from bc_consumer.management.drift_report import TableReport
from bc_consumer.models import (
    BC,
    BCLine,
    CallSlot,
    Pace,
    PendingBC,
    ProvenPeriod,
    SyncLog,
    SyncState,
)
from bc_consumer.odoo import Odoo, OdooInterrupted, OdooUnavailable, WrongCredentials
from bc_consumer.reconciliation.dry_run import PENDING, Drift, DriftKind, DryRun
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import odoo_connection
from odoo_simulator import Simulator
from tests.db.conftest import proven

pytestmark = pytest.mark.usefixtures("odoo")

LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35, "product_id": 1},
    {"name": "Gift", "product_qty": 1, "price_unit": 0.0},
]


def loaded(simulator: Simulator, count: int = 4) -> list[int]:
    """Make orders and bring all of them to the copy."""
    ids = [simulator.create_order(lines=LINES) for _ in range(count)]
    run = reconcile(RunRequest(SyncLog.Cause.COMMAND))
    assert run.status == SyncLog.Status.OK, run.error
    return ids


def line_ids(simulator: Simulator, order_id: int) -> list[int]:
    order = simulator.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


def scan(odoo: Odoo, **options: Any) -> list[Drift]:
    return list(DryRun(odoo, **options).drifts())


def kinds(drifts: list[Drift]) -> list[tuple[int, DriftKind]]:
    return sorted({(drift.order_id, drift.kind) for drift in drifts})


def dump() -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, but for those that calls to Odoo take turns by."""
    return {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in apps.get_app_config("bc_consumer").get_models()
        if model not in {CallSlot, Pace}
    }


@pytest.mark.parametrize("full", [False, True])
def test_a_faithful_copy_has_no_drift(simulator: Simulator, odoo: Odoo, full: bool) -> None:
    loaded(simulator)
    before = dump()
    dry_run = DryRun(odoo, full=full)
    assert list(dry_run.drifts()) == []
    assert dry_run.compared == 4
    assert dump() == before


@pytest.mark.parametrize("full", [False, True])
def test_each_kind_of_difference_is_found_and_nothing_is_written(
    simulator: Simulator, odoo: Odoo, full: bool
) -> None:
    changed, gone, line_gone, line_added, away, forbidden, same = loaded(simulator, 7)
    simulator.write_order(changed, partner_ref="new")
    simulator.write_line(line_ids(simulator, changed)[0], price_unit=99.5)
    simulator.delete_order(gone)
    lost_line = line_ids(simulator, line_gone)[1]
    simulator.delete_line(lost_line)
    new_line = simulator.add_line(line_added, name="Lamp", product_qty=1, price_unit=5)
    BC.objects.filter(odoo_id=away).update(archived_at=database_now())
    simulator.faults.forbid([forbidden])
    new = simulator.create_order(lines=LINES)
    before = dump()

    drifts = scan(odoo, full=full)

    assert dump() == before
    assert {kind for kind in kinds(drifts) if kind[1] is not DriftKind.FIELD} == {
        (gone, DriftKind.GONE_FROM_ODOO),
        (line_gone, DriftKind.LINE_ONLY_HERE),
        (line_added, DriftKind.LINE_MISSING),
        (away, DriftKind.AWAY_HERE),
        (forbidden, DriftKind.NOT_READABLE),
        (new, DriftKind.MISSING_HERE),
    }
    assert not any(drift.order_id == same for drift in drifts)
    by_place = {(d.order_id, d.line_id, d.field): (d.theirs, d.ours) for d in drifts}
    assert by_place[changed, None, "partner_ref"] == ("new", "")
    first_line = line_ids(simulator, changed)[0]
    assert by_place[changed, first_line, "price_unit"] == (Decimal("99.50"), Decimal("12.35"))
    assert by_place[line_gone, lost_line, ""] == (None, "Gift")
    assert by_place[line_added, new_line, ""] == ("Lamp", None)
    assert not any(drift.pending for drift in drifts)
    orders = [order_id for order_id, _ in itertools.groupby(drifts, lambda d: d.order_id)]
    assert len(orders) == len(set(orders)), "an order is told of at two places"


@pytest.mark.slow("plays whole runs")
def test_after_the_run_the_dry_run_finds_nothing(simulator: Simulator, odoo: Odoo) -> None:
    ids = loaded(simulator)
    simulator.write_order(ids[0], partner_ref="new")
    simulator.delete_order(ids[1])
    assert scan(odoo)
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    assert scan(odoo) == []
    assert scan(odoo, full=True) == []


def test_an_empty_copy_misses_every_order(simulator: Simulator, odoo: Odoo) -> None:
    ids = list(simulator.bulk_create(25, 1, spread_days=90))
    before = dump()
    drifts = scan(odoo)
    assert kinds(drifts) == [(odoo_id, DriftKind.MISSING_HERE) for odoo_id in ids]
    assert dump() == before


@pytest.mark.slow("plays several whole runs")
def test_pages_and_batches_leave_nothing_out(
    simulator: Simulator, odoo: Odoo, settings: LazySettings
) -> None:
    ids = list(simulator.bulk_create(40, 1, spread_days=90))
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    settings.SYNC_PAGE_SIZE, settings.BATCH_SIZE = 6, 4
    gone = [ids[0], ids[11], ids[12], ids[39]]
    simulator.delete_order(gone)
    missing = [ids[5], ids[6], ids[38]]
    BC.objects.filter(odoo_id__in=missing).delete()
    expected = sorted(
        [(i, DriftKind.GONE_FROM_ODOO) for i in gone]
        + [(i, DriftKind.MISSING_HERE) for i in missing]
    )
    ProvenPeriod.objects.all().delete()
    before = dump()
    for full in (False, True):
        assert kinds(scan(odoo, full=full)) == expected
        assert dump() == before


def test_an_order_that_odoo_no_longer_has_beyond_its_last_is_found(
    simulator: Simulator, odoo: Odoo
) -> None:
    ids = loaded(simulator)
    simulator.delete_order(ids[-1])
    for full in (False, True):
        assert kinds(scan(odoo, full=full)) == [(ids[-1], DriftKind.GONE_FROM_ODOO)]


def test_only_a_full_comparison_sees_what_no_date_tells(
    simulator: Simulator, odoo: Odoo, settings: LazySettings
) -> None:
    settings.ODOO_LONGEST_TRANSACTION_SECONDS = 0.001
    ids = loaded(simulator)
    proven(simulator)
    BC.objects.filter(odoo_id=ids[2]).update(origin="spoilt")
    assert scan(odoo) == []
    (drift,) = scan(odoo, full=True)
    assert (drift.order_id, drift.field, drift.theirs, drift.ours) == (
        ids[2], "origin", "", "spoilt",
    )  # fmt: skip
    assert [drift.field for drift in scan(odoo, only=[ids[2]])] == ["origin"]
    assert scan(odoo, only=[ids[1]]) == []


def test_a_difference_older_than_the_window_is_found_by_the_digest(
    simulator: Simulator, odoo: Odoo
) -> None:
    ids = loaded(simulator)
    old = (datetime.now(UTC) - timedelta(days=40)).strftime("%Y-%m-%d %H:%M:%S")
    simulator.write_order(ids[1], partner_ref="unnoticed")
    simulator.update_sql("purchase.order", ids[1], {"write_date": old})
    SyncState.objects.update(last_sync=database_now())
    fields = {drift.field for drift in scan(odoo) if drift.order_id == ids[1]}
    assert {"partner_ref", "write_date"} <= fields


def test_a_new_name_is_a_difference(simulator: Simulator, odoo: Odoo) -> None:
    ids = [simulator.create_order(partner_id=2, lines=LINES) for _ in range(2)]
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    BC.objects.update(synced_at=F("write_date") + timedelta(days=1))
    simulator.rename("res.partner", 2, "Renamed & Sons")
    drifts = scan(odoo)
    assert {(drift.order_id, drift.field, drift.theirs) for drift in drifts} == {
        (odoo_id, "partner_name", "Renamed & Sons") for odoo_id in ids
    }


def test_an_older_mapping_alone_is_no_difference(simulator: Simulator, odoo: Odoo) -> None:
    ids = loaded(simulator)
    BC.objects.update(synced_at=F("write_date") + timedelta(days=1), mapping_version=0)
    dry_run = DryRun(odoo)
    assert list(dry_run.drifts()) == []
    assert dry_run.compared == len(ids)


def test_a_line_that_moved_is_missing_at_one_order_and_too_much_at_the_other(
    simulator: Simulator, odoo: Odoo
) -> None:
    ids = loaded(simulator, 2)
    moved = line_ids(simulator, ids[1])
    simulator.merge([ids[1]], ids[0])
    drifts = scan(odoo)
    missing = {
        d.line_id for d in drifts if d.order_id == ids[0] and d.kind is DriftKind.LINE_MISSING
    }
    only = {
        d.line_id for d in drifts if d.order_id == ids[1] and d.kind is DriftKind.LINE_ONLY_HERE
    }
    assert missing == only == set(moved)


def test_what_the_ledger_owes_is_told_as_pending(simulator: Simulator, odoo: Odoo) -> None:
    ids = loaded(simulator)
    for odoo_id in ids[:2]:
        simulator.write_order(odoo_id, partner_ref="new")
    ledger.mark([ids[0]], ledger.Mark(cause="webhook"))
    told = {drift.order_id: drift.pending for drift in scan(odoo)}
    assert told == {ids[0]: True, ids[1]: False}


def test_what_has_failed_or_is_held_is_not_told_as_pending(
    simulator: Simulator, odoo: Odoo
) -> None:
    ids = loaded(simulator)
    for odoo_id in ids[:3]:
        simulator.write_order(odoo_id, partner_ref="new")
    ledger.mark(ids[:3], ledger.Mark(cause="webhook"))
    PendingBC.objects.filter(pk=ids[0]).update(failed_at=database_now())
    PendingBC.objects.filter(pk=ids[1]).update(held_reason="too many")
    told = {drift.order_id: (drift.standing, drift.pending) for drift in scan(odoo)}
    assert told == {
        ids[0]: ("failed", False), ids[1]: ("held", False), ids[2]: ("pending", True),
    }  # fmt: skip


def test_why_an_order_was_not_compared_keeps_its_parts(simulator: Simulator, odoo: Odoo) -> None:
    ids = loaded(simulator, 2)
    simulator.faults.poison(ids[0])
    (drift,) = scan(odoo, only=ids)
    assert drift.kind is DriftKind.NOT_COMPARED
    assert isinstance(drift.theirs, Message)
    assert drift.theirs.form is not None


def test_an_owed_order_is_compared_although_no_date_tells(simulator: Simulator, odoo: Odoo) -> None:
    ids = loaded(simulator)
    BC.objects.update(synced_at=F("write_date") + timedelta(days=1))
    BC.objects.filter(odoo_id=ids[3]).update(origin="spoilt")
    ledger.mark([ids[3]], ledger.Mark(cause="webhook"))
    assert [(drift.order_id, drift.pending) for drift in scan(odoo)] == [(ids[3], True)]


@pytest.mark.parametrize("owed", [False, True])
def test_a_change_that_arrives_while_it_is_compared_is_no_difference(
    simulator: Simulator, odoo: Odoo, monkeypatch: pytest.MonkeyPatch, owed: bool
) -> None:
    from tests.db.conftest import refresh

    (order_id,) = loaded(simulator, 1)
    simulator.write_order(order_id, partner_ref="on its way")
    if owed:  # an old change: only the ledger tells that it is on its way
        old = {"write_date": "2026-01-05 06:00:00"}
        simulator.update_sql("purchase.order.line", line_ids(simulator, order_id), old)
        simulator.update_sql("purchase.order", order_id, old)
        ledger.mark([order_id], ledger.Mark(cause="webhook"))
    looks: list[float] = []

    def arrive(seconds: float) -> bool:
        looks.append(seconds)
        refresh(order_id)
        return False

    monkeypatch.setattr(process_state.stopping, "wait", arrive)
    assert scan(odoo) == []
    assert len(looks) == 1


def test_an_order_that_odoo_cannot_read_stands_alone(simulator: Simulator, odoo: Odoo) -> None:
    ids = loaded(simulator)
    simulator.faults.poison(ids[1], code=1, text="ValueError: cannot compute")
    (drift,) = scan(odoo, full=True)
    assert (drift.order_id, drift.kind) == (ids[1], DriftKind.NOT_COMPARED)
    assert "cannot compute" in str(drift.theirs)


def test_odoo_being_away_or_refusing_us_is_raised(
    simulator: Simulator, odoo: Odoo, settings: LazySettings
) -> None:
    loaded(simulator)
    simulator.faults.fault_all(1, "OperationalError: no")
    with pytest.raises(OdooUnavailable):
        scan(odoo)
    simulator.faults.clear()
    simulator.faults.fault_all(3, "Access Denied")
    with pytest.raises(WrongCredentials):
        scan(odoo)


def test_an_odoo_that_cannot_group_is_read_id_by_id(simulator: Simulator, odoo: Odoo) -> None:
    ids = loaded(simulator)
    simulator.faults.hide_method("read_group")
    simulator.delete_order(ids[0])
    dry_run = DryRun(odoo)
    assert kinds(list(dry_run.drifts())) == [(ids[0], DriftKind.GONE_FROM_ODOO)]
    assert any("cannot group" in note for note in dry_run.notes)


def test_it_ends_when_the_process_is_stopping(simulator: Simulator, odoo: Odoo) -> None:
    loaded(simulator)

    def stop(_scan: DryRun) -> None:
        process_state.stopping.set()

    with pytest.raises(OdooInterrupted):
        list(DryRun(odoo, tell=stop).drifts())


def test_an_order_of_a_run_at_work_is_compared_without_its_lock(
    simulator: Simulator, odoo: Odoo
) -> None:
    loaded(simulator)
    SyncState.objects.update(is_syncing=True, owner="another", lease_until=database_now())
    assert scan(odoo) == []
    assert SyncState.objects.get().owner == "another"
    assert not PendingBC.objects.exists()
    assert BCLine.objects.count() == 8


def test_a_set_of_ids_knows_what_it_holds() -> None:
    ids = IdSet()
    numbers = [1, 2, 4095, 4096, 4097, 2**31 - 1]
    assert all(ids.add(number) for number in numbers)
    assert not any(ids.add(number) for number in numbers)
    assert ids.add(3)


def test_the_table_has_a_heading_and_cuts_long_values_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    drift = Drift(7, "P7", DriftKind.FIELD, 3, "name", "a\nb" * 100, None, PENDING)
    for terminal in (True, False):
        out = io.StringIO()
        monkeypatch.setattr(out, "isatty", lambda terminal=terminal: terminal)
        table = TableReport(out)
        with translation.override("en"):
            table.add(drift)
            table.add(drift)
        heading, first, second = out.getvalue().splitlines()
        assert heading.split() == ["order", "field", "Odoo", "here"]
        assert first == second
        assert first.startswith("#7 P7 [pending]")
        assert "Description (line #3)" in first
        assert first.endswith("—")
        assert ("…" in first, len(first) <= 100) == (terminal, terminal)


@pytest.mark.slow("plays whole runs")
@pytest.mark.parametrize("full", [False, True])
def test_fields_without_a_column_are_compared_too(
    simulator: Simulator, settings: LazySettings, odoo: Odoo, full: bool
) -> None:
    simulator.add_field("purchase.order", "x_code", "char")
    simulator.add_field("purchase.order.line", "x_size", "float")
    gateway = with_settings(
        settings, ODOO_EXTRA_FIELDS=["x_code"], ODOO_EXTRA_LINE_FIELDS=["x_size"]
    )
    line = {**LINES[0], "x_size": 1.5}
    order_id = simulator.create_order(lines=[line], x_code="theirs")
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    assert scan(gateway, full=full) == []
    BC.objects.update(extra={"x_code": "ours", "x_removed": 1})
    BCLine.objects.update(extra={"x_size": "1.50"})
    told = {(d.field, d.line_id is not None): (d.theirs, d.ours) for d in scan(gateway, full=full)}
    assert told == {
        ("extra.x_code", False): ("theirs", "ours"),
        ("extra.x_removed", False): (None, 1),
        ("extra.x_size", True): ("1.5", "1.50"),
    }
    assert BC.objects.get(odoo_id=order_id).extra == {"x_code": "ours", "x_removed": 1}


@pytest.mark.slow("plays whole runs")
def test_an_order_outside_the_domain_is_told_as_such(
    simulator: Simulator, settings: LazySettings, odoo: Odoo
) -> None:
    kept, left = loaded(simulator, 2)
    simulator.confirm(kept)
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    gateway = with_settings(settings, ODOO_DOMAIN=[["state", "=", "purchase"]])
    [drift] = scan(gateway)
    assert (drift.order_id, drift.kind, drift.theirs) == (
        left,
        DriftKind.OUTSIDE,
        "outside the domain",
    )
    out = io.StringIO()
    TableReport(out).add(drift)
    assert "order: not to be copied" in out.getvalue()


def with_settings(settings: LazySettings, **changes: Any) -> Odoo:
    """Return this process's gateway as other settings make it."""
    for name, value in changes.items():
        setattr(settings, name, value)
    odoo_connection.odoo.cache_clear()
    return odoo_connection.odoo()


def test_a_period_compares_what_was_last_written_in_it_and_nothing_else(
    simulator: Simulator, odoo: Odoo
) -> None:
    ids = loaded(simulator)
    day = datetime(2024, 3, 5, 12, tzinfo=UTC)
    long_ago = {"write_date": "2024-03-05 12:00:00"}
    for odoo_id in ids[:2]:
        simulator.update_sql("purchase.order", [odoo_id], long_ago)
        simulator.update_sql("purchase.order.line", line_ids(simulator, odoo_id), long_ago)
    BC.objects.filter(odoo_id__in=ids[:2]).update(write_date=day)
    BCLine.objects.filter(bc__odoo_id=ids[0]).update(write_date=day)
    recent = BCLine.objects.filter(bc__odoo_id=ids[3]).first()
    assert recent is not None
    theirs = {"write_date": f"{recent.write_date:%Y-%m-%d %H:%M:%S}"}
    simulator.update_sql("purchase.order.line", line_ids(simulator, ids[1]), theirs)
    BC.objects.filter(odoo_id__in=[ids[0], ids[3]]).update(partner_ref="WRONG")
    hours = timedelta(hours=1)

    drifts = scan(odoo, since=day - hours, until=day + hours)
    assert [(one.order_id, one.field) for one in drifts] == [(ids[0], "partner_ref")]
    assert scan(odoo, since=day + hours, until=day + 2 * hours) == []
    looked = DryRun(odoo, since=day - hours, until=day + hours)
    list(looked.drifts())
    assert looked.compared == 2
    # An order that the copy alone has in the period, and one whose line alone was written in it.
    simulator.delete_order(ids[1])
    simulator.update_sql("purchase.order.line", line_ids(simulator, ids[3])[:1], long_ago)
    found = {one.order_id for one in scan(odoo, since=day - hours, until=day + hours)}
    assert found == {ids[0], ids[1], ids[3]}
