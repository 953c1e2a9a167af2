"""What a run finds to differ: counted once, kept from being looked at in vain, and braked."""

import time
from collections.abc import Collection, Set

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.id_set import IdSet
from bc_consumer.models import SyncLog
from bc_consumer.odoo import Odoo, OdooAccessError
from bc_consumer.refresh import archive_brake

WEBHOOK_SECONDS = 5.0
"""For which a run that would stop waits for the webhooks of what it found gone."""
LOOK_SECONDS = 0.5


class Braked(Exception):
    """More orders seem gone than the brake allows; nothing was archived."""


class Findings:
    """Of one run, or of one slice of it."""

    def __init__(self, run: SyncLog, odoo: Odoo) -> None:
        self._run = run
        self._odoo = odoo
        self._found: dict[str, IdSet] = {}
        """Column → orders counted in it."""
        self._gone: set[int] = set()
        """Orders that are gone, and nobody announced."""

    def note(self, column: str, differing: Set[int], suspects: Set[int]) -> set[int]:
        """Count each order that differs once; return the suspects that are to be looked at.

        What this run has had looked at in vain is neither: it is told as failed, or as held.
        """
        stuck = ledger.stuck_in(self._run.pk, suspects)
        counted = self._found.setdefault(column, IdSet())
        new = sum(counted.add(odoo_id) for odoo_id in sorted(differing - stuck))
        setattr(self._run, column, getattr(self._run, column) + new)
        return set(suspects - stuck)

    def check_brake(self, maybe_gone: Set[int]) -> None:
        """Raise Braked before too many are archived; what was found before may be, and counts."""
        if self._run.forced:
            return
        away = maybe_gone - self._odoo.listing.existing(sorted(maybe_gone))
        away -= ledger.stuck_in(self._run.pk, away)  # the brake has decided about those
        if not away:
            return
        gone = set() if self._any_forbidden(away) else away
        self._gone |= gone
        end = time.monotonic() + WEBHOOK_SECONDS
        while reason := archive_brake.reason_to_stop(self._unvouched, self._odoo.listing.any_order):
            # Their webhooks may be on their way: Odoo 19 sends them after its commit.
            if time.monotonic() >= end or process_state.stopping.wait(LOOK_SECONDS):
                raise Braked(reason)

    def unarchived(self) -> int:
        """Count the orders that are gone and that no look of this run has archived, or held."""
        return len(
            archive_brake.still_current(self._gone) - ledger.stuck_in(self._run.pk, self._gone)
        )

    def _unvouched(self) -> int:
        """Forget what was archived, or announced, meanwhile; count what is left."""
        self._gone = archive_brake.unannounced(archive_brake.still_current(self._gone))
        return len(self._gone)

    def _any_forbidden(self, odoo_ids: Collection[int]) -> bool:
        """Whether Odoo has some of these and hides them; which, is told when each is fetched."""
        try:
            model = self._odoo.settings.order_model
            self._odoo.call(model, "read", [sorted(odoo_ids)], {"fields": ["write_date"]})
        except OdooAccessError:
            return True
        return False
