"""The ledger: which orders the copy still has to fetch. Nothing else writes PendingBC, except
``operations.clock_steps`` after the database's clock was set.

mark (``marks``) → claim and renew → settle, release, put off, fail or hold (``claims``).
``queries`` finds what waits, and in vain; ``circuit_breaker`` and ``call_slots`` decide who may
claim rows or call Odoo. Every time is the database's. Any room above may import it. Start with
``marks``."""

from bc_consumer.ledger.claims import (
    RETRY_SECONDS,
    WAITS_FOR_ANOTHER_ORDER,
    Claim,
    LeaseLost,
    LookOutcome,
    adopt,
    claim,
    claim_also,
    claimed_at,
    fail,
    free_claim,
    free_claims_of,
    free_claims_of_runs,
    give_turn_back,
    hold,
    new_token,
    put_off,
    release,
    release_held,
    renew,
    seconds_until_due,
    settle,
    take_overdue,
)
from bc_consumer.ledger.marks import FORCE, SCRUB, Mark, mark, mark_all, reopen
from bc_consumer.ledger.queries import failed, in_vain, outstanding, owed, stuck, stuck_in

__all__ = [
    "FORCE",
    "RETRY_SECONDS",
    "SCRUB",
    "WAITS_FOR_ANOTHER_ORDER",
    "Claim",
    "LeaseLost",
    "LookOutcome",
    "Mark",
    "adopt",
    "claim",
    "claim_also",
    "claimed_at",
    "fail",
    "failed",
    "free_claim",
    "free_claims_of",
    "free_claims_of_runs",
    "give_turn_back",
    "hold",
    "in_vain",
    "mark",
    "mark_all",
    "new_token",
    "outstanding",
    "owed",
    "put_off",
    "release",
    "release_held",
    "renew",
    "reopen",
    "seconds_until_due",
    "settle",
    "stuck",
    "stuck_in",
    "take_overdue",
]
