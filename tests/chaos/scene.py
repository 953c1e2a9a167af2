"""All participants of a run, real except for Odoo: servers, processes, the route of webhooks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from odoo_simulator import Simulator
from tests.chaos.operations import Office
from tests.chaos.plan import EARLY, LONGEST, LOOKS
from tests.chaos.road import Doubts, Road
from tests.harness import AS_MANY_AS_BY_DEFAULT, Deployment
from tests.services.postgres import Postgres
from tests.services.rabbitmq import RabbitMQ
from tests.services.reaper import Reaper
from tests.services.waiting import wait_until

WORKERS = 2
VERSIONS = {"early": 17, "committed": 19}
LEASE_SECONDS = 8.0
SETTINGS = {
    "LOG_LEVEL": "INFO",
    "EARLY_LOOKS": " ".join(f"{look:g}" for look in LOOKS),
    # Whatever waits for time to pass is short, so that it happens within a run.
    "LEASE_SECONDS": f"{LEASE_SECONDS:g}",
    "ODOO_TIMEOUT_SECONDS": "3",
    "SWEEP_SECONDS": "1",
    "RESEND_SECONDS": "4",
    # Some of a run's transactions are longer than the early looks, a few longer than this, too.
    "ODOO_LONGEST_TRANSACTION_SECONDS": f"{LONGEST:g}",
    "SYNC_OVERLAP_SECONDS": "40",
    "SYNC_LEASE_SECONDS": "10",
    # A run deletes more orders than people would.
    "BRAKE_ARCHIVINGS": "1000000",
}
AGE_RUNS = """
    UPDATE bc_consumer_synclog SET started_at = started_at - interval '1 hour',
    ended_at = ended_at - interval '1 hour'
    WHERE ended_at IS NOT NULL AND started_at > now() - interval '1 hour'"""


@dataclass(slots=True)
class Scene:
    """The participants, running."""

    postgres: Postgres
    rabbitmq: RabbitMQ
    odoo: Simulator
    road: Road
    doubts: Doubts
    office: Office
    deployment: Deployment
    polls: bool
    """Whether the reconciliation runs all the time."""
    watermark: object = None
    complaints: list[str] = field(default_factory=list)
    """What was not as promised while a fault was carried out."""

    def complain(self, text: str) -> None:
        """Record something that was not as promised."""
        self.complaints.append(text)

    def forbid_runs(self) -> None:
        """Prevent runs, including those requested by events, by removing the watermark.

        They would repair what the workers alone should have done.
        """
        if self.polls:
            return
        ((self.watermark,),) = self.deployment.sql("SELECT last_sync FROM bc_consumer_syncstate")
        self.deployment.sql("UPDATE bc_consumer_syncstate SET last_sync = NULL, scan_due_at = NULL")

    def allow_runs(self) -> None:
        """Let runs start again; requested ones do so at once."""
        if not self.polls:
            self.deployment.sql("UPDATE bc_consumer_syncstate SET last_sync = %s", self.watermark)

    def requested_scans_are_over(self) -> bool:
        """Return whether no scan is requested any longer; if one is, make the next one due.

        Scans are minutes apart, so every ended one is made an hour older.
        """
        state = "SELECT scan_due_at IS NOT NULL, is_syncing FROM bc_consumer_syncstate"
        ((wanted, running),) = self.deployment.sql(state)
        if wanted and not running:
            self.deployment.sql(AGE_RUNS)
        return not wanted and not running

    def change_timing(self, timing: str) -> None:
        """Make Odoo send its webhooks before or after its commits, and restart our processes."""
        self.odoo.automation.timing = timing
        self.deployment.environment["ODOO_WEBHOOK_TIMING"] = timing
        self.deployment.close()
        self.deployment.workers.clear()
        self.deployment.start(workers=WORKERS)
        if not self.polls:
            self._forget_the_scan_of_the_start()

    def _forget_the_scan_of_the_start(self) -> None:
        """Delete the scan requested at start-up, so that only later events request one."""
        wanted = "SELECT scan_due_at IS NOT NULL FROM bc_consumer_syncstate"
        wait_until(
            lambda: self.deployment.sql(wanted) == [(True,)], 30, what="the scan of web's start"
        )
        self.deployment.sql("UPDATE bc_consumer_syncstate SET scan_due_at = NULL")

    def is_web_up(self) -> bool:
        """Whether the web process answers."""
        try:
            return self.deployment.get("/healthz").status == 200
        except OSError:
            return False


@contextlib.contextmanager
def scene(
    seed: int,
    directory: Path,
    postgres: Postgres,
    rabbitmq: RabbitMQ,
    reaper: Reaper,
    *,
    poll_seconds: float = 0.0,
) -> Iterator[Scene]:
    """Set the scene: a few orders in Odoo, all of them copied.

    ``poll_seconds`` 0: the reconciliation is switched off.
    """
    doubts = Doubts()
    road = Road(seed, doubts)
    database = postgres.create_database()
    Deployment.migrate(database.url, directory)
    with Simulator(VERSIONS[EARLY]) as odoo:
        odoo.automation.sender = odoo.webhooks = road
        deployment = Deployment(
            directory,
            reaper,
            database_url=database.url,
            rabbitmq_url=rabbitmq.url(),
            odoo_url=odoo.url,
            settings=SETTINGS | AS_MANY_AS_BY_DEFAULT | {"SYNC_POLL_SECONDS": f"{poll_seconds:g}"},
        )
        with contextlib.closing(road), deployment:
            office = Office(odoo, road)
            office.furnish(orders=150, witnesses=20)
            deployment.manage("sync_BcLinbc")
            odoo.install_rules(deployment.webhook_url)
            polls = poll_seconds > 0
            everything = Scene(postgres, rabbitmq, odoo, road, doubts, office, deployment, polls)
            everything.forbid_runs()
            yield everything
