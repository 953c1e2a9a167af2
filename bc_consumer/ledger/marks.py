"""Marks orders as pending: the only way to report that an order may have changed."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from bc_consumer.core.sql_dialect import dialect
from bc_consumer.models import Event, Lane, PendingBC

TABLE = PendingBC._meta.db_table
FORCE = "force"
"""The cause of a mark that the archive brake lets through."""
SCRUB = "scrub"
"""The cause of a mark by the scrub: only the order's content can show a difference."""
NAMED = 20
"""Order ids that one log line names."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of a possible change: who reports it, what happened, how urgent it is."""

    cause: str
    event: Event = Event.CHANGED
    lane: Lane = Lane.WEBHOOK
    early: bool = False
    """Odoo may have sent this before its commit."""
    payload: str = ""
    """The request's body as the caller sent it, for operators to read."""
    run: int | None = None
    """Primary key of the SyncLog of the reconciliation run that marks, if a run does."""


def shorten_ids(odoo_ids: Sequence[int]) -> str:
    """Return these ids for a log line: the first ``NAMED`` of them, and how many more there are."""
    named = ", ".join(str(odoo_id) for odoo_id in odoo_ids[:NAMED])
    return named if len(odoo_ids) <= NAMED else f"{named} and {len(odoo_ids) - NAMED} more"


def mark(odoo_ids: Iterable[int], details: Mark) -> list[int]:
    """Mark these orders as possibly changed; return the ids that need a message."""
    return mark_all((odoo_id, details) for odoo_id in odoo_ids)


def mark_all(marks: Iterable[tuple[int, Mark]]) -> list[int]:
    """Write any number of marks with one statement; return the ids that need a message.

    Each row is inserted, or its generation is raised. A failed row is reopened with one attempt.
    Rows in the bulk lane need no message. A row that the archive brake holds is released by a
    forced mark, and by a webhook: "deleted" confirms the archiving, and an order that changed may
    exist after all; if not, the brake holds it again. ``sent_at`` is set by the same statement, so
    that exactly one caller sends a message; if that message is lost, the timers find the row.
    """
    new = merged(marks)
    parameters: list[Any] = [
        Lane.BULK.value, json.dumps(new.payloads), json.dumps(new.items),
        max(settings.MAX_ATTEMPTS - 1, 0),
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_upsert_statement(), parameters)
        return [odoo_id for odoo_id, needs_message in cursor.fetchall() if needs_message]


