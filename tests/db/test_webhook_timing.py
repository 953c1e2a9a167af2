"""ODOO_WEBHOOK_TIMING: whether webhooks count as sent before Odoo's commit."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from bc_consumer.odoo import Odoo
from bc_consumer.refresh.odoo_connection import sends_early
from odoo_simulator import Simulator


@pytest.mark.parametrize(
    "early",
    [
        pytest.param(early, marks=pytest.mark.simulator(version=version))
        for version, early in ((17, True), (18, True), (19, False))
    ],
)
def test_auto_goes_by_the_version_and_asks_once(
    odoo: Odoo, simulator: Simulator, settings: LazySettings, early: bool
) -> None:
    settings.ODOO_WEBHOOK_TIMING = "auto"
    simulator.calls_clear()
    assert [sends_early() for _ in range(3)] == [early] * 3
    assert [call.method for call in simulator.calls] == ["version"]


def test_a_setting_needs_no_question(
    odoo: Odoo, simulator: Simulator, settings: LazySettings
) -> None:
    for timing, early in (("early", True), ("committed", False)):
        settings.ODOO_WEBHOOK_TIMING = timing
        assert sends_early() == early
    assert not simulator.calls
