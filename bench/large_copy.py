"""Fills a migrated, empty PostgreSQL database with a large copy and its history, in a minute or so.

The database makes the rows itself (``generate_series``), so nothing travels. They look like those
of a deployment whose webhooks work: most changes have a delay that counts from a webhook.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DAYS = 180.0
"""Over which the journal is spread, evenly, up to now: as long as entries are kept by default."""
NIGHTS = 400
LARGE_LINES, LARGE_JOURNAL = 500, 5_000
"""Of the one very large order."""
EMPTY = {
    "text": "''", "jsonb": "'{}'::jsonb", "boolean": "false", "double precision": "0",
    "bigint": "0", "integer": "0", "smallint": "0", "timestamp with time zone": "now()",
}  # fmt: skip
"""Type → what a column gets that has to have a value, and has neither a default nor one of ours."""


def fill(
    connection: Any, orders: int, lines_per_order: int, journal: int, *, days: float = DAYS
) -> None:
    """Insert so many orders, lines of each, and journal entries, and a nightly run of each night.

    ``connection``: Django's or psycopg2's, to PostgreSQL, in autocommit mode. The Odoo ids of
    orders are 1 to ``orders``; the journal's entries go round them in turn.
    """
    days = float(days)  # SQL divides whole numbers to whole numbers
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        _insert(cursor, "bc_consumer_bc", orders, _order(days))
        _insert(cursor, "bc_consumer_bcline", orders * lines_per_order, _line(lines_per_order))
        _insert(cursor, "bc_consumer_journalentry", journal, _entry(orders, journal, days))
        _insert(cursor, "bc_consumer_synclog", NIGHTS, _night())
        cursor.execute("UPDATE bc_consumer_versioncounter SET last = %s", [journal])
        cursor.execute("UPDATE bc_consumer_syncstate SET last_sync = now(), webhook_at = now()")
        cursor.execute("RESET synchronous_commit")
        # What autovacuum does in time: index-only reads depend on it.
        cursor.execute("VACUUM ANALYZE")


def fill_troubles(
    connection: Any, orders: int, *, failed: int, causes: int, held: int, polls: int
) -> int:
    """Add what pages list besides, after ``fill``; return the Odoo id of one very large order.

    ``failed`` orders of so many causes and ``held`` ones are among the ``orders`` of the copy;
    ``polls`` are runs of the last days. The large order has 500 lines and 5,000 journal entries.
    """
    large = orders + 1
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        _insert(cursor, "bc_consumer_pendingbc", failed, _failed(orders // failed, causes))
        _insert(cursor, "bc_consumer_pendingbc", held, _held(orders // held))
        _insert(cursor, "bc_consumer_synclog", polls, _poll(polls))
        _insert(cursor, "bc_consumer_bc", 1, _order(1.0) | {"odoo_id": f"{large}"})
        of_large = f"(SELECT id FROM bc_consumer_bc WHERE odoo_id = {large})"
        first = "(SELECT max(odoo_id) FROM bc_consumer_bcline)"
        line = _line(LARGE_LINES) | {"bc_id": of_large, "odoo_id": f"{first} + n"}
        _insert(cursor, "bc_consumer_bcline", LARGE_LINES, line)
        entry = _entry(orders, LARGE_JOURNAL, 1.0) | {"odoo_id": f"{large}", "version": "NULL"}
        _insert(cursor, "bc_consumer_journalentry", LARGE_JOURNAL, entry)
        cursor.execute("RESET synchronous_commit")
        cursor.execute("VACUUM ANALYZE")
    return large


def _insert(cursor: Any, table: str, rows: int, values: Mapping[str, str]) -> None:
    """Insert rows number 1, 2, …; ``values``: column → an SQL expression of the number ``n``."""
    cursor.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = %s AND is_nullable = 'NO'"
        " AND column_default IS NULL AND is_identity = 'NO'",
        [table],
    )
    filled = {name: EMPTY[type_] for name, type_ in cursor.fetchall() if name not in values}
    filled |= values
    columns = ", ".join(f'"{name}"' for name in filled)
    # Without parameters, so that a "%" of an expression stays one.
    cursor.execute(
        f"INSERT INTO {table} ({columns}) SELECT {', '.join(filled.values())}"
        f" FROM generate_series(1, {rows}) AS n"
    )


def _order(days: float) -> dict[str, str]:
    written = f"date_trunc('second', now() - random() * {days} * interval '1 day')"
    return {
        "odoo_id": "n",
        "name": "'P' || lpad(n::text, 7, '0')",
        "partner_id": "n % 500 + 1",
        "partner_name": "'Supplier ' || (n % 500 + 1)",
        "partner_ref": "'REF-' || n",
        "user_id": "n % 20 + 1",
        "user_name": "'Buyer ' || (n % 20 + 1)",
        "company_id": "n % 3 + 1",
        "company_name": "'Company ' || (n % 3 + 1)",
        "state": "(ARRAY['draft', 'sent', 'purchase', 'purchase', 'purchase', 'done'])[n % 6 + 1]",
        "date_order": "now() - n % 1000 * interval '1 day'",
        "create_date": f"now() - {days} * interval '1 day'",
        "write_date": written,
        "synced_at": "now()",
        "amount_untaxed": "n % 9973",
        "amount_total": "n % 9973 * 1.2",
        "currency_id": "1",
        "currency_name": "'EUR'",
        "version": "n",
        # One in a hundred is gone from Odoo.
        "archived_at": "CASE WHEN n % 100 = 0 THEN now() END",
        "archived_reason": "CASE WHEN n % 100 = 0 THEN 'gone from Odoo' ELSE '' END",
    }


def _line(lines_per_order: int) -> dict[str, str]:
    # Keys of the orders follow their ids, whatever the first key is.
    first = "(SELECT min(id) FROM bc_consumer_bc)"
    return {
        "odoo_id": "n",
        "bc_id": f"{first} + (n - 1) / {lines_per_order}",
        "sequence": f"(n - 1) % {lines_per_order}",
        "product_id": "n % 2000 + 1",
        "product_name": "'Product ' || (n % 2000 + 1)",
        "name": "'Line ' || n",
        "product_qty": "n % 40",
        "price_unit": "n % 900",
        "price_subtotal": "n % 40 * (n % 900)",
        "write_date": "now()",
        "taxes": "'[]'::jsonb",
    }


def _entry(orders: int, journal: int, days: float) -> dict[str, str]:
    at = f"now() - ({journal} - n) * ({days} / {journal}) * interval '1 day'"
    counted_from = "CASE WHEN n % 20 < 18 THEN 'mark' WHEN n % 20 = 18 THEN 'change' ELSE '' END"
    return {
        "odoo_id": f"(n * 7919::bigint) % {orders} + 1",
        "at": at,
        "outcome": "'changed'",
        "causes": "CASE WHEN n % 20 < 19 THEN 'webhook' ELSE 'nightly' END",
        "event": "'changed'",
        "marks": "1",
        "first_marked_at": at,
        "last_marked_at": at,
        # Most are a fraction of a second, and a few are several.
        "delay": "CASE WHEN n % 20 < 19 THEN 0.1 - 0.25 * ln(1 - random()) END",
        "delay_from": counted_from,
        "changes": """jsonb_build_object('fields', jsonb_build_object('amount_total',
            jsonb_build_array('1.00', '2.00')), 'lines', '{}'::jsonb)""",
        "version": "n",
    }


def _night() -> dict[str, str]:
    began = f"date_trunc('day', now()) - ({NIGHTS} - n) * interval '1 day'"
    return {
        "started_at": began,
        "ended_at": f"{began} + interval '5 minutes'",
        "status": "'ok'",
        "cause": "'nightly'",
        "phase": "'done'",
        "digest": "true",
        "missed_by_webhooks": "n % 4",
        "found_by_window": "n % 4",
        "window_since": f"{began} - interval '1 day'",
    }


def _failed(apart: int, causes: int) -> dict[str, str]:
    """Return the columns of failed rows: every ``apart``-th order, the causes in turn."""
    error = f"'line ' || n || ': field number ' || chr(65 + n % {causes}) || ' has no value'"
    cause = f"'MappingError: line #: field number ' || chr(65 + n % {causes}) || ' has no value'"
    return {
        **_pending(f"n * {apart}"),
        "attempts": "5",
        "error_class": "'MappingError'",
        "last_error": error,
        "failure": cause,
        "traceback": "repeat('  File \"mapping.py\", line 1, in map_order' || chr(10), 40)",
        "last_payload": "repeat('x', 2000)",
        "first_failed_at": "now() - n * interval '1 minute'",
        "failed_at": "now() - n * interval '1 minute'",
    }


def _held(apart: int) -> dict[str, str]:
    """Return the columns of held rows; each stands beside a multiple of ``apart``."""
    return {
        **_pending(f"n * {apart} - 1"),
        "held_reason": "'Archiving paused: limit of 20 per hour reached'",
        "held_at": "now() - n * interval '1 minute'",
    }


def _pending(odoo_id: str) -> dict[str, str]:
    return {
        "odoo_id": odoo_id,
        "generation": "1",
        "lane": "0",
        "causes": "'webhook'",
        "event": "'changed'",
        "marks": "1",
        "first_marked_at": "now() - n * interval '1 minute'",
        "last_marked_at": "now() - n * interval '1 minute'",
        "due_at": "now() + interval '1 year'",
    }


def _poll(polls: int) -> dict[str, str]:
    began = f"now() - ({polls} - n) * interval '5 minutes'"
    return {
        "started_at": began,
        "ended_at": f"{began} + interval '2 seconds'",
        "status": "'ok'",
        "cause": "'poll'",
        "phase": "'done'",
        "found_by_window": "n % 3",
    }
