"""The scrub as it is run: by the scheduler, workers, and the command, in compressed time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import Deployment

NIGHTS = 3
# Nights begin a day after each other, and read a while after that: here, minutes are but seconds.
DAY = "interval '23 hours 55 minutes'"
A_DAY_LATER = (
    f"UPDATE bc_consumer_bc SET synced_at = synced_at - {DAY}",
    f"UPDATE bc_consumer_syncstate SET last_sync = last_sync - {DAY}",
    f"UPDATE bc_consumer_synclog SET started_at = started_at - {DAY}",
)
NIGHTLY = "SELECT status, scrubbed, same_date FROM bc_consumer_synclog WHERE cause = 'nightly'"


def night(deployment: Deployment) -> tuple[str, int, int]:
    """Let a day pass, and give what the nightly run that is due by then came to."""
    before = len(deployment.sql(NIGHTLY))
    for statement in A_DAY_LATER:
        deployment.sql(statement)
    ended = f"{NIGHTLY} AND status <> 'running' ORDER BY id DESC LIMIT 1"
    deployment.wait_until(
        lambda: len(deployment.sql(NIGHTLY + " AND status <> 'running'")) > before,
        60,
        what="the nightly run",
    )
    ((status, scrubbed, same_date),) = deployment.sql(ended)
    return status, scrubbed, same_date


@pytest.mark.timeout(300)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_sql_in_odoo_and_hands_in_the_copy_are_healed_within_the_scrub_s_nights_and_counted(
    deploy: Deploy, simulator: Simulator
) -> None:
    simulator.store.clock_offset = -200 * 86_400.0
    ids = list(simulator.bulk_create(60, 2, spread_days=100))
    simulator.store.clock_offset = 0.0
    at = (datetime.now(UTC) - timedelta(minutes=2)).strftime("%H:%M")
    deployment = deploy(
        settings={
            "ODOO_WEBHOOK_TIMING": "committed",
            "SYNC_NIGHTLY_AT": at,
            "SYNC_SCRUB_DAYS": f"{NIGHTS}",
        }
    )
    deployment.manage("sync_BcLinbc")
    simulator.update_sql("purchase.order", ids[:3], {"partner_ref": "by SQL"})
    hand = "UPDATE bc_consumer_bc SET name = 'BY HAND', amount_total = 1 WHERE odoo_id = %s"
    deployment.sql(hand, ids[30])
    deployment.sql(
        "UPDATE bc_consumer_bcline SET price_unit = 0, name = 'by hand' WHERE bc_id ="
        " (SELECT id FROM bc_consumer_bc WHERE odoo_id = %s)",
        ids[59],
    )
    deployment.start(workers=2, web=False)
    deployment.wait_until(
        lambda: deployment.sql(NIGHTLY) and deployment.sql(NIGHTLY)[0][0] == "ok",
        60,
        what="the night of the load, which has none of it",
    )
    simulator.write_order(ids[12], partner_ref="properly, and no webhook told")
    nights = [night(deployment) for _ in range(NIGHTS)]
    assert [one[:2] for one in nights] == [("ok", 20)] * NIGHTS
    assert sum(one[2] for one in nights) == 5
    assert differences(simulator, deployment.sql) == []

    deployment.close()
    for statement in A_DAY_LATER:
        deployment.sql(statement)
    deployment.sql(hand, ids[0])
    oldest = (
        "UPDATE bc_consumer_bc SET synced_at = synced_at - interval '9 days' WHERE odoo_id = %s"
    )
    deployment.sql(oldest, ids[0])
    told = json.loads(deployment.manage("sync_BcLinbc", "--json").stdout)
    assert (told["run"]["scrubbed"], told["run"]["same_date"]) == (20, 1)
    alert = deployment.sql("SELECT subject FROM bc_consumer_alert WHERE key = 'same date'")
    assert alert == [("1 order differed under the same date",)]
