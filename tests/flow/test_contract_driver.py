"""``tools/odoo/contract.py`` from beginning to end, on a simulator in a real Odoo's place."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from odoo_simulator import Simulator
from tests.services.waiting import free_port

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-of-the-simulator"
# What the changes, and the rules, of others could harm.
CONCERNED = "choice or grouping or listing or rules or webhooks or write_dates"
LINES = [{"name": "A shelf", "product_qty": 2, "price_unit": 3.5}]
CHECK = "test_an_unknown_field_is_named_wherever"


def run_driver(simulator: Simulator, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = {
        "ODOO_E2E_URL": simulator.url,
        "ODOO_E2E_DB": simulator.database,
        "ODOO_E2E_USER": simulator.login,
        "ODOO_E2E_PASSWORD": simulator.password,
        "ODOO_E2E_API_KEY": KEY,
    }
    return subprocess.run(
        [sys.executable, "-m", "tools.odoo.contract", "-q", *arguments],
        env={**os.environ, **given},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.simulator(version=19, api_keys=(KEY,))
def test_the_rules_go_in_the_suite_runs_and_nothing_is_left(simulator: Simulator) -> None:
    done = run_driver(simulator, "-k", f"real and {CHECK}")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "Rules created: 4" in output
    assert "removed: 4" in output
    assert simulator.webhook_counters()["failed"] == 0
    assert simulator.count("base.automation") == 0
    assert "3 passed" in output  # by each transport
    assert simulator.count() == 0


@contextmanager
def others_at_work(simulator: Simulator) -> Iterator[Counter[str]]:
    """Other users make, change and delete orders of their own all the while; counts what."""
    stop, done = threading.Event(), Counter[str]()

    def work() -> None:
        ids = [simulator.create_order(lines=LINES) for _ in range(5)]
        while not stop.wait(0.02):
            ids.append(simulator.create_order(lines=LINES))
            simulator.write_order(ids[done["rounds"] % len(ids)], partner_ref=f"{done['rounds']}")
            simulator.delete_order(ids.pop(0))
            done["rounds"] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join(10)


@pytest.mark.timeout(260)
@pytest.mark.simulator(
    version=18,
    database="Une-base.test_2",
    login="copie@example.com",
    password="geheim",
    api_keys=(KEY,),
)
def test_the_suite_passes_where_others_work_and_have_rules(simulator: Simulator) -> None:
    """No id, name, account, rule or order is taken for granted, and none of others is touched."""
    simulator.add_company("Succursale Ouest")
    simulator.bulk_create(700, 3)
    theirs = simulator.install_rules(f"http://127.0.0.1:{free_port()}/theirs/", secret="x")
    with others_at_work(simulator) as done:
        ran = run_driver(simulator, "-k", f"real-jsonrpc and ({CONCERNED})")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert done["rounds"] > 50
    assert sorted(simulator.store.tables["base.automation"].ids()) == sorted(theirs)
    assert simulator.count() == 705
