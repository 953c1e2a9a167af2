"""``manage.py sync_BcLinbc``: exit codes, what it prints, and how it ends when it is told to."""

from __future__ import annotations

import io
import json
import logging
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.utils import translation

from bc_consumer.core import process_state as process
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable_field import PartsField
from bc_consumer.management import odoo_silence_notice, progress, sync_text
from bc_consumer.management.command import caller_name
from bc_consumer.models import (
    BC,
    Alert,
    JournalEntry,
    OperatorAction,
    PendingBC,
    SyncLog,
    SyncState,
)
from bc_consumer.operations import run_control
from bc_consumer.reconciliation import lock
from bc_consumer.reconciliation.lock import Lock
from bc_consumer.refresh import odoo_connection
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import ROOT, Deployment

in_process = pytest.mark.usefixtures("odoo")
LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35, "product_id": 1}]


@dataclass(frozen=True, slots=True)
class Said:
    """What one run of the command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The only thing on standard output."""
        decoded: dict[str, Any] = json.loads(self.out)
        return decoded


def sync(*arguments: str) -> Said:
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        # As in a process of its own: pages leave their visitor's language behind in this one.
        with translation.override("en"):
            call_command("sync_BcLinbc", *arguments, stdout=out, stderr=err)
    except SystemExit as left:
        code = int(left.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def lock_is_free() -> bool:
    return not SyncState.objects.get().is_syncing


# --- runs ---------------------------------------------------------------------------------------


@in_process
def test_a_run_that_went_well_exits_with_0(simulator: Simulator) -> None:
    simulator.bulk_create(12, 2, spread_days=30)
    said = sync()
    assert said.code == 0, said.err
    assert "ok" in said.out
    assert re.search(r"^  Applied +12$", said.out, re.MULTILINE)
    assert differences(simulator, sql) == []
    assert lock_is_free()


@in_process
def test_json_is_one_object_on_standard_output_and_nothing_else(simulator: Simulator) -> None:
    simulator.bulk_create(12, 2, spread_days=30)
    said = sync("--json")
    assert said.json.keys() == {"command", "run", "status", "exit_code", "error"}
    assert (said.json["command"], said.json["status"], said.json["exit_code"]) == ("run", "ok", 0)
    row = SyncLog.objects.get()
    told = said.json["run"]
    columns = (one for one in SyncLog._meta.concrete_fields if not isinstance(one, PartsField))
    assert told.keys() == {one.attname for one in columns}, "the sentence, as before"
    assert (told["id"], told["applied"], told["line_count"]) == (row.pk, 12, 24)
    assert datetime.fromisoformat(told["started_at"]) == row.started_at


@in_process
def test_a_run_that_failed_exits_with_1_and_one_sentence(simulator: Simulator) -> None:
    simulator.faults.fault_all(1, "psycopg2.OperationalError: connection refused")
    said = sync("--json")
    assert (said.code, said.json["exit_code"], said.json["status"]) == (1, 1, "failed")
    assert "connection refused" in said.json["error"]
    assert "The first load is not complete" in said.err
    assert "Traceback" not in said.err
    assert lock_is_free()


@in_process
@pytest.mark.parametrize(
    "arguments",
    [
        ["--since", "tomorrow"],
        ["--since", "2999-01-01"],
        ["--since", "2026-02-30"],
        ["--bc", "0"],
        ["--bc", ""],
        ["--bc", "#P00012"],
        ["--bc", str(2**31)],
        ["--since", "2d", "--full"],
        ["--bc", "1", "--full"],
        ["--dry-run", "--force"],
        ["--unlock", "--bc", "1"],
        ["--stop", "--bc", "1"],
        ["--unlock", "--stop"],
        ["--what"],
    ],
)
def test_wrong_options_are_refused_before_anything_is_done(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match=r"Error: .*(--since|--bc|combined|--what)"):
        sync(*arguments)
    assert not SyncLog.objects.exists()


@in_process
def test_failed_orders_make_it_partial_and_exit_with_3(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.MAX_ATTEMPTS = 1
    ids = list(simulator.bulk_create(8, 1, spread_days=10))
    simulator.faults.poison(ids[3], code=1, text="ValueError: cannot compute")
    said = sync()
    assert said.code == 3
    assert f"BC {ids[3]}" in said.err
    assert "--bc" in said.err
    assert BC.objects.count() == 7


@in_process
def test_another_run_at_work_makes_it_exit_with_4(simulator: Simulator) -> None:
    lock = Lock()
    assert lock.take()
    SyncLog.objects.create(started_at=database_now(), cause=SyncLog.Cause.NIGHTLY)
    try:
        said = sync("--json")
    finally:
        lock.give_back()
    assert (said.code, said.json["status"]) == (4, "locked")
    assert "Nothing was done: run" in said.err
    assert simulator.calls == []
    assert SyncLog.objects.count() == 1


@pytest.mark.slow("plays several whole runs")
@in_process
def test_the_brake_makes_it_exit_with_5_and_force_lets_go(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.BRAKE_ARCHIVINGS = 3
    ids = list(simulator.bulk_create(20, 1, spread_days=10))
    assert sync().code == 0
    simulator.delete_order(ids[:8])
    said = sync()
    assert said.code == 5
    assert "--force" in said.err
    assert BC.objects.current().count() == 20
    assert sync("--force").code == 0
    assert differences(simulator, sql) == []


@in_process
@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--bc", "1"]])
def test_wrong_credentials_make_it_exit_with_6(
    simulator: Simulator, settings: LazySettings, options: list[str]
) -> None:
    simulator.bulk_create(3, 1, spread_days=1)
    simulator.faults.fault_all(3, "Access Denied")
    said = sync(*options, "--json")
    assert (said.code, said.json["status"]) == (6, "refused")
    assert "ODOO_PASSWORD" in said.err
    assert lock_is_free()


@in_process
@pytest.mark.timeout(60)
@pytest.mark.parametrize("options", [[], ["--bc", "1"]])
def test_what_every_order_needs_and_odoo_lacks_ends_it_instead_of_waiting_for_ever(
    simulator: Simulator, options: list[str]
) -> None:
    simulator.bulk_create(3, 1, spread_days=1)
    simulator.faults.drop_field("purchase.order", "partner_id")
    said = sync(*options)
    assert said.code == 6
    assert "partner_id" in said.err
    assert lock_is_free()


@in_process
@pytest.mark.simulator(version=18)
@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("ODOO_TRANSPORT", "json2", "JSON-2 came with Odoo 19"),
        ("ODOO_URL", "{url}/web", "set ODOO_URL to that"),
    ],
)
def test_a_wrong_address_or_protocol_makes_it_exit_with_6(
    simulator: Simulator, settings: LazySettings, setting: str, value: str, told: str
) -> None:
    setattr(settings, setting, value.format(url=simulator.url))
    odoo_connection.odoo.cache_clear()
    for words in ([], ["--dry-run"], ["--bc", "1"]):
        said = sync(*words)
        assert said.code == 6
        assert told in said.err


@in_process
def test_told_to_stop_in_the_middle_of_a_call_it_exits_with_130(simulator: Simulator) -> None:
    simulator.bulk_create(30, 1, spread_days=10)
    simulator.faults.between_calls(lambda *_: process.stopping.set())
    said = sync("--json")
    assert (said.code, said.json["status"]) == (130, "interrupted")
    assert "the next run continues" in said.err
    assert lock_is_free()
    assert SyncLog.objects.get().error == "interrupted: the next run goes on"
    assert not Alert.objects.exists()
    process.stopping.clear()
    simulator.faults.clear()
    assert sync().code == 0
    assert differences(simulator, sql) == []


@in_process
def test_the_signals_are_given_back(simulator: Simulator) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    sync()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.slow("plays whole runs")
@in_process
def test_the_log_has_no_line_for_each_order_unless_asked(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ids = list(simulator.bulk_create(5, 1, spread_days=10))
    sync()
    assert "created" not in caplog.text
    simulator.write_order(ids[0], partner_ref="new")
    sync("-v", "2")
    assert f"BC {ids[0]} changed" in caplog.text


@pytest.mark.slow("plays several whole runs")
@in_process
def test_full_finds_what_no_date_tells(simulator: Simulator, settings: LazySettings) -> None:
    settings.SYNC_SCRUB_DAYS = 0  # the scrub finds it, too, on its night
    ids = list(simulator.bulk_create(5, 1, spread_days=10))
    sync()
    BC.objects.filter(odoo_id=ids[0]).update(origin="spoilt")
    BC.objects.update(synced_at=F("write_date") + timedelta(days=1))
    assert sync().code == 0
    assert BC.objects.get(odoo_id=ids[0]).origin == "spoilt"
    said = sync("--full", "--json")
    assert (said.json["run"]["bc_count"], said.json["run"]["applied"]) == (5, 1)
    assert BC.objects.get(odoo_id=ids[0]).origin == ""


@pytest.mark.slow("plays whole runs")
@in_process
def test_since_sets_the_window_and_a_gap_does_not_move_the_watermark(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_OVERLAP_SECONDS = 600
    sync()
    long_ago = database_now() - timedelta(days=3)
    SyncState.objects.update(last_sync=long_ago)
    said = sync("--since", "2h", "--json")
    assert said.code == 0
    since = datetime.fromisoformat(said.json["run"]["window_since"])
    assert abs(database_now() - timedelta(hours=2) - since) < timedelta(minutes=1)
    assert SyncState.objects.get().last_sync == long_ago
    assert sync("--since", "5d").code == 0
    moved = SyncState.objects.get().last_sync
    assert moved is not None
    assert moved > database_now() - timedelta(minutes=1)


@pytest.mark.slow("plays whole runs")
@in_process
@pytest.mark.parametrize(
    ("arguments", "still_wanted"),
    [(["--since", "1m"], True), (["--since", "5h"], False), ([], False)],
)
def test_a_window_clears_a_scan_that_was_asked_for_only_when_it_reaches_back(
    simulator: Simulator, arguments: list[str], still_wanted: bool
) -> None:
    sync()
    asked = database_now() - timedelta(hours=2)
    SyncState.objects.update(scan_due_at=asked)
    assert sync(*arguments).code == 0
    assert SyncState.objects.get().scan_due_at == (asked if still_wanted else None)


@pytest.mark.slow("plays several whole runs")
@in_process
def test_a_moment_without_offset_is_the_project_s_time(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    said = sync("--since", "2026-01-05T06:00", "--json")
    assert said.json["run"]["window_since"] == "2026-01-05T05:00:00+00:00"
    said = sync("--since", "2026-01-05", "--json")
    assert said.json["run"]["window_since"] == "2026-01-04T23:00:00+00:00"
    said = sync("--since", "2026-01-05T06:00:00+00:00", "--json")
    assert said.json["run"]["window_since"] == "2026-01-05T06:00:00+00:00"


@in_process
@pytest.mark.parametrize("arguments", [["--full"], ["--dry-run", "--full"]])
def test_the_progress_counts_the_orders_that_are_copied(
    simulator: Simulator,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    ids = list(simulator.bulk_create(6, 1, spread_days=10))
    company = simulator.add_company("Other")
    simulator.create_order(company_id=company)
    simulator.write_order(ids[:2], partner_ref="not to be copied")
    settings.ODOO_COMPANY_IDS = [1]
    settings.ODOO_DOMAIN = [["partner_ref", "!=", "not to be copied"]]
    odoo_connection.odoo.cache_clear()
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress.Lines, "seconds", 0.0)
    said = sync(*arguments)
    assert "of 4 " in said.err
    assert "of 6 " not in said.err
    assert "of 7 " not in said.err


@pytest.mark.slow("plays several whole runs")
@in_process
def test_the_summary_is_a_table_of_what_is_not_zero(simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(1200, 1, spread_days=30))
    assert sync().code == 0
    simulator.write_order(ids[0], partner_ref="new")
    said = sync()
    head, *lines = said.out.splitlines()
    assert re.fullmatch(r"Run \d+: ok, after [\d.]+ m?s\.", head)
    table = dict(re.split(r"  +", line.strip()) for line in lines)
    assert table["Applied"] == "1"
    assert "0" not in table.values()
    assert len({len(line) for line in lines}) == 1, "the numbers end below each other"
    run = SyncLog.objects.order_by("-pk")[0]
    with translation.override("fr"):
        # No-break spaces group digits in French.
        assert "1\xa0200" in sync_text.run_told(SyncLog(**vars_of(run) | {"bc_count": 1200}))


def vars_of(run: SyncLog) -> dict[str, Any]:
    return {field.attname: getattr(run, field.attname) for field in SyncLog._meta.concrete_fields}


@pytest.mark.slow("plays whole runs")
@in_process
def test_a_first_load_is_called_so_by_command_progress_log_and_row_and_no_later_run(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.Lines, "seconds", 0.0)
    caplog.set_level(logging.INFO)
    simulator.bulk_create(6, 1, spread_days=10)
    first = sync("-v", "2")
    assert first.out.startswith(f"First load (run {SyncLog.objects.get().pk}): ok")
    assert "first load · 0 of 6 reads of orders · listing the orders" in first.err
    assert "(command, first load): ok" in caplog.text
    assert SyncLog.objects.get().notes == "first load: every order is read"
    assert first.out.count("irst load") == 1, "the table does not repeat the note"
    caplog.clear()
    second = sync("-v", "2")
    assert "irst load" not in second.out + second.err + caplog.text
    assert SyncLog.objects.order_by("-pk")[0].notes == ""


# --- on a terminal ------------------------------------------------------------------------------


class Screen(io.StringIO):
    """Both outputs of a command, and the log, on one terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    monkeypatch.setenv("COLUMNS", "120")
    screen = Screen()
    handler = logging.StreamHandler(screen)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    yield screen
    logging.getLogger().removeHandler(handler)
    assert handler.filters == []
    assert handler.stream is screen


def sync_on(screen: Screen, *arguments: str) -> int:
    try:
        with translation.override("en"):
            call_command("sync_BcLinbc", *arguments, stdout=screen, stderr=screen, no_color=True)
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def seen(screen: Screen) -> str:
    """Return what stays on the screen: of each line, what was written last."""
    return re.sub(r"[^\n]*\r\x1b\[K", "", screen.getvalue())


@in_process
@pytest.mark.parametrize("options", [[], ["--bc", "1"], ["--dry-run"]])
def test_a_terminal_is_told_once_why_odoo_was_not_asked(
    simulator: Simulator, screen: Screen, options: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    simulator.bulk_create(3, 1, spread_days=1)
    simulator.faults.fault_all(1, "psycopg2.OperationalError: connection refused")
    assert sync_on(screen, *options) == 1
    assert seen(screen).count("connection refused") == 1, seen(screen)
    if options != ["--dry-run"]:
        assert "connection refused" in caplog.text, "the log keeps it"


@pytest.mark.slow("plays several whole runs")
@in_process
@pytest.mark.parametrize("options", [[], ["--bc", "1", "2"]])
def test_a_terminal_is_told_once_why_an_order_failed(
    simulator: Simulator, screen: Screen, options: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    ids = list(simulator.bulk_create(4, 1, spread_days=1))
    simulator.faults.poison(ids[0], code=1, text="ValueError: cannot compute")
    assert sync_on(screen, *options) == 3
    assert seen(screen).count("cannot compute") == 1, seen(screen)
    assert caplog.text.count(f"BC {ids[0]} failed") >= 1


@in_process
def test_with_v_2_a_terminal_shows_every_line(simulator: Simulator, screen: Screen) -> None:
    simulator.bulk_create(3, 1, spread_days=1)
    simulator.faults.fault_all(1, "psycopg2.OperationalError: connection refused")
    assert sync_on(screen, "-v", "2") == 1
    assert "ERROR bc_consumer.reconciliation.run: run " in seen(screen)


@in_process
def test_log_lines_and_rows_stand_above_the_bar(
    simulator: Simulator, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.Bar, "seconds", 0.0)
    monkeypatch.setattr(progress, "BAR_SECONDS", 0.0)
    ids = list(simulator.bulk_create(6, 1, spread_days=10))
    sync()
    simulator.write_order(ids, partner_ref="new")
    logger = logging.getLogger("bc_consumer.test")
    simulator.faults.between_calls(lambda *_: logger.warning("something happened"))
    assert sync_on(screen, "--dry-run", "--full") == 7
    lines = seen(screen).splitlines()
    assert "WARNING bc_consumer.test: something happened" in lines
    assert len([line for line in lines if line.startswith("#")]) == 12
    assert "6 of 6 orders" in screen.getvalue(), "the bar was there"
    assert "of 6 orders" not in seen(screen)
    assert max(map(len, lines)) <= 100


@pytest.mark.slow("plays several whole runs")
@in_process
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("options", [[], ["--bc", "1"], ["--dry-run"]])
def test_a_silent_odoo_is_told_while_it_is_waited_for(
    simulator: Simulator,
    screen: Screen,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    terminal: bool,
) -> None:
    assert odoo_silence_notice.SILENT_SECONDS + odoo_silence_notice.LOOK_SECONDS <= 5
    monkeypatch.setattr(odoo_silence_notice, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(odoo_silence_notice, "LOOK_SECONDS", 0.02)
    simulator.create_order(lines=LINES)
    simulator.faults.latency(0.6)
    words = re.compile(r"Odoo has not answered for \d+ s; waiting up to 30 s")
    if terminal:
        assert sync_on(screen, *options) in {0, 7}
        assert words.search(screen.getvalue())
        assert not words.search(seen(screen)), "it is over"
    else:
        assert len(words.findall(sync(*options).err)) == 1, "not for each call"


# --- dry runs -----------------------------------------------------------------------------------


@pytest.mark.slow("plays whole runs")
@in_process
def test_a_dry_run_without_difference_exits_with_0(simulator: Simulator) -> None:
    simulator.bulk_create(6, 1, spread_days=10)
    sync()
    runs = SyncLog.objects.count()
    for options in (["--dry-run"], ["--dry-run", "--full"]):
        said = sync(*options)
        assert (said.code, said.err) == (0, "")
        assert "No difference" in said.out
    said = sync("--dry-run", "--full", "--json")
    assert said.json == {
        "differences": [], "command": "dry run", "full": True, "compared": 6, "found": 0,
        "orders": 0, "pending": 0, "gone": 0, "unreadable": 0, "run_exit_code": 0, "notes": [],
        "status": "equal", "exit_code": 0, "error": "",
    }  # fmt: skip
    assert SyncLog.objects.count() == runs


@pytest.mark.slow("plays whole runs")
@in_process
def test_a_dry_run_that_finds_differences_exits_with_7(simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(6, 1, spread_days=10))
    sync()
    before = SyncLog.objects.count(), SyncState.objects.values().get()
    had = BC.objects.get(odoo_id=ids[2])
    simulator.write_order(ids[2], partner_ref="new")
    simulator.delete_order(ids[4])
    said = sync("--dry-run")
    assert said.code == 7
    assert "Supplier's reference" in said.out
    assert "order: gone from Odoo" in said.out
    assert "in orders: 2" in said.out
    said = sync("--dry-run", "--json")
    assert (said.code, said.json["status"], said.json["orders"]) == (7, "different", 2)
    (row,) = [row for row in said.json["differences"] if row["field"] == "partner_ref"]
    assert row == {
        "order_id": ids[2],
        "name": had.name,
        "kind": "field",
        "line_id": None,
        "field": "partner_ref",
        "odoo": "new",
        "here": had.partner_ref,
        "pending": False,
    }
    assert (SyncLog.objects.count(), SyncState.objects.values().get()) == before
    assert not PendingBC.objects.exists()
    assert BC.objects.get(odoo_id=ids[2]).partner_ref == had.partner_ref


@in_process
def test_a_dry_run_of_single_orders_compares_them_alone(simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(6, 1, spread_days=10))
    sync()
    simulator.write_order(ids, partner_ref="new")
    said = sync("--dry-run", "--json", "--bc", str(ids[0]), str(ids[1]))
    assert {row["order_id"] for row in said.json["differences"]} == set(ids[:2])
    assert said.json["compared"] == 2


@in_process
def test_a_dry_run_that_odoo_ends_leaves_whole_json(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.BATCH_SIZE = 2
    ids = list(simulator.bulk_create(6, 1, spread_days=10))
    sync()
    BC.objects.filter(odoo_id__in=ids).update(origin="spoilt")
    fetched = 0

    def lose(_model: str, method: str) -> None:
        nonlocal fetched
        fetched += method == "web_search_read"
        if fetched == 2:
            simulator.faults.fault_all(1, "OperationalError: no")

    simulator.faults.between_calls(lose)
    said = sync("--dry-run", "--full", "--json")
    assert (said.code, said.json["status"]) == (1, "failed")
    assert said.json["differences"]
    assert "Odoo could not be asked" in said.json["error"]


# --- single orders ------------------------------------------------------------------------------


@in_process
def test_single_orders_are_brought_at_once_and_told(simulator: Simulator) -> None:
    old, new, same = (simulator.create_order(lines=LINES) for _ in range(3))
    sync("--bc", str(old), str(same))
    simulator.write_order(old, partner_ref="REF-7")
    said = sync("--bc", str(old), str(new), str(same))
    assert said.code == 0
    blocks = re.split(r"\n(?=#)", said.out.rstrip())
    told = dict(block.split(" ", 1) for block in blocks)
    assert told[f"#{old}"].startswith(f"P{old:05}: changed\n")
    assert re.search(r"^    Supplier's reference +— → REF-7$", told[f"#{old}"], re.MULTILINE)
    assert told[f"#{new}"] == f"P{new:05}: created — 1 line"
    assert told[f"#{same}"] == f"P{same:05}: unchanged"
    assert not PendingBC.objects.exists()
    assert not SyncLog.objects.exists()
    entry = JournalEntry.objects.get(odoo_id=new)
    assert entry.causes == "operator"
    said = sync("--json", "--bc", str(same))
    assert said.json == {
        "command": "orders",
        "orders": [
            {"id": same, "name": f"P{same:05}", "outcome": "unchanged", "error": "", "changes": {}}
        ],
        "status": "ok",
        "exit_code": 0,
        "error": "",
    }


@in_process
def test_who_had_single_orders_read_is_recorded(simulator: Simulator) -> None:
    order = simulator.create_order(lines=LINES)
    sync("--bc", str(order))
    sync("--bc", str(order), "--force")
    read, archived = OperatorAction.objects.order_by("pk")
    assert (read.kind, read.parameters, read.asked_by) == (
        "read_again", {"odoo_ids": [order]}, caller_name(),
    )  # fmt: skip
    assert read.outcome == "Read from Odoo: 1, of which unchanged: 0."
    assert [one["outcome"] for one in read.result["orders"]] == ["created"]
    assert (archived.kind, archived.status) == ("archive", "done")


@in_process
def test_a_single_order_that_fails_or_is_none_exits_with_3(
    simulator: Simulator, settings: LazySettings
) -> None:
    settings.MAX_ATTEMPTS = 1
    bad, good = (simulator.create_order(lines=LINES) for _ in range(2))
    simulator.faults.poison(bad, code=1, text="ValueError: cannot compute")
    said = sync("--bc", str(bad), str(good), "--json")
    outcomes = {row["id"]: (row["outcome"], row["error"]) for row in said.json["orders"]}
    assert (said.code, said.json["status"]) == (3, "partial")
    assert outcomes[good] == ("created", "")
    assert outcomes[bad][0] == "failed"
    assert "cannot compute" in outcomes[bad][1]
    said = sync("--bc", "987654")
    assert (said.code, said.out) == (3, "#987654: Odoo has no such order\n")


@in_process
def test_a_single_order_that_the_brake_holds_exits_with_5_until_forced(
    simulator: Simulator,
) -> None:
    ids = list(simulator.bulk_create(5, 1, spread_days=10))
    sync()
    simulator.faults.empty()
    said = sync("--bc", str(ids[0]))
    assert said.code == 5
    assert "held" in said.out
    assert "--force" in said.err
    said = sync("--bc", str(ids[0]), "--force")
    assert (said.code, BC.objects.current().count()) == (0, 4)
    assert "archived" in said.out


@in_process
@pytest.mark.timeout(60)
def test_single_orders_stay_marked_while_odoo_is_away(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    simulator.faults.fault_all(1, "OperationalError: no")
    said = sync("--bc", str(order_id))
    assert said.code == 1
    assert "stay marked" in said.err
    assert PendingBC.objects.get().odoo_id == order_id


@in_process
def test_orders_are_named_by_their_references_too(simulator: Simulator) -> None:
    here, there = (simulator.create_order(lines=LINES) for _ in range(2))
    sync("--bc", f"#{here}")
    said = sync("--bc", f"p{here:05}", f"P{there:05}", str(here), "--json")
    assert [row["id"] for row in said.json["orders"]] == [here, there]
    assert (said.code, said.json["orders"][1]["outcome"]) == (0, "created")
    simulator.write_order([here, there], partner_ref="new")
    said = sync("--dry-run", "--bc", f"P{there:05}", "--json")
    assert {row["order_id"] for row in said.json["differences"]} == {there}


@in_process
@pytest.mark.parametrize("copied", [True, False])
def test_a_reference_of_several_companies_lists_them_and_does_nothing(
    simulator: Simulator, copied: bool
) -> None:
    company = simulator.add_company("Other & Sons")
    one = simulator.create_order(name="P00042", lines=LINES)
    other = simulator.create_order(name="P00042", company_id=company, lines=LINES)
    if copied:
        sync()
    before = JournalEntry.objects.count()
    for options in (["--bc", "P00042"], ["--dry-run", "--bc", "P00042"]):
        said = sync(*options)
        assert said.code == 2
        assert re.search(rf"^  #{one} +P00042  \S", said.err, re.MULTILINE)
        assert re.search(rf"^  #{other} +P00042  Other & Sons$", said.err, re.MULTILINE)
    assert sync("--bc", "P00042", "--json").json["status"] == "usage"
    assert JournalEntry.objects.count() == before
    assert not PendingBC.objects.exists()


@in_process
def test_a_reference_that_nobody_has_is_told_and_does_nothing(simulator: Simulator) -> None:
    order_id = simulator.create_order(lines=LINES)
    said = sync("--bc", str(order_id), "P99999")
    assert (said.code, said.out) == (2, "")
    assert 'No order is called "P99999"' in said.err
    assert not BC.objects.exists()


# --- the lock -----------------------------------------------------------------------------------


@in_process
def test_unlock_says_when_nobody_holds_the_lock() -> None:
    said = sync("--unlock")
    assert (said.code, said.out) == (0, "Nobody holds the lock.\n")
    assert sync("--unlock", "--json").json["held_by"] == ""


@pytest.fixture
def held(request: pytest.FixtureRequest) -> SyncLog:
    """A run that holds the lock."""
    request.getfixturevalue("odoo")
    SyncState.objects.update(
        is_syncing=True, owner="somebody", lease_until=database_now() + timedelta(seconds=40)
    )
    return SyncLog.objects.create(started_at=database_now(), cause=SyncLog.Cause.NIGHTLY)


class Terminal(io.StringIO):
    """A standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


@pytest.mark.slow("plays whole runs")
def test_unlock_asks_nobody_where_nobody_is(held: SyncLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    said = sync("--unlock")
    assert said.code == 2
    assert "--no-input" in said.err
    assert not lock_is_free()


def test_unlock_without_asking_says_who_held_it(held: SyncLog) -> None:
    said = sync("--unlock", "--no-input")
    assert said.code == 0
    assert f"run {held.pk} (nightly, " in said.out
    assert "alive" in said.err
    assert lock_is_free()


@pytest.mark.parametrize(("answer", "code", "free"), [("y\n", 0, True), ("\n", 1, False)])
def test_unlock_asks_first(
    held: SyncLog, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, free: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    said = sync("--unlock")
    assert (said.code, lock_is_free()) == (code, free)


def test_unlock_tells_a_dead_holder_from_a_live_one(held: SyncLog) -> None:
    SyncState.objects.update(lease_until=database_now() - timedelta(seconds=1))
    assert "seems dead" in sync("--unlock", "--no-input", "--json").err


@in_process
def test_stop_says_when_no_run_is_at_work() -> None:
    said = sync("--stop")
    assert (said.code, said.out) == (0, "No run is at work.\n")
    assert sync("--stop", "--json").json["run"] is None


def test_stop_asks_the_run_at_work_and_is_recorded(held: SyncLog) -> None:
    said = sync("--stop")
    assert said.code == 0
    assert said.out.startswith(f"run {held.pk} (nightly, begun at")
    held.refresh_from_db()
    assert held.stop_asked_by.endswith("manage.py)")
    assert not lock_is_free(), "the run itself gives the lock back, in good order"
    record = OperatorAction.objects.get()
    assert (record.kind, record.asked_by) == (OperatorAction.Kind.STOP, held.stop_asked_by)


def test_an_unlock_by_command_is_recorded(held: SyncLog) -> None:
    sync("--unlock", "--no-input")
    record = OperatorAction.objects.get()
    assert (record.kind, record.parameters) == (OperatorAction.Kind.UNLOCK, {"force": True})
    assert f"run {held.pk}" in record.outcome


@in_process
def test_a_stopped_run_exits_as_an_interrupted_one(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEAR_SECONDS", 0.05)
    simulator.create_order(lines=LINES)

    def stop_it(_model: str, _method: str) -> None:
        run_control.ask_to_stop("chief")
        connection.close()

    simulator.faults.between_calls(stop_it)
    simulator.faults.latency(0.2)
    said = sync()
    assert said.code == 130
    assert "stopped by chief" in said.err
    assert "Traceback" not in said.err


# --- as a process, on PostgreSQL ----------------------------------------------------------------


@pytest.fixture
def command(deploy: Deploy) -> Callable[..., tuple[Deployment, subprocess.Popen[str]]]:
    """Start the command as a process, beside no worker and no broker."""

    def start(*arguments: str) -> tuple[Deployment, subprocess.Popen[str]]:
        deployment = deploy(
            rabbitmq_url="",
            settings={
                "ODOO_WEBHOOK_TIMING": "committed", "SYNC_PAGE_SIZE": "100", "LOG_LEVEL": "INFO",
            },
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "manage.py", "sync_BcLinbc", *arguments],
            cwd=ROOT,
            env=deployment.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return deployment, process

    return start


@pytest.mark.slow("interrupts a process in the middle of a first load from a slow Odoo")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_a_first_load_that_is_interrupted_leaves_the_lock_free_and_is_gone_on_with(
    simulator: Simulator,
    command: Callable[..., tuple[Deployment, subprocess.Popen[str]]],
    number: signal.Signals,
) -> None:
    simulator.bulk_create(1500, 2, spread_days=100)
    simulator.faults.latency(1.0)
    deployment, process = command("--json")
    with process:
        deployment.wait_until(
            lambda: deployment.sql("SELECT count(*) FROM bc_consumer_bc")[0][0] > 0,
            what="the load to be under way",
        )
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(out)["status"] == "interrupted"
    assert "the next run continues" in err
    assert "Traceback" not in err
    assert deployment.sql("SELECT is_syncing, last_sync FROM bc_consumer_syncstate") == [
        (False, None)
    ]
    claimed = "SELECT count(*) FROM bc_consumer_pendingbc WHERE claim_token IS NOT NULL"
    assert deployment.sql(claimed) == [(0,)]
    had = deployment.sql("SELECT count(*) FROM bc_consumer_bc")[0][0]
    assert had < 1500
    simulator.faults.clear()
    done = json.loads(deployment.manage("sync_BcLinbc", "--json").stdout)
    assert "continues run 1" in done["run"]["notes"]
    assert differences(simulator, deployment.sql) == []


@pytest.mark.slow("starts a process for each exit code, and PostgreSQL for them")
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_as_a_process_it_gives_the_exit_code_and_plain_lines(
    simulator: Simulator, deploy: Deploy
) -> None:
    simulator.bulk_create(20, 1, spread_days=10)
    deployment = deploy(rabbitmq_url="", settings={"LOG_LEVEL": "INFO", "LANGUAGE_CODE": "fr"})
    assert deployment.manage("sync_BcLinbc", "--since", "never", check=False).returncode == 2
    done = deployment.manage("sync_BcLinbc")
    assert " INFO " not in done.stderr
    deployment.sql("UPDATE bc_consumer_bc SET origin = 'spoilt' WHERE odoo_id = 1")
    dry = deployment.manage("sync_BcLinbc", "--dry-run", "--full", check=False)
    assert dry.returncode == 7
    assert "origin" in dry.stdout
    assert simulator.calls
    simulator.stop()
    lost = deployment.manage("sync_BcLinbc", "--dry-run", check=False)
    assert lost.returncode == 1
    assert "Traceback" not in lost.stderr
