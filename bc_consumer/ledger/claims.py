"""Claims due rows: a lease on a batch. It ends by itself: a killed worker's rows come back."""

import secrets
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from bc_consumer.core import process_state
from bc_consumer.core.sql_dialect import dialect, ids_parameter
from bc_consumer.ledger import circuit_breaker
from bc_consumer.ledger.marks import Mark, mark
from bc_consumer.ledger.rows import CLAIMABLE, FREE, TABLE, locked, update_locked
from bc_consumer.models import Lane, PendingBC

PROBE_ORDERS = 1
"""What is claimed to find out whether Odoo is back."""
BESIDE_URGENT = 20
"""Bulk rows in a batch with urgent ones: so many that a load goes on under a stream of events, so
few that the events do not wait for them."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim came to."""

    rows: Sequence[PendingBC] = ()
    wait: float = 0.0
    """Seconds after which to claim again, when it was not time for it."""
    probing: bool = False
    """Odoo failed before. Whoever got this claim must call ``circuit_breaker.record_success`` or
    ``record_failure``."""


class LeaseLost(Exception):
    """Rows of this claim are no longer ours: another worker has, or had, them. Nothing is written.

    ``ids`` are the rows that were lost.
    """

    def __init__(self, ids: Collection[int]) -> None:
        self.ids = frozenset(ids)
        super().__init__(f"The claim on BC {sorted(self.ids)} ran out; another worker has them.")


def new_token(run: int | None = None) -> uuid.UUID:
    """Return a token for a claim; it begins with the key of the run whose own crew makes it.

    Any other begins with the process's number.
    """
    owner = process_state.number() if run is None else run
    return uuid.UUID(int=owner << 64 | secrets.randbits(64))


def claim(limit: int, token: uuid.UUID, *, bulk: bool = True) -> Claim:
    """Lease up to ``limit`` due rows, the urgent ones first.

    Urgent rows share their batch with a few of the bulk lane at most, for a large batch takes long;
    ``bulk`` False: with none. A batch that is not full holds the next one back for
    ``BATCH_PACE_SECONDS``, so that a stream of events costs a bounded number of calls. After Odoo
    failed, a probe is all that anybody gets.
    """
    with transaction.atomic():
        turn = circuit_breaker.take_turn()
        if turn is None:
            return Claim(wait=circuit_breaker.seconds_to_turn())
        most = min(limit, PROBE_ORDERS) if turn.probing else limit
        rows = _claim_where(f"lane < {Lane.BULK.value} AND {FREE}", [], most, token)
        room = min(most - len(rows), BESIDE_URGENT) if rows else most
        beside = []
        if bulk and room:
            beside = _claim_where(f"lane = {Lane.BULK.value} AND {FREE}", [], room, token)
            rows = sorted([*rows, *beside], key=lambda row: row.odoo_id)
        more = len(rows) == limit or len(beside) == room > 0
        if not rows or (more and not turn.probing and not settings.ODOO_CALLS_PER_SECOND):
            circuit_breaker.give_turn_back()
    return Claim(rows, probing=turn.probing and bool(rows))


def claim_also(ids: Collection[int], cause: str, token: uuid.UUID) -> list[PendingBC]:
    """Bring orders into a batch that needs them; return fewer when another worker has some.

    They are marked first, so that nothing is lost should this worker die.
    """
    with transaction.atomic():
        mark(ids, Mark(cause=cause, lane=Lane.BULK))
        return _claim_where(
            f"odoo_id IN (SELECT item.id FROM {dialect().ids})"
            " AND (claim_token IS NULL OR claimed_until < {now})",
            [ids_parameter(ids)],
            len(ids),
            token,
        )


def _claim_where(
    condition: str, parameters: list[Any], limit: int, token: uuid.UUID
) -> list[PendingBC]:
    sql = dialect()
    lease = sql.later.format("%s")
    statement = f"""
        WITH due AS MATERIALIZED (
            SELECT odoo_id FROM {TABLE} WHERE {CLAIMABLE} AND {condition.format(now=sql.now)}
            ORDER BY lane, due_at, odoo_id LIMIT %s {sql.skip_locked})
        UPDATE {TABLE} SET claim_token = %s, claimed_until = {lease}, sent_at = NULL
        WHERE odoo_id IN (SELECT odoo_id FROM due)
        RETURNING *"""
    rows = PendingBC.objects.raw(statement, [*parameters, limit, token.hex, settings.LEASE_SECONDS])
    return sorted(rows, key=lambda row: row.odoo_id)


def claimed_at(row: PendingBC) -> datetime:
    """Return when a row just claimed was claimed: no fetch of it began earlier."""
    if row.claimed_until is None:
        raise ValueError(f"BC {row.odoo_id} is not claimed")
    return row.claimed_until - timedelta(seconds=settings.LEASE_SECONDS)


def renew(token: uuid.UUID, ids: Collection[int]) -> set[int]:
    """Lengthen the lease of these rows; return those that are still ours."""
    sql = dialect()
    # Locked by id first: an UPDATE by itself takes rows as they lie, and a mark those by id.
    statement = f"""
        WITH ours AS MATERIALIZED (
            SELECT odoo_id FROM {TABLE}
            WHERE odoo_id IN (SELECT item.id FROM {sql.ids}) AND claim_token = %s
            ORDER BY odoo_id {sql.lock})
        UPDATE {TABLE} SET claimed_until = {sql.later.format("%s")}
        WHERE odoo_id IN (SELECT odoo_id FROM ours)
        RETURNING odoo_id"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [ids_parameter(ids), token.hex, settings.LEASE_SECONDS])
        return {odoo_id for (odoo_id,) in cursor.fetchall()}


def free_claim(token: uuid.UUID) -> None:
    """Give back at once whatever is claimed under this token."""
    rows = PendingBC.objects.filter(claim_token=token)
    update_locked(rows, claim_token=None, claimed_until=None, due_at=Now())


def free_claims_of(owner: int) -> int:
    """Give back at once what a run's crew, or a process, has claimed; return how many rows.

    For whoever knows that it has died, by the reconciliation's lock or by its heartbeat: nobody
    need wait for its leases. One that is only late finds its token gone, and writes nothing.
    """
    return _free_claims(owner, owner + 1)


def free_claims_of_runs() -> int:
    """Give back at once what any run's crew has claimed, for whoever has the lock: all are over."""
    return _free_claims(0, process_state.LOWEST_NUMBER)


def _free_claims(first: int, beyond: int) -> int:
    """Give back what is claimed by owners from ``first`` to the one before ``beyond``."""
    rows = PendingBC.objects.filter(
        claim_token__gte=uuid.UUID(int=first << 64), claim_token__lt=uuid.UUID(int=beyond << 64)
    )
    with transaction.atomic():
        return locked(rows).update(claim_token=None, claimed_until=None, sent_at=None, due_at=Now())
