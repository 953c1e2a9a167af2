"""An order changes in Odoo, and a moment later the copy has it: every part is real."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.harness import Deployment
from tests.services.waiting import PATIENCE_SECONDS, wait_until

COMMITTED = {"ODOO_WEBHOOK_TIMING": "committed"}
FIXTURES = Path(__file__).parents[1] / "fixtures" / "odoo"
LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35},
    {"name": "Chair", "product_qty": 3, "price_unit": 8.1},
]


def wait_equal(deployment: Deployment, odoo: Any, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the copy equals Odoo; say what differs when it does not get there."""
    told: list[str] = []

    def equal() -> bool:
        told[:] = differences(odoo, deployment.sql)
        return not told

    try:
        deployment.wait_until(equal, seconds, what="the copy to equal Odoo")
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *told[:20]])) from error


def full_fetches(odoo: Simulator) -> int:
    return sum(call.method in {"web_search_read", "search_read"} for call in odoo.calls)


@pytest.mark.simulator(version=17)
@pytest.mark.deployment(workers=2)
def test_rule_2_every_kind_of_change_arrives(deployment: Deployment, simulator: Simulator) -> None:
    first = simulator.create_order(lines=LINES, partner_ref="A")
    second = simulator.create_order(lines=LINES)
    wait_equal(deployment, simulator)

    simulator.write_order(first, partner_ref="B")
    wait_equal(deployment, simulator)

    order = simulator.order(first)
    assert order is not None
    line = order["order_line"][0]["id"]
    simulator.write_line(line, name="Desk, oak")
    after = simulator.order(first)
    assert after is not None
    assert after["write_date"] == simulator.order(first)["write_date"]  # type: ignore[index]
    wait_equal(deployment, simulator)

    added = simulator.add_line(first, name="Lamp", product_qty=1, price_unit=0.0)
    wait_equal(deployment, simulator)
    simulator.delete_line(added)
    wait_equal(deployment, simulator)

    simulator.move_line(line, second)
    wait_equal(deployment, simulator)

    simulator.delete_order(second)
    wait_equal(deployment, simulator)
    (archived,) = deployment.sql(
        "SELECT archived_at, archived_reason FROM bc_consumer_bc WHERE odoo_id = %s", second
    )
    assert archived[0] is not None
    kept = "SELECT count(*) FROM bc_consumer_bcline l JOIN bc_consumer_bc b ON b.id = l.bc_id"
    assert deployment.sql(f"{kept} WHERE b.odoo_id = %s", second) == [(3,)]


@pytest.mark.simulator(version=18, webhook_timing="committed")
@pytest.mark.deployment(workers=2, settings=COMMITTED)
def test_a_merge_brings_both_orders_along(deployment: Deployment, simulator: Simulator) -> None:
    orders = [simulator.create_order(lines=LINES) for _ in range(3)]
    wait_equal(deployment, simulator)
    simulator.merge(orders[1:], orders[0])
    wait_equal(deployment, simulator)
    merged = simulator.order(orders[0])
    assert merged is not None
    assert len(merged["order_line"]) == 6


@pytest.mark.parametrize("version", [17, 18, 19])
def test_the_captured_orders_arrive_with_every_field_right(
    version: int, request: pytest.FixtureRequest
) -> None:
    request.node.add_marker(pytest.mark.simulator(version=version))
    odoo: Simulator = request.getfixturevalue("simulator")
    deployment: Deployment = request.getfixturevalue("deployment")
    source = FIXTURES / f"{version}_demo_orders.json"
    ids = odoo.load_demo_orders(source)
    answer = deployment.post({"_model": "purchase.order", "ids": ids})
    assert answer.status == 202
    wait_equal(deployment, odoo)

    captured = json.loads(source.read_text())["purchase.order"]
    rows = deployment.sql(
        "SELECT odoo_id, name, partner_name, company_name, amount_total FROM bc_consumer_bc"
    )
    assert {
        (o["id"], o["name"], o["partner_id"]["display_name"], o["company_id"]["display_name"])
        for o in captured
    } == {row[:4] for row in rows}
    shown = {o["id"]: f"{o['amount_total']:.2f}" for o in captured}
    assert {row[0]: str(row[4]) for row in rows} == shown


@pytest.mark.simulator(version=17, webhook_timing="committed")
def test_a_thousand_webhooks_for_a_hundred_orders_cost_few_messages_and_fetches(
    deploy: Any, simulator: Simulator
) -> None:
    deployment: Deployment = deploy(settings=COMMITTED)
    deployment.start(workers=0, scheduler=False)
    ids = list(simulator.bulk_create(100, 2))
    for number in range(1000):
        answer = deployment.post({"_model": "purchase.order", "_id": ids[number % 100]})
        assert answer.status == 202
    assert deployment.pending() == deployment.owed() == 100
    assert messages(deployment, at_least=1) <= 100

    simulator.calls_clear()
    for _ in range(2):
        deployment.start_worker()
    deployment.wait_drained()
    assert full_fetches(simulator) <= 5
    assert deployment.pending() == 0
    assert not differences(simulator, deployment.sql)