def _upsert_statement() -> str:
    """Return the statement: it inserts each row, or raises its generation."""
    sql = dialect()
    owed = f"{TABLE}.generation > {TABLE}.fetched_generation"
    released = (
        f"(excluded.lane = {Lane.WEBHOOK.value} OR excluded.event = 'deleted'"
        f" OR excluded.causes = '{FORCE}')"
    )
    columns = {
        # A look that began before this mark settles with the old generation: it looks once more.
        "generation": f"{TABLE}.generation + 1",
        # The more urgent one; how urgent a failed row once was matters no more.
        "lane": f"""CASE WHEN {TABLE}.failed_at IS NULL
            THEN {sql.least}({TABLE}.lane, excluded.lane) ELSE excluded.lane END""",
        # Each cause once, of all marks since the order was fetched: the journal tells which led to
        # the next fetch.
        "causes": f"""CASE
            WHEN NOT ({owed}) THEN excluded.causes
            WHEN ',' || {TABLE}.causes || ',' LIKE '%%,' || excluded.causes || ',%%'
            THEN {TABLE}.causes ELSE {TABLE}.causes || ',' || excluded.causes END""",
        # Odoo gives no id twice, so what comes after "deleted" takes nothing of it back.
        "event": f"""CASE WHEN {TABLE}.event = 'deleted' THEN {TABLE}.event
            ELSE excluded.event END""",
        # The transaction of the early mark may still be open when another mark comes.
        "early": f"{TABLE}.early OR excluded.early",
        # What has shown was of an earlier transaction: this one's looks are all taken.
        "shown_at": f"CASE WHEN excluded.early THEN NULL ELSE {TABLE}.shown_at END",
        # How late the copy is counts from the first mark that has not been fetched.
        "first_marked_at": f"""CASE WHEN {owed} THEN {TABLE}.first_marked_at
            ELSE excluded.first_marked_at END""",
        # The early looks count from the latest mark.
        "last_marked_at": "excluded.last_marked_at",
        # The time that a failed or held row has waited for a person does not count.
        "owed_since": f"""CASE
            WHEN {owed} AND {TABLE}.failed_at IS NULL AND {TABLE}.held_reason = ''
            THEN {TABLE}.owed_since ELSE excluded.owed_since END""",
        # Of the marks since the order was fetched, as ``causes``.
        "marks": f"excluded.marks + CASE WHEN {owed} THEN {TABLE}.marks ELSE 0 END",
        # A mark never puts a row off; when a failed row would have been tried matters no more.
        "due_at": f"""CASE WHEN {TABLE}.failed_at IS NOT NULL THEN excluded.due_at
            ELSE {sql.least}({TABLE}.due_at, excluded.due_at) END""",
        # Set by whoever finds it empty, and only that caller sends a message (RETURNING).
        "sent_at": f"COALESCE({TABLE}.sent_at, excluded.sent_at)",
        # A failed row gets one attempt: its cause may be gone, or not.
        "attempts": f"CASE WHEN {TABLE}.failed_at IS NULL THEN {TABLE}.attempts ELSE %s END",
        "failed_at": "NULL",
        # A second witness, a change, or a person says that it may be looked at again.
        "held_reason": f"CASE WHEN {released} THEN '' ELSE {TABLE}.held_reason END",
        "held_reason_parts": f"CASE WHEN {released} THEN '' ELSE {TABLE}.held_reason_parts END",
        # The latest body: marks of our own have none.
        "last_payload": f"""CASE WHEN excluded.last_payload = ''
            THEN {TABLE}.last_payload ELSE excluded.last_payload END""",
        # A run waits for its mark until this generation is fetched; a webhook's takes neither away.
        "run_id": f"COALESCE(excluded.run_id, {TABLE}.run_id)",
        "run_generation": f"""CASE WHEN excluded.run_id IS NULL THEN {TABLE}.run_generation
            ELSE {TABLE}.generation + 1 END""",
    }
    updates = ", ".join(f"{column} = {value}" for column, value in columns.items())
    return f"""
        INSERT INTO {TABLE} (
            odoo_id, generation, fetched_generation, lane, causes, event, early, first_marked_at,
            last_marked_at, owed_since, marks, due_at, sent_at, attempts, batch_limit, held_reason,
            last_payload, error_class, last_error, failure, traceback, run_id, run_generation)
        SELECT item.id, 1, 0, item.lane, item.causes, item.event, item.early, {sql.now}, {sql.now},
            {sql.now}, item.marks, {sql.later.format("item.delay")},
            CASE WHEN item.lane = %s THEN NULL ELSE {sql.now} END,
            0, 0, '', {sql.payload}, '', '', '', '', item.run,
            CASE WHEN item.run IS NULL THEN NULL ELSE 1 END
        FROM {sql.marks} WHERE true
        ON CONFLICT (odoo_id) DO UPDATE SET {updates}
        RETURNING odoo_id, sent_at = {sql.now}"""


def reopen(odoo_ids: Sequence[int], details: Mark) -> None:
    """Mark failed orders again and let them share a batch again. No message is sent."""
    with transaction.atomic():
        rows = PendingBC.objects.filter(pk__in=sorted(odoo_ids), failed_at__isnull=False)
        rows.update_locked(batch_limit=0)
        mark_all((odoo_id, details) for odoo_id in odoo_ids)


@dataclass(frozen=True, slots=True)
class Merged:
    """Marks in the form that the statement takes."""

    items: list[dict[str, Any]]
    """One per order, ascending by id: a statement can update each row only once."""
    payloads: list[str]
    """Each distinct payload once. An item's ``payload`` is an index into this list, or None."""


def merged(marks: Iterable[tuple[int, Mark]]) -> Merged:
    """Combine the marks of each order into one item."""
    first_look = 0.0 if settings.ODOO_WEBHOOK_TIMING == "auto" else settings.EARLY_LOOKS[0]
    items: dict[int, dict[str, Any]] = {}
    for odoo_id, details in marks:
        new = {
            "id": odoo_id,
            "marks": 1,
            "lane": details.lane.value,
            "causes": details.cause,
            "event": details.event.value,
            "early": details.early,
            "delay": first_look if details.early else 0.0,
            "payload": details.payload,
            "run": details.run,
        }
        old = items.get(odoo_id)
        items[odoo_id] = new if old is None else _merge(old, new)
    places: dict[str, int] = {}
    for item in items.values():
        payload = item["payload"]
        item["payload"] = places.setdefault(payload, len(places)) if payload else None
    return Merged([items[odoo_id] for odoo_id in sorted(items)], list(places))


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    deleted = Event.DELETED.value
    return {
        "id": old["id"],
        "marks": old["marks"] + 1,
        "lane": min(old["lane"], new["lane"]),
        "causes": ",".join(dict.fromkeys([*old["causes"].split(","), new["causes"]])),
        "event": deleted if deleted in {old["event"], new["event"]} else new["event"],
        "early": old["early"] or new["early"],
        "delay": min(old["delay"], new["delay"]),
        "payload": new["payload"] or old["payload"],
        "run": new["run"] if old["run"] is None else old["run"],
    }
