"""Ends a claim: settle, release, put off, fail or hold its rows."""

import json
import traceback
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce, Concat, Now

from bc_consumer.core import process_state
from bc_consumer.core.redaction import redacted
from bc_consumer.core.sql_dialect import dialect, moment_parameter
from bc_consumer.core.translatable import Message, message_of
from bc_consumer.ledger import error_fingerprint
from bc_consumer.ledger.claims import LeaseLost, claimed_at
from bc_consumer.ledger.owed import WAITS
from bc_consumer.ledger.rows import FORCE, TABLE, update_locked
from bc_consumer.models import Lane, PendingBC

RETRY_SECONDS = 2.0
"""Before an order's second attempt; each later one waits twice as long."""


@dataclass(frozen=True, slots=True)
class LookOutcome:
    """The outcome of one fetch of one claimed row, for :func:`settle`."""

    claimed: PendingBC
    shown: bool
    """A difference was applied."""
    next_look: float | None
    """Seconds after the last mark at which to look again; None: the row is done."""
    late: bool = False
    """That look is done in the bulk lane: no event's order waits for it."""


def settle(token: uuid.UUID, looks: Sequence[LookOutcome]) -> None:
    """Close these looks: last statements of the transaction that applied them.

    Unmoved rows are deleted, or dated for their next early look; rows marked meanwhile are due at
    once. Raises LeaseLost, which must roll the transaction back, when any row is not ours.

    A mark of these orders waits from the first row's lock to the commit. So it is one statement on
    PostgreSQL: between two a busy machine may not let this process run for a while.
    """
    items = json.dumps([_item(look) for look in sorted(looks, key=lambda one: one.claimed.odoo_id)])
    moved = f"{TABLE}.generation <> item.generation"
    values = f"""
        fetched_generation = item.generation, claim_token = NULL, claimed_until = NULL,
        sent_at = NULL, first_failed_at = NULL, held_at = NULL, attempts = 0, batch_limit = 0,
        error_class = '', last_error = '', failure = '', traceback = '',
        due_at = CASE WHEN {moved} THEN item.began ELSE item.due END,
        lane = CASE WHEN {moved} THEN {TABLE}.lane ELSE COALESCE(item.lane, {TABLE}.lane) END,
        shown_at = CASE WHEN {moved} THEN {TABLE}.shown_at ELSE item.shown_at END,
        marks = {TABLE}.marks - CASE WHEN {moved} THEN item.marks ELSE 0 END,
        owed_since = CASE WHEN NOT ({moved}) THEN {TABLE}.owed_since
            WHEN {TABLE}.first_marked_at > item.began THEN {TABLE}.first_marked_at
            ELSE item.began END,
        first_marked_at = CASE WHEN {moved} AND {TABLE}.first_marked_at < item.began
            THEN item.began ELSE {TABLE}.first_marked_at END"""
    settle_rows = _settle_at_once if connection.vendor == "postgresql" else _settle_in_two
    done, kept = settle_rows(items, values, token.hex)
    if lost := {look.claimed.odoo_id for look in looks} - done - kept:
        raise LeaseLost(lost)
    if kept:
        transaction.on_commit(process_state.wake.set)


