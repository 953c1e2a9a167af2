"""`python -m odoo_simulator`: its data outlives it, kill -9 included; traffic; clean ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from odoo_simulator import RemoteSimulator, Simulator
from odoo_simulator.traffic import Traffic
from tests.simulator.conftest import LINES, Receiver
from tests.simulator.test_transactions import wait_for

ROOT = Path(__file__).parents[2]
Start = Callable[..., tuple["subprocess.Popen[bytes]", RemoteSimulator]]


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[subprocess.Popen[bytes]] = []

    def run(*options: str) -> tuple[subprocess.Popen[bytes], RemoteSimulator]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "odoo_simulator", "--port", str(port), *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
        )
        processes.append(process)
        return process, RemoteSimulator(f"http://127.0.0.1:{port}")

    yield run
    for process in processes:
        process.kill()
        process.wait()


def test_data_survives_kill_9(start: Start, tmp_path: Path) -> None:
    data = str(tmp_path / "odoo.sqlite3")
    process, remote = start("--data", data, "--orders", "5", "--bulk", "20", "--version", "18")
    remote.write_order(7, partner_ref="kept")
    remote.delete_order(8)
    added = remote.create_order(partner_id=4, lines=LINES)
    before = [remote.order(number) for number in remote.order_ids()]
    assert len(before) == 25
    process.send_signal(signal.SIGKILL)
    process.wait()
    process, remote = start("--data", data, "--orders", "5", "--version", "18")
    assert [remote.order(number) for number in remote.order_ids()] == before
    assert remote.create_order(partner_id=4) == added + 1
    process.terminate()
    assert process.wait(10) == 0


def test_rules_and_renames_are_kept(tmp_path: Path, receiver: Receiver) -> None:
    data = tmp_path / "odoo.sqlite3"
    with Simulator(17, data_file=data) as odoo:
        odoo.install_rules(receiver.url)
        odoo.rename("res.partner", 2, "Renamed")
    with Simulator(17, data_file=data) as odoo:
        order = odoo.create_order(partner_id=2)
        assert odoo.display_name("res.partner", 2) == "Renamed"
    assert [hook.payload["_id"] for hook in receiver.hooks] == [order]
    with pytest.raises(ValueError, match="holds an Odoo 17"):
        Simulator(19, data_file=data)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly(start: Start, number: signal.Signals) -> None:
    process, _remote = start("--orders", "1", "--traffic", "50")
    process.send_signal(number)
    assert process.wait(10) == 0


def test_traffic_calls_the_webhook(start: Start, receiver: Receiver) -> None:
    url = receiver.url.replace("//", "//odoo:secret@") + "/odoo/webhook/"
    start("--orders", "10", "--traffic", "100", "--webhook-url", url, "--version", "19")
    wait_for(lambda: len(receiver.hooks) >= 30)
    assert {hook.headers["Authorization"] for hook in receiver.hooks} == {"Basic b2RvbzpzZWNyZXQ="}


@pytest.mark.parametrize("version", [17, 18, 19])
def test_traffic_does_everything_and_keeps_orders_consistent(version: int) -> None:
    odoo = Simulator(version)
    traffic = Traffic(odoo, seed=version)
    traffic.create_orders(20, 4)
    done = {traffic.step() for _ in range(1500)}
    assert done >= {
        "write_order",
        "write_line_price",
        "write_line_text",
        "create_order",
        "add_line",
        "delete_line",
        "confirm",
        "receive",
        "delete_order",
        "merge",
        "rename_partner",
    }
    lines_seen = 0
    for number in odoo.order_ids():
        order = odoo.order(number)
        assert order is not None
        decimals = {1: 2, 2: 2, 3: 0, 4: 3, 5: 2}[order["currency_id"]]
        subtotal = sum(line["price_subtotal"] for line in order["order_line"])
        assert order["amount_untaxed"] == pytest.approx(subtotal, abs=10**-decimals / 2)
        assert {line["order_id"] for line in order["order_line"]} <= {number}
        lines_seen += len(order["order_line"])
    assert lines_seen == len(odoo.line_ids())


def test_same_seed_same_orders() -> None:
    def texts(seed: int) -> list[object]:
        odoo = Simulator(17)
        Traffic(odoo, seed).create_orders(10, 3)
        orders = [odoo.order(number) for number in odoo.order_ids()]
        return [(order["partner_ref"], order["amount_total"]) for order in orders if order]

    assert texts(5) == texts(5) != texts(6)


def test_wrong_arguments_are_told(start: Start, tmp_path: Path) -> None:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    with taken:
        ended = subprocess.run(
            [sys.executable, "-m", "odoo_simulator", "--port", str(taken.getsockname()[1])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 2
    assert "in use" in ended.stderr
