"""Versions: each applied change of an order gets the next number, in the order of the commits.

The numbers come from one row, and its lock is held until the commit. So the transaction that takes
the next number begins to take it only after the one before has become visible: no reader can see a
version while a lower one is still to come. On PostgreSQL this takes READ COMMITTED, the default.

Deadlocks are ruled out by order: BC, then what the journal and the run count, then this row, then
the ledger's rows. Whoever holds a ledger row never waits for this one, and marking takes neither.
"""

from collections.abc import Collection

from django.db import connection

from bc_consumer.core.sql_dialect import dialect, ids_parameter
from bc_consumer.models import BC, VersionCounter

COUNTER = VersionCounter._meta.db_table
TABLE = BC._meta.db_table


def give_versions(odoo_ids: Collection[int]) -> dict[int, int]:
    """Give each of these orders its next version, ascending by Odoo id; return them by Odoo id.

    Inside the transaction that changes the orders, and as late as possible: every other such
    transaction waits here from now on until the commit.
    """
    if not odoo_ids:
        return {}
    before = _take(len(set(odoo_ids)))
    statement = f"""
        UPDATE {TABLE} SET version = %s + numbered.place
        FROM (SELECT item.id, row_number() OVER (ORDER BY item.id) AS place
            FROM {dialect().ids}) AS numbered
        WHERE {TABLE}.odoo_id = numbered.id
        RETURNING odoo_id, version"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [before, ids_parameter(odoo_ids)])
        return dict(cursor.fetchall())


def _take(count: int) -> int:
    """Reserve ``count`` numbers; return the one before the first."""
    statement = f"UPDATE {COUNTER} SET last = last + %s WHERE id = %s RETURNING last"
    with connection.cursor() as cursor:
        cursor.execute(statement, [count, VersionCounter.ONLY])
        row = cursor.fetchone()
    if row is None:
        raise RuntimeError(
            f"Table {COUNTER} has lost its row {VersionCounter.ONLY}: insert it with the highest "
            f"version of {TABLE} as «last»."
        )
    return int(row[0]) - count
