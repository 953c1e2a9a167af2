"""The simulator of Odoo as a child process, when no real Odoo is set."""

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
    """The simulator did not start; the message holds what it said."""


class SimulatorProcess:
    """Starts it at the address that the settings already name; it ends with this process."""

    def __init__(self, url: str, directory: Path, order_model: str) -> None:
        self._port = urlsplit(url).port or 80
        self._log = directory / "simulator.log"
        data = str(directory / "simulator.sqlite3")
        options = ("--port", str(self._port), "--data", data, "--order-model", order_model)
        command = (sys.executable, "-m", "project.embedded.child", "odoo_simulator", *options)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *DEMONSTRATION],
                # Never written to: its end tells the child that this process is gone.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C on the terminal is for this process, which then ends the child itself.
                start_new_session=True,
            )

    def wait_until_ready(self, cancelled: Callable[[], bool]) -> None:
        """Return when it accepts connections, or when ``cancelled`` says so.

        Raises:
            SimulatorFailedError: it ended, or needed too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while not cancelled():
            if self.has_ended() or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace")[-2000:]
                raise SimulatorFailedError(f"The simulator of Odoo did not start:\n{said}")
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return

    def has_ended(self) -> bool:
        """Tell whether it ended, which it should not by itself."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """End it, hard after a few seconds."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def install_rules() -> None:
    """Install our automation rules in it as in any Odoo, and look for what they missed till then.

    It forgets its rules at each start, since secret and port may have changed.

    Raises:
        SimulatorFailedError: it did not take them.
    """
    odoo = odoo_as_administrator()
    try:
        setup = RulesSetup(odoo)
        setup.install(setup.rules.inspect())
    except OdooError as error:
        raise SimulatorFailedError(f"The simulator of Odoo took no rules: {error}") from error
    finally:
        odoo.close()
    SyncState.request_scan()
