"""The scrub: content that changed under the same date is found, healed and counted, in time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection
from django.db.models import F
from django.utils import timezone

from bc_consumer import ledger
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import BC, Alert, BCLine, JournalEntry, Lane, PendingBC, SyncLog, SyncState
from bc_consumer.reconciliation import scrub
from bc_consumer.reconciliation.run import reconcile, reconcile_slice
from bc_consumer.reconciliation.run_record import summary
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.conftest import refresh
from tests.db.copied import pending
from tests.db.test_sync_command import sync

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause
DAY = timedelta(days=1)
LONG_AGO = "2020-01-05 06:00:00"


@pytest.fixture(autouse=True)
def _mailed(settings: LazySettings) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]


@pytest.fixture
def load(simulator: Simulator) -> Callable[[int], list[int]]:
    """Have so many orders, last written more than a hundred days ago, and load them.

    So were the records that they name: else the phases of names find those anew each night.
    """

    def loaded(count: int) -> list[int]:
        for model, table in simulator.store.tables.items():
            if "write_date" in table.model.fields:
                simulator.update_sql(model, sorted(table.ids()), {"write_date": LONG_AGO})
        simulator.store.clock_offset = -200 * 86_400.0
        ids = list(simulator.bulk_create(count, 2, spread_days=100))
        simulator.store.clock_offset = 0.0
        assert reconcile(RunRequest(Cause.COMMAND)).status == Status.OK
        return ids

    return loaded


def days_later(days: float = 1) -> None:
    """As if everything here had happened so many nights before.

    A run begins its nights at the same time, and reads a while after that: less than a day lies
    between what one has read and the beginning of the next.
    """
    back = timedelta(days=days) - timedelta(minutes=1)
    SyncLog.objects.update(started_at=F("started_at") - back, ended_at=F("ended_at") - back)
    SyncState.objects.update(last_sync=F("last_sync") - back)
    BC.objects.update(synced_at=F("synced_at") - back)


def night(**wish: Any) -> SyncLog:
    days_later()
    return run(**wish)


def run(**wish: Any) -> SyncLog:
    done = reconcile(RunRequest(**{"cause": Cause.NIGHTLY, **wish}))
    assert done.status == Status.OK, done.error
    return done


def oldest() -> timedelta:
    """Return how long ago a current order was confirmed, at most."""
    moments = BC.objects.current().values_list("synced_at", flat=True)
    return database_now() - min(moment for moment in moments if moment is not None)


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def line_ids(odoo: Simulator, order_id: int) -> list[int]:
    order = odoo.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


def move_by_sql(odoo: Simulator, line: int, to: int) -> None:
    """Move a line to another order, and leave all dates as they are."""
    ids = {"purchase.order.line": [line], "purchase.order": odoo.order_ids()}
    dates = {
        (model, one): odoo.store.get(model, one)["write_date"]  # type: ignore[index]
        for model, some in ids.items()
        for one in some
    }
    odoo.move_line(line, to)
    for (model, one), write_date in dates.items():
        odoo.update_sql(model, one, {"write_date": write_date})


@pytest.mark.slow("plays several whole runs")
def test_each_order_is_looked_at_within_so_many_days_whichever_way_it_differs(
    load: Callable[[int], list[int]], simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS, settings.PUBLIC_URL = 5, "https://copy.example.com"
    ids = load(23)
    # By SQL in Odoo.
    simulator.update_sql("purchase.order", ids[0], {"partner_ref": "by SQL", "origin": "by SQL"})
    simulator.update_sql("purchase.order", ids[9], {"partner_id": 3})
    line = line_ids(simulator, ids[22])[1]
    simulator.update_sql("purchase.order.line", line, {"name": "by SQL", "price_unit": 1.5})
    # By a hand in the copy's tables.
    BC.objects.filter(odoo_id=ids[3]).update(name="BY HAND")
    BC.objects.filter(odoo_id=ids[14]).update(amount_total=0, notes="by hand")
    BCLine.objects.filter(bc__odoo_id=ids[18]).update(product_qty=99)
    BC.objects.filter(odoo_id=ids[20]).update(partner_name="a name by hand")
    # Properly, without a webhook; and by a renaming, which moves no order's date.
    simulator.write_order(ids[5], partner_ref="properly")
    simulator.write_line(line_ids(simulator, ids[6])[0], name="properly")
    simulator.rename("res.partner", 2, "Renamed & Sons")
    nights = [night() for _ in range(5)]
    assert [one.scrubbed for one in nights] == [5] * 5
    assert sum(one.same_date for one in nights) == 7
    assert differences(simulator, sql) == []
    assert not BC.objects.filter(synced_at__lt=database_now() - 5 * DAY).exists()
    assert not BC.objects.filter(partner_name="a name by hand").exists()
    assert sum(one.missed_by_webhooks for one in nights) == 2
    later = [night() for _ in range(3)]
    assert [(one.scrubbed, one.same_date, one.applied) for one in later] == [(5, 0, 0)] * 3


@pytest.mark.slow("plays whole runs")
def test_the_longest_unconfirmed_come_first_and_never_confirmed_ones_before(
    load: Callable[[int], list[int]], settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 10
    ids = load(30)
    refresh(ids[0])
    BC.objects.filter(odoo_id=ids[7]).update(synced_at=None)
    BC.objects.filter(odoo_id=ids[9]).update(synced_at=F("synced_at") - 3 * DAY)
    BC.objects.filter(odoo_id=ids[8]).update(synced_at=F("synced_at") - 2 * DAY)
    days_later()
    before = database_now()
    assert run().scrubbed == 3
    seen = BC.objects.filter(synced_at__gte=before).values_list("odoo_id", flat=True)
    assert sorted(seen) == ids[7:10]


@pytest.mark.slow("plays several whole runs")
def test_nights_that_were_missed_are_caught_up_by_larger_shares(
    load: Callable[[int], list[int]], settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 10
    load(60)
    days_later(40)
    assert [run().scrubbed, run().scrubbed] == [24, 0], "four shares a night at most"
    assert [night().scrubbed for _ in range(3)] == [24, 12, 6]


@pytest.mark.slow("plays several whole runs")
def test_none_gets_older_when_others_are_deleted(
    load: Callable[[int], list[int]], settings: LazySettings, simulator: Simulator
) -> None:
    settings.SYNC_SCRUB_DAYS = 4
    load(40)
    assert [night().scrubbed for _ in range(3)] == [10] * 3
    fresh = BC.objects.filter(synced_at__gt=database_now() - 2.5 * DAY)
    simulator.delete_order(sorted(fresh.values_list("odoo_id", flat=True))[:20])
    nights = []
    for _ in range(4):
        days_later()
        assert oldest() < 4 * DAY
        nights.append(run().scrubbed)
    assert nights == [10, 5, 5, 5]


@pytest.mark.slow("plays several whole runs")
def test_a_night_that_fails_makes_orders_one_night_late_and_no_more(
    load: Callable[[int], list[int]], settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 4
    load(20)
    ages, nights = [], []
    for number in range(10):
        days_later()
        ages.append(round(oldest() / DAY))
        nights.append(0 if number == 3 else run().scrubbed)
    assert nights == [5, 5, 5, 0, 10, 5, 5, 5, 5, 5]
    assert ages[:6] == [1, 2, 3, 4, 5, 4]
    assert max(ages[6:]) == 4


@pytest.mark.slow("plays several whole runs")
def test_where_a_day_is_the_period_each_night_reads_all_whoever_read_it_before(
    load: Callable[[int], list[int]], settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 1
    load(5)
    days_later(1 / 24)
    assert run(cause=Cause.COMMAND).scrubbed == 5
    days_later(2 / 24)
    assert run().scrubbed == 5
    settings.SYNC_SCRUB_DAYS = 2
    days_later(1 / 24)
    assert run().scrubbed == 0, "else it can wait until it is older"


@pytest.mark.slow("plays several whole runs")
def test_what_the_clock_left_in_the_future_is_read_and_hinders_nothing(
    load: Callable[[int], list[int]], settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 3
    ids = load(9)
    days_later()
    BC.objects.filter(odoo_id=ids[8]).update(synced_at=database_now() + 5 * DAY)
    SyncLog.objects.create(
        started_at=database_now() + DAY / 8, cause=Cause.NIGHTLY, status=Status.OK, scrubbed=9
    )
    assert run().scrubbed == 3
    seen = BC.objects.get(odoo_id=ids[8]).synced_at
    assert seen is not None
    assert seen <= database_now()
    assert [night().scrubbed for _ in range(2)] == [3, 3]
    assert oldest() < 3 * DAY


@pytest.mark.slow("plays whole runs")
def test_a_full_run_that_was_interrupted_is_nobody_s_share(
    load: Callable[[int], list[int]], settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 3
    load(9)
    days_later()
    SyncLog.objects.create(
        started_at=database_now() - DAY / 24, cause=Cause.COMMAND, status=Status.FAILED,
        full=True, scrubbed=9,
    )  # fmt: skip
    assert run().scrubbed == 3


@pytest.mark.slow("plays several whole runs")
def test_a_first_load_needs_none_nor_does_another_run_of_the_same_night(
    load: Callable[[int], list[int]], settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 3
    load(9)
    assert SyncLog.objects.get().scrubbed == 0
    assert run().scrubbed == 0, "all of it was read a moment ago"
    assert night(cause=Cause.COMMAND).scrubbed == 3
    assert run(cause=Cause.COMMAND).scrubbed == 0
    assert run().scrubbed == 0
    assert night().scrubbed == 3


@pytest.mark.slow("plays several whole runs")
def test_neither_polls_nor_scans_have_it_and_0_days_mean_none(
    load: Callable[[int], list[int]], settings: LazySettings, simulator: Simulator
) -> None:
    settings.SYNC_SCRUB_DAYS = 3
    ids = load(9)
    simulator.update_sql("purchase.order", ids, {"partner_ref": "by SQL"})
    for wish in ({"digest": False}, {"asked_for": True}, {}):
        assert night(cause=Cause.POLL, **wish).scrubbed == 0
    settings.SYNC_SCRUB_DAYS = 0
    assert night().scrubbed == 0
    assert BC.objects.filter(partner_ref="by SQL").count() == 0


@pytest.mark.slow("plays several whole runs")
def test_it_goes_on_in_the_next_slice_page_by_page(
    load: Callable[[int], list[int]], settings: LazySettings, simulator: Simulator
) -> None:
    settings.SYNC_SCRUB_DAYS = 2
    ids = load(40)
    simulator.update_sql("purchase.order", ids, {"partner_ref": "by SQL"})
    days_later()
    settings.SYNC_PAGE_SIZE, settings.SYNC_SLICE_SECONDS = 6, 0.001
    settings.SYNC_NIGHTLY_AT = timezone.localtime(database_now() - timedelta(minutes=5)).time()
    slices, going = 1, reconcile_slice(None)
    while going is not None:
        slices, going = slices + 1, reconcile_slice(going)
    done = SyncLog.objects.order_by("-id")[0]
    assert slices > 4
    assert (done.status, done.scrubbed, done.same_date) == (Status.OK, 20, 20)


def test_what_waits_in_the_ledger_is_left_to_it(
    load: Callable[[int], list[int]], settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 1
    ids = load(4)
    BC.objects.filter(odoo_id=ids[0]).update(archived_at=database_now())
    BC.objects.filter(odoo_id=ids[1]).update(forbidden_at=database_now())
    days_later()
    pending(ids[2], due_at=database_now() + DAY, run_id=None)
    run_ = SyncLog(started_at=database_now(), cause=Cause.NIGHTLY)
    assert scrub.next_page(run_) == [ids[3]]


@pytest.mark.slow("plays whole runs")
def test_a_second_change_within_the_same_second_is_no_such_difference(
    simulator: Simulator, settings: LazySettings
) -> None:
    """That is what Odoo's dates are like; the window reads such orders again by itself."""
    settings.SYNC_SCRUB_DAYS = 1
    order_id = simulator.create_order(lines=[], partner_ref="first")
    run(cause=Cause.COMMAND)
    settings.SYNC_OVERLAP_SECONDS = 600  # the window does not show it
    written = database_now().replace(microsecond=0) - DAY / 24
    second = {"write_date": f"{written:%Y-%m-%d %H:%M:%S}", "partner_ref": "second"}
    simulator.update_sql("purchase.order", order_id, second)
    BC.objects.update(write_date=written, synced_at=written + timedelta(seconds=2))
    done = run()
    assert (done.scrubbed, done.applied, done.same_date) == (1, 1, 0)


