"""What LOG_FORMAT=json writes about a batch, a run and a webhook that really happened."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError

from bc_consumer import ledger
from bc_consumer.messaging import intake as intake_module
from bc_consumer.models import SyncLog
from bc_consumer.reconciliation import run as run_module
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.redaction import RedactingJSONFormatter
from bc_consumer.refresh.batch import work_off
from bc_consumer.workers import periodic_sweep
from odoo_simulator import Simulator
from tests.db.test_webhook import ORDER, _fresh_intake, post  # noqa: F401

LINES = [{"name": "A shelf", "product_qty": 2}]


class Log:
    """The lines that a deployment's handler would have written."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def lines(self, beginning: str = "") -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in found if line["message"].startswith(beginning)]

    def line(self, beginning: str) -> dict[str, Any]:
        (found,) = self.lines(beginning)
        return found


@pytest.fixture
def log() -> Iterator[Log]:
    one = Log()
    handler = logging.StreamHandler(one.stream)
    handler.setFormatter(RedactingJSONFormatter())
    ours = logging.getLogger("bc_consumer")
    before = ours.level
    logging.getLogger().addHandler(handler)
    ours.setLevel(logging.DEBUG)
    yield one
    logging.getLogger().removeHandler(handler)
    ours.setLevel(before)


@pytest.fixture(autouse=True)
def _gateway(odoo: object) -> None:
    """Every test's orders come from the simulator."""


def test_each_line_of_a_batch_says_which_order_why_and_within_which_run(
    simulator: Simulator, log: Log, settings: LazySettings
) -> None:
    good, bad, other = (simulator.create_order(lines=LINES) for _ in range(3))
    simulator.faults.poison(bad, text="ValueError: poisoned")
    ledger.mark([good, bad], ledger.Mark(cause="webhook"))
    ledger.mark([other], ledger.Mark(cause="operator"))
    work_off()
    applied = log.line(f"BC {good} ")
    assert (applied["order"], applied["cause"]) == (good, "webhook")
    assert "run" not in applied
    failed = log.lines(f"BC {bad} failed")[0]
    assert (failed["order"], failed["cause"], failed["level"]) == (bad, "webhook", "WARNING")
    assert log.line(f"BC {other} ")["cause"] == "operator"
    calls = [line for line in log.lines() if line["logger"] == "bc_consumer.odoo"]
    assert [good, bad, other] in [line.get("order") for line in calls], "the call for all of them"
    assert bad in [line.get("order") for line in calls], "the call for the bad one alone"


def test_each_line_of_a_run_and_of_its_threads_says_so(simulator: Simulator, log: Log) -> None:
    order = simulator.create_order(lines=LINES)
    run = reconcile(RunRequest(SyncLog.Cause.COMMAND))
    for beginning in (
        f"run {run.pk} (command, first load) begins",
        f"run {run.pk} (command, first load): ",
    ):
        line = log.line(beginning)
        assert (line["run"], line["cause"]) == (run.pk, "command")
    applied = log.line(f"BC {order} ")
    assert (applied["order"], applied["cause"], applied["run"]) == (order, "command", run.pk)
    assert applied["thread"].startswith("drain-")
    others = [line for line in log.lines() if line["logger"].startswith("bc_consumer")]
    assert {line.get("run") for line in others} == {run.pk}


def test_a_run_s_threads_name_it_where_no_batch_does(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()

    def away(**_: object) -> int:
        stop.set()
        raise OperationalError("the server is shutting down")

    monkeypatch.setattr(run_module, "work_off", away)
    thread = threading.Thread(target=run_module._work_until, args=(7, stop, [], threading.Event()))
    thread.start()
    thread.join(10)
    assert log.line("The run's own threads wait for the database")["run"] == 7


def test_a_webhook_s_lines_name_its_orders(
    log: Log, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post(json.dumps(ORDER).encode()).status_code == 202
    kept = log.line("BC 5: changed")
    assert (kept["order"], kept["cause"], kept["logger"]) == (5, "webhook", "odoo_webhook.views")

    def away(*_: object) -> str:
        raise LookupError("broken")

    monkeypatch.setattr(intake_module.Intake, "_store_batch", away)
    assert post(json.dumps({**ORDER, "_id": 6, "id": 6}).encode()).status_code == 503
    for beginning in ("1 events could not be stored", "webhook refused with 503"):
        line = log.line(beginning)
        assert (line["order"], line["cause"]) == (6, "webhook")
    assert "LookupError: broken" in log.line("1 events")["exception"]


def test_an_event_from_the_fallback_queue_names_its_order(log: Log) -> None:
    periodic_sweep._mark([(7, ledger.Mark(cause="webhook")), (8, ledger.Mark(cause="webhook"))])
    line = log.line("2 BC marked from the fallback queue")
    assert (line["order"], line["cause"]) == ([7, 8], "webhook")
