"""A deployment that reads by JSON: webhooks arrive, the reconciliation finds what they missed."""

from __future__ import annotations

import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.harness import Deployment

KEY = "a-key-of-the-account"
LINES = [
    {"name": "line one\nline two é 🍮 <&>", "product_qty": 2, "price_unit": 12.35},
    {"name": "Chair", "product_qty": 3, "price_unit": 1 / 3},
]


@pytest.mark.simulator(version=19, api_keys=(KEY,))
@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(chosen, marks=pytest.mark.deployment(settings=settings))
        for chosen, settings in (
            ("jsonrpc", {"ODOO_TRANSPORT": "auto"}),
            ("json2", {"ODOO_TRANSPORT": "auto", "ODOO_PASSWORD": KEY}),
        )
    ],
)
def test_rule_2_a_deployment_reads_by_the_fastest_transport(
    deployment: Deployment, simulator: Simulator, chosen: str
) -> None:
    first, second = (simulator.create_order(lines=LINES, partner_ref="A") for _ in range(2))
    simulator.write_order(first, partner_ref="B é")
    simulator.delete_order(second)
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql), 15, what="the copy to equal Odoo"
    )
    simulator.faults.webhooks(loss=1.0)
    simulator.create_order(lines=LINES)
    simulator.write_order(first, partner_ref="told by nobody")
    deployment.manage("sync_BcLinbc")
    assert differences(simulator, deployment.sql) == []
    assert f"called over {chosen} from now on" in deployment.logs()
