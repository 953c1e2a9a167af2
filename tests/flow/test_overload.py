"""More webhooks than the machine can take, from connections that send as fast as they can.

OVERLOAD_SECONDS=60 makes it last longer than the 5 s that ``./test`` has time for; with -s it
prints what was answered, and how soon.
"""

from __future__ import annotations

import os
import re
import threading
import time

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.flood import LEFT, Plan, Sent, flooding, summary
from tests.flow.test_fallback_queue import depth
from tests.flow.test_outages import ANSWER_SECONDS, forget_scan, scan_due
from tests.harness import AS_MANY_AS_BY_DEFAULT, Deployment
from tests.services.postgres import Postgres

OVERLOAD_SECONDS = float(os.environ.get("OVERLOAD_SECONDS", "5"))
STOPPED_SECONDS = min(10.0, OVERLOAD_SECONDS / 2)
AS_FAST_AS_NOBODY = 2000
"""Orders a second, each to be named once: a single lost event leaves a difference."""
SETTINGS = AS_MANY_AS_BY_DEFAULT | {"ODOO_WEBHOOK_TIMING": "committed", "LOG_LEVEL": "INFO"}

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(240 + 12 * OVERLOAD_SECONDS),
    pytest.mark.simulator(version=17, webhook_timing="committed"),
]


def start(deploy: Deploy, odoo: Simulator, **options: str) -> tuple[Deployment, list[int]]:
    """Start everything but the scheduler, whose scans would hide what got lost."""
    deployment = deploy(settings=SETTINGS, **options).start(workers=2, scheduler=False)
    deployment.manage("sync_BcLinbc")
    forget_scan(deployment)
    return deployment, list(odoo.bulk_create(int(AS_FAST_AS_NOBODY * OVERLOAD_SECONDS), 1))


def wait_for_all(deployment: Deployment, seconds: float) -> None:
    """Wait until nothing is owed and nothing is stored."""
    deployment.wait_until(
        lambda: deployment.owed() == 0 and depth(deployment) == 0, seconds, what="all to arrive"
    )


def answered(sent: list[Sent], *statuses: int) -> list[int]:
    return sorted({one.odoo_id for one in sent if one.status in statuses})


@pytest.mark.parametrize("connections", [8, 64])
def test_both_servers_are_healthy(connections: int, deploy: Deploy, simulator: Simulator) -> None:
    deployment, ids = start(deploy, simulator)
    with flooding(Plan(deployment.webhook_url, ids, connections, OVERLOAD_SECONDS)) as sending:
        sent = sending.result()
    ended = time.monotonic()
    print(f"\n{connections} connections: {summary(sent)}")
    print(*warnings_of(deployment), sep="\n")
    assert {(one.status, one.kept_in) for one in sent} == {(202, "ledger")}
    wait_for_all(deployment, 60 + 6 * OVERLOAD_SECONDS)
    print(f"all applied {time.monotonic() - ended:.1f} s after the last one")
    assert not differences(simulator, deployment.sql, answered(sent, 202))
    assert " is away" not in deployment.logs()
    assert not scan_due(deployment), "nothing was missed, and yet a scan was asked for"


@pytest.mark.simulator(version=17, webhook_timing="early")
def test_rule_1_three_hundred_a_second_again_and_again_for_the_same_orders(
    deploy: Deploy, simulator: Simulator
) -> None:
    """Marks and looks meet on the same rows all the while."""
    deployment = deploy(settings=SETTINGS | {"ODOO_WEBHOOK_TIMING": "early"}).start(workers=2)
    orders = list(simulator.bulk_create(1000, 3))
    ids = orders * int(1 + 0.3 * OVERLOAD_SECONDS)
    with flooding(Plan(deployment.webhook_url, ids, 8, OVERLOAD_SECONDS, 290)) as sending:
        sent = sending.result()
    print(f"\n290 a second: {summary(sent)}")
    assert {(one.status, one.kept_in) for one in sent} == {(202, "ledger")}
    times = sorted(one.seconds for one in sent)
    assert times[len(times) * 99 // 100] <= ANSWER_SECONDS
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, answered(sent, 202)), 30, what="them"
    )
    assert " is away" not in deployment.logs()


def test_postgresql_is_stopped_in_the_middle(
    deploy: Deploy,
    simulator: Simulator,
    private_postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    database = private_postgres.create_database()
    Deployment.migrate(database.url, tmp_path_factory.mktemp("migrate"))
    deployment, ids = start(deploy, simulator, database_url=database.url)
    with flooding(Plan(deployment.webhook_url, ids, 64, OVERLOAD_SECONDS)) as sending:
        pause((OVERLOAD_SECONDS - STOPPED_SECONDS) / 2)
        private_postgres.pause()
        pause(STOPPED_SECONDS)
        private_postgres.resume()
        sent = sending.result()
    ended = time.monotonic()
    print(f"\nstopped for {STOPPED_SECONDS:.0f} s: {summary(sent)}")
    assert {one.status for one in sent} <= {202, 503, LEFT}
    wait_for_all(deployment, 60 + 6 * OVERLOAD_SECONDS)
    print(f"all that were taken applied {time.monotonic() - ended:.1f} s after the last one")
    assert not differences(simulator, deployment.sql, answered(sent, 202))
    # The rest nobody sends again. No night is waited for, and no scan but this one is due.
    deployment.wait_until(lambda: scan_due(deployment), what="a scan to be due")
    deployment.start_scheduler()
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, answered(sent, 202, 503, LEFT)),
        60 + 6 * OVERLOAD_SECONDS,
        what="what was refused or not answered",
    )


def pause(seconds: float) -> None:
    """Let the flood run on."""
    threading.Event().wait(seconds)


def warnings_of(deployment: Deployment) -> list[str]:
    """Return what the processes warned of: it tells why an event took another way."""
    return re.findall(r"^.* (?:WARNING|ERROR) .*$", deployment.logs(), re.MULTILINE)[:20]
