"""Takes turns to claim, claims due rows, and ends claims: settle, release, put off, fail or hold.

A claim is a lease on a batch of rows. It expires by itself, so that the rows of a killed worker
become claimable again.
"""

import json
import secrets
import traceback
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce, Concat, Now

from bc_consumer.core import process_state
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.sql_dialect import dialect, ids_parameter, moment_parameter
from bc_consumer.core.translatable import Message, message_of
from bc_consumer.ledger import circuit_breaker, error_fingerprint
from bc_consumer.ledger.circuit_breaker import PACE_ID
from bc_consumer.ledger.marks import FORCE, TABLE, Mark, mark
from bc_consumer.models import Lane, Pace, PendingBC

CLAIMABLE = "failed_at IS NULL AND held_reason = ''"
FREE = "due_at <= {now} AND (claim_token IS NULL OR claimed_until < {now})"
PROBE_ORDERS = 1
"""Orders in the batch that shows whether Odoo is back."""
WAITS_FOR_ANOTHER_ORDER = "LinesElsewhere"
"""The ``error_class`` of an order whose lines the copy has under another order that is failed or
held. The value is historical, and rows have it: it stays whatever any class is called."""
BESIDE_URGENT = 20
"""Most bulk rows in a batch with urgent ones: enough for a load to make progress under a stream of
events, and few enough not to delay the events."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Permission to claim one batch now."""

    probing: bool
    """Odoo failed before. This batch is the only one under way, and shows whether Odoo is back."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of an attempt to claim."""

    rows: Sequence[PendingBC] = ()
    wait: float = 0.0
    """Seconds until the next attempt, when it was not time to claim."""
    probing: bool = False
    """Odoo failed before. The caller must call ``circuit_breaker.record_success`` or
    ``record_failure``."""


class LeaseLost(Exception):
    """The lease on rows of this claim ran out; another worker has or had them. Nothing is written.

    ``ids`` are the orders whose rows were lost.
    """

    def __init__(self, ids: Collection[int]) -> None:
        self.ids = frozenset(ids)
        super().__init__(f"The claim on BC {sorted(self.ids)} ran out; another worker has them.")


def seconds_until_due() -> float | None:
    """Return the seconds until a row can be claimed (0.0: now), or None when no row is waiting.

    While calls to Odoo are paused no row can be claimed, so the pause counts as well.
    """
    seconds = dialect().seconds_until
    statement = f"""
        SELECT
            (SELECT {seconds.format("MIN(due_at)")} FROM {TABLE}
                WHERE {CLAIMABLE} AND claim_token IS NULL),
            (SELECT {seconds.format("MIN(claimed_until)")} FROM {TABLE}
                WHERE {CLAIMABLE} AND claim_token IS NOT NULL),
            (SELECT {seconds.format("MIN(next_claim_at)")} FROM {Pace._meta.db_table}
                WHERE paused_since IS NOT NULL)"""
    with connection.cursor() as cursor:
        # Pass an empty list of parameters so that the driver turns %% into %.
        cursor.execute(statement, [])
        free, claimed, pause = cursor.fetchone()
    due = [value for value in (free, claimed) if value is not None]
    if pause is not None and pause > circuit_breaker.longest_pause():
        pause = None  # the clock was set back, so the pause is over
    return max(min(due), pause or 0.0, 0.0) if due else None


