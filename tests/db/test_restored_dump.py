"""The copy's database was restored from an older dump."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection

from bc_consumer.models import SyncLog
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator
from tests.comparing import differences

pytestmark = pytest.mark.usefixtures("odoo")

LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35}]


def sql(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


@pytest.mark.slow("plays several whole runs")
def test_the_next_run_brings_everything_since(simulator: Simulator, tmp_path: Path) -> None:
    ids = list(simulator.bulk_create(30, 2, spread_days=300))
    reconcile(RunRequest(SyncLog.Cause.NIGHTLY))
    dump = tmp_path / "dump.json"
    call_command("dumpdata", "bc_consumer", output=str(dump), verbosity=0)
    simulator.write_order(ids[3], partner_ref="since")
    simulator.delete_order(ids[:2])
    simulator.create_order(lines=LINES)
    reconcile(RunRequest(SyncLog.Cause.NIGHTLY))
    assert differences(simulator, sql) == []
    for model in reversed(list(apps.get_app_config("bc_consumer").get_models())):
        model._default_manager.all().delete()
    call_command("loaddata", str(dump), verbosity=0)
    assert len(differences(simulator, sql)) >= 4
    done = reconcile(RunRequest(SyncLog.Cause.NIGHTLY))
    assert done.status == SyncLog.Status.OK, done.error
    assert differences(simulator, sql) == []
