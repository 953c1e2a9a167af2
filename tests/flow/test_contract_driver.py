"""``tools/odoo/contract.py`` from beginning to end, on a stand-in in a real Odoo's place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from odoo_simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-of-the-stand-in"
CHECK = "test_an_unknown_field_is_named_wherever"


@pytest.mark.simulator(version=19, api_keys=(KEY,))
def test_the_rules_go_in_the_suite_runs_and_nothing_is_left(simulator: Simulator) -> None:
    given = {
        "ODOO_E2E_URL": simulator.url,
        "ODOO_E2E_DB": simulator.database,
        "ODOO_E2E_USER": simulator.login,
        "ODOO_E2E_PASSWORD": simulator.password,
        "ODOO_E2E_API_KEY": KEY,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tools.odoo.contract", "-q", "-k", f"real and {CHECK}"],
        env={**os.environ, **given},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "Rules created: 4" in output
    assert "removed: 4" in output
    assert simulator.webhook_counters()["failed"] == 0
    assert simulator.count("base.automation") == 0
    assert "3 passed" in output  # by each transport
    assert simulator.count() == 0