def take_overdue(age: float, limit: int) -> list[int]:
    """Return the ids of due rows whose message seems to be lost, and set their ``sent_at`` to now.

    Their message was sent at least ``age`` seconds ago; or none was sent, and they have been due
    that long. The ids are ascending, ``limit`` of them at most.
    """
    sql = dialect()
    statement = f"""
        WITH overdue AS MATERIALIZED (
            SELECT odoo_id FROM {TABLE}
            WHERE {CLAIMABLE} AND claim_token IS NULL AND generation > fetched_generation
                AND due_at <= {sql.now} AND COALESCE(sent_at, due_at) <= {sql.later.format("%s")}
            ORDER BY lane, due_at, odoo_id LIMIT %s {sql.skip_locked})
        UPDATE {TABLE} SET sent_at = {sql.now} WHERE odoo_id IN (SELECT odoo_id FROM overdue)
        RETURNING odoo_id"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [-age, limit])
        return sorted(odoo_id for (odoo_id,) in cursor.fetchall())


def new_token(run: int | None = None) -> uuid.UUID:
    """Return a new token for a claim; its first half names the owner.

    The owner is the run's primary key for claims of the run's own threads, else the number of this
    process.
    """
    owner = process_state.process_number() if run is None else run
    return uuid.UUID(int=owner << 64 | secrets.randbits(64))


def pace_seconds() -> float:
    """Return the shortest time in seconds between two batches that are not full.

    With a limit on calls per second it applies to full batches, too: otherwise these would queue up
    for their calls, with a webhook's order behind them.
    """
    rate = settings.ODOO_CALLS_PER_SECOND
    return max(float(settings.BATCH_PACE_SECONDS), 1 / rate if rate else 0.0)


def longest_turn() -> float:
    """Return the greatest number of seconds that the next turn can lie ahead while Odoo works.

    If it lies further ahead, the database's clock was set back.
    """
    return pace_seconds() + circuit_breaker.CLOCK_MARGIN_SECONDS


def take_turn() -> Turn | None:
    """Take the turn to claim; return None when it is not time for one.

    The next turn comes after :func:`pace_seconds`. If this turn is a probe, the next one comes
    after the longest time that a probe can take, in case its worker is killed.
    """
    sql = dialect()
    table = Pace._meta.db_table
    later = sql.later.format("CASE WHEN paused_since IS NULL THEN %s ELSE %s END")
    statement = f"""
        UPDATE {table} SET next_claim_at = {later}
        WHERE id = %s AND (next_claim_at <= {sql.now} OR next_claim_at > {later})
        RETURNING paused_since"""
    longest = [longest_turn(), circuit_breaker.longest_pause()]
    with connection.cursor() as cursor:
        cursor.execute(
            statement, [pace_seconds(), circuit_breaker.probe_seconds(), PACE_ID, *longest]
        )
        found = cursor.fetchone()
    return None if found is None else Turn(probing=found[0] is not None)


def give_turn_back() -> None:
    """Make the next turn available at once: this one claimed nothing, or a full batch."""
    Pace.objects.filter(pk=PACE_ID).update(next_claim_at=Now())


def seconds_to_turn() -> float:
    """Return the seconds until a worker may claim, always above 0."""
    row = Pace.objects.annotate(now=Now()).get(pk=PACE_ID)
    ahead = (row.next_claim_at - row.now).total_seconds()
    longest = longest_turn() if row.paused_since is None else circuit_breaker.longest_pause()
    return ahead if 0.001 < ahead <= longest else 0.001


def claim(limit: int, token: uuid.UUID, *, bulk: bool = True) -> Claim:
    """Lease up to ``limit`` due rows, urgent ones first.

    Because a large batch takes long, urgent rows share theirs with at most ``BESIDE_URGENT`` bulk
    rows. With ``bulk`` False no bulk rows are claimed. A batch that is not full delays the next one
    by ``BATCH_PACE_SECONDS``, so that a stream of events costs a bounded number of calls. After
    Odoo failed, the only batch is a probe.
    """
    with transaction.atomic():
        turn = take_turn()
        if turn is None:
            return Claim(wait=seconds_to_turn())
        most = min(limit, PROBE_ORDERS) if turn.probing else limit
        rows = _claim_where(f"lane < {Lane.BULK.value} AND {FREE}", [], most, token)
        room = min(most - len(rows), BESIDE_URGENT) if rows else most
        beside = []
        if bulk and room:
            beside = _claim_where(f"lane = {Lane.BULK.value} AND {FREE}", [], room, token)
            rows = sorted([*rows, *beside], key=lambda row: row.odoo_id)
        more = len(rows) == limit or len(beside) == room > 0
        if not rows or (more and not turn.probing and not settings.ODOO_CALLS_PER_SECOND):
            give_turn_back()
    return Claim(rows, probing=turn.probing and bool(rows))


def claim_also(ids: Collection[int], cause: str, token: uuid.UUID) -> list[PendingBC]:
    """Mark and claim these orders, which a batch needs; return the rows claimed.

    Rows that another worker has are missing from the result. The orders are marked first, so that
    nothing is lost if this worker dies.
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
    """Return when this row was claimed, if it has just been: no fetch of it began earlier.

    Raises ValueError when the row is not claimed.
    """
    if row.claimed_until is None:
        raise ValueError(f"BC {row.odoo_id} is not claimed")
    return row.claimed_until - timedelta(seconds=settings.LEASE_SECONDS)


