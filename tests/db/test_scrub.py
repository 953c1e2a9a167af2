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

from bc_consumer import ledger, scrub
from bc_consumer.database_clock import database_now
from bc_consumer.models import BC, Alert, BCLine, JournalEntry, Lane, PendingBC, SyncLog, SyncState
from bc_consumer.reconcile import reconcile, reconcile_slice
from bc_consumer.run_beginning import Wish
from bc_consumer.run_ending import summary
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.conftest import refresh
from tests.db.copied import pending

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _mailed(settings: LazySettings) -> None:
    settings.ALERT_EMAILS = ["ops@example.com"]


@pytest.fixture
def load(simulator: Simulator) -> Callable[[int], list[int]]:
    """Have so many orders, last written more than a hundred days ago, and load them."""

    def loaded(count: int) -> list[int]:
        simulator.store.clock_offset = -200 * 86_400.0
        ids = list(simulator.bulk_create(count, 2, spread_days=100))
        simulator.store.clock_offset = 0.0
        assert reconcile(Wish(Cause.COMMAND)).status == Status.OK
        return ids

    return loaded


def days_later(days: float = 1) -> None:
    """As if everything here had happened so many days before."""
    back = timedelta(days=days)
    SyncLog.objects.update(started_at=F("started_at") - back, ended_at=F("ended_at") - back)
    SyncState.objects.update(last_sync=F("last_sync") - back)
    BC.objects.update(synced_at=F("synced_at") - back)


def night(**wish: Any) -> SyncLog:
    days_later()
    return run(**wish)


def run(**wish: Any) -> SyncLog:
    done = reconcile(Wish(**{"cause": Cause.NIGHTLY, **wish}))
    assert done.status == Status.OK, done.error
    return done


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def line_ids(odoo: Simulator, order_id: int) -> list[int]:
    order = odoo.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


def test_each_order_is_looked_at_within_so_many_days_whichever_way_it_differs(
    load: Callable[[int], list[int]], simulator: Simulator, settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 5
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
    # Properly, without a webhook; and names, whose renaming moves no date.
    simulator.write_order(ids[5], partner_ref="properly")
    simulator.write_line(line_ids(simulator, ids[6])[0], name="properly")
    simulator.rename("res.partner", 2, "Renamed & Sons")
    BC.objects.filter(odoo_id=ids[20]).update(partner_name="a grandparent's older name")
    nights = [night() for _ in range(5)]
    assert [one.scrubbed for one in nights] == [5] * 5
    assert sum(one.same_date for one in nights) == 6
    assert differences(simulator, sql) == []
    assert not BC.objects.filter(synced_at__lt=database_now() - 5 * DAY).exists()
    assert not BC.objects.filter(partner_name="a grandparent's older name").exists()
    assert sum(one.missed_by_webhooks for one in nights) == 2
    later = [night() for _ in range(3)]
    assert [(one.scrubbed, one.same_date, one.applied) for one in later] == [(5, 0, 0)] * 3


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


def test_nights_that_were_missed_are_caught_up_by_larger_shares(
    load: Callable[[int], list[int]], settings: LazySettings
) -> None:
    settings.SYNC_SCRUB_DAYS = 10
    load(60)
    days_later(40)
    assert [run().scrubbed, run().scrubbed] == [24, 0], "four shares a night at most"
    assert [night().scrubbed for _ in range(3)] == [24, 12, 6]


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


def test_a_second_change_within_the_same_second_is_no_such_difference(
    simulator: Simulator, settings: LazySettings
) -> None:
    """That is what Odoo's dates are like; the window reads such orders again by itself."""
    settings.SYNC_SCRUB_DAYS = 1
    order_id = simulator.create_order(lines=[], partner_ref="first")
    run(cause=Cause.COMMAND)
    simulator.update_sql("purchase.order", order_id, {"partner_ref": "second"})
    SyncState.objects.update(last_sync=F("last_sync") + DAY)  # the window does not show it
    BC.objects.update(synced_at=F("write_date") + timedelta(seconds=2))
    SyncLog.objects.update(started_at=F("started_at") - DAY)
    BC.objects.update(synced_at=F("synced_at") - DAY)
    done = run()
    assert (done.scrubbed, done.applied, done.same_date) == (1, 1, 0)


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
