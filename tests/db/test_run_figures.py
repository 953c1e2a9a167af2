"""What a run says of itself equals what happened to the orders: terminal, row, JSON, status."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.conf import LazySettings
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client
from django.utils.formats import number_format
from hypothesis import HealthCheck, Phase, event, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from bc_consumer import ledger
from bc_consumer.console import figures as console_figures
from bc_consumer.console.formatting import field_label
from bc_consumer.ledger import Mark
from bc_consumer.management import sync_text
from bc_consumer.models import (
    BC,
    Alert,
    BCLine,
    CopyOrigin,
    Event,
    JournalEntry,
    Lane,
    PendingBC,
    ProvenPeriod,
    SyncLog,
    SyncState,
)
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import odoo_connection, odoo_identity
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.conftest import refresh
from tests.db.copied import failed, pending
from tests.db.test_sync_command import Said, sql, sync
from tests.quick import examples

pytestmark = pytest.mark.usefixtures("odoo")

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", examples(12)))
Status, Cause, Outcome = SyncLog.Status, SyncLog.Cause, JournalEntry.Outcome
GOING = Mark(cause="webhook", event=Event.DELETED)
LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35, "product_id": 1}]
FATES = (
    "same", "same", "changed", "line", "deleted", "announced", "forbidden", "unreadable", "held",
    "failed before",
)  # fmt: skip
APPLIED = {
    Outcome.CREATED, Outcome.CHANGED, Outcome.ARCHIVED, Outcome.RESTORED, Outcome.FORBIDDEN,
}  # fmt: skip


def figures(said: Said) -> dict[str, int]:
    """Read the figures on the terminal; those that it does not show are zero."""
    labels = {field_label(SyncLog, name): name for name in sync_text.FIGURES}
    told = dict.fromkeys(labels.values(), 0)
    for line in said.out.splitlines():
        label, _blank, value = line.strip().rpartition("  ")
        if label.strip() in labels:
            told[labels[label.strip()]] = int(value.replace(",", ""))
    return told


class World:
    """One example: an Odoo, a copy of it, and what has happened to each order since."""

    def __init__(self, simulator: Simulator, fates: list[str], created: int) -> None:
        self.simulator = simulator
        self.ids = list(simulator.bulk_create(len(fates), 2, spread_days=10))
        self.of: dict[str, list[int]] = {fate: [] for fate in FATES}
        for odoo_id, fate in zip(self.ids, fates, strict=True):
            self.of[fate].append(odoo_id)
        # One that stays: an Odoo without any order is another matter.
        simulator.create_order(lines=LINES)
        assert sync().code == 0
        self.created = created

    def befall(self, settings: LazySettings, allowed: int) -> None:
        simulator, of = self.simulator, self.of
        if of["failed before"]:
            for odoo_id in of["failed before"]:
                simulator.faults.poison(odoo_id)
            refresh(*of["failed before"])
            simulator.faults.clear()
        if of["held"]:
            settings.BRAKE_ARCHIVINGS = 0
            simulator.delete_order(of["held"])
            refresh(*of["held"])
        settings.BRAKE_ARCHIVINGS = allowed
        for odoo_id in (*of["changed"], *of["unreadable"]):
            simulator.write_order(odoo_id, partner_ref="new")
        for odoo_id in of["line"]:
            order = simulator.order(odoo_id)
            assert order is not None
            simulator.write_line(order["order_line"][0]["id"], name="another text")
        for odoo_id in (*of["deleted"], *of["announced"]):
            simulator.delete_order(odoo_id)
        if of["announced"]:
            ledger.mark(of["announced"], GOING)
        for odoo_id in of["unreadable"]:
            simulator.faults.poison(odoo_id)
        simulator.faults.forbid(of["forbidden"])
        for _ in range(self.created):
            simulator.create_order(lines=LINES)

    def expected_exit(self, allowed: int, *, forced: bool) -> int:
        if not forced and len(self.of["deleted"]) + len(self.of["held"]) > allowed:
            return 5
        return 3 if self.of["unreadable"] else 0


def check_row(row: SyncLog, world: World, code: int) -> None:
    """Compare the row with the journal, the copy and the ledger."""
    entries = JournalEntry.objects.filter(run=row, at__lte=row.ended_at)
    told = Counter(entries.values_list("outcome", flat=True))
    assert row.applied == sum(told[outcome] for outcome in APPLIED)
    assert row.bc_count == row.applied + row.unchanged
    assert row.archived == told[Outcome.ARCHIVED]
    assert row.error_count == told[Outcome.FAILED]
    assert row.held == told[Outcome.HELD]
    lines = [entry.changes.get("lines", {}) for entry in entries]
    written = sum(
        one.get("count", 0) + len(one.get("added", ())) + len(one.get("changed", ()))
        for one in lines
    )
    assert row.line_count == written
    assert row.lines_deleted == sum(len(one.get("deleted", ())) for one in lines)
    assert row.archived == BC.objects.filter(
        odoo_id__in=entries.values("odoo_id"), archived_at__gte=row.started_at
    ).count()  # fmt: skip
    of = world.of
    gave_up = PendingBC.objects.filter(failed_at__isnull=False)
    assert set(gave_up.values_list("odoo_id", flat=True)) == set(of["unreadable"])
    assert row.error_count == len(of["unreadable"])
    changed = len(of["changed"]) + len(of["line"]) + world.created
    assert row.found_by_window == changed + len(of["unreadable"])
    assert row.found_by_names == 0
    stopped = row.phase != SyncLog.Phase.DONE
    if not stopped:
        assert row.gone == row.archived + row.held
        least = len(of["deleted"]) + len(of["forbidden"])
        assert least <= row.found_by_digest <= least + len(of["announced"])
    else:
        assert 0 < row.gone - row.archived - row.held <= len(of["deleted"])
    assert (row.status == Status.BRAKED) == (code == 5)
    held = PendingBC.objects.exclude(held_reason="").count()
    assert held == row.held


def check_status() -> None:
    """Compare /status.json with the tables."""
    for paced in (console_figures.copy_figures, console_figures.ledger_figures):
        paced.forget()
    body = json.loads(Client().get("/status.json").content)
    assert body["bc"] == BC.objects.current().count()
    assert body["bc_archived"] == BC.objects.filter(archived_at__isnull=False).count()
    assert body["lines"] == BCLine.objects.count()
    rows = PendingBC.objects.all()
    assert body["failed"] == rows.filter(failed_at__isnull=False).count()
    assert body["held"] == rows.exclude(held_reason="").count()
    assert body["owed"] + body["failed"] + body["held"] + body["watching"] == rows.count()


@pytest.fixture
def example(odoo: object, settings: LazySettings) -> Iterator[list[Simulator]]:
    """Give the list that the example's own Odoo is put into."""
    settings.MAX_ATTEMPTS, settings.BRAKE_SHARE = 1, 0.0
    made: list[Simulator] = []
    yield made
    for simulator in made:
        simulator.stop()


