"""The monitor outside is told how each nightly run ended, and of nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from bc_consumer.models import SyncLog
from bc_consumer.operations import outside_monitor
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.redaction import RedactingFormatter
from odoo_simulator import Simulator
from tests.services.waiting import free_port
from tests.unit.odoo.serving import RawServer, http

pytestmark = pytest.mark.usefixtures("odoo")
Cause, Status = SyncLog.Cause, SyncLog.Status
TOKEN = "6b1f7d1e-7f3a-4b0e-9d58-2f0f3c2b1a00"
LINES = [{"name": "A shelf", "product_qty": 2}]


@pytest.fixture
def monitor(settings: LazySettings) -> Iterator[RawServer]:
    with RawServer(lambda _incoming: http(b"OK")) as server:
        settings.HEARTBEAT_URL = f"{server.url}/{TOKEN}"
        yield server


def calls(monitor: RawServer) -> list[str]:
    return [f"{request.method} {request.path}" for request in monitor.requests]


def nightly() -> SyncLog.Status:
    return SyncLog.Status(reconcile(RunRequest(Cause.NIGHTLY)).status)


@pytest.mark.slow("plays several whole runs")
def test_each_good_nightly_run_is_told(simulator: Simulator, monitor: RawServer) -> None:
    assert nightly() == Status.OK
    assert calls(monitor) == [f"GET /{TOKEN}"]
    bad = simulator.create_order(lines=LINES)
    simulator.faults.poison(bad, text="ValueError: poisoned")
    assert nightly() == Status.PARTIAL
    assert calls(monitor) == [f"GET /{TOKEN}"] * 2


def test_commands_and_polls_are_not(simulator: Simulator, monitor: RawServer) -> None:
    reconcile(RunRequest(Cause.COMMAND))
    reconcile(RunRequest(Cause.POLL, digest=False))
    assert calls(monitor) == []


@pytest.mark.parametrize("fail", ["", "/fail", "https"])
def test_a_failed_one_is_told_where_the_settings_say_so(
    simulator: Simulator, monitor: RawServer, settings: LazySettings, fail: str
) -> None:
    settings.HEARTBEAT_FAIL_URL = f"{monitor.url}/broken" if fail == "https" else fail
    simulator.faults.fault_all(1, "psycopg2.OperationalError: no")
    assert nightly() == Status.FAILED
    wanted = {"": [], "/fail": [f"GET /{TOKEN}/fail"], "https": ["GET /broken"]}
    assert calls(monitor) == wanted[fail]


def test_without_the_setting_nobody_is_called(simulator: Simulator, settings: LazySettings) -> None:
    assert not settings.HEARTBEAT_URL
    assert nightly() == Status.OK
    settings.HEARTBEAT_FAIL_URL = "/fail"
    assert outside_monitor.fail_url() == ""


@pytest.mark.parametrize("trouble", ["nobody", "refused", "redirect"])
def test_a_monitor_that_is_away_does_not_fail_the_run_and_its_url_stays_secret(
    simulator: Simulator,
    settings: LazySettings,
    caplog: pytest.LogCaptureFixture,
    trouble: str,
) -> None:
    answers = {"refused": http(b"no", 404), "redirect": http(b"", 302, Location="/elsewhere")}
    with RawServer(lambda _incoming: answers[trouble]) as server:
        url = f"http://127.0.0.1:{free_port()}" if trouble == "nobody" else server.url
        settings.HEARTBEAT_URL = f"{url}/{TOKEN}"
        assert nightly() == Status.OK
        assert len(server.requests) == (trouble != "nobody")
    lines = [RedactingFormatter().format(record) for record in caplog.records]
    (told,) = [line for line in lines if "heartbeat monitor" in line]
    assert told.startswith("The nightly run could not be reported to the heartbeat monitor at http")
    assert TOKEN not in "".join(lines)


def test_a_monitor_that_hangs_has_a_deadline(
    simulator: Simulator, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_monitor, "SECONDS", 0.5)

    enough = threading.Event()

    def drip(_incoming: object) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        while not enough.wait(0.1):
            yield b"X-Still: here\r\n"

    with RawServer(drip) as server:
        settings.HEARTBEAT_URL = f"{server.url}/{TOKEN}"
        began = time.monotonic()
        outside_monitor.report_nightly_run(good=True)
        assert time.monotonic() - began < 5
        enough.set()
