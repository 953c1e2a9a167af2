"""What a run finds to differ: counts each order once, and stops the run by the brake."""

import time
from collections.abc import Collection, Set

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.odoo_ids import IdSet
from bc_consumer.models import SyncLog
from bc_consumer.odoo import Odoo, OdooAccessError
from bc_consumer.refresh import archive_brake

WEBHOOK_SECONDS = 5.0
"""How long a run that the brake would stop waits for the webhooks of the orders it found gone."""
WAIT_SECONDS = 0.5
"""Between two looks for those webhooks."""


class Braked(Exception):
    """More orders seem to be gone than the brake allows; none of them was archived."""


class Findings:
    """What one run, or one slice of it, has found."""

    def __init__(self, run: SyncLog, odoo: Odoo) -> None:
        self._run = run
        self._odoo = odoo
        self._found: dict[str, IdSet] = {}
        """Column of SyncLog → orders counted in it."""
        self._gone: set[int] = set()
        """Orders that are gone without an announcement."""

    def count_and_filter(self, column: str, differing: Set[int], suspects: Set[int]) -> set[int]:
        """Count each order that differs once in the figure ``column``; return the suspects to mark.

        Left out of both are orders that this run has already had fetched in vain: they are reported
        as failed, or as held.
        """
        stuck = ledger.stuck_in(self._run.pk, suspects)
        self.count(column, differing - stuck)
        return set(suspects - stuck)

    def count(self, column: str, odoo_ids: Set[int]) -> None:
        """Count each of these orders once in the figure ``column``."""
        counted = self._found.setdefault(column, IdSet())
        newly_counted = sum(counted.add(odoo_id) for odoo_id in sorted(odoo_ids))
        setattr(self._run, column, getattr(self._run, column) + newly_counted)

    def check_brake(self, maybe_gone: Set[int]) -> None:
        """Raise Braked before too many orders are archived.

        Orders found gone before count too, even those that may be archived by now. A forced run is
        never stopped.
        """
        if self._run.forced:
            return
        missing = maybe_gone - self._odoo.listing.existing(sorted(maybe_gone))
        # The brake has already decided about those that are stuck.
        missing -= ledger.stuck_in(self._run.pk, missing)
        if not missing:
            return
        gone = set() if self._any_forbidden(missing) else missing
        self._gone |= gone
        end = time.monotonic() + WEBHOOK_SECONDS
        while reason := archive_brake.find_reason_to_stop(
            self._count_unvouched, self._odoo.listing.any_order
        ):
            # Their webhooks may be on their way: Odoo 19 sends them after its commit (measured).
            if time.monotonic() >= end or process_state.stopping.wait(WAIT_SECONDS):
                raise Braked(reason)

    def unarchived(self) -> int:
        """Return how many orders are gone that this run has neither archived nor held."""
        return len(
            archive_brake.still_current(self._gone) - ledger.stuck_in(self._run.pk, self._gone)
        )

    def _count_unvouched(self) -> int:
        """Forget orders that were archived or announced meanwhile; return how many are left."""
        self._gone = archive_brake.unannounced(archive_brake.still_current(self._gone))
        return len(self._gone)

    def _any_forbidden(self, odoo_ids: Collection[int]) -> bool:
        """Return whether Odoo has some of these but hides them; each one's fetch shows which."""
        try:
            model = self._odoo.settings.order_model
            self._odoo.call(model, "read", [sorted(odoo_ids)], {"fields": ["write_date"]})
        except OdooAccessError:
            return True
        return False