def renew(token: uuid.UUID, ids: Collection[int]) -> set[int]:
    """Extend the lease of these rows by ``LEASE_SECONDS`` from now; return the ids still held."""
    sql = dialect()
    # Lock in order of id first: an UPDATE alone locks rows in physical order, and marks lock by id,
    # so that the two could deadlock.
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
    """Give back all rows claimed under this token, due now."""
    rows = PendingBC.objects.filter(claim_token=token)
    rows.update_locked(claim_token=None, claimed_until=None, due_at=Now())


def free_claims_of(owner: int) -> int:
    """Give back the rows that a run's own threads, or a process, have claimed; return how many.

    Call this only when the owner is known to be dead, by the reconciliation's lock or by its
    heartbeat; its rows then need not wait for their leases to end. An owner that is merely late
    finds its token gone and writes nothing.
    """
    return _free_claims(owner, owner + 1)


def free_claims_of_runs() -> int:
    """Give back the rows that any run's own threads have claimed; return how many.

    Only the holder of the reconciliation's lock may call this: all earlier runs are over.
    """
    return _free_claims(0, process_state.LOWEST_NUMBER)


def _free_claims(first: int, beyond: int) -> int:
    """Give back the rows claimed by owners from ``first`` up to, not including, ``beyond``."""
    rows = PendingBC.objects.filter(
        claim_token__gte=uuid.UUID(int=first << 64), claim_token__lt=uuid.UUID(int=beyond << 64)
    )
    with transaction.atomic():
        return rows.locked().update(
            claim_token=None, claimed_until=None, sent_at=None, due_at=Now()
        )


def adopt(run: int) -> int:
    """Assign to this run what earlier runs marked and nobody has fetched; return how many rows.

    Only the holder of the reconciliation's lock may call this: all earlier runs are over.
    """
    others = PendingBC.objects.outstanding().filter(run__isnull=False).exclude(run=run)
    return others.update_locked(run=run)


RETRY_SECONDS = 2.0
"""Delay before an order's second attempt; it doubles with each further one."""


@dataclass(frozen=True, slots=True)
class LookOutcome:
    """The outcome of one fetch of one claimed row; the input of :func:`settle`."""

    claimed: PendingBC
    shown: bool
    """A difference was applied."""
    next_look: float | None
    """Seconds from the last mark to the next look; None when the row is done."""
    late: bool = False
    """The next look goes to the bulk lane, so that no event's order waits for it."""


def settle(token: uuid.UUID, looks: Sequence[LookOutcome]) -> None:
    """Close these looks; call it last in the transaction that applied them.

    Rows that were not marked since the claim are deleted, or become due for their next early look.
    Rows that were marked since are due at once. Raises LeaseLost, which must roll the transaction
    back, when any row is no longer claimed under ``token``.

    Marks of these orders wait from the first row lock until the commit. Therefore it is a single
    statement on PostgreSQL: between two statements a busy machine may suspend this process.
    """
    items = json.dumps(
        [_settle_item(look) for look in sorted(looks, key=lambda one: one.claimed.odoo_id)]
    )
    moved = f"{TABLE}.generation <> item.generation"
    values = f"""
        fetched_generation = item.generation, claim_token = NULL, claimed_until = NULL,
        sent_at = NULL, first_failed_at = NULL, held_at = NULL, attempts = 0, batch_limit = 0,
        error_class = '', last_error = '', last_error_parts = '', failure = '', traceback = '',
        due_at = CASE WHEN {moved} THEN item.began ELSE item.due END,
        lane = CASE WHEN {moved} THEN {TABLE}.lane ELSE COALESCE(item.lane, {TABLE}.lane) END,
        shown_at = CASE WHEN {moved} THEN {TABLE}.shown_at ELSE item.shown_at END,
        marks = {TABLE}.marks - CASE WHEN {moved} THEN item.marks ELSE 0 END,
        owed_since = CASE WHEN NOT ({moved}) THEN {TABLE}.owed_since
            WHEN {TABLE}.first_marked_at > item.began THEN {TABLE}.first_marked_at
            ELSE item.began END,
        first_marked_at = CASE WHEN {moved} AND {TABLE}.first_marked_at < item.began
            THEN item.began ELSE {TABLE}.first_marked_at END"""
    settle_rows = (
        _settle_in_one_statement if connection.vendor == "postgresql" else _settle_in_two_statements
    )
    done, kept = settle_rows(items, values, token.hex)
    if lost := {look.claimed.odoo_id for look in looks} - done - kept:
        raise LeaseLost(lost)
    if kept:
        transaction.on_commit(process_state.wake.set)


