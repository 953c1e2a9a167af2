"""What is old goes, in batches, after each good run; and no run suffers from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.db.models.functions import Now

from bc_consumer.models import JournalEntry, SyncLog, SyncState
from bc_consumer.operations import retention
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator

pytestmark = pytest.mark.usefixtures("odoo")

Status, Cause = SyncLog.Status, SyncLog.Cause


def age(rows: Any, field: str, days: float) -> None:
    rows.update(**{field: Now() - timedelta(days=days)})


@pytest.mark.slow("makes thousands of rows")
@pytest.mark.parametrize("cause", [Cause.NIGHTLY, Cause.COMMAND, Cause.POLL])
def test_journal_and_runs_go_by_their_age_in_batches(
    cause: SyncLog.Cause,
    simulator: Simulator,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "BATCH", 4)
    settings.JOURNAL_DAYS, settings.SYNC_LOG_DAYS = 10, 20
    ids = list(simulator.bulk_create(10, 1, spread_days=5))
    first = reconcile(RunRequest(Cause.COMMAND))
    assert JournalEntry.objects.count() == 10
    age(JournalEntry.objects.filter(odoo_id__in=ids[:9]), "at", 10.1)
    age(JournalEntry.objects.filter(odoo_id=ids[9]), "at", 9.9)
    age(SyncLog.objects.all(), "ended_at", 20.1)
    second = reconcile(RunRequest(cause))
    assert (second.status, second.applied) == (Status.OK, 0)
    assert list(JournalEntry.objects.values_list("odoo_id", flat=True)) == [ids[9]]
    assert list(SyncLog.objects.values_list("pk", flat=True)) == [second.pk]
    assert first.pk != second.pk


def test_a_run_is_good_although_what_is_old_could_not_be_purged(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked() -> None:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(retention, "purge", locked)
    done = reconcile(RunRequest(Cause.NIGHTLY))
    assert (done.status, done.error) == (Status.OK, "")
    assert SyncState.objects.get().last_sync == done.window_until
