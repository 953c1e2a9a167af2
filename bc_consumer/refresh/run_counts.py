"""What a run says of the looks that its marks led to: the only code that counts them.

Counted in the transaction that makes each true, and while the run is under way: what is looked at
after its end changes nothing of what it has said. docs/operations.md defines each figure.
"""

from collections import Counter
from collections.abc import Collection, Mapping

from django.db.models import F

from bc_consumer.models import PendingBC, SyncLog

Counts = Mapping[int, Counter[str]]
"""Run → column → how many more."""


def runs_of(rows: Collection[PendingBC]) -> dict[int, int]:
    """Return the run that the look at each of these claimed rows is for, by order.

    A row whose mark by the run was fetched before does not count again: it is only watched. The run
    is read anew, for another run may have adopted the marks of a killed one since the claim.
    """
    asked = {
        row.odoo_id
        for row in rows
        if row.run_generation is not None and row.fetched_generation < row.run_generation
    }
    if not asked:
        return {}
    now = PendingBC.objects.filter(odoo_id__in=sorted(asked), run__isnull=False)
    return dict(now.values_list("odoo_id", "run_id"))


def add(counts: Counts) -> None:
    """Add to the figures of these runs, in ascending order, before the ledger's rows are locked."""
    for run, figures in sorted(counts.items()):
        if more := {name: F(name) + count for name, count in figures.items() if count}:
            SyncLog.objects.filter(pk=run, status=SyncLog.Status.RUNNING).update(**more)


def lock(runs: Collection[int]) -> None:
    """Lock what will be added to; for whoever has to lock the ledger's rows before he can count."""
    wanted = SyncLog.objects.select_for_update().filter(pk__in=sorted(set(runs))).order_by("pk")
    list(wanted.values_list("pk", flat=True))


def is_first_load(run: int) -> bool:
    """Whether this run loads everything, with no run before it."""
    return SyncLog.objects.filter(pk=run, window_since=None).exists()
