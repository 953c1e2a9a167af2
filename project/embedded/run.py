"""Serves the site and runs the worker beside it until told to stop."""

import os
import signal
import sys
import threading
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from types import FrameType

import dramatiq
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import OperationalError, connection

from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.translatable_field import said
from bc_consumer.odoo import OdooError
from bc_consumer.odoo.transport_gain import measure_gain
from bc_consumer.operations.webhook_use import expects_no_webhooks
from bc_consumer.refresh.odoo_connection import odoo_settings
from project.embedded.arrival_lines import Arrivals
from project.embedded.simulator import SimulatorProcess, install_rules
from project.embedded.site import Site

WORKER_THREADS = 2
WORKER_STOP_MILLISECONDS = 5_000
LOOK_SECONDS = 1.0
ADMINISTRATOR = "admin"


class Embedded:
    """One run of the whole product in one process."""

    def __init__(self, with_simulator: bool) -> None:
        self._stopped = threading.Event()
        self._port = int(os.environ["PORT"])
        self._host = os.environ["HOST"]
        self._with_simulator = with_simulator

    def run(self) -> int:
        """Return the exit code: 0 after Ctrl-C or SIGTERM, 2 if settings are wrong."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        try:
            call_command("check", stdout=StringIO(), stderr=StringIO())
        except SystemCheckError as error:
            print(error, file=sys.stderr)
            return 2
        # Static files come from the packages, but Django warns of a missing directory.
        Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
        call_command("migrate", verbosity=0, interactive=False)
        password = _ensure_administrator()
        with ExitStack() as stack:
            arrivals = Arrivals()
            self._start(stack)
            if not self._stopped.is_set():
                print(self._welcome(password), flush=True)
                self._follow(arrivals)
        return 0

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if not self._stopped.is_set():
            print("\nStopping …", flush=True)
        self._stopped.set()
        # A second Ctrl-C ends this process at once; the children end by themselves even then.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def _start(self, stack: ExitStack) -> None:
        """Start site, simulator and worker; they are stopped in reverse order."""
        from bc_consumer.workers.due_runs import (
            Ticker,  # also imports the actors, which declare the queue
        )
        from project.wsgi import application  # connects, so only after the migrations

        site = Site(application, self._host, self._port)
        stack.callback(site.stop)
        if self._with_simulator:
            simulator = SimulatorProcess(
                settings.ODOO_URL,
                Path(settings.DATA_DIR),
                settings.ODOO_ORDER_MODEL,
            )
            stack.callback(simulator.stop)
            simulator.wait_until_ready(self._stopped.is_set)
            if not self._stopped.is_set():
                install_rules()
        worker = dramatiq.Worker(
            dramatiq.get_broker(), worker_threads=WORKER_THREADS, worker_timeout=200
        )
        stack.callback(worker.stop, timeout=WORKER_STOP_MILLISECONDS)
        worker.start()
        ticker = threading.Thread(target=Ticker().run, args=(self._stopped,), name="ticker")
        stack.callback(ticker.join, WORKER_STOP_MILLISECONDS / 1000)
        ticker.start()

    def _follow(self, arrivals: Arrivals) -> None:
        """Print arrivals until told to stop."""
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                for line in arrivals.new_lines():
                    print(line, flush=True)
            except OperationalError as error:
                print(redacted(f"The database is busy: {error}"), file=sys.stderr)
        connection.close()

    def _welcome(self, password: str) -> str:
        site = f"http://localhost:{self._port}"
        odoo_words = (
            f"a bundled simulator at {settings.ODOO_URL}, about one change a second"
            if self._with_simulator
            else settings.ODOO_URL
        )
        lines = [
            "",
            "  The copy of Odoo's orders is running.",
            "",
            f"  Console          {site}/",
            f"  Administration   {site}/admin/  login {ADMINISTRATOR}, {password}",
            f"  Odoo             {odoo_words}",
            *self._protocol_line(),
            f"  Data             {self._data_words()}",
            "",
        ]
        if not self._with_simulator:
            lines += self._advice()
        return "\n".join([*lines, "  Ctrl-C stops everything. Arriving orders:", ""])

    def _data_words(self) -> str:
        """Return where the copy is: of SQLite, the directory."""
        if connection.vendor == "sqlite":
            return str(settings.DATA_DIR)
        where = connection.settings_dict
        server = f"{where['HOST'] or 'localhost'}:{where['PORT'] or 5432}"
        return f"PostgreSQL, database {where['NAME']} on {server}"

    def _protocol_line(self) -> list[str]:
        """Return what another protocol would gain, in one line; none where it can't be measured."""
        try:
            gain = measure_gain(odoo_settings(), self._stopped)
        except OdooError:
            return []  # the arrivals, and doctor, tell what is wrong
        return [] if gain is None else [f"  Protocol         {said(gain.text())}"]

    def _advice(self) -> list[str]:
        """Return hints on how Odoo notifies this service."""
        manage = "    .venv/bin/python manage.py"
        commands = [
            "    read -rs ADMIN && export ADMIN        # Odoo's administrator: password or API key",
            f"{manage} odoo_rules install --login admin --password-from-env ADMIN",
            f"{manage} doctor --webhook",
        ]
        if expects_no_webhooks():
            seconds = f"{settings.SYNC_POLL_SECONDS:g}"
            asked = f"  Odoo is asked every {seconds} s what has changed (SYNC_POLL_SECONDS)."
            return [asked, "  To check that all is well: .venv/bin/python manage.py doctor", ""]
        if settings.PUBLIC_URL:
            return ["  To have Odoo report changes, run this once:", *commands, ""]
        reachable = self._host != "127.0.0.1"
        bound = "" if reachable else "HOST=0.0.0.0 ALLOWED_HOSTS=localhost,THIS-MACHINE "
        return [
            "  To have Odoo report changes (17 and later; with an older one set",
            "  SYNC_POLL_SECONDS=60 instead), start with",
            f"    {bound}PUBLIC_URL=http://THIS-MACHINE:{self._port} ./start",
            "  (or put these into .env), and run this once, with the same settings:",
            *commands,
            "",
        ]


def _ensure_administrator() -> str:
    """Create the administrator at the first start; return a note on the password."""
    users = get_user_model()
    password = os.environ["DJANGO_SUPERUSER_PASSWORD"]
    user = users.objects.filter(username=ADMINISTRATOR).first()
    if user is None:
        user = users.objects.create_superuser(ADMINISTRATOR, password=password)
    return f"password {password}" if user.check_password(password) else "with the password you set"
