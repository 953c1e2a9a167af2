"""Describes a run and its outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tests.chaos.road import Why
from tests.chaos.runner import Played
from tests.chaos.scene import Scene
from tests.chaos.verdict import Verdict

SHOWN = 20
"""The most faults of a verdict that are shown; the first ones matter most."""
DELAYS = """
    SELECT percentile_cont(ARRAY[0.5, 0.9, 0.99, 1.0]) WITHIN GROUP (ORDER BY delay), count(*)
    FROM bc_consumer_journalentry WHERE delay IS NOT NULL AND run_id IS NULL"""
OUTCOMES = "SELECT outcome, count(*) FROM bc_consumer_journalentry GROUP BY 1 ORDER BY 2 DESC"
QUANTILES = ("p50", "p90", "p99", "longest")


def report(played: Sequence[Played], scene: Scene) -> str:
    """Return the whole report."""
    lines = [line for act in played for line in _act(act)]
    return "\n".join([*lines, *_whole(scene)])


def _act(act: Played) -> list[str]:
    lines = [
        (
            f"act with webhooks {act.timing}: {act.seconds:.0f} s,"
            f" {act.operations.total()} operations ({act.skipped} more found nothing to do),"
            f" {act.faults.total()} faults"
        ),
        f"  operations: {_counted(act.operations)}",
        f"  faults: {_counted(act.faults)}",
    ]
    if act.verdict is not None:
        lines += _verdict(act.verdict)
    return lines + [f"  error of the bench: {error}" for error in act.errors]


def _verdict(verdict: Verdict) -> list[str]:
    told = ", ".join(f"{name} {value}" for name, value in verdict.reconciliation.items())
    return [
        (
            f"  quiet after {verdict.quiet_seconds:.1f} s; {verdict.doubted} orders in doubt,"
            f" {verdict.missed} differences among them;"
            f" {verdict.failed} orders at fault themselves, replayed"
        ),
        (
            f"  {verdict.scans} scans applied {verdict.found_by_scans} orders;"
            f" {verdict.left} differences left of which nobody could know"
        ),
        f"  reconciliation: {told}",
        f"  not as promised: {len(verdict.faults)}",
        *(f"    {fault}" for fault in verdict.faults[:SHOWN]),
    ]


def _whole(scene: Scene) -> list[str]:
    ((quantiles, changes),) = scene.deployment.sql(DELAYS)
    outcomes = dict(scene.deployment.sql(OUTCOMES))
    webhooks = scene.odoo.webhook_counters()
    late = zip(QUANTILES, quantiles or (), strict=False)
    return [
        (
            f"webhooks: {webhooks['sent']:.0f} answered 2xx, {webhooks['failed']:.0f} not;"
            f" on the way {_counted(scene.road.counts)}"
        ),
        "not told of: " + _counted({why.value: scene.doubts.counts[why] for why in Why}),
        f"calls to Odoo: {scene.odoo.call_log.total}; journal: {_counted(outcomes)}",
        f"from webhook or change to copy, {changes} changes: "
        + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in late),
    ]


def _counted(counts: Mapping[str, int] | Counter[str]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
