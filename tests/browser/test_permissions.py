"""A viewer and an operator in the administration, under its Content-Security-Policy."""

from __future__ import annotations

import pytest
from selenium.webdriver.support.select import Select

from odoo_simulator import Simulator
from tests.browser.window import Window
from tests.harness import Deployment

PASSWORD = "a-password-for-a-test"
USERS = f"""
from django.contrib.auth.models import Group, User
for name in ("viewer", "operator"):
    user = User.objects.create_user(name, password="{PASSWORD}", is_staff=True)
    user.groups.add(Group.objects.get(name=f"BC {{name}}s"))
"""

pytestmark = pytest.mark.deployment(workers=1, settings={"ODOO_WEBHOOK_TIMING": "committed"})


@pytest.fixture
def order_id(deployment: Deployment, simulator: Simulator) -> int:
    """An order that has arrived, and the two users."""
    deployment.manage("shell", "-c", USERS)
    made = simulator.create_order(lines=[{"name": "<script>alert(1)</script>"}])
    count = "SELECT count(*) FROM bc_consumer_bc WHERE odoo_id = %s"
    deployment.wait_until(lambda: deployment.sql(count, made)[0][0] == 1, what="the order")
    return made


def log_in(window: Window, deployment: Deployment, name: str) -> None:
    window.open(f"{deployment.base_url}/admin/bc_consumer/bc/")
    window.one("#id_username").send_keys(name)
    window.one("#id_password").send_keys(PASSWORD)
    window.one("[type=submit]").click()
    window.wait(lambda: window.one("#result_list").is_displayed(), what="the list of orders")


def test_a_viewer_looks_and_can_do_nothing(
    window: Window, deployment: Deployment, order_id: int
) -> None:
    log_in(window, deployment, "viewer")
    assert not window.all("select[name=action]")
    assert not window.all(".addlink")
    window.one("#result_list tbody th a").click()
    window.wait(lambda: "<script>alert(1)</script>" in window.text("body"), what="its lines")
    assert not window.all("input[type=submit], .deletelink")


def test_an_operator_has_an_order_read_again(
    window: Window, deployment: Deployment, simulator: Simulator, order_id: int
) -> None:
    log_in(window, deployment, "operator")
    simulator.calls_clear()
    window.one("#action-toggle").click()
    Select(window.one("select[name=action]")).select_by_value("read_again")
    window.one("button[name=index]").click()
    window.wait(lambda: "1 order will be read" in window.text(".messagelist"), what="the answer")
    deployment.wait_until(lambda: simulator.calls, what="the order to be read again")
    assert not window.all(".addlink, .deletelink")
