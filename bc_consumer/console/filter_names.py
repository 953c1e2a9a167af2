"""The names that orders and lines refer to: suppliers, products, buyers, companies, currencies.

Each is read without reading the whole table where an index allows it, and kept for a while.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection

from bc_consumer.core.cached_value import LONGEST_SECONDS, SMALL_SHARE, CachedValue
from bc_consumer.models import BC, BCLine

MOST_NAMES = 50_000
"""Names of one kind that are kept; further ones are not found by their name."""
MOST_FOUND = 1_000
"""Ids that one search returns at most."""


@dataclass(frozen=True, slots=True)
class KnownName:
    """A record of Odoo's that some order or line refers to."""

    odoo_id: int
    name: str
    folded: str
    """The name as ``folded_text`` makes it."""


def folded_text(text: str) -> str:
    """Return the text without case and accents, for comparing what people type."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in parts if not unicodedata.combining(one))


def _by_index(model: type[BC] | type[BCLine], id_column: str, name_column: str) -> list[KnownName]:
    """Read each id once by stepping along its index, with the name of one of its rows."""
    table = model._meta.db_table
    statement = f"""
        WITH RECURSIVE step(id) AS (
            SELECT min({id_column}) FROM {table}
            UNION ALL
            SELECT (SELECT min({id_column}) FROM {table} WHERE {id_column} > step.id)
            FROM step WHERE step.id IS NOT NULL
        )
        SELECT id, (SELECT {name_column} FROM {table} WHERE {id_column} = step.id LIMIT 1)
        FROM step WHERE id IS NOT NULL LIMIT %s"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [MOST_NAMES])
        return _known(cursor.fetchall())


def _of_orders() -> Mapping[str, list[KnownName]]:
    """Read buyers, companies and currencies in one pass of the table: no index is on them."""
    pairs = {kind: (f"{kind}_id", f"{kind}_name") for kind in ("user", "company", "currency")}
    columns = [column for pair in pairs.values() for column in pair]
    found = list(BC.objects.order_by().values(*columns).distinct()[:MOST_NAMES])
    return {
        kind: _known(list({(row[i], row[name]) for row in found if row[i] is not None}))
        for kind, (i, name) in pairs.items()
    }


def _known(rows: list[tuple[int, str]]) -> list[KnownName]:
    return sorted(
        (KnownName(odoo_id, name, folded_text(name)) for odoo_id, name in rows),
        key=lambda one: (one.folded, one.odoo_id),
    )


suppliers = CachedValue(
    lambda: _by_index(BC, "partner_id", "partner_name"), share=SMALL_SHARE, longest=LONGEST_SECONDS
)
products = CachedValue(
    lambda: _by_index(BCLine, "product_id", "product_name"),
    share=SMALL_SHARE,
    longest=LONGEST_SECONDS,
)
of_orders = CachedValue(_of_orders, share=SMALL_SHARE, longest=LONGEST_SECONDS)
ALL = (suppliers, products, of_orders)


def buyers() -> list[KnownName]:
    """Return the buyers of all orders."""
    return of_orders()["user"]


def companies() -> list[KnownName]:
    """Return the companies of all orders."""
    return of_orders()["company"]


def currencies() -> list[KnownName]:
    """Return the currencies of all orders."""
    return of_orders()["currency"]


def ids_like(names: list[KnownName], words: str) -> list[int]:
    """Return the ids of the names that contain these words, in any case and without accents."""
    wanted = folded_text(words).split()
    found = (one.odoo_id for one in names if all(word in one.folded for word in wanted))
    return sorted(set(found))[:MOST_FOUND]
