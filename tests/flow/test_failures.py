"""Rules 6 and 7 with several worker processes: Odoo away, bad orders, limits of calls."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Mapping

import pytest

from odoo_simulator import Simulator
from odoo_simulator.call_log import Call
from tests.comparing import differences
from tests.harness import Deployment

COMMITTED = {"ODOO_WEBHOOK_TIMING": "committed"}
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "12"))
LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35}]


def tell(deployment: Deployment, ids: list[int]) -> None:
    """Name orders to the webhook, as another program may."""
    for start in range(0, len(ids), 100):
        payload = {"_model": "purchase.order", "ids": ids[start : start + 100]}
        # A busy machine may not keep them in time, and says so.
        deployment.wait_until(lambda: deployment.post(payload).status == 202, what="202")  # noqa: B023


def status(deployment: Deployment) -> Mapping[str, object]:
    figures: Mapping[str, object] = deployment.get("/status.json").json()
    return figures


def wait_copied(deployment: Deployment, odoo: Simulator, ids: list[int], seconds: float) -> None:
    deployment.wait_until(
        lambda: not differences(odoo, deployment.sql, ids), seconds, what=f"{len(ids)} orders"
    )


def attempts(deployment: Deployment) -> int:
    return int(deployment.sql("SELECT COALESCE(SUM(attempts), 0) FROM bc_consumer_pendingbc")[0][0])


@pytest.mark.timeout(300)
@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=2, settings=COMMITTED)
def test_rule_7_two_thousand_orders_wait_for_odoo_without_flooding_it(
    deployment: Deployment, simulator: Simulator
) -> None:
    warm = [simulator.create_order(lines=LINES)]
    wait_copied(deployment, simulator, warm, 20)
    deployment.wait_drained()  # another webhook of that order may have come after its copy
    ids = list(simulator.bulk_create(2000, 2, spread_days=5))
    simulator.faults.http_status(503)
    simulator.calls_clear()
    tell(deployment, ids)
    deployment.wait_until(lambda: status(deployment)["odoo"] == "away", what="the outage")
    time.sleep(OUTAGE_SECONDS)  # what is to be seen is that nothing happens
    calls = len(simulator.calls)
    # One call of each thread that was at work when it began; then 1, 2, 4, 8, 15, 15 … s.
    assert calls <= 10 + 4 + OUTAGE_SECONDS / 15, calls
    assert attempts(deployment) == 0
    assert deployment.owed() == 2000

    simulator.faults.clear()
    wait_copied(deployment, simulator, ids, 60)
    deployment.wait_drained()
    assert status(deployment)["failed"] == 0
    assert status(deployment)["odoo"] == "ok"


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=2, settings=COMMITTED)
def test_rule_7_a_probe_that_is_killed_holds_nobody_up_for_ever(
    deployment: Deployment, simulator: Simulator
) -> None:
    wait_copied(deployment, simulator, [simulator.create_order(lines=LINES)], 20)
    deployment.wait_until(lambda: deployment.pending() == 0, what="the last look at it")
    simulator.faults.silence()
    ids = list(simulator.bulk_create(50, 1))
    deployment.sql(
        "UPDATE bc_consumer_pace SET paused_since = now(), next_claim_at = now(), pause_seconds = 1"
    )
    tell(deployment, ids)
    claimed = "SELECT count(*) FROM bc_consumer_pendingbc WHERE claim_token IS NOT NULL"
    deployment.wait_until(lambda: deployment.sql(claimed)[0][0] == 1, what="the probe")
    for worker in list(deployment.workers):
        worker.kill()
    deployment.workers.clear()
    # What time would do: the lease of the probe and that of its order run out.
    deployment.sql("UPDATE bc_consumer_pace SET next_claim_at = now()")
    deployment.sql("UPDATE bc_consumer_pendingbc SET claimed_until = now()")
    simulator.faults.clear()
    deployment.start_worker()
    wait_copied(deployment, simulator, ids, 30)


@pytest.mark.timeout(200)
@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=2, settings=COMMITTED)
def test_rule_7_odoo_s_database_restarting_for_ten_seconds_fails_no_order(
    deployment: Deployment, simulator: Simulator
) -> None:
    wait_copied(deployment, simulator, [simulator.create_order(lines=LINES)], 20)
    ids = list(simulator.bulk_create(400, 2, spread_days=5))
    simulator.faults.fault_all(1, "psycopg2.OperationalError: the database system is starting up")
    timer = threading.Timer(10.0, simulator.faults.clear)
    timer.start()
    tell(deployment, ids)
    wait_copied(deployment, simulator, ids, 60)
    timer.join()
    journalled = "SELECT count(*) FROM bc_consumer_journalentry WHERE outcome = 'failed'"
    assert deployment.sql(journalled)[0][0] == 0


@pytest.mark.timeout(200)
@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=2, settings=COMMITTED)
def test_rule_6_seven_of_five_hundred_are_bad_and_one_replay_brings_them(
    deployment: Deployment, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(500, 2, spread_days=5))
    bad = poison(simulator, ids)
    good = [odoo_id for odoo_id in ids if odoo_id not in bad]
    tell(deployment, ids)
    wait_copied(deployment, simulator, good, 30)
    deployment.wait_until(lambda: status(deployment)["failed"] == 7, 40, what="seven to fail")
    found = dict(
        deployment.sql("SELECT odoo_id, last_error FROM bc_consumer_pendingbc ORDER BY odoo_id")
    )
    assert found.keys() == bad.keys()
    for odoo_id, word in bad.items():
        assert word in found[odoo_id]

    told = json.loads(deployment.manage("replay", "--all", "--dry-run", "--json").stdout)
    assert sorted(group["count"] for group in told["groups"]) == [1, 1, 2, 3]
    simulator.faults.clear()
    for odoo_id in (ids[0], ids[200]):
        date = {"date_planned": "2026-02-28 10:00:00"}
        simulator.update_sql("purchase.order.line", first_line(simulator, odoo_id), date)
    deployment.manage("replay", "--all", "--yes")
    wait_copied(deployment, simulator, ids, 30)
    deployment.wait_drained()
    assert status(deployment)["failed"] == 0


def first_line(simulator: Simulator, odoo_id: int) -> int:
    order = simulator.order(odoo_id)
    assert order is not None
    return int(order["order_line"][0]["id"])


def poison(simulator: Simulator, ids: list[int]) -> dict[int, str]:
    """Make seven orders bad, of three kinds; return a word of each one's error."""
    for odoo_id in (ids[7], ids[8], ids[400]):
        simulator.faults.poison(odoo_id, text="ValueError: cannot compute the amount")
    for odoo_id in (ids[0], ids[200]):
        line = first_line(simulator, odoo_id)
        simulator.update_sql("purchase.order.line", line, {"date_planned": "2026-02-30 10:00:00"})
    simulator.faults.poison(ids[499], code=4, text="You are not allowed to access this")
    simulator.faults.forbid([ids[300]])
    words = dict.fromkeys((ids[7], ids[8], ids[400]), "cannot compute the amount")
    words |= dict.fromkeys((ids[0], ids[200]), "date_planned")
    return words | {ids[499]: "not allowed", ids[300]: "record rules"}


