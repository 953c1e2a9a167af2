"""Sales of two companies, narrowed by a domain, with fields of their own: every part is real."""

from __future__ import annotations

import json

import pytest

from odoo_simulator import Simulator
from tests.comparing import Kind, differences
from tests.harness import Deployment

SALE = "sale.order"
LINES = [{"product_id": 1, "product_qty": 2, "price_unit": 12.35, "x_weight": 1.5}]
KIND = Kind(SALE, ("x_due", "tag_ids"), ("x_weight",))
SETTINGS = {
    "ODOO_WEBHOOK_TIMING": "auto",
    "ODOO_ORDER_MODEL": SALE,
    "ODOO_EXTRA_FIELDS": "x_due,tag_ids",
    "ODOO_EXTRA_LINE_FIELDS": "x_weight",
    "ODOO_DOMAIN": json.dumps(["!", ["state", "=", "cancel"], ["amount_total", ">", 1]]),
    "ODOO_COMPANY_IDS": "1,2",
}


def reasons(deployment: Deployment) -> dict[int, str]:
    rows = deployment.sql("SELECT odoo_id, archived_reason FROM bc_consumer_bc")
    return dict(rows)


@pytest.mark.parametrize(
    "version",
    [pytest.param(v, marks=pytest.mark.simulator(version=v, order_model=SALE)) for v in (17, 19)],
)
@pytest.mark.deployment(settings=SETTINGS)
def test_rule_10_what_leaves_the_domain_or_the_companies_is_archived_by_its_webhook(
    version: int, deployment: Deployment, simulator: Simulator
) -> None:
    simulator.add_field(SALE, "x_due", "date")
    simulator.add_field("sale.order.line", "x_weight", "float", digits=(16, 3))
    second, third = simulator.add_company("Succursale"), simulator.add_company("Not copied")
    assert second == 2, "the settings name it"
    ids = [
        simulator.create_order(
            lines=LINES, company_id=1 + n % 2, x_due="2030-01-31", tag_ids=[(6, 0, [2, 1])]
        )
        for n in range(6)
    ]
    never = [simulator.create_order(lines=LINES, company_id=third), simulator.create_order()]

    def wait(expected: list[int], archived: dict[int, str]) -> None:
        told: list[str] = []

        def equal() -> bool:
            found = reasons(deployment)
            told[:] = differences(simulator, deployment.sql, kind=KIND, exactly=expected)
            return not told and {i: found[i] for i in found if found[i]} == archived

        try:
            deployment.wait_until(equal, 20, what="the copy to equal Odoo")
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *told[:20]])) from error

    wait(ids, {})
    simulator.cancel(ids[0])
    simulator.write_order(ids[1], company_id=third)
    simulator.delete_order(ids[2])
    away = {
        ids[0]: "outside the domain",
        ids[1]: "outside the companies",
        ids[2]: "gone from Odoo",
    }
    wait(ids[3:], away)
    simulator.to_draft(ids[0])
    simulator.write_order(ids[1], company_id=second)
    simulator.add_line(ids[3], {"product_id": 2, "price_unit": 5.0, "x_weight": 0.25})
    simulator.write_order(ids[4], client_order_ref="C-4", x_due=False, tag_ids=[(3, 2)])
    wait([*ids[:2], *ids[3:]], {ids[2]: "gone from Odoo"})
    assert not set(never).intersection(reasons(deployment))
