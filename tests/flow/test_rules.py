"""``manage.py odoo_rules`` beside running processes: changes arrive, and none is lost by it."""

from __future__ import annotations

import json

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import Deploy
from tests.harness import Deployment

VERSIONS = (17, 18, 19)
NEW = "a-new-secret-of-some-length"


@pytest.fixture
def ready(deploy: Deploy) -> Deployment:
    """A deployment that Odoo knows nothing of yet."""
    deployment = deploy()
    deployment.environment["PUBLIC_URL"] = deployment.base_url
    return deployment.start(scheduler=False)


def change_everything(simulator: Simulator) -> None:
    """One change of each kind: each must be told, or the copy differs."""
    lines = [{"name": f"Desk {number}", "product_qty": 1, "price_unit": 9} for number in range(3)]
    one, other, gone = (simulator.create_order(lines=lines) for _ in range(3))
    order = simulator.order(one)
    assert order is not None
    first, second, third = (line["id"] for line in order["order_line"])
    simulator.write_line(first, name="Another desk")
    simulator.write_line(second, sequence=99)
    simulator.write_line(first, price_unit=11.5)
    simulator.delete_line(third)
    simulator.add_line(one, display_type="line_note", name="A remark")
    simulator.write_order(other, partner_ref="B")
    simulator.confirm(other)
    simulator.receive(other)
    simulator.delete_order(gone)


def arrived(deployment: Deployment, simulator: Simulator) -> None:
    """Wait until the copy equals Odoo by webhooks alone."""
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql), 30, what="the copy to equal Odoo"
    )


@pytest.mark.parametrize(
    "simulator",
    [pytest.param(version, marks=pytest.mark.simulator(version=version)) for version in VERSIONS],
    indirect=True,
)
def test_rule_2_whatever_changes_in_odoo_is_told_by_the_installed_rules(
    ready: Deployment, simulator: Simulator
) -> None:
    ready.manage("odoo_rules", "install")
    change_everything(simulator)
    arrived(ready, simulator)
    assert {delivery.status for delivery in simulator.webhook_deliveries()} == {202}
    ready.manage("odoo_rules", "remove")
    simulator.webhooks_clear()
    simulator.create_order()
    assert simulator.webhook_deliveries() == []


@pytest.mark.simulator(version=19)
def test_rotating_the_secret_loses_no_event(ready: Deployment, simulator: Simulator) -> None:
    ready.manage("odoo_rules", "install")
    ready.environment["ODOO_WEBHOOK_SECRETS"] = f"{NEW},{ready.secret}"
    # The settings are changed, and web still runs with the old ones: Odoo must not have it yet.
    early = ready.manage("odoo_rules", "install", "--json", check=False)
    assert early.returncode == 4
    assert "restart" in json.loads(early.stdout)["error"]
    simulator.create_order(lines=[{"name": "Before", "product_qty": 1}])
    restart_web(ready)
    simulator.create_order(lines=[{"name": "Meanwhile", "product_qty": 1}])
    done = ready.manage("odoo_rules", "install", "--rotate")
    assert NEW not in done.stdout + done.stderr
    ready.environment["ODOO_WEBHOOK_SECRETS"] = NEW
    restart_web(ready)
    simulator.create_order(lines=[{"name": "After", "product_qty": 1}])
    arrived(ready, simulator)
    assert {delivery.status for delivery in simulator.webhook_deliveries()} == {202}
    assert NEW not in ready.logs()


def restart_web(deployment: Deployment) -> None:
    assert deployment.web is not None
    deployment.web.stop(15)
    deployment.start_web()
    deployment.wait_for_web()
