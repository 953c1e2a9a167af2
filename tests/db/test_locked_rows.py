"""Rule 6: an order whose row somebody else has locked holds up no other one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pytest
from django.db import connection
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.ledger import Mark
from bc_consumer.models import BC, Pace, PendingBC
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import ON_SQLITE
from tests.db.test_refresh import LINES, sql

pytestmark = [
    pytest.mark.skipif(ON_SQLITE, reason="SQLite locks no rows"),
    pytest.mark.usefixtures("odoo"),
]
WEBHOOK = Mark(cause="webhook")


@contextmanager
def locked_by_another_session(odoo_id: int, how: str) -> Iterator[None]:
    given = connection.get_connection_params()
    own = {name: given[name] for name in ("dbname", "user", "password", "host", "port")}
    other = psycopg2.connect(**own)
    try:
        with other.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {BC._meta.db_table} WHERE odoo_id = %s {how}", [odoo_id])
            yield
    finally:
        other.close()


@pytest.fixture
def ids(simulator: Simulator) -> list[int]:
    """Twenty orders that the copy has, all changed since."""
    made = [simulator.create_order(lines=LINES) for _ in range(20)]
    ledger.mark(made, WEBHOOK)
    work_off()
    for odoo_id in made:
        simulator.write_order(odoo_id, partner_ref="new")
    ledger.mark(made, WEBHOOK)
    return made


def test_rule_6_a_locked_row_holds_up_no_other(simulator: Simulator, ids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    try:
        with locked_by_another_session(ids[7], "FOR UPDATE"):
            work_off()
            others = [odoo_id for odoo_id in ids if odoo_id != ids[7]]
            assert differences(simulator, sql, others) == []
            row = PendingBC.objects.get()
            assert (row.odoo_id, row.attempts, row.batch_limit) == (ids[7], 0, 1)
    finally:
        connection.close()
    PendingBC.objects.update(due_at=Now())
    Pace.objects.update(next_claim_at=Now())
    work_off()
    assert differences(simulator, sql) == []


def test_a_foreign_key_to_an_order_holds_up_nothing(simulator: Simulator, ids: list[int]) -> None:
    """An application that inserts a row which refers to a BC locks that BC's key."""
    with locked_by_another_session(ids[7], "FOR KEY SHARE"):
        work_off()
        assert differences(simulator, sql) == []
        assert not PendingBC.objects.exists()