def most_at_once(calls: list[Call]) -> int:
    moments = [(call.at, 1) for call in calls] + [(call.at + call.seconds, -1) for call in calls]
    return max(itertools.accumulate(step for _at, step in sorted(moments)))


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(
    workers=3, settings=COMMITTED | {"ODOO_CONCURRENT_CALLS": "2", "BATCH_SIZE": "10"}
)
def test_all_workers_together_make_no_more_calls_at_once_than_allowed(
    deployment: Deployment, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(400, 1))
    simulator.faults.latency(0.1)
    tell(deployment, ids)
    wait_copied(deployment, simulator, ids, 40)
    assert most_at_once(simulator.calls) == 2


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(
    workers=3, settings=COMMITTED | {"ODOO_CALLS_PER_SECOND": "4", "BATCH_SIZE": "20"}
)
def test_all_workers_together_begin_no_more_calls_a_second_than_allowed(
    deployment: Deployment, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(200, 1))
    told = time.time()
    tell(deployment, ids)
    wait_copied(deployment, simulator, ids, 40)
    began = sorted(call.at for call in simulator.calls if call.at > told)
    assert len(began) >= 10
    # The moments are kept here; on its way a call may be held up for any time, and arrive late.
    for number, at in enumerate(began):
        assert at - told > number * 0.25 - 0.05
