"""Whether the copy equals Odoo once all is quiet.

Judged three times: by itself, after the requested scans, and after one reconciliation.
"""

from __future__ import annotations

import math
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pika

from tests.chaos.reader import Reader
from tests.chaos.road import Why
from tests.chaos.scene import Scene
from tests.comparing import differences
from tests.services.waiting import DeadlineMissedError, wait_until

QUIET_SECONDS = 120.0
TOLD = ("status", "applied", "archived", "found_by_window", "found_by_digest", "odoo_calls")
SCANS_SECONDS = 120.0
SCANS = """
    SELECT count(*), coalesce(sum(applied), 0) FROM bc_consumer_synclog
    WHERE cause = 'poll' AND id > %s"""
LOCKED = 4
"""The exit code of ``sync_BcLinbc`` while another run is in progress."""
LOCKED_SECONDS = 60.0
LIVE = "FROM bc_consumer_pendingbc WHERE failed_at IS NULL AND held_reason = ''"

OWN = re.compile(
    r"^.*unexpected internal error.*\n(?:.*\n){0,60}?(\w[\w.]*(?:Error|Exception|Lost)\b.*)$",
    re.MULTILINE,
)
"""What the product logs upon an unexpected exception, and that log's last line."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Verdict:
    """The state of the copy when all was quiet; no ``faults``: as promised."""

    faults: list[str] = field(default_factory=list)
    doubted: int = 0
    """Orders with a webhook not answered with 2xx, or with a transaction over the longest."""
    missed: int = 0
    """Differences among them before any scan."""
    left: int = 0
    """Differences left after the requested scans: changes that nobody could know of."""
    scans: int = 0
    found_by_scans: int = 0
    failed: int = 0
    """Rows that failed because of their order; replayed."""
    quiet_seconds: float = 0.0
    reconciliation: dict[str, object] = field(default_factory=dict)


def judge(scene: Scene, reader: Reader, poisoned: set[int], say: Say) -> Verdict:
    """Wait until all is quiet, compare, reconcile once, compare again."""
    verdict = Verdict(doubted=len(scene.doubts))
    began = time.monotonic()
    try:
        _wait_quiet(scene)
    except DeadlineMissedError as error:
        verdict.faults.append(f"never quiet: {error}")
    verdict.quiet_seconds = time.monotonic() - began
    _judge_rows(scene, poisoned, verdict)
    verdict.missed = _judge_differences(scene, verdict, "without a scan", set(Why))
    _judge_after_scans(scene, verdict)
    _judge_after_reconciliation(scene, verdict)
    _judge_what_was_seen(reader, poisoned, verdict)
    _judge_queues_and_processes(scene, verdict)
    verdict.faults += scene.complaints
    scene.complaints.clear()
    scene.doubts.clear()
    for fault in verdict.faults:
        say(f"  FAULT  {fault}")
    return verdict


def _wait_quiet(scene: Scene) -> None:
    scene.road.wait_empty(30)
    wait_until(scene.is_web_up, 60, what="the web process", every=0.2)
    wait_until(lambda: _is_quiet(scene), QUIET_SECONDS, what="quiet: (owed, stored)", every=0.2)


def _is_quiet(scene: Scene) -> bool:
    # The queue first: what the sweeper takes from it is in the ledger afterwards.
    return queued(scene, ".fallback") == 0 and scene.deployment.sql(f"SELECT count(*) {LIVE}") == [
        (0,)
    ]


def _judge_rows(scene: Scene, poisoned: set[int], verdict: Verdict) -> None:
    """Replay the orders that caused their failure; there must be no other failed rows."""
    rows = scene.deployment.sql("SELECT odoo_id, last_error FROM bc_consumer_pendingbc")
    failed = {odoo_id for odoo_id, _ in rows}
    verdict.failed = len(failed & poisoned)
    verdict.faults += [f"failed: {row}" for row in rows if row[0] not in poisoned]
    if failed & poisoned:
        scene.deployment.manage("sync_BcLinbc", "--bc", *map(str, sorted(failed & poisoned)))


def _judge_differences(scene: Scene, verdict: Verdict, when: str, excused: set[Why]) -> int:
    """Count the differences that these doubts excuse; all others are faults."""
    count = 0
    for line in differences(scene.odoo, scene.deployment.sql, most=math.inf):
        if scene.doubts.about(_order_of(line)) & excused:
            count += 1
        else:
            verdict.faults.append(f"{when}: {line}")
    return count


def _judge_after_scans(scene: Scene, verdict: Verdict) -> None:
    """Judge after scans: they find what the service can know it missed, even deletions."""
    ((last,),) = scene.deployment.sql("SELECT coalesce(max(id), 0) FROM bc_consumer_synclog")
    scene.allow_runs()
    try:
        wait_until(
            scene.requested_scans_are_over,
            SCANS_SECONDS,
            what="the end of the scans that were asked for",
            every=0.2,
        )
        _wait_quiet(scene)
    except DeadlineMissedError as error:
        verdict.faults.append(f"after the outages: {error}")
    ((verdict.scans, verdict.found_by_scans),) = scene.deployment.sql(SCANS, last)
    excused = set(Why) - {Why.REFUSED}
    verdict.left = _judge_differences(scene, verdict, "after the scans", excused)


def _judge_after_reconciliation(scene: Scene, verdict: Verdict) -> None:
    done = _reconcile(scene)
    scene.forbid_runs()
    if done.returncode:
        verdict.faults.append(f"the reconciliation gave {done.returncode}: {done.stderr[-2000:]}")
        return
    (row,) = scene.deployment.sql(
        f"SELECT {', '.join(TOLD)} FROM bc_consumer_synclog WHERE cause <> 'poll'"
        " ORDER BY id DESC LIMIT 1"
    )
    verdict.reconciliation = dict(zip(TOLD, row, strict=True))
    told = differences(scene.odoo, scene.deployment.sql, most=math.inf)
    told += _wrong_names(scene)
    verdict.faults += [f"after the reconciliation: {line}" for line in told]


def _reconcile(scene: Scene) -> subprocess.CompletedProcess[str]:
    """Run a reconciliation after a poll in progress has ended."""
    until = time.monotonic() + LOCKED_SECONDS
    while True:
        done = scene.deployment.manage("sync_BcLinbc", check=False, seconds=300)
        if done.returncode != LOCKED or time.monotonic() > until:
            return done


def _wrong_names(scene: Scene) -> list[str]:
    rows = scene.deployment.sql(
        "SELECT odoo_id, partner_id, partner_name FROM bc_consumer_bc"
        " WHERE archived_at IS NULL AND forbidden_at IS NULL"
    )
    names = {partner: scene.odoo.display_name("res.partner", partner) for _, partner, _ in rows}
    return [
        f"order {odoo_id} partner_name: {names[partner]!r} in Odoo, {name!r} here"
        for odoo_id, partner, name in rows
        if names[partner] != name
    ]


def _judge_what_was_seen(reader: Reader, poisoned: set[int], verdict: Verdict) -> None:
    verdict.faults += [
        f"a reader saw, in {looks} looks, {what}" for what, looks in reader.torn.items()
    ]
    reader.torn.clear()
    verdict.faults += [
        f"failed for a while: BC {odoo_id}: {text}"
        for odoo_id, text in reader.failed.items()
        if odoo_id not in poisoned
    ]
    verdict.faults += [f"held: BC {odoo_id}: {text}" for odoo_id, text in reader.held.items()]


def _judge_queues_and_processes(scene: Scene, verdict: Verdict) -> None:
    if undecodable := queued(scene, ".fallback.undecodable"):
        verdict.faults.append(f"{undecodable} undecodable events")
    if dead := queued(scene, ".XQ"):
        verdict.faults.append(f"{dead} dead letters")
    for name, code in scene.deployment.died_by_themselves().items():
        verdict.faults.append(f"{name} ended by itself with {code}")
    logs = scene.deployment.logs()
    for secret in (scene.deployment.secret, scene.postgres.address.password):
        if secret in logs:
            verdict.faults.append("a secret is in the logs")
    verdict.faults += [
        f"unexpected internal error: {text}" for text in sorted(set(OWN.findall(logs)))
    ]


def _order_of(line: str) -> int:
    return int(line.split()[1])


def queued(scene: Scene, suffix: str) -> int | None:
    """Return the number of messages in one of the deployment's queues; None if RabbitMQ is away."""
    queue = scene.deployment.environment["RABBITMQ_QUEUE"] + suffix
    try:
        with scene.rabbitmq.connect() as connection:
            declared = connection.channel().queue_declare(queue, passive=True)
            return int(declared.method.message_count)
    except pika.exceptions.ChannelClosedByBroker:
        return 0
    except (pika.exceptions.AMQPError, OSError):
        return None