def begin_anew(made: list[Simulator], settings: LazySettings) -> Simulator:
    for model in (BC, PendingBC, JournalEntry, Alert, SyncLog, ProvenPeriod):
        model._default_manager.all().delete()
    SyncState.objects.update(last_sync=None, scan_due_at=None)
    CopyOrigin.objects.update(sample=None)
    odoo_identity.forget()
    while made:
        made.pop().stop()
    made.append(Simulator(webhook_timing="committed").start())
    odoo_connection.odoo().close()
    settings.ODOO_URL = made[0].url
    odoo_connection.odoo.cache_clear()
    return made[0]


@pytest.mark.slow("plays several whole runs")
@pytest.mark.timeout(30 * EXAMPLES)
@profile(
    max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES <= 12, print_blob=False,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=(HealthCheck.function_scoped_fixture, HealthCheck.too_slow),
)  # fmt: skip
@given(
    fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=12),
    created=st.integers(0, 2),
    allowed=st.sampled_from((0, 2, 20)),
    forced=st.booleans(),
    as_json=st.booleans(),
)
def test_each_figure_equals_what_happened(
    example: list[Simulator],
    settings: LazySettings,
    fates: list[str],
    created: int,
    allowed: int,
    forced: bool,
    as_json: bool,
) -> None:
    world = World(begin_anew(example, settings), fates, created)
    world.befall(settings, allowed)
    expected = world.expected_exit(allowed, forced=forced)
    event(f"exit {expected}")
    dry = sync("--dry-run", "--json")
    if not forced:
        assert dry.json["run_exit_code"] == expected
    said = sync(*(["--force"] if forced else []), *(["--json"] if as_json else []))
    assert said.code == expected, said.err
    row = SyncLog.objects.latest("pk")
    columns = {name: getattr(row, name) for name in sync_text.FIGURES}
    told = said.json["run"] if as_json else figures(said)
    assert {name: told[name] for name in sync_text.FIGURES} == columns
    check_row(row, world, said.code)
    check_status()
    while work_off():
        pass
    assert {name: getattr(SyncLog.objects.get(pk=row.pk), name) for name in columns} == columns
    if expected == 0 and not world.of["forbidden"]:
        assert differences(world.simulator, sql) == []