@pytest.mark.slow("plays whole runs")
def test_an_older_mapping_is_no_such_difference(
    load: Callable[[int], list[int]], settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 1
    ids = load(3)
    BC.objects.filter(odoo_id=ids[0]).update(mapping_version=0, origin="")
    days_later()
    ledger.mark(ids[:1], ledger.Mark(cause="scrub", lane=Lane.BULK))
    done = run()
    assert done.same_date == 0
    assert not PendingBC.objects.exists()


@pytest.mark.slow("plays several whole runs")
def test_a_full_run_is_a_scrub_of_everything(
    load: Callable[[int], list[int]], settings: LazySettings, simulator: Simulator
) -> None:
    ids = load(12)
    simulator.update_sql("purchase.order", ids[:2], {"partner_ref": "by SQL"})
    simulator.write_order(ids[5], partner_ref="properly")
    days_later()
    done = run(full=True)
    assert (done.scrubbed, done.same_date, done.applied) == (11, 2, 3)
    assert night().scrubbed == 1, "all were read, so the next night has its own share alone"


@pytest.mark.slow("plays whole runs")
def test_a_full_run_finds_a_line_whose_date_has_moved_without_listing_lines(
    load: Callable[[int], list[int]], simulator: Simulator
) -> None:
    ids = load(6)
    days_later()
    line = line_ids(simulator, ids[1])[0]
    # On the same day: the digest would count a line under another one.
    before = BCLine.objects.get(odoo_id=line).write_date
    assert before is not None
    moment = f"{before.replace(minute=(before.minute + 1) % 60):%Y-%m-%d %H:%M:%S}"
    simulator.update_sql(
        "purchase.order.line", [line], {"name": "another text", "write_date": moment}
    )
    BCLine.objects.filter(odoo_id=line_ids(simulator, ids[2])[0]).update(name="by hand")
    done = run(full=True)
    assert (done.applied, done.found_by_window, done.same_date) == (2, 1, 1)
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays whole runs")
def test_a_full_run_counts_nothing_that_ids_and_names_tell(
    load: Callable[[int], list[int]], simulator: Simulator, settings: LazySettings
) -> None:
    settings.PUBLIC_URL = "https://copy.example.com"
    ids = load(12)
    BC.objects.filter(odoo_id=ids[1]).update(partner_name="by hand", partner_id=None)
    BC.objects.filter(odoo_id=ids[2]).update(partner_name="by hand")
    before = BC.objects.exclude(odoo_id__in=ids[1:3]).filter(partner_id=2)
    simulator.rename("res.partner", 2, "Renamed & Sons")
    renamed = before.count()
    assert renamed
    simulator.delete_line(line_ids(simulator, ids[4])[:1])
    order = simulator.order(ids[4])
    assert order is not None
    ours = BC.objects.get(odoo_id=ids[4])
    old = {"write_date": f"{ours.write_date:%Y-%m-%d %H:%M:%S}"}
    simulator.update_sql("purchase.order", ids[4], old)
    days_later()
    done = run(full=True)
    assert (done.same_date, done.missed_by_webhooks) == (2, 1)
    assert done.found_by_digest == 1
    assert done.found_by_names >= renamed
    assert differences(simulator, sql) == []


@pytest.mark.slow("plays whole runs")
def test_names_and_lines_under_the_same_dates_count_and_no_webhook_missed_them(
    load: Callable[[int], list[int]], settings: LazySettings, simulator: Simulator
) -> None:
    settings.SYNC_SCRUB_DAYS = 1
    ids = load(12)
    BC.objects.filter(odoo_id=ids[0]).update(partner_name="by hand")
    first = {odoo_id: line_ids(simulator, odoo_id)[0] for odoo_id in ids}
    BCLine.objects.filter(odoo_id=first[ids[1]]).update(product_name="by hand")
    BCLine.objects.filter(odoo_id=first[ids[2]]).update(taxes=[{"id": 1, "name": "by hand"}])
    # No count of any day tells of these.
    move_by_sql(simulator, first[ids[3]], ids[4])
    BCLine.objects.filter(odoo_id=first[ids[5]]).update(bc=BC.objects.get(odoo_id=ids[6]))
    done = night()
    assert (done.found_by_window, done.found_by_digest, done.found_by_names) == (0, 0, 0)
    assert (done.applied, done.same_date, done.missed_by_webhooks) == (7, 7, 0)
    assert differences(simulator, sql) == []


def test_what_another_cause_tells_of_as_well_is_no_such_difference(
    load: Callable[[int], list[int]], settings: LazySettings, simulator: Simulator
) -> None:
    settings.SYNC_SCRUB_DAYS = 1
    ids = load(4)
    simulator.update_sql("purchase.order", ids[:2], {"partner_ref": "by SQL"})
    days_later()
    done = SyncLog.objects.create(
        started_at=database_now(), cause=Cause.NIGHTLY, window_since=database_now()
    )
    ledger.mark(ids, ledger.Mark(cause=ledger.SCRUB, lane=Lane.BULK, run=done.pk))
    refresh(ids[0])
    done.refresh_from_db()
    assert (done.applied, done.same_date, done.missed_by_webhooks) == (2, 1, 0)


@pytest.mark.slow("plays several whole runs")
def test_a_dry_run_foretells_the_scrub(
    load: Callable[[int], list[int]], settings: LazySettings, simulator: Simulator
) -> None:
    settings.SYNC_SCRUB_DAYS, settings.MAX_ATTEMPTS = 3, 1
    ids = load(9)
    BC.objects.filter(odoo_id=ids[7]).update(partner_ref="by hand")
    BC.objects.filter(odoo_id__in=ids[6:]).update(synced_at=F("synced_at") - DAY)
    simulator.faults.poison(ids[8], code=1, text="ValueError: cannot compute")
    days_later()
    dry = sync("--dry-run", "--json")
    assert (dry.code, dry.json["run_exit_code"], dry.json["unreadable"]) == (7, 3, 1)
    assert dry.json["compared"] == 3
    assert [(one["order_id"], one["field"]) for one in dry.json["differences"]] == [
        (ids[7], "partner_ref"), (ids[8], ""),
    ]  # fmt: skip
    assert "exit code 3" in sync("--dry-run").out
    assert not PendingBC.objects.exists()
    settings.SYNC_SCRUB_DAYS = 0
    without = sync("--dry-run", "--json")
    assert (without.code, without.json["compared"], without.json["run_exit_code"]) == (0, 0, 0)
    settings.SYNC_SCRUB_DAYS = 3
    done = sync("--json")
    assert done.code == 3
    assert (done.json["run"]["scrubbed"], done.json["run"]["same_date"]) == (3, 1)
    assert sync("--dry-run", "--json").json["run_exit_code"] == 3, "it is tried again"


@pytest.mark.slow("plays several whole runs")
def test_a_dry_run_compares_what_a_run_reads_and_no_more(
    load: Callable[[int], list[int]], settings: LazySettings, simulator: Simulator
) -> None:
    """What other phases find is fresh by the time of the scrub, and no share of its."""
    settings.SYNC_SCRUB_DAYS = 6
    ids = load(24)
    assert [night().scrubbed for _ in range(2)] == [4, 4]
    BC.objects.filter(odoo_id__in=ids[12:22]).update(synced_at=F("synced_at") - 4 * DAY)
    simulator.write_order(ids[12:19], partner_ref="by a webhook that was lost")
    days_later()
    dry = sync("--dry-run", "--json")
    done = sync("--json")
    assert done.json["run"]["scrubbed"] == 4
    assert dry.json["compared"] == done.json["run"]["bc_count"] == 11


def test_a_full_dry_run_and_one_of_single_orders_have_no_share_of_their_own(
    load: Callable[[int], list[int]], settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 3
    ids = load(9)
    days_later()
    assert sync("--dry-run", "--full", "--json").json["compared"] == 9
    assert sync("--dry-run", "--bc", str(ids[0]), "--json").json["compared"] == 1


@pytest.mark.slow("plays several whole runs")
def test_what_it_found_is_told_until_a_night_finds_nothing(
    load: Callable[[int], list[int]], settings: LazySettings, simulator: Simulator
) -> None:
    settings.SYNC_SCRUB_DAYS = 1
    ids = load(6)
    assert night().same_date == 0
    assert mail.outbox == []
    BC.objects.filter(odoo_id=ids[1]).update(partner_ref="by hand")
    found = night()
    assert found.same_date == 1
    assert "1 difference under the same date" in summary(found)
    (told,) = mail.outbox
    assert told.subject == "[BC] 1 order differed under the same date"
    assert "put right" in told.body
    entry = JournalEntry.objects.get(run=found)
    assert (entry.odoo_id, entry.causes) == (ids[1], "scrub")
    assert night().same_date == 0
    assert not Alert.objects.exists()
