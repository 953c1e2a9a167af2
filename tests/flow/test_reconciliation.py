"""The reconciliation as it is run: real PostgreSQL and RabbitMQ, several processes."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import ROOT, Deployment

COMMITTED = {"ODOO_WEBHOOK_TIMING": "committed"}
LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35},
    {"name": "Gift", "product_qty": 1, "price_unit": 0.0},
]


def line_ids(odoo: Simulator, order_id: int) -> list[int]:
    order = odoo.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


def last_run(deployment: Deployment) -> dict[str, object]:
    names = (
        "status", "bc_count", "applied", "archived", "gone", "found_by_window", "found_by_digest",
        "odoo_calls", "error_count", "error",
    )  # fmt: skip
    (row,) = deployment.sql(
        f"SELECT {', '.join(names)} FROM bc_consumer_synclog WHERE cause <> 'poll'"
        " ORDER BY id DESC LIMIT 1"
    )
    return dict(zip(names, row, strict=True))


@pytest.mark.timeout(900)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_ten_thousand_orders_loaded_then_a_quiet_night_then_a_bad_one(
    deploy: Deploy, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(10_000, 5, spread_days=700))
    # By JSON-RPC: by XML-RPC most of the time would go into reading XML, which other tests do.
    deployment = deploy(settings=COMMITTED | {"ODOO_TRANSPORT": "jsonrpc"})
    deployment.manage("sync_BcLinbc", seconds=600)
    assert deployment.sql("SELECT count(*) FROM bc_consumer_bc") == [(10_000,)]
    assert deployment.sql("SELECT count(*) FROM bc_consumer_bcline") == [(50_000,)]
    assert last_run(deployment)["status"] == "ok"

    simulator.calls_clear()
    deployment.manage("sync_BcLinbc")
    assert len(simulator.calls) <= 25, [(c.model, c.method) for c in simulator.calls]
    assert last_run(deployment)["applied"] == 0

    for order_id in ids[:100]:
        simulator.write_order(order_id, partner_ref=f"changed {order_id}")
    for order_id in ids[200:220]:
        simulator.delete_line(line_ids(simulator, order_id)[0])
    simulator.delete_order(ids[300:310])
    old = datetime.now(UTC) - timedelta(days=30)
    for order_id in ids[400:405]:
        simulator.write_order(order_id, partner_ref="unnoticed")
        simulator.update_sql(
            "purchase.order", order_id, {"write_date": old.strftime("%Y-%m-%d %H:%M:%S.%f")}
        )
    deployment.manage("sync_BcLinbc")
    run = last_run(deployment)
    assert (run["status"], run["archived"], run["gone"]) == ("ok", 10, 10)
    assert run["applied"] == 135
    assert differences(simulator, deployment.sql) == []
    dry = deployment.manage("sync_BcLinbc", "--dry-run", check=False)
    assert dry.returncode == 0, dry.stdout
    simulator.update_sql("purchase.order", ids[500], {"partner_ref": "drifted"})
    dry = deployment.manage("sync_BcLinbc", "--dry-run", "--full", check=False, seconds=300)
    assert dry.returncode == 7
    assert "drifted" in dry.stdout


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_the_scheduler_hands_the_nightly_run_to_the_workers(
    deploy: Deploy, simulator: Simulator
) -> None:
    simulator.bulk_create(500, 2, spread_days=100)
    deployment = deploy(
        settings=COMMITTED | {"SYNC_NIGHTLY_AT": "00:00", "SYNC_SLICE_SECONDS": "1"}
    ).start(workers=2, scheduler=True)
    deployment.start_scheduler()
    deployment.wait_until(
        lambda: (
            deployment.sql("SELECT status, cause FROM bc_consumer_synclog WHERE cause <> 'poll'")
            == [("ok", "nightly")]
        ),
        60,
        what="one nightly run",
    )
    assert differences(simulator, deployment.sql) == []
    # A message that was sent twice, or has waited since: the workers take it, and begin nothing.
    send = "from bc_consumer.actors import reconcile_nightly as actor; actor.send()"
    deployment.manage("shell", "-c", send)
    deployment.wait_until(
        lambda: "no nightly run is due" in deployment.logs(), 30, what="the message to be taken"
    )
    assert deployment.sql("SELECT count(*) FROM bc_consumer_synclog WHERE cause <> 'poll'") == [
        (1,)
    ]


def wait_for_event(deployment: Deployment, order_id: int) -> None:
    query = "SELECT 1 FROM bc_consumer_bc WHERE odoo_id = %s AND partner_ref = 'event'"
    deployment.wait_until(
        lambda: deployment.sql(query, order_id), 2.0, what=f"order {order_id} to be fresh"
    )


@pytest.mark.alone
@pytest.mark.timeout(400)
@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_a_webhook_s_order_is_fresh_within_two_seconds_during_a_first_load(
    deploy: Deploy, simulator: Simulator
) -> None:
    ids = simulator.bulk_create(50_000, 2, spread_days=500)
    deployment = deploy(settings=COMMITTED).start(workers=1)
    simulator.install_rules(deployment.webhook_url)
    load = subprocess.Popen(
        [sys.executable, "manage.py", "sync_BcLinbc"], cwd=ROOT, env=deployment.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deployment.wait_until(
            lambda: deployment.sql("SELECT count(*) FROM bc_consumer_bc")[0][0] > 3000,
            60,
            what="the load to be under way",
        )
        for number in range(3):
            # One that is new, one that the load has brought, one that it has not come to yet.
            new = simulator.create_order(lines=LINES, partner_ref="event")
            changed = [ids[number], ids[-1 - number]]
            for order_id in changed:
                simulator.write_order(order_id, partner_ref="event")
                wait_for_event(deployment, order_id)
            wait_for_event(deployment, new)
        assert load.poll() is None, "the load ended before the last order came"
    finally:
        load.kill()
        load.wait(10)


@pytest.mark.parametrize(
    "version",
    [pytest.param(number, marks=pytest.mark.simulator(version=number)) for number in (16, 17)],
)
def test_poll_mode_needs_no_webhook(deploy: Deploy, simulator: Simulator, version: int) -> None:
    """No web process, no worker, no event: changes by the window, deletions by the digest."""
    assert simulator.version == version
    ids = list(simulator.bulk_create(50, 2, spread_days=100))
    deployment = deploy(settings=COMMITTED | {"SYNC_POLL_SECONDS": "1"})
    deployment.manage("sync_BcLinbc")
    deployment.start(workers=0, web=False)
    simulator.write_order(ids[0], partner_ref="polled")
    simulator.write_line(line_ids(simulator, ids[1])[0], name="a line alone")
    new = simulator.create_order(lines=LINES)
    seen = [*ids[:2], new]
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, seen), 30, what="the poll"
    )
    simulator.delete_order(ids[9])
    simulator.rename("res.partner", 3, "Renamed & Sons")
    polls = "SELECT count(*) FROM bc_consumer_synclog WHERE cause = 'poll' AND status = 'ok'"
    before = deployment.sql(polls)[0][0]
    deployment.wait_until(lambda: deployment.sql(polls)[0][0] >= before + 2, 30, what="two polls")
    assert deployment.sql("SELECT count(*) FROM bc_consumer_bc WHERE archived_at IS NULL") == [
        (51,)
    ]
    deployment.sql("UPDATE bc_consumer_synclog SET started_at = started_at - interval '1 hour'")
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql), 30, what="the hour's digest"
    )
    digests = "SELECT count(*) FROM bc_consumer_synclog WHERE cause = 'poll' AND digest"
    assert deployment.sql(digests) == [(1,)]