def _settle_at_once(items: str, values: str, token: str) -> tuple[set[int], set[int]]:
    """Lock by id, then delete and update; return the ids deleted, and those kept."""
    statement = f"""
        WITH item AS MATERIALIZED (SELECT * FROM {dialect().looks}),
        ours AS MATERIALIZED (
            SELECT odoo_id, generation FROM {TABLE}
            WHERE odoo_id IN (SELECT id FROM item) AND claim_token = %s
            ORDER BY odoo_id FOR UPDATE),
        done AS (
            DELETE FROM {TABLE} USING item, ours
            WHERE {TABLE}.odoo_id = ours.odoo_id AND item.id = ours.odoo_id
                AND item.due IS NULL AND ours.generation = item.generation
            RETURNING {TABLE}.odoo_id),
        kept AS (
            UPDATE {TABLE} SET {values} FROM item, ours
            WHERE {TABLE}.odoo_id = ours.odoo_id AND item.id = ours.odoo_id
                AND (item.due IS NOT NULL OR ours.generation <> item.generation)
            RETURNING {TABLE}.odoo_id)
        SELECT odoo_id, true FROM done UNION ALL SELECT odoo_id, false FROM kept"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [items, token])
        rows = cursor.fetchall()
    done = {odoo_id for odoo_id, is_done in rows if is_done}
    return done, {odoo_id for odoo_id, _is_done in rows} - done


def _settle_in_two(items: str, values: str, token: str) -> tuple[set[int], set[int]]:
    """Do the same on SQLite, which has one writer, and no statement that deletes and updates."""
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


def _item(look: LookOutcome) -> dict[str, Any]:
    """Return what the statement needs of a look.

    ``began``: the claim, from which a row that was marked meanwhile counts. ``due``: the next look;
    none: the row is done. ``marks``: those that this look answers; a row that was only watched has
    begun its count anew.
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
        "lane": Lane.BULK.value if look.late else None,  # a mark brings it back
        "marks": claimed.marks if claimed.generation > claimed.fetched_generation else 0,
    }


def put_off(token: uuid.UUID, ids: Collection[int], delay: float, why: Message) -> None:
    """Give rows back untried that wait for another order, which has to be mended first."""
    _give_back(token, ids, delay, error_class=WAITS, last_error=why)


def release(
    token: uuid.UUID, ids: Collection[int], delay: float = 0.0, batch_limit: int = 0
) -> None:
    """Give rows back untried, due in ``delay`` seconds; no attempt is used up.

    ``batch_limit``: from now on these are read with so many others at most.
    """
    _give_back(token, ids, delay, **({"batch_limit": batch_limit} if batch_limit else {}))


def _give_back(token: uuid.UUID, ids: Collection[int], delay: float, **values: Any) -> None:
    rows = PendingBC.objects.filter(odoo_id__in=sorted(ids), claim_token=token)
    due = Now() + timedelta(seconds=delay)
    update_locked(rows, claim_token=None, claimed_until=None, due_at=due, **values)


def fail(
    token: uuid.UUID,
    claimed: PendingBC,
    error: BaseException,
    text: Message | None = None,
    *,
    hopeless: bool = False,
) -> bool:
    """Count one failed attempt at this order; return whether it was the last one.

    ``text`` says why, to a person; without it the error does. Later attempts wait longer, and
    alone. After ``MAX_ATTEMPTS``, or when it is ``hopeless``, the row stays as failed, with its
    error, until it is marked again or replayed. Marked since it was ``claimed``, it has one attempt
    more, at once: what failed may be mended by then.
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
            failure=error_fingerprint.kind(name, text),
            traceback=redacted("".join(traceback.format_exception(error))),
            first_failed_at=row.first_failed_at or Now(),
            failed_at=Now() if last else None,
            held_at=None if last else row.held_at,
            due_at=Now() + timedelta(seconds=0.0 if moved else RETRY_SECONDS * 2 ** (attempts - 1)),
        )
    return last


def hold(token: uuid.UUID, claimed: Collection[PendingBC], reason: Message) -> set[int]:
    """Set these rows aside until a person, or the next run, lets them go; return which were.

    What was marked since it was claimed is due at once instead: that mark may let it go.
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


def let_go(*, forced: bool, odoo_ids: Collection[int] | None = None, run: int | None = None) -> int:
    """Make held rows due again, all of them or these; they wait from now on.

    ``forced``: the brake will not hold them a second time. ``run``: they are this run's own, as if
    it had marked them.
    """
    held = PendingBC.objects.exclude(held_reason="")
    if odoo_ids is not None:
        held = held.filter(odoo_id__in=sorted(odoo_ids))
    values: dict[str, Any] = {"held_reason": "", "due_at": Now(), "owed_since": Now()}
    later = F("generation") + 1
    values |= {"causes": Concat("causes", Value(f",{FORCE}"))} if forced else {}
    values |= {"run": run, "generation": later, "run_generation": later} if run else {}
    return update_locked(held, **values)
