"""Runs the simulator of Odoo as a child process if no real Odoo is configured."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from bc_consumer.installation.rule_setup import RulesSetup
from bc_consumer.models import SyncState
from bc_consumer.odoo import OdooError
from bc_consumer.refresh.odoo_connection import odoo_as_administrator

START_SECONDS = 30.0
STOP_SECONDS = 5.0
DEMONSTRATION = ("--version", "17", "--timing", "early", "--orders", "40", "--traffic", "1")


class SimulatorFailedError(Exception):
    """The simulator did not start; the message contains its output."""


class SimulatorProcess:
    """Starts the simulator at the address that the settings name; it ends with this process."""

    def __init__(self, url: str, directory: Path, order_model: str) -> None:
        self._port = urlsplit(url).port or 80
        self._log = directory / "simulator.log"
        data = str(directory / "simulator.sqlite3")
        options = ("--port", str(self._port), "--data", data, "--order-model", order_model)
        command = (sys.executable, "-m", "project.embedded.child", "odoo_simulator", *options)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *DEMONSTRATION],
                # Never written to: end of file tells the child that this process is gone.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Keeps the terminal's Ctrl-C from the child, so that this process ends it in order.
                start_new_session=True,
            )

    def wait_until_ready(self, cancelled: Callable[[], bool]) -> None:
        """Return when it accepts connections, or when ``cancelled`` returns true.

        Raises:
            SimulatorFailedError: it ended, or took too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while not cancelled():
            if self.has_ended() or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace")[-2000:]
                raise SimulatorFailedError(f"The Odoo simulator did not start:\n{said}")
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return

    def has_ended(self) -> bool:
        """Return whether it has ended, which it should not do by itself."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """End it, by force after a few seconds."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def install_rules() -> None:
    """Install our automation rules in it, as in any Odoo, and fetch what they missed until then.

    It forgets its rules at each start, because secret and port may have changed.

    Raises:
        SimulatorFailedError: it rejected the rules.
    """
    odoo = odoo_as_administrator()
    try:
        setup = RulesSetup(odoo)
        setup.install(setup.rules.inspect())
    except OdooError as error:
        raise SimulatorFailedError(
            f"The Odoo simulator did not accept the rules: {error}"
        ) from error
    finally:
        odoo.close()
    SyncState.request_scan()