def messages(deployment: Deployment, at_least: int) -> int:
    """Count the messages in the deployment's queue, once it has that many."""
    import pika

    parameters = pika.URLParameters(deployment.environment["RABBITMQ_URL"])
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()

        def count() -> int:
            queue = deployment.environment["RABBITMQ_QUEUE"]
            return int(channel.queue_declare(queue, passive=True).method.message_count)

        wait_until(lambda: count() >= at_least, what="messages")
        return count()


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=2, settings=COMMITTED)
def test_a_stream_for_the_same_orders_costs_at_most_ten_calls_a_second(
    deployment: Deployment, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(100, 2))
    began = time.monotonic()
    while time.monotonic() - began < 6:
        for odoo_id in ids[:: 1 + int(time.monotonic()) % 3]:
            assert deployment.post({"_model": "purchase.order", "_id": odoo_id}).status == 202
    deployment.wait_drained()
    elapsed = time.monotonic() - began
    reads = [call for call in simulator.calls if call.method == "web_search_read"]
    assert len(reads) <= 10 * elapsed + 1
    assert not differences(simulator, deployment.sql)


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(
    workers=1, settings=COMMITTED | {"LEASE_SECONDS": "4", "ODOO_TIMEOUT_SECONDS": "1.9"}
)
def test_a_killed_worker_s_rows_are_taken_over_when_their_lease_ends(
    deployment: Deployment, simulator: Simulator
) -> None:
    ids = list(simulator.bulk_create(50, 3))
    simulator.faults.latency(1.5)
    assert deployment.post({"_model": "purchase.order", "ids": ids}).status == 202
    deployment.wait_until(
        lambda: (
            deployment.sql(
                "SELECT count(*) FROM bc_consumer_pendingbc WHERE claim_token IS NOT NULL"
            )
            == [(50,)]
        ),
        what="the batch to be claimed",
    )
    deployment.workers.pop().kill()
    simulator.faults.clear()
    deployment.start_worker()
    deployment.wait_drained()
    assert deployment.pending() == 0
    assert not differences(simulator, deployment.sql)


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=1, settings=COMMITTED)
def test_sigterm_releases_claims_at_once(deployment: Deployment, simulator: Simulator) -> None:
    ids = list(simulator.bulk_create(50, 3))
    simulator.faults.latency(20)
    assert deployment.post({"_model": "purchase.order", "ids": ids}).status == 202
    claimed = "SELECT count(*) FROM bc_consumer_pendingbc WHERE claim_token IS NOT NULL"
    deployment.wait_until(lambda: deployment.sql(claimed) == [(50,)], what="the claim")
    worker = deployment.workers.pop()
    began = time.monotonic()
    worker.terminate()
    wait_until(worker.has_ended, what="the worker to end")
    assert time.monotonic() - began < 15  # the call that it waits for takes longer
    assert deployment.sql(claimed) == [(0,)]
    assert deployment.sql("SELECT max(attempts) FROM bc_consumer_pendingbc") == [(0,)]


@pytest.mark.simulator(version=17, webhook_timing="committed")
@pytest.mark.deployment(workers=2, settings=COMMITTED)
def test_rule_3_no_reader_sees_an_order_with_lines_of_another_version(
    deployment: Deployment, simulator: Simulator
) -> None:
    order_id = simulator.create_order(
        lines=[{"name": "0", "product_qty": 1, "price_unit": 1.0}] * 5
    )
    wait_equal(deployment, simulator)
    torn: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        query = (
            "SELECT b.partner_ref, count(*), min(l.name), max(l.name) FROM bc_consumer_bc b"
            " JOIN bc_consumer_bcline l ON l.bc_id = b.id GROUP BY 1"
        )
        while not stop.is_set():
            ((ref, count, lowest, highest),) = deployment.sql(query)
            if ref and not (lowest == highest == ref and count == 5):
                torn.append((ref, count, lowest, highest))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for version in range(1, 20):
            order = simulator.order(order_id)
            assert order is not None
            commands = [(1, line["id"], {"name": str(version)}) for line in order["order_line"]]
            simulator.write_order(order_id, partner_ref=str(version), order_line=commands)
            time.sleep(0.1)
        wait_equal(deployment, simulator)
    finally:
        stop.set()
        reader.join()
    assert torn == []