# --- the cases that were met ----------------------------------------------------------------------


@pytest.mark.slow("plays several whole runs")
def test_a_forced_run_tells_of_the_held_orders_that_it_archived(
    simulator: Simulator, settings: LazySettings
) -> None:
    ids = list(simulator.bulk_create(80, 1, spread_days=10))
    sync()
    simulator.delete_order(ids[:44])
    refresh(*ids[:44])
    assert PendingBC.objects.exclude(held_reason="").count() == 44
    simulator.delete_order(ids[44])
    said = sync("--force")
    told = figures(said)
    assert said.code == 0, said.err
    assert (told["archived"], told["gone"], told["held"]) == (45, 45, 0)


@pytest.mark.slow("plays whole runs")
def test_a_run_that_finds_orders_still_held_says_how_many(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.BRAKE_ARCHIVINGS, settings.BRAKE_SHARE = 2, 0.0
    ids = list(simulator.bulk_create(20, 1, spread_days=10))
    sync()
    simulator.delete_order(ids[:9])
    refresh(*ids[:9])
    said = sync()
    assert said.code == 5
    assert figures(said)["held"] == 9


@pytest.mark.slow("plays whole runs")
def test_an_order_that_was_given_up_counts_also_in_a_braked_run(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.BRAKE_ARCHIVINGS, settings.BRAKE_SHARE, settings.MAX_ATTEMPTS = 2, 0.0, 1
    ids = list(simulator.bulk_create(20, 1, spread_days=10))
    sync()
    simulator.write_order(ids[0], partner_ref="new")
    simulator.faults.poison(ids[0])
    simulator.delete_order(ids[10:])
    said = sync()
    assert said.code == 5
    assert figures(said)["error_count"] == 1
    assert figures(said)["gone"] == 10, "although the brake stopped it there"


@pytest.mark.slow("plays whole runs")
def test_the_looks_that_come_after_a_run_s_own_are_not_counted_for_it(
    simulator: Simulator, settings: LazySettings
) -> None:
    """An order marked early is looked at until its list is over, long after the run has ended."""
    settings.ODOO_WEBHOOK_TIMING, settings.EARLY_LOOKS = "early", [0.0, 3600.0]
    ids = list(simulator.bulk_create(3, 1, spread_days=10))
    sync()
    ledger.mark(ids[:1], Mark(cause="webhook", early=True))
    said = sync("--full")
    row = SyncLog.objects.latest("pk")
    assert figures(said)["applied"] == row.applied == 0
    simulator.write_order(ids[0], partner_ref="committed late")
    PendingBC.objects.update(due_at=Now())
    assert work_off() == 1
    assert BC.objects.get(odoo_id=ids[0]).partner_ref == "committed late"
    row.refresh_from_db()
    assert (row.applied, row.bc_count) == (0, figures(said)["bc_count"])
    assert JournalEntry.objects.latest("pk").run is None


@pytest.mark.slow("plays whole runs")
def test_lines_that_only_take_up_a_new_field_are_not_counted(
    simulator: Simulator, settings: LazySettings
) -> None:
    simulator.bulk_create(3, 2, spread_days=10)
    sync()
    simulator.add_field("purchase.order.line", "x_size", "char")
    settings.ODOO_EXTRA_LINE_FIELDS = ["x_size"]
    odoo_connection.odoo.cache_clear()
    said = sync()
    assert {line.extra.get("x_size", 1) for line in BCLine.objects.all()} <= {"", None}
    told = figures(said)
    assert (told["unchanged"], told["applied"], told["line_count"]) == (3, 0, 0)


@pytest.mark.slow("plays whole runs")
def test_what_is_mended_after_a_run_changes_nothing_of_what_it_said(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.MAX_ATTEMPTS = 1
    ids = list(simulator.bulk_create(3, 1, spread_days=10))
    sync()
    simulator.write_order(ids[0], partner_ref="new")
    simulator.faults.poison(ids[0])
    assert sync().code == 3
    before = SyncLog.objects.values().latest("pk")
    simulator.faults.clear()
    refresh(ids[0], mark=Mark(cause="replay", lane=Lane.BULK))
    assert BC.objects.get(odoo_id=ids[0]).partner_ref == "new"
    assert SyncLog.objects.values().latest("pk") == before


def test_the_age_of_what_waits_begins_when_a_failed_order_is_opened_again() -> None:
    failed(1, age=3000)
    pending(2, age=3000, held_reason="brake", held_at=Now() - timedelta(seconds=3000))
    pending(3, age=3000, fetched_generation=1)
    ledger.mark([1, 2, 3], Mark(cause="webhook"))
    ledger.release_held(forced=False)
    age = console_figures.ledger_figures().oldest_owed_seconds
    assert age is not None
    assert age < 60
    assert (
        PendingBC.objects.get(odoo_id=1).first_marked_at
        < PendingBC.objects.get(odoo_id=3).first_marked_at
    ), "its history is kept for the journal"


def test_nor_does_another_mark_make_younger_what_waits_all_the_while() -> None:
    pending(1, age=3000)
    ledger.mark([1], Mark(cause="webhook"))
    assert (console_figures.ledger_figures().oldest_owed_seconds or 0.0) > 2900


@pytest.mark.slow("plays several whole runs")
@pytest.mark.parametrize(
    ("deleted", "poisoned", "ending"),
    [
        (0, 0, "Nothing was changed; sync_BcLinbc would put it right."),
        (0, 1, "1 order cannot be read"),
        (9, 1, "--force"),
    ],
)
def test_a_dry_run_ends_with_what_a_run_would_do(
    simulator: Simulator, settings: LazySettings, deleted: int, poisoned: int, ending: str
) -> None:
    settings.BRAKE_ARCHIVINGS, settings.BRAKE_SHARE, settings.MAX_ATTEMPTS = 2, 0.0, 1
    ids = list(simulator.bulk_create(20, 1, spread_days=10))
    sync()
    simulator.write_order(ids[:2], partner_ref="new")
    simulator.faults.poison(ids[1]) if poisoned else None
    simulator.delete_order(ids[5 : 5 + deleted])
    said = sync("--dry-run")
    assert said.code == 7
    assert ending in said.out
    assert ("would put it right." in said.out) == (not deleted and not poisoned)
    code = sync().code
    assert code == (5 if deleted else 3 if poisoned else 0)
    if code:
        assert re.search(rf"exit code {code}\b", said.out)


@pytest.mark.slow("plays whole runs")
def test_a_dry_run_against_another_database_says_that_a_run_stops(simulator: Simulator) -> None:
    simulator.bulk_create(20, 1, spread_days=10)
    sync()
    day = timedelta(days=1)
    sample = CopyOrigin.objects.get().sample
    assert sample is not None
    shifted = {
        name: [[i, (datetime.fromisoformat(at) - day).isoformat()] for i, at in orders]
        for name, orders in sample.items()
    }
    CopyOrigin.objects.update(sample=shifted)
    BC.objects.update(create_date=F("create_date") - day, partner_ref="OURS")
    for options, code in (([], 0), (["--full"], 7)):
        said = sync("--dry-run", *options)
        assert said.code == code
        assert "exit code 6" in said.out
        assert "created at another time" in said.out
    assert sync().code == 6


@pytest.mark.slow("plays several whole runs")
def test_the_figures_of_what_was_found_add_up_to_the_reads(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.MAX_ATTEMPTS = 1
    ids = list(simulator.bulk_create(12, 1, spread_days=10))
    recent = [simulator.create_order(partner_id=3, lines=LINES) for _ in range(2)]
    sync()
    simulator.faults.poison(ids[0])
    refresh(ids[0])
    simulator.faults.clear()
    simulator.write_order(ids[1], partner_ref="new")
    simulator.delete_order(ids[2])
    BC.objects.filter(odoo_id=ids[3]).update(mapping_version=F("mapping_version") - 1)
    BC.objects.filter(odoo_id__in=ids[4:6]).update(partner_id=4, partner_name="Older")
    simulator.update_sql("purchase.order", ids[4:6], {"partner_id": 4})
    simulator.rename("res.partner", 4, "Newer")
    with_that_name = BC.objects.filter(partner_id=4).exclude(odoo_id__in=ids[:4]).count()
    run = reconcile(RunRequest(Cause.COMMAND))
    found = {
        name: getattr(run, name)
        for name in sync_text.FIGURES
        if name.startswith(("found_by_", "reread_")) or name == "scrubbed"
    }
    assert found == {
        "found_by_window": 1, "found_by_digest": 1, "found_by_names": with_that_name,
        "reread_recent": len(recent), "reread_failed": 1, "reread_mapping": 1, "scrubbed": 0,
    }  # fmt: skip
    assert sum(found.values()) == run.bc_count
    assert str(SyncLog._meta.get_field("bc_count").verbose_name) == "reads of orders"
    told = sync_text.run_told(run)
    assert re.search(rf"^  Reads of orders +{number_format(run.bc_count)}$", told, re.MULTILINE)
    assert re.search(r"^  Read again because recent +2$", told, re.MULTILINE)
