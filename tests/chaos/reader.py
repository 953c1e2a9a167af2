"""A reader of the copy, like an application: it looks all the time, and must never see torn data.

Each look is one statement, hence one snapshot of the database.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import psycopg2

from tests.chaos.operations import WITNESS
from tests.harness import OWED

EVERY_SECONDS = 0.15

# As ``BC.objects.current()``: a gone or forbidden order stays as last seen, except for lines that
# Odoo has moved to another order since.
CURRENT = "b.archived_at IS NULL AND b.forbidden_at IS NULL"
# True of every version that Odoo commits: the totals are those of the lines.
TOTALS = f"""
    SELECT b.odoo_id, b.amount_untaxed, COALESCE(sum(l.price_subtotal), 0)
    FROM bc_consumer_bc b LEFT JOIN bc_consumer_bcline l ON l.bc_id = b.id
    WHERE {CURRENT} GROUP BY b.id
    HAVING abs(COALESCE(b.amount_untaxed, 0) - COALESCE(sum(l.price_subtotal), 0)) > 0.001"""
# A witness and its lines carry one stamp.
STAMPS = f"""
    SELECT b.odoo_id, b.partner_ref, min(l.name), max(l.name)
    FROM bc_consumer_bc b JOIN bc_consumer_bcline l ON l.bc_id = b.id
    WHERE b.origin = '{WITNESS}' AND {CURRENT} GROUP BY b.id
    HAVING min(l.name) <> b.partner_ref OR max(l.name) <> b.partner_ref"""
TWICE = """
    SELECT 'line', odoo_id FROM bc_consumer_bcline GROUP BY odoo_id HAVING count(*) > 1
    UNION ALL SELECT 'BC', odoo_id FROM bc_consumer_bc GROUP BY odoo_id HAVING count(*) > 1"""
FAILED = """
    SELECT odoo_id, error_class, left(last_error, 200) FROM bc_consumer_pendingbc
    WHERE failed_at IS NOT NULL"""
HELD = "SELECT odoo_id, held_reason FROM bc_consumer_pendingbc WHERE held_reason <> ''"
OLDEST = f"SELECT EXTRACT(EPOCH FROM max(now() - first_marked_at)) {OWED} AND failed_at IS NULL"


class Reader(threading.Thread):
    """Reads until closed; ``torn`` and ``failed`` are what it has seen."""

    def __init__(self, database_url: str) -> None:
        super().__init__(name="reader", daemon=True)
        self.looks = 0
        self.torn: Counter[str] = Counter()
        """Maps each violation that was seen to the number of looks that saw it."""
        self.failed: dict[int, str] = {}
        self.held: dict[int, str] = {}
        self.oldest_seconds = 0.0
        self.refusals: Counter[str] = Counter()
        self._url = database_url
        self._closing = threading.Event()

    def run(self) -> None:
        """Look repeatedly, reconnecting whenever the database was away."""
        while not self._closing.is_set():
            try:
                connection = psycopg2.connect(self._url, connect_timeout=3)
                connection.autocommit = True
                with connection.cursor() as cursor:
                    while not self._closing.wait(EVERY_SECONDS):
                        self._look(cursor)
                        self.looks += 1
                connection.close()
            except psycopg2.Error as error:
                self.refusals[type(error).__name__] += 1
                self._closing.wait(EVERY_SECONDS)

    def close(self) -> None:
        """End after the current look."""
        self._closing.set()
        self.join(30)

    def _look(self, cursor: Any) -> None:
        for name, statement in (("totals", TOTALS), ("stamps", STAMPS), ("twice", TWICE)):
            cursor.execute(statement)
            self.torn.update(f"{name}: {row}" for row in cursor.fetchall())
        cursor.execute(FAILED)
        self.failed |= {odoo_id: f"{kind}: {text}" for odoo_id, kind, text in cursor.fetchall()}
        cursor.execute(HELD)
        self.held |= dict(cursor.fetchall())
        cursor.execute(OLDEST)
        ((oldest,),) = cursor.fetchall()
        self.oldest_seconds = max(self.oldest_seconds, float(oldest or 0.0))
