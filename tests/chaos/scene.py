"""Everything that takes part in a run, all of it real but Odoo: servers, processes, the road."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from odoo_simulator import Simulator
from tests.chaos.operations import Office
from tests.chaos.plan import EARLY, LOOKS
from tests.chaos.road import Doubts, Road
from tests.harness import AS_MANY_AS_BY_DEFAULT, Deployment
from tests.services.postgres import Postgres
from tests.services.rabbitmq import RabbitMQ
from tests.services.reaper import Reaper

WORKERS = 2
VERSIONS = {"early": 17, "committed": 19}
LEASE_SECONDS = 8.0
SETTINGS = {
    "LOG_LEVEL": "INFO",
    "EARLY_LOOKS": " ".join(f"{look:g}" for look in LOOKS),
    # Everything that waits for time to pass is short, so that it comes about within a run.
    "LEASE_SECONDS": f"{LEASE_SECONDS:g}",
    "ODOO_TIMEOUT_SECONDS": "3",
    "SWEEP_SECONDS": "1",
    "RESEND_SECONDS": "4",
    # Longer than the longest transaction of a run, and much shorter than a run.
    "ODOO_LONGEST_TRANSACTION_SECONDS": "20",
    "SYNC_OVERLAP_SECONDS": "40",
    "SYNC_LEASE_SECONDS": "10",
    # A run deletes more orders than any office would.
    "BRAKE_ARCHIVINGS": "1000000",
}


@dataclass(slots=True)
class Scene:
    """The parts, running."""

    postgres: Postgres
    rabbitmq: RabbitMQ
    odoo: Simulator
    road: Road
    doubts: Doubts
    office: Office
    deployment: Deployment
    polls: bool
    """Whether the reconciliation is at work all the while."""
    watermark: object = None

    def switch_reconciliation(self, *, on: bool) -> None:
        """Off: not even an event that never showed brings a scan about, for want of a watermark."""
        state = "UPDATE bc_consumer_syncstate SET last_sync = %s, scan_due_at = NULL"
        if self.polls:
            return
        if on:
            self.deployment.sql(state, self.watermark)
        else:
            ((self.watermark,),) = self.deployment.sql(
                "SELECT last_sync FROM bc_consumer_syncstate"
            )
            self.deployment.sql(state, None)

    def change_timing(self, timing: str) -> None:
        """Let Odoo send its webhooks before or after its commits, and tell our processes."""
        self.odoo.automation.timing = timing
        self.deployment.environment["ODOO_WEBHOOK_TIMING"] = timing
        self.deployment.close()
        self.deployment.workers.clear()
        self.deployment.start(workers=WORKERS)

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
            everything.switch_reconciliation(on=False)
            yield everything