def _settle_in_one_statement(items: str, values: str, token: str) -> tuple[set[int], set[int]]:
    """Lock in order of id, then delete and update; return the ids deleted and the ids kept.

    The looks are joined to their rows once: PostgreSQL, which expects one row of them, would
    compare each of 200 looks with each of 200 rows.
    """
    statement = f"""
        WITH ours AS MATERIALIZED (
            SELECT item.*, {TABLE}.generation AS present_generation
            FROM {dialect().looks} JOIN {TABLE} ON {TABLE}.odoo_id = item.id
            WHERE claim_token = %s ORDER BY odoo_id FOR UPDATE OF {TABLE}),
        done AS (
            DELETE FROM {TABLE} USING ours AS item
            WHERE {TABLE}.odoo_id = item.id
                AND item.due IS NULL AND item.present_generation = item.generation
            RETURNING {TABLE}.odoo_id),
        kept AS (
            UPDATE {TABLE} SET {values} FROM ours AS item
            WHERE {TABLE}.odoo_id = item.id
                AND (item.due IS NOT NULL OR item.present_generation <> item.generation)
            RETURNING {TABLE}.odoo_id)
        SELECT odoo_id, true FROM done UNION ALL SELECT odoo_id, false FROM kept"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [items, token])
        rows = cursor.fetchall()
    done = {odoo_id for odoo_id, is_done in rows if is_done}
    return done, {odoo_id for odoo_id, _is_done in rows} - done


def _settle_in_two_statements(items: str, values: str, token: str) -> tuple[set[int], set[int]]:
    """Do the same on SQLite, which has one writer and cannot delete and update in one statement."""
    looks = dialect().looks
    with connection.cursor() as cursor:
        cursor.execute(
            f"""DELETE FROM {TABLE} WHERE claim_token = %s AND EXISTS (
                SELECT 1 FROM {looks} WHERE item.id = {TABLE}.odoo_id AND item.due IS NULL
                    AND item.generation = {TABLE}.generation)
            RETURNING odoo_id""",
            [token, items],
        )
        done = {odoo_id for (odoo_id,) in cursor.fetchall()}
        cursor.execute(
            f"""UPDATE {TABLE} SET {values} FROM {looks}
            WHERE item.id = {TABLE}.odoo_id AND claim_token = %s RETURNING odoo_id""",
            [items, token],
        )
        return done, {odoo_id for (odoo_id,) in cursor.fetchall()}


def _settle_item(look: LookOutcome) -> dict[str, Any]:
    """Return the look in the form that the statement takes.

    ``began`` is the time of the claim; a row that was marked meanwhile is owed from then on.
    ``due`` is the time of the next look, or None when the row is done. ``marks`` is the number of
    marks that this look answers: 0 for a row that was only watched, because the first mark after a
    fetch starts the count again.
    """
    claimed = look.claimed
    began = claimed_at(claimed)
    due = None
    if look.next_look is not None:
        due = claimed.last_marked_at + timedelta(seconds=look.next_look)
    shown_at = claimed.shown_at or (began if look.shown else None)
    return {
        "id": claimed.odoo_id,
        "generation": claimed.generation,
        "began": moment_parameter(began),
        "due": moment_parameter(due),
        "shown_at": moment_parameter(shown_at),
        "lane": Lane.BULK.value if look.late else None,  # the next mark restores the lane
        "marks": claimed.marks if claimed.generation > claimed.fetched_generation else 0,
    }


def put_off(token: uuid.UUID, ids: Collection[int], delay: float, why: Message) -> None:
    """Give back rows that wait for another order to be repaired; no attempt is used up.

    They are due in ``delay`` seconds. ``why`` is shown to operators.
    """
    _give_back(token, ids, delay, error_class=WAITS_FOR_ANOTHER_ORDER, last_error=why)


def release(
    token: uuid.UUID, ids: Collection[int], delay: float = 0.0, batch_limit: int = 0
) -> None:
    """Give rows back, due in ``delay`` seconds; no attempt is used up.

    A ``batch_limit`` above 0 caps the size of the batches in which these orders are read from now
    on.
    """
    _give_back(token, ids, delay, **({"batch_limit": batch_limit} if batch_limit else {}))


def _give_back(token: uuid.UUID, ids: Collection[int], delay: float, **values: Any) -> None:
    rows = PendingBC.objects.filter(odoo_id__in=sorted(ids), claim_token=token)
    due = Now() + timedelta(seconds=delay)
    rows.update_locked(claim_token=None, claimed_until=None, due_at=due, **values)


def fail(
    token: uuid.UUID,
    claimed: PendingBC,
    error: BaseException,
    text: Message | None = None,
    *,
    hopeless: bool = False,
) -> bool:
    """Count one failed attempt at this order; return whether it was the last one.

    ``text`` explains the failure to a person; it defaults to the error's own message. Each further
    attempt waits twice as long as the one before, and the order is read alone. After
    ``MAX_ATTEMPTS`` attempts, or at once when it is ``hopeless``, the row stays as failed, with its
    error, until it is marked again or replayed. A row that was marked after ``claimed`` was read
    gets one more attempt at once, since the cause may be gone. Raises LeaseLost when the row is no
    longer claimed under ``token``.
    """
    name, text = type(error).__name__, redacted(text or message_of(error))
    ours = PendingBC.objects.filter(odoo_id=claimed.odoo_id, claim_token=token)
    with transaction.atomic():
        row = ours.select_for_update().first()
        if row is None:
            raise LeaseLost([claimed.odoo_id])
        moved = row.generation != claimed.generation
        attempts = row.attempts + 1
        if moved:
            attempts = min(attempts, settings.MAX_ATTEMPTS - 1)
        last = not moved and (hopeless or attempts >= settings.MAX_ATTEMPTS)
        ours.update(
            claim_token=None,
            claimed_until=None,
            sent_at=None,
            attempts=attempts,
            batch_limit=1,
            error_class=name,
            last_error=text,
            failure=error_fingerprint.fingerprint(name, text),
            traceback=redacted("".join(traceback.format_exception(error))),
            first_failed_at=row.first_failed_at or Now(),
            failed_at=Now() if last else None,
            held_at=None if last else row.held_at,
            due_at=Now() + timedelta(seconds=0.0 if moved else RETRY_SECONDS * 2 ** (attempts - 1)),
        )
    return last


def hold(token: uuid.UUID, claimed: Collection[PendingBC], reason: Message) -> set[int]:
    """Hold these rows until a person or the next run releases them; return the ids held.

    A row that was marked since its claim is due at once instead, for that mark may release it.
    """
    generations = {row.odoo_id: row.generation for row in claimed}
    rows = PendingBC.objects.filter(odoo_id__in=sorted(generations), claim_token=token)
    with transaction.atomic():
        ours = list(rows.select_for_update().order_by("odoo_id"))
        held = {row.odoo_id for row in ours if row.generation == generations[row.odoo_id]}
        free = {"claim_token": None, "claimed_until": None, "sent_at": None}
        rows.exclude(odoo_id__in=held).update(**free, due_at=Now())
        rows.filter(odoo_id__in=held).update(
            **free, held_reason=reason, held_at=Coalesce("held_at", Now())
        )
    if len(held) < len(ours):
        process_state.wake.set()
    return held


def release_held(
    *, forced: bool, odoo_ids: Collection[int] | None = None, run: int | None = None
) -> int:
    """Release held rows, all of them or only ``odoo_ids``; return how many.

    They are due now and owed from now on. ``forced`` keeps the archive brake from holding them
    again. ``run`` assigns them to this run, as if it had marked them.
    """
    held = PendingBC.objects.exclude(held_reason="")
    if odoo_ids is not None:
        held = held.filter(odoo_id__in=sorted(odoo_ids))
    values: dict[str, Any] = {"held_reason": "", "due_at": Now(), "owed_since": Now()}
    later = F("generation") + 1
    values |= {"causes": Concat("causes", Value(f",{FORCE}"))} if forced else {}
    values |= {"run": run, "generation": later, "run_generation": later} if run else {}
    return held.update_locked(**values)
