"""How late the copy is while nothing is wrong: of a change a second, 95 % arrive in a second.

Odoo's webhooks tell of each; what each change's delay counts from is in tests/unit/test_delay.py.
"""

from __future__ import annotations

import threading

import pytest

from bc_consumer.console.figures import percentile
from odoo_simulator import Simulator
from odoo_simulator.traffic import Traffic
from tests.conftest import Deploy

CHANGES = 30
PER_SECOND = 1.0


@pytest.mark.alone
@pytest.mark.calm
@pytest.mark.parametrize("timing", ["early", "committed"])
def test_one_change_a_second_arrives_within_a_second(
    timing: str, request: pytest.FixtureRequest, deploy: Deploy
) -> None:
    request.node.add_marker(pytest.mark.simulator(version=17, webhook_timing=timing))
    simulator: Simulator = request.getfixturevalue("simulator")
    traffic = Traffic(simulator)
    traffic.create_orders(40, 5)
    deployment = deploy(settings={"ODOO_WEBHOOK_TIMING": timing}).start(workers=1)
    deployment.manage("sync_BcLinbc")
    simulator.install_rules(deployment.webhook_url)
    changing = threading.Thread(target=traffic.run, args=(PER_SECOND,), daemon=True)
    changing.start()
    deployment.wait_until(lambda: traffic.changes >= CHANGES, 60, what="the changes")
    traffic.stop()
    changing.join()
    deployment.wait_until(lambda: deployment.owed() == 0, what="everything to be fetched")

    told = deployment.sql(
        "SELECT causes, delay, delay_from FROM bc_consumer_journalentry WHERE outcome <> 'created'"
        " OR causes <> 'command' ORDER BY id"
    )
    delays = sorted(delay for _causes, delay, counted_from in told if counted_from)
    assert len(delays) >= CHANGES * 0.8, told
    p95 = percentile(delays, 0.95)
    assert p95 is not None
    assert p95 <= 1.0, told
    status = deployment.get("/status.json").json()
    assert status["delay_p95_seconds"] <= 1.0
    # The first load's rows waited for their turn, which is no delay.
    loaded = "SELECT count(*) FROM bc_consumer_journalentry WHERE causes = 'command'"
    assert deployment.sql(f"{loaded} AND delay IS NULL") == deployment.sql(loaded)
