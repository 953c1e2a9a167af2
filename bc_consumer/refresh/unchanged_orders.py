"""Finds the orders of a batch that are unchanged, by two statements for the whole batch.

Most orders of a reconciliation are, and then no object of Django's is made for them. PostgreSQL
compares the columns themselves: a stored digest would not notice a row that somebody has changed by
hand. What differs is compared by ``writer``, value by value.
"""

from collections.abc import Iterable, Sequence

from django.db import connection

from bc_consumer.core import bulk_rows
from bc_consumer.core.bulk_rows import RowSource
from bc_consumer.models import BC, BCLine
from bc_consumer.refresh.mapping import MappedLine, MappedOrder

BC_TABLE, LINE_TABLE = BC._meta.db_table, BCLine._meta.db_table
# In what follows OFFSET 0 makes PostgreSQL look rows up by their index, one by one. Left to itself
# it reads the whole table where it knows little of it: while a first load fills it.


def find_unchanged(orders: Sequence[MappedOrder]) -> set[int]:
    """Return the ids of those orders that the copy has exactly like this, with the same lines.

    Call it when the orders' rows are locked. An order that is left out may still be unchanged:
    nothing is said where they were made by different sets of fields, nor on SQLite.
    """
    if not orders or not bulk_rows.is_possible() or not _have_same_columns(orders):
        return set()
    counts = _find_equal_orders(orders)
    lines = [
        (order.odoo_id, line) for order in orders if order.odoo_id in counts for line in order.lines
    ]
    equal = _count_equal_lines(lines) if lines else {}
    return {
        order.odoo_id
        for order in orders
        if counts.get(order.odoo_id) == len(order.lines) == equal.get(order.odoo_id, 0)
    }


def _have_same_columns(orders: Sequence[MappedOrder]) -> bool:
    first = orders[0]
    return all(
        order.mapping_version == first.mapping_version
        and order.fields.keys() == first.fields.keys()
        and order.extra.kept == first.extra.kept
        for order in orders
    )


def _find_equal_orders(orders: Sequence[MappedOrder]) -> dict[int, int]:
    """Return the orders whose own columns are equal: id → the number of lines in the copy."""
    first = orders[0]
    columns = [*first.fields, "extra", "mapping_version"]
    source = RowSource(BC, [*columns, "odoo_id"])
    rows = [
        {
            **order.fields,
            "extra": order.extra.values,
            "mapping_version": order.mapping_version,
            "odoo_id": order.odoo_id,
        }
        for order in orders
    ]
    statement = f"""
        SELECT bc.odoo_id, (SELECT count(*) FROM {LINE_TABLE} line WHERE line.bc_id = bc.id)
        FROM {source.sql}
        CROSS JOIN LATERAL
            (SELECT * FROM {BC_TABLE} own WHERE own.odoo_id = item.odoo_id OFFSET 0) bc
        WHERE bc.archived_at IS NULL AND bc.forbidden_at IS NULL AND {_are_equal("bc", columns)}"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [*source.parameters(rows), sorted(first.extra.kept)])
        return dict(cursor.fetchall())


def _count_equal_lines(lines: Sequence[tuple[int, MappedLine]]) -> dict[int, int]:
    """Return order id → the number of its lines that are equal, and are under this order."""
    _order, first = lines[0]
    columns = [*first.fields, "extra"]
    rows = [
        {**line.fields, "extra": line.extra.values, "odoo_id": line.odoo_id, "order_id": order_id}
        for order_id, line in lines
    ]
    source = RowSource(BCLine, [*columns, "odoo_id"], order_id="bigint")
    statement = f"""
        SELECT item.order_id, count(*)
        FROM {source.sql}
        CROSS JOIN LATERAL (
            SELECT own.*, bc.odoo_id AS order_id
            FROM {LINE_TABLE} own JOIN {BC_TABLE} bc ON bc.id = own.bc_id
            WHERE own.odoo_id = item.odoo_id OFFSET 0) line
        WHERE line.order_id = item.order_id AND {_are_equal("line", columns)}
        GROUP BY item.order_id"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [*source.parameters(rows), sorted(first.extra.kept)])
        return dict(cursor.fetchall())


def _are_equal(table: str, columns: Iterable[str]) -> str:
    """Return the condition; its one parameter names the further fields that stay as they are."""
    compared = [
        (f'{table}."{name}"', f'item."{name}"')
        if name != "extra"
        else (f"{table}.extra - %s::text[]", "item.extra")
        for name in columns
    ]
    ours, theirs = (", ".join(side) for side in zip(*compared, strict=True))
    return f"({ours}) IS NOT DISTINCT FROM ({theirs})"
